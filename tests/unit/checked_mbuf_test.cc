// SPDX-License-Identifier: BSD-2-Clause
// checked_mbuf_test.cc - mbufs under the checked handler: DPDK's own pools, then this library's zones.
#include "tests/unit/checked_pool.h"
#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

using CheckedMbufs = CheckedTest;

TEST_F(CheckedMbufs, TheDataRoomIsWatchedToItsLastByte) {
    rte_mempool* pool = mbufs();
    for (const uint32_t at : {0u, 128u, 511u}) {
        rte_mbuf* m = rte_pktmbuf_alloc(pool);
        char* buffer = static_cast<char*>(m->buf_addr);
        std::memset(buffer, 'x', 512);
        rte_pktmbuf_free(m);
        EXPECT_EQ(scan(pool), 0);
        buffer[at] = 'x';
        EXPECT_EQ(scan(pool), 1) << at;
    }
    EXPECT_EQ(faults(pool), 3u);
}

TEST_F(CheckedMbufs, TheHeaderIsWatchedAndThePrivateAreaIsKept) {
    rte_mempool* pool = mbufs();
    rte_mbuf* m = rte_pktmbuf_alloc(pool);
    std::memset(rte_mbuf_to_priv(m), 'p', 64);
    rte_pktmbuf_free(m);
    static_cast<char*>(rte_mbuf_to_priv(m))[63] = 'q';
    EXPECT_EQ(scan(pool), 0) << "the private area is its owner's, also in the pool";
    m->pkt_len = 7;
    EXPECT_EQ(scan(pool), 1);
    EXPECT_EQ(counts(pool).late_writes, 1u);
    const std::vector<void*> all = take(pool, kN);
    EXPECT_EQ(static_cast<char*>(rte_mbuf_to_priv(m))[62], 'p');
    put(pool, all);
    EXPECT_EQ(faults(pool), 1u);
}

TEST_F(CheckedMbufs, AWriteBehindTheBufferIsFound) {
    rte_mempool* pool = mbufs(64, 509);  // DPDK rounds the element up by 3 bytes
    rte_mbuf* m = rte_pktmbuf_alloc(pool);
    static_cast<char*>(m->buf_addr)[508] = 1;
    rte_pktmbuf_free(m);
    EXPECT_EQ(faults(pool), 0u);
    turn_over(pool);
    m = rte_pktmbuf_alloc(pool);
    static_cast<char*>(m->buf_addr)[509] = 1;
    rte_pktmbuf_free(m);
    EXPECT_EQ(counts(pool).overruns, 1u);
}

// Freed by the pool's own verb although somebody else holds it, or a chain hangs on it.
TEST_F(CheckedMbufs, AnMbufInUseIsNotFitForThePool) {
    rte_mempool* pool = mbufs();
    rte_mbuf* m = rte_pktmbuf_alloc(pool);
    rte_mbuf* rest = rte_pktmbuf_alloc(pool);
    rte_mbuf_refcnt_set(m, 2);
    rte_mempool_put(pool, m);
    EXPECT_EQ(counts(pool).unfit, 1u);
    const std::vector<void*> all = take(pool, kN - 1);
    rte_mbuf_refcnt_set(m, 1);
    m->next = rest;
    m->nb_segs = 2;
    rte_mempool_put(pool, m);
    EXPECT_EQ(counts(pool).unfit, 2u);
    ASSERT_EQ(take(pool), reinterpret_cast<char*>(m));
    m->next = nullptr;
    m->nb_segs = 1;
    put(pool, all);
    rte_pktmbuf_free(rest);
    EXPECT_EQ(faults(pool), 2u);
}

