// SPDX-License-Identifier: BSD-2-Clause
// words.h - what charon wants of umfwd, in the words of docs/gateway-control.md.
//
// W1  A line is whole or void: what would be too long, and what umfwd has no word for, is never said in part.
// W2  A line may have a key in it. Its owner wipes it (words_wipe) when it has been said.
//
// Any thread; a line is one thread's.
#pragma once
#include <daemon.h>
#include <kernel/kernel_ipsec.h>

enum { kLongestLine = 4096, kLongestName = 64 };  // docs/gateway-control.md: 4,096 bytes, and 63 in a name

typedef struct Words {
    char text[kLongestLine];  // without a line end
    size_t length;
    bool is_void;             // too long
} Words;

void words_say(Words* w, const char* format, ...) __attribute__((format(printf, 2, 3)));
void words_wipe(Words* w);

// sa_name, child_name - what umfwd calls them. All names of ours begin with kOurs, and no others do: after a
// crash of charon they are known by that.
#define kOurs "ike-"
void sa_name(char name[kLongestName], const kernel_ipsec_sa_id_t* id, bool inbound);
void child_name(char name[kLongestName], uint32_t reqid);

// say_sa - `sa add`. Null, or what of it umfwd cannot do; the words are void then.
const char* say_sa(Words* w, const char* name, const kernel_ipsec_sa_id_t* id, const kernel_ipsec_add_sa_t* sa);

// say_policy - the same of what stands behind the name in `policy add name NAME`, with a blank before it. Not for
// POLICY_FWD, which umfwd has no need of: `in` is both.
const char* say_policy(Words* w, const kernel_ipsec_policy_id_t* id, const kernel_ipsec_manage_policy_t* policy);
