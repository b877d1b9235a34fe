// SPDX-License-Identifier: BSD-2-Clause
// verbs_test.cc - the m_* family does to chains what BSD's does, checked against std::string.
#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

class Verbs : public MbufTest {};

TEST_F(Verbs, AFreshMbufIsEmptyWritableAndHasRoomForMLen) {
    Mbuf* m = m_get(M_NOWAIT, MT_DATA);
    ASSERT_NE(m, nullptr);
    EXPECT_EQ(m->len(), 0U);
    EXPECT_EQ(m->flags(), 0U);
    EXPECT_TRUE(m_writable(m));
    EXPECT_EQ(m_leadingspace(m), 0U);
    EXPECT_EQ(m_trailingspace(m), kMLen);
    verify(m);
    m_free(m);
}

TEST_F(Verbs, EachClusterZoneServesTheSizesUpToItsOwn) {
    for (const uint32_t size : kClusterSizes) {
        for (const uint32_t want : {size - 1, size}) {
            Mbuf* m = m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, want);
            ASSERT_NE(m, nullptr) << want;
            EXPECT_EQ(m_trailingspace(m), size) << want;
            EXPECT_EQ(m->flags(), uint32_t{M_PKTHDR | M_EXT});
            verify(m);
            m_freem(m);
        }
    }
    Mbuf* m = m_get(M_NOWAIT, MT_DATA);
    EXPECT_EQ(m_clget(m, M_NOWAIT, kClusterSizes[3] + 1), EMSGSIZE);
    EXPECT_EQ(m->flags(), 0U);
    m_free(m);
}

TEST_F(Verbs, AReceivedPacketIsAPacketWithItsOwnCluster) {
    Mbuf* m = received(pattern(60));
    EXPECT_FALSE(m->private_valid());
    EXPECT_EQ(m->flags(), uint32_t{M_PKTHDR | M_EXT});
    EXPECT_TRUE(m_writable(m));
    verify(m);
    m_freem(m);
}

TEST_F(Verbs, CopymSharesClustersAndCopiesInlineBytes) {
    const std::string bytes = pattern(1000);
    for (Mbuf* m : {received(bytes), clustered(bytes)}) {
        Mbuf* copy = m_copym(m, 0, M_COPYALL, M_NOWAIT);
        ASSERT_NE(copy, nullptr);
        EXPECT_EQ(copy->data(), m->data()) << "shared, not copied";
        EXPECT_EQ(bytes_of(copy), bytes);
        EXPECT_EQ(copy->pkt_len(), 1000U);
        EXPECT_FALSE(m_writable(m));
        EXPECT_FALSE(m_writable(copy));
        verify(m);
        verify(copy);
        m_freem(copy);
        EXPECT_TRUE(m_writable(m)) << "alone again";
        m_freem(m);
    }
    Mbuf* m = inlined(pattern(100));
    Mbuf* copy = m_copym(m, 0, M_COPYALL, M_NOWAIT);
    EXPECT_NE(copy->data(), m->data());
    EXPECT_TRUE(m_writable(m));
    EXPECT_EQ(bytes_of(copy), pattern(100));
    m_freem(m);
    m_freem(copy);
}

TEST_F(Verbs, ACopyOutlivesItsOriginalWhicheverIsFreedFirst) {
    const std::string bytes = pattern(700);
    for (const bool original_first : {false, true}) {
        for (Mbuf* m : {received(bytes), clustered(bytes)}) {
            Mbuf* a = m_copypacket(m, M_NOWAIT);
            Mbuf* b = m_copypacket(a, M_NOWAIT);
            m_freem(original_first ? m : b);
            EXPECT_EQ(bytes_of(a), bytes);
            EXPECT_FALSE(m_writable(a));
            m_freem(original_first ? b : m);
            EXPECT_TRUE(m_writable(a));
            EXPECT_EQ(bytes_of(a), bytes);
            m_freem(a);
        }
    }
}

TEST_F(Verbs, ACopyHasNoRoomAroundItForDpdkToWriteInto) {
    Mbuf* m = received(pattern(500));
    Mbuf* copy = m_copym(m, 100, 200, M_NOWAIT);
    EXPECT_EQ(rte_pktmbuf_headroom(&copy->rte), 0U);
    EXPECT_EQ(rte_pktmbuf_tailroom(&copy->rte), 0U);
    EXPECT_EQ(rte_pktmbuf_append(&copy->rte, 1), nullptr);
    EXPECT_EQ(rte_pktmbuf_prepend(&copy->rte, 1), nullptr);
    EXPECT_FALSE(copy->has_pkthdr()) << "off > 0 makes no packet";
    m_freem(copy);
    m_freem(m);
}

