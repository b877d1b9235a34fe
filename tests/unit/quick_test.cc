// SPDX-License-Identifier: BSD-2-Clause
// quick_test.cc - the short way to copy and free does what the long way does, field by field.
//
// Method: everything twice, with the trace off and on; who is traced goes the long way (quick.h).
#include "lib/mbuf/quick.h"
#include "lib/mbuf/trace.h"
#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

// Seen - an mbuf as whoever gets it may find it; addresses as distances.
std::string seen(const Mbuf* m, const Mbuf* source) {
    const rte_mbuf& r = m->rte;
    std::string s = "len " + std::to_string(r.data_len) + " pkt_len " + std::to_string(r.pkt_len);
    const auto add = [&s](const char* what, auto value) { s += std::string(" ") + what + " " + std::to_string(value); };
    add("data at", source == nullptr ? 0 : m->data() - source->data());
    add("own room", r.buf_addr == m + 1);
    add("iova", source == nullptr || rte_mbuf_iova_get(&source->rte) == RTE_BAD_IOVA
                    ? (rte_mbuf_iova_get(&r) == RTE_BAD_IOVA ? 1U : 0U)
                    : rte_mbuf_data_iova(&r) - rte_mbuf_data_iova(&source->rte));
    add("buf_len", r.buf_len);
    add("data_off", r.data_off);
    add("refcnt", rte_mbuf_refcnt_read(&r));
    add("nb_segs", r.nb_segs);
    add("last", r.next == nullptr);
    add("port", r.port);
    add("ol_flags", r.ol_flags);
    add("type", r.packet_type);
    add("vlan", r.vlan_tci);
    add("outer", r.vlan_tci_outer);
    add("tx", r.tx_offload);
    const bool external = (r.ol_flags & RTE_MBUF_F_EXTERNAL) != 0;  // else nobody reads the pointer
    add("own record", external && r.shinfo == &m->shinfo);
    add("record", rte_mbuf_ext_refcnt_read(&m->shinfo));
    add("control", reinterpret_cast<uintptr_t>(m->ctl.load(sync::relaxed)));
    add("flags", m->m_flags);
    add("ext", static_cast<int>(m->ext_type));
    add("zone", m->ext_type == ExtType::cluster ? m->ext_zone : 0);
    add("m_type", static_cast<int>(m->m_type));
    add("nextpkt", m->nextpkt == nullptr);
    return s + " tags " + tags_of(m);
}
std::string dynamic_fields(const Mbuf* m) {
    return {reinterpret_cast<const char*>(m->rte.dynfield1), sizeof m->rte.dynfield1};
}

class Quick : public MbufTest {
  protected:
    void SetUp() override {
        MbufTest::SetUp();
        std::array<Mbuf*, 8> some;  // into this thread's cache
        for (Mbuf*& m : some) m = m_get(M_NOWAIT, MT_DATA);
        for (Mbuf* m : some) m_free(m);
    }
    void TearDown() override {
        trace::stop();
        MbufTest::TearDown();
    }
    // marked - all that a packet header says.
    static void marked(Mbuf* m) {
        rte_mbuf& r = m->rte;
        r.port = 3;
        r.packet_type = 0x211;
        r.vlan_tci = 77;
        r.vlan_tci_outer = 78;
        r.ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_TX_IPV4;
        r.tx_offload = 0x12345;
        r.hash.fdir.lo = 5;
        r.hash.fdir.hi = 6;
        for (uint32_t& word : r.dynfield1) word = 0xabcd;
    }
};

