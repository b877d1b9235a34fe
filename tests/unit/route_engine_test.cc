// SPDX-License-Identifier: BSD-2-Clause
// route_engine_test.cc - what a router does with one packet, and with a burst, over ports that are rings. No kernel.
#include <poll.h>

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <thread>

#include <rte_eth_ring.h>
#include <rte_ring.h>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/machine/lane.h"
#include "app/umfwd/route/ip_route.h"
#include "app/umfwd/route/router.h"
#include "lib/ipsec/ip.h"
#include "tests/unit/fixture.h"
#include "tests/unit/frames.h"

namespace umbuf::test {
namespace {

using fwd::Drop;
using fwd::Fate;
using fwd::IpFate;
using fwd::IpWay;

constexpr uint32_t kA = 0x0a000001, kB = 0x0a000002;  // frames.h: from and to
const rte_ether_addr kNext{{2, 'n', 'e', 'x', 't', '1'}};

IpAddress v4(uint32_t a) {
    IpAddress address;
    store32(reinterpret_cast<std::byte*>(address.bytes.data()), a);
    return address;
}
IpAddress v6(const std::string& bytes) {
    IpAddress address{.v6 = true};
    std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
    return address;
}

// with - the packet with some of its bytes changed, and its IPv4 checksum right again.
std::string with(std::string packet, size_t at, const std::string& bytes) {
    packet.replace(at, bytes.size(), bytes);
    const size_t header = static_cast<size_t>(packet[0] & 15) * 4;
    if (static_cast<uint8_t>(packet[0]) >> 4 != 4 || header > packet.size() || header < 20) return packet;
    put16(packet, 10, 0);
    put16(packet, 10, sum16(packet.substr(0, header)));
    return packet;
}
std::string byte(int n) { return std::string(1, static_cast<char>(n)); }
const std::string kPacket4 = ip4(17, udp(pattern(100))), kPacket6 = ip6(17, udp(pattern(100), true));

// pieces - the bytes in received mbufs, the first of n bytes.
Mbuf* pieces(const std::string& bytes, size_t n) {
    Mbuf* m = received(bytes.substr(0, n));
    EXPECT_EQ(rte_pktmbuf_chain(&m->rte, &received(bytes.substr(n))->rte), 0);
    adopt_chain(m);
    return m;
}

class RouteTest : public MbufTest {
  protected:
    void SetUp() override {
        MbufTest::SetUp();
        settings_.tap.clear();
        settings_.routes = 256;
        make();
    }
    void TearDown() override {
        router_.reset();
        MbufTest::TearDown();
    }
    void make() {
        router_.reset();
        router_ = std::move(fwd::Router::make(settings_, readers_.get()).value());
    }
    RouteTable& table() { return router_->table(); }
    void set(const IpAddress& address, uint8_t length, const Route& route) {
        ASSERT_TRUE(table().set(prefix_of(address, length), route).ok());
        table().commit();
    }
    // usual - A and B are beyond port 1, and known.
    void usual(uint16_t mtu = 1500, uint16_t port = 1) {
        const Route out{.kind = RouteKind::forward, .port = port, .mtu = mtu};
        set(v4(0x0a000000), 24, out);
        set(v6(ip6_address('\0')), 64, out);
        ASSERT_TRUE(table().set_neighbour(port, v4(kB), NeighbourState::reachable, kNext).ok());
        ASSERT_TRUE(table().set_neighbour(port, v6(ip6_address('b')), NeighbourState::reachable, kNext).ok());
    }
    // fate - of one packet, which is freed.
    IpFate fate(Mbuf* m) {
        rte_mbuf* p = &m->rte;
        IpFate fate;
        fwd::route_burst(table(), &p, &fate, 1);
        rte_pktmbuf_free(p);
        return fate;
    }
    IpFate fate(const std::string& packet) { return fate(received(packet)); }
    void expect_dead(const std::string& packet, Drop why) {
        const IpFate got = fate(packet);
        EXPECT_EQ(got.way, IpWay::dead);
        EXPECT_STREQ(fwd::name_of(got.why), fwd::name_of(why));
    }
    void expect_kernel(const std::string& packet, Drop why) {
        const IpFate got = fate(packet);
        EXPECT_EQ(got.way, IpWay::kernel);
        EXPECT_STREQ(fwd::name_of(got.why), fwd::name_of(why));
    }
    void expect_forward(const std::string& packet) { EXPECT_EQ(fate(packet).way, IpWay::forward); }

