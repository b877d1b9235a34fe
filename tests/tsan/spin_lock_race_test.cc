// SPDX-License-Identifier: BSD-2-Clause
// spin_lock_race_test.cc - sync::SpinLock under real threads and ThreadSanitizer.
//
// Goal: one holder at a time, who sees what the one before wrote. Method: plain memory under the lock;
// without the order of lock() and unlock() the sanitizer reports each access as a race.
#include <gtest/gtest.h>

#include <latch>
#include <thread>
#include <vector>

#include "lib/base/sync.h"

namespace {

TEST(SpinLockRace, OneHolderAtATimeSeesTheLastOnesWrites) {
    constexpr uint32_t kHolders = 3;
    constexpr uint32_t kRounds = 5000;
    umbuf::sync::SpinLock lock;
    uint32_t count = 0;  // plain on purpose
    std::latch start(kHolders);
    std::vector<std::jthread> holders;
    for (uint32_t i = 0; i < kHolders; ++i)
        holders.emplace_back([&] {
            start.arrive_and_wait();
            for (uint32_t round = 0; round < kRounds; ++round) {
                lock.lock();
                ++count;
                lock.unlock();
            }
        });
    holders.clear();  // joins
    EXPECT_EQ(count, kHolders * kRounds);
}

}  // namespace
