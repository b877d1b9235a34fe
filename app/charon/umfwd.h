// SPDX-License-Identifier: BSD-2-Clause
// umfwd.h - umfwd's control socket (docs/gateway-control.md), as charon's threads use it.
//
// Two connections: one for questions and answers, one on which umfwd speaks by itself. When the second one ends,
// umfwd has gone, and all that it had with it: it is looked for once a second from then on, and the owner is told
// when there is one.
#pragma once
#include "app/charon/words.h"

typedef struct Umfwd Umfwd;

// Who is told, by any thread of charon's, without a lock of ours.
typedef struct UmfwdOwner {
    void* self;
    // met - there is a umfwd, at the start or again. It may have what an earlier charon said; not what we said.
    void (*met)(void* self);
    // happened - `soft`, `hard` or `gone`, to the SA of this name.
    void (*happened)(void* self, const char* what, const char* name);
} UmfwdOwner;

// umfwd_create - never null; `path` is copied. Tells nobody anything before umfwd_start().
Umfwd* umfwd_create(const char* path, UmfwdOwner owner);
void umfwd_start(Umfwd* umfwd);
// umfwd_destroy - no thread asks any more.
void umfwd_destroy(Umfwd* umfwd);

typedef enum Said {
    kOk,
    kRefused,  // umfwd has said why
    kAway,     // there is no umfwd, or it does not answer: nobody knows whether it was done
} Said;
// umfwd_ask - one line, and its answer in *answer (malloc, the caller's to free; null is not asked for): the text
// before `ok`, or the error's. Any thread; waits for at most kPatienceS.
enum { kPatienceS = 5 };
Said umfwd_ask(Umfwd* umfwd, const Words* line, char **answer);
