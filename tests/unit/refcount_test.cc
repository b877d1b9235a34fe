// SPDX-License-Identifier: BSD-2-Clause
// refcount_test.cc - every scheme keeps the contract of lib/ref/scheme.h: one thread, exact counts.
// Races are the models' and the sanitizer's (tests/model, tests/tsan).
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <vector>

#include "tests/unit/fixture.h"
#include "tests/unit/scheme_holders.h"

namespace umbuf::test {
namespace {

template <class S>
struct SchemeTest : ::testing::Test {
    using View = typename S::View;
    Storage<S> storage;
    int proxies_before = HeapPool::out.load();
    void TearDown() override { EXPECT_EQ(HeapPool::out.load(), proxies_before) << "a proxy was kept"; }
};
TYPED_TEST_SUITE(SchemeTest, AllSchemes);

TYPED_TEST(SchemeTest, OnlyTheLastReleaseFreesInAnyOrder) {
    std::array<int, 3> order{0, 1, 2};
    do {
        Storage<TypeParam> held;
        auto& a = held.fresh();
        auto& b = held.share(a);
        auto& c = held.share(b);
        std::array views{&a, &b, &c};
        held.let_go(*views[static_cast<size_t>(order[0])]);
        held.let_go(*views[static_cast<size_t>(order[1])]);
        EXPECT_EQ(held.frees, 0U);
        held.let_go(*views[static_cast<size_t>(order[2])]);
        EXPECT_EQ(held.frees, 1U) << order[0] << order[1] << order[2];
        EXPECT_EQ(held.zeroed, 0U);
        for (auto* view : views) EXPECT_EQ(held.bits(*view), 0U) << "ready for the next use";
    } while (std::next_permutation(order.begin(), order.end()));
}

TYPED_TEST(SchemeTest, TheControlIsReadyForTheNextUserAfterTheLast) {
    for (int use = 0; use < 3; ++use) {
        auto& a = this->storage.fresh();
        auto& b = this->storage.share(a);
        this->storage.let_go(a, true);
        this->storage.let_go(b);
    }
    EXPECT_EQ(this->storage.frees, 3U);
    EXPECT_EQ(this->storage.zeroed, 3U);
    auto& a = this->storage.fresh();
    auto& b = this->storage.share(a);
    this->storage.let_go(b);
    this->storage.let_go(a);
    EXPECT_EQ(this->storage.zeroed, 3U) << "asked once, told once";
}

TYPED_TEST(SchemeTest, TheLastHolderIsExclusiveAgain) {
    auto& a = this->storage.fresh();
    auto& b = this->storage.share(a);
    EXPECT_FALSE(this->storage.alone(a));
    EXPECT_FALSE(this->storage.alone(b));
    this->storage.let_go(a);
    EXPECT_TRUE(this->storage.alone(b));
    auto& c = this->storage.share(b);  // and may share again
    EXPECT_FALSE(this->storage.alone(b));
    this->storage.let_go(b);
    EXPECT_TRUE(this->storage.alone(c));
    this->storage.let_go(c);
    EXPECT_EQ(this->storage.frees, 1U);
}

TYPED_TEST(SchemeTest, AZeroRequestOfAnyHolderReachesTheLast) {
    for (const size_t asker : {0U, 1U, 2U}) {
        Storage<TypeParam> held;
        auto& a = held.fresh();
        std::array views{&a, &held.share(a), &held.share(a)};
        held.let_go(*views[asker], true);
        for (size_t i = 0; i < 3; ++i)
            if (i != asker) held.let_go(*views[i]);
        EXPECT_EQ(held.frees, 1U);
        EXPECT_EQ(held.zeroed, 1U) << "asker " << asker;
    }
}

TYPED_TEST(SchemeTest, WhoIsAloneAgainLearnsOfAZeroRequest) {
    auto& a = this->storage.fresh();
    auto& b = this->storage.share(a);
    this->storage.let_go(b, true);
    bool zero = false;
    EXPECT_TRUE(this->storage.alone(a, &zero));
    EXPECT_TRUE(zero) << "R6";
    this->storage.let_go(a, zero);
    EXPECT_EQ(this->storage.zeroed, 1U);
}

TYPED_TEST(SchemeTest, AGroupIsEmptyExactlyBeforeItsFirstJoinAndAfterItsLastLeave) {
    for (int round = 0; round < 2; ++round) {
        auto &a = this->storage.fresh(), &b = this->storage.fresh(), &c = this->storage.fresh();
        EXPECT_TRUE(this->storage.join(a));
        EXPECT_TRUE(TypeParam::sole_member(this->storage.control, a, nullptr));
        EXPECT_FALSE(this->storage.join(b));
        EXPECT_FALSE(TypeParam::sole_member(this->storage.control, a, nullptr));
        ASSERT_EQ(TypeParam::share_member(this->storage.control, b, c, nullptr), 0);
        this->storage.leave(a);
        this->storage.leave(b, true);
        EXPECT_EQ(this->storage.frees, static_cast<uint32_t>(round));
        this->storage.leave(c);
        EXPECT_EQ(this->storage.frees, static_cast<uint32_t>(round + 1));
    }
    EXPECT_EQ(this->storage.zeroed, 2U);
}

TYPED_TEST(SchemeTest, SeventyThousandHoldersAreCountedExactly) {
    auto& first = this->storage.fresh();
    std::vector<typename TypeParam::View*> views;
    int refused = 0;
    for (int i = 0; i < 70000 && refused == 0; ++i) {
        auto& copy = this->storage.fresh();
        refused = this->storage.share(first, copy);
        if (refused == 0) views.push_back(&copy);
    }
    if constexpr (std::same_as<TypeParam, ref::Native>) {
        EXPECT_EQ(refused, ENOBUFS) << "16 bits: refused in time";
        EXPECT_EQ(views.size(), size_t{ref::Native::kMost} - 1);
    } else {
        EXPECT_EQ(refused, 0);
    }
    for (auto* v : views) this->storage.let_go(*v);
    EXPECT_EQ(this->storage.frees, 0U);
    this->storage.let_go(first);
    EXPECT_EQ(this->storage.frees, 1U);
}

// Requests are counted nowhere: 65,536 of them are not none.
TYPED_TEST(SchemeTest, AsManyRequestsAsHoldersAreOne) {
    constexpr size_t kRequests = std::same_as<TypeParam, ref::Native> ? 60000 : 65536;
    auto& first = this->storage.fresh();
    std::vector<typename TypeParam::View*> views;
    for (size_t i = 0; i < kRequests; ++i) views.push_back(&this->storage.share(first));
    for (auto* v : views) this->storage.let_go(*v, true);
    this->storage.let_go(first);
    EXPECT_EQ(this->storage.frees, 1U);
    EXPECT_EQ(this->storage.zeroed, 1U);
}

// Copies of copies of copies: no depth at which a view cannot be shared on.
TYPED_TEST(SchemeTest, ALongLineOfCopiesEndsInOneFree) {
    auto* view = &this->storage.fresh();
    std::vector<typename TypeParam::View*> views{view};
    for (int i = 0; i < 3000; ++i) views.push_back(view = &this->storage.share(*view));
    std::mt19937_64 random(seed());
    std::shuffle(views.begin(), views.end(), random);
    for (auto* v : views) {
        EXPECT_EQ(this->storage.frees, 0U);
        this->storage.let_go(*v);
    }
    EXPECT_EQ(this->storage.frees, 1U);
}

// (W), and its like in the other schemes: at every moment the views add up to what is outstanding.
TYPED_TEST(SchemeTest, TheViewsAddUpAtEveryMomentOfARandomTrace) {
    std::mt19937_64 random(seed());
    std::vector<typename TypeParam::View*> live{&this->storage.fresh()};
    for (int step = 0; step < 4000; ++step) {
        if (live.size() < 2 || random() % 2 == 0) {
            live.push_back(&this->storage.share(*live[random() % live.size()]));
        } else {
            // Not the leader, which is the first: it stays pinned, and would count as gone.
            const size_t i = 1 + random() % (live.size() - 1);
            this->storage.let_go(*live[i]);
            live[i] = live.back();
            live.pop_back();
        }
        uint64_t sum = 0, outstanding = 0;
        for (const auto* v : live) {
            if (this->storage.bits(*v) == 0) continue;
            const ref::Account a = TypeParam::account(this->storage.control, *v);
            sum += a.weight;
            outstanding = a.outstanding;
        }
        ASSERT_EQ(sum, outstanding) << "step " << step;
    }
    for (size_t i = live.size(); i-- > 0;) this->storage.let_go(*live[i]);
    EXPECT_EQ(this->storage.frees, 1U);
}

TYPED_TEST(SchemeTest, WhatIsReleasedTwiceDiesWithADiagnosis) {
    auto& a = this->storage.fresh();
    auto& b = this->storage.share(a);
    auto& c = this->storage.share(a);
    const uint64_t was = arena.views[index_of(b)];
    this->storage.end(b, false);
    if constexpr (kLeads<TypeParam>) this->storage.end(c, false);
    EXPECT_DEATH(
        {
            arena.views[index_of(b)] = was;  // a raw copy of a view, freed by each of its owners
            this->storage.end(b, false);
            this->storage.end(c, false);
            this->storage.end(a, false);
            arena.views[index_of(c)] = was;
            this->storage.end(c, false);
        },
        "R1|dropped before|heap-use-after-free");  // AddressSanitizer is there first, of a proxy
    if constexpr (!kLeads<TypeParam>) this->storage.let_go(c);
    this->storage.let_go(a);
}

TEST(CountTest, SaturatesToALeakAndNeverWraps) {
    const uint64_t stuck = ref::stuck.read();
    Storage<ref::Intrusive> storage;
    auto& a = storage.fresh();
    auto& b = storage.share(a);
    storage.control.n.store(ref::Intrusive::Control::kSaturated - 1, sync::relaxed);
    auto& c = storage.share(a);
    EXPECT_EQ(ref::stuck.read(), stuck + 1) << "counted once";
    auto& d = storage.share(a);
    for (auto* view : {&a, &b, &c, &d}) storage.let_go(*view);
    EXPECT_EQ(storage.frees, 0U);
    EXPECT_EQ(storage.control.n.load(sync::relaxed), ref::Intrusive::Control::kParked);
    EXPECT_EQ(ref::stuck.read(), stuck + 1);
}

TEST(WeightedTest, SaturatesToALeakAndNeverWraps) {
    using S = ref::Weighted<>;
    const uint64_t stuck = ref::stuck.read();
    Storage<S> storage;
    auto& a = storage.fresh();
    auto& b = storage.share(a);
    storage.control.word.store(S::kStuck - S::kGrant, sync::relaxed);
    arena.views[index_of(a)] = 1;  // must refill
    auto& c = storage.share(a);
    EXPECT_EQ(ref::stuck.read(), stuck + 1);
    for (auto* view : {&a, &b, &c}) storage.let_go(*view);
    EXPECT_EQ(storage.frees, 0U);
    EXPECT_EQ(storage.control.word.load(sync::relaxed) & ref::kWeightMask, S::kParked);
}

TEST(WeightedTest, AShareTouchesNoSharedMemory) {
    using S = ref::Weighted<>;
    Storage<S> storage;
    auto& a = storage.fresh();
    auto* view = &storage.share(a);
    const uint64_t word = storage.control.word.load(sync::relaxed);
    std::vector<S::View*> views{&a, view};
    for (int i = 0; i < 30000; ++i) views.push_back(&storage.share(a));
    EXPECT_EQ(storage.control.word.load(sync::relaxed), word);
    for (auto* v : views) storage.let_go(*v);
    EXPECT_EQ(storage.frees, 1U);
}

TEST(WeightedTest, ReleasesHeldBackAreGivenInOneAndOnlyDelayAFree) {
    using S = ref::Weighted<>;
    S::Merge merge;
    Storage<S> storage;
    storage.merge = &merge;
    auto& a = storage.fresh();
    auto &b = storage.share(a), &c = storage.share(a);
    const uint64_t word = storage.control.word.load(sync::relaxed);
    storage.let_go(b, true);
    storage.let_go(c);
    storage.let_go(a);
    EXPECT_EQ(storage.control.word.load(sync::relaxed), word) << "held back";
    EXPECT_EQ(storage.frees, 0U);
    S::flush(merge, [&](S::Control& control, bool zero) { storage.freed(control, zero); });
    EXPECT_EQ(storage.frees, 1U);
    EXPECT_EQ(storage.zeroed, 1U);
    EXPECT_TRUE(merge.empty());
}

TEST(WeightedTest, WhoIsAloneButForWhatHeHoldsBackIsAlone) {
    using S = ref::Weighted<>;
    S::Merge merge;
    Storage<S> storage;
    storage.merge = &merge;
    auto& a = storage.fresh();
    auto& b = storage.share(a);
    storage.let_go(b, true);
    bool zero = false;
    EXPECT_TRUE(storage.alone(a, &zero));
    EXPECT_TRUE(zero);
    EXPECT_TRUE(merge.empty());
    storage.let_go(a, zero);
    EXPECT_EQ(storage.frees, 1U);
}

TEST(WeightedTest, WhatIsHeldBackIsBounded) {
    using S = ref::Weighted<>;
    S::Merge merge;
    std::vector<std::unique_ptr<Storage<S>>> storages;
    for (int i = 0; i < 1000; ++i) {
        auto& s = *storages.emplace_back(std::make_unique<Storage<S>>());
        s.merge = &merge;
        auto& a = s.fresh();
        auto& b = s.share(a);
        // What another storage's entry gives way to is told through this one's release.
        const auto last = [&](S::Control& control, bool) {
            for (auto& each : storages)
                if (&each->control == &control) each->frees.fetch_add(1);
        };
        S::release(s.control, a, false, &merge, last);
        S::release(s.control, b, false, &merge, last);
        uint32_t held = 0, freed = 0;
        merge.cached([&](const S::Control&, uint64_t) { ++held; });
        for (auto& each : storages) freed += each->frees;
        ASSERT_LE(held, S::Merge::kEntries);
        ASSERT_EQ(freed + held, storages.size()) << "what is not held back is free";
    }
    S::flush(merge, [](S::Control&, bool) {});
}

// A last() runs the owner's code: it frees other packets, asks whether it is alone, and may flush.
struct HeldBack : ::testing::Test {
    using S = ref::Weighted<>;
    S::Merge merge;
    std::array<Storage<S>, 8> storages;
    std::array<uint32_t, 8> frees{};
    uint32_t all = 0;

