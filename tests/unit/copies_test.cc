// SPDX-License-Identifier: BSD-2-Clause
// copies_test.cc - what verbs move into other storage is counted, by what for, to the byte; sharing moves nothing.
#include "lib/mbuf/copies.h"
#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

class Copies : public MbufTest {
  protected:
    // bytes - moved since the last question, for this; and for nothing else.
    uint64_t bytes(MovedFor why, uint64_t times = 1) {
        const Moved now = moved();
        uint64_t found = 0;
        for (size_t i = 0; i < static_cast<size_t>(MovedFor::count); ++i) {
            const uint64_t n = now.bytes[i] - was_.bytes[i], t = now.times[i] - was_.times[i];
            if (i == static_cast<size_t>(why)) {
                found = n;
                EXPECT_EQ(t, n == 0 ? 0 : times);
            } else {
                EXPECT_EQ(n, 0U) << "for another reason: " << i;
            }
        }
        was_ = now;
        return found;
    }

  private:
    Moved was_ = moved();
};

TEST_F(Copies, SharingMovesNothing) {
    Mbuf* m = lent(pattern(3000));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    Mbuf* rest = m_split(copy, 1000, M_NOWAIT);
    EXPECT_EQ(bytes(MovedFor::dup), 0U);
    m_freem(rest);
    m_freem(copy);
    m_freem(m);
}

TEST_F(Copies, UnsharingMovesWhatOthersSeeAndOnlyThat) {
    Mbuf* m = lent(pattern(3000));
    ASSERT_EQ(m_makewritable(&m, 100, 200, M_NOWAIT), 0);
    EXPECT_EQ(bytes(MovedFor::unshare), 200U);
    ASSERT_EQ(m_makewritable(&m, 100, 200, M_NOWAIT), 0);
    EXPECT_EQ(bytes(MovedFor::unshare), 0U) << "they are private by now";
    m_freem(m);
    m = lent(pattern(3000));
    ASSERT_EQ(m_unshare(&m, M_NOWAIT), 0);
    EXPECT_EQ(bytes(MovedFor::unshare), 3000U);
    m_freem(m);
}

TEST_F(Copies, WhoAsksForACopyIsToldWhatItCosts) {
    Mbuf* m = lent(pattern(3000));
    for (Mbuf* copy : {m_dup(m, M_NOWAIT), m_dup_data(m, M_NOWAIT), m_dup_pkt(m, 8, M_NOWAIT), m_dup(m, 0, M_COPYALL, M_NOWAIT)}) m_freem(copy);
    EXPECT_EQ(bytes(MovedFor::dup, 4), 12000U);
    alloc_faults_arm(1);
    EXPECT_EQ(m_dup(m, M_NOWAIT), nullptr);
    alloc_faults_arm(0);
    EXPECT_EQ(bytes(MovedFor::dup), 0U) << "nothing was copied";
    m_freem(m);
}

TEST_F(Copies, PullingUpMovesOnlyWhatWasNotThere) {
    Trio t(Kind::readonly);
    const uint32_t first = t.m->len();
    t.m = m_pullup(t.m, first, M_NOWAIT);
    EXPECT_EQ(bytes(MovedFor::contiguous), 0U);
    t.m = m_pullup(t.m, first + 20, M_NOWAIT);
    const uint64_t moved = bytes(MovedFor::contiguous);
    EXPECT_TRUE(moved == 20 || moved == first + 20) << moved;
    t.m = m_defrag(t.m, M_NOWAIT);
    EXPECT_EQ(bytes(MovedFor::compact), Trio::kLen);
    t.free();
}

TEST_F(Copies, WhatOnlyDpdkCanShareIsCopied) {
    Made made = make(Kind::clone, pattern(500));
    Mbuf* copy = m_copym(made.m, 0, M_COPYALL, M_NOWAIT);
    ASSERT_NE(copy, nullptr);
    EXPECT_EQ(bytes(MovedFor::foreign), 500U);
    m_freem(copy);
    m_freem(made.m);
    m_freem(made.other);
}

}  // namespace
}  // namespace umbuf::test
