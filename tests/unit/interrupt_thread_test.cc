// SPDX-License-Identifier: BSD-2-Clause
// interrupt_thread_test.cc - what runs on EAL's interrupt thread meets no handler there.
//
// Alarms stand for interrupt handlers: EAL calls both on the same thread, one after the other.
#include <chrono>
#include <latch>
#include <thread>

#include <rte_alarm.h>

#include "drivers/net/interrupt_thread.h"
#include "lib/base/sync.h"
#include "tests/unit/fixture.h"

using namespace umbuf;
using std::chrono::milliseconds;

namespace {

// A handler in the manner of virtio-user's: it takes its time, and leaves the rest to an alarm.
struct Handler {
    std::latch entered{1};
    std::latch let_go{1};
    sync::atomic<bool> rest_done{false};

    static void run(void* argument) {
        Handler& self = *static_cast<Handler*>(argument);
        self.entered.count_down();
        self.let_go.wait();
        rte_eal_alarm_set(1, rest, argument);
    }
    static void rest(void* argument) {
        static_cast<Handler*>(argument)->rest_done.store(true, sync::release);
    }
    void begin() {
        ASSERT_EQ(rte_eal_alarm_set(1, run, this), 0);
        entered.wait();
    }
};

TEST(InterruptThread, TheWorkRunsOnceAndElsewhere) {
    std::thread::id there;
    int times = 0;
    const bool ran = on_interrupt_thread([&] {
        there = std::this_thread::get_id();
        ++times;
    });
    ASSERT_TRUE(ran);
    EXPECT_EQ(times, 1);
    EXPECT_NE(there, std::this_thread::get_id());
}

// I2. Goal: the alarm that a handler leaves behind while we wait is over when the work begins.
// Method: the handler is let go only when we have surely asked, so that its alarm is younger than
// ours.
TEST(InterruptThread, WhatAHandlerLeftToAnAlarmIsDoneBeforeTheWork) {
    for (int round = 0; round < 20; ++round) {
        Handler handler;
        handler.begin();
        std::jthread helper([&] {
            std::this_thread::sleep_for(
                milliseconds{2});  // only makes the order likely; both orders must hold
            handler.let_go.count_down();
        });
        bool rest_was_done = false;
        ASSERT_TRUE(
            on_interrupt_thread([&] { rest_was_done = handler.rest_done.load(sync::acquire); }));
        EXPECT_TRUE(rest_was_done) << "round " << round;
    }
}

TEST(InterruptThread, WorkThatWasRefusedNeverRuns) {
    Handler handler;
    handler.begin();
    bool ran = false;
    EXPECT_FALSE(on_interrupt_thread([&] { ran = true; }, milliseconds{10}));
    handler.let_go.count_down();
    bool later = false;
    ASSERT_TRUE(on_interrupt_thread([&] { later = true; }));  // whatever was before it is over
    EXPECT_TRUE(later);
    EXPECT_FALSE(ran);
}

}  // namespace