TEST_F(Verbs, CopymCarriesThePacketHeader) {
    Mbuf* m = received(pattern(64));
    m->rte.port = 7;
    m->rte.vlan_tci = 0x123;
    m->rte.packet_type = RTE_PTYPE_L2_ETHER;
    m->rte.hash.rss = 0xdecafbad;
    m->rte.l2_len = 14;
    m->rte.ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    EXPECT_EQ(copy->rte.port, 7);
    EXPECT_EQ(copy->rte.vlan_tci, 0x123);
    EXPECT_EQ(copy->rte.packet_type, uint32_t{RTE_PTYPE_L2_ETHER});
    EXPECT_EQ(copy->rte.hash.rss, 0xdecafbadU);
    EXPECT_EQ(copy->rte.l2_len, 14);
    EXPECT_TRUE(copy->rte.ol_flags & RTE_MBUF_F_TX_IP_CKSUM);
    EXPECT_TRUE(copy->rte.ol_flags & RTE_MBUF_F_EXTERNAL);
    m_freem(m);
    m_freem(copy);
}

TEST_F(Verbs, ADriversFreeReachesTheCount) {
    Mbuf* m = received(pattern(300));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    rte_pktmbuf_free(&m->rte);  // as a driver does after transmit
    EXPECT_TRUE(m_writable(copy));
    rte_mbuf* burst[] = {&copy->rte};
    rte_pktmbuf_free_bulk(burst, 1);  // the fixture sees that the received mbuf came home too
}

TEST_F(Verbs, ForeignStorageIsGivenBackOnceAfterItsLastReference) {
    static int freed;
    static std::string bytes = pattern(4000);
    freed = 0;
    Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
    const auto give_back = [](void* buf, uint32_t size, void* arg) {
        EXPECT_EQ(buf, bytes.data());
        EXPECT_EQ(size, 4000U);
        EXPECT_EQ(arg, &freed);
        ++freed;
    };
    ASSERT_EQ(m_extadd(m, bytes.data(), 4000, give_back, &freed, M_RDONLY), 0);
    m->set_len(4000);
    m->rte.pkt_len = 4000;
    EXPECT_FALSE(m_writable(m)) << "read-only is a property of the storage";
    verify(m);
    Mbuf* copy = m_copym(m, 1000, 2000, M_NOWAIT);
    EXPECT_FALSE(m_writable(copy));
    m_freem(m);
    EXPECT_EQ(freed, 0);
    EXPECT_EQ(bytes_of(copy), bytes.substr(1000, 2000));
    m_freem(copy);
    EXPECT_EQ(freed, 1);
}

TEST_F(Verbs, ForeignStorageOfABadSizeIsRefused) {
    Mbuf* m = m_get(M_NOWAIT, MT_DATA);
    char byte = 0;
    const auto never = [](void*, uint32_t, void*) { FAIL(); };
    EXPECT_EQ(m_extadd(m, &byte, 0, never, nullptr, 0), EMSGSIZE);
    EXPECT_EQ(m_extadd(m, &byte, 65536, never, nullptr, 0), EMSGSIZE);
    EXPECT_EQ(m->flags(), 0U);
    m_free(m);
}

TEST_F(Verbs, ExtfreeGivesTheMbufItsOwnRoomAndLeavesTheRest) {
    Mbuf* m = clustered(pattern(500));
    m->set_flags(M_EOR);
    m->rte.ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
    ASSERT_TRUE(m_extfree(m));
    m->rte.pkt_len = 0;
    EXPECT_EQ(m->flags(), uint32_t{M_PKTHDR | M_EOR});
    EXPECT_TRUE(m->rte.ol_flags & RTE_MBUF_F_TX_IP_CKSUM);
    EXPECT_EQ(m_trailingspace(m), kMLen);
    verify(m);
    m_freem(m);
}

