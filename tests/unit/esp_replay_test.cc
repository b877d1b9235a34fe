// SPDX-License-Identifier: BSD-2-Clause
// esp_replay_test.cc - the replay window against a set of numbers that forgets nothing.
#include <gtest/gtest.h>

#include <random>
#include <unordered_set>

#include "lib/ipsec/replay.h"
#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

// What the RFC says, with no ring and no words: every number ever marked, and the largest.
struct ReplayOracle {
    uint32_t size;
    uint64_t top = 0;
    std::unordered_set<uint64_t> seen;
    [[nodiscard]] bool check(uint64_t seq) const {
        if (seq == 0) return false;
        if (seq > top) return true;
        return top - seq < size && seen.count(seq) == 0;
    }
    void mark(uint64_t seq) {
        seen.insert(seq);
        top = std::max(top, seq);
    }
};

// Both at once: they must agree about every number that is offered.
struct Both {
    ReplayWindow window;
    ReplayOracle oracle;
    explicit Both(uint32_t size) : window(size), oracle{size, 0, {}} {}
    void offer(uint64_t seq) {
        const bool fresh = oracle.check(seq);
        ASSERT_EQ(window.check(seq), fresh) << "number " << seq << ", top " << oracle.top << ", W " << oracle.size;
        if (!fresh) return;
        oracle.mark(seq);
        window.mark(seq);
    }
};

constexpr uint32_t kSizes[] = {32, 33, 63, 64, 65, 96, 127, 128, 129, 192, 256, 512, 1000, 1024, 4095, 4096};

TEST(EspReplay, EveryNumberIsAcceptedOnceAtEveryPhaseOfTheWindow) {
    for (const uint32_t size : kSizes) {
        Both both(size);
        // Every phase in three turns of the ring, and at each a look at all that is in the window and a bit more.
        for (uint64_t top = 1; top <= 3 * (size + 64); ++top) {
            both.offer(top);
            const uint64_t looks = size <= 256 || top % 61 == 0 ? size + 66 : 3;
            for (uint64_t back = 0; back < looks && back <= top; ++back)
                ASSERT_EQ(both.window.check(top - back), both.oracle.check(top - back))
                    << "W " << size << ", top " << top << ", " << back << " behind";
            if (HasFatalFailure()) return;
        }
    }
}

TEST(EspReplay, WhatWasSkippedIsTakenOnceAtEveryPhaseUntilItIsTooOld) {
    for (const uint32_t size : {32u, 64u, 65u, 128u, 256u})
        for (uint32_t phase = 0; phase < 64; ++phase)
            for (const uint32_t gap : {1u, 2u, 31u, 32u, 33u, 63u, 64u, 65u, size - 1, size, size + 1, 2 * size, 4 * size + 64}) {
                Both both(size);
                for (uint64_t seq = 1; seq <= 64 + phase; ++seq) both.offer(seq);
                both.offer(64 + phase + gap);
                for (uint64_t seq = 64 + phase + gap; seq > 0; --seq) both.offer(seq);
                for (uint64_t seq = 1; seq <= 64 + phase + gap + 1; ++seq) both.offer(seq);
                if (HasFatalFailure()) return;
            }
}

TEST(EspReplay, ARandomWalkWithJumpsAgreesWithTheOracle) {
    std::mt19937_64 random(seed());
    for (const uint32_t size : kSizes)
        for (const uint64_t start : {uint64_t{0}, (uint64_t{1} << 32) - 300, (uint64_t{7} << 32) - 100}) {
            Both both(size);
            if (start != 0) both.offer(start);
            for (int i = 0; i < 6000; ++i) {
                const uint64_t top = both.oracle.top;
                const uint64_t kind = random() % 16;
                uint64_t seq = top + random() % 4;                                   // mostly forward
                if (kind < 6) seq = top - std::min(top, random() % (size + 70));     // late, or replayed
                if (kind == 6) seq = top + random() % (3 * size);                    // a jump
                if (kind == 7) seq = top + size - 1 + random() % 3;                  // by the window, about
                both.offer(seq);
                if (HasFatalFailure()) return;
            }
        }
}

