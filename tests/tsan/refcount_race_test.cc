// SPDX-License-Identifier: BSD-2-Clause
// refcount_race_test.cc - ref::Intrusive under real threads and ThreadSanitizer.
//
// The models (tests/model) explore few holders completely; here many holders run for real, compiled
// as they ship. Plain memory stands for the storage: an access that the count does not order is a
// data race, and the sanitizer fails the test. Threads start together at a latch, many rounds.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "lib/ref/intrusive.h"

namespace {

using umbuf::ref::Intrusive;

constexpr uint32_t kHolders = 4;
constexpr int kRounds = 300;

struct Storage {
    Intrusive::Control control;
    std::array<uint32_t, kHolders> touched{};  // plain on purpose
    std::atomic<uint32_t> frees{0};            // the test's own books, relaxed: they order nothing
    std::atomic<uint32_t> pins{0};

    void freed() {
        frees.fetch_add(1, std::memory_order_relaxed);
        touched.fill(0);  // what the next user does: races with any access not yet finished
    }
    void let_go(uint32_t weight) {
        if (Intrusive::release(control, weight)) freed();
    }
    void enter(uint32_t& weight) {
        if (Intrusive::join(control, weight)) pins.fetch_add(1, std::memory_order_relaxed);
    }
    void unpin() {
        if (pins.fetch_sub(1, std::memory_order_acq_rel) == 1) freed();
    }
    void leave(uint32_t weight) {
        if (Intrusive::leave(control, weight)) unpin();
    }
};

// together - run body(0..kHolders-1) on that many threads, released at once; returns when all ended.
template <class Body>
void together(const Body& body) {
    std::latch start(kHolders);
    std::vector<std::jthread> threads;
    for (uint32_t i = 0; i < kHolders; ++i)
        threads.emplace_back([&, i] {
            start.arrive_and_wait();
            body(i);
        });
}

// share_out - one view per holder, all made from one that was never shared.
std::array<uint32_t, kHolders> share_out(Storage& storage) {
    std::array<uint32_t, kHolders> weight{};
    for (uint32_t i = 1; i < kHolders; ++i)
        EXPECT_EQ(Intrusive::share(storage.control, weight[0], weight[i]), 0);
    return weight;
}

TEST(IntrusiveRace, ExactlyOneHolderFreesAndSeesEveryWrite) {
    for (int round = 0; round < kRounds; ++round) {
        Storage storage;
        const auto weight = share_out(storage);
        together([&](uint32_t i) {
            storage.touched[i] = i + 1;
            if (!Intrusive::release(storage.control, weight[i])) return;
            for (uint32_t j = 0; j < kHolders; ++j) EXPECT_EQ(storage.touched[j], j + 1);
            storage.freed();
        });
        ASSERT_EQ(storage.frees, 1u) << "round " << round;
        ASSERT_TRUE(Intrusive::audit(storage.control, 0)) << "round " << round;
    }
}

// Each holder makes and drops copies all the time, and writes whenever it finds itself alone.
TEST(IntrusiveRace, WhoFindsItselfAloneWritesUndisturbed) {
    for (int round = 0; round < kRounds; ++round) {
        Storage storage;
        auto weight = share_out(storage);
        together([&](uint32_t i) {
            for (int n = 0; n < 16; ++n) {
                uint32_t copy = 0;
                ASSERT_EQ(Intrusive::share(storage.control, weight[i], copy), 0);
                ASSERT_EQ(storage.touched[0], 0u);  // ours twice: nobody writes
                storage.let_go(copy);
            }
            if (Intrusive::exclusive(storage.control, weight[i])) storage.touched[0] = 1;
            storage.let_go(weight[i]);
        });
        ASSERT_EQ(storage.frees, 1u) << "round " << round;
        ASSERT_TRUE(Intrusive::audit(storage.control, 0)) << "round " << round;
    }
}

TEST(IntrusiveRace, TheLastReleaseSeesEveryZeroRequest) {
    for (int round = 0; round < kRounds; ++round) {
        Storage storage;
        auto weight = share_out(storage);
        std::atomic<uint32_t> zeroed{0};
        together([&](uint32_t i) {
            if (i % 2 == 0) Intrusive::zeroize(storage.control, weight[i]);
            if (!Intrusive::release(storage.control, weight[i])) return;
            zeroed = Intrusive::zero_wanted(storage.control) ? 1 : 0;
            storage.freed();
        });
        ASSERT_EQ(zeroed, 1u) << "round " << round;
        ASSERT_FALSE(Intrusive::zero_wanted(storage.control));
    }
}

// Holder 0 is the header that pins its own cluster: it makes members while the others leave, and is
// freed in the middle, as a driver does it. The pins end at 0 and the storage is freed once.
TEST(IntrusiveRace, APinningOwnerMayJoinWhileTheLastMemberLeaves) {
    for (int round = 0; round < kRounds; ++round) {
        Storage storage;
        storage.pins = 1;
        std::array<uint32_t, kHolders> weight{};
        for (uint32_t i = 1; i < kHolders; ++i) storage.enter(weight[i]);
        together([&](uint32_t i) {
            storage.touched[i] = 1;
            if (i != 0) return storage.leave(weight[i]);
            for (int n = 0; n < 16; ++n) {
                uint32_t copy = 0;
                storage.enter(copy);
                storage.leave(copy);
            }
            uint32_t last = 0;
            storage.enter(last);
            storage.unpin();
            storage.leave(last);
        });
        ASSERT_EQ(storage.frees, 1u) << "round " << round;
        ASSERT_EQ(storage.pins, 0u) << "round " << round;
        ASSERT_TRUE(Intrusive::audit(storage.control, 0)) << "round " << round;
    }
}

}  // namespace
