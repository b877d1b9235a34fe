// SPDX-License-Identifier: BSD-2-Clause
// foreign_clone_test.cc - DPDK code clones our mbufs, in the worst order, and nothing is corrupted.
#include <thread>

#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

class ForeignClone : public MbufTest {
  protected:
    static Mbuf* clone(Mbuf* m) { return Mbuf::of(rte_pktmbuf_clone(&m->rte, rx_zone()->pool)); }
};

// The bug of Open vSwitch 8d3c62e4: the clone outlives the header whose record counts it.
TEST_F(ForeignClone, AHeaderWithALivingCloneIsSetAsideAndNeverReused) {
    const std::string bytes = pattern(800);
    Mbuf* original = clustered(bytes);
    Mbuf* foreign = clone(original);
    ASSERT_NE(foreign, nullptr);
    EXPECT_FALSE(m_writable(original)) << "the clone sees our bytes";
    EXPECT_FALSE(m_writable(foreign));
    const MbufTraps before = mbuf_traps();
    m_freem(original);  // the header goes back to its zone; its record lives on

    // Take every header of the zone: none may be the original, and no write may reach the clone.
    std::vector<Mbuf*> all;
    while (Mbuf* m = m_get(M_NOWAIT, MT_DATA)) {
        ASSERT_NE(m, original);
        all.push_back(m);
    }
    EXPECT_EQ(mbuf_traps().foreign_clones, before.foreign_clones + 1);
    EXPECT_EQ(mbuf_traps().set_aside_now, before.set_aside_now + 1);
    EXPECT_EQ(bytes_of(foreign), bytes);

    rte_pktmbuf_free(&foreign->rte);  // drops the last reference through the parked header's record
    Mbuf* last = m_get(M_NOWAIT, MT_DATA);
    EXPECT_EQ(last, original) << "reclaimed when the zone was empty and the clone was gone";
    EXPECT_EQ(mbuf_traps().set_aside_now, before.set_aside_now);
    m_free(last);
    for (Mbuf* m : all) m_free(m);
}

TEST_F(ForeignClone, ACloneFreedFirstNeedsNoTrap) {
    Mbuf* original = clustered(pattern(100));
    const MbufTraps before = mbuf_traps();
    rte_pktmbuf_free(&clone(original)->rte);
    EXPECT_TRUE(m_writable(original));
    m_freem(original);
    EXPECT_EQ(mbuf_traps().foreign_clones, before.foreign_clones);
}

TEST_F(ForeignClone, ACloneOfAReceivedPacketPinsItAsDpdkExpects) {
    Mbuf* original = received(pattern(100));
    Mbuf* foreign = clone(original);
    Mbuf* copy = m_copypacket(original, M_NOWAIT);  // and a copy of ours at the same time
    m_freem(original);
    EXPECT_EQ(bytes_of(foreign), pattern(100));
    rte_pktmbuf_free(&foreign->rte);
    EXPECT_EQ(bytes_of(copy), pattern(100));
    EXPECT_TRUE(m_writable(copy));
    m_freem(copy);
}

TEST_F(ForeignClone, VerbsCopyTheBytesOfACloneInsteadOfSharing) {
    const std::string bytes = pattern(800);
    for (Mbuf* original : {clustered(bytes), received(bytes)}) {
        Mbuf* foreign = clone(original);
        Mbuf* copy = m_copym(foreign, 0, M_COPYALL, M_NOWAIT);
        ASSERT_NE(copy, nullptr);
        EXPECT_NE(copy->data(), original->data());
        EXPECT_EQ(bytes_of(copy), bytes);
        Mbuf* rest = m_split(foreign, 300, M_NOWAIT);
        EXPECT_EQ(bytes_of(rest), bytes.substr(300));
        EXPECT_EQ(bytes_of(foreign), bytes.substr(0, 300));
        const std::pair<Mbuf*, uint32_t> packets[] = {{copy, 800}, {rest, 500}, {foreign, 300}};
        for (const auto& [m, length] : packets) {
            EXPECT_TRUE(m->has_pkthdr());
            EXPECT_EQ(m->pkt_len(), length);
            EXPECT_EQ(m->rte.nb_segs, 1);
            verify(m);
        }
        for (Mbuf* m : {copy, rest, foreign, original}) m_freem(m);
    }
}

// Its private part belongs to whatever the header was before, or still is.
TEST_F(ForeignClone, TheFlagsOfACloneAreFixed) {
    for (Mbuf* original : {clustered(pattern(100)), received(pattern(100))}) {
        original->set_flags(M_EOR);
        Mbuf* foreign = clone(original);
        for (int i = 0; i < 2; ++i) {
            EXPECT_EQ(foreign->flags(), uint32_t{M_PKTHDR | M_EXT | M_RDONLY});
            foreign->set_flags(M_BCAST);
            foreign->clear_flags(M_PKTHDR);
        }
        m_freem(foreign);
        m_freem(original);
    }
}

