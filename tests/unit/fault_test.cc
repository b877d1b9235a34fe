// SPDX-License-Identifier: BSD-2-Clause
// fault_test.cc - faults are repeatable, counted to the packet, and never touch what is shared.
#include <algorithm>
#include <string>
#include <vector>

#include "drivers/net/fault.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::test {
namespace {

class FaultTest : public MbufTest {};

constexpr uint32_t kAlways = 1'000'000;

// A port that sends to itself, with faults.
struct FaultyLoop {
    explicit FaultyLoop(const FaultPlan& plan, const PortConfig& config = config_with_zone())
        : ring(make_ring(1024)),
          port(configured(ring_device({ring.get()}, {ring.get()}), config)),
          faults(*port, plan) {
        open(*port);
    }
    ~FaultyLoop() { gone(std::move(port)); }
    uint16_t tx(std::vector<rte_mbuf*> burst) {
        return port->tx_burst(0, burst.data(), static_cast<uint16_t>(burst.size())).taken;
    }
    std::vector<Mbuf*> rx(uint16_t most = 32) {
        std::vector<rte_mbuf*> burst(most);
        burst.resize(port->rx_burst(0, burst.data(), most));
        std::vector<Mbuf*> out;
        for (rte_mbuf* m : burst)
            out.push_back(Mbuf::of(m));
        return out;
    }
    Ring ring;
    std::unique_ptr<Port> port;
    FaultPort faults;
};

std::vector<rte_mbuf*> packets(uint32_t n, size_t size = 100) {
    std::vector<rte_mbuf*> burst;
    for (uint32_t i = 0; i < n; ++i)
        burst.push_back(&received(pattern(size, i))->rte);
    return burst;
}

std::vector<std::string> take_all(const std::vector<Mbuf*>& in) {
    std::vector<std::string> out;
    for (Mbuf* m : in) {
        verify(m);
        out.push_back(bytes_of(m));
        m_freem(m);
    }
    return out;
}

// ---- the plan
// -------------------------------------------------------------------------------------

TEST(FaultPlan, TextAndPlanAreTheSameThing) {
    auto plan = FaultPlan::parse("seed=7,drop=1000,short_tx=20000,flap=1000000");
    ASSERT_TRUE(plan.ok()) << plan.error().text;
    EXPECT_EQ(plan.value().seed, 7u);
    EXPECT_EQ(plan.value().drop, 1000u);
    EXPECT_EQ(plan.value().short_tx, 20000u);
    EXPECT_EQ(plan.value().flap, kAlways);
    EXPECT_EQ(
        plan.value().duplicate + plan.value().reorder + plan.value().corrupt + plan.value().no_mbuf,
        0u);
    EXPECT_EQ(plan.value().text(), "seed=7,drop=1000,short_tx=20000,flap=1000000");
    EXPECT_EQ(FaultPlan::parse("").value().text(), "seed=1");
    EXPECT_EQ(FaultPlan::parse("seed=18446744073709551615").value().seed, UINT64_MAX);
}

TEST(FaultPlan, AnErrorNamesTheKeyOrValueAndWhatIsPossible) {
    const std::pair<const char*, const char*> wrong[] = {
        {"dorp=1", "'dorp' is no fault; the keys are seed, drop, duplicate"},
        {"drop=1000001", "0 to 1000000"},
        {"drop=-1", "0 to 1000000"},
        {"drop=", "0 to 1000000"},
        {"drop", "'drop'"},
        {"drop=1x", "'drop=1x'"},
        {"seed=x", "the seed is a number"},
        {"seed=1,,drop=1", "'' is no fault"},
        {"seed=18446744073709551616", "the seed is a number"},
    };
    for (const auto& [text, part] : wrong) {
        const auto plan = FaultPlan::parse(text);
        ASSERT_FALSE(plan.ok()) << text;
        EXPECT_NE(plan.error().text.find(part), std::string::npos) << plan.error().text;
    }
}

// ---- one fault at a time
// --------------------------------------------------------------------------

TEST_F(FaultTest, WithoutChancesNothingHappens) {
    FaultyLoop loop(FaultPlan{});
    EXPECT_EQ(loop.tx(packets(32)), 32u);
    const auto out = take_all(loop.rx());
    ASSERT_EQ(out.size(), 32u);
    for (uint32_t i = 0; i < 32; ++i)
        EXPECT_EQ(out[i], pattern(100, i));
    const FaultCounts c = loop.faults.counts();
    EXPECT_EQ(c.drop + c.duplicate + c.reorder + c.corrupt + c.short_tx + c.no_mbuf + c.flap, 0u);
}

TEST_F(FaultTest, ADroppedPacketIsFreedAndCounted) {
    FaultPlan plan;
    plan.drop = kAlways;
    FaultyLoop loop(plan);
    EXPECT_EQ(loop.tx(packets(32)), 32u);
    EXPECT_TRUE(loop.rx().empty());
    EXPECT_EQ(loop.faults.counts().drop, 32u);
}

TEST_F(FaultTest, ADuplicateIsADeepCopyAlsoOfAChain) {
    FaultPlan plan;
    plan.duplicate = kAlways;
    FaultyLoop loop(plan);
    const std::string bytes = pattern(5000);
    EXPECT_EQ(loop.tx({&chain(bytes, 700)->rte, &inlined(pattern(80))->rte}), 2u);
    const auto out = loop.rx();
    ASSERT_EQ(out.size(), 4u);
    EXPECT_EQ(loop.faults.counts().duplicate, 2u);
    for (Mbuf* m : out)
        verify(m);
    EXPECT_EQ(bytes_of(out[0]), bytes);
    EXPECT_EQ(bytes_of(out[2]), bytes);
    EXPECT_EQ(bytes_of(out[3]), pattern(80));
    ASSERT_TRUE(m_writable(out[2]));
    std::memset(out[2]->data(), 0, out[2]->len());
    EXPECT_EQ(bytes_of(out[0]), bytes) << "the copy's bytes are its own";
    Mbuf* shared = m_copypacket(out[3], M_NOWAIT);
    ASSERT_NE(shared, nullptr);
    m_freem(out[3]);
    EXPECT_EQ(bytes_of(shared), pattern(80)) << "and it can be shared like any received packet";
    m_freem(shared);
    for (int i = 0; i < 3; ++i)
        m_freem(out[static_cast<size_t>(i)]);
}

TEST_F(FaultTest, DuplicatesNeverOverrunTheCallersBurst) {
    FaultPlan plan;
    plan.duplicate = kAlways;
    FaultyLoop loop(plan);
    EXPECT_EQ(loop.tx(packets(64)), 64u);
    uint64_t got = 0;
    for (const unsigned size : {1u, 2u, 3u, 8u, 32u, 32u, 32u, 32u}) {
        const auto most = static_cast<uint16_t>(size);
        std::vector<rte_mbuf*> burst(most + 1u, nullptr);
        const uint16_t n = loop.port->rx_burst(0, burst.data(), most);
        EXPECT_LE(n, most);
        EXPECT_EQ(burst[most], nullptr);
        got += n;
        rte_pktmbuf_free_bulk(burst.data(), n);
    }
    const auto rest = take_all(loop.rx(512));
    EXPECT_EQ(got + rest.size(), 64 + loop.faults.counts().duplicate);
    EXPECT_GT(loop.faults.counts().duplicate, 0u);
}

TEST_F(FaultTest, ADuplicateWithoutAnMbufIsCountedAsThat) {
    FaultPlan plan;
    plan.duplicate = kAlways;
    FaultyLoop loop(plan);
    EXPECT_EQ(loop.tx(packets(4)), 4u);
    std::vector<rte_mbuf*> all;
    for (rte_mbuf* m; (m = rte_pktmbuf_alloc(rx_zone()->pool)) != nullptr;)
        all.push_back(m);
    const auto out = loop.rx();
    rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
    EXPECT_EQ(take_all(out).size(), 4u);
    EXPECT_EQ(loop.faults.counts().duplicate, 0u);
    EXPECT_EQ(loop.faults.counts().no_mbuf, 4u);
}

TEST_F(FaultTest, ReorderSwapsNeighboursInsideABurst) {
    FaultPlan plan;
    plan.reorder = kAlways;
    FaultyLoop loop(plan);
    EXPECT_EQ(loop.tx(packets(5)), 5u);
    const auto out = take_all(loop.rx());
    ASSERT_EQ(out.size(), 5u);
    const uint32_t order[] = {1, 0, 3, 2, 4};
    for (size_t i = 0; i < 5; ++i)
        EXPECT_EQ(out[i], pattern(100, order[i]));
    EXPECT_EQ(loop.faults.counts().reorder, 2u);
}

TEST_F(FaultTest, CorruptFlipsExactlyOneBitBehindTheHeaders) {
    FaultPlan plan;
    plan.corrupt = kAlways;
    plan.seed = seed();
    FaultyLoop loop(plan);
    for (const size_t size : {size_t{1}, size_t{42}, size_t{43}, size_t{64}, size_t{1500}}) {
        EXPECT_EQ(loop.tx(packets(32, size)), 32u);
        const auto out = take_all(loop.rx());
        ASSERT_EQ(out.size(), 32u);
        for (uint32_t i = 0; i < 32; ++i) {
            const std::string in = pattern(size, i);
            int flipped = 0;
            for (size_t at = 0; at < size; ++at) {
                const int bits = __builtin_popcount(static_cast<uint8_t>(in[at] ^ out[i][at]));
                flipped += bits;
                EXPECT_TRUE(bits == 0 || size <= 42 || at >= 42) << "a header byte, at " << at;
            }
            EXPECT_EQ(flipped, 1) << size << " bytes";
        }
    }
    EXPECT_EQ(loop.faults.counts().corrupt, 5u * 32);
}

TEST_F(FaultTest, WhatSomebodySharesIsNeverCorruptedNorCounted) {
    FaultPlan plan;
    plan.corrupt = kAlways;
    FaultyLoop loop(plan);
    Mbuf* original = received(pattern(200));        // a header whose cluster has a copy
    Mbuf* held = m_copypacket(original, M_NOWAIT);  // ... that we keep
    Mbuf* cluster = clustered(pattern(300));
    Mbuf* travels = m_copypacket(cluster, M_NOWAIT);  // a copy that travels, of a cluster we keep
    Mbuf* foreign = received(pattern(64));
    rte_mbuf* clone = rte_pktmbuf_clone(&foreign->rte, zones().front()->pool);
    ASSERT_NE(clone, nullptr);
    EXPECT_EQ(loop.tx({&original->rte, &travels->rte, &foreign->rte}), 3u);
    const auto out = loop.rx();
    ASSERT_EQ(out.size(), 3u);
    EXPECT_EQ(bytes_of(out[0]), pattern(200));
    EXPECT_EQ(bytes_of(out[1]), pattern(300));
    EXPECT_EQ(bytes_of(out[2]), pattern(64));
    EXPECT_EQ(loop.faults.counts().corrupt, 0u);
    for (Mbuf* m : out)
        m_freem(m);
    m_freem(held);
    m_freem(cluster);
    rte_pktmbuf_free(clone);
}

TEST_F(FaultTest, AShortTransmitLeavesTheRestWithTheCaller) {
    FaultPlan plan;
    plan.short_tx = kAlways;
    plan.seed = seed();
    FaultyLoop loop(plan);
    uint64_t taken = 0;
    for (uint32_t round = 0; round < 50; ++round) {
        auto burst = packets(8);
        const uint16_t n = loop.tx(burst);
        EXPECT_LT(n, 8u);
        taken += n;
        for (size_t i = n; i < 8; ++i) {
            EXPECT_EQ(bytes_of(Mbuf::of(burst[i])), pattern(100, static_cast<uint32_t>(i)));
            rte_pktmbuf_free(burst[i]);
        }
    }
    EXPECT_EQ(loop.faults.counts().short_tx, 50u);
    EXPECT_EQ(take_all(loop.rx(512)).size(), taken);
}

TEST_F(FaultTest, AFlapTakesBothDirectionsDownForAHundredBursts) {
    FaultPlan plan;
    plan.flap = 20'000;
    plan.seed = seed();
    FaultyLoop loop(plan);
    // Nothing is lost by a flap: what is refused stays ours, and waits.
    rte_mbuf* m = &received(pattern(64))->rte;
    uint32_t down = 0;
    for (uint64_t flaps = 0; flaps == 0;) {  // up, until receive starts the first flap
        EXPECT_TRUE(loop.rx().empty());
        flaps = loop.faults.counts().flap;
    }
    for (; loop.port->tx_burst(0, &m, 1).taken == 0; ++down)
        ASSERT_LT(down, 1000u);
    EXPECT_GE(down, 100u);
    std::vector<Mbuf*> out;
    for (uint32_t i = 0; i < 10000 && out.empty(); ++i)
        out = loop.rx();
    ASSERT_EQ(out.size(), 1u);
    m_freem(out[0]);
}

TEST_F(FaultTest, AnArmedAllocationFailsOnceAndIsCounted) {
    FaultPlan plan;
    plan.no_mbuf = kAlways;
    FaultyLoop loop(plan);
    EXPECT_TRUE(loop.rx().empty());
    EXPECT_EQ(loop.faults.counts().no_mbuf, 1u);
    EXPECT_EQ(m_gethdr(M_NOWAIT, MT_DATA), nullptr);
    Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
    EXPECT_NE(m, nullptr);
    m_freem(m);
}

// ---- all together
// ---------------------------------------------------------------------------------

FaultPlan storm() {
    return FaultPlan::parse(
               "seed=42,drop=50000,duplicate=50000,reorder=100000,"
               "corrupt=50000,short_tx=50000,flap=1000")
        .value();
}

struct Outcome {
    std::vector<std::string> out;
    uint64_t sent = 0;
    FaultCounts counts{};
};

Outcome weather(FaultPlan plan, uint32_t rounds) {
    FaultyLoop loop(plan);
    Outcome o;
    for (uint32_t round = 0; round < rounds; ++round) {
        auto burst = packets(16, 80);
        const uint16_t n = loop.tx(burst);
        o.sent += n;
        for (size_t i = n; i < burst.size(); ++i)
            rte_pktmbuf_free(burst[i]);
        for (std::string& s : take_all(loop.rx()))
            o.out.push_back(std::move(s));
    }
    for (uint32_t i = 0; i < 1000; ++i)
        for (std::string& s : take_all(loop.rx()))
            o.out.push_back(std::move(s));
    o.counts = loop.faults.counts();
    return o;
}

TEST_F(FaultTest, WhatIsReceivedIsWhatWasSentMinusDropsPlusDuplicates) {
    FaultPlan plan = storm();
    plan.seed = seed();
    const Outcome o = weather(plan, 500);
    EXPECT_EQ(o.out.size(), o.sent - o.counts.drop + o.counts.duplicate);
    for (const uint64_t n :
         {o.counts.drop, o.counts.duplicate, o.counts.reorder, o.counts.corrupt, o.counts.short_tx})
        EXPECT_GT(n, 0u);
}

TEST_F(FaultTest, ASeedIsARun) {
    // Lanes draw from (seed, port, queue): both loops get the same port number, one after the
    // other.
    const Outcome a = weather(storm(), 200);
    const Outcome b = weather(storm(), 200);
    EXPECT_EQ(a.sent, b.sent);
    EXPECT_EQ(a.out, b.out);
    EXPECT_EQ(a.counts.drop, b.counts.drop);
    EXPECT_EQ(a.counts.corrupt, b.counts.corrupt);
    FaultPlan other = storm();
    other.seed = 43;
    EXPECT_NE(weather(other, 200).out, a.out);
}

}  // namespace
}  // namespace umbuf::test
