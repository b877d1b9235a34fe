// SPDX-License-Identifier: BSD-2-Clause
// shape_test.cc - the same bytes in another number of mbufs.
#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

class Shape : public MbufTest {};

TEST_F(Shape, DefragMakesOneMbufOfWhatFitsIntoOne) {
    for (const Kind kind : kKinds) {
        Trio t(kind);
        t.m = m_defrag(t.m, M_NOWAIT);
        ASSERT_NE(t.m, nullptr);
        EXPECT_EQ(t.m->rte.nb_segs, 1);
        EXPECT_EQ(bytes_of(t.m), t.bytes());
        Trio::expect_header(t.m);
        verify(t.m);
        EXPECT_EQ(m_defrag(t.m, M_NOWAIT), t.m) << "one already";
        t.expect_other();
        t.free();
    }
    const std::string bytes = pattern(40000);
    Mbuf* m = lent(bytes);
    m_cat(m, inlined("x"));
    m = m_defrag(m, M_NOWAIT);
    EXPECT_EQ(m->rte.nb_segs, 3);
    EXPECT_EQ(bytes_of(m), bytes + "x");
    m_freem(m);
}

TEST_F(Shape, FragmentMakesMbufsOfTheLengthAskedFor) {
    for (const uint32_t length : {1U, 2U, 150U, 256U, 257U, 1099U, 1100U, 16384U}) {
        Trio t(Kind::received_shared);
        t.m = m_fragment(t.m, M_NOWAIT, length);
        EXPECT_EQ(t.m->rte.nb_segs, (Trio::kLen + length - 1) / length);
        for (const Mbuf* s = t.m; s->next() != nullptr; s = s->next()) EXPECT_EQ(s->len(), length);
        EXPECT_EQ(bytes_of(t.m), t.bytes());
        Trio::expect_header(t.m);
        verify(t.m);
        t.free();
    }
    Trio t(Kind::cluster);
    EXPECT_EQ(m_fragment(t.m, M_NOWAIT, 0), t.m);
    EXPECT_EQ(m_fragment(t.m, M_NOWAIT, 16385), t.m);
    t.free();
}

TEST_F(Shape, CollapseReachesEachNumberThatCanBeReached) {
    for (const Kind kind : kKinds)
        for (const uint32_t pieces : {10U, 100U, 300U})
            for (const uint32_t most : {2U, 3U, 5U, 50U}) {
                Trio t(kind);
                t.m = m_fragment(t.m, M_NOWAIT, pieces);
                Mbuf* const first = t.m;
                ASSERT_EQ(m_collapse(t.m, M_NOWAIT, most), first);
                EXPECT_LE(t.m->rte.nb_segs, most);
                EXPECT_EQ(bytes_of(t.m), t.bytes());
                Trio::expect_header(t.m);
                verify(t.m);
                t.expect_other();
                t.free();
            }
}

TEST_F(Shape, CollapseNeverWritesWhatOthersSee) {
    for (const Kind kind : kKinds) {
        Trio t(kind);
        ASSERT_NE(m_collapse(t.m, M_NOWAIT, 2), nullptr);
        EXPECT_EQ(bytes_of(t.m), t.bytes());
        t.expect_other();
        t.free();
    }
}

TEST_F(Shape, CollapseThatCannotKeepsThePacketWhole) {
    const std::string bytes = pattern(30000);
    Mbuf* m = lent(bytes);
    for (int i = 0; i < 3; ++i) m_add(m, lent(bytes));
    EXPECT_EQ(m_collapse(m, M_NOWAIT, 2), nullptr) << "no two of them fit into 16k";
    EXPECT_EQ(m->pkt_len(), 120000U);
    verify(m);
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::test
