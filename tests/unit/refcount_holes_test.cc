// SPDX-License-Identifier: BSD-2-Clause
// refcount_holes_test.cc - bugs that others had with shared storage, each as the test that finds it.
//
// docs/refcount-holes.md tells what happened there. Z1 to Z6 are about M_ZEROIZE; where the original's
// hole is a race, its steps stand here in plain code, in the order that loses, and ours in the same.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

// Storage that the test owns, so that it may look at it after the last reference is gone.
struct Owned {
    std::string bytes;
    std::string at_end;
    int frees = 0;
    explicit Owned(std::string content) : bytes(std::move(content)) {}

    static void free(void*, uint32_t, void* arg) {
        Owned* self = static_cast<Owned*>(arg);
        ++self->frees;
        self->at_end = self->bytes;
    }
    [[nodiscard]] Mbuf* packet(uint32_t flags = 0) {
        Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
        EXPECT_EQ(m_extadd(m, bytes.data(), static_cast<uint32_t>(bytes.size()), free, this, flags), 0);
        m->set_len(static_cast<uint32_t>(bytes.size()));
        m->rte.pkt_len = m->len();
        return m;
    }
    [[nodiscard]] bool freed_zero() const { return frees == 1 && at_end == std::string(bytes.size(), '\0'); }
    [[nodiscard]] bool freed_as(const std::string& content) const { return frees == 1 && at_end == content; }
};

class Holes : public MbufTest {};

// ---- Z1 and Z2: OpenBSD's ring before 2026 told the neighbours, by writing into their flags
//
// One step of each holder at a time; `flags` is what its owner changes without a lock.
struct RingHolder {
    bool flag = false;      // M_ZEROIZE
    bool linked = true;
};
struct Ring {
    bool zeroed = false, freed = false;
    RingHolder a, b;
    // m_zero: alone, zero now; else hand the request to the neighbour.
    void zero(RingHolder& me, RingHolder& other) {
        if (!me.flag) return;
        if (!other.linked) zeroed = true;
        else other.flag = true;
    }
    void unlink(RingHolder& me, const RingHolder& other) {
        me.linked = false;
        if (!other.linked) freed = true;
    }
};

TEST_F(Holes, Z1TheNeighbourThatIsLeavingHearsNoRequest) {
    Ring ring;
    ring.a.flag = true;
    ring.zero(ring.b, ring.a);    // B frees: it has no request
    ring.zero(ring.a, ring.b);    // A frees: it is not alone, so it tells B, who has looked already
    ring.unlink(ring.b, ring.a);
    ring.unlink(ring.a, ring.b);  // A is the last, and has looked, too
    EXPECT_TRUE(ring.freed);
    EXPECT_FALSE(ring.zeroed) << "the original's hole";

    for (const bool asker_first : {false, true}) {
        Owned secret(pattern(900));
        Mbuf* a = secret.packet();
        Mbuf* b = m_copypacket(a, M_NOWAIT);
        a->set_flags(M_ZEROIZE);
        m_freem(asker_first ? a : b);
        m_freem(asker_first ? b : a);
        EXPECT_TRUE(secret.freed_zero());
    }
}

TEST_F(Holes, Z2ANeighboursFlagIsOverwrittenByItsOwner) {
    Ring ring;
    ring.a.flag = true;
    const bool read = ring.b.flag;  // B sets a flag of its own: reads the word ...
    ring.zero(ring.a, ring.b);      // ... A frees, and sets the request in it ...
    ring.unlink(ring.a, ring.b);
    ring.b.flag = read;             // ... and B writes it back
    ring.zero(ring.b, ring.a);
    ring.unlink(ring.b, ring.a);
    EXPECT_TRUE(ring.freed);
    EXPECT_FALSE(ring.zeroed) << "the original's hole";

    Owned secret(pattern(900));
    Mbuf* a = secret.packet();
    Mbuf* b = m_copypacket(a, M_NOWAIT);
    a->set_flags(M_ZEROIZE);
    const uint32_t flags = b->m_flags;
    m_freem(a);
    b->m_flags = flags | M_EOR;
    m_freem(b);
    EXPECT_TRUE(secret.freed_zero()) << "a request is with the storage, not in a neighbour's flags";
}

