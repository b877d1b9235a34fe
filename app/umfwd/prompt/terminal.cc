// SPDX-License-Identifier: BSD-2-Clause
// terminal.cc - the terminal's mode, changed and restored.
#include "app/umfwd/prompt/terminal.h"

#include <termios.h>
#include <unistd.h>
#include <csignal>
#include <iterator>

#include "lib/base/check.h"

namespace umbuf::fwd {
namespace {

// The signals that end a program from inside. SIGINT and SIGTERM are main's, who halts in order.
constexpr int kCrashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGQUIT};

// Plain globals, because the handler may touch nothing else.
int raw_fd = -1;
termios before;
struct sigaction handlers_before[std::size(kCrashes)];

// restore_and_die - a crash: the mode first, then the signal's own end (SA_RESETHAND).
void restore_and_die(int signal) {
    if (raw_fd >= 0) tcsetattr(raw_fd, TCSANOW, &before);  // async-signal-safe, POSIX 2.4.3
    raise(signal);
}

void catch_crashes() {
    struct sigaction action = {};
    action.sa_handler = restore_and_die;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
    for (size_t i = 0; i < std::size(kCrashes); ++i) {
        sigaction(kCrashes[i], nullptr, &handlers_before[i]);
        // Somebody who handles the crash has better to say than we have.
        if (handlers_before[i].sa_handler == SIG_DFL) sigaction(kCrashes[i], &action, nullptr);
    }
}

}  // namespace

Terminal::Terminal(int fd) {
    UM_ASSERT_MSG(raw_fd < 0, "a second Terminal at the same time");
    if (tcgetattr(fd, &before) != 0) return;  // no terminal: nothing to change
    catch_crashes();
    raw_fd = fd;
    termios raw = before;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    tcsetattr(fd, TCSANOW, &raw);
}

Terminal::~Terminal() {
    if (raw_fd < 0) return;
    tcsetattr(raw_fd, TCSANOW, &before);
    raw_fd = -1;
    for (size_t i = 0; i < std::size(kCrashes); ++i)
        sigaction(kCrashes[i], &handlers_before[i], nullptr);
}

}  // namespace umbuf::fwd