TEST_F(CheckedMbufs, DpdksOwnVerbsAreClean) {
    rte_mempool* pool = mbufs();
    static rte_mbuf_ext_shared_info shared;
    shared.free_cb = [](void*, void*) {};
    alignas(64) static char outside[256];
    for (int round = 0; round < 300; ++round) {
        rte_mbuf* m = rte_pktmbuf_alloc(pool);
        ASSERT_NE(rte_pktmbuf_append(m, 200), nullptr);
        rte_mbuf* clone = rte_pktmbuf_clone(m, pool);
        rte_mbuf* tail = rte_pktmbuf_copy(m, pool, 0, 100);
        ASSERT_EQ(rte_pktmbuf_chain(m, tail), 0);
        rte_mbuf* attached = rte_pktmbuf_alloc(pool);
        rte_mbuf_ext_refcnt_set(&shared, 1);
        rte_pktmbuf_attach_extbuf(attached, outside, RTE_BAD_IOVA, sizeof outside, &shared);
        rte_pktmbuf_free(round % 2 == 0 ? m : clone);
        rte_pktmbuf_free(attached);
        rte_pktmbuf_free(round % 2 == 0 ? clone : m);
    }
    EXPECT_EQ(scan(pool), 0);
    EXPECT_EQ(faults(pool), 0u);
}

TEST_F(CheckedMbufs, PinnedBuffersAreLeftAlone) {
    alignas(64) static char outside[kN * 256];
    const rte_pktmbuf_extmem memory{.buf_ptr = outside, .buf_iova = RTE_BAD_IOVA,
                                    .buf_len = sizeof outside, .elt_size = 256};
    rte_mempool* pool = keep_pool(rte_pktmbuf_pool_create_extbuf(name().c_str(), kN, 0, 64, 256, 0,
                                                                 &memory, 1));
    for (int round = 0; round < 300; ++round) {
        rte_mbuf* m = rte_pktmbuf_alloc(pool);
        std::memset(rte_pktmbuf_append(m, 64), round, 64);
        rte_pktmbuf_free(m);
    }
    turn_over(pool);
    EXPECT_EQ(scan(pool), 0);
    EXPECT_EQ(faults(pool), 0u);
}

// ---- this library's zones. Those were made with UM_CHECKED as it was, so with abort.

class CheckedZones : public MbufTest {};

TEST_F(CheckedZones, AreAllOfTheHandlerAndWithoutCaches) {
    ASSERT_FALSE(zones().empty());
    for (const Zone* zone : zones()) {
        EXPECT_STREQ(rte_mempool_get_ops(zone->pool->ops_index)->name, "checked") << zone->name;
        EXPECT_EQ(zone->pool->cache_size, 0u) << zone->name;
    }
}

TEST_F(CheckedZones, TheVerbsAreClean) {
    for (int round = 0; round < 300; ++round) {
        Mbuf* packet = received(pattern(1500));
        Mbuf* made = clustered(pattern(3000));
        Mbuf* copy = m_copym(packet, 10, 1000, M_NOWAIT);
        Mbuf* window = m_copym(made, 0, 2000, M_NOWAIT);
        ASSERT_TRUE(copy != nullptr && window != nullptr);
        m_freem(round % 2 == 0 ? packet : copy);
        EXPECT_EQ(bytes_of(window), pattern(3000).substr(0, 2000));
        m_freem(made);
        m_freem(window);
        m_freem(round % 2 == 0 ? copy : packet);
    }
    for (const Zone* zone : zones()) {
        EXPECT_EQ(scan(zone->pool), 0) << zone->name;
        EXPECT_EQ(faults(zone->pool), 0u) << zone->name;
    }
}

TEST_F(CheckedZones, AClusterThatIsWrittenAfterTheLastFreeIsReported) {
    Mbuf* m = clustered(pattern(2000));
    std::byte* data = m->data();
    rte_mempool* pool = rte_mempool_from_obj(ext_control(m));
    m_freem(m);
    Byte last(data + 1999);
    EXPECT_DEATH(
        {
            last.write(1);
            (void)scan(pool);
        },
        "pool um_cl2k_0: write after free.*1 bytes differ, the first at offset 2063");
}

TEST_F(CheckedZones, APacketsFreedDataIsWatched) {
    Mbuf* m = received(pattern(100));
    std::byte* data = m->data();
    m_freem(m);
    Byte last(data + 99);
    EXPECT_DEATH(
        {
            last.write(1);
            (void)scan(rx_zone()->pool);
        },
        "pool um_rx_test: write after free.*227 in the data room");
}

}  // namespace
}  // namespace umbuf::test
