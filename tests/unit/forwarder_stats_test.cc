// SPDX-License-Identifier: BSD-2-Clause
// forwarder_stats_test.cc - a forwarder's numbers, read as another process would, while it works.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <utility>

#include "app/umfwd/machine/forwarder.h"
#include "lib/stat/reader.h"
#include "lib/stat/segment.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::fwd {
namespace {

using test::Ring;

class ForwarderStats : public test::MbufTest {
  protected:
    void SetUp() override {
        test::MbufTest::SetUp();
        if (rte_lcore_count() < 3) GTEST_SKIP() << "needs two worker lcores";
        settings_.total_num_mbufs = 2048;
        settings_.mbcache = 32;
        settings_.interactive = true;
        plan_.path = stat::path_of("um_fwd_" + std::to_string(getpid()));
        plan_.program = "fwd_tests";
        plan_.globals = true;
        ASSERT_TRUE(stat::open(plan_));
    }
    void TearDown() override {
        forwarder_.reset();
        stat::close();
        unlink(plan_.path.c_str());
        for (const Ring* ring : {&in_[0], &in_[1], &out_[0], &out_[1]}) empty(*ring);
        test::MbufTest::TearDown();
    }
    // Two ports with a ring on each side; what comes in by one leaves by the other.
    Forwarder& two_ports() {
        for (int i = 0; i < 2; ++i) test::ring_device({in_[i].get()}, {out_[i].get()});
        return make();
    }
    Forwarder& make() {
        Result<std::unique_ptr<Forwarder>> made = Forwarder::create(settings_);
        EXPECT_TRUE(made.ok()) << made.error().text;
        forwarder_ = std::move(made).value();
        return *forwarder_;
    }
    void put(int port, uint32_t n) {
        for (uint32_t i = 0; i < n; ++i) {
            Mbuf* m = test::received(test::pattern(64, i));
            ASSERT_EQ(rte_ring_enqueue(in_[port].get(), &m->rte), 0);
        }
    }
    static uint32_t empty(const Ring& ring) {
        void* m = nullptr;
        uint32_t n = 0;
        for (; rte_ring_dequeue(ring.get(), &m) == 0; ++n) rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
        return n;
    }
    stat::Sample look() const {
        stat::Sample sample;
        Result<stat::Reader> reader = stat::Reader::open(plan_.path);
        EXPECT_TRUE(reader) << reader.error().text;
        if (reader) {
            EXPECT_TRUE(reader.value().sample(sample));
        }
        return sample;
    }
    static void wait_until(const std::function<bool()>& condition) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!condition() && std::chrono::steady_clock::now() < end) usleep(500);
        EXPECT_TRUE(condition());
    }
    // Each zone's owners add up to its elements.
    static void expect_ledger_adds_up(const stat::Sample& sample) {
        for (const Zone* zone : zones())
            EXPECT_EQ(sample.sum("ledger", "zone=" + zone->name), zone->pool->size) << zone->name;
    }
    Settings settings_;
    stat::Plan plan_;
    Ring in_[2] = {test::make_ring(1024), test::make_ring(1024)}, out_[2] = {test::make_ring(1024), test::make_ring(1024)};
    std::unique_ptr<Forwarder> forwarder_;
};

uint64_t came(const stat::Sample& s) { return s.sum("stream_rx") + s.sum("stream_made"); }
uint64_t went(const stat::Sample& s) { return s.sum("stream_tx") + s.sum("stream_drops"); }

// Goal: at no moment does a reader see more packets leave a stream than came, and when it is stopped, as many.
// Method: ports that receive without end, into one that takes all and one that is full.
TEST_F(ForwarderStats, ConservationHoldsWhenReadFromOutsideDuringTraffic) {
    test::device("net_null", "");
    test::ring_device({in_[0].get()}, {out_[0].get()});
    settings_.nb_cores = 2;
    Forwarder& f = make();
    ASSERT_TRUE(f.start());
    Result<stat::Reader> reader = stat::Reader::open(plan_.path);
    ASSERT_TRUE(reader);
    stat::Sample s;
    for (int i = 0; i < 2000; ++i) {
        ASSERT_TRUE(reader.value().sample(s));
        for (const stat::Number& tx : s.numbers) {
            if (tx.name != "stream_tx") continue;
            const std::string of = "rx_port=" + tx.label("rx_port");
            const uint64_t out = tx.value() + s.sum("stream_drops", of);
            ASSERT_LE(out, s.sum("stream_rx", of) + s.sum("stream_made", of)) << i;
        }
        f.poll();
        EXPECT_EQ(s.life, stat::Life::running);
    }
    ASSERT_TRUE(f.stop());
    s = look();
    EXPECT_EQ(s.life, stat::Life::stopped);
    EXPECT_EQ(came(s), went(s));
    EXPECT_GT(s.sum("stream_tx"), 0U);
    EXPECT_GT(s.sum("stream_drops", "reason=tx-full"), 0U);
    EXPECT_EQ(s.sum("lcore_packets"), s.sum("stream_rx"));
    EXPECT_GT(s.sum("lcore_busy"), 0U);
    const Report r = f.report();
    EXPECT_EQ(s.sum("stream_tx"), r.all.tx_packets) << "one source";
    EXPECT_EQ(s.sum("stream_rx"), r.all.rx_packets);
}

