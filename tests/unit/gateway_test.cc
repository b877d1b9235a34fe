// SPDX-License-Identifier: BSD-2-Clause
// gateway_test.cc - mode esp over ports that are rings, with tables, policies and SAs filled by hand. No kernel.
//
//      10.1.2.3  -- port 0, inside --.                              .-- the peer, 172.16.0.2: this test
//                                     gateway, 172.16.0.1 -- port 1, outside
//      10.1.3.3  -- port 2, inside --'                              `-- 203.0.113.9, in the clear
//
// Behind the peer is 192.168.9.0/24, to which there is no other way. For IPv6: 2001:db8::1 inside, ::2 behind the peer.
#include <array>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include <rte_eth_ring.h>
#include <rte_ring.h>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/gateway/gateway.h"
#include "app/umfwd/machine/lane.h"
#include "app/umfwd/route/router.h"
#include "lib/ipsec/too_big.h"
#include "lib/net/fragment.h"
#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

using fwd::Drop;

const rte_ether_addr kNext{{2, 'n', 'e', 'x', 't', '1'}}, kHost{{2, 'h', 'o', 's', 't', '1'}};
constexpr int kPorts = 3, kLanes = 2;

// Wire - a port; each lane sends into a ring of its own.
struct Wire {
    rte_ring* in;
    rte_ring* out[kLanes];
    std::unique_ptr<Port> port;
};
Wire make_wire(int number) {
    const std::string name = "um_gw" + std::to_string(number);
    Wire w{rte_ring_create((name + "i").c_str(), 1024, 0, 0), {rte_ring_create((name + "a").c_str(), 4096, 0, 0), rte_ring_create((name + "b").c_str(), 4096, 0, 0)}, nullptr};
    const int id = rte_eth_from_rings(name.c_str(), &w.in, 1, w.out, kLanes, 0);
    UM_ASSERT(id >= 0);
    PortConfig config;
    config.rx_zone = rx_zone();
    config.txq = kLanes;
    w.port = std::move(Port::configure(static_cast<uint16_t>(id), config).value());
    UM_ASSERT(w.port->start().ok());
    w.port->open_tx();
    w.port->open_rx();
    return w;
}
Wire& wire(int number) {  // made once for the process: EAL keeps its devices
    static Wire wires[kPorts] = {make_wire(0), make_wire(1), make_wire(2)};
    return wires[number];
}
uint16_t port(int number) { return wire(number).port->id(); }

IpAddress v4(uint32_t a) {
    IpAddress address;
    store32(reinterpret_cast<std::byte*>(address.bytes.data()), a);
    return address;
}
IpAddress v6(uint8_t last) {
    IpAddress a{.v6 = true, .bytes = {0x20, 1, 0xd, 0xb8}};
    a.bytes[15] = last;
    return a;
}
constexpr uint32_t kInside = 0x0a010203, kBehind = 0xc0a80908, kInside2 = 0x0a010303, kClear = 0xcb007109;

// mend - with its IPv4 checksum right again.
std::string mend(std::string packet) {
    if (packet[0] >> 4 == 4) ipv4_checksum(bytes_in(packet), 20);
    return packet;
}
std::string with(std::string packet, size_t at, const std::string& bytes) { return mend(packet.replace(at, bytes.size(), bytes)); }
std::string from_to(const std::string& packet, uint32_t from, uint32_t to) { return with(with(packet, 12, be32(from)), 16, be32(to)); }
// back - the same packet the other way. Sums stay right.
std::string back(std::string p) {
    const size_t at = p[0] >> 4 == 4 ? 12 : 8, n = p[0] >> 4 == 4 ? 4 : 16;
    const std::string src = p.substr(at, n), dst = p.substr(at + n, n);
    return p.replace(at, n, dst).replace(at + n, n, src);
}
// aged - one hop less to live.
std::string aged(std::string p) {
    char& hops = p[p[0] >> 4 == 4 ? 8 : 7];
    hops = static_cast<char>(hops - 1);
    return mend(p);
}
const std::string kPacket4 = udp_packet({}, 100), kPacket6 = udp_packet({.v6 = true}, 100);

class GatewayTest : public EspTest {
  protected:
    void SetUp() override {
        EspTest::SetUp();
        settings_.tap.clear();
        settings_.routes = 256;
        begin(1);
    }
    void TearDown() override {
        end();
        gateway_.reset();
        router_.reset();
        EspTest::TearDown();
    }
    // begin - a fresh gateway, whose streams are dealt to so many lanes.
    void begin(int lanes) {
        end();
        gateway_.reset();
        router_.reset();
        router_ = std::move(fwd::Router::make(settings_, readers_.get()).value());
        const std::vector<Port*> ports{wire(0).port.get(), wire(1).port.get(), wire(2).port.get()};
        ASSERT_TRUE(router_->use_ports(ports).ok());
        fill_table();
        gateway_ = std::move(fwd::Gateway::make(settings_, readers_.get()).value());
        gateway_->use_ports(ports);
        gateway_->set_inside(port(0), true);
        gateway_->set_inside(port(2), true);
        begin_streams(lanes);
    }
    void begin_streams(int lanes) {
        std::vector<unsigned> lcores(static_cast<size_t>(lanes), 0);
        ASSERT_TRUE(gateway_->begin_run(lcores).ok());
        for (int i = 0; i < kPorts; ++i) {
            auto stream = std::make_unique<fwd::Stream>();
            stream->rx_port = wire(i).port.get();
            stream->tx_port = wire((i + 1) % kPorts).port.get();
            stream->lane = stream->tx_queue = static_cast<uint16_t>(i == 2 ? lanes - 1 : 0);
            stream->burst = 32;
            stream->settings = &settings_;
            stream->router = router_.get();
            stream->gateway = gateway_.get();
            for (int to = 0; to < kPorts; ++to)
                if (to != (i + 1) % kPorts) stream->tee.emplace_back(wire(to).port.get(), "to=" + std::to_string(to));
            ASSERT_TRUE(engine_->begin(*stream).ok());
            streams_.push_back(std::move(stream));
        }
    }
    void end() {
        for (const auto& stream : streams_) {
            engine_->end(*stream);
            uint64_t dead = 0;
            for (const sync::Counter& n : stream->stats.drops) dead += n.read();
            EXPECT_EQ(stream->stats.rx.read() + stream->stats.made.read(), stream->stats.tx.read() + dead) << "B1 of burst.h";
        }
        streams_.clear();
        fwd::Punt punt;
        while (router_ != nullptr && router_->door().take(punt)) rte_pktmbuf_free(punt.packet);
    }
    void set(const IpAddress& address, uint8_t length, const Route& route) {
        ASSERT_TRUE(table().set(prefix_of(address, length), route).ok());
        table().commit();
    }
    void neighbour(int number, const IpAddress& address, const rte_ether_addr& mac) {
        ASSERT_TRUE(table().set_neighbour(port(number), address, NeighbourState::reachable, mac).ok());
    }
    static Route by(int number, uint16_t mtu = 1500) { return {.kind = RouteKind::forward, .port = port(number), .mtu = mtu}; }
    void fill_table() {
        set(v4(0x0a010200), 24, by(0));
        set(v4(0x0a010300), 24, by(2));
        set(v4(0xac100000), 24, by(1));
        set(v4(0xcb007100), 24, by(1));
        set(v4(0xac100001), 32, {.kind = RouteKind::local});
        set(v4(0x0a010201), 32, {.kind = RouteKind::local});
        set(v6(1), 128, by(0));
        set(end_of_tunnel(true, 2), 128, by(1));
        set(end_of_tunnel(true, 1), 128, {.kind = RouteKind::local});
        neighbour(0, v4(kInside), kHost);
        neighbour(2, v4(kInside2), kHost);
        neighbour(0, v6(1), kHost);
        for (const bool six : {false, true}) neighbour(1, end_of_tunnel(six, 2), kNext);
        neighbour(1, v4(kClear), kNext);
    }
    RouteTable& table() { return router_->table(); }
    IpsecDb& db() { return gateway_->db(); }