// ---- Z3 and Z4: storage that nobody shares, and storage that is not ours to write
TEST_F(Holes, Z3UnsharedForeignStorageIsZeroed) {
    Owned secret(pattern(900));
    Mbuf* m = secret.packet();
    m->set_flags(M_ZEROIZE);
    rte_pktmbuf_free(&m->rte);
    EXPECT_TRUE(secret.freed_zero());
}

TEST_F(Holes, Z4ReadOnlyStorageIsNeverWritten) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void* const bytes = mmap(nullptr, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(bytes, MAP_FAILED);
    for (const bool share : {false, true}) {
        int frees = 0;
        Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
        const auto count = [](void*, uint32_t, void* arg) { ++*static_cast<int*>(arg); };
        ASSERT_EQ(m_extadd(m, bytes, static_cast<uint32_t>(page), count, &frees, M_RDONLY), 0);
        m->set_len(100);
        m->rte.pkt_len = 100;
        Mbuf* copy = share ? m_copypacket(m, M_NOWAIT) : nullptr;
        m->set_flags(M_ZEROIZE);
        m_freem(m);
        m_freem(copy);  // a write would be a SIGSEGV
        EXPECT_EQ(frees, 1);
    }
    munmap(bytes, page);
}

// ---- Z5: an mbuf that takes other storage leaves its request with the old
TEST_F(Holes, Z5StorageThatAnMbufLeavesKeepsItsRequest) {
    for (const bool share : {false, true}) {
        Owned secret(pattern(900));
        Mbuf* m = secret.packet();
        Mbuf* copy = share ? m_copypacket(m, M_NOWAIT) : nullptr;
        m->set_flags(M_ZEROIZE);
        ASSERT_TRUE(m_extfree(m));
        EXPECT_EQ(m->flags() & M_ZEROIZE, 0U) << "what it takes next is no secret";
        m->rte.pkt_len = 0;
        m_freem(copy);
        EXPECT_TRUE(secret.freed_zero());
        m_freem(m);
    }
}

// ---- Z6: every mbuf that sees secret bytes has the request, not only the first of its packet
TEST_F(Holes, Z6EachMbufOfACopyCarriesTheRequestOfItsSource) {
    for (Mbuf* second : {clustered(pattern(600, 1)), received(pattern(600, 1)), inlined(pattern(250, 1))}) {
        Mbuf* m = inlined(pattern(100));
        m_adj(m, -10);
        Mbuf* pin = m_copypacket(second, M_NOWAIT);
        second->set_flags(M_ZEROIZE);
        m->set_next(second);  // m_cat would move the bytes
        second->clear_flags(M_PKTHDR);
        second->rte.nb_segs = 1;
        m->rte.nb_segs = 2;
        m->rte.pkt_len = 90 + second->len();
        Mbuf* copy = m_copym(m, 0, M_COPYALL, M_NOWAIT);
        EXPECT_EQ(copy->flags() & M_ZEROIZE, 0U);
        EXPECT_EQ(copy->next()->flags() & M_ZEROIZE, uint32_t{M_ZEROIZE});
        Mbuf* rest = m_split(m, 120, M_NOWAIT);
        EXPECT_EQ(rest->flags() & M_ZEROIZE, uint32_t{M_ZEROIZE});
        for (Mbuf* each : {copy, rest, m, pin}) m_freem(each);
    }
}

// A received header that a driver frees is seen by nobody: only its copies can ask.
TEST_F(Holes, Z6TheCopiesOfASecretSegmentZeroItWhenADriverFreedItsHeader) {
    Mbuf* m = received(pattern(100));
    Mbuf* secret = received(pattern(600, 1));
    const std::byte* bytes = secret->data();
    secret->set_flags(M_ZEROIZE);
    secret->clear_flags(M_PKTHDR);
    m->set_next(secret);
    m->rte.nb_segs = 2;
    m->rte.pkt_len = 700;
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    rte_pktmbuf_free(&m->rte);
    EXPECT_EQ(bytes_of(copy), pattern(100) + pattern(600, 1));
    rte_pktmbuf_free(&copy->rte);
    EXPECT_TRUE(std::all_of(bytes, bytes + 600, [](std::byte b) { return b == std::byte{0}; }));
}