    fwd::Epoch readers_ = std::move(fwd::make_epoch().value());
    fwd::Settings settings_;
    std::unique_ptr<fwd::Router> router_;
};

TEST_F(RouteTest, AKnownNeighbourGetsThePacket) {
    usual();
    for (const std::string& packet : {kPacket4, kPacket6}) {
        const IpFate got = fate(packet);
        EXPECT_EQ(got.way, IpWay::forward);
        EXPECT_EQ(got.hop.port, 1);
        EXPECT_TRUE(rte_is_same_ether_addr(&got.hop.mac, &kNext));
    }
}

TEST_F(RouteTest, AHeaderThatIsWrongIsTheEndOfThePacket) {
    usual();
    for (const int version : {0, 1, 3, 5, 7, 15}) {
        expect_dead(with(kPacket4, 0, byte(version << 4 | 5)), Drop::malformed);
        expect_dead(with(kPacket6, 0, byte(version << 4)), Drop::malformed);
    }
    for (const int words : {0, 1, 4}) expect_dead(with(kPacket4, 0, byte(0x40 | words)), Drop::malformed);
    expect_dead(with(kPacket4, 2, be16(19)), Drop::malformed);
    expect_dead(with(kPacket4, 2, be16(static_cast<uint32_t>(kPacket4.size() + 1))), Drop::malformed);
    expect_dead(with(kPacket6, 4, be16(static_cast<uint32_t>(kPacket6.size() - 39))), Drop::malformed);
    for (size_t n = 1; n < 20; ++n) expect_dead(kPacket4.substr(0, n), Drop::malformed);
    for (size_t n = 1; n < 40; ++n) expect_dead(kPacket6.substr(0, n), Drop::malformed);
    for (size_t bit = 0; bit < 160; ++bit) {  // each is seen by the checksum, or by another check
        if (bit == 5) continue;  // makes IPv6 of it, which has no checksum
        std::string packet = kPacket4;
        packet[bit / 8] = static_cast<char>(packet[bit / 8] ^ 1 << bit % 8);
        EXPECT_EQ(fate(packet).way, IpWay::dead) << bit;
    }
}

TEST_F(RouteTest, AddressesThatNoRouterForwardsDie) {
    usual();
    set(v4(0), 0, {.kind = RouteKind::forward, .port = 1, .mtu = 1500});
    set(v6(""), 0, {.kind = RouteKind::forward, .port = 1, .mtu = 1500});
    for (const uint32_t from : {0U, 0x7f000001U, 0xe0000001U, 0xefffffffU, 0xffffffffU}) expect_dead(with(kPacket4, 12, be32(from)), Drop::martian);
    for (const uint32_t to : {0U, 0x7f000001U, 0x7fffffffU}) expect_dead(with(kPacket4, 16, be32(to)), Drop::martian);
    const std::string loop = std::string(15, '\0') + '\1', none(16, '\0'), group = "\xff\x02" + std::string(13, '\0') + '\1';
    for (const std::string& from : {loop, none, group}) expect_dead(with(kPacket6, 8, from), Drop::martian);
    for (const std::string& to : {loop, none}) expect_dead(with(kPacket6, 24, to), Drop::martian);
    expect_dead(with(with(kPacket6, 24, group), 8, group), Drop::martian);
}

TEST_F(RouteTest, GroupsLinkLocalAddressesAndOurOwnAreTheKernels) {
    usual();
    set(v4(kB), 32, {.kind = RouteKind::local});
    set(v6(ip6_address('b')), 128, {.kind = RouteKind::local});
    for (const std::string& packet : {kPacket4, kPacket6}) expect_kernel(packet, Drop::to_kernel);
    expect_kernel(with(kPacket4, 8, byte(1)), Drop::to_kernel);
    for (const uint32_t to : {0xe0000005U, 0xefffffffU, 0xffffffffU}) expect_kernel(with(kPacket4, 16, be32(to)), Drop::to_kernel);
    const std::string group = "\xff\x02" + std::string(13, '\0') + '\1', link = "\xfe\x80" + std::string(13, '\0') + '\1', none(16, '\0');
    expect_kernel(with(kPacket6, 24, group), Drop::to_kernel);
    expect_kernel(with(with(kPacket6, 24, group), 8, none), Drop::to_kernel);
    expect_kernel(with(kPacket6, 24, link), Drop::to_kernel);
    expect_kernel(with(with(kPacket6, 24, link), 8, link), Drop::to_kernel);
}

TEST_F(RouteTest, WhatNeedsAnAnswerGoesToTheKernelUnderItsName) {
    expect_kernel(kPacket4, Drop::no_route);
    expect_kernel(kPacket6, Drop::no_route);
    usual(128);
    for (const int ttl : {0, 1}) {
        expect_kernel(with(kPacket4, 8, byte(ttl)), Drop::ttl_expired);
        expect_kernel(with(kPacket6, 7, byte(ttl)), Drop::ttl_expired);
    }
    expect_forward(with(kPacket4, 8, byte(2)));
    expect_kernel(ip4(17, udp("x"), std::string(4, '\1')), Drop::ip_options);
    expect_kernel(with(kPacket6, 6, byte(0)), Drop::ip_options);
    expect_kernel(with(kPacket4, 16, be32(kB + 1)), Drop::no_neighbour);
    expect_kernel(with(kPacket6, 24, ip6_address('c')), Drop::no_neighbour);
    expect_kernel(with(kPacket4, 12, be32(0xa9fe0001)), Drop::no_route);
    expect_kernel(with(kPacket6, 8, "\xfe\x80" + std::string(13, '\0') + '\1'), Drop::no_route);
    expect_forward(ip4(17, udp(pattern(100)), "", 0x4000));
    expect_kernel(ip4(17, udp(pattern(101)), "", 0x4000), Drop::too_big);
    EXPECT_EQ(fate(ip4(17, udp(pattern(101)))).way, IpWay::cut);
    expect_forward(ip6(17, udp(pattern(80), true)));
    expect_kernel(ip6(17, udp(pattern(81), true)), Drop::too_big);
    set(v4(kB), 32, {.kind = RouteKind::blackhole});
    expect_dead(kPacket4, Drop::blackhole);
    set(v4(kB), 32, {.kind = RouteKind::unreachable});
    expect_kernel(kPacket4, Drop::no_route);
}

TEST_F(RouteTest, PaddingIsNoPartOfThePacket) {
    usual(static_cast<uint16_t>(kPacket4.size()));
    const std::string padding(26, 'p');
    for (const std::string& packet : {ip4(17, udp("short")), ip6(17, udp("short", true))})
        for (Mbuf* m : {received(packet + padding), pieces(packet + padding, packet.size()), pieces(packet + padding, packet.size() + 9),
                        pieces(packet + padding, 12)}) {
            rte_mbuf* p = &m->rte;
            IpFate got;
            fwd::route_burst(table(), &p, &got, 1);
            EXPECT_EQ(got.way, IpWay::forward);
            EXPECT_EQ(bytes_of(Mbuf::of(p)), packet);
            EXPECT_FALSE(m_sanity(Mbuf::of(p)).has_value());
            rte_pktmbuf_free(p);
        }
}

TEST_F(RouteTest, AHeaderInPiecesIsReadAllTheSame) {
    usual();
    for (size_t n = 1; n < 41; ++n) {
        EXPECT_EQ(fate(pieces(kPacket4, n)).way, IpWay::forward) << n;
        EXPECT_EQ(fate(pieces(kPacket6, n)).way, IpWay::forward) << n;
        const IpFate options = fate(pieces(ip4(17, udp(pattern(90)), std::string(40, '\1')), n));
        EXPECT_EQ(options.way, IpWay::kernel) << n;
    }
}

// Goal: every hop count, every checksum. Method: random headers through all counts; the sum stays right, a wrong
// one stays wrong by as much.
TEST_F(RouteTest, AHopLessLeavesTheChecksumRight) {
    std::mt19937_64 random(seed());
    for (int round = 0; round < 40; ++round)
        for (int ttl = 2; ttl < 256; ++ttl) {
            std::string packet = with(with(kPacket4, 8, byte(ttl)), 4, be16(static_cast<uint32_t>(random() & 0xffff)));
            const bool wrong = round % 8 == 7;
            if (wrong) packet[5] = static_cast<char>(packet[5] ^ 1);
            rte_mbuf* p = &received(packet)->rte;
            ASSERT_EQ(fwd::age(p), Fate::send);
            const std::string aged = bytes_of(Mbuf::of(p));
            EXPECT_EQ(static_cast<uint8_t>(aged[8]), ttl - 1);
            EXPECT_EQ(sum16(aged.substr(0, 20)) == 0, !wrong);
            EXPECT_EQ(aged.substr(12), packet.substr(12));
            rte_pktmbuf_free(p);
        }
    rte_mbuf* p = &received(kPacket6)->rte;
    ASSERT_EQ(fwd::age(p), Fate::send);
    EXPECT_EQ(bytes_of(Mbuf::of(p)), with(kPacket6, 7, byte(0x3f)));
    rte_pktmbuf_free(p);
}

TEST_F(RouteTest, ASharedPacketAgesWithoutItsTwin) {
    const std::string packet = ip4(17, udp(pattern(1200)));
    Mbuf* m = received(packet);
    Mbuf* twin = m_copypacket(m, M_NOWAIT);
    rte_mbuf* p = &m->rte;
    ASSERT_EQ(fwd::age(p), Fate::send);
    EXPECT_EQ(bytes_of(twin), packet);
    EXPECT_EQ(static_cast<uint8_t>(bytes_of(Mbuf::of(p))[8]), 0x3f);
    ASSERT_NE(p->next, nullptr);
    EXPECT_EQ(Mbuf::of(p->next)->data(), twin->data() + 20) << "the payload is shared, not copied";
    rte_pktmbuf_free(p);
    m_freem(twin);
}

TEST_F(RouteTest, ANamespaceThatIsNotThereIsSaid) {
    settings_.tap = "umtest";
    settings_.tap_netns = "nonesuch";
    router_.reset();  // memory for one
    const auto made = fwd::Router::make(settings_, readers_.get());
    ASSERT_FALSE(made.ok());
    EXPECT_NE(made.error().text.find("--tap-netns=nonesuch: /var/run/netns/nonesuch: No such file"), std::string::npos) << made.error().text;
}

// ---- the mode

struct Wire {
    rte_ring *in, *out;
    std::unique_ptr<Port> port;
};

Wire make_wire(int number) {
    const std::string name = "um_route" + std::to_string(number);
    Wire w{rte_ring_create((name + "i").c_str(), 1024, 0, 0), rte_ring_create((name + "o").c_str(), 4096, 0, 0), nullptr};
    const int id = rte_eth_from_rings(name.c_str(), &w.in, 1, &w.out, 1, 0);
    UM_ASSERT(id >= 0);
    PortConfig config;
    config.rx_zone = rx_zone();
    w.port = std::move(Port::configure(static_cast<uint16_t>(id), config).value());
    UM_ASSERT(w.port->start().ok());
    w.port->open_tx();
    w.port->open_rx();
    return w;
}
Wire& wire(int number) {  // made once for the process: EAL keeps its devices
    static Wire wires[] = {make_wire(0), make_wire(1)};
    return wires[number];
}

class RouteModeTest : public RouteTest {
  protected:
    void SetUp() override {
        RouteTest::SetUp();
        begin();
    }
    void begin() {
        end();
        make();
        ASSERT_TRUE(router_->use_ports({wire(0).port.get(), wire(1).port.get()}).ok());
        stream_ = std::make_unique<fwd::Stream>();
        stream_->rx_port = wire(0).port.get();
        stream_->tx_port = wire(1).port.get();
        stream_->burst = 32;
        stream_->settings = &settings_;
        stream_->router = router_.get();
        stream_->tee.emplace_back(wire(0).port.get(), "to=0");
        ASSERT_TRUE(engine_->begin(*stream_).ok());
    }
    void end() {
        if (stream_ == nullptr) return;
        engine_->end(*stream_);
        fwd::Punt punt;
        while (router_->door().take(punt)) rte_pktmbuf_free(punt.packet);
        uint64_t dead = 0;
        for (const sync::Counter& n : stream_->stats.drops) dead += n.read();
        EXPECT_EQ(stream_->stats.rx.read() + stream_->stats.made.read(), stream_->stats.tx.read() + dead) << "B1";
        stream_.reset();
    }
    void TearDown() override {
        end();
        RouteTest::TearDown();
    }
    [[nodiscard]] uint16_t port(int number) const { return wire(number).port->id(); }
    static std::string mac(const rte_ether_addr& mac) { return {reinterpret_cast<const char*>(&mac), 6}; }
    // frame_for_us - as the first port would get it.
    static std::string frame_for_us(const std::string& packet, uint16_t type = 0) {
        std::string frame = ether(type != 0 ? type : packet[0] >> 4 == 4 ? 0x0800 : 0x86dd, packet);
        return frame.replace(0, 6, mac(wire(0).port->mac()));
    }
    void run(Mbuf* m) {
        ASSERT_EQ(rte_ring_enqueue(wire(0).in, &m->rte), 0);
        engine_->burst(*stream_);
    }
    void run(const std::string& frame) { run(received(frame)); }
    static std::vector<std::string> out(int number) {
        std::vector<std::string> frames;
        void* p = nullptr;
        while (rte_ring_dequeue(wire(number).out, &p) == 0) {
            Mbuf* m = Mbuf::of(static_cast<rte_mbuf*>(p));
            EXPECT_FALSE(m_sanity(m).has_value());
            frames.push_back(bytes_of(m));
            m_freem(m);
        }
        return frames;
    }
    [[nodiscard]] uint64_t drops(Drop why) const { return stream_->stats.drops[static_cast<size_t>(why)].read(); }
    [[nodiscard]] std::string routed(const std::string& packet) const {
        const bool is4 = packet[0] >> 4 == 4;
        const std::string aged = is4 ? with(packet, 8, byte(packet[8] - 1)) : with(packet, 7, byte(packet[7] - 1));
        return ether(is4 ? 0x0800 : 0x86dd, aged).replace(0, 12, mac(kNext) + mac(wire(1).port->mac()));
    }