TEST_F(ForwarderStats, TheLedgerNamesWhoHasThePackets) {
    Forwarder& f = two_ports();
    const std::string zone = "zone=" + test::rx_zone()->name;
    const auto held = [&](const std::string& owner, const std::string& port = {}) {
        f.sample();
        const stat::Sample s = look();
        expect_ledger_adds_up(s);
        uint64_t n = 0;
        for (const stat::Number& each : s.numbers)
            if (each.name == "ledger" && "zone=" + each.label("zone") == zone && each.label("owner") == owner &&
                each.label("port") == port)
                n += each.value();
        return n;
    };
    const uint64_t others = held("elsewhere");
    put(0, 40);
    EXPECT_EQ(held("port_rx", "0"), 40U) << "nobody has received them yet";
    ASSERT_TRUE(f.start());
    put(1, 7);
    wait_until([&] { return look().sum("stream_tx") == 47; });
    EXPECT_EQ(held("port_tx", "1"), 40U);
    EXPECT_EQ(held("port_tx", "0"), 7U);
    EXPECT_EQ(held("elsewhere"), others) << "all is quiet";
    empty(out_[1]);
    EXPECT_EQ(held("port_tx", "1"), 0U);
    EXPECT_EQ(held("port_tx", "0"), 7U);
    bool told = false;
    for (const Ledger::Line& line : f.owners()) told = told || (line.owner == "port_tx 0" && line.elements == 7);
    EXPECT_TRUE(told);
}

TEST_F(ForwarderStats, WhatEnginesHoldIsTheirsInTheLedger) {
    rte_mbuf* packets[3];
    ASSERT_EQ(rte_pktmbuf_alloc_bulk(test::rx_zone()->pool, packets, 3), 0);
    EngineHolds engines;
    engines.crypto[test::rx_zone()->pool] = 2;
    engines.reassembly[test::rx_zone()->pool] = 1;
    Ledger ledger;
    ledger.take({}, {}, engines, 0);
    std::map<std::string, uint64_t> of;
    for (const Ledger::Line& line : ledger.lines())
        if (line.zone == test::rx_zone()->name) of[line.owner] = line.elements;
    EXPECT_EQ(of["crypto"], 2U);
    EXPECT_EQ(of["reassembly"], 1U);
    EXPECT_EQ(of["elsewhere"], 0U);
    rte_pktmbuf_free_bulk(packets, 3);
}

TEST_F(ForwarderStats, ALeakIsNamedAtHalt) {
    Forwarder& f = two_ports();
    rte_mbuf* lost = rte_pktmbuf_alloc(test::rx_zone()->pool);
    const Report report = f.halt();
    rte_pktmbuf_free(lost);
    EXPECT_FALSE(report.pools_balanced);
    EXPECT_NE(to_text(report).find("; held by elsewhere "), std::string::npos) << to_text(report);
}

TEST_F(ForwarderStats, PortsAndStreamsComeAndGoWithTheirNumbers) {
    Forwarder& f = two_ports();
    f.sample();
    EXPECT_EQ(look().sum("port_mtu", "port=1"), 1500U);
    EXPECT_EQ(look().find("stream_rx"), nullptr);
    ASSERT_TRUE(f.start());
    put(0, 10);
    wait_until([&] { return look().sum("stream_tx", "rx_port=0") == 10; });
    ASSERT_TRUE(f.stop());
    EXPECT_EQ(look().sum("stream_tx", "rx_port=0"), 10U) << "they stay to be read";
    ASSERT_TRUE(f.start());
    EXPECT_EQ(look().sum("stream_tx", "rx_port=0"), 0U) << "and begin anew";
    ASSERT_TRUE(f.stop());
    ASSERT_TRUE(f.port_detach(1));
    EXPECT_EQ(look().find("port_mtu", "port=1"), nullptr);
    EXPECT_NE(look().find("port_mtu", "port=0"), nullptr);
}

TEST_F(ForwarderStats, OneWhoEndedLeavesItsLastNumbers) {
    Forwarder& f = two_ports();
    EXPECT_EQ(look().life, stat::Life::stopped);
    ASSERT_TRUE(f.start());
    put(0, 12);
    wait_until([&] { return look().sum("stream_tx") == 12; });
    empty(out_[1]);
    const Report report = f.halt();
    EXPECT_TRUE(report.pools_balanced);
    forwarder_.reset();
    const stat::Sample s = look();
    EXPECT_EQ(s.life, stat::Life::ended);
    EXPECT_EQ(s.sum("stream_tx"), 12U);
    EXPECT_EQ(s.sum("port_rx_packets", "port=0"), 12U);
    EXPECT_EQ(s.unlisted, 0U);
    expect_ledger_adds_up(s);
}

}  // namespace
}  // namespace umbuf::fwd
