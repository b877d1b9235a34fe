// SPDX-License-Identifier: BSD-2-Clause
// page_raw_test.cc - what follows mtod() of an unmapped mbuf faults: the pages are not merely marked.
#include <unistd.h>

#include <cstdio>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_ip.h>

#include "tests/unit/page_fixture.h"

namespace umbuf::test {
namespace {

// R32's other half: a list of ways to touch bytes that know nothing of pages.
class Raw : public PageTest {
  protected:
    void SetUp() override {
        PageTest::SetUp();
        m_ = headed("head", filled(PageClass::anonymous, pattern(200)));
    }
    void TearDown() override {
        m_freem(m_);
        PageTest::TearDown();
    }
    void expect_fault(const char* what, const std::function<void()>& touch) const {
        const uint64_t before = faults_caught();
        const auto fault = fault_of(touch);
        ASSERT_TRUE(fault.has_value()) << what;
        EXPECT_EQ(fault->kind, FaultKind::ghost) << what;
        EXPECT_EQ(fault->page, page_of(m_->next())) << what;
        EXPECT_EQ(faults_caught(), before + 1);
    }
    Mbuf* m_ = nullptr;
};

TEST_F(Raw, R32_EveryRawAccessFaults) {
    std::string to(300, '\0');
    rte_mbuf* const p = &m_->rte;
    rte_mbuf* const x = p->next;
    expect_fault("a load at mtod", [x] { (void)*rte_pktmbuf_mtod(x, const volatile char*); });
    expect_fault("a store at mtod", [x] { *rte_pktmbuf_mtod(x, volatile char*) = 1; });
    expect_fault("the last byte", [x] { (void)*rte_pktmbuf_mtod_offset(x, const volatile char*, 199); });
    expect_fault("memcpy", [&] { std::memcpy(to.data(), rte_pktmbuf_mtod(x, const void*), 200); });
    expect_fault("memcmp", [&] { (void)!std::memcmp(to.data(), rte_pktmbuf_mtod(x, const void*), 200); });
    expect_fault("rte_pktmbuf_read", [&] { (void)rte_pktmbuf_read(p, 2, 100, to.data()); });
    expect_fault("rte_raw_cksum", [x] { (void)!rte_raw_cksum(rte_pktmbuf_mtod(x, const void*), 200); });
    expect_fault("rte_raw_cksum_mbuf", [p] {
        uint16_t sum = 0;
        (void)rte_raw_cksum_mbuf(p, 0, 204, &sum);
    });
    // These are interrupted after they changed something.
    const uint32_t len = m_->len();
    expect_fault("rte_pktmbuf_linearize", [p] { (void)rte_pktmbuf_linearize(p); });
    m_->set_len(len);
    rte_mempool* lost = rte_pktmbuf_pool_create("raw_copies", 15, 0, 0, 2048, 0);
    ASSERT_NE(lost, nullptr);
    expect_fault("rte_pktmbuf_copy", [p, lost] { (void)rte_pktmbuf_copy(p, lost, 0, UINT32_MAX); });
    rte_mempool_free(lost);
    verify(m_);
    EXPECT_EQ(bytes_of(m_), "head" + pattern(200));
}

// A driver that copies, without the transmit shim before it.
TEST_F(Raw, R32_NetPcapFaults) {
    const std::string file = "/tmp/um_raw_" + std::to_string(getpid()) + ".pcap";
    const char* const name = "net_pcap_raw";
    if (rte_eal_hotplug_add("vdev", name, ("tx_pcap=" + file).c_str()) != 0) GTEST_SKIP() << "this DPDK has no net_pcap";
    uint16_t port = 0;
    ASSERT_EQ(rte_eth_dev_get_port_by_name(name, &port), 0);
    const rte_eth_conf conf{};
    ASSERT_EQ(rte_eth_dev_configure(port, 1, 1, &conf), 0);
    ASSERT_EQ(rte_eth_rx_queue_setup(port, 0, 64, 0, nullptr, rx_zone()->pool), 0);
    ASSERT_EQ(rte_eth_tx_queue_setup(port, 0, 64, 0, nullptr), 0);
    ASSERT_EQ(rte_eth_dev_start(port), 0);
    rte_mbuf* p = &m_->rte;
    expect_fault("net_pcap", [&] { (void)rte_eth_tx_burst(port, 0, &p, 1); });
    rte_eth_dev_stop(port);
    rte_eth_dev_close(port);
    rte_eal_hotplug_remove("vdev", name);
    std::remove(file.c_str());
}

}  // namespace
}  // namespace umbuf::test
