// SPDX-License-Identifier: BSD-2-Clause
// refcount_test.cc - every scheme keeps the contract of lib/ref/scheme.h.
#include <gtest/gtest.h>

#include <array>
#include <latch>
#include <thread>
#include <vector>

#include "lib/ref/intrusive.h"
#include "lib/ref/scheme.h"
#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

// A new scheme joins the suite by adding its name here.
using Schemes = ::testing::Types<ref::Intrusive>;

template <class S>
struct SchemeTest : ::testing::Test {
    typename S::Control control;
};
TYPED_TEST_SUITE(SchemeTest, Schemes);

TYPED_TEST(SchemeTest, OnlyTheLastReleaseFrees) {
    uint32_t a = 0, b = 0, c = 0;
    ASSERT_EQ(TypeParam::share(this->control, a, b), 0);
    ASSERT_EQ(TypeParam::share(this->control, b, c), 0);
    EXPECT_FALSE(TypeParam::release(this->control, a));
    EXPECT_FALSE(TypeParam::release(this->control, c));
    EXPECT_TRUE(TypeParam::release(this->control, b));
    EXPECT_TRUE(TypeParam::audit(this->control, 0)) << "R4: dead, ready for its zone";
}

TYPED_TEST(SchemeTest, AViewThatWasNeverSharedIsAlone) {
    EXPECT_TRUE(TypeParam::exclusive(this->control, 0));
    EXPECT_TRUE(TypeParam::release(this->control, 0));
}

TYPED_TEST(SchemeTest, TheLastHolderIsExclusiveAgain) {
    uint32_t a = 0, b = 0;
    ASSERT_EQ(TypeParam::share(this->control, a, b), 0);
    EXPECT_FALSE(TypeParam::exclusive(this->control, a));
    EXPECT_FALSE(TypeParam::exclusive(this->control, b));
    EXPECT_FALSE(TypeParam::release(this->control, a));
    EXPECT_TRUE(TypeParam::exclusive(this->control, b));
    EXPECT_TRUE(TypeParam::release(this->control, b));
}

TYPED_TEST(SchemeTest, AGroupIsEmptyExactlyBeforeItsFirstJoinAndAfterItsLastLeave) {
    uint32_t a = 0, b = 0, c = 0;
    EXPECT_TRUE(TypeParam::join(this->control, a));
    EXPECT_FALSE(TypeParam::join(this->control, b));
    ASSERT_EQ(TypeParam::share(this->control, b, c), 0);
    EXPECT_FALSE(TypeParam::leave(this->control, a));
    EXPECT_FALSE(TypeParam::leave(this->control, b));
    EXPECT_TRUE(TypeParam::leave(this->control, c));
    EXPECT_TRUE(TypeParam::join(this->control, a));
    EXPECT_TRUE(TypeParam::leave(this->control, a));
}

TYPED_TEST(SchemeTest, AZeroRequestOfAnyHolderReachesTheLast) {
    uint32_t a = 0, b = 0;
    ASSERT_EQ(TypeParam::share(this->control, a, b), 0);
    TypeParam::zeroize(this->control, a);
    EXPECT_FALSE(TypeParam::release(this->control, a));
    EXPECT_TRUE(TypeParam::release(this->control, b));
    EXPECT_TRUE(TypeParam::zero_wanted(this->control));
    EXPECT_FALSE(TypeParam::zero_wanted(this->control)) << "asked once, done once";
}

TYPED_TEST(SchemeTest, SeventyThousandHoldersAreCountedExactly) {
    uint32_t first = 0;
    std::vector<uint32_t> views(70000);
    for (uint32_t& v : views) ASSERT_EQ(TypeParam::share(this->control, first, v), 0);
    for (const uint32_t v : views) ASSERT_FALSE(TypeParam::release(this->control, v));
    EXPECT_TRUE(TypeParam::release(this->control, first));
}

// Goal: of N racing holders exactly one frees, and it sees what all of them wrote (R2).
// Method: release them together, many rounds, plain payload.
TYPED_TEST(SchemeTest, ExactlyOneRacingHolderFreesAndSeesEveryWrite) {
    constexpr uint32_t kHolders = 4;
    for (int round = 0; round < 200; ++round) {
        typename TypeParam::Control shared;
        std::array<uint32_t, kHolders> views{};
        for (uint32_t i = 1; i < kHolders; ++i)
            ASSERT_EQ(TypeParam::share(shared, views[0], views[i]), 0);
        std::array<uint32_t, kHolders> payload{};
        sync::Counter frees;
        std::latch start(kHolders);
        std::vector<std::thread> holders;
        for (uint32_t i = 0; i < kHolders; ++i)
            holders.emplace_back([&, i] {
                start.arrive_and_wait();
                payload[i] = i + 1;
                if (!TypeParam::release(shared, views[i])) return;
                frees.add_shared(1);
                for (uint32_t j = 0; j < kHolders; ++j) EXPECT_EQ(payload[j], j + 1);
            });
        for (std::thread& t : holders) t.join();
        ASSERT_EQ(frees.read(), 1U) << "round " << round;
    }
}

TEST(IntrusiveCount, SaturatesToALeakAndNeverWraps) {
    ref::Intrusive::Control control;
    uint32_t a = 0, b = 0, c = 0;
    ASSERT_EQ(ref::Intrusive::share(control, a, b), 0);
    control.count.store(ref::Intrusive::kSaturated, sync::relaxed);
    ASSERT_EQ(ref::Intrusive::share(control, a, c), 0);
    for (const uint32_t view : {a, b, c, a, b, c}) EXPECT_FALSE(ref::Intrusive::release(control, view));
    EXPECT_EQ(control.count.load(sync::relaxed), ref::Intrusive::kSaturated);
}

TEST(IntrusiveCountDeath, OverReleaseDiesWithADiagnosis) {
    ref::Intrusive::Control control;
    uint32_t a = 0, b = 0;
    ASSERT_EQ(ref::Intrusive::share(control, a, b), 0);
    EXPECT_FALSE(ref::Intrusive::release(control, a));
    EXPECT_TRUE(ref::Intrusive::release(control, b));
    EXPECT_DEATH((void)ref::Intrusive::release(control, b), "release of a dead reference");
}

TEST(IntrusiveCountDeath, ShareOfADeadReferenceDiesWithADiagnosis) {
    ref::Intrusive::Control control;
    uint32_t dead = 1, copy = 0;
    EXPECT_DEATH((void)ref::Intrusive::share(control, dead, copy), "share of a dead reference");
}

}  // namespace
}  // namespace umbuf::test