TEST_F(Verbs, AnMbufMayTakeOtherStorageAgainAndAgainWhileItsFirstIsShared) {
    Mbuf* m = clustered(pattern(500));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(m_extfree(m));
        m->rte.pkt_len = 0;
        ASSERT_EQ(m_clget(m, M_NOWAIT, 4096), 0);
    }
    EXPECT_EQ(bytes_of(copy), pattern(500));
    m_freem(copy);
    EXPECT_TRUE(m_writable(m));
    m_freem(m);  // the fixture sees that each cluster came home
}

TEST_F(Verbs, PrependUsesWritableHeadroomAndElseMakesANewFirstMbuf) {
    Mbuf* m = received(pattern(60));
    Mbuf* same = m_prepend(m, 20, M_NOWAIT);
    EXPECT_EQ(same, m);
    EXPECT_EQ(m->pkt_len(), 80U);
    m_adj(m, 20);
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    Mbuf* first = m_prepend(m, 14, M_NOWAIT);
    EXPECT_NE(first, m) << "the headroom is not ours alone any more";
    EXPECT_EQ(first->pkt_len(), 74U);
    EXPECT_EQ(first->rte.nb_segs, 2);
    EXPECT_FALSE(m->has_pkthdr());
    verify(first);
    EXPECT_EQ(bytes_of(copy), pattern(60));
    m_freem(first);
    m_freem(copy);
}

TEST_F(Verbs, PrependOfMoreThanAnMbufHoldsFailsAndConsumes) {
    Mbuf* m = inlined(pattern(10));
    EXPECT_EQ(m_prepend(m, kMLen + 1, M_NOWAIT), nullptr);  // the fixture sees that m is freed
}

TEST_F(Verbs, AdjTrimsBothEndsAndNeverMoreThanThereIs) {
    const std::string bytes = pattern(300);
    Mbuf* m = received(bytes.substr(0, 100));
    m_cat(m, clustered(bytes.substr(100)));
    m_adj(m, 120);
    EXPECT_EQ(bytes_of(m), bytes.substr(120));
    m_adj(m, -30);
    EXPECT_EQ(bytes_of(m), bytes.substr(120, 150));
    verify(m);
    m_adj(m, -1000);
    EXPECT_EQ(m->pkt_len(), 0U);
    verify(m);
    m_freem(m);
    m = received(bytes);
    m_adj(m, 301);
    EXPECT_EQ(m->pkt_len(), 0U);
    m_freem(m);
}

TEST_F(Verbs, CatMovesBytesThatFitAndLinksTheRest) {
    Mbuf* m = clustered(pattern(100));
    Mbuf* small = inlined(pattern(50, 1));
    m_cat(m, small);
    EXPECT_EQ(m->rte.nb_segs, 1);
    Mbuf* big = received(pattern(2000, 2));
    m_cat(m, big);
    EXPECT_EQ(m->rte.nb_segs, 2);
    EXPECT_EQ(bytes_of(m), pattern(100) + pattern(50, 1) + pattern(2000, 2));
    verify(m);
    m_freem(m);
}

TEST_F(Verbs, CatNeverWritesIntoSharedStorage) {
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    m_cat(m, inlined(pattern(50, 1)));
    EXPECT_EQ(m->rte.nb_segs, 2) << "linked, although the cluster has room";
    EXPECT_EQ(bytes_of(copy), pattern(100));
    m_freem(m);
    m_freem(copy);
}

TEST_F(Verbs, SplitCutsAtEveryByteOfAChain) {
    const std::string bytes = pattern(400);
    for (uint32_t cut = 0; cut <= 400; ++cut) {
        Mbuf* m = received(bytes.substr(0, 150));
        Mbuf* second = m_copym(m, 0, 0, M_NOWAIT);
        m_freem(second);
        m_cat(m, received(bytes.substr(150, 1)));
        Mbuf* shared = clustered(bytes.substr(151));
        Mbuf* other = m_copypacket(shared, M_NOWAIT);
        m_cat(m, shared);
        Mbuf* rest = m_split(m, cut, M_NOWAIT);
        ASSERT_NE(rest, nullptr) << cut;
        EXPECT_EQ(bytes_of(m), bytes.substr(0, cut));
        EXPECT_EQ(bytes_of(rest), bytes.substr(cut));
        EXPECT_EQ(m->pkt_len(), cut);
        EXPECT_EQ(rest->pkt_len(), 400 - cut);
        verify(m);
        verify(rest);
        m_freem(m);
        EXPECT_EQ(bytes_of(rest), bytes.substr(cut));
        m_freem(rest);
        m_freem(other);
    }
}

