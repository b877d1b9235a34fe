// SPDX-License-Identifier: BSD-2-Clause
// forwarder_report_test.cc - what a forwarder remembers, and what it says when it is asked in vain.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include <fmt/format.h>

#include "app/umfwd/machine/buffers.h"
#include "app/umfwd/machine/forwarder.h"
#include "app/umfwd/machine/port_set.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::fwd {
namespace {

class ForwarderReportTest : public test::MbufTest {
  protected:
    void SetUp() override {
        test::MbufTest::SetUp();
        if (rte_lcore_count() < 2) GTEST_SKIP() << "needs a worker lcore";
        settings_.total_num_mbufs = 2048;
        settings_.mbcache = 32;
        settings_.interactive = true;
    }
    std::unique_ptr<Forwarder> make() {
        Result<std::unique_ptr<Forwarder>> made = Forwarder::create(settings_);
        EXPECT_TRUE(made.ok()) << made.error().text;
        return made.ok() ? std::move(made).value() : nullptr;
    }
    Settings settings_;
};

TEST_F(ForwarderReportTest, AStartThatFailsLeavesTheLastRunsReport) {
    const test::Ring loop = test::make_ring(1024);
    test::ring_device({loop.get()}, {loop.get()});  // its own partner
    auto f = make();
    ASSERT_TRUE(f->start(1).ok());
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (f->report().all.rx_packets < 100 && std::chrono::steady_clock::now() < end) usleep(500);
    ASSERT_TRUE(f->stop().ok());
    const Report before = f->report();
    ASSERT_GE(before.all.rx_packets, 100u);
    ASSERT_TRUE(f->change([](Settings& s) {
                     s.mode = "seqgen";
                     s.txpkts = {20};  // shorter than a numbered frame: the mode's own begin refuses
                 }).ok());
    EXPECT_FALSE(f->start().ok());
    const Report after = f->report();
    EXPECT_EQ(after.mode, before.mode);
    ASSERT_EQ(after.streams.size(), before.streams.size());
    EXPECT_EQ(after.all.rx_packets, before.all.rx_packets);
    EXPECT_EQ(after.seconds, before.seconds);
    ASSERT_TRUE(f->change([](Settings& s) { s.txpkts = {64}; }).ok());
    EXPECT_TRUE(f->start().ok());
    EXPECT_TRUE(f->stop().ok());
    EXPECT_EQ(f->report().mode, "seqgen");
    const Report last = f->halt();
    EXPECT_TRUE(last.conserved && last.pools_balanced) << to_text(last);
}

TEST_F(ForwarderReportTest, AnAttachThatFailsIsOneSentenceAndNothingElse) {
    auto f = make();
    Result<uint16_t> first = f->port_attach("net_null_twice");
    ASSERT_TRUE(first.ok()) << first.error().text;
    const auto refused = [&](const char* devargs) {
        testing::internal::CaptureStderr();
        Result<uint16_t> id = f->port_attach(devargs);
        EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << devargs;
        EXPECT_FALSE(id.ok());
        return id.ok() ? std::string() : id.error().text;
    };
    EXPECT_NE(refused("net_null_twice").find("port 0 has this name"), std::string::npos);
    EXPECT_NE(refused("net_nosuch7,a=1").find("no driver"), std::string::npos) << refused("net_nosuch7");
    EXPECT_TRUE(f->port_detach(first.value()).ok());
    EXPECT_TRUE(f->halt().pools_balanced);
}

// A device that counts what nobody can steer: packets of a file, for which there is no mbuf.
class CountingFile {
  public:
    explicit CountingFile(unsigned packets) : path_(fmt::format("/tmp/um_count_{}.pcap", getpid())) {
        std::ofstream file(path_, std::ios::binary);
        const auto put = [&](uint32_t word) { file.write(reinterpret_cast<const char*>(&word), 4); };
        for (const uint32_t word : {0xa1b2c3d4u, 4u << 16 | 2u, 0u, 0u, 65535u, 1u}) put(word);
        for (unsigned i = 0; i < packets; ++i) {
            for (const uint32_t word : {i, 0u, 64u, 64u}) put(word);
            file << std::string(64, 'x');
        }
    }
    ~CountingFile() { unlink(path_.c_str()); }
    [[nodiscard]] std::string devargs() const {
        return fmt::format("net_pcap_count,rx_pcap={},tx_pcap=/dev/null", path_);
    }

  private:
    std::string path_;
};

TEST_F(ForwarderReportTest, ClearingADevicesCountersTakesNothingFromTheForwardingStatistics) {
    const CountingFile file(10);
    auto buffers = Buffers::create(settings_);
    ASSERT_TRUE(buffers.ok());
    PortSet set(settings_, *buffers.value());
    Result<Port*> port = set.attach(file.devargs());
    ASSERT_TRUE(port.ok()) << port.error().text;
    Port& p = *port.value();
    ASSERT_TRUE(p.start().ok());
    std::vector<rte_mbuf*> all;
    while (rte_mbuf* m = rte_pktmbuf_alloc(p.config().rx_zone->pool)) all.push_back(m);
    const auto miss = [&](int n) {
        rte_mbuf* burst[1];
        for (int i = 0; i < n; ++i) EXPECT_EQ(p.device_rx(0, burst, 1), 0);
    };
    Report base, now;
    miss(2);
    base.ports = set.counts();
    EXPECT_EQ(base.ports[0].rx_nombufs, 2u);
    miss(1);
    EXPECT_TRUE(set.clear(p.id(), false).ok());
    miss(5);  // the counter passes what it was at the base
    now.ports = set.counts();
    EXPECT_EQ(now.ports[0].nic.rx_nombuf, 5u);
    EXPECT_EQ(since(now, base).ports[0].rx_nombufs, 6u);
    EXPECT_TRUE(set.clear(p.id(), true).ok());
    now.ports = set.counts();
    EXPECT_EQ(since(now, base).ports[0].rx_nombufs, 6u);
    rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
    EXPECT_TRUE(set.remove(p.id(), true, {}).ok());
    set.bury();
}

TEST(Sums, AreAskedOfHardwareWhereModeCsumMayRun) {
    const auto info = [](const char* driver) {
        rte_eth_dev_info i{};
        i.driver_name = driver;
        i.rx_offload_capa = RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
        i.tx_offload_capa = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
        return i;
    };
    Settings s;
    s.interactive = false;
    s.mode = "csum";
    EXPECT_EQ(sums_for(s, info("net_ixgbe")).rx, uint64_t{RTE_ETH_RX_OFFLOAD_UDP_CKSUM});
    EXPECT_EQ(sums_for(s, info("net_ixgbe")).tx, uint64_t{RTE_ETH_TX_OFFLOAD_IPV4_CKSUM});
    for (const char* driver : {"net_virtio", "net_virtio_user", "net_vhost", "net_tap"}) {
        EXPECT_EQ(sums_for(s, info(driver)).rx | sums_for(s, info(driver)).tx, 0u) << driver;
        EXPECT_TRUE(sums_for(s, info(driver)).software) << driver;
    }
    s.mode = "mac";
    EXPECT_EQ(sums_for(s, info("net_ixgbe")).tx, 0u) << "the mode is fixed";
    s.interactive = true;
    EXPECT_NE(sums_for(s, info("net_ixgbe")).tx, 0u) << "a prompt may change the mode";
}

}  // namespace
}  // namespace umbuf::fwd