    // ---- SAs and policies
    // Peer - the two SAs of a child, and the other ends of them, which are ours to seal and open with.
    struct Peer {
        ChildId child;
        SaId out, in;
        std::unique_ptr<Sa> opens, seals;
    };
    Peer peer(uint32_t spi, bool outer_v6 = false, const OuterRules& rules = {}, FragmentRule fragment = FragmentRule::after) {
        Peer p;
        p.child = db().children.add().value();
        SaTerms out = terms_of("aes-gcm-128", SaMode::tunnel, outer_v6), in = out;
        out.outer = rules;
        out.fragment = fragment;
        out.spi = spi;
        in.spi = spi + 1;
        std::swap(in.src, in.dst);
        const std::string key = key_for(out.algorithm);
        const auto add = [&](const SaTerms& terms) {
            return NewSa{.terms = terms, .found_by = SadKey::spi_dst, .child = p.child, .key = {bytes_in(key), key.size()}, .engine = &db().engine, .now_s = 0};
        };
        p.out = db().rekey_out(add(out)).value();
        p.in = db().sad().add_in(add(in)).value();
        p.opens = sa_of(out);
        p.seals = sa_of(in);
        return p;
    }
    static Policy policy(Direction direction, Action action, const IpRange& src, const IpRange& dst, ChildId child = {}) {
        Policy p;
        p.direction = direction;
        p.action = action;
        p.selector.src = src;
        p.selector.dst = dst;
        p.child = child;
        return p;
    }
    static IpRange net(uint32_t a, uint32_t bits = 24) { return prefix(v4(a), bits); }
    void publish(const std::vector<Policy>& policies) {
        const Status done = db().spd.publish(policies);
        ASSERT_TRUE(done.ok()) << done.error().text;
    }
    // usual - what is inside and behind the peer reach each other, by this child.
    static std::vector<Policy> usual(ChildId child) {
        const IpRange here = net(0x0a010000, 16), there = net(0xc0a80900), here6 = {v6(1), v6(1)}, there6 = {v6(2), v6(2)};
        return {policy(Direction::out, Action::protect, here, there, child), policy(Direction::in, Action::protect, there, here, child),
                policy(Direction::out, Action::protect, here6, there6, child), policy(Direction::in, Action::protect, there6, here6, child)};
    }

    // ---- packets
    static std::string ether(uint16_t type, const std::string& packet, const std::string& to) { return to + "\x02xxxxx" + be16(type) + packet; }
    static std::string mac(const rte_ether_addr& m) { return {reinterpret_cast<const char*>(&m), 6}; }
    static uint16_t type_of(const std::string& packet) { return packet[0] >> 4 == 4 ? 0x0800 : 0x86dd; }
    static std::string frame(int number, const std::string& packet) { return ether(type_of(packet), packet, mac(wire(number).port->mac())); }
    void turn() {
        for (const auto& stream : streams_) engine_->burst(*stream);
    }
    void arrive(int number, Mbuf* m) { ASSERT_EQ(rte_ring_enqueue(wire(number).in, &m->rte), 0); }
    void arrive(int number, const std::string& packet) { arrive(number, received(frame(number, packet))); }
    // run - the packet in, and turns for all.
    void run(int number, const std::string& packet) {
        arrive(number, packet);
        turn();
    }
    // out - the packets that left by the port, without their Ethernet headers, which are for `to`.
    static std::vector<Mbuf*> out_of(int number, const rte_ether_addr& to, int lane = 0) {
        std::vector<Mbuf*> packets;
        void* p = nullptr;
        while (rte_ring_dequeue(wire(number).out[lane], &p) == 0) {
            Mbuf* m = Mbuf::of(static_cast<rte_mbuf*>(p));
            EXPECT_FALSE(m_sanity(m).has_value());
            const std::string head = bytes_of(m).substr(0, 12);
            EXPECT_EQ(head, mac(to) + mac(wire(number).port->mac()));
            m_adj(m, 14);
            packets.push_back(m);
        }
        return packets;
    }
    static std::vector<std::string> texts(const std::vector<Mbuf*>& packets) {
        std::vector<std::string> all;
        for (Mbuf* m : packets) {
            all.push_back(bytes_of(m));
            m_freem(m);
        }
        return all;
    }
    // as_sent - the kernel's frames that left by the port, whole.
    static std::vector<std::string> as_sent(int number) {
        std::vector<Mbuf*> frames;
        void* p = nullptr;
        while (rte_ring_dequeue(wire(number).out[0], &p) == 0) frames.push_back(Mbuf::of(static_cast<rte_mbuf*>(p)));
        return texts(frames);
    }
    // unsealed - the only packet that left for the peer, opened by him.
    std::string unsealed(Peer& by, const rte_ether_addr& to = kNext) {
        std::vector<Mbuf*> packets = out_of(1, to);
        EXPECT_EQ(packets.size(), 1u);
        if (packets.size() != 1) return texts(packets), "";
        EXPECT_TRUE(in(*by.opens, packets[0]).ok());
        return texts(packets)[0];
    }
    // sealed - the packet, as the peer sends it.
    std::string sealed(Peer& by, const std::string& packet) {
        Mbuf* m = clustered(packet);
        EXPECT_TRUE(EspTest::out(*by.seals, m).ok());
        return texts({m})[0];
    }
    [[nodiscard]] uint64_t drops(Drop why) const {
        uint64_t n = 0;
        for (const auto& stream : streams_) n += stream->stats.drops[static_cast<size_t>(why)].read();
        return n;
    }
    [[nodiscard]] uint64_t xfrm(Xfrm why) { return gateway_->lane(0).esp->counters.of(why); }
    // dies - the packet, under this name and no other; nothing leaves.
    void dies(int number, const std::string& packet, Drop why, Xfrm as = Xfrm::ok) {
        SCOPED_TRACE(std::string(fwd::name_of(why)) + " " + name_of(as));
        const uint64_t before = drops(why), counted = xfrm(as);
        run(number, packet);
        EXPECT_EQ(drops(why), before + 1);
        if (as != Xfrm::ok) { EXPECT_EQ(xfrm(as), counted + 1); }
        for (int i = 0; i < kPorts; ++i) EXPECT_TRUE(rte_ring_empty(wire(i).out[0]));
    }
    // punted - the only packet for the kernel.
    std::string punted(bool ip = true, bool own = false) {
        fwd::Punt punt;
        if (!router_->door().take(punt)) return "nothing";
        EXPECT_EQ(punt.ip, ip);
        EXPECT_EQ(punt.own, own);
        const std::string text = bytes_of(Mbuf::of(punt.packet));
        rte_pktmbuf_free(punt.packet);
        EXPECT_FALSE(router_->door().take(punt));
        return text;
    }
    // kernel_sends - a frame by the port's TAP.
    void kernel_sends(int number, const std::string& packet, uint16_t type = 0) {
        Mbuf* m = m_devget(bytes_in(kernels(packet, type)), static_cast<uint32_t>(packet.size() + 14), 64);
        ASSERT_TRUE(router_->door().give(port(number), &m->rte));
        turn();
    }
    static std::string kernels(const std::string& packet, uint16_t type = 0) { return ether(type == 0 ? type_of(packet) : type, packet, mac(kNext)); }

