// SPDX-License-Identifier: BSD-2-Clause
// port_test.cc - ports over devices that are always there: rings, null and capture files.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include <unistd.h>

#include "drivers/net/offloads.h"
#include "tests/unit/capture_file.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::test {
namespace {

class PortTest : public MbufTest {};

// A port whose receive ring is its transmit ring.
struct Loop {
    explicit Loop(unsigned slots = 256, const PortConfig& config = config_with_zone())
        : ring(make_ring(slots)),
          port(configured(ring_device({ring.get()}, {ring.get()}), config)) {}
    ~Loop() {
        if (port) gone(std::move(port));
    }
    Ring ring;
    std::unique_ptr<Port> port;
};

void expect_refused(uint16_t id, const PortConfig& config, const std::string& part) {
    const auto port = Port::configure(id, config);
    ASSERT_FALSE(port.ok()) << "expected: " << part;
    EXPECT_NE(port.error().text.find(part), std::string::npos) << port.error().text;
    EXPECT_EQ(port.error().text.find('\n'), std::string::npos) << "one sentence";
    EXPECT_NE(port.error().code, 0);
}

// ---- configure ----------------------------------------------------------------------------------

TEST_F(PortTest, WhatADeviceCannotDoIsRefusedWithASentence) {
    expect_refused(RTE_MAX_ETHPORTS - 1, config_with_zone(), "no such port");
    Loop loop;
    const uint16_t id = loop.port->id();
    PortConfig c = config_with_zone();
    c.rxq = 2;
    expect_refused(id, c, "2 receive queues were asked and the device has 1");
    c = config_with_zone();
    c.txq = 2;
    expect_refused(id, c, "2 transmit queues were asked and the device has 1");
    c = config_with_zone();
    c.rxq = 0;
    expect_refused(id, c, "at least one");
    c = config_with_zone();
    c.rx_zone = nullptr;
    expect_refused(id, c, "no zone to receive into");
    c = config_with_zone();
    c.rx_zone = zones().front();
    ASSERT_NE(c.rx_zone->kind, ZoneKind::packet);
    expect_refused(id, c, "is not a packet zone");
}

TEST_F(PortTest, AnMtuIsTakenFromTheSmallestToTheLargestAndNotBeyond) {
    const uint16_t id = device("net_null", "");
    PortConfig c = config_with_zone();
    for (const uint32_t mtu : {45u, 65536u}) {
        c.mtu = mtu;
        expect_refused(id, c, "out of the device's range, 46 to 65535");
    }
    for (const uint32_t mtu : {46u, 1500u, 65535u}) {
        c.mtu = mtu;
        auto port = configured(device("net_null", ""), c);
        uint16_t now = 0;
        EXPECT_EQ(rte_eth_dev_get_mtu(port->id(), &now), 0);
        EXPECT_EQ(now, mtu);
        gone(std::move(port));
    }
    gone(configured(id));
}

TEST_F(PortTest, EachWishThatIsDroppedIsNotedOnce) {
    PortConfig c = config_with_zone();
    c.rx_offloads = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
    c.tx_offloads = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    Ring a = make_ring(64), b = make_ring(64);
    c.rxq = c.txq = 2;
    c.rss_hf = RTE_ETH_RSS_IP;
    auto port = configured(ring_device({a.get(), b.get()}, {a.get(), b.get()}), c);
    EXPECT_EQ(port->rx_offloads() & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, 0u);
    EXPECT_TRUE(has_note(*port, "no IPV4_CKSUM"));
    EXPECT_TRUE(has_note(*port, "no UDP_CKSUM"));
    EXPECT_TRUE(has_note(*port, "no TCP_CKSUM"));
    EXPECT_TRUE(has_note(*port, "no RSS")) << notes_of(*port);
    const size_t notes = port->notes().size();
    for (int i = 0; i < 3; ++i) {
        open(*port);
        ASSERT_TRUE(port->halt({}).ok());
    }
    EXPECT_LE(port->notes().size(), notes + 1) << "starting again says nothing new\n"
                                               << notes_of(*port);
    gone(std::move(port));
}

TEST_F(PortTest, ScatterIsAskedForOnlyWhenAFrameDoesNotFitAnMbuf) {
    PortConfig c = config_with_zone();
    c.mtu = rx_zone()->size - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN;
    EXPECT_EQ(Loop(64, c).port->rx_offloads() & RTE_ETH_RX_OFFLOAD_SCATTER, 0u);
    ++c.mtu;
    EXPECT_NE(Loop(64, c).port->rx_offloads() & RTE_ETH_RX_OFFLOAD_SCATTER, 0u);
    c.multi_seg = false;
    Loop flat(64, c);
    EXPECT_EQ(flat.port->rx_offloads() & RTE_ETH_RX_OFFLOAD_SCATTER, 0u);
    EXPECT_TRUE(has_note(*flat.port, "not received whole")) << notes_of(*flat.port);
}

// ---- transmit offloads, for devices that are not here
// ---------------------------------------------

constexpr uint64_t kFast = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
constexpr uint64_t kMulti = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
constexpr rte_eth_desc_lim kAnySegs = {65535, 8, 1, UINT16_MAX, UINT16_MAX};

TEST(TxChoice, FastFreeIsOnOnlyWhenOfferedAndNothingIsSharedOrFlattened) {
    const Quirks none = quirks_of("net_ixgbe");
    for (const uint64_t capa : {uint64_t{0}, kFast, kFast | kMulti})
        for (const bool shared : {false, true})
            for (const uint64_t wish : {uint64_t{0}, kFast}) {  // wishing does not help
                const TxChoice c = choose_tx({wish, true, shared}, capa, kAnySegs, none);
                EXPECT_EQ((c.offloads & kFast) != 0,
                          (capa & kFast) != 0 && !shared && !c.guarded());
                EXPECT_EQ(c.offloads & ~capa, 0u) << "nothing that is not offered";
            }
}

TEST(TxChoice, ChainsGoWholeOnlyWhereTheDeviceIsKnownToSendThem) {
    const TxWish wish{0, true, true};
    EXPECT_FALSE(choose_tx(wish, kMulti, kAnySegs, quirks_of("net_ixgbe")).guarded());
    EXPECT_FALSE(choose_tx(wish, kMulti, {}, quirks_of("net_vhost")).guarded()) << "0 is no limit";
    EXPECT_FALSE(choose_tx(wish, 0, kAnySegs, quirks_of("net_null")).guarded());
    EXPECT_EQ(choose_tx(wish, 0, kAnySegs, quirks_of("net_pcap")).chain_bytes, 0x3f00u);
    const TxChoice unknown = choose_tx(wish, 0, kAnySegs, quirks_of("net_ixgbe"));
    EXPECT_TRUE(unknown.guarded());
    EXPECT_EQ(unknown.chain_segs, 1u);
    const TxChoice unasked = choose_tx({0, false, true}, kMulti, kAnySegs, quirks_of("net_null"));
    EXPECT_TRUE(unasked.guarded());
    EXPECT_EQ(unasked.offloads, 0u);
    const TxChoice eight =
        choose_tx(wish, kMulti, {4096, 64, 8, UINT16_MAX, 8}, quirks_of("net_i40e"));
    EXPECT_TRUE(eight.guarded());
    EXPECT_EQ(eight.chain_segs, 8u);
}

// ---- the paths
// ------------------------------------------------------------------------------------

TEST_F(PortTest, PacketsCrossARingUnchangedAndNoneIsLost) {
    Loop loop;
    open(*loop.port);
    for (uint32_t i = 0; i < 1000; ++i) {
        const std::string bytes = pattern(60 + i, i);
        ASSERT_TRUE(send(*loop.port, received(bytes)));
        Mbuf* m = receive(*loop.port);
        ASSERT_NE(m, nullptr);
        EXPECT_EQ(bytes_of(m), bytes);
        verify(m);
        m_freem(m);
    }
    EXPECT_EQ(receive(*loop.port), nullptr);
    EXPECT_EQ(loop.port->closed_drops() + loop.port->drained() + loop.port->chain_drops(), 0u);
}

TEST_F(PortTest, AClosedTransmitTakesAllFreesAndCounts) {
    Loop loop;
    Port& port = *loop.port;
    EXPECT_TRUE(send(port, received(pattern(100)))) << "not started yet";
    open(port);
    Mbuf* m = received(pattern(200));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    ASSERT_TRUE(port.halt({}).ok());
    EXPECT_TRUE(send(port, m));
    EXPECT_TRUE(send(port, chain(pattern(5000), 1000)));
    EXPECT_EQ(port.closed_drops(), 3u);
    EXPECT_EQ(bytes_of(copy), pattern(200)) << "a copy outlives the packet that died here";
    m_freem(copy);
    EXPECT_EQ(receive(port), nullptr) << "a closed receive has nothing";
    EXPECT_EQ(loop.port->drained(), 0u);
}

TEST_F(PortTest, ARefusedPacketStaysTheCallers) {
    Loop loop(4);
    open(*loop.port);
    rte_mbuf* burst[8];
    for (uint32_t i = 0; i < 8; ++i)
        burst[i] = &received(pattern(64, i))->rte;
    const uint16_t taken = loop.port->tx_burst(0, burst, 8).taken;
    EXPECT_EQ(taken, 4u);
    for (uint32_t i = taken; i < 8; ++i) {
        EXPECT_EQ(bytes_of(Mbuf::of(burst[i])), pattern(64, i));
        rte_pktmbuf_free(burst[i]);
    }
    for (uint32_t i = 0; i < taken; ++i) {
        Mbuf* m = receive(*loop.port);
        ASSERT_NE(m, nullptr);
        EXPECT_EQ(bytes_of(m), pattern(64, i));
        m_freem(m);
    }
}

TEST_F(PortTest, AChainCrossesAPortThatSendsChains) {
    Loop loop;
    EXPECT_FALSE(loop.port->guarded()) << notes_of(*loop.port);
    open(*loop.port);
    ASSERT_TRUE(send(*loop.port, chain(pattern(5000), 700)));
    Mbuf* m = receive(*loop.port);
    ASSERT_NE(m, nullptr);
    EXPECT_EQ(m->rte.nb_segs, 8);
    EXPECT_EQ(bytes_of(m), pattern(5000));
    verify(m);
    m_freem(m);
    EXPECT_EQ(loop.port->flattened(), 0u);
}

PortConfig without_chains() {
    PortConfig c = config_with_zone();
    c.multi_seg = false;
    return c;
}

TEST_F(PortTest, AChainIsCopiedFlatWhereItCannotBeSent) {
    Loop loop(64, without_chains());
    EXPECT_TRUE(loop.port->guarded());
    EXPECT_TRUE(has_note(*loop.port, "chains are copied flat"));
    open(*loop.port);
    for (const size_t size : {size_t{2}, size_t{900}, size_t{rx_zone()->size}}) {
        const std::string bytes = pattern(size);
        ASSERT_TRUE(send(*loop.port, chain(bytes, (size + 2) / 3)));
        Mbuf* m = receive(*loop.port);
        ASSERT_NE(m, nullptr);
        EXPECT_EQ(m->rte.nb_segs, 1);
        EXPECT_EQ(bytes_of(m), bytes);
        verify(m);
        // A flat copy is as good as a received packet: it can be shared.
        Mbuf* copy = m_copypacket(m, M_NOWAIT);
        ASSERT_NE(copy, nullptr);
        m_freem(m);
        EXPECT_EQ(bytes_of(copy), bytes);
        m_freem(copy);
    }
    EXPECT_EQ(loop.port->flattened(), 3u);
    EXPECT_EQ(loop.port->chain_drops(), 0u);
}

TEST_F(PortTest, AChainThatFitsNoMbufDiesCountedAndItsNeighboursPassInOrder) {
    Loop loop(64, without_chains());
    open(*loop.port);
    const std::string huge = pattern(rx_zone()->size + 1);
    rte_mbuf* burst[] = {&chain(huge, 900)->rte,          &received(pattern(70, 1))->rte,
                         &chain(huge, 900)->rte,          &chain(huge, 900)->rte,
                         &chain(pattern(80, 2), 40)->rte, &received(pattern(90, 3))->rte,
                         &chain(huge, 900)->rte};
    EXPECT_EQ(loop.port->tx_burst(0, burst, 7).taken, 7u);
    EXPECT_EQ(loop.port->chain_drops(), 4u);
    EXPECT_EQ(loop.port->flattened(), 1u);
    for (uint32_t i = 1; i <= 3; ++i) {
        Mbuf* m = receive(*loop.port);
        ASSERT_NE(m, nullptr);
        EXPECT_EQ(bytes_of(m), pattern(60 + i * 10, i));
        m_freem(m);
    }
    EXPECT_EQ(receive(*loop.port), nullptr);
}

TEST_F(PortTest, AFullRingLeavesChainsBehindItWithTheCaller) {
    Loop loop(2, without_chains());
    open(*loop.port);
    const std::string huge = pattern(rx_zone()->size + 1);
    rte_mbuf* burst[] = {&received(pattern(70, 0))->rte, &chain(pattern(80, 1), 40)->rte,
                         &chain(pattern(90, 2), 40)->rte, &chain(huge, 900)->rte};
    const uint16_t taken = loop.port->tx_burst(0, burst, 4).taken;
    EXPECT_EQ(taken, 2u) << "what is taken is taken from the front: the huge one waits its turn";
    EXPECT_EQ(bytes_of(Mbuf::of(burst[2])), pattern(90, 2));
    EXPECT_EQ(bytes_of(Mbuf::of(burst[3])), huge);
    EXPECT_EQ(loop.port->chain_drops(), 0u);
    for (uint16_t i = taken; i < 4; ++i)
        rte_pktmbuf_free(burst[i]);
}

TEST_F(PortTest, AnEmptyZoneCostsTheChainAndNothingElse) {
    Loop loop(64, without_chains());
    open(*loop.port);
    Mbuf* c = chain(pattern(300), 100);
    std::vector<rte_mbuf*> all;
    for (rte_mbuf* m; (m = rte_pktmbuf_alloc(rx_zone()->pool)) != nullptr;)
        all.push_back(m);
    EXPECT_TRUE(send(*loop.port, c));
    rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
    EXPECT_EQ(loop.port->chain_drops(), 1u);
    EXPECT_EQ(receive(*loop.port), nullptr);
}

// ---- the phases
// -----------------------------------------------------------------------------------

TEST_F(PortTest, PhasesComeInOrderAndNoneCanBeSkipped) {
    Loop loop;
    Port& port = *loop.port;
    EXPECT_DEATH(port.open_tx(), "configured");
    EXPECT_DEATH(port.close_rx({}), "configured");
    EXPECT_DEATH((void)port.stop(), "configured");
    ASSERT_TRUE(port.start().ok());
    EXPECT_EQ(port.phase(), PortPhase::started);
    EXPECT_DEATH((void)port.start(), "started");
    EXPECT_DEATH(port.open_rx(), "started");
    EXPECT_DEATH((void)port.close(), "started");
    port.open_tx();
    EXPECT_DEATH((void)port.stop(), "tx-open");
    port.open_rx();
    EXPECT_EQ(port.phase(), PortPhase::rx_open);
    EXPECT_DEATH(port.close_tx({}), "rx-open");
    EXPECT_DEATH((void)port.stop(), "rx-open");
}

TEST_F(PortTest, HaltWorksFromEveryPhaseInOrder) {
    for (int opened = 0; opened <= 3; ++opened) {
        Loop loop;
        Port& port = *loop.port;
        if (opened >= 1) {
            ASSERT_TRUE(port.start().ok());
        }
        if (opened >= 2) {
            port.open_tx();
            EXPECT_TRUE(send(port, received(pattern(64))));
        }
        if (opened >= 3) port.open_rx();
        std::vector<PortPhase> seen;
        ASSERT_TRUE(port.halt([&] { seen.push_back(port.phase()); }).ok());
        EXPECT_EQ(port.phase(), PortPhase::configured);
        // One grace period per path that was open, receive before transmit.
        std::vector<PortPhase> expected;
        if (opened >= 3) expected.push_back(PortPhase::rx_open);
        if (opened >= 2) expected.push_back(PortPhase::tx_open);
        EXPECT_EQ(seen, expected);
        EXPECT_EQ(port.drained(), opened >= 2 ? 1u : 0u);
        ASSERT_TRUE(port.halt({}).ok()) << "halting what is halted does nothing";
    }
}

TEST_F(PortTest, StopFreesAndCountsWhatWaitsInEveryQueue) {
    Ring a = make_ring(128), b = make_ring(128);
    PortConfig c = config_with_zone();
    c.rxq = c.txq = 2;
    auto port = configured(ring_device({a.get(), b.get()}, {a.get(), b.get()}), c);
    open(*port);
    for (uint16_t i = 0; i < 200; ++i) {
        rte_mbuf* m = &received(pattern(64, i))->rte;
        ASSERT_EQ(port->tx_burst(i % 2, &m, 1).taken, 1u);
    }
    ASSERT_TRUE(port->halt({}).ok());
    EXPECT_EQ(port->drained(), 200u);
    EXPECT_EQ(rte_ring_count(a.get()) + rte_ring_count(b.get()), 0u);
    gone(std::move(port));
}

TEST_F(PortTest, CloseDrainsWhatCameWhileThePortWasStopped) {
    Ring wire = make_ring(64), back = make_ring(64);
    auto from = configured(ring_device({back.get()}, {wire.get()}));
    auto to = configured(ring_device({wire.get()}, {back.get()}));
    open(*from);
    open(*to);
    ASSERT_TRUE(to->halt({}).ok());
    for (uint32_t i = 0; i < 10; ++i)
        EXPECT_TRUE(send(*from, received(pattern(64, i))));
    gone(std::move(from));
    ASSERT_TRUE(to->close(true).ok());
    EXPECT_EQ(to->drained(), 10u);
    EXPECT_EQ(to->phase(), PortPhase::closed);
    EXPECT_FALSE(to->link_up());
}

TEST_F(PortTest, APortThatWasStoppedForwardsAgain) {
    Loop loop;
    for (uint32_t i = 0; i < 20; ++i) {
        open(*loop.port);
        EXPECT_TRUE(loop.port->link_up());
        EXPECT_TRUE(send(*loop.port, received(pattern(64, i))));
        Mbuf* m = receive(*loop.port);
        ASSERT_NE(m, nullptr);
        m_freem(m);
        ASSERT_TRUE(loop.port->halt({}).ok());
    }
}

TEST_F(PortTest, HaltAndCloseSurviveADeviceThatVanished) {
    Ring ring = make_ring(64);
    auto port = configured(ring_device({ring.get()}, {ring.get()}));
    open(*port);
    EXPECT_TRUE(send(*port, received(pattern(64))));
    Mbuf* m = receive(*port);
    ASSERT_NE(m, nullptr);
    ASSERT_EQ(rte_eal_hotplug_remove("vdev", port->name().c_str()), 0);
    const Status halted = port->halt({});
    EXPECT_TRUE(halted.ok()) << halted.error().text;
    EXPECT_TRUE(has_note(*port, "the device is gone"));
    EXPECT_TRUE(send(*port, m)) << "and what is sent to it dies counted";
    EXPECT_EQ(port->closed_drops(), 1u);
    EXPECT_TRUE(port->close(true).ok());
}

TEST_F(PortTest, ThePortOfAVanishedDeviceLeavesTheNextOwnerOfItsNumberAlone) {
    Ring ring = make_ring(64), other = make_ring(64);
    auto port = configured(ring_device({ring.get()}, {ring.get()}));
    open(*port);
    ASSERT_EQ(rte_eal_hotplug_remove("vdev", port->name().c_str()), 0);
    auto next = configured(ring_device({other.get()}, {other.get()}));
    ASSERT_EQ(next->id(), port->id()) << "EAL gives the number away again";
    open(*next);
    EXPECT_FALSE(port->link_up());
    EXPECT_TRUE(port->halt({}).ok());
    EXPECT_TRUE(port->close(true).ok());
    EXPECT_TRUE(next->link_up());
    EXPECT_TRUE(send(*next, received(pattern(64))));
    Mbuf* m = receive(*next);
    EXPECT_NE(m, nullptr);
    m_freem(m);
    gone(std::move(next));
}

TEST_F(PortTest, TheDestructorStopsAndClosesWhatIsOpen) {
    Ring ring = make_ring(64);
    uint16_t id = 0;
    {
        auto port = configured(ring_device({ring.get()}, {ring.get()}));
        id = port->id();
        open(*port);
        EXPECT_TRUE(send(*port, received(pattern(64))));
    }
    EXPECT_EQ(rte_eth_dev_is_valid_port(id), 0);
    EXPECT_EQ(rte_ring_count(ring.get()), 0u);
}

// ---- null: chains without being asked, and packets without end
// -------------------------------------

TEST_F(PortTest, NullTakesChainsAndItsEndlessPacketsAreNotDrained) {
    auto port = configured(device("net_null", "size=64"));
    EXPECT_FALSE(port->guarded());
    open(*port);
    EXPECT_TRUE(send(*port, chain(pattern(5000), 700)));
    rte_mbuf* burst[32];
    ASSERT_EQ(port->rx_burst(0, burst, 32), 32u);
    for (rte_mbuf* m : burst)
        verify(Mbuf::of(m));
    rte_pktmbuf_free_bulk(burst, 32);
    ASSERT_TRUE(port->halt({}).ok());
    EXPECT_EQ(port->drained(), 0u);
    gone(std::move(port));
}

// ---- files
// ----------------------------------------------------------------------------------------

TEST_F(PortTest, ACaptureComesOutAsItWentInAlsoInChainsAndOverAStop) {
    TempFile in("in"), out("out");
    std::vector<std::string> packets;
    for (const size_t size : {14u, 60u, 1514u, 2048u, 2049u, 9014u, 16000u})
        packets.push_back(pattern(size, static_cast<uint32_t>(size)));
    write_capture(in.path, packets);
    auto port = configured(
        device("net_pcap", "rx_pcap=" + in.path.string() + ",tx_pcap=" + out.path.string()));
    EXPECT_TRUE(port->scatter());
    open(*port);
    size_t n = 0;
    for (Mbuf* m; (m = receive(*port)) != nullptr; ++n) {
        ASSERT_LT(n, packets.size());
        verify(m);  // a chain from a driver: marked by the port
        EXPECT_EQ(bytes_of(m), packets[n]);
        EXPECT_TRUE(send(*port, m));
        if (n != 3) continue;
        ASSERT_TRUE(port->halt({}).ok());  // the driver would start both files over
        open(*port);
    }
    EXPECT_EQ(n, packets.size());
    EXPECT_EQ(port->flattened() + port->chain_drops(), 0u);
    gone(std::move(port));
    EXPECT_EQ(read_capture(out.path), packets);
}

TEST_F(PortTest, AChainThatPcapWouldTruncateDiesCounted) {
    TempFile in("in"), out("out");
    write_capture(in.path, {});
    auto port = configured(
        device("net_pcap", "rx_pcap=" + in.path.string() + ",tx_pcap=" + out.path.string()));
    open(*port);
    if (!port->guarded()) {
        gone(std::move(port));
        GTEST_SKIP() << "this DPDK's pcap driver offers chains of any length";
    }
    constexpr uint32_t kLimit = RTE_ETHER_MAX_JUMBO_FRAME_LEN;
    EXPECT_TRUE(send(*port, chain(pattern(kLimit + 1), 2000)));
    EXPECT_EQ(port->chain_drops(), 1u);
    EXPECT_TRUE(send(*port, chain(pattern(kLimit), 2000)));
    EXPECT_EQ(port->chain_drops(), 1u);
    gone(std::move(port));
    const auto written = read_capture(out.path);
    ASSERT_EQ(written.size(), 1u);
    EXPECT_EQ(written[0], pattern(kLimit));
}

}  // namespace
}  // namespace umbuf::test
