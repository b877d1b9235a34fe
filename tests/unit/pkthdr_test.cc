// SPDX-License-Identifier: BSD-2-Clause
// pkthdr_test.cc - a packet's header can be copied, moved, made and taken away.
#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

class Pkthdr : public MbufTest {};

TEST_F(Pkthdr, DupLeavesTheOriginalItsOwn) {
    for (const Kind kind : kKinds) {
        Trio t(kind);
        Mbuf* to = m_get(M_NOWAIT, MT_DATA);
        ASSERT_EQ(m_dup_pkthdr(to, t.m, M_NOWAIT), 0);
        Trio::expect_header(to);
        Trio::expect_header(t.m);
        EXPECT_EQ(to->pkt_len(), Trio::kLen) << "totals as BSD copies them";
        m_calchdrlen(to);
        EXPECT_EQ(to->pkt_len(), 0U);
        verify(to);
        m_free(to);
        t.free();
    }
}

TEST_F(Pkthdr, MoveLeavesAnMbufThatIsNoPacket) {
    Trio t(Kind::shared);
    Mbuf* to = inlined(pattern(4));
    add_tag(to, 9, "replaced");
    m_move_pkthdr(to, t.m);
    Trio::expect_header(to);
    EXPECT_FALSE(t.m->has_pkthdr());
    EXPECT_EQ(m_tag_first(t.m), nullptr);
    to->set_next(t.m);
    EXPECT_EQ(m_fixhdr(to), 4 + Trio::kLen);
    verify(to);
    t.m = to;
    t.free();
}

TEST_F(Pkthdr, OfAReceivedPacketAndOfACloneCanBeMovedAway) {
    for (const Kind kind : {Kind::received, Kind::clone}) {
        Made made = make(kind, pattern(60));
        made.m->rte.port = 5;
        Mbuf* to = m_get(M_NOWAIT, MT_DATA);
        m_move_pkthdr(to, made.m);
        EXPECT_EQ(to->rte.port, 5);
        to->set_next(made.m);
        m_calchdrlen(to);
        EXPECT_EQ(to->pkt_len(), 60U);
        verify(to);
        m_freem(to);
        m_freem(made.other);
    }
}

TEST_F(Pkthdr, ResetKeepsBytesAndTotalsAndForgetsTheRest) {
    Trio t(Kind::cluster);
    t.m->set_flags(M_EOR | M_ZEROIZE);
    m_resethdr(t.m);
    EXPECT_EQ(t.m->flags(), uint32_t{M_PKTHDR | M_EOR | M_ZEROIZE});
    EXPECT_EQ(t.m->rte.port, RTE_MBUF_PORT_INVALID);
    EXPECT_EQ(t.m->rte.vlan_tci, 0);
    EXPECT_EQ(tags_of(t.m), "");
    EXPECT_EQ(bytes_of(t.m), t.bytes());
    verify(t.m);
    t.free();
}

TEST_F(Pkthdr, RemoveAndInitAreEachOthersReverse) {
    for (const Kind kind : {Kind::inlined, Kind::cluster, Kind::received, Kind::readonly}) {
        Made made = make(kind, pattern(100));
        add_tag(made.m, 1, "x");
        m_removehdr(made.m);
        EXPECT_FALSE(made.m->has_pkthdr());
        m_inithdr(made.m);
        EXPECT_TRUE(made.m->has_pkthdr());
        EXPECT_EQ(made.m->pkt_len(), 100U);
        EXPECT_EQ(tags_of(made.m), "");
        EXPECT_EQ(m_pkthdr_init(made.m, M_NOWAIT), 0);
        verify(made.m);
        m_freem(made.m);
    }
}

TEST_F(Pkthdr, DemoteClearsAllButTheStoragesFlags) {
    Mbuf* m = inlined(pattern(10));
    Mbuf* second = lent(pattern(20));
    for (Mbuf* each : {m, second}) each->set_flags(M_EOR | M_MCAST | M_ZEROIZE);
    m->set_next(second);  // as BSD code links packets by hand
    m_demote(m, false, M_EOR);
    EXPECT_EQ(second->flags(), uint32_t{M_EXT | M_RDONLY | M_ZEROIZE | M_EOR});
    EXPECT_EQ(m->flags(), uint32_t{M_PKTHDR | M_EOR | M_MCAST | M_ZEROIZE});
    m_calchdrlen(m);
    verify(m);
    m_demote(m, true, 0);
    EXPECT_EQ(m->flags(), uint32_t{M_ZEROIZE});
    m_freem(m);
}

TEST_F(Pkthdr, TheTypeCanBeChangedButNotToFree) {
    Mbuf* m = received(pattern(10));
    EXPECT_EQ(m->type(), MT_DATA);
    m_chtype(m, MT_CONTROL);
    EXPECT_EQ(m->type(), MT_CONTROL);
    EXPECT_DEATH(m_chtype(m, MT_FREE), "MT_FREE");
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::test