    fwd::Epoch readers_ = std::move(fwd::make_epoch().value());
    fwd::Settings settings_;
    std::unique_ptr<fwd::Router> router_;
    std::unique_ptr<fwd::Gateway> gateway_;
    const fwd::Engine* engine_ = fwd::find_engine("esp");
    std::vector<std::unique_ptr<fwd::Stream>> streams_;
};

TEST_F(GatewayTest, WhatAPolicyProtectsLeavesAsEspOneHopOlder) {
    for (const bool outer_v6 : {false, true}) {
        Peer p = peer(0x1000, outer_v6);
        publish(usual(p.child));
        for (const std::string& packet : {kPacket4, kPacket6}) {
            run(0, packet);
            EXPECT_EQ(unsealed(p), aged(packet));
        }
        begin(1);
    }
}

TEST_F(GatewayTest, EspIsOpenedAndRouted) {
    for (const bool outer_v6 : {false, true}) {
        Peer p = peer(0x1000, outer_v6);
        publish(usual(p.child));
        for (const std::string& packet : {kPacket4, kPacket6}) {
            run(1, sealed(p, back(packet)));
            EXPECT_EQ(texts(out_of(0, kHost)), std::vector<std::string>{aged(back(packet))});
        }
        begin(1);
    }
}

TEST_F(GatewayTest, WithoutAPolicyNothingCrosses) {
    dies(0, from_to(kPacket4, kInside, kClear), Drop::policy, Xfrm::out_blocked);
    dies(0, kPacket6, Drop::policy, Xfrm::out_blocked);
    dies(1, from_to(kPacket4, kClear, kInside), Drop::policy, Xfrm::in_no_policy);
    dies(1, from_to(kPacket4, kClear, 0xac100001), Drop::policy, Xfrm::in_no_policy);
    dies(1, from_to(kPacket4, kClear, 0xac100002), Drop::policy, Xfrm::in_no_policy);
    Peer p = peer(0x1000);
    dies(1, sealed(p, back(kPacket4)), Drop::policy, Xfrm::in_no_policy);
    EXPECT_EQ(punted(), "nothing");
}

TEST_F(GatewayTest, InsideNothingNeedsAPolicy) {
    run(0, from_to(kPacket4, kInside, kInside2));
    EXPECT_EQ(texts(out_of(2, kHost)), std::vector<std::string>{aged(from_to(kPacket4, kInside, kInside2))});
    run(2, from_to(kPacket4, kInside2, 0x0a010201));
    EXPECT_EQ(punted(), from_to(kPacket4, kInside2, 0x0a010201));
    const std::string answer = from_to(kPacket4, 0x0a010201, kInside);
    kernel_sends(0, answer);
    EXPECT_EQ(as_sent(0), std::vector<std::string>{kernels(answer)});
}

TEST_F(GatewayTest, WhatMustBeProtectedIsNotTakenInTheClear) {
    Peer p = peer(0x1000);
    publish(usual(p.child));
    dies(1, back(kPacket4), Drop::policy, Xfrm::in_template);
    dies(1, back(kPacket6), Drop::policy, Xfrm::in_template);
}

TEST_F(GatewayTest, PlaintextPassesByBypassBothWays) {
    const IpRange here = net(0x0a010200), clear = net(0xcb007100);
    publish({policy(Direction::out, Action::bypass, here, clear), policy(Direction::in, Action::bypass, clear, here)});
    const std::string packet = from_to(kPacket4, kInside, kClear);
    run(0, packet);
    EXPECT_EQ(texts(out_of(1, kNext)), std::vector<std::string>{aged(packet)});
    run(1, back(packet));
    EXPECT_EQ(texts(out_of(0, kHost)), std::vector<std::string>{aged(back(packet))});
    dies(1, from_to(kPacket4, kClear, kInside2), Drop::policy, Xfrm::in_no_policy);
    dies(2, from_to(kPacket4, kInside2, kClear), Drop::policy, Xfrm::out_blocked);
}

