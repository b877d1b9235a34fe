// SPDX-License-Identifier: BSD-2-Clause
// interrupt_thread.cc - work for EAL's interrupt thread goes there as two alarms.
#include "drivers/net/interrupt_thread.h"

#include <condition_variable>
#include <ctime>
#include <mutex>

#include <rte_alarm.h>

namespace umbuf {

namespace {

constexpr uint64_t kLeastDelay = 1;  // microseconds; rte_eal_alarm_set() refuses 0

struct Job {
    const std::function<void()>& work;  // [I]
    std::mutex lock{};
    std::condition_variable ended{};
    bool done = false;  // [lock]

    bool wait_for(std::chrono::milliseconds patience) {
        std::unique_lock guard(lock);
        return ended.wait_for(guard, patience, [this] { return done; });
    }
    void wait() {
        std::unique_lock guard(lock);
        ended.wait(guard, [this] { return done; });
    }
};

void run(void* argument) {
    Job& job = *static_cast<Job*>(argument);
    job.work();
    // Notified under the lock: whoever waits owns the job, and ends it as soon as the lock is free.
    const std::scoped_lock guard(job.lock);
    job.done = true;
    job.ended.notify_one();
}

int64_t nanoseconds() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);  // the clock of EAL's alarms
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// One alarm is not enough: a handler that ran when it was set leaves its own alarm behind it. That
// one is before an alarm that is set now. EAL calls whatever is due in one pass, in the order of
// time, and looks at the clock after each: staying here until the second alarm is due leaves no gap
// between the two in which another handler could run.
void run_behind_the_handlers(void* argument) {
    if (rte_eal_alarm_set(kLeastDelay, run, argument) != 0) return run(argument);
    const int64_t due = nanoseconds() + 2000 * static_cast<int64_t>(kLeastDelay);
    while (nanoseconds() < due)
        continue;
}

}  // namespace

bool on_interrupt_thread(const std::function<void()>& work, std::chrono::milliseconds patience) {
    Job job{.work = work};
    if (rte_eal_alarm_set(kLeastDelay, run_behind_the_handlers, &job) != 0) return false;
    if (job.wait_for(patience)) return true;
    // Taken back, unless it has begun: then its end is near, or in the work's own hands.
    if (rte_eal_alarm_cancel(run_behind_the_handlers, &job) > 0) return false;
    job.wait();
    return true;
}

}  // namespace umbuf