TEST_F(Verbs, TheFrontOfASplitClusterEndsAtTheCut) {
    Mbuf* m = clustered(pattern(400));
    Mbuf* rest = m_split(m, 100, M_NOWAIT);
    EXPECT_EQ(rte_pktmbuf_append(&m->rte, 8), nullptr) << "those bytes are the rest's";
    EXPECT_EQ(bytes_of(rest), pattern(400).substr(100));
    m_freem(m);
    m_freem(rest);
}

TEST_F(Verbs, SplitBeyondTheEndFailsAndChangesNothing) {
    Mbuf* m = received(pattern(100));
    EXPECT_EQ(m_split(m, 101, M_NOWAIT), nullptr);
    EXPECT_EQ(bytes_of(m), pattern(100));
    verify(m);
    m_freem(m);
}

TEST_F(Verbs, PullupMakesEveryLengthContiguous) {
    const std::string bytes = pattern(600);
    for (const uint32_t len : {1U, 10U, 11U, 30U, 255U, 256U, 257U, 599U, 600U}) {
        Mbuf* m = inlined(bytes.substr(0, 10));
        Mbuf* readonly = clustered(bytes.substr(10, 20));
        Mbuf* other = m_copypacket(readonly, M_NOWAIT);
        m_cat(m, readonly);
        m_cat(m, received(bytes.substr(30)));
        m = m_pullup(m, len);
        ASSERT_NE(m, nullptr) << len;
        EXPECT_GE(m->len(), len);
        EXPECT_EQ(bytes_of(m), bytes);
        EXPECT_EQ(std::memcmp(m->data(), bytes.data(), len), 0);
        verify(m);
        m_freem(m);
        m_freem(other);
    }
}

TEST_F(Verbs, PullupOfMoreThanThereIsFailsAndConsumes) {
    Mbuf* m = received(pattern(40));
    EXPECT_EQ(m_pullup(m, 41), nullptr);
}

TEST_F(Verbs, PullupOfAReadOnlyFirstMbufLeavesTheOthersBytesAlone) {
    Mbuf* m = clustered(pattern(20));
    Mbuf* other = m_copypacket(m, M_NOWAIT);
    m_cat(m, received(pattern(40, 3)));
    m = m_pullup(m, 40);
    EXPECT_TRUE(m_writable(m));
    m->data()[0] = std::byte{0xff};
    EXPECT_EQ(bytes_of(other), pattern(20));
    m_freem(m);
    m_freem(other);
}

TEST_F(Verbs, CopybackWritesInsideAndExtends) {
    std::string want = pattern(100);
    Mbuf* m = inlined(want);
    ASSERT_EQ(m_copyback(m, 90, 5000, pattern(5000, 4).data(), M_NOWAIT), 0);
    want = want.substr(0, 90) + pattern(5000, 4);
    EXPECT_EQ(bytes_of(m), want);
    EXPECT_EQ(m->pkt_len(), 5090U);
    verify(m);
    ASSERT_EQ(m_copyback(m, 6000, 4, "tail", M_NOWAIT), 0);
    EXPECT_EQ(bytes_of(m), want + std::string(910, '\0') + "tail") << "the gap is zeroes";
    verify(m);
    m_freem(m);
}

TEST_F(Verbs, CopybackRefusesSharedBytesAndChangesNothing) {
    Mbuf* m = inlined(pattern(50));
    Mbuf* shared = clustered(pattern(500, 1));
    Mbuf* other = m_copypacket(shared, M_NOWAIT);
    m_cat(m, shared);
    const uint64_t refused = mbuf_traps().refused_writes;
    EXPECT_EQ(m_copyback(m, 40, 20, pattern(20, 9).data(), M_NOWAIT), EROFS);
    EXPECT_EQ(mbuf_traps().refused_writes, refused + 1);
    EXPECT_EQ(bytes_of(m), pattern(50) + pattern(500, 1));
    EXPECT_EQ(m_copyback(m, 40, 10, pattern(10, 9).data(), M_NOWAIT), 0) << "the first 50 are ours";
    EXPECT_EQ(bytes_of(other), pattern(500, 1));
    m_freem(m);
    m_freem(other);
}