    void count(const S::Control& control) {
        ++all;
        for (size_t i = 0; i < storages.size(); ++i) frees[i] += &storages[i].control == &control ? 1U : 0U;
    }
    void hold_back(size_t i) {
        const auto last = [this](S::Control& control, bool) { count(control); };
        auto& a = storages[i].fresh();
        auto& b = storages[i].share(a);
        S::release(storages[i].control, a, false, &merge, last);
        S::release(storages[i].control, b, false, &merge, last);
    }
    void TearDown() override {
        EXPECT_TRUE(merge.empty());
        for (const uint32_t n : frees) EXPECT_EQ(n, 1U);
    }
};

TEST_F(HeldBack, WhatTheLastOfThemLetsGoIsGivenByTheSameFlush) {
    for (size_t i = 0; i < 7; ++i) hold_back(i);
    S::flush(merge, [&](S::Control& control, bool) {
        count(control);
        if (all == 7) hold_back(7);
    });
}

TEST_F(HeldBack, AFlushMayRunInsideAFlush) {
    for (size_t i = 0; i < 8; ++i) hold_back(i);
    S::flush(merge, [&](S::Control& control, bool) {
        count(control);
        S::flush(merge, [&](S::Control& other, bool) { count(other); });
    });
}

TEST(ProxyTest, TheFirstShareFailsWithoutAProxyAndChangesNothing) {
    using S = ref::Proxy<HeapPool>;
    Storage<S> storage;
    auto &a = storage.fresh(), &b = storage.fresh();
    HeapPool::empty = true;
    EXPECT_EQ(storage.share(a, b), ENOBUFS);
    HeapPool::empty = false;
    EXPECT_EQ(storage.bits(a), 0U) << "R8";
    EXPECT_EQ(storage.bits(b), 0U);
    storage.let_go(a);
    EXPECT_EQ(storage.frees, 1U);
}

TEST(ProxyTest, OnlyTheBetterOneGivesItsProxyBackWhenAlone) {
    const int before = HeapPool::out.load();
    Storage<ref::Proxy<HeapPool>> plain;
    auto& a = plain.fresh();
    plain.let_go(plain.share(a));
    EXPECT_TRUE(plain.alone(a));
    EXPECT_EQ(HeapPool::out.load(), before + 1) << "once proxied, always proxied";
    plain.let_go(a);
    Storage<ref::ProxyPlus<HeapPool>> plus;
    auto& b = plus.fresh();
    plus.let_go(plus.share(b));
    EXPECT_TRUE(plus.alone(b));
    EXPECT_EQ(HeapPool::out.load(), before);
    plus.let_go(b);
}

TEST(LeaderTest, ALeaderThatTakesOtherStorageLeavesTheOldOneToItsFollowers) {
    using S = ref::Leader<ArenaPins>;
    Storage<S> old;
    auto& leader = old.fresh();
    auto& follower = old.share(leader);
    S::detach(old.control, leader, false, nullptr, [&](S::Control& c, bool z) { old.freed(c, z); });
    EXPECT_EQ(old.frees, 0U);
    auto& copy = old.fresh();
    EXPECT_EQ(S::share(old.control, leader, copy, nullptr), ENOBUFS) << "it still houses the old count";
    EXPECT_TRUE(old.alone(follower)) << "the leader cannot write it any more";
    old.let_go(follower);
    EXPECT_EQ(old.frees, 1U);
    EXPECT_EQ(old.bits(leader), 0U) << "free to share its new storage";
    EXPECT_EQ(arena.pins[index_of(leader)], 1U);
}

TEST(LeaderTest, StorageThatALeaderTakesMeanwhileIsItsOwnToLetGo) {
    using S = ref::Leader<ArenaPins>;
    Storage<S> old, next;
    auto& leader = old.fresh();
    auto& follower = old.share(leader);
    S::detach(old.control, leader, false, nullptr, [&](S::Control& c, bool z) { old.freed(c, z); });
    EXPECT_EQ(S::exclusive(next.control, leader, nullptr), ref::Alone::yes);
    S::detach(next.control, leader, true, nullptr, [&](S::Control& c, bool z) { next.freed(c, z); });
    EXPECT_EQ(next.frees, 1U);
    EXPECT_EQ(next.zeroed, 1U);
    EXPECT_EQ(old.frees, 0U);
    old.let_go(follower);
    EXPECT_EQ(old.frees, 1U);
    EXPECT_EQ(old.zeroed, 0U);
}

TEST(LeaderTest, ADeadLeaderStaysUntilItsLastFollowerGoes) {
    using S = ref::Leader<ArenaPins>;
    Storage<S> storage;
    auto& leader = storage.fresh();
    auto& follower = storage.share(leader);
    const uint32_t unpinned = arena.unpinned;
    storage.let_go(leader);
    EXPECT_EQ(storage.frees, 0U);
    EXPECT_TRUE(storage.alone(follower));
    storage.let_go(follower);
    EXPECT_EQ(storage.frees, 1U);
    EXPECT_EQ(arena.unpinned, unpinned + 1);
}

}  // namespace
}  // namespace umbuf::test