TEST_F(GatewayTest, WhatTurnsRoundOutsideCrossesTwice) {
    const IpRange peers = net(0xac100000), clear = net(0xcb007100);
    const std::string packet = from_to(kPacket4, kClear, 0xac100002);
    publish({policy(Direction::in, Action::bypass, clear, peers)});
    dies(1, packet, Drop::policy, Xfrm::out_blocked);
    publish({policy(Direction::in, Action::bypass, clear, peers), policy(Direction::out, Action::bypass, clear, peers)});
    run(1, packet);
    EXPECT_EQ(texts(out_of(1, kNext)), std::vector<std::string>{aged(packet)});
}

TEST_F(GatewayTest, WhatComesOutOfOneTunnelMayGoIntoAnother) {
    Peer a = peer(0x1000), b = peer(0x2000);
    const IpRange behind_a = net(0xc0a80900), behind_b = net(0xc0a80a00);
    const std::string packet = from_to(kPacket4, kBehind, 0xc0a80a01);
    publish({policy(Direction::in, Action::protect, behind_a, behind_b, a.child)});
    dies(1, sealed(a, packet), Drop::policy, Xfrm::out_blocked);
    publish({policy(Direction::in, Action::protect, behind_a, behind_b, a.child), policy(Direction::out, Action::protect, behind_a, behind_b, b.child)});
    run(1, sealed(a, packet));
    EXPECT_EQ(unsealed(b), aged(packet));
}

TEST_F(GatewayTest, EveryRefusalHasItsName) {
    Peer p = peer(0x1000), other = peer(0x2000);
    publish(usual(p.child));
    const std::string good = sealed(p, back(kPacket4));
    run(1, good);
    EXPECT_EQ(texts(out_of(0, kHost)).size(), 1u);
    dies(1, good, Drop::esp, Xfrm::in_seq);
    std::string wrong = sealed(p, back(kPacket4));
    wrong[60] = static_cast<char>(wrong[60] ^ 1);
    dies(1, wrong, Drop::esp, Xfrm::in_proto);
    dies(1, with(sealed(p, back(kPacket4)), 20, be32(0x7777)), Drop::no_sa, Xfrm::in_no_states);
    dies(1, sealed(other, back(kPacket4)), Drop::policy, Xfrm::in_template);
    dies(1, with(sealed(p, back(kPacket4)), 6, be16(0x1fff)), Drop::fragment);
    dies(1, sealed(p, from_to(kPacket4, kClear, kInside)), Drop::policy, Xfrm::in_no_policy);
    dies(1, sealed(p, with(back(kPacket4), 8, std::string(1, '\0'))), Drop::ttl_expired);
    EXPECT_EQ(punted(), with(back(kPacket4), 8, std::string(1, '\0')));
    const std::string udp = be16(4500) + be16(4500) + be16(9) + be16(0) + "\xff";
    dies(1, from_to(ip_packet({}, udp), kClear, 0xac100001), Drop::keepalive);
    ASSERT_TRUE(db().remove_sa(p.out).ok());
    dies(0, kPacket4, Drop::no_sa, Xfrm::out_no_states);
    ASSERT_TRUE(db().children.remove(p.child).ok());
    dies(0, kPacket4, Drop::no_sa, Xfrm::out_bundle);
}

TEST_F(GatewayTest, WhoCannotBeForwardedIsAnsweredByTheKernelAsItCame) {
    Peer p = peer(0x1000);
    publish(usual(p.child));
    const std::string last = with(kPacket4, 8, std::string(1, '\1'));
    run(0, last);
    EXPECT_EQ(punted(), last);
    EXPECT_EQ(drops(Drop::ttl_expired), 1u);
    EXPECT_EQ(db().sad().resolve(p.out.id, p.out.generation)->counters.packets.read(), 0u);
}

TEST_F(GatewayTest, AnOuterPacketWithoutANeighbourIsSentByTheKernelAsItsOwn) {
    Peer p = peer(0x1000);
    publish(usual(p.child));
    ASSERT_TRUE(table().set_neighbour(port(1), end_of_tunnel(false, 2), NeighbourState::pending, kNext).ok());
    run(0, kPacket4);
    EXPECT_EQ(drops(Drop::no_neighbour), 1u);
    Mbuf* m = clustered(punted(true, true));
    ASSERT_TRUE(in(*p.opens, m).ok());
    EXPECT_EQ(texts({m})[0], aged(kPacket4));
    ASSERT_TRUE(table().remove(prefix_of(v4(0xac100000), 24)).ok());
    table().commit();
    dies(0, kPacket4, Drop::no_route);
}

TEST_F(GatewayTest, WhatGrowsBeyondTheLinkIsCutWhereItMayBe) {
    Peer p = peer(0x1000, false, {.df = DfRule::clear});
    publish(usual(p.child));
    set(v4(0xac100000), 24, by(1, 600));
    run(0, udp_packet({}, 1200));
    std::vector<std::string> pieces = texts(out_of(1, kNext));
    EXPECT_EQ(pieces.size(), 3u);
    for (const std::string& piece : pieces) EXPECT_LE(piece.size(), 600u);
    begin(1);
    Peer q = peer(0x1000);
    publish(usual(q.child));
    set(v4(0xac100000), 24, by(1, 600));
    dies(0, udp_packet({}, 1200), Drop::too_big);
}

// in_pieces - a packet as its sender cuts it, or a router.
std::vector<std::string> in_pieces(const std::string& packet, uint32_t most, uint32_t id = 99) {
    Mbuf* m = clustered(packet);
    const bool six = packet[0] >> 4 == 6;
    Cut cut;
    EXPECT_EQ(plan_own_cut(&m->rte, {.v6 = six, .bytes = six ? 40u : 20u, .proto_at = 6, .id = id}, most, cut), CutPlan::pieces);
    Mbuf* list = fragments_of(&m->rte, cut);
    m_freem(m);
    std::vector<std::string> all;
    for (Mbuf* piece = list; piece != nullptr; piece = piece->nextpkt) all.push_back(bytes_of(piece));
    m_purge(list);
    return all;
}

