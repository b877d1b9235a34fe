// SPDX-License-Identifier: BSD-2-Clause
// refcount_race_test.cc - every scheme under real threads and ThreadSanitizer.
//
// The models (tests/model) explore few holders completely; here more of them run for real, compiled
// as they ship, with the spin lock (spin_lock_race_test.cc). Plain memory stands for the storage: an
// access that the scheme does not order is a data race, and the sanitizer fails the test. Threads
// start together at a latch, many rounds.
#include <gtest/gtest.h>

#include <array>
#include <latch>
#include <thread>
#include <vector>

#include "tests/unit/scheme_holders.h"

namespace umbuf::test {
namespace {

constexpr uint32_t kHolders = 4;
constexpr int kRounds = 200;
constexpr auto relaxed = std::memory_order_relaxed;

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

// Held - storage with one view per holder, all made from view 0, and bytes that each of them writes.
template <class S>
struct Held : Storage<S> {
    using View = typename S::View;
    std::array<View*, kHolders> view{};
    std::array<uint32_t, kHolders> touched{};  // plain on purpose

    Held() {
        // What the next user does: it races with any access not yet finished.
        this->on_free = [this](bool) { touched.fill(0); };
    }
    void share_out() {
        view[0] = &this->fresh();
        for (uint32_t i = 1; i < kHolders; ++i) view[i] = &this->share(*view[0]);
    }
    [[nodiscard]] bool over() const {
        uint64_t bits = 0;
        for (const View* v : view) bits |= v == nullptr ? 0 : this->bits(*v);
        return this->frees == 1 && bits == 0;
    }
};

template <class S>
struct SchemeRace : ::testing::Test {};
TYPED_TEST_SUITE(SchemeRace, AllSchemes);

TYPED_TEST(SchemeRace, ExactlyOneHolderFreesAndSeesEveryWrite) {
    for (int round = 0; round < kRounds; ++round) {
        Held<TypeParam> held;
        held.share_out();
        held.on_free = [&](bool) {
            for (uint32_t i = 0; i < kHolders; ++i) EXPECT_EQ(held.touched[i], i + 1);
            held.touched.fill(0);
        };
        together([&](uint32_t i) {
            held.touched[i] = i + 1;
            held.let_go(*held.view[i]);
        });
        ASSERT_TRUE(held.over()) << "round " << round;
    }
}

// Each holder makes and drops copies all the time, and writes whenever it finds itself alone.
TYPED_TEST(SchemeRace, WhoFindsItselfAloneWritesUndisturbed) {
    for (int round = 0; round < kRounds; ++round) {
        Held<TypeParam> held;
        held.share_out();
        std::array<std::array<typename TypeParam::View*, 8>, kHolders> copies;
        for (auto& each : copies)
            for (auto*& copy : each) copy = &held.fresh();
        uint32_t written = 0;  // plain on purpose
        together([&](uint32_t i) {
            for (auto* copy : copies[i]) {
                ASSERT_EQ(held.share(*held.view[i], *copy), 0);
                ASSERT_EQ(written, 0U);  // ours twice: nobody writes
                held.let_go(*copy);
            }
            if (held.alone(*held.view[i])) written = 1;
            held.let_go(*held.view[i]);
        });
        ASSERT_TRUE(held.over()) << "round " << round;
    }
}

TYPED_TEST(SchemeRace, TheLastReleaseSeesEveryZeroRequest) {
    for (int round = 0; round < kRounds; ++round) {
        Held<TypeParam> held;
        held.share_out();
        together([&](uint32_t i) { held.let_go(*held.view[i], i % 2 == 0); });
        ASSERT_TRUE(held.over()) << "round " << round;
        ASSERT_EQ(held.zeroed, 1U) << "round " << round;
    }
}

// Holder 0 is the header that pins its own cluster: it makes members while the others leave, and is
// freed in the middle, as a driver does it. The pins end at 0 and the storage is freed once.
TYPED_TEST(SchemeRace, APinningOwnerMayJoinWhileTheLastMemberLeaves) {
    using S = TypeParam;
    for (int round = 0; round < kRounds; ++round) {
        Held<S> held;
        std::atomic<uint32_t> pins{1};
        const auto unpin = [&] {
            if (pins.fetch_sub(1, std::memory_order_acq_rel) == 1) held.freed(held.control, false);
        };
        const auto enter = [&](auto& view) {
            bool first = false;
            ASSERT_EQ(S::join(held.control, view, first), 0);
            if (first) pins.fetch_add(1, relaxed);
        };
        const auto leave = [&](auto& view, bool zero) {
            S::leave(held.control, view, zero, nullptr, [&](typename S::Control&, bool) { unpin(); });
        };
        for (auto*& view : held.view) view = &held.fresh();
        for (uint32_t i = 1; i < kHolders; ++i) enter(*held.view[i]);
        together([&](uint32_t i) {
            held.touched[i] = 1;
            if (i != 0) return leave(*held.view[i], i == 1);
            for (int n = 0; n < 8; ++n) {
                enter(*held.view[0]);
                leave(*held.view[0], n == 3);
            }
            enter(*held.view[0]);
            unpin();
            leave(*held.view[0], false);
        });
        ASSERT_EQ(pins, 0U) << "round " << round;
        ASSERT_TRUE(held.over()) << "round " << round;
    }
}

// Each thread holds its releases back, and gives them at its own time.
TEST(WeightedRace, WhatThreadsHoldBackEndsInOneFree) {
    using S = ref::Weighted<>;
    for (int round = 0; round < kRounds; ++round) {
        Held<S> held;
        held.share_out();
        std::array<std::array<S::View*, 4>, kHolders> copies;
        for (auto& each : copies)
            for (auto*& copy : each) copy = &held.fresh();
        std::array<S::Merge, kHolders> merge{};
        const auto last = [&](S::Control& c, bool zero) { held.freed(c, zero); };
        together([&](uint32_t i) {
            for (auto* copy : copies[i]) {
                ASSERT_EQ(S::share(held.control, *held.view[i], *copy, &merge[i]), 0);
                held.touched[i] = i;
                S::release(held.control, *copy, copy == copies[i][1], &merge[i], last);
            }
            S::release(held.control, *held.view[i], false, &merge[i], last);
            S::flush(merge[i], last);
        });
        ASSERT_TRUE(held.over()) << "round " << round;
        ASSERT_EQ(held.zeroed, 1U) << "round " << round;
    }
}

// The leader takes other storage while its followers leave: one of them all frees the old one.
TEST(LeaderRace, ALeaderDetachesWhileItsFollowersLeave) {
    using S = ref::Leader<ArenaPins>;
    for (int round = 0; round < kRounds; ++round) {
        Held<S> held;
        held.share_out();
        together([&](uint32_t i) {
            held.touched[i] = 1;
            if (i != 0) return held.let_go(*held.view[i]);
            S::detach(held.control, *held.view[0], true, nullptr,
                      [&](S::Control& c, bool zero) { held.freed(c, zero); });
        });
        ASSERT_TRUE(held.over()) << "round " << round;
        ASSERT_EQ(held.zeroed, 1U) << "round " << round;
        ASSERT_EQ(arena.pins[index_of(*held.view[0])], 1U) << "round " << round;
    }
}

}  // namespace
}  // namespace umbuf::test