TEST_F(Verbs, AChainFromADriverHasOnePacketHeader) {
    Mbuf* m = received(pattern(10));
    Mbuf* second = received(pattern(10, 1));
    second->rte.ol_flags |= Mbuf::valid_flag_;  // stale, as drivers leave it
    second->m_flags = M_PKTHDR | M_EOR;
    m->set_next(second);
    m->rte.nb_segs = 2;
    m->rte.pkt_len = 20;
    adopt_chain(m);
    EXPECT_FALSE(second->has_pkthdr());
    verify(m);
    m_freem(m);
}

// Goal: any sequence of verbs on a chain reads like the same sequence on a string, siblings never
// change, and nothing leaks. Method: random operations from the printed seed, an oracle per chain.
TEST_F(Verbs, AThousandRandomOperationsAgreeWithStrings) {
    std::mt19937_64 rng(seed());
    const auto pick = [&rng](uint64_t n) { return static_cast<uint32_t>(rng() % n); };
    struct Chain {
        Mbuf* m;
        std::string want;
    };
    std::vector<Chain> chains;
    for (uint32_t step = 0; step < 4000; ++step) {
        if (chains.empty() || (chains.size() < 24 && pick(4) == 0)) {
            const std::string bytes = pattern(1 + pick(kMLen), step);
            const uint32_t kind = pick(3);
            chains.push_back({kind == 0 ? inlined(bytes) : kind == 1 ? clustered(bytes) : received(bytes), bytes});
            continue;
        }
        const size_t i = pick(chains.size());
        Chain& c = chains[i];
        const uint32_t n = static_cast<uint32_t>(c.want.size());
        switch (pick(9)) {
        case 0: {
            const Chain copy{m_copypacket(c.m, M_NOWAIT), c.want};
            ASSERT_NE(copy.m, nullptr);
            chains.push_back(copy);
            break;
        }
        case 1: {
            const uint32_t cut = pick(n + 1);
            const Chain rest{m_split(c.m, cut, M_NOWAIT), c.want.substr(cut)};
            ASSERT_NE(rest.m, nullptr);
            c.want.resize(cut);
            chains.push_back(rest);
            break;
        }
        case 2: {
            const uint32_t cut = pick(n + 2);
            m_adj(c.m, static_cast<int32_t>(cut));
            c.want.erase(0, cut);
            break;
        }
        case 3: {
            const uint32_t cut = pick(n + 2);
            m_adj(c.m, -static_cast<int32_t>(cut));
            c.want.resize(n - std::min(n, cut));
            break;
        }
        case 4: {
            const uint32_t room = pick(64);
            c.m = m_prepend(c.m, room, M_NOWAIT);
            ASSERT_NE(c.m, nullptr);
            const std::string front = pattern(room, step);
            ASSERT_EQ(m_copyback(c.m, 0, room, front.data(), M_NOWAIT), 0);
            c.want.insert(0, front);
            break;
        }
        case 5: {
            const uint32_t len = pick(std::min(n, 4096U) + 1);
            c.m = m_pullup(c.m, len);
            ASSERT_NE(c.m, nullptr);
            ASSERT_EQ(std::memcmp(c.m->data(), c.want.data(), len), 0);
            break;
        }
        case 6: {
            if (chains.size() < 2) break;
            const size_t j = (i + 1 + pick(chains.size() - 1)) % chains.size();
            m_cat(c.m, chains[j].m);
            c.want += chains[j].want;
            chains.erase(chains.begin() + static_cast<std::ptrdiff_t>(j));
            break;
        }
        case 7: {
            const uint32_t off = pick(n + 40);
            const std::string bytes = pattern(pick(400), step);
            if (bytes.empty()) break;
            const int error = m_copyback(c.m, off, static_cast<uint32_t>(bytes.size()), bytes.data(), M_NOWAIT);
            ASSERT_TRUE(error == 0 || error == EROFS);
            if (error == 0) {
                if (c.want.size() < off + bytes.size()) c.want.resize(off + bytes.size(), '\0');
                c.want.replace(off, bytes.size(), bytes);
            }
            break;
        }
        default:
            m_freem(c.m);
            chains.erase(chains.begin() + static_cast<std::ptrdiff_t>(i));
            break;
        }
        for (const Chain& each : chains) {
            const auto fault = m_sanity(each.m);
            ASSERT_FALSE(fault) << *fault << " at step " << step;
            ASSERT_EQ(bytes_of(each.m), each.want) << "step " << step;
        }
    }
    for (const Chain& each : chains) m_freem(each.m);
}

}  // namespace
}  // namespace umbuf::test