TEST_F(GatewayTest, EspThatArrivesInPiecesIsOpenedWhole) {
    for (const bool outer_v6 : {false, true}) {
        Peer p = peer(0x1000, outer_v6);
        publish(usual(p.child));
        const std::string packet = udp_packet({}, 1200);
        std::vector<std::string> pieces = in_pieces(sealed(p, back(packet)), 600);
        std::reverse(pieces.begin(), pieces.end());
        const uint64_t merged = drops(Drop::merged);
        for (const std::string& piece : pieces) {
            EXPECT_TRUE(texts(out_of(0, kHost)).empty());
            run(1, piece);
        }
        EXPECT_EQ(texts(out_of(0, kHost)), std::vector<std::string>{aged(back(packet))});
        EXPECT_EQ(drops(Drop::merged), merged + pieces.size() - 1);
        // What is not whole yet is held by name, and given back at the end.
        run(1, in_pieces(sealed(p, back(packet)), 600)[0]);
        fwd::EngineHolds holds;
        for (const auto& stream : streams_) stream->state->holds(holds);
        EXPECT_EQ(holds.reassembly[rx_zone()->pool], 1u);
        begin(1);
    }
}

TEST_F(GatewayTest, IkeThatArrivesInPiecesIsTheKernelsWhole) {
    const std::string packet = from_to(ip_packet({.df = false}, be16(4500) + be16(4500) + be16(1208) + be16(0) + be32(0) + pattern(1196)), kClear, 0xac100001);
    const std::vector<std::string> pieces = in_pieces(packet, 600);
    for (const std::string& piece : pieces) run(1, piece);
    EXPECT_EQ(punted().substr(20), packet.substr(20));
    // From inside, they are his to put together.
    run(0, from_to(pieces[0], kInside, 0xac100001));
    EXPECT_EQ(punted(), from_to(pieces[0], kInside, 0xac100001));
}

TEST_F(GatewayTest, WhoSendsTooMuchIsToldByTheAddressThatHeSees) {
    for (const bool six : {false, true}) {
        begin(1);
        Peer p = peer(0x1000);
        publish(usual(p.child));
        const IpAddress us = six ? v6(9) : v4(0x0a010201);
        set(us, six ? 128 : 32, {.kind = RouteKind::local, .port = port(0), .own = true});
        const size_t most = 1446 - (six ? 40 : 20) - 8;
        run(0, udp_packet({.v6 = six}, most));
        EXPECT_EQ(unsealed(p), aged(udp_packet({.v6 = six}, most)));
        const std::string packet = udp_packet({.v6 = six}, most + 1);
        run(0, packet);
        EXPECT_TRUE(texts(out_of(1, kNext)).empty());
        const std::vector<std::string> told = texts(out_of(0, kHost));
        ASSERT_EQ(told.size(), 1u);
        Mbuf* expected = clustered(aged(packet));
        Mbuf* answer = make_too_big(expected, 1446, us);
        EXPECT_EQ(told[0], bytes_of(answer));
        m_freem(expected);
        m_freem(answer);
        EXPECT_EQ(drops(Drop::too_big), 1u);
        EXPECT_EQ(xfrm(Xfrm::out_too_big), 1u);
        // Not those who must not be: here, a fragment that is not the first; and an IPv4 packet that may be cut is.
        if (six) continue;
        dies(0, with(packet, 6, be16(0x4001)), Drop::too_big);
        run(0, udp_packet({.df = false}, most + 1));
        EXPECT_EQ(texts(out_of(1, kNext)).size(), 2u);
    }
}

TEST_F(GatewayTest, AnAnswerThatLeavesOutsideWantsAPolicy) {
    Peer p = peer(0x1000);
    const IpRange clear = net(0xcb007100), there = net(0xc0a80900);
    set(v4(0xac100001), 32, {.kind = RouteKind::local, .port = port(1), .own = true});
    std::vector<Policy> policies{policy(Direction::in, Action::bypass, clear, there), policy(Direction::out, Action::protect, clear, there, p.child)};
    publish(policies);
    const std::string packet = from_to(udp_packet({}, 1440), kClear, kBehind);
    dies(1, packet, Drop::policy, Xfrm::out_blocked);
    EXPECT_EQ(drops(Drop::too_big), 1u);
    policies.push_back(policy(Direction::out, Action::bypass, net(0xac100001, 32), clear));
    publish(policies);
    run(1, packet);
    EXPECT_EQ(texts(out_of(1, kNext)).size(), 1u);
}

TEST_F(GatewayTest, WhatIsCutBeforeEspLeavesInPiecesOfTheRightLength) {
    Peer p = peer(0x1000, false, {}, FragmentRule::before);
    publish(usual(p.child));
    arrive(0, clustered(frame(0, udp_packet({.df = false}, 4000))));
    turn();
    std::vector<std::string> opened;
    for (Mbuf* m : out_of(1, kNext)) {
        EXPECT_LE(m->pkt_len(), 1500u);
        ASSERT_TRUE(in(*p.opens, m).ok());
        opened.push_back(texts({m})[0]);
    }
    EXPECT_EQ(opened, in_pieces(aged(udp_packet({.df = false}, 4000)), 1446, 7));
}

// RFC 4301, 8.2.1.
TEST_F(GatewayTest, ARouterThatSaysTooBigOfOurEspIsBelieved) {
    Peer p = peer(0x1000), other = peer(0x2000);
    publish(usual(p.child));
    set(v4(0xcb007109), 32, by(1));
    const std::string packet = udp_packet({}, 1300);
    run(0, packet);
    std::vector<std::string> sent = texts(out_of(1, kNext));
    ASSERT_EQ(sent.size(), 1u);
    const auto says = [&](const std::string& quoted) {
        std::string icmp = std::string("\x03\x04\0\0", 4) + be32(1300) + quoted.substr(0, 60);
        uint16_t sum = rte_raw_cksum(icmp.data(), icmp.size());
        sum = static_cast<uint16_t>(~sum);
        std::memcpy(icmp.data() + 2, &sum, sizeof sum);
        dies(1, from_to(ip_packet({.proto = kProtoIcmp}, icmp), kClear, 0xac100001), Drop::policy, Xfrm::in_no_policy);
        gateway_->poll();
    };
    const auto path = [&](const Peer& of) { return db().sad().resolve(of.out.id, of.out.generation)->path.learned(fwd::ipsec_clock_s()); };
    says(with(sent[0], 20, be32(0x3000)));
    says(with(sent[0], 16, be32(0xac100003)));
    says(with(sent[0], 20, be32(0x1001)));
    EXPECT_EQ(path(p), 0u) << "nobody's SPI, another peer, an inbound SA";
    says(sent[0]);
    EXPECT_EQ(path(p), 1300u);
    EXPECT_EQ(path(other), 0u);
    run(0, packet);
    EXPECT_TRUE(texts(out_of(1, kNext)).empty());
    EXPECT_EQ(xfrm(Xfrm::out_too_big), 1u);
    EXPECT_EQ(gateway_->lane(0).counts->heard.read(), 4u);
}