TEST(EspReplay, TheWindowReachesExactlyAsFarAsItsSize) {
    for (const uint32_t size : kSizes) {
        ReplayWindow window(size);
        window.mark(100000);
        EXPECT_TRUE(window.check(100000 - size + 1)) << size;
        EXPECT_FALSE(window.check(100000 - size)) << size;
        EXPECT_FALSE(window.check(0)) << "S3";
    }
}

TEST(EspReplay, CheckingChangesNothing) {
    ReplayWindow window(64);
    window.mark(10);
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(window.check(9));
        EXPECT_TRUE(window.check(uint64_t{1} << 40));
        EXPECT_EQ(window.top(), 10u);
    }
}

// RFC 4303 A2.1, by trying: of the numbers that have this lower half, the smallest that is not left of the window.
uint64_t inferred(uint64_t top, uint32_t size, uint32_t low) {
    const uint64_t bottom = top >= size - 1 ? top - (size - 1) : 0;
    uint64_t seq = (bottom & ~uint64_t{UINT32_MAX}) | low;
    if (seq < bottom) seq += uint64_t{1} << 32;
    return seq;
}

TEST(EspReplay, TheUpperHalfIsInferredAcrossTheBordersOfSubspaces) {
    std::mt19937_64 random(seed());
    for (const uint32_t size : kSizes)
        for (const uint64_t high : {uint64_t{0}, uint64_t{1}, uint64_t{5}})
            for (int64_t at = -2 * int64_t{size}; at <= 2 * int64_t{size}; at += size <= 128 ? 1 : 37) {
                const uint64_t top = (high << 32) + (uint64_t{1} << 32) + static_cast<uint64_t>(at);
                ReplayWindow window(size);
                window.mark(top);
                for (const uint64_t low : {top, top + 1, top - 1, top - size, top - size + 1, top + size, top + (uint64_t{1} << 31),
                                           uint64_t{0}, uint64_t{1}, uint64_t{UINT32_MAX}, random()})
                    ASSERT_EQ(window.infer(static_cast<uint32_t>(low)), inferred(top, size, static_cast<uint32_t>(low)))
                        << "top " << top << ", low " << static_cast<uint32_t>(low) << ", W " << size;
            }
}

TEST(EspReplay, TheFirstSubspaceHasNoneBeforeItAndTheLastNoneBehind) {
    ReplayWindow first(64);
    EXPECT_EQ(first.infer(UINT32_MAX), uint64_t{UINT32_MAX});
    ReplayWindow last(64);
    last.mark(UINT64_MAX - 5);
    EXPECT_EQ(last.infer(7), UINT64_MAX - UINT32_MAX + 7);
    EXPECT_FALSE(last.check(last.infer(7))) << "it is old, not new";
    EXPECT_TRUE(last.check(UINT64_MAX));
}

TEST(EspReplay, SequenceNumbersNeverWrap) {
    uint64_t seq = 0;
    SendSequence first(false);
    ASSERT_EQ(first.next(&seq), 0);
    EXPECT_EQ(seq, 1u) << "S3";
    SendSequence narrow(false, uint64_t{UINT32_MAX} - 3);
    for (uint64_t i = 2; i + 1 > 0 && i <= 2; --i) {
        ASSERT_EQ(narrow.next(&seq), 0);
        ASSERT_EQ(seq, UINT32_MAX - i);
    }
    for (int i = 0; i < 3; ++i) EXPECT_EQ(narrow.next(&seq), EOVERFLOW);
    EXPECT_EQ(seq, UINT32_MAX);
    SendSequence wide(true, uint64_t{UINT32_MAX} - 1);
    for (uint64_t i = 0; i < 3; ++i) {
        ASSERT_EQ(wide.next(&seq), 0);
        ASSERT_EQ(seq, UINT32_MAX + i);
    }
    SendSequence end(true, UINT64_MAX - 1);
    EXPECT_EQ(end.next(&seq), 0);
    EXPECT_EQ(end.next(&seq), EOVERFLOW);
}

}  // namespace
}  // namespace umbuf::test