TEST_F(ForeignClone, VerbsOnACloneKeepItsTotals) {
    for (Mbuf* original : {clustered(pattern(700)), received(pattern(700))}) {
        Mbuf* foreign = m_prepend(clone(original), 14, M_NOWAIT);
        EXPECT_EQ(foreign->rte.nb_segs, 2);
        EXPECT_EQ(foreign->pkt_len(), 714U);
        verify(foreign);
        foreign = m_pullup(foreign, 300);
        EXPECT_EQ(bytes_of(foreign).substr(14), pattern(700));
        verify(foreign);
        Mbuf* joined = inlined(pattern(20));
        m_cat(joined, clone(original));
        EXPECT_EQ(joined->pkt_len(), 720U);
        verify(joined);
        for (Mbuf* m : {foreign, joined, original}) m_freem(m);
    }
}

TEST_F(ForeignClone, ARestThatBeginsWithACloneHasItsOwnTotals) {
    Mbuf* original = clustered(pattern(500));
    Mbuf* m = m_copym(original, 100, 50, M_NOWAIT);  // no packet
    m_cat(m, clone(original));
    m_cat(m, clone(original));
    Mbuf* rest = m_split(m, 50, M_NOWAIT);
    EXPECT_EQ(rest->pkt_len(), 1000U);
    EXPECT_EQ(rest->rte.nb_segs, 2);
    verify(rest);
    for (Mbuf* each : {original, m, rest}) m_freem(each);
}

// DPDK frees what its clones pin without looking for storage: an mbuf whose inline bytes are cloned
// must not have any by then.
TEST_F(ForeignClone, AnMbufWhoseInlineBytesAreClonedTakesNoStorage) {
    Mbuf* original = inlined(pattern(100));
    Mbuf* foreign = clone(original);
    ASSERT_TRUE(m_extfree(original)) << "it has none, and is empty now";
    original->rte.pkt_len = 0;
    char bytes[16] = {};
    const auto never = [](void*, uint32_t, void*) { FAIL(); };
    EXPECT_EQ(m_clget(original, M_NOWAIT, 2048), EBUSY);
    EXPECT_EQ(m_extadd(original, bytes, sizeof bytes, never, nullptr, 0), EBUSY);
    EXPECT_EQ(bytes_of(foreign), pattern(100));
    m_freem(foreign);
    EXPECT_EQ(m_clget(original, M_NOWAIT, 2048), 0);
    m_freem(original);
}

// Scheme leader keeps a freed leader for its followers, and must not forget that it was cloned.
TEST_F(ForeignClone, ACloneOfAFreedOriginalKeepsItsCopiesReadOnly) {
    for (Mbuf* original : {clustered(pattern(300)), received(pattern(300))}) {
        Mbuf* copy = m_copypacket(original, M_NOWAIT);
        Mbuf* foreign = clone(original);
        m_freem(original);
        EXPECT_FALSE(m_writable(copy)) << "the clone sees these bytes";
        m_freem(foreign);
        EXPECT_TRUE(m_writable(copy));
        m_freem(copy);
    }
}

TEST_F(ForeignClone, AClusterThatACloneSeesIsNotLetGo) {
    Mbuf* original = clustered(pattern(400));
    Mbuf* foreign = clone(original);
    EXPECT_FALSE(m_extfree(original));
    EXPECT_EQ(bytes_of(original), pattern(400));
    EXPECT_EQ(bytes_of(foreign), pattern(400));
    rte_pktmbuf_free(&foreign->rte);
    EXPECT_TRUE(m_extfree(original));
    EXPECT_EQ(original->len(), 0U);
    m_freem(original);
}

TEST_F(ForeignClone, ACopyOfOursMayBeClonedToo) {
    Mbuf* m = received(pattern(500));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    Mbuf* foreign = clone(copy);
    m_freem(m);
    m_freem(copy);
    EXPECT_EQ(bytes_of(foreign), pattern(500));
    rte_pktmbuf_free(&foreign->rte);
}

// Goal: clones freed on another thread while this one takes and gives headers as fast as it can:
// no header is handed out while its record lives. Method: m_get would attach over a live record and
// the storage's count or bytes would be wrong at once.
TEST_F(ForeignClone, ClonesFreedByAnotherThreadNeverMeetAReusedHeader) {
    std::printf("rounds from seed %llu\n", static_cast<unsigned long long>(seed()));
    for (uint32_t round = 0; round < 300; ++round) {
        std::vector<Mbuf*> clones;
        for (uint32_t i = 0; i < 16; ++i) {
            Mbuf* original = clustered(pattern(64, i));
            clones.push_back(clone(original));
            m_freem(original);
        }
        std::thread freer([&clones] {
            for (Mbuf* m : clones) rte_pktmbuf_free(&m->rte);
        });
        for (uint32_t i = 0; i < 64; ++i) {
            Mbuf* m = clustered(pattern(64, 100 + i));
            ASSERT_EQ(bytes_of(m), pattern(64, 100 + i));
            m_freem(m);
        }
        freer.join();
    }
}

}  // namespace
}  // namespace umbuf::test
