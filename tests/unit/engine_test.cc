// SPDX-License-Identifier: BSD-2-Clause
// engine_test.cc - each mode, bytes in against bytes out, over ports that are rings.
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_launch.h>
#include <rte_ring.h>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engine.h"
#include "app/umfwd/engines/seqgen.h"
#include "app/umfwd/settings.h"
#include "drivers/net/fault.h"
#include "tests/unit/fixture.h"
#include "tests/unit/frames.h"

namespace umbuf::test {
namespace {

using fwd::Drop;
using fwd::Engine;
using fwd::Stream;

// A port whose two ends are in our hands. Made once for the process: EAL keeps its devices.
struct Wire {
    rte_ring* in;   // what the port will receive
    rte_ring* out;  // what the port has sent
    std::unique_ptr<Port> port;
};
constexpr unsigned kRing = 512;

rte_ring* make_ring(const std::string& name) {
    return rte_ring_create(name.c_str(), kRing, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

std::unique_ptr<Port> make_port(const std::string& name, rte_ring* in, rte_ring* out) {
    const int id = rte_eth_from_rings(name.c_str(), &in, 1, &out, 1, 0);
    UM_ASSERT(id >= 0);
    PortConfig config;
    config.rx_zone = rx_zone();
    std::unique_ptr<Port> port = Port::configure(static_cast<uint16_t>(id), config).value();
    UM_ASSERT(port->start().ok());
    port->open_tx();
    port->open_rx();
    return port;
}

Wire make_wire(int number) {
    const std::string name = "um_wire" + std::to_string(number);
    Wire w{make_ring(name + "i"), make_ring(name + "o"), nullptr};
    w.port = make_port(name, w.in, w.out);
    return w;
}

Wire& wire(int number) {
    static std::map<int, Wire> wires;
    const auto found = wires.find(number);
    return found != wires.end() ? found->second
                                : wires.emplace(number, make_wire(number)).first->second;
}

std::string mac_of(const Port& port) {
    return {reinterpret_cast<const char*>(&port.mac()), RTE_ETHER_ADDR_LEN};
}

const std::string kPeer =
    "\x02"
    "peer!";

struct EngineTest : MbufTest {
    EngineTest() {
        stream.rx_port = wire(0).port.get();
        stream.tx_port = wire(1).port.get();
        stream.burst = 32;
        std::memcpy(&stream.peer, kPeer.data(), RTE_ETHER_ADDR_LEN);
        stream.settings = &settings;
    }
    void use(const char* mode) {
        engine = fwd::find_engine(mode);
        ASSERT_NE(engine, nullptr) << mode;
        if (engine->begin == nullptr) return;
        const Status begun = engine->begin(stream);
        ASSERT_TRUE(begun.ok()) << begun.error().text;
    }
    void tee_to(const std::vector<int>& wires_out) {
        stream.tee.clear();
        for (const int out : wires_out) stream.tee.emplace_back(wire(out).port.get(), "to=" + std::to_string(out));
    }
    static void send_in(Mbuf* m) { ASSERT_EQ(rte_ring_enqueue(wire(0).in, &m->rte), 0); }
    static Mbuf* take_out(int number = 1) {
        void* r = nullptr;
        return rte_ring_dequeue(wire(number).out, &r) == 0 ? Mbuf::of(static_cast<rte_mbuf*>(r))
                                                           : nullptr;
    }
    void run() {
        for (int i = 0; i < 100; ++i)
            if (engine->burst(stream) == 0) return;
    }
    // out - all that a port has sent, as bytes; the chains are whole.
    static std::vector<std::string> out(int number = 1) {
        std::vector<std::string> frames;
        while (Mbuf* m = take_out(number)) {
            const auto fault = m_sanity(m);
            EXPECT_FALSE(fault.has_value()) << *fault;
            for (const Mbuf* s = m; s != nullptr; s = s->next())
                EXPECT_GT(s->len(), 0u);
            frames.push_back(bytes_of(m));
            m_freem(m);
        }
        return frames;
    }
    // through - one packet into the mode, what comes out.
    std::string through(Mbuf* m) {
        send_in(m);
        run();
        const std::vector<std::string> frames = out();
        EXPECT_LE(frames.size(), 1u);
        return frames.empty() ? "" : frames[0];
    }
    std::string through(const std::string& bytes) { return through(received(bytes)); }
    [[nodiscard]] uint64_t drops(Drop why) const {
        return stream.stats.drops[static_cast<size_t>(why)].read();
    }
    void TearDown() override {
        if (engine != nullptr && engine->end != nullptr) engine->end(stream);
        for (int i = 0; i < 3; ++i) {
            out(i);
            void* r = nullptr;
            while (rte_ring_dequeue(wire(i).in, &r) == 0)
                m_freem(Mbuf::of(static_cast<rte_mbuf*>(r)));
        }
        uint64_t dead = 0;
        for (const sync::Counter& n : stream.stats.drops)
            dead += n.read();
        EXPECT_EQ(stream.stats.rx.read() + stream.stats.made.read(), stream.stats.tx.read() + dead)
            << "B1: every packet is accounted for";
        MbufTest::TearDown();
    }

    fwd::Settings settings;
    Stream stream{};
    const Engine* engine = nullptr;
};

std::string with_macs(std::string frame, const std::string& to, const std::string& from) {
    return frame.replace(0, 12, to + from);
}

// chained - the bytes in received mbufs of n bytes each.
Mbuf* chained(const std::string& bytes, size_t n) {
    Mbuf* m = received(bytes.substr(0, n));
    for (size_t at = n; at < bytes.size(); at += n)
        EXPECT_EQ(rte_pktmbuf_chain(&m->rte, &received(bytes.substr(at, n))->rte), 0);
    adopt_chain(m);
    return m;
}

// Frames that a network has and a test forgets. All are at least an Ethernet header long.
std::vector<std::string> odd_frames() {
    std::string extension(16, '\0');
    extension[0] = 17;
    extension[1] = 1;
    return {
        ether(0x88cc, ""),
        ether(0x0800, "E"),
        ether(0x0800, ip4(17, udp("hello"))),
        ether(0x0800, ip4(17, udp("hello", false, false))),
        ether(0x0800, ip4(17, udp(pattern(1000), false))),
        ether(0x0800, ip4(6, tcp("tagged"), std::string(12, '\x01')), {{0x8100, 3}}),
        ether(0x86dd, ip6(0, extension + udp("six", true)), {{0x88a8, 3}, {0x8100, 4}}),
        ether(0x86dd, ip6(6, tcp(pattern(333), true))),
        ether(0x0800, ip4(17, std::string(24, 'f'), "", 0x0003)),
        ether(0x0806, arp(1)),
        ether(0x0800, ip4(17, udp("padded")) + std::string(18, '\0')),
    };
}

// ---- the table ---------------------------------------------------------------------------------
TEST(EngineTable, HasEveryModeUnderItsName) {
    std::set<std::string> names;
    for (const Engine* e : fwd::engines()) {
        EXPECT_EQ(fwd::find_engine(e->name), e);
        EXPECT_NE(e->burst, nullptr);
        names.insert(e->name);
    }
    const std::set<std::string> expected = {"io",     "mac",     "macswap",  "route", "rxonly",
                                            "txonly", "flowgen", "icmpecho", "csum",
                                            "5tswap", "tee",     "frag",     "seqgen",
                                            "sendfile", "recvfile", "esp", "esp-enc", "esp-dec"};
    EXPECT_EQ(names, expected);
    EXPECT_EQ(fwd::find_engine("nonesuch"), nullptr);
}

TEST(EngineTable, EveryWayToDieHasItsName) {
    std::set<std::string> names;
    for (size_t i = 0; i < fwd::kDrops; ++i)
        names.insert(fwd::name_of(static_cast<Drop>(i)));
    EXPECT_EQ(names.size(), fwd::kDrops);
    EXPECT_EQ(names.count("unknown"), 0u);
    EXPECT_EQ(names.count("tx-full"), 1u);
}

// ---- io, mac, macswap, rxonly ------------------------------------------------------------------
TEST_F(EngineTest, IoTouchesNothing) {
    use("io");
    for (const std::string& frame : odd_frames())
        EXPECT_EQ(through(frame), frame);
    EXPECT_EQ(through(std::string("runt")), "runt");
    const std::string big = pattern(5000);
    EXPECT_EQ(through(chained(big, 1500)), big);
}

TEST_F(EngineTest, MacSetsThePeerAndThePortsOwnAddress) {
    use("mac");
    for (const std::string& frame : odd_frames())
        EXPECT_EQ(through(frame), with_macs(frame, kPeer, mac_of(*stream.tx_port)));
}

TEST_F(EngineTest, MacswapSwaps) {
    use("macswap");
    for (const std::string& frame : odd_frames())
        EXPECT_EQ(through(frame), with_macs(frame, kFromMac, kToMac));
}

TEST_F(EngineTest, FramesWithoutAnEthernetHeaderAreMalformedWhereItIsWritten) {
    for (const char* mode : {"mac", "macswap", "csum", "5tswap", "icmpecho"}) {
        use(mode);
        const uint64_t before = drops(Drop::malformed);
        EXPECT_EQ(through(pattern(13)), "") << mode;
        EXPECT_EQ(through(std::string("x")), "") << mode;
        EXPECT_EQ(drops(Drop::malformed), before + 2) << mode;
    }
}

TEST_F(EngineTest, RxonlyConsumesAll) {
    use("rxonly");
    for (const std::string& frame : odd_frames())
        send_in(received(frame));
    run();
    EXPECT_TRUE(out().empty());
    EXPECT_EQ(drops(Drop::rx_sink), odd_frames().size());
}

TEST_F(EngineTest, HeadersInPiecesAreMadeWhole) {
    const std::string frame = ether(0x0800, ip4(6, tcp(pattern(700))), {{0x8100, 9}});
    for (const char* mode : {"mac", "macswap", "5tswap", "csum"}) {
        use(mode);
        const std::string whole = through(frame);
        for (const size_t n : {1u, 5u, 13u, 14u, 20u, 37u, 100u})
            EXPECT_EQ(through(chained(frame, n)), whole) << mode << n;
    }
}

// Goal: B2. Method: keep a copy that shares the bytes, send the other holder's packet through each
// mode that writes; the copy must not change, and the packet must come out as an unshared one does.
TEST_F(EngineTest, BytesThatSomebodyElseSeesAreNotWritten) {
    std::string wrong_sum = ether(0x0800, ip4(17, udp(pattern(900))));
    wrong_sum[40] ^= 1;
    wrong_sum[24] ^= 1;
    std::vector<std::string> frames = odd_frames();
    frames.push_back(wrong_sum);
    frames.push_back(ether(0x0800, ip4(1, icmp_echo(8, pattern(800)))));
    for (const char* mode : {"mac", "macswap", "5tswap", "csum", "icmpecho"}) {
        use(mode);
        for (const std::string& frame : frames) {
            const std::string alone = through(frame);
            for (Mbuf* m : {received(frame), clustered(frame), chained(frame, 64)}) {
                Mbuf* held = m_copypacket(m, M_NOWAIT);
                ASSERT_NE(held, nullptr);
                EXPECT_EQ(through(m), alone)
                    << mode << ": the original, " << frame.size() << " bytes";
                EXPECT_EQ(bytes_of(held), frame) << mode << ": wrote into a shared buffer";
                Mbuf* again = m_copypacket(held, M_NOWAIT);
                EXPECT_EQ(through(held), alone) << mode << ": the copy";
                EXPECT_EQ(bytes_of(again), frame) << mode;
                m_freem(again);
            }
        }
    }
    EXPECT_EQ(drops(Drop::read_only), 0u);
}

TEST_F(EngineTest, ALargeSharedPayloadStaysShared) {
    use("macswap");
    const std::string frame = ether(0x0800, ip4(17, udp(pattern(1400))));
    Mbuf* m = received(frame);
    Mbuf* held = m_copypacket(m, M_NOWAIT);
    send_in(m);
    run();
    Mbuf* sent = take_out();
    ASSERT_NE(sent, nullptr);
    EXPECT_EQ(bytes_of(sent), with_macs(frame, kFromMac, kToMac));
    ASSERT_NE(sent->next(), nullptr);
    EXPECT_EQ(sent->next()->data(), held->data() + sent->len());
    m_freem(sent);
    m_freem(held);
}

TEST_F(EngineTest, WithoutAnMbufForTheHeaderASharedPacketDiesAsReadOnly) {
    use("macswap");
    Mbuf* m = received(odd_frames()[4]);
    Mbuf* held = m_copypacket(m, M_NOWAIT);
    alloc_faults_arm(1);
    EXPECT_EQ(through(m), "");
    EXPECT_EQ(drops(Drop::read_only), 1u);
    EXPECT_EQ(bytes_of(held), odd_frames()[4]);
    m_freem(held);
}

TEST_F(EngineTest, FullAndClosedPortsAreAccountedFor) {
    use("io");
    stream.burst = 64;
    for (unsigned i = 0; i < kRing; ++i) {
        if (i < kRing / 2) send_in(received(odd_frames()[2]));
    }
    run();
    for (unsigned i = 0; i < kRing / 2 + 9; ++i)
        send_in(received(odd_frames()[2]));
    run();
    EXPECT_EQ(stream.stats.tx.read(), kRing - 1u);
    EXPECT_EQ(drops(Drop::tx_full), 10u);
    EXPECT_EQ(out().size(), kRing - 1u);

    Port& port = *stream.tx_port;
    const uint64_t closed_before = port.closed_drops();
    port.close_rx({});
    port.close_tx({});
    EXPECT_EQ(through(odd_frames()[2]), "");
    EXPECT_EQ(port.closed_drops(), closed_before + 1);
    EXPECT_EQ(stream.stats.tx.read(), kRing - 1u);
    EXPECT_EQ(drops(Drop::tx_closed), 1u);
    port.open_tx();
    port.open_rx();
}

TEST_F(EngineTest, BurstSizesAreCounted) {
    use("io");
    for (int i = 0; i < 40; ++i)
        send_in(received(odd_frames()[2]));
    run();
    EXPECT_EQ(stream.stats.rx_bursts[32].read(), 1u);
    EXPECT_EQ(stream.stats.rx_bursts[8].read(), 1u);
    EXPECT_EQ(stream.stats.rx_bursts[0].read(), 1u);
    EXPECT_EQ(out().size(), 40u);
}

// ---- 5tswap ------------------------------------------------------------------------------------
TEST_F(EngineTest, FiveTupleSwapTurnsAllRound) {
    use("5tswap");
    const std::string frame =
        ether(0x0800, ip4(17, udp("there"), std::string(4, '\x01')), {{0x8100, 1}});
    std::string expected = with_macs(frame, kFromMac, kToMac);
    expected.replace(18 + 12, 8, kIp4B + kIp4A);
    expected.replace(18 + 24, 4, be16(2222) + be16(1111));
    EXPECT_EQ(through(frame), expected);

    const std::string six = ether(0x86dd, ip6(6, tcp("there", true)));
    expected = with_macs(six, kFromMac, kToMac);
    expected.replace(14 + 8, 32, ip6_address('b') + ip6_address('a'));
    expected.replace(14 + 40, 4, be16(4444) + be16(3333));
    EXPECT_EQ(through(six), expected);
}

TEST_F(EngineTest, FiveTupleSwapTwiceIsNothing) {
    use("5tswap");
    for (const std::string& frame : odd_frames())
        EXPECT_EQ(through(through(frame)), frame);
}

TEST_F(EngineTest, FiveTupleSwapLeavesTheDataOfLaterFragmentsAlone) {
    use("5tswap");
    const std::string later = ether(0x0800, ip4(17, pattern(24), "", 0x0003));
    std::string expected = with_macs(later, kFromMac, kToMac);
    expected.replace(14 + 12, 8, kIp4B + kIp4A);
    EXPECT_EQ(through(later), expected);
}

// ---- csum --------------------------------------------------------------------------------------
TEST_F(EngineTest, CsumLeavesRightPacketsAsMacDoes) {
    use("csum");
    for (const std::string& frame : odd_frames())
        EXPECT_EQ(through(frame), with_macs(frame, kPeer, mac_of(*stream.tx_port)));
    EXPECT_EQ(stream.stats.bad_ip_csum.read(), 0u);
    EXPECT_EQ(stream.stats.bad_l4_csum.read(), 0u);
}

TEST_F(EngineTest, CsumRepairsAndCountsWrongSums) {
    use("csum");
    struct Case {
        std::string good;
        size_t l3, l4_sum;
    };
    std::string extension(16, '\0');
    extension[0] = 17;
    extension[1] = 1;
    const std::vector<Case> cases = {
        {ether(0x0800, ip4(17, udp(pattern(101)))), 14, 14 + 20 + 6},
        {ether(0x0800, ip4(6, tcp(pattern(100)), std::string(8, '\x01')), {{0x8100, 1}}), 18,
         18 + 28 + 16},
        {ether(0x86dd, ip6(60, extension + udp(pattern(99), true))), 14, 14 + 40 + 16 + 6},
        {ether(0x86dd, ip6(6, tcp("", true)), {{0x88a8, 1}, {0x8100, 1}}), 22, 22 + 40 + 16},
    };
    uint64_t bad_ip = 0, bad_l4 = 0;
    for (const Case& c : cases) {
        const std::string expected = with_macs(c.good, kPeer, mac_of(*stream.tx_port));
        std::string bad = c.good;
        put16(bad, c.l4_sum, get16(bad, c.l4_sum) ^ 0x0100U);
        EXPECT_EQ(through(bad), expected);
        EXPECT_EQ(stream.stats.bad_l4_csum.read(), ++bad_l4);
        if (c.good[c.l3] >> 4 != 4) continue;
        put16(bad, c.l3 + 10, get16(bad, c.l3 + 10) ^ 1U);
        EXPECT_EQ(through(chained(bad, 30)), expected) << "both wrong, in pieces";
        EXPECT_EQ(stream.stats.bad_l4_csum.read(), ++bad_l4);
        EXPECT_EQ(stream.stats.bad_ip_csum.read(), ++bad_ip);
    }
}

TEST_F(EngineTest, CsumBelievesTheReceivingDevice) {
    use("csum");
    const std::string good = ether(0x0800, ip4(17, udp("device")));
    Mbuf* m = received(good);
    m->rte.ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_BAD;
    EXPECT_EQ(through(m), with_macs(good, kPeer, mac_of(*stream.tx_port)));
    EXPECT_EQ(stream.stats.bad_ip_csum.read(), 1u);
    EXPECT_EQ(stream.stats.bad_l4_csum.read(), 1u);
    // A sender in the same machine that leaves the sum to the device: made, and not held against
    // it.
    std::string partial = good;
    put16(partial, 40, 0x1234);
    m = received(partial);
    m->rte.ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_NONE;
    EXPECT_EQ(through(m), with_macs(good, kPeer, mac_of(*stream.tx_port)));
    EXPECT_EQ(stream.stats.bad_l4_csum.read(), 1u);
}

TEST_F(EngineTest, CsumDoesNotInventSums) {
    use("csum");
    std::string none = ether(0x0800, ip4(17, udp("no sum", false, false)));
    EXPECT_EQ(through(none), with_macs(none, kPeer, mac_of(*stream.tx_port)));
    std::string first = ether(0x0800, ip4(17, udp(pattern(40)).substr(0, 32), "", 0x2000));
    EXPECT_EQ(through(first), with_macs(first, kPeer, mac_of(*stream.tx_port)));
    EXPECT_EQ(stream.stats.bad_l4_csum.read(), 0u);
}

// ---- icmpecho ----------------------------------------------------------------------------------
TEST_F(EngineTest, IcmpechoAnswersArp) {
    use("icmpecho");
    for (const auto& tags : {std::vector<std::pair<uint16_t, uint16_t>>{},
                             {{0x8100, 42}},
                             {{0x88a8, 1}, {0x8100, 2}}}) {
        std::string request = ether(0x0806, arp(1), tags);
        request.replace(0, 6, std::string(6, '\xff'));
        const std::string us = mac_of(*stream.tx_port);
        std::string expected = with_macs(request, kFromMac, us);
        const size_t at = 14 + 4 * tags.size();
        expected.replace(at + 6, 22, be16(2) + us + kIp4B + kFromMac + kIp4A);
        EXPECT_EQ(through(request), expected);
    }
}

TEST_F(EngineTest, IcmpechoAnswersPings) {
    use("icmpecho");
    for (const size_t n : {0u, 1u, 56u, 1400u}) {
        for (const auto& tags : {std::vector<std::pair<uint16_t, uint16_t>>{}, {{0x8100, 42}}}) {
            const std::string request =
                ether(0x0800, ip4(1, icmp_echo(8, pattern(n)), std::string(4, '\x01')), tags);
            std::string reply = ip4(1, icmp_echo(0, pattern(n)), std::string(4, '\x01'));
            reply.replace(12, 8, kIp4B + kIp4A);
            EXPECT_EQ(through(request),
                      with_macs(ether(0x0800, reply, tags), kFromMac, mac_of(*stream.tx_port)));
        }
    }
}

TEST_F(EngineTest, IcmpechoDropsWhatIsNoQuestion) {
    use("icmpecho");
    std::string to_group = ip4(1, icmp_echo(8, ""));
    to_group.replace(16, 4, be32(0xe0000001));
    const std::vector<std::string> frames = {
        ether(0x0800, ip4(17, udp("x"))),
        ether(0x0800, ip4(1, icmp_echo(0, "reply"))),
        ether(0x0806, arp(2)),
        ether(0x0806, arp(1, kIp4A, kIp4A)),
        ether(0x0806, arp(1, be32(0), kIp4B)),
        ether(0x0800, to_group),
        ether(0x0800, ip4(1, icmp_echo(8, "fragment"), "", 0x2000)),
        ether(0x88cc, "lldp"),
    };
    for (const std::string& frame : frames)
        EXPECT_EQ(through(frame), "");
    EXPECT_EQ(drops(Drop::not_handled), frames.size());
    EXPECT_EQ(through(ether(0x0806, arp(1)).substr(0, 30)), "");
    EXPECT_EQ(drops(Drop::malformed), 1u);
}

// ---- txonly, flowgen ---------------------------------------------------------------------------
std::string generated(const Stream& stream, size_t length, uint32_t to = 0xc6120002) {
    const std::string data(length - 42, '\0');
    std::string l4 = be16(9) + be16(9) + be16(static_cast<uint32_t>(length - 34)) + be16(0) + data;
    const std::string addresses = be32(0xc6120001) + be32(to);
    const uint16_t sum = sum16(addresses + be16(17) + be16(static_cast<uint32_t>(l4.size())) + l4);
    put16(l4, 6, sum == 0 ? 0xffffU : sum);
    std::string ip = be16(0x4500) + be16(static_cast<uint32_t>(length - 14)) + be32(0) +
                     be16(0x4011) + be16(0) + addresses;
    put16(ip, 10, sum16(ip));
    return with_macs(ether(0x0800, ip + l4), kPeer, mac_of(*stream.tx_port));
}

TEST_F(EngineTest, TxonlyMakesRightPacketsAndCounts) {
    for (const size_t length : {42u, 43u, 64u, 1518u}) {
        settings.txpkts = {static_cast<uint16_t>(length)};
        settings.tx_count = 70;
        use("txonly");
        run();
        const std::vector<std::string> frames = out();
        ASSERT_EQ(frames.size(), 70u);
        for (const std::string& frame : frames)
            EXPECT_EQ(frame, generated(stream, length));
    }
    EXPECT_EQ(stream.stats.made.read(), 280u);
}

TEST_F(EngineTest, TxonlyMakesChainsOfTheGivenSegments) {
    settings.txpkts = {60, 1, 999};
    settings.tx_count = 5;
    use("txonly");
    run();
    for (int i = 0; i < 5; ++i) {
        Mbuf* m = take_out();
        ASSERT_NE(m, nullptr);
        EXPECT_FALSE(m_sanity(m).has_value());
        EXPECT_EQ(m->rte.nb_segs, 3);
        EXPECT_EQ(m->next()->len(), 1u);
        EXPECT_EQ(bytes_of(m), generated(stream, 1060));
        m_freem(m);
    }
}

TEST_F(EngineTest, GeneratorsSayWhatIsWrongWithTheLengths) {
    const auto text = [this](const char* mode, std::vector<uint16_t> lengths) {
        settings.txpkts = std::move(lengths);
        const Status s = fwd::find_engine(mode)->begin(stream);
        return s.ok() ? "" : s.error().text;
    };
    EXPECT_NE(text("txonly", {41}).find("at least 42"), std::string::npos);
    EXPECT_NE(text("txonly", {}).find("--txpkts"), std::string::npos);
    EXPECT_NE(text("txonly", {64, 4000}).find("--mbuf-size=4128"), std::string::npos);
    EXPECT_NE(text("txonly", std::vector<uint16_t>(33, 2000)).find("65535"), std::string::npos);
    EXPECT_NE(text("seqgen", {63}).find("64"), std::string::npos);
    settings.flowgen_flows = 0;
    EXPECT_NE(text("flowgen", {64}).find("--flowgen-flows"), std::string::npos);
}

TEST_F(EngineTest, FlowgenGoesRoundItsFlowsAndDrains) {
    settings.txpkts = {100};
    settings.flowgen_flows = 7;
    settings.tx_count = 20;
    settings.tx_ip_dst = 0xc613fffd;  // near the end of the /15: goes round
    use("flowgen");
    for (int i = 0; i < 10; ++i)
        send_in(received(odd_frames()[2]));
    run();
    const std::vector<std::string> frames = out();
    ASSERT_EQ(frames.size(), 20u);
    const uint32_t to[] = {0xc613fffd, 0xc613fffe, 0xc613ffff, 0xc6120000,
                           0xc6120001, 0xc6120002, 0xc6120003};
    for (size_t i = 0; i < frames.size(); ++i)
        EXPECT_EQ(frames[i], generated(stream, 100, to[i % 7])) << i;
    EXPECT_EQ(drops(Drop::rx_sink), 10u);
}

TEST_F(EngineTest, AGeneratorWithoutMbufsIsIdleAndComesBack) {
    settings.txpkts = {64, 64};
    settings.tx_count = 32;
    use("txonly");
    std::vector<rte_mbuf*> all;
    while (rte_mbuf* p = rte_pktmbuf_alloc(rx_zone()->pool))
        all.push_back(p);
    const uint64_t denied = rx_zone()->denied();
    for (size_t left = 0; left < 2; ++left) {  // none at all; then heads, but no second segments
        EXPECT_EQ(engine->burst(stream), 0u);
        for (int i = 0; i < 32; ++i) {
            rte_pktmbuf_free(all.back());
            all.pop_back();
        }
    }
    EXPECT_EQ(rx_zone()->denied(), denied + 2);
    EXPECT_EQ(stream.stats.made.read(), 0u);
    rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
    EXPECT_EQ(engine->burst(stream), 32u);
    EXPECT_EQ(out().size(), 32u);
}

// ---- tee ---------------------------------------------------------------------------------------
TEST_F(EngineTest, TeeSendsEachPortEverythingFromOneBuffer) {
    tee_to({2, 0});
    use("tee");
    const std::vector<std::string> frames = odd_frames();
    for (const std::string& frame : frames)
        send_in(received(frame));
    run();
    EXPECT_EQ(out(2), frames);
    EXPECT_EQ(out(0), frames);
    EXPECT_EQ(out(1), frames);
    EXPECT_EQ(stream.stats.made.read(), 2 * frames.size());
    EXPECT_EQ(stream.tee[0].stats->tx.read(), frames.size());
    EXPECT_EQ(stream.tee[1].stats->tx.read(), frames.size());

    send_in(chained(pattern(4000), 1500));
    run();
    Mbuf* original = take_out(1);
    Mbuf* copy = take_out(2);
    ASSERT_TRUE(original != nullptr && copy != nullptr);
    EXPECT_EQ(copy->data(), original->data()) << "shared, not copied";
    m_freem(original);  // the driver of one port is done first
    EXPECT_EQ(bytes_of(copy), pattern(4000));
    m_freem(copy);
    EXPECT_EQ(out(0), std::vector<std::string>{pattern(4000)});
}

TEST_F(EngineTest, TeeCountsTheCopiesThatItCannotMake) {
    tee_to({2});
    use("tee");
    for (int i = 0; i < 4; ++i)
        send_in(received(odd_frames()[4]));
    alloc_faults_arm(1, 1);  // the header, and then the share or the next header
    run();
    alloc_faults_arm(0);
    EXPECT_EQ(drops(Drop::no_mbuf), 2u);
    EXPECT_EQ(out(1).size(), 4u);
    EXPECT_EQ(out(2).size(), 2u);
}

// ---- frag --------------------------------------------------------------------------------------
// Datagram - an IPv4 frame as RFC 791 reads it, header and payload apart.
struct Datagram {
    std::string link, options, payload;
    uint32_t id = 0, place = 0;
    bool more = false;

    explicit Datagram(const std::string& frame) {
        size_t l2 = 14;
        while (get16(frame, l2 - 2) != 0x0800)
            l2 += 4;
        link = frame.substr(0, l2);
        const std::string ip = frame.substr(l2);
        const size_t header = static_cast<size_t>(ip[0] & 15) * 4;
        EXPECT_EQ(ip[0] >> 4, 4);
        EXPECT_EQ(sum16(ip.substr(0, header)), 0) << "the header's checksum";
        EXPECT_EQ(ip.substr(8, 2) + ip.substr(12, 8), std::string("\x40\x11") + kIp4A + kIp4B);
        options = ip.substr(20, header - 20);
        payload = ip.substr(header, get16(ip, 2) - header);
        id = get16(ip, 4);
        place = (get16(ip, 6) & 0x1fffU) * 8;
        more = (get16(ip, 6) & 0x2000U) != 0;
        EXPECT_EQ(get16(ip, 6) & 0xc000U, 0u);
    }
    [[nodiscard]] size_t size() const { return 20 + options.size() + payload.size(); }
};

struct FragTest : EngineTest {
    FragTest() { settings.frag_size = 576; }
    // cut - what becomes of one packet.
    std::vector<std::string> cut(Mbuf* m) {
        use("frag");
        send_in(m);
        run();
        return out();
    }
    // expect_whole - the frames are fragments of `frame`, in order, and nothing is missing.
    void expect_whole(const std::vector<std::string>& frames, const std::string& frame,
                      const std::string& later_options = "") const {
        const Datagram whole(frame);
        ASSERT_GT(whole.size(), settings.frag_size);
        ASSERT_GT(frames.size(), 1u);
        const size_t step = (settings.frag_size - 20 - whole.options.size()) / 8 * 8;
        std::string payload;
        for (size_t i = 0; i < frames.size(); ++i) {
            const Datagram part(frames[i]);
            const bool last = i + 1 == frames.size();
            EXPECT_EQ(frames[i].size(), part.link.size() + part.size()) << "no padding";
            EXPECT_LE(part.size(), settings.frag_size);
            EXPECT_EQ(part.link, whole.link);
            EXPECT_EQ(part.id, whole.id);
            EXPECT_EQ(part.place, whole.place + payload.size()) << i;
            EXPECT_EQ(part.more, !last || whole.more) << i;
            EXPECT_EQ(part.options, i == 0 ? whole.options : later_options);
            if (last) EXPECT_LE(part.payload.size(), step);
            else EXPECT_EQ(part.payload.size(), step);
            payload += part.payload;
        }
        EXPECT_EQ(payload, whole.payload);
    }
};

// Goal: every offset. Method: payloads around each multiple of the step, for sizes on both sides of
// a unit, in each kind of storage.
TEST_F(FragTest, AllFragmentsTogetherAreThePacket) {
    for (const uint16_t size : std::vector<uint16_t>{68, 75, 76, 77, 575, 576, 577, 1420}) {
        settings.frag_size = size;
        const size_t step = (size - 20U) / 8 * 8;
        for (size_t n = size - 19U; n < 1500; ++n) {
            if ((n + 1) % step > 2) continue;  // around the end of a fragment
            const std::string frame = ether(0x0800, ip4(17, pattern(n)));
            expect_whole(cut(received(frame)), frame);
            if (HasFailure()) FAIL() << "size " << size << ", payload " << n;
        }
        const std::string frame = ether(0x0800, ip4(17, pattern(1450)), {{0x88a8, 3}, {0x8100, 4}});
        expect_whole(cut(received(frame)), frame);
        expect_whole(cut(clustered(frame)), frame);
        for (const size_t n : {1u, 14u, 33u, 34u, 100u, 600u})
            expect_whole(cut(chained(frame, n)), frame);
        const std::string padding = std::string(7, 'p');
        expect_whole(cut(received(frame + padding)), frame);
    }
    EXPECT_EQ(drops(Drop::no_mbuf), 0u);
}

TEST_F(FragTest, OptionsFollowWhereTheirCopiedFlagSaysSo) {
    const std::string record("\x07\x07\x04\0\0\0\0", 7);
    const std::string source("\x83\x07\x04\x0a\x01\x01\x01", 7);
    const std::string alert("\x94\x04\0\0", 4);
    const std::string nop("\x01"), end("\0", 1);
    const struct {
        std::string options, later;
    } rows[] = {
        {record + end, ""},
        {nop + source, source + end},
        {record + nop + alert, alert},
        {alert + record + source + end + end, alert + source + end},
        {end + std::string(3, 'x'), ""},
        {nop + nop + nop + nop, ""},
        {std::string("\x83\x28", 2) + pattern(38), std::string("\x83\x28", 2) + pattern(38)},
    };
    for (const uint16_t size : std::vector<uint16_t>{68, 576}) {
        settings.frag_size = size;
        for (const auto& row : rows) {
            const std::string frame = ether(0x0800, ip4(17, pattern(1200), row.options));
            expect_whole(cut(received(frame)), frame, row.later);
        }
    }
}

TEST_F(FragTest, AFragmentIsCutLikeAPacketAndKeepsItsPlace) {
    for (const uint16_t part : std::vector<uint16_t>{0x2000, 0x2005, 0x0005}) {
        const std::string frame = ether(0x0800, ip4(17, pattern(1000), "", part));
        expect_whole(cut(received(frame)), frame);
    }
    // The last byte that a datagram can have, and the one behind it.
    settings.frag_size = 68;
    const std::string last = ether(0x0800, ip4(17, pattern(65535 - 8100 * 8), "", 8100));
    expect_whole(cut(received(last)), last);
    EXPECT_TRUE(cut(received(ether(0x0800, ip4(17, pattern(65536 - 8100 * 8), "", 8100)))).empty());
    EXPECT_EQ(drops(Drop::malformed), 1u);
}

TEST_F(FragTest, WhatNeedsNoCutOrAllowsNonePassesUnchanged) {
    settings.frag_size = 1028;
    std::vector<std::string> frames = odd_frames();  // one of them has 1,028 bytes
    frames.push_back(ether(0x0800, ip4(17, pattern(1400), "", 0x4000)));
    frames.push_back(ether(0x86dd, ip6(17, udp(pattern(1400), true))));
    frames.push_back(ether(0x88b5, pattern(1400)));
    frames.push_back(ether(0x0800, std::string("\x40") + std::string(1400, 'x')));
    frames.push_back(ether(0x0800, ip4(17, pattern(1008))) + std::string(200, '\0'));
    for (const std::string& frame : frames)
        EXPECT_EQ(cut(received(frame)), std::vector<std::string>{frame});
    EXPECT_EQ(stream.stats.made.read(), 0u);
    settings.frag_size = 1027;
    EXPECT_EQ(cut(received(odd_frames()[4])).size(), 2u);
    EXPECT_EQ(stream.stats.made.read(), 1u);
}

TEST_F(FragTest, APacketThatCannotBeCutRightIsMalformed) {
    std::string wrong_sum = ether(0x0800, ip4(17, pattern(1000)));
    wrong_sum[14 + 8] ^= 1;
    const std::string too_long("\x83\x05\x04\0", 4), too_short("\x94\x01\0\0", 4);
    const std::string no_length("\x01\x01\x01\x94", 4);
    uint64_t dead = 0;
    for (const std::string& frame :
         {wrong_sum, ether(0x0800, ip4(17, pattern(1000), too_long)),
          ether(0x0800, ip4(17, pattern(1000), too_short)),
          ether(0x0800, ip4(17, pattern(1000), no_length))}) {
        EXPECT_TRUE(cut(received(frame)).empty());
        EXPECT_EQ(drops(Drop::malformed), ++dead);
    }
}

TEST_F(FragTest, FragmentsShareThePacketsBuffer) {
    use("frag");
    const uint32_t before = rx_zone()->in_use();
    Mbuf* m = received(ether(0x0800, ip4(17, pattern(1400))));
    const std::byte* payload = m->data() + 34;
    send_in(m);
    run();
    std::vector<Mbuf*> fragments;
    while (Mbuf* f = take_out())
        fragments.push_back(f);
    ASSERT_EQ(fragments.size(), 3u);
    for (size_t i = 0; i < fragments.size(); ++i) {
        ASSERT_EQ(fragments[i]->rte.nb_segs, 2);
        EXPECT_EQ(fragments[i]->next()->data(), payload + i * 552);
        EXPECT_FALSE(m_writable(fragments[i]->next()));
        EXPECT_TRUE(m_writable(fragments[i]));
        EXPECT_EQ(rte_pktmbuf_tailroom(&fragments[i]->next()->rte), 0) << "others' bytes are behind";
    }
    for (Mbuf* f : fragments) {
        EXPECT_EQ(rx_zone()->in_use(), before + 1);
        m_freem(f);
    }
    EXPECT_EQ(rx_zone()->in_use(), before);
}

TEST_F(FragTest, BytesThatSomebodyElseSeesStayAsTheyAre) {
    const std::string frame = ether(0x0800, ip4(17, pattern(1400)));
    for (Mbuf* m : {received(frame), clustered(frame), chained(frame, 64)}) {
        Mbuf* held = m_copypacket(m, M_NOWAIT);
        expect_whole(cut(m), frame);
        EXPECT_EQ(bytes_of(held), frame);
        Mbuf* again = m_copypacket(held, M_NOWAIT);
        expect_whole(cut(held), frame);
        EXPECT_EQ(bytes_of(again), frame);
        m_freem(again);
    }
}

// Goal: all fragments or none, and no mbuf lost. Method: each allocation and share fails once.
TEST_F(FragTest, WithoutAnMbufForOneFragmentNoneIsSent) {
    const std::string frame = ether(0x0800, ip4(17, pattern(1400)));
    const std::vector<uint32_t> before = levels();
    uint32_t failed = 0;
    for (;; ++failed) {
        Mbuf* m = received(frame);
        alloc_faults_arm(failed + 1);
        const std::vector<std::string> frames = cut(m);
        alloc_faults_arm(0);
        EXPECT_EQ(drops(Drop::no_mbuf), failed + (frames.empty() ? 1 : 0));
        EXPECT_TRUE(zones_unbalanced(before).empty()) << "allocation " << failed + 1;
        if (frames.empty()) continue;
        expect_whole(frames, frame);
        break;
    }
    EXPECT_EQ(failed, 3u * 3) << "three fragments: a header, a view's mbuf and its share each";
    EXPECT_EQ(stream.stats.made.read(), 2u);
}

// More fragments than a burst has places, and more than the port takes.
TEST_F(FragTest, FragmentsTakeThePlaceOfTheirPacketInTheOrder) {
    settings.frag_size = 68;
    use("frag");
    std::vector<std::string> frames;
    for (uint32_t i = 0; i < 32; ++i)
        frames.push_back(ether(0x0800, ip4(17, pattern(i % 2 == 0 ? 48 * 36 : 48, i))));
    for (const std::string& frame : frames)
        send_in(received(frame));
    run();
    const std::vector<std::string> sent = out();
    ASSERT_EQ(sent.size(), kRing - 1);
    EXPECT_EQ(drops(Drop::tx_full), 16 * 37 - sent.size());
    std::string seen, expected;
    for (const std::string& frame : sent)
        seen += Datagram(frame).payload;
    for (const std::string& frame : frames)
        expected += Datagram(frame).payload;
    EXPECT_EQ(seen, expected.substr(0, seen.size()));
    EXPECT_EQ(seen.size(), sent.size() * 48);
}

// ---- seqgen ------------------------------------------------------------------------------------
struct SeqTest : EngineTest {
    // What a path does to each packet that it carries: the packets that arrive in its place.
    using Path = std::function<std::vector<Mbuf*>(uint64_t number, Mbuf* m)>;
    uint64_t carried = 0;

    void carry(const Path& path) {
        while (Mbuf* m = take_out())
            for (Mbuf* there : path(carried++, m))
                send_in(there);
    }
    static std::vector<Mbuf*> as_it_is(uint64_t, Mbuf* m) { return {m}; }
    fwd::SeqReport all_through(const Path& path) {
        for (int i = 0; i < 20000 && !fwd::drained(stream); ++i) {
            engine->burst(stream);
            carry(path);
            if (stream.stats.tx.read() >= settings.tx_count) fwd::request_drain(stream);
        }
        fwd::request_drain(stream);
        while (!fwd::drained(stream))
            engine->burst(stream);
        return fwd::seq_report(stream);
    }
    void begin(uint64_t count, std::vector<uint16_t> lengths = {64, 594, 1518}) {
        settings.tx_count = count;
        settings.txpkts = std::move(lengths);
        use("seqgen");
    }
    static Mbuf* deep_copy(const Mbuf* m) { return received(bytes_of(m)); }
};

#define EXPECT_SEQ(report, sent_, received_, corrupt_, duplicate_, reordered_, lost_) \
    do {                                                                              \
        const fwd::SeqReport r_ = (report);                                           \
        EXPECT_TRUE(r_.used);                                                         \
        EXPECT_EQ(r_.sent, uint64_t{sent_});                                          \
        EXPECT_EQ(r_.received, uint64_t{received_});                                  \
        EXPECT_EQ(r_.corrupt, uint64_t{corrupt_});                                    \
        EXPECT_EQ(r_.duplicate, uint64_t{duplicate_});                                \
        EXPECT_EQ(r_.reordered, uint64_t{reordered_});                                \
        EXPECT_EQ(r_.lost, uint64_t{lost_});                                          \
    } while (0)

TEST_F(SeqTest, ALosslessPathLosesNothing) {
    begin(5000);
    EXPECT_SEQ(all_through(as_it_is), 5000, 5000, 0, 0, 0, 0);
    EXPECT_EQ(drops(Drop::seq_done), 5000u);
}

TEST_F(SeqTest, FramesHaveTheGivenLengthsInTurn) {
    begin(6, {64, 100, 65});
    std::vector<uint64_t> lengths;
    all_through([&lengths](uint64_t, Mbuf* m) {
        lengths.push_back(m->pkt_len());
        const std::string s = bytes_of(m);
        EXPECT_EQ(sum16(s.substr(14, 20)), 0) << "IPv4 checksum";
        EXPECT_EQ(get16(s, 16), m->pkt_len() - 14);
        EXPECT_EQ(get16(s, 38), m->pkt_len() - 34);
        return std::vector<Mbuf*>{m};
    });
    EXPECT_EQ(lengths, (std::vector<uint64_t>{64, 100, 65, 64, 100, 65}));
}

TEST_F(SeqTest, LostPacketsAreCountedExactly) {
    begin(5000);
    const auto lossy = [](uint64_t i, Mbuf* m) -> std::vector<Mbuf*> {
        if (i % 100 != 7 && i < 4990) return {m};
        m_freem(m);  // one in a hundred, and the whole end
        return {};
    };
    EXPECT_SEQ(all_through(lossy), 5000, 4940, 0, 0, 0, 60);
}

TEST_F(SeqTest, DuplicatesAreCountedExactly) {
    begin(3000);
    const auto doubling = [](uint64_t i, Mbuf* m) -> std::vector<Mbuf*> {
        if (i % 50 != 0) return {m};
        return {m, deep_copy(m), deep_copy(m)};
    };
    EXPECT_SEQ(all_through(doubling), 3000, 3120, 0, 120, 0, 0);
}

TEST_F(SeqTest, SwappedNeighboursAreOneReorderedEach) {
    begin(3000);
    Mbuf* late = nullptr;
    const auto swapping = [&late](uint64_t i, Mbuf* m) -> std::vector<Mbuf*> {
        if (i % 30 == 4) return late = m, std::vector<Mbuf*>{};
        if (late == nullptr) return {m};
        return {m, std::exchange(late, nullptr)};
    };
    EXPECT_SEQ(all_through(swapping), 3000, 3000, 0, 0, 100, 0);
}

// Goal: damage to any byte of the payload is seen. Method: packet i is damaged at its byte i, over
// all bytes of the longest frame; one bit, by the run's seed.
TEST_F(SeqTest, DamageToAnyByteOfThePayloadIsSeen) {
    std::mt19937_64 random(seed());
    constexpr uint16_t kLength = 333;
    begin(2 * kLength, {kLength});
    const auto damaging = [&random](uint64_t i, Mbuf* m) -> std::vector<Mbuf*> {
        if (i >= 42 && i < kLength) m->data()[i] ^= std::byte{1} << (random() % 8);
        return {m};
    };
    EXPECT_SEQ(all_through(damaging), 2 * kLength, 2 * kLength, kLength - 42, 0, 0, 0);
}

TEST_F(SeqTest, DamageToTheShortestFrameIsSeenToo) {
    std::mt19937_64 random(seed());
    begin(640, {64});
    const auto damaging = [&random](uint64_t i, Mbuf* m) -> std::vector<Mbuf*> {
        if (i % 10 == 3) m->data()[42 + i / 10 % 22] ^= std::byte{1} << (random() % 8);
        return {m};
    };
    EXPECT_SEQ(all_through(damaging), 640, 640, 64, 0, 0, 0);
}

// Goal: it is known whose a damaged packet is, also before any other has come. Method: the first
// sixteen, each with another bit of its id turned.
TEST_F(SeqTest, DamageToTheIdsOfTheFirstPacketsIsSeen) {
    begin(500, {64});
    const auto damaging = [](uint64_t i, Mbuf* m) -> std::vector<Mbuf*> {
        if (i < 16) m->data()[44 + i / 8] ^= std::byte{1} << (i % 8);
        return {m};
    };
    EXPECT_SEQ(all_through(damaging), 500, 500, 16, 0, 0, 0);
    EXPECT_EQ(drops(Drop::not_handled), 0u);
}

TEST_F(SeqTest, DamageToEveryNumberDoesNotShutTheWindow) {
    begin(5000, {64});
    const auto damaging = [](uint64_t, Mbuf* m) -> std::vector<Mbuf*> {
        m->data()[49] ^= std::byte{1};
        return {m};
    };
    EXPECT_SEQ(all_through(damaging), 5000, 5000, 5000, 0, 0, 0);
}

TEST_F(SeqTest, EverythingAtOnceAddsUp) {
    begin(4000);
    const auto bad_day = [](uint64_t i, Mbuf* m) -> std::vector<Mbuf*> {
        switch (i % 40) {
            case 5: m_freem(m); return {};
            case 15: return {m, deep_copy(m)};
            case 25: m->data()[50] ^= std::byte{4}; return {m};
            default: return {m};
        }
    };
    const fwd::SeqReport r = all_through(bad_day);
    EXPECT_SEQ(r, 4000, 4000, 100, 100, 0, 100);
    EXPECT_EQ(r.sent, r.received - r.duplicate + r.lost);
}

// Goal: two independent accounts of the same misfortune agree. Method: a port that injects faults
// and counts them, kinds apart, so that none hides another.
TEST_F(SeqTest, WhatAFaultyPortDidIsWhatIsFound) {
    struct Case {
        const char* faults;
        uint64_t FaultCounts::*counted;
        uint64_t fwd::SeqReport::*found;
    };
    const Case cases[] = {
        {"drop=20000,short_tx=100000", &FaultCounts::drop, &fwd::SeqReport::lost},
        {"duplicate=30000", &FaultCounts::duplicate, &fwd::SeqReport::duplicate},
        {"reorder=30000,flap=500", &FaultCounts::reorder, &fwd::SeqReport::reordered},
        {"corrupt=30000", &FaultCounts::corrupt, &fwd::SeqReport::corrupt},
    };
    for (const Case& c : cases) {
        Port& port = *wire(0).port;
        FaultPlan plan = FaultPlan::parse(c.faults).value();
        plan.seed = seed();
        FaultPort faults(port, plan);
        begin(stream.stats.tx.read() + 3000);
        const fwd::SeqReport r = all_through(as_it_is);
        EXPECT_GT(r.*c.found, 0u) << plan.text();
        EXPECT_EQ(r.*c.found, faults.counts().*c.counted) << plan.text();
        const uint64_t all = r.corrupt + r.duplicate + r.reordered + r.lost;
        EXPECT_EQ(all, r.*c.found) << plan.text() << ": and nothing else";
        EXPECT_EQ(r.sent, r.received - r.duplicate + r.lost) << plan.text();
        port.wrap(nullptr, nullptr, nullptr);
        engine->end(stream);
    }
}

TEST_F(SeqTest, PacketsOfOthersAreNotHandled) {
    begin(10);
    const auto noisy = [](uint64_t, Mbuf* m) -> std::vector<Mbuf*> {
        return {received(odd_frames()[2]), m, received(odd_frames()[9]), received(pattern(9))};
    };
    EXPECT_SEQ(all_through(noisy), 10, 10, 0, 0, 0, 0);
    EXPECT_EQ(drops(Drop::not_handled), 20u);
    EXPECT_EQ(drops(Drop::malformed), 10u);
}

TEST_F(SeqTest, LeftoversOfTheRunBeforeAreNotHandled) {
    begin(8);
    engine->burst(stream);
    std::vector<Mbuf*> old;
    while (Mbuf* m = take_out())
        old.push_back(m);
    engine->end(stream);
    begin(4);
    for (Mbuf* m : old)
        send_in(m);
    EXPECT_SEQ(all_through(as_it_is), 4, 4, 0, 0, 0, 0);
    EXPECT_EQ(drops(Drop::not_handled), 8u);
}

TEST_F(SeqTest, ChainsAreCheckedAcrossTheirSegments) {
    begin(200, {700});
    const auto cutting = [](uint64_t i, Mbuf* m) -> std::vector<Mbuf*> {
        std::string bytes = bytes_of(m);
        if (i % 20 == 1) bytes[699] ^= 1;
        m_freem(m);
        return {chained(bytes, 33 + i)};
    };
    EXPECT_SEQ(all_through(cutting), 200, 200, 10, 0, 0, 0);
}

TEST_F(SeqTest, SwapsOfTheForwarderDoNotMatter) {
    begin(100);
    const auto turning = [](uint64_t, Mbuf* m) -> std::vector<Mbuf*> {
        std::string s = bytes_of(m);
        m_freem(m);
        s = s.substr(6, 6) + s.substr(0, 6) + s.substr(12, 14) + s.substr(30, 4) + s.substr(26, 4) +
            s.substr(36, 2) + s.substr(34, 2) + s.substr(38);
        return {received(s)};
    };
    EXPECT_SEQ(all_through(turning), 100, 100, 0, 0, 0, 0);
}

TEST_F(SeqTest, TheWindowBoundsWhatIsUnderWayAndRecoversFromTotalLoss) {
    begin(0, {64});
    for (int i = 0; i < 100; ++i)
        engine->burst(stream);
    const uint64_t window = stream.stats.tx.read();
    EXPECT_GT(window, 32u);
    EXPECT_LT(window, kRing);
    out();  // all of it is lost
    while (stream.stats.tx.read() == window)
        engine->burst(stream);  // written off, and on it goes
    EXPECT_EQ(fwd::seq_report(stream).lost, window);
    carry(as_it_is);
    for (int i = 0; i < 10; ++i) {
        engine->burst(stream);
        carry(as_it_is);
    }
    EXPECT_GE(stream.stats.tx.read(), window + 10 * 32) << "the window is open again";
    const fwd::SeqReport r = all_through(as_it_is);
    EXPECT_EQ(r.lost, window);
    EXPECT_EQ(r.sent, r.received + window);
}

// Known to fail, by not ending, when a copy of what is back already counts as an arrival.
TEST_F(SeqTest, CopiesWithoutEndNeitherShutTheWindowNorHinderTheDrain) {
    begin(0, {64});
    for (int i = 0; i < 100; ++i)
        engine->burst(stream);
    const uint64_t window = stream.stats.tx.read();
    Mbuf* one = take_out();
    out();  // all the others are lost
    const auto burst_with_a_copy = [&] {
        send_in(deep_copy(one));
        engine->burst(stream);
    };
    while (stream.stats.tx.read() == window)
        burst_with_a_copy();
    out();
    fwd::request_drain(stream);
    while (!fwd::drained(stream))
        burst_with_a_copy();
    const fwd::SeqReport r = fwd::seq_report(stream);
    EXPECT_GT(r.duplicate, 100u);
    EXPECT_EQ(r.received - r.duplicate, 1u);
    EXPECT_EQ(fwd::packets_back(stream), 1u);
    EXPECT_EQ(r.lost, r.sent - 1);
    m_freem(one);
}

// Goal: copies whose numbers are damaged, which look like packets that are back, are no more than guesses
// until the next number. Method: more of them than the window is wide, then the packets themselves,
// then nothing.
TEST_F(SeqTest, DamagedCopiesNeitherKeepTheWindowOpenNorShutIt) {
    begin(0, {64});
    for (int i = 0; i < 100; ++i)
        engine->burst(stream);
    const uint64_t window = stream.stats.tx.read();
    Mbuf* one = take_out();
    for (uint64_t i = 0; i < 2 * window; ++i) {
        Mbuf* copy = deep_copy(one);
        copy->data()[49] ^= std::byte{1};
        send_in(copy);
        if (i % 32 == 31) engine->burst(stream);
    }
    send_in(one);
    for (int i = 0; i < 100; ++i) {
        engine->burst(stream);
        carry(as_it_is);
    }
    const uint64_t sent = stream.stats.tx.read();
    for (int i = 0; i < 100; ++i)
        engine->burst(stream);
    EXPECT_EQ(stream.stats.tx.read(), sent + window) << "as many under way as before";
    out();  // all of it is lost
    while (stream.stats.tx.read() == sent + window)
        engine->burst(stream);  // written off, and on it goes
    EXPECT_EQ(fwd::seq_report(stream).corrupt, 2 * window);
}

TEST_F(SeqTest, APacketThatComesAfterItWasWrittenOffIsNotLost) {
    begin(64, {64});
    for (int i = 0; i < 4; ++i)
        engine->burst(stream);
    std::vector<Mbuf*> late;
    while (Mbuf* m = take_out())
        late.push_back(m);
    fwd::request_drain(stream);
    EXPECT_FALSE(fwd::drained(stream));
    while (!fwd::drained(stream))
        engine->burst(stream);
    EXPECT_SEQ(fwd::seq_report(stream), 64, 0, 0, 0, 0, 64);
    for (Mbuf* m : late)
        send_in(m);
    run();
    EXPECT_SEQ(fwd::seq_report(stream), 64, 64, 0, 0, 0, 0);
}

TEST_F(SeqTest, AFullPortDelaysAndLosesNothing) {
    begin(100, {64});
    std::vector<rte_mbuf*> plug;
    for (unsigned i = 0; i < kRing - 1 - 40; ++i)
        plug.push_back(&received("plug")->rte);
    for (rte_mbuf* p : plug)
        ASSERT_EQ(rte_ring_enqueue(wire(1).out, p), 0);
    for (int i = 0; i < 5; ++i)
        engine->burst(stream);
    EXPECT_EQ(stream.stats.tx.read(), 40u);
    for (size_t i = 0; i < plug.size(); ++i)
        m_freem(take_out());
    EXPECT_SEQ(all_through(as_it_is), 100, 100, 0, 0, 0, 0);
    EXPECT_EQ(drops(Drop::tx_full), 0u);
}

TEST_F(SeqTest, WhatThePortNeverTookIsDrainedAtTheEnd) {
    begin(100, {64});
    for (unsigned i = 0; i < kRing - 1; ++i)
        ASSERT_EQ(rte_ring_enqueue(wire(1).out, &received("plug")->rte), 0);
    engine->burst(stream);
    engine->end(stream);
    EXPECT_EQ(drops(Drop::drained), 32u);
    EXPECT_EQ(stream.stats.tx.read(), 0u);
}

TEST_F(SeqTest, AnotherStreamsPacketsAreCheckedWhereTheyArrive) {
    begin(50, {64});
    Stream other{};
    other.rx_port = wire(2).port.get();
    other.tx_port = wire(0).port.get();
    other.burst = 32;
    other.settings = &settings;
    ASSERT_TRUE(engine->begin(other).ok());
    for (int i = 0; i < 4; ++i)
        engine->burst(stream);
    while (Mbuf* m = take_out())
        ASSERT_EQ(rte_ring_enqueue(wire(2).in, &m->rte), 0);
    for (int i = 0; i < 4; ++i)
        engine->burst(other);
    EXPECT_SEQ(fwd::seq_report(stream), 50, 50, 0, 0, 0, 0);
    const fwd::SeqReport r = fwd::seq_report(other);
    EXPECT_EQ(r.received, 0u) << "counted for the stream that sent them";
    fwd::request_drain(stream);
    EXPECT_TRUE(fwd::drained(stream));
    engine->end(other);
}

// Goal: a sender and its receiver on different lcores share a track without harm (run it under
// TSan). Method: two ports back to back, each generator receives what the other sends.
TEST_F(SeqTest, TwoLcoresCheckEachOthersPackets) {
    settings.tx_count = 20000;
    settings.txpkts = {64, 700};
    engine = nullptr;  // the fixture's stream stays unused
    static rte_ring* const to_left = make_ring("um_to_left");
    static rte_ring* const to_right = make_ring("um_to_right");
    static const std::unique_ptr<Port> left = make_port("um_left", to_left, to_right);
    static const std::unique_ptr<Port> right = make_port("um_right", to_right, to_left);
    const Engine& seqgen = *fwd::find_engine("seqgen");
    struct Side {
        Stream stream{};
        const Engine* engine = nullptr;
        std::atomic<bool> run{true};
    } sides[2];
    for (int i = 0; i < 2; ++i) {
        Stream& s = sides[i].stream;
        s.rx_port = s.tx_port = (i == 0 ? left : right).get();
        s.burst = 32;
        s.settings = &settings;
        sides[i].engine = &seqgen;
        ASSERT_TRUE(seqgen.begin(s).ok());
    }
    const auto body = [](void* arg) {
        Side& side = *static_cast<Side*>(arg);
        while (side.run.load(std::memory_order_acquire))
            side.engine->burst(side.stream);
        return 0;
    };
    for (unsigned i = 0; i < 2; ++i)
        ASSERT_EQ(rte_eal_remote_launch(body, &sides[i], i + 1), 0);
    for (Side& side : sides) {
        while (fwd::seq_report(side.stream).sent < settings.tx_count)
            rte_delay_us_sleep(1000);
        fwd::request_drain(side.stream);
    }
    for (Side& side : sides)
        while (!fwd::drained(side.stream))
            rte_delay_us_sleep(1000);
    for (Side& side : sides)
        side.run.store(false, std::memory_order_release);
    rte_eal_mp_wait_lcore();
    // A lcore that did not run for long was given up; what waits for it is still there.
    while (rte_ring_count(to_left) + rte_ring_count(to_right) > 0)
        for (Side& side : sides)
            seqgen.burst(side.stream);
    for (Side& side : sides) {
        EXPECT_SEQ(fwd::seq_report(side.stream), 20000, 20000, 0, 0, 0, 0);
        seqgen.end(side.stream);
    }
}

TEST_F(SeqTest, StreamsOfOtherModesHaveNothingToDrain) {
    use("io");
    fwd::request_drain(stream);
    EXPECT_TRUE(fwd::drained(stream));
    EXPECT_FALSE(fwd::seq_report(stream).used);
}

}  // namespace
}  // namespace umbuf::test
