// SPDX-License-Identifier: BSD-2-Clause
// watchdog.h - the end of a test that does not end: the process dies, and says why.
//
// What hangs here spins: a lane that turns for ever, a command that waits for it. So the time that
// counts is this process's CPU time, over all its threads: a test that is slow because others want
// the processors, or that stands in a debugger, has used little of it.
#pragma once
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <string_view>

#include <unistd.h>

namespace umbuf::test {

// One at a time; a child does not inherit it.
class Watchdog {
  public:
    // seconds - of CPU time: UM_WATCHDOG, if it is set. A test takes one at most; over checked pools
    // (UM_EAL), which look at every byte, many times that.
    static int seconds() {
        if (const char* given = std::getenv("UM_WATCHDOG"); given != nullptr) return std::atoi(given);
        return std::getenv("UM_EAL") != nullptr ? 120 : 10;
    }

    Watchdog() {
        std::signal(SIGPROF, bite);
        feed();
    }
    ~Watchdog() { set(0); }
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    // feed - all the time again, for a test that repeats itself as often as it is told.
    static void feed() { set(seconds()); }

  private:
    // timer - of the precise clock. setitimer(ITIMER_PROF) counts whole ticks, and threads that yield
    // to each other are seldom there when it ticks.
    static timer_t timer() {
        static const timer_t made = [] {
            sigevent event{};
            event.sigev_notify = SIGEV_SIGNAL;
            event.sigev_signo = SIGPROF;
            timer_t t{};
            if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &t) != 0) std::abort();
            return t;
        }();
        return made;
    }
    static void set(int seconds) {
        const itimerspec once{.it_interval = {}, .it_value = {.tv_sec = seconds, .tv_nsec = 0}};
        timer_settime(timer(), 0, &once, nullptr);
    }
    // bite - abort(), so that a core shows where each thread is.
    static void bite(int) {
        constexpr std::string_view kText = "the test hangs: its time is used up (watchdog.h)\n";
        static_cast<void>(!write(STDERR_FILENO, kText.data(), kText.size()));
        std::abort();
    }
};

}  // namespace umbuf::test