TEST_F(GatewayTest, APacketThatOthersShareIsNotWritten) {
    Peer p = peer(0x1000);
    publish(usual(p.child));
    const std::string packet = udp_packet({}, 1200);
    Mbuf* m = received(frame(0, packet));
    Mbuf* twin = m_copypacket(m, M_NOWAIT);
    arrive(0, m);
    turn();
    EXPECT_EQ(unsealed(p), aged(packet));
    EXPECT_EQ(bytes_of(twin), frame(0, packet));
    m_freem(twin);
}

// Whichever mbuf there is none of: the packet dies under its name, and nothing is lost.
TEST_F(GatewayTest, EveryMbufThatIsNotThereIsCounted) {
    Peer p = peer(0x1000);
    publish(usual(p.child));
    uint64_t sent = 0;
    for (uint32_t nth = 1; nth < 7; ++nth) {
        Mbuf* m = received(frame(0, udp_packet({}, 1200)));
        Mbuf* twin = m_copypacket(m, M_NOWAIT);
        arrive(0, m);
        alloc_faults_arm(nth);
        turn();
        alloc_faults_arm(0);
        sent += texts(out_of(1, kNext)).size();
        m_freem(twin);
    }
    EXPECT_EQ(sent + drops(Drop::no_mbuf) + drops(Drop::read_only), 6u);
    EXPECT_GT(drops(Drop::no_mbuf), 0u);
    EXPECT_GT(sent, 0u);
}

// ---- exemptions, and the kernel

std::string icmp6(uint8_t type, int hops, const std::string& to) {
    std::string p = ip_packet({.v6 = true, .proto = kProtoIcmpv6}, std::string(1, static_cast<char>(type)) + std::string(23, '\0'));
    p[7] = static_cast<char>(hops);
    return p.replace(24, 16, to);
}
std::string udp_from_to(uint16_t from, uint16_t to, const std::string& data) {
    return ip_packet({}, be16(from) + be16(to) + be16(static_cast<uint32_t>(8 + data.size())) + be16(0) + data);
}

TEST_F(GatewayTest, DiscoveryAndIkeForUsNeedNoPolicy) {
    const std::string us(reinterpret_cast<const char*>(end_of_tunnel(true, 1).bytes.data()), 16), group = "\xff\x02" + std::string(13, '\0') + '\1';
    for (int type = 130; type < 140; ++type)
        for (const int hops : {255, 254}) {
            const bool passes = type >= 133 && type <= 137 && hops == 255;
            run(1, icmp6(static_cast<uint8_t>(type), hops, us));
            EXPECT_EQ(punted() != "nothing", passes) << type;
            const std::string to_all = ether(0x86dd, icmp6(static_cast<uint8_t>(type), hops, group), "\x33\x33" + std::string(3, '\0') + '\1');
            arrive(1, received(to_all));
            turn();
            EXPECT_EQ(punted(false), passes ? to_all : "nothing") << type;
        }
    const std::string ike(28, '\0');
    run(1, from_to(udp_from_to(500, 500, "ike"), kClear, 0xac100001));
    EXPECT_NE(punted(), "nothing");
    run(1, from_to(udp_from_to(4500, 4500, ike), kClear, 0xac100001));
    EXPECT_NE(punted(), "nothing");
    EXPECT_EQ(gateway_->lane(0).counts->ike.read(), 2u);
    EXPECT_EQ(gateway_->lane(0).counts->discovery.read(), 10u);
    dies(1, from_to(udp_from_to(500, 501, "ike"), kClear, 0xac100001), Drop::policy, Xfrm::in_no_policy);
    dies(1, from_to(udp_from_to(4500, 4500, "\1" + ike), kClear, 0xac100001), Drop::no_sa, Xfrm::in_no_states);
    dies(1, from_to(udp_from_to(500, 500, "ike"), kClear, kInside), Drop::policy, Xfrm::in_no_policy);
}

TEST_F(GatewayTest, WhatTheKernelSendsOutsideIsPolicedToo) {
    Peer p = peer(0x1000);
    publish(usual(p.child));
    const std::string request(28, 'a');
    kernel_sends(1, request, 0x0806);
    EXPECT_EQ(as_sent(1), std::vector<std::string>{kernels(request, 0x0806)}) << "ARP is no IP";
    kernel_sends(1, from_to(kPacket4, 0x0a010201, kBehind));
    EXPECT_EQ(unsealed(p), from_to(kPacket4, 0x0a010201, kBehind)) << "the kernel has aged it, or it is its own";
    kernel_sends(1, from_to(kPacket4, 0xac100001, kClear));
    EXPECT_EQ(drops(Drop::policy), 1u);
    kernel_sends(1, be16(7) + be16(0x0800) + kPacket4, 0x8100);
    EXPECT_EQ(drops(Drop::not_handled), 1u);
    EXPECT_TRUE(rte_ring_empty(wire(1).out[0]));
}

TEST_F(GatewayTest, IkeAndEspOfTheKernelsOwnLeaveAsTheyAre) {
    for (const std::string& packet : {udp_from_to(500, 500, "ike"), udp_from_to(4500, 31000, std::string(28, '\0')), udp_from_to(4500, 4500, "\xff"),
                                      udp_from_to(4500, 4500, "an SPI and so on"), ip_packet({.proto = kProtoEsp}, "an SPI and so on")}) {
        kernel_sends(1, from_to(packet, 0xac100001, kClear));
        EXPECT_EQ(as_sent(1), std::vector<std::string>{kernels(from_to(packet, 0xac100001, kClear))});
        const uint64_t before = drops(Drop::policy);
        kernel_sends(1, from_to(packet, kInside, kClear));
        EXPECT_EQ(drops(Drop::policy), before + 1) << "it only passed through the kernel";
    }
    kernel_sends(1, icmp6(135, 255, std::string(16, '\1')));
    EXPECT_EQ(as_sent(1).size(), 1u);
    EXPECT_TRUE(rte_ring_empty(wire(1).out[0]));
}