// ---- DragonFly: m_split failed half way, and left the first part cut
TEST_F(Holes, DragonFlyASplitThatFailsLeavesThePacketWhole) {
    for (uint32_t k = 1; k <= 2; ++k) {
        Mbuf* m = clustered(pattern(900));
        m_cat(m, received(pattern(1500, 1)));
        for (const uint32_t at : {400U, 1400U}) {
            alloc_faults_arm(k);
            EXPECT_EQ(m_split(m, at, M_NOWAIT), nullptr);
            alloc_faults_arm(0);
            EXPECT_EQ(bytes_of(m), pattern(900) + pattern(1500, 1));
            EXPECT_EQ(m->pkt_len(), 2400U);
            verify(m);
            EXPECT_TRUE(m_writable(m)) << "no reference was kept";
            EXPECT_TRUE(m_writable(m->next()));
        }
        m_freem(m);
    }
}

// ---- F-Stack 565: m_free was mapped to a function that frees the whole chain
TEST_F(Holes, FStack565FreeEndsOneMbufAndReturnsTheNext) {
    Mbuf* m = received(pattern(900));
    m_cat(m, received(pattern(1500, 1)));
    Mbuf* second = m->next();
    ASSERT_NE(second, nullptr);
    const uint32_t held = rx_zone()->in_use();
    EXPECT_EQ(m_free(m), second);
    EXPECT_EQ(rx_zone()->in_use(), held - 1);
    EXPECT_EQ(bytes_of(second), pattern(1500, 1));
    EXPECT_EQ(sync::load_of(second->rte.refcnt, sync::acquire), 1);
    EXPECT_EQ(m_free(second), nullptr);
}

// ---- F-Stack 568: the record of storage that is gone was read, without a look at M_EXT
TEST_F(Holes, FStack568TheRecordOfStorageThatIsGoneIsNotRead) {
    Owned first(pattern(900));
    Mbuf* m = first.packet();
    ASSERT_TRUE(m_extfree(m));
    EXPECT_EQ(first.frees, 1);
    std::memcpy(m->data(), pattern(40, 2).data(), 40);
    m->set_len(40);
    m->rte.pkt_len = 40;
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    EXPECT_NE(copy->data(), m->data()) << "copied: there is nothing to share";
    EXPECT_TRUE(m_writable(m));
    EXPECT_EQ(m->ctl.load(sync::relaxed), nullptr);
    m_freem(m);
    m_freem(copy);
    EXPECT_EQ(first.frees, 1);
}

// ---- Open vSwitch 8d3c62e4: ForeignClone.AHeaderWithALivingCloneIsSetAsideAndNeverReused

// ---- DPDK 84ad6e44: of a chain that was given out, only the head was pinned
TEST_F(Holes, Dpdk84ad6e44EachSegmentOfACopiedChainIsPinned) {
    Mbuf* m = received(pattern(1000));
    for (uint32_t i = 1; i < 3; ++i) {
        Mbuf* more = received(pattern(2000, i));
        m_cat(m, more);
    }
    ASSERT_EQ(m->rte.nb_segs, 3);
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    for (const Mbuf* s = m; s != nullptr; s = s->next())
        EXPECT_EQ(rte_mbuf_refcnt_read(&s->rte), 2);
    rte_pktmbuf_free(&m->rte);
    std::vector<Mbuf*> others;  // whoever takes mbufs now must not get one of the three
    while (Mbuf* other = received(std::string(2000, 'x'))) others.push_back(other);
    EXPECT_EQ(bytes_of(copy), pattern(1000) + pattern(2000, 1) + pattern(2000, 2));
    for (Mbuf* other : others) m_freem(other);
    m_freem(copy);
}

// ---- DPDK 8f094a9a: in its pool an mbuf has count 1, as if it were alive, so a second free is silent
TEST_F(Holes, Dpdk8f094a9aAReferenceThatIsDroppedTwiceIsSeen) {
    GTEST_FLAG_SET(death_test_style, "fast");
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    m_freem(copy);
    EXPECT_EQ(copy->rte.refcnt, 1) << "DPDK cannot tell";
    EXPECT_EQ(copy->ctl.load(sync::relaxed), nullptr) << "we can: parked";
    EXPECT_DEATH(refs_in_use().hook(nullptr, copy), "its reference was dropped before");
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::test