    const fwd::Engine* engine_ = fwd::find_engine("route");
    std::unique_ptr<fwd::Stream> stream_;
};

TEST_F(RouteModeTest, ARoutedFrameHasTheNextHopsAddressAndOneHopLess) {
    usual(1500, port(1));
    for (const std::string& packet : {kPacket4, kPacket6}) {
        for (Mbuf* m : {received(frame_for_us(packet)), pieces(frame_for_us(packet), 14), pieces(frame_for_us(packet), 30), clustered(frame_for_us(packet))}) {
            run(m);
            EXPECT_EQ(out(1), std::vector<std::string>{routed(packet)});
        }
    }
    EXPECT_EQ(stream_->stats.tx.read(), 8u);
}

TEST_F(RouteModeTest, APacketMayLeaveWhereItCameIn) {
    usual(1500, port(0));
    run(frame_for_us(kPacket4));
    EXPECT_EQ(out(1).size(), 0u);
    EXPECT_EQ(out(0).size(), 1u);
    EXPECT_EQ(stream_->tee[0].stats->tx.read(), 1u);
}

TEST_F(RouteModeTest, ALongPacketLeavesInPiecesThatShareItsBuffer) {
    usual(600, port(1));
    const std::string packet = ip4(17, udp(pattern(1400)));
    run(frame_for_us(packet));
    std::string payload;
    const std::vector<std::string> frames = out(1);
    ASSERT_EQ(frames.size(), 3u);
    for (const std::string& frame : frames) {
        EXPECT_EQ(frame.substr(0, 12), mac(kNext) + mac(wire(1).port->mac()));
        const std::string ip = frame.substr(14);
        EXPECT_LE(ip.size(), 600u);
        EXPECT_EQ(sum16(ip.substr(0, 20)), 0u);
        EXPECT_EQ(ip[8], 0x3f);
        EXPECT_EQ((get16(ip, 6) & 0x1fffU) * 8, payload.size());
        payload += ip.substr(20);
    }
    EXPECT_EQ(payload, packet.substr(20));
    EXPECT_EQ(stream_->stats.made.read(), 2u);
}

TEST_F(RouteModeTest, OnlyWhatIsForUsIsRouted) {
    usual(1500, port(1));
    run(ether(0x0800, kPacket4));
    EXPECT_EQ(drops(Drop::other_host), 1u);
    run(frame_for_us(kPacket4).replace(0, 6, std::string(6, '\xff')));
    run(ether(0x0806, arp(1)).replace(0, 6, std::string(6, '\xff')));
    run(frame_for_us(arp(2), 0x0806));
    run(frame_for_us(be16(7) + be16(0x0800) + kPacket4, 0x8100));
    EXPECT_EQ(drops(Drop::to_kernel), 4u);
    run(frame_for_us(kPacket4).substr(0, 13));
    EXPECT_EQ(drops(Drop::malformed), 1u);
    EXPECT_TRUE(out(0).empty() && out(1).empty());
    fwd::Punt punt;
    for (const size_t length : {kPacket4.size() + 14, size_t{42}, size_t{42}, kPacket4.size() + 18}) {
        ASSERT_TRUE(router_->door().take(punt));
        EXPECT_FALSE(punt.ip);
        EXPECT_EQ(punt.packet->port, port(0));
        EXPECT_EQ(punt.packet->pkt_len, length);
        rte_pktmbuf_free(punt.packet);
    }
    EXPECT_FALSE(router_->door().take(punt));
}

TEST_F(RouteModeTest, WhatTheKernelGetsIsAsItCame) {
    usual(1500, port(1));
    const std::string packet = with(kPacket4, 8, byte(1));
    run(frame_for_us(packet));
    fwd::Punt punt;
    ASSERT_TRUE(router_->door().take(punt));
    EXPECT_TRUE(punt.ip);
    EXPECT_EQ(bytes_of(Mbuf::of(punt.packet)), packet);
    rte_pktmbuf_free(punt.packet);
}

TEST_F(RouteModeTest, AnswersAreLimitedAndTheKernelsOwnAreNot) {
    settings_.punt_rate = 0;
    begin();
    usual(1500, port(1));
    run(frame_for_us(with(kPacket4, 8, byte(1))));
    run(frame_for_us(with(kPacket4, 16, be32(kB + 1))));
    EXPECT_EQ(drops(Drop::punt_limited), 2u);
    run(frame_for_us(arp(2), 0x0806));
    EXPECT_EQ(drops(Drop::to_kernel), 1u);
    settings_.punt_rate = 100;  // 2 at once
    begin();
    usual(1500, port(1));
    for (int i = 0; i < 50; ++i) run(frame_for_us(with(kPacket4, 8, byte(1))));
    EXPECT_GE(drops(Drop::ttl_expired), 2u);
    EXPECT_LT(drops(Drop::ttl_expired), 50u);
    EXPECT_EQ(drops(Drop::ttl_expired) + drops(Drop::punt_limited), 50u);
    run(frame_for_us(with(kPacket4, 16, be32(kB + 1))));
    EXPECT_EQ(drops(Drop::no_neighbour), 1u) << "who asks for errors does not keep neighbours unknown";
}

// Goal: D1, and no packet lost or twice. Method: two lanes punt, one thread takes and sleeps when it may; a knock that
// it does not hear would leave it asleep with packets in the ring.
TEST_F(RouteModeTest, NoKnockIsOverheard) {
    fwd::KernelDoor& door = router_->door();
    constexpr int kEach = 20'000;
    std::atomic<int> taken{0}, deaf{0};
    std::jthread kernel([&] {
        while (taken.load() < 2 * kEach) {
            fwd::Punt punt;
            while (door.take(punt)) ++taken;
            if (taken.load() == 2 * kEach || !door.may_sleep()) continue;
            pollfd bell{door.bell(), POLLIN, 0};
            if (poll(&bell, 1, 5000) == 0) ++deaf;
            door.awake();
        }
    });
    std::vector<std::jthread> lanes;
    std::array<Mbuf*, 2> packets{inlined("a"), inlined("b")};
    for (Mbuf* m : packets)
        lanes.emplace_back([&door, m] {
            for (int i = 0; i < kEach; ++i) {
                while (!door.punt({&m->rte, i % 2 == 0})) std::this_thread::yield();
                door.knock();
            }
        });
    lanes.clear();
    kernel.join();
    EXPECT_EQ(taken.load(), 2 * kEach);
    EXPECT_EQ(deaf.load(), 0);
    for (Mbuf* m : packets) m_freem(m);
}

TEST_F(RouteModeTest, AKernelThatIsBehindCostsPacketsAndNothingElse) {
    for (uint32_t i = 0; i < fwd::kToKernel + 10; ++i) run(inlined(frame_for_us(arp(2), 0x0806)));
    EXPECT_EQ(drops(Drop::punt_full), 11u);
    EXPECT_EQ(drops(Drop::to_kernel), fwd::kToKernel - 1);
}

TEST_F(RouteModeTest, FramesOfTheKernelLeaveByTheirPort) {
    const std::string frame = ether(0x0806, arp(1));
    ASSERT_TRUE(router_->door().give(port(0), &received(frame)->rte));
    engine_->burst(*stream_);
    EXPECT_EQ(out(0), std::vector<std::string>{frame});
    EXPECT_EQ(stream_->stats.made.read(), 1u);
    Mbuf* unread = received(frame);
    EXPECT_FALSE(router_->door().give(port(1), &unread->rte)) << "no lane reads that port";
    m_freem(unread);
    ASSERT_TRUE(router_->door().give(port(0), &received(frame)->rte));  // freed at the end
}

TEST_F(RouteModeTest, ARouteToAPortThatTakesNoPartIsCounted) {
    usual(1500, 29);
    run(frame_for_us(kPacket4));
    EXPECT_EQ(drops(Drop::port_down), 1u);
}

// Whichever mbuf there is none of: the packet dies under its name, and nothing is lost.
TEST_F(RouteModeTest, EveryMbufThatIsNotThereIsCounted) {
    usual(600, port(1));
    const std::string long_one = frame_for_us(ip4(17, udp(pattern(1400))));
    for (uint32_t nth = 1; nth < 9; ++nth)
        for (const bool shared : {false, true}) {
            Mbuf* m = received(long_one);
            Mbuf* twin = shared ? m_copypacket(m, M_NOWAIT) : nullptr;
            alloc_faults_arm(nth);
            run(m);
            alloc_faults_arm(0);
            const size_t sent = out(1).size();
            EXPECT_TRUE(sent == 3 || sent == 2 || sent == 0) << sent;
            m_freem(twin);
        }
    EXPECT_GT(drops(Drop::no_mbuf) + drops(Drop::read_only), 4u);
}

}  // namespace
}  // namespace umbuf::test