TEST_F(GatewayTest, OutsideOnlyIpAndArpPass) {
    const std::string group = "\x01" + std::string(5, '\0');
    for (const int number : {0, 1}) {
        arrive(number, received(ether(0x0806, std::string(28, 'a'), group)));
        arrive(number, received(ether(0x8100, be16(7) + be16(0x0800) + kPacket4, mac(wire(number).port->mac()))));
        arrive(number, received(ether(0x0800, from_to(kPacket4, kClear, 0xe0000005), group)));
        turn();
        int taken = 0;
        for (fwd::Punt punt; router_->door().take(punt); ++taken) {
            EXPECT_EQ(punt.packet->port, port(number));
            EXPECT_FALSE(punt.ip);
            rte_pktmbuf_free(punt.packet);
        }
        EXPECT_EQ(taken, number == 0 ? 3 : 1);
    }
    EXPECT_EQ(drops(Drop::not_handled), 1u);
    EXPECT_EQ(drops(Drop::policy), 1u);
    publish({policy(Direction::in, Action::bypass, net(0xcb007100), net(0xe0000000))});
    arrive(1, received(ether(0x0800, from_to(kPacket4, kClear, 0xe0000005), group)));
    turn();
    EXPECT_EQ(punted(false), ether(0x0800, from_to(kPacket4, kClear, 0xe0000005), group));
}

// ---- a device that takes its time

class GatewayDeviceTest : public GatewayTest {
  protected:
    void SetUp() override {
        GatewayTest::SetUp();
        settings_.esp_engine = "cryptodev:crypto_openssl";
        begin(1);
    }
    void turns() {
        for (int i = 0; i < 20; ++i) turn();
    }
    // numbered - one of a flow.
    static std::string numbered(uint32_t n) { return udp_from_to(5, 7, be32(n) + "1234"); }
};

TEST_F(GatewayDeviceTest, PacketsPassBothWaysInTheirOrder) {
    Peer p = peer(0x1000);
    publish(usual(p.child));
    constexpr uint32_t kPackets = 100;
    for (uint32_t i = 0; i < kPackets; ++i) {
        arrive(0, numbered(i));
        arrive(1, sealed(p, back(numbered(i))));
        if (i % 10 == 9) turn();
    }
    turns();
    const std::vector<std::string> inward = texts(out_of(0, kHost));
    std::vector<Mbuf*> outward = out_of(1, kNext);
    ASSERT_EQ(inward.size(), kPackets);
    ASSERT_EQ(outward.size(), kPackets);
    for (uint32_t i = 0; i < kPackets; ++i) {
        EXPECT_EQ(inward[i], aged(back(numbered(i))));
        ASSERT_TRUE(in(*p.opens, outward[i]).ok());
    }
    const std::vector<std::string> inner = texts(outward);
    for (uint32_t i = 0; i < kPackets; ++i) EXPECT_EQ(inner[i], aged(numbered(i)));
    EXPECT_EQ(drops(Drop::to_device), 2 * kPackets);
    EXPECT_FALSE(db().sad().busy(p.out) || db().sad().busy(p.in));
}

TEST_F(GatewayDeviceTest, RefusalsHaveTheirNamesToo) {
    Peer p = peer(0x1000);
    publish(usual(p.child));
    std::string wrong = sealed(p, back(kPacket4));
    wrong[60] = static_cast<char>(wrong[60] ^ 1);
    arrive(1, wrong);
    arrive(1, with(sealed(p, back(kPacket4)), 20, be32(0x7777)));
    arrive(1, sealed(p, from_to(kPacket4, kClear, kInside)));
    turns();
    EXPECT_EQ(drops(Drop::esp), 1u);
    EXPECT_EQ(drops(Drop::no_sa), 1u);
    EXPECT_EQ(drops(Drop::policy), 1u);
    EXPECT_TRUE(rte_ring_empty(wire(0).out[0]));
}

TEST_F(GatewayDeviceTest, AnSaThatGoesTakesItsPacketsAlongAndARekeyDoesNot) {
    Peer p = peer(0x1000);
    publish(usual(p.child));
    arrive(0, kPacket4);
    engine_->burst(*streams_[0]);
    SaTerms next = terms_of("aes-gcm-128");
    next.spi = 0x3000;
    const std::string key = key_for(next.algorithm);
    const Result<SaId> second = db().rekey_out({.terms = next, .found_by = SadKey::spi_dst, .child = p.child, .key = {bytes_in(key), key.size()}, .engine = &db().engine, .now_s = 0});
    ASSERT_TRUE(second.ok());
    gateway_->poll();
    turns();
    EXPECT_EQ(unsealed(p), aged(kPacket4)) << "begun with the old one, and so ended";
    arrive(0, kPacket4);
    engine_->burst(*streams_[0]);
    ASSERT_TRUE(db().remove_sa(second.value()).ok());
    turns();
    EXPECT_EQ(drops(Drop::no_sa), 1u);
    EXPECT_TRUE(rte_ring_empty(wire(1).out[0]));
}

TEST_F(GatewayDeviceTest, WhatIsWithTheDeviceAtTheEndIsCountedAndFreed) {
    Peer p = peer(0x1000);
    publish(usual(p.child));
    for (int i = 0; i < 5; ++i) arrive(0, kPacket4);
    engine_->burst(*streams_[0]);
    EXPECT_EQ(drops(Drop::to_device), 5u);
    const std::unique_ptr<fwd::Stream> first = std::move(streams_[0]);
    streams_.erase(streams_.begin());
    EXPECT_TRUE(db().sad().busy(p.out));
    engine_->end(*first);
    EXPECT_EQ(first->stats.drops[static_cast<size_t>(Drop::drained)].read(), 5u);
    EXPECT_EQ(first->stats.made.read(), 5u);
    EXPECT_FALSE(db().sad().busy(p.out));
}

// ---- several lanes

constexpr uint32_t kFlow = 28;  // where a packet says its number: UDP's data

// numbered - of this flow (a port), as the nth.
std::string numbered(uint32_t from, uint16_t flow, uint32_t n) {
    return from_to(udp_from_to(flow, 7, be32(n) + "1234"), from, kBehind);
}

