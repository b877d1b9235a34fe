// SPDX-License-Identifier: BSD-2-Clause
// signals.cc - SIGINT and SIGTERM through an eventfd.
#include "app/umfwd/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <utility>

#include "lib/base/sync.h"

namespace umbuf::fwd {

namespace {

sync::atomic<int> event_fd{-1};  // [a] all that the handler may look at; lock-free, so it may
static_assert(sync::atomic<int>::is_always_lock_free);

void on_signal(int) {
    const int saved = errno;
    const uint64_t one = 1;
    const int fd = event_fd.load(sync::relaxed);
    if (fd >= 0) static_cast<void>(!write(fd, &one, sizeof one));
    errno = saved;
}

// handle - both signals end in the same wish, so either one disarms both.
void handle(void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

Result<Signals> Signals::create() {
    UM_ASSERT(event_fd.load(sync::relaxed) == -1);
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return Error{errno, std::string("no eventfd for signals: ") + std::strerror(errno) +
                                "; raise the limit of open files (ulimit -n)"};
    event_fd.store(fd, sync::relaxed);
    std::signal(SIGPIPE, SIG_IGN);
    handle(on_signal);
    return Signals(fd);
}

Signals::Signals(Signals&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Signals::~Signals() {
    if (fd_ < 0) return;
    handle(SIG_DFL);
    event_fd.store(-1, sync::relaxed);
    close(fd_);
}

bool Signals::wait(int timeout_ms, int other) const noexcept {
    pollfd want[] = {{.fd = fd_, .events = POLLIN, .revents = 0}, {.fd = other, .events = POLLIN, .revents = 0}};
    return poll(want, 2, timeout_ms) > 0 && want[0].revents != 0;  // -1, EINTR: the next call sees it
}

}  // namespace umbuf::fwd