TEST_F(Quick, ACopyIsWhatTheLongWayMakes) {
    int quick = 0;
    for (const Kind kind : kKinds)
        for (const uint32_t flags : {0U, uint32_t{M_ZEROIZE}, uint32_t{M_BCAST | M_EOR}})
            for (const bool packet : {true, false}) {
                const Made made = make(kind, pattern(200));
                Mbuf* m = made.m;
                marked(m);
                if (flags != 0) m->set_flags(flags);
                if (!packet) m->clear_flags(M_PKTHDR);
                const uint32_t part[][2] = {{0, M_COPYALL}, {0, 200}, {0, 100}, {1, 199}, {50, 60}, {7, M_COPYALL}};
                for (const auto& [off, length] : part) {
                    SCOPED_TRACE(std::string(name(kind)) + " " + std::to_string(off) + " " + std::to_string(length) + " " + std::to_string(flags));
                    quick::Part asked{off, length, false};
                    quick += quick::may_copy(m, asked) ? 1 : 0;
                    Mbuf* one = m_copym(m, off, length, M_NOWAIT);
                    ASSERT_TRUE(trace::start().ok());
                    Mbuf* other = m_copym(m, off, length, M_NOWAIT);
                    trace::stop();
                    ASSERT_TRUE(one != nullptr && other != nullptr);
                    EXPECT_EQ(seen(one, (one->flags() & M_EXT) != 0 ? m : nullptr), seen(other, (other->flags() & M_EXT) != 0 ? m : nullptr));
                    EXPECT_EQ(bytes_of(one), bytes_of(other));
                    EXPECT_EQ(one->rte.hash.fdir.lo == 5, one->has_pkthdr());
                    EXPECT_EQ(dynamic_fields(one) == dynamic_fields(m), one->has_pkthdr());
                    EXPECT_EQ(rte_pktmbuf_tailroom(&one->rte), rte_pktmbuf_tailroom(&other->rte));
                    for (Mbuf* each : {one, other}) {
                        std::memset(each->rte.dynfield1, 0, sizeof each->rte.dynfield1);
                        each->rte.hash.fdir = {};
                        m_freem(each);
                    }
                }
                m_freem(m);
                m_freem(made.other);
            }
    EXPECT_GT(quick, 100) << "the short way is not what it was compared with";
}

TEST_F(Quick, AFreedHeaderIsWhatTheLongWayLeaves) {
    for (const Kind kind : {Kind::cluster, Kind::shared, Kind::received_shared, Kind::readonly})
        for (const uint32_t flags : {0U, uint32_t{M_ZEROIZE}}) {
            SCOPED_TRACE(name(kind));
            std::array<std::string, 2> left;
            for (const bool long_way : {false, true}) {
                const Made made = make(kind, pattern(200));
                Mbuf* copy = m_copypacket(made.m, M_NOWAIT);
                if (flags != 0) copy->set_flags(flags);
                EXPECT_TRUE(quick::may_free(copy));
                if (long_way) {
                    ASSERT_TRUE(trace::start().ok());
                }
                m_free(copy);
                trace::stop();
                copy->m_flags = 0;  // the long way leaves some, which nobody reads
                left[long_way ? 1 : 0] = seen(copy, nullptr);
                m_freem(made.m);
                m_freem(made.other);
            }
            EXPECT_EQ(left[0], left[1]);
        }
}

TEST_F(Quick, WhatIsUnusualIsDeclined) {
    const Made made = make(Kind::cluster, pattern(200));
    quick::Part part{0, 200, false};
    EXPECT_TRUE(quick::may_copy(made.m, part) && part.header);
    for (const auto& [off, length] : {std::pair{0U, 201U}, {200U, 1U}, {201U, M_COPYALL}, {5U, 0U}, {UINT32_MAX, 2U}}) {
        part = {off, length, false};
        EXPECT_FALSE(quick::may_copy(made.m, part)) << off << " " << length;
    }
    part = {0, 200, false};
    alloc_faults_arm(1000);
    EXPECT_FALSE(quick::may_copy(made.m, part));
    alloc_faults_arm(0);
    add_tag(made.m, 7, "one");
    EXPECT_FALSE(quick::may_copy(made.m, part) || quick::may_free(made.m));
    m_tag_delete_chain(made.m);
    rte_mbuf* clone = rte_pktmbuf_clone(&made.m->rte, rx_zone()->pool);
    EXPECT_FALSE(quick::may_free(made.m)) << "its record is the clone's, too";
    rte_pktmbuf_free(clone);
    EXPECT_TRUE(quick::may_free(made.m));
    made.m->m_type = MT_FREE;  // as m_free marks it while a clone of DPDK's keeps its header
    EXPECT_FALSE(quick::may_free(made.m)) << "who frees it again must die";
    made.m->m_type = MT_DATA;
    Mbuf* home = m_get(M_NOWAIT, MT_DATA);
    m_free(home);  // the next one to be taken
    home->ctl.store(ext_control(made.m), sync::relaxed);  // as one whose record a clone still uses
    Mbuf* copy = m_copypacket(made.m, M_NOWAIT);
    EXPECT_NE(copy, home);
    home->ctl.store(nullptr, sync::relaxed);
    EXPECT_EQ(reclaim_set_aside(), 1U);
    m_freem(copy);
    m_freem(made.m);
    EXPECT_FALSE(quick::may_free(made.m)) << "freed already";
}

}  // namespace
}  // namespace umbuf::test
