// SPDX-License-Identifier: BSD-2-Clause
// unmapped_port_test.cc - packets that show unmapped pages, out of every kind of port.
//
// Named after the bugs of others that they keep away: R13 is DPDK's af_xdp (10ed220497: frames of zeros)
// and virtio-user with external memory (a black hole), R33 is MBUF_FAST_FREE, which looks at no count.
#include <string>

#include <sys/mman.h>

#include <rte_memory.h>

#include "drivers/net/fault.h"
#include "drivers/net/offloads.h"
#include "tests/unit/paged_packets.h"

namespace umbuf::test {
namespace {

class UnmappedPort : public PagedPortTest {};

// ---- the three ways

TEST_F(UnmappedPort, WithoutAnArenaThePathIsTheDevice) {
    ASSERT_TRUE(arena_close().empty());
    Loop loop;
    EXPECT_FALSE(loop.port->paged());
    open(*loop.port);
    ASSERT_TRUE(send(*loop.port, received(pattern(70))));
    m_freem(receive(*loop.port));
    open(config());  // which the end of the test closes
}

TEST_F(UnmappedPort, ABelievedPortGetsThePageItself) {
    Loop loop(believed());
    open(*loop.port);
    ASSERT_EQ(loop.port->pages().way(), PageWay::as_is);
    const std::string payload = pattern(5000);
    const uint64_t copied = copied_for(CopiedFor::nic);
    ASSERT_TRUE(send(*loop.port, paged(payload, PageClass::cache)));
    Mbuf* m = receive(*loop.port);
    ASSERT_NE(m, nullptr);
    EXPECT_TRUE(m_unmapped(m->next()));
    expect_bytes(m, payload);
    EXPECT_EQ(loop.port->pages().counts().as_is, 1u);
    EXPECT_EQ(copied_for(CopiedFor::nic), copied);
}

TEST_F(UnmappedPort, OthersGetWindowsAndNothingIsCopied) {
    Loop loop;
    open(*loop.port);
    const std::string payload = pattern(5000);
    const uint64_t copied = copied_for(CopiedFor::nic);
    ASSERT_TRUE(send(*loop.port, paged(payload)));
    Mbuf* m = receive(*loop.port);
    ASSERT_NE(m, nullptr);
    EXPECT_FALSE(m_has_unmapped(m));
    EXPECT_TRUE(ghost::alias_has(m->next()->rte.buf_addr));
    expect_bytes(m, payload);
    EXPECT_EQ(loop.port->pages().counts().windows, 1u);
    EXPECT_EQ(copied_for(CopiedFor::nic), copied);
}

TEST_F(UnmappedPort, MappedPacketsPassUncountedBetweenThem) {
    Loop loop;
    open(*loop.port);
    rte_mbuf* burst[] = {&received(pattern(70))->rte, &paged(pattern(100))->rte, &chain(pattern(90), 40)->rte,
                         &paged(pattern(200))->rte};
    EXPECT_EQ(loop.port->tx_burst(0, burst, 4).alive(), 4u);
    for (uint32_t i = 0; i < 4; ++i) m_freem(receive(*loop.port));
    const PageCounts n = loop.port->pages().counts();
    EXPECT_EQ(n.windows, 2u);
    EXPECT_EQ(n.as_is + n.copies + n.captured + n.dead(), 0u);
}

TEST_F(UnmappedPort, InAStrictArenaTheyAreCopiedBecauseNoWindowStands) {
    ArenaConfig strict = config();
    strict.strict = true;
    reopen(strict);
    Loop loop;
    open(*loop.port);
    EXPECT_EQ(loop.port->pages().way(), PageWay::copies);
    const std::string payload = pattern(3000);
    const uint64_t copied = copied_for(CopiedFor::nic);
    ASSERT_TRUE(send(*loop.port, paged(payload)));
    expect_bytes(receive(*loop.port), payload);
    EXPECT_EQ(copied_for(CopiedFor::nic) - copied, 3000u) << "charged to the device's account";
}

// ---- what cannot be sent

TEST_F(UnmappedPort, ContentThatHasNotArrivedIsNeverSentAndItsNeighboursAre) {
    for (const PortConfig& c : {config_with_zone(), believed()}) {
        Loop loop(c);
        open(*loop.port);
        Mbuf* waiting = mb_alloc_ext_pgs(PageClass::cache, 500, M_NOWAIT, "test");
        Page* page = page_of(waiting);
        Mbuf* failed = mb_alloc_ext_pgs(PageClass::cache, 500, M_NOWAIT, "test");
        page_failed(page_of(failed));
        rte_mbuf* burst[] = {&paged(pattern(100))->rte, &headed(head_bytes(), waiting)->rte,
                             &headed(head_bytes(), failed)->rte, &paged(pattern(200))->rte};
        const Sent sent = loop.port->tx_burst(0, burst, 4);
        EXPECT_EQ(sent.taken, 4u);
        EXPECT_EQ(sent.pages, 2u);
        expect_bytes(receive(*loop.port), pattern(100));
        expect_bytes(receive(*loop.port), pattern(200));
        EXPECT_EQ(loop.port->pages().counts().not_ready, 1u);
        EXPECT_EQ(loop.port->pages().counts().failed, 1u);
        EXPECT_EQ(page->owner, nullptr) << "freed once, and the page is home";
    }
}

TEST_F(UnmappedPort, AReadyPageIsSentThoughNobodyTookItsMarkAway) {
    Loop loop(believed());
    open(*loop.port);
    Mbuf* m = filled(PageClass::cache, pattern(300));
    ASSERT_NE(m->flags() & M_NOTREADY, 0u);
    ASSERT_TRUE(send(*loop.port, headed(head_bytes(), m)));
    expect_bytes(receive(*loop.port), pattern(300));
}

TEST_F(UnmappedPort, DevicesPagesGoOnlyWhereTheyGoAsTheyAre) {
    Loop windows, as_is(believed());
    open(*windows.port);
    open(*as_is.port);
    for (Loop* loop : {&windows, &as_is}) {
        Mbuf* m = mb_alloc_ext_pgs(PageClass::device, 500, M_NOWAIT, "test");
        rte_mbuf* burst = &headed(head_bytes(), m)->rte;
        const Sent sent = loop->port->tx_burst(0, &burst, 1);
        EXPECT_EQ(sent.taken, 1u);
        EXPECT_EQ(sent.pages, loop == &windows ? 1u : 0u);
        m_freem(receive(*loop->port));
    }
    EXPECT_EQ(windows.port->pages().counts().hidden, 1u);
    EXPECT_EQ(as_is.port->pages().counts().as_is, 1u);
}

TEST_F(UnmappedPort, AFullRingLeavesThemWithTheCaller) {
    Loop loop(config_with_zone(), 2);
    open(*loop.port);
    Mbuf* waiting = mb_alloc_ext_pgs(PageClass::cache, 500, M_NOWAIT, "test");
    rte_mbuf* burst[] = {&paged(pattern(100))->rte, &paged(pattern(200))->rte, &paged(pattern(300))->rte,
                         &headed(head_bytes(), waiting)->rte};
    const Sent sent = loop.port->tx_burst(0, burst, 4);
    EXPECT_EQ(sent.taken, 2u);
    EXPECT_EQ(sent.pages, 0u) << "it waits its turn to die";
    EXPECT_EQ(bytes_of(Mbuf::of(burst[2])), head_bytes() + pattern(300));
    EXPECT_EQ(loop.port->pages().counts().windows, 2u) << "what was taken";
    EXPECT_EQ(loop.port->pages().counts().dead(), 0u);
    m_freem(Mbuf::of(burst[2]));
    m_freem(Mbuf::of(burst[3]));
}

TEST_F(UnmappedPort, AChainThatIsTooLongIsFlattenedThroughWindows) {
    PortConfig c = config_with_zone();
    c.multi_seg = false;
    Loop loop(c);
    open(*loop.port);
    const std::string payload = pattern(1500);
    const uint64_t copied = copied_for(CopiedFor::nic);
    ASSERT_TRUE(send(*loop.port, paged(payload)));
    Mbuf* m = receive(*loop.port);
    ASSERT_NE(m, nullptr);
    EXPECT_EQ(m->rte.nb_segs, 1);
    expect_bytes(m, payload);
    EXPECT_EQ(loop.port->flattened(), 1u);
    EXPECT_EQ(loop.port->pages().counts().copies, 1u);
    EXPECT_EQ(copied_for(CopiedFor::nic) - copied, 1500u);
    Mbuf* hidden = mb_alloc_ext_pgs(PageClass::device, 500, M_NOWAIT, "test");
    rte_mbuf* burst = &headed(head_bytes(), hidden)->rte;
    EXPECT_EQ(loop.port->tx_burst(0, &burst, 1).pages, 1u);
}

// A DPDK clone has no private part of its own, and holds the page by the record of what it was cloned of.
TEST_F(UnmappedPort, R14_ClonesOfDpdksAreConvertedLikeOthers) {
    for (const bool strict : {false, true}) {
        ArenaConfig c = config();
        c.strict = strict;
        reopen(c);
        Loop loop;
        open(*loop.port);
        const std::string payload = pattern(700);
        Mbuf* m = paged(payload);
        rte_mbuf* clone = rte_pktmbuf_clone(&m->rte, rx_zone()->pool);
        ASSERT_NE(clone, nullptr);
        ASSERT_EQ(loop.port->tx_burst(0, &clone, 1).alive(), 1u);
        rte_mbuf* got = nullptr;
        ASSERT_EQ(loop.port->rx_burst(0, &got, 1), 1u);
        char bytes[kHead + 700];
        EXPECT_NE(rte_pktmbuf_read(got, 0, sizeof bytes, bytes), nullptr);
        EXPECT_EQ(std::string(bytes, sizeof bytes), head_bytes() + payload);
        rte_pktmbuf_free(got);
        EXPECT_EQ(bytes_of(m), head_bytes() + payload);
        m_freem(m);
    }
}

// ---- ports that stop

uint32_t pages_out() { return page_counters().in_use[0] + page_counters().in_use[1]; }

// FreeBSD em(4), 2004: packets were sent into an interface that was being torn down.
TEST_F(UnmappedPort, R27_PagesSentToAPortThatStoppedComeHomeInAnyOrder) {
    Ring wire = make_ring(8);
    auto a = configured(ring_device({wire.get()}, {wire.get()}), believed());
    auto b = configured(ring_device({wire.get()}, {wire.get()}));
    for (Port* port : {a.get(), b.get()}) open(*port);
    ASSERT_TRUE(send(*a, paged(pattern(100))));  // on the wire when it is cut
    for (Port* port : {b.get(), a.get()}) {
        ASSERT_TRUE(port->halt({}).ok());
        rte_mbuf* burst = &paged(pattern(200))->rte;
        EXPECT_EQ(port->tx_burst(0, &burst, 1).closed, 1u);
    }
    EXPECT_EQ(pages_out(), 0u) << "the one on the wire was drained";
    EXPECT_EQ(a->drained() + b->drained(), 1u);
    for (auto* port : {&a, &b}) gone(std::move(*port));
}

// FreeBSD D33064: a queue held packets for an interface that was removed.
TEST_F(UnmappedPort, R28_WhatWasHeldForAPortThatWentDiesInItsStub) {
    Loop loop(believed(), 2);
    open(*loop.port);
    rte_mbuf* burst[] = {&paged(pattern(100))->rte, &paged(pattern(200))->rte, &paged(pattern(300))->rte};
    ASSERT_EQ(loop.port->tx_burst(0, burst, 3).taken, 2u);
    ASSERT_TRUE(loop.port->halt({}).ok());
    ASSERT_TRUE(loop.port->close(true).ok());
    EXPECT_EQ(loop.port->tx_burst(0, burst + 2, 1).closed, 1u) << "the caller had kept it";
    EXPECT_EQ(pages_out(), 0u);
    loop.port.reset();
}

// ---- captures

// A reader as rte_pdump is one: it copies all that leaves, with DPDK's own function.
struct Capture {
    explicit Capture(const Port& port) : id(port.id()) {
        callback = rte_eth_add_tx_callback(id, 0, &copy, this);
        EXPECT_NE(callback, nullptr);
    }
    ~Capture() {
        EXPECT_EQ(rte_eth_remove_tx_callback(id, 0, callback), 0);
        for (rte_mbuf* m : seen) rte_pktmbuf_free(m);
    }
    static uint16_t copy(uint16_t, uint16_t, rte_mbuf** burst, uint16_t n, void* self) {
        for (uint16_t i = 0; i < n; ++i)
            static_cast<Capture*>(self)->seen.push_back(rte_pktmbuf_copy(burst[i], rx_zone()->pool, 0, UINT32_MAX));
        return n;
    }
    [[nodiscard]] std::string bytes(size_t i) const {
        std::string s(seen[i]->pkt_len, '\0');
        const void* at = rte_pktmbuf_read(seen[i], 0, seen[i]->pkt_len, s.data());
        return at == s.data() ? s : std::string(static_cast<const char*>(at), s.size());
    }
    uint16_t id;
    const rte_eth_rxtx_callback* callback;
    std::vector<rte_mbuf*> seen;
};

TEST_F(UnmappedPort, ACaptureReadsWhatThePortSendsUnread) {
    Loop loop(believed());
    open(*loop.port);
    {
        const Capture capture(*loop.port);
        ASSERT_TRUE(send(*loop.port, paged(pattern(1300))));
        ASSERT_EQ(capture.seen.size(), 1u);
        EXPECT_EQ(capture.bytes(0), head_bytes() + pattern(1300));
        expect_bytes(receive(*loop.port), pattern(1300));
    }
    ASSERT_TRUE(send(*loop.port, paged(pattern(1300))));
    expect_bytes(receive(*loop.port), pattern(1300));
    const PageCounts n = loop.port->pages().counts();
    EXPECT_EQ(n.windows, 1u);
    EXPECT_EQ(n.captured, 1u);
    EXPECT_EQ(n.as_is, 1u) << "as before, when nobody looks any more";
}

TEST_F(UnmappedPort, ACaptureCostsNoPacketThatItCannotRead) {
    Loop loop(believed());
    open(*loop.port);
    const Capture capture(*loop.port);
    Mbuf* device_page = mb_alloc_ext_pgs(PageClass::device, 500, M_NOWAIT, "test");
    rte_mbuf* burst[] = {&paged(pattern(100))->rte, &headed(head_bytes(), device_page)->rte,
                         &paged(pattern(200))->rte};
    EXPECT_EQ(loop.port->tx_burst(0, burst, 3).alive(), 3u);
    EXPECT_EQ(capture.seen.size(), 2u);
    expect_bytes(receive(*loop.port), pattern(100));
    m_freem(receive(*loop.port));
    expect_bytes(receive(*loop.port), pattern(200));
    EXPECT_EQ(loop.port->pages().counts().uncaptured, 1u);
}

TEST_F(UnmappedPort, ACaptureOfWhatARingReceivesReadsPages) {
    Loop loop(believed());
    open(*loop.port);
    static std::string seen;
    seen.clear();
    const auto copy = [](uint16_t, uint16_t, rte_mbuf** burst, uint16_t n, uint16_t, void*) {
        for (uint16_t i = 0; i < n; ++i) {
            rte_mbuf* m = rte_pktmbuf_copy(burst[i], rx_zone()->pool, 0, UINT32_MAX);
            seen += std::string(rte_pktmbuf_mtod(m, char*), m->data_len);
            rte_pktmbuf_free(m);
        }
        return n;
    };
    const auto* callback = rte_eth_add_rx_callback(loop.port->id(), 0, copy, nullptr);
    Mbuf* hidden = mb_alloc_ext_pgs(PageClass::device, 500, M_NOWAIT, "test");
    rte_mbuf* burst[] = {&paged(pattern(900))->rte, &headed(head_bytes(), hidden)->rte, &paged(pattern(700))->rte};
    ASSERT_EQ(loop.port->tx_burst(0, burst, 3).alive(), 3u);
    rte_mbuf* got[8];
    ASSERT_EQ(loop.port->rx_burst(0, got, 8), 3u);
    EXPECT_EQ(seen, head_bytes() + pattern(900) + head_bytes() + pattern(700));
    expect_bytes(Mbuf::of(got[0]), pattern(900));
    EXPECT_TRUE(m_unmapped(Mbuf::of(got[1])->next())) << "past the capture, in its place";
    m_freem(Mbuf::of(got[1]));
    expect_bytes(Mbuf::of(got[2]), pattern(700));
    rte_eth_remove_rx_callback(loop.port->id(), 0, callback);
}

// A window is an address of this process alone: who reads elsewhere gets the page, or a copy.
TEST_F(UnmappedPort, WindowsOfOthersBecomePagesAgain) {
    Loop as_is(believed());
    open(*as_is.port);
    Mbuf* m = paged(pattern(900));
    ASSERT_EQ(mb_unmapped_to_ext(&m, M_NOWAIT, MappedFor::caller), 0);
    ASSERT_TRUE(send(*as_is.port, m));
    m = receive(*as_is.port);
    ASSERT_NE(m, nullptr);
    EXPECT_TRUE(m_unmapped(m->next()));
    expect_bytes(m, pattern(900));
    Mbuf* lone = filled(PageClass::anonymous, pattern(900));
    ASSERT_EQ(mb_unmapped_to_ext(&lone, M_NOWAIT, MappedFor::caller), 0);
    lone->set_flags(M_PKTHDR);
    m_calchdrlen(lone);
    ASSERT_TRUE(send(*as_is.port, lone));
    m = receive(*as_is.port);
    ASSERT_NE(m, nullptr);
    EXPECT_FALSE(ghost::alias_has(m->data()) || ghost::has(m->data()));
    EXPECT_EQ(bytes_of(m), pattern(900));
    m_freem(m);
    EXPECT_EQ(as_is.port->pages().counts().copies, 1u);
}

TEST_F(UnmappedPort, AFaultDuplicatesPagesByReadingThem) {
    Loop loop(believed());
    const FaultPort faults(*loop.port, FaultPlan{.seed = 1, .duplicate = 1000000});
    open(*loop.port);
    ASSERT_TRUE(send(*loop.port, paged(pattern(900))));
    rte_mbuf* got[8];
    ASSERT_EQ(loop.port->rx_burst(0, got, 8), 2u);
    for (rte_mbuf* m : {got[0], got[1]}) expect_bytes(Mbuf::of(m), pattern(900));
}

// ---- what must not be configured

TEST_F(UnmappedPort, R13_ExternalMemoryUnderVirtioUserIsRefused) {
    constexpr size_t kBytes = size_t{2} << 20;
    void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    const std::string path = "/tmp/" + fresh_name("um_none") + std::to_string(getpid());
    const uint16_t id = device("net_vhost", "iface=" + path);
    auto vhost = configured(id);
    const uint16_t virtio = device("net_virtio_user", "path=" + path);
    ASSERT_EQ(rte_extmem_register(memory, kBytes, nullptr, 0, kFrame), 0);
    const auto port = Port::configure(virtio, config_with_zone());
    ASSERT_FALSE(port.ok());
    EXPECT_NE(port.error().text.find("external memory (rte_extmem_register)"), std::string::npos) << port.error().text;
    ASSERT_EQ(rte_extmem_unregister(memory, kBytes), 0);
    auto later = configured(virtio);
    ASSERT_EQ(rte_extmem_register(memory, kBytes, nullptr, 0, kFrame), 0);
    EXPECT_EQ(later->start().error().code, EOPNOTSUPP) << "it came after the configuration";
    ASSERT_EQ(rte_extmem_unregister(memory, kBytes), 0);
    gone(std::move(later));
    gone(std::move(vhost));
    munmap(memory, kBytes);
}

TEST_F(UnmappedPort, R33_FastFreeIsRefusedWhileThereArePages) {
    EXPECT_TRUE(fast_free_meets_pages(RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE, {0, true, false}));
    EXPECT_TRUE(fast_free_meets_pages(RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE,
                                      {RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE, true, true}));
    EXPECT_FALSE(fast_free_meets_pages(RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE, {0, true, true}));
    EXPECT_FALSE(fast_free_meets_pages(0, {0, true, false}));
}

// ---- the drivers (R13)

TEST_F(UnmappedPort, R13_NullGetsWindows) {
    auto port = configured(device("net_null", ""));
    open(*port);
    EXPECT_TRUE(send(*port, paged(pattern(1000))));
    EXPECT_EQ(port->pages().counts().windows, 1u);
    EXPECT_TRUE(has_note(*port, "unmapped pages leave through windows")) << notes_of(*port);
    gone(std::move(port));
}

}  // namespace
}  // namespace umbuf::test
