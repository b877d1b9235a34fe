// SPDX-License-Identifier: BSD-2-Clause
// umfwd.c - sockets, lines, and the search for a umfwd that has gone.
#include "app/charon/umfwd.h"

#include <errno.h>
#include <processing/jobs/callback_job.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <threading/mutex.h>
#include <unistd.h>

// Line - a connection, and what has been read of it.
typedef struct Line {
    int fd;           // -1: none
    char* text;       // room bytes; those of [from, to) have not been looked at
    size_t room, from, to;
} Line;

struct Umfwd {
    char* path;        // [I]
    UmfwdOwner owner;  // [I]
    mutex_t* lock;
    Line questions;    // [lock]
    Line events;       // one thread at a time: the watcher's, or the job that looks for umfwd
    bool missed;       // the same; it has been said that there is none
};

// ---- lines

static bool is_up(const Line* line) {
    return line->fd >= 0;
}

static void hang_up(Line* line) {
    if (is_up(line)) close(line->fd);
    free(line->text);
    *line = (Line){.fd = -1};
}

// call - false, and errno.
static bool call(Line* line, const char* path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = kPatienceS};
    if (strlen(path) >= sizeof to.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(to.sun_path, path, strlen(path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr*)&to, sizeof to) == 0) {
        *line = (Line){.fd = fd};
        return true;
    }
    const int error = errno;
    close(fd);
    errno = error;
    return false;
}

static bool write_all(const Line* line, const char* text, size_t n) {
    while (n > 0) {
        const ssize_t sent = send(line->fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        text += sent;
        n -= (size_t)sent;
    }
    return true;
}

// take_line - the next one that has been read, without its end; null: there is none.
static char* take_line(Line* line) {
    char* text = line->text + line->from;
    char* end = line->to > line->from ? memchr(text, '\n', line->to - line->from) : NULL;
    if (end == NULL) return NULL;
    *end = '\0';
    line->from += (size_t)(end - text) + 1;
    return text;
}

// read_more - behind what is there. As recv().
static ssize_t read_more(Line* line, int flags) {
    const size_t step = 4096;
    if (line->from > 0) memmove(line->text, line->text + line->from, line->to - line->from);
    line->to -= line->from;
    line->from = 0;
    if (line->room - line->to < step) line->text = realloc(line->text, line->room += step);
    const ssize_t n = recv(line->fd, line->text + line->to, line->room - line->to, flags);
    if (n > 0) line->to += (size_t)n;
    return n;
}

// next_line - as take_line(), but waits. Null: the connection has ended, or (errno EAGAIN) patience has.
static char* next_line(Line* line) {
    for (;;) {
        char* text = take_line(line);
        if (text != NULL) return text;
        errno = 0;
        if (read_more(line, 0) <= 0) return NULL;
    }
}

// ---- questions and answers

static Said read_answer(Line* line, FILE* to) {
    const char* text;
    while ((text = next_line(line)) != NULL) {
        if (streq(text, "ok")) return kOk;
        if (to != NULL) fprintf(to, "%s\n", text);
        if (strpfx(text, "error: ")) return kRefused;
    }
    return kAway;
}

static Said ask(Umfwd* umfwd, const Words* words, FILE* answer) {
    Line* line = &umfwd->questions;
    if (!is_up(line) && !call(line, umfwd->path)) return kAway;
    const Said said = write_all(line, words->text, words->length) && write_all(line, "\n", 1) ? read_answer(line, answer) : kAway;
    if (said != kAway) return said;
    const int error = errno;
    hang_up(line);
    errno = error;
    return kAway;
}

Said umfwd_ask(Umfwd* umfwd, const Words* words, char **answer) {
    size_t size = 0;
    FILE* to = answer != NULL ? open_memstream(answer, &size) : NULL;
    umfwd->lock->lock(umfwd->lock);
    const bool used = is_up(&umfwd->questions);
    Said said = ask(umfwd, words, to);
    // What ended may be the connection to an earlier umfwd: it is the one that is there now who is asked.
    if (said == kAway && used && errno != EAGAIN) said = ask(umfwd, words, to);
    umfwd->lock->unlock(umfwd->lock);
    if (to != NULL) fclose(to);
    return said;
}

// ---- what umfwd says by itself

static job_requeue_t look_again(void* self);

static void look_later(Umfwd* umfwd) {
    const uint32_t in_s = 1;
    lib->scheduler->schedule_job(lib->scheduler, (job_t*)callback_job_create(look_again, umfwd, NULL, NULL), in_s);
}

static void tell(Umfwd* umfwd, const char* text) {
    char what[8], name[kLongestName];
    if (sscanf(text, "event %7s %63s", what, name) == 2) umfwd->owner.happened(umfwd->owner.self, what, name);
}

static void drain(Umfwd* umfwd) {
    const char* text;
    while ((text = take_line(&umfwd->events)) != NULL) tell(umfwd, text);
}

static bool on_events(void* self, int fd, watcher_event_t event) {
    Umfwd* umfwd = self;
    (void)fd, (void)event;
    const ssize_t n = read_more(&umfwd->events, MSG_DONTWAIT);
    const int error = errno;
    drain(umfwd);
    if (n > 0 || (n < 0 && error == EAGAIN)) return true;
    DBG1(DBG_KNL, "umfwd has gone from %s", umfwd->path);
    hang_up(&umfwd->events);
    look_later(umfwd);
    return false;
}

// subscribe - to events, of a umfwd that speaks the words that we know.
static bool subscribe(Umfwd* umfwd) {
    static const char kHello[] = "protocol\nevents\n";
    Line* line = &umfwd->events;
    if (!call(line, umfwd->path)) return false;
    const char* protocol = write_all(line, kHello, strlen(kHello)) ? next_line(line) : NULL;
    const bool known = protocol != NULL && streq(protocol, "umbuf-control 1");
    if (known && read_answer(line, NULL) == kOk && read_answer(line, NULL) == kOk) return true;
    hang_up(line);
    errno = EPROTO;
    return false;
}

static void look(Umfwd* umfwd) {
    if (!subscribe(umfwd)) {
        if (!umfwd->missed) DBG1(DBG_KNL, "no umfwd answers at %s: %s. It is looked for", umfwd->path, strerror(errno));
        umfwd->missed = true;
        return look_later(umfwd);
    }
    DBG1(DBG_KNL, "umfwd answers at %s", umfwd->path);
    umfwd->missed = false;
    umfwd->owner.met(umfwd->owner.self);
    drain(umfwd);
    lib->watcher->add(lib->watcher, umfwd->events.fd, WATCHER_READ, on_events, umfwd);
}

static job_requeue_t look_again(void* self) {
    look(self);
    return JOB_REQUEUE_NONE;
}

Umfwd* umfwd_create(const char* path, UmfwdOwner owner) {
    Umfwd* umfwd = malloc_thing(Umfwd);
    *umfwd = (Umfwd){
        .path = strdup(path), .owner = owner, .lock = mutex_create(MUTEX_TYPE_DEFAULT), .questions = {.fd = -1}, .events = {.fd = -1}};
    return umfwd;
}

void umfwd_start(Umfwd* umfwd) {
    look(umfwd);
}

void umfwd_destroy(Umfwd* umfwd) {
    if (is_up(&umfwd->events)) lib->watcher->remove(lib->watcher, umfwd->events.fd);
    hang_up(&umfwd->events);
    hang_up(&umfwd->questions);
    umfwd->lock->destroy(umfwd->lock);
    free(umfwd->path);
    free(umfwd);
}
