// SPDX-License-Identifier: BSD-2-Clause
// packet_group_test.cc - a received packet, its copies, and drivers that free them in any order.
#include <latch>
#include <thread>

#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

class PacketGroup : public MbufTest {};

TEST_F(PacketGroup, TheClusterStaysWhileAnyCopyLives) {
    Mbuf* m = received(pattern(1500));
    std::vector<Mbuf*> copies;
    for (int i = 0; i < 300; ++i) copies.push_back(m_copypacket(i % 2 == 0 || copies.empty() ? m : copies.back(), M_NOWAIT));
    EXPECT_EQ(rte_mbuf_refcnt_read(&m->rte), 2) << "the group is one count, however many copies";
    m_freem(m);
    for (Mbuf* copy : copies) {
        EXPECT_EQ(bytes_of(copy), pattern(1500));
        m_freem(copy);
    }
}

TEST_F(PacketGroup, AGroupMayEmptyAndFormAgainWhileTheHeaderLives) {
    Mbuf* m = received(pattern(100));
    for (int i = 0; i < 10; ++i) {
        Mbuf* copy = m_copypacket(m, M_NOWAIT);
        EXPECT_FALSE(m_writable(m));
        m_freem(copy);
        EXPECT_TRUE(m_writable(m));
    }
    m_freem(m);
}

TEST_F(PacketGroup, APacketUnderItsCopiesKeepsItsCluster) {
    Mbuf* m = received(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    EXPECT_FALSE(m_extfree(m));
    EXPECT_EQ(bytes_of(m), pattern(100));
    m_freem(copy);
    EXPECT_TRUE(m_extfree(m));
    m_freem(m);
}

TEST_F(PacketGroup, TheNextPacketInTheSameMbufStartsClean) {
    Mbuf* m = received(pattern(100));
    m->set_flags(M_EOR);
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    rte_pktmbuf_free(&m->rte);
    rte_pktmbuf_free(&copy->rte);
    std::vector<Mbuf*> all;
    for (Mbuf* next = received(pattern(8)); next != nullptr; next = received(pattern(8))) {
        EXPECT_EQ(next->flags(), uint32_t{M_PKTHDR | M_EXT});
        EXPECT_TRUE(m_writable(next));
        all.push_back(next);
    }
    for (Mbuf* each : all) m_freem(each);
}

// Goal: the header's free and the last copy's free race; exactly one returns the mbuf, and the next
// user gets it whole. Method: both at once on two threads, many rounds; the fixture counts.
TEST_F(PacketGroup, HeaderAndLastCopyFreedAtOnceReturnTheMbufOnce) {
    for (int round = 0; round < 500; ++round) {
        Mbuf* m = received(pattern(64));
        Mbuf* copy = m_copypacket(m, M_NOWAIT);
        std::latch start(2);
        std::thread other([&] {
            start.arrive_and_wait();
            rte_pktmbuf_free(&copy->rte);
        });
        start.arrive_and_wait();
        rte_pktmbuf_free(&m->rte);
        other.join();
    }
}

// Goal: the owner keeps copying while another thread drops the copies, so that the group empties and
// forms again at every possible moment. The header must never be returned under the owner.
TEST_F(PacketGroup, TheOwnerMayCopyWhileTheLastMemberLeaves) {
    Mbuf* m = received(pattern(64));
    for (int round = 0; round < 2000; ++round) {
        Mbuf* a = m_copypacket(m, M_NOWAIT);
        ASSERT_NE(a, nullptr);
        std::thread other([a] { m_freem(a); });
        Mbuf* b = m_copypacket(m, M_NOWAIT);
        other.join();
        ASSERT_EQ(rte_mbuf_refcnt_read(&m->rte), 2) << "round " << round;
        m_freem(b);
        ASSERT_EQ(rte_mbuf_refcnt_read(&m->rte), 1) << "round " << round;
    }
    EXPECT_EQ(bytes_of(m), pattern(64));
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::test