TEST_F(GatewayTest, AnSaBelongsToTheLaneThatWasFirstAndStaysThere) {
    begin(2);
    Peer p = peer(0x1000);
    publish(usual(p.child));
    run(2, numbered(kInside2, 1, 0));  // lane 1
    EXPECT_EQ(texts(out_of(1, kNext, 1)).size(), 1u);
    run(0, kPacket4);
    EXPECT_EQ(drops(Drop::handed_over), 1u);
    turn();
    EXPECT_EQ(texts(out_of(1, kNext, 0)).size(), 0u);
    std::vector<Mbuf*> sent = out_of(1, kNext, 1);
    ASSERT_EQ(sent.size(), 1u);
    ASSERT_TRUE(in(*p.opens, sent[0]).ok());
    EXPECT_EQ(texts(sent)[0], aged(kPacket4));
    const std::string esp = sealed(p, back(kPacket4));
    run(1, esp);
    EXPECT_EQ(texts(out_of(0, kHost, 0)).size(), 1u) << "the other direction is whose it is";
    // Its next SA is his, too: nothing overtakes what was handed over before.
    SaTerms next = terms_of("aes-gcm-128");
    next.spi = 0x3000;
    const std::string key = key_for(next.algorithm);
    arrive(0, kPacket4);
    engine_->burst(*streams_[0]);
    ASSERT_TRUE(db().rekey_out({.terms = next, .found_by = SadKey::spi_dst, .child = p.child, .key = {bytes_in(key), key.size()}, .engine = &db().engine, .now_s = 0}).ok());
    run(2, numbered(kInside2, 1, 1));
    std::vector<std::string> both = texts(out_of(1, kNext, 1));
    ASSERT_EQ(both.size(), 2u);
    for (const std::string& packet : both) EXPECT_EQ(load32(bytes_in(packet) + 20), 0x3000u);
    EXPECT_EQ(load32(bytes_in(both[0]) + 24), 1u);
}

TEST_F(GatewayTest, ALaneThatIsBehindCostsTheOthersPackets) {
    begin(2);
    Peer p = peer(0x1000);
    publish(usual(p.child));
    run(2, numbered(kInside2, 1, 0));
    EXPECT_EQ(texts(out_of(1, kNext, 1)).size(), 1u);
    for (uint32_t i = 0; i < fwd::kHandoverRing + 5; ++i) {
        arrive(0, kPacket4);
        engine_->burst(*streams_[0]);
    }
    EXPECT_EQ(drops(Drop::lane_full), 6u);
    end();  // what is in the ring is counted and freed
}

TEST_F(GatewayTest, WhatWasHandedOverForAnSaThatWentIsNotLetThrough) {
    begin(2);
    Peer p = peer(0x1000);
    publish(usual(p.child));
    run(2, numbered(kInside2, 1, 0));
    EXPECT_EQ(texts(out_of(1, kNext, 1)).size(), 1u);
    EXPECT_EQ(gateway_->owner(Direction::in, p.child, 1), 1);
    arrive(0, kPacket4);
    arrive(1, sealed(p, back(kPacket4)));
    engine_->burst(*streams_[0]);
    engine_->burst(*streams_[1]);
    EXPECT_EQ(drops(Drop::handed_over), 2u);
    ASSERT_TRUE(db().remove_sa(p.out).ok());
    ASSERT_TRUE(db().remove_sa(p.in).ok());
    turn();
    EXPECT_EQ(drops(Drop::no_sa), 2u);
    EXPECT_EQ(gateway_->lane(1).esp->counters.of(Xfrm::in_state), 1u);
    EXPECT_EQ(gateway_->lane(1).esp->counters.of(Xfrm::out_no_states), 1u);
}

// Goal: one writer of an SA, no number twice, each flow in order, and no packet lost but by name. Method: two lanes
// on two threads, a tunnel that both have packets for, in both directions, and SAs that are replaced meanwhile.
TEST_F(GatewayTest, FlowsOfOneSaOnTwoLanesKeepTheirOrder) {
    std::mt19937_64 random(seed());
    begin(2);
    Peer p = peer(0x1000);
    publish(usual(p.child));
    constexpr uint32_t kRounds = 300, kEach = 16;
    constexpr int kSources[] = {0, 2};
    std::atomic<bool> stop{false};
    std::vector<std::jthread> lanes;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
        rte_rcu_qsbr_thread_register(readers_.get(), lane);
        rte_rcu_qsbr_thread_online(readers_.get(), lane);
        lanes.emplace_back([this, lane, &stop] {
            while (!stop.load()) {
                for (const auto& stream : streams_)
                    if (stream->lane == lane) engine_->burst(*stream);
                rte_rcu_qsbr_quiescent(readers_.get(), lane);
                std::this_thread::yield();
            }
            rte_rcu_qsbr_thread_offline(readers_.get(), lane);
        });
    }
    std::map<uint64_t, std::vector<std::string>> by_number;  // SPI and number
    uint32_t sent = 0, seen = 0;
    uint32_t next[2] = {};
    std::map<uint32_t, std::unique_ptr<Sa>> opens;
    SaTerms terms = terms_of("aes-gcm-128");
    terms.spi = 0x1000;
    opens[terms.spi] = sa_of(terms);
    const std::string key = key_for(terms.algorithm);
    const auto collect = [&] {
        for (int lane = 0; lane < kLanes; ++lane)
            for (Mbuf* m : out_of(1, kNext, lane)) {
                const std::string outer = bytes_of(m);
                const uint32_t spi = load32(bytes_in(outer) + 20);
                ASSERT_TRUE(opens.contains(spi));
                ASSERT_TRUE(in(*opens[spi], m).ok()) << "a number twice, or out of the window";
                const std::string inner = texts({m})[0];
                const int flow = load16(bytes_in(inner) + 20) - 1;
                ASSERT_EQ(load32(bytes_in(inner) + kFlow), next[flow]++) << "flow " << flow;
                ++seen;
            }
    };
    for (uint32_t round = 0; round < kRounds; ++round) {
        for (uint32_t i = 0; i < kEach; ++i)
            for (int flow = 0; flow < 2; ++flow) {
                const uint32_t from = flow == 0 ? kInside : kInside2;
                arrive(kSources[flow], numbered(from, static_cast<uint16_t>(flow + 1), round * kEach + i));
                ++sent;
            }
        if (random() % 16 == 0) {
            ++terms.spi;
            opens[terms.spi] = sa_of(terms);
            ASSERT_TRUE(db().rekey_out({.terms = terms, .found_by = SadKey::spi_dst, .child = p.child, .key = {bytes_in(key), key.size()}, .engine = &db().engine, .now_s = 0}).ok());
        }
        gateway_->poll();
        while (seen + 256 < sent && !HasFatalFailure()) collect();
    }
    while (seen < sent && !HasFatalFailure()) collect();
    stop.store(true);
    lanes.clear();
    for (unsigned lane = 0; lane < kLanes; ++lane) rte_rcu_qsbr_thread_unregister(readers_.get(), lane);
    EXPECT_GT(drops(Drop::handed_over), 0u);
    EXPECT_EQ(drops(Drop::lane_full), 0u);
}

}  // namespace
}  // namespace umbuf::test
