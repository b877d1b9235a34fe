// SPDX-License-Identifier: BSD-2-Clause
// late_write.cc - a filter with a bug: it keeps a packet's address after the packet is sent, and
// writes one byte there a burst later. LD_PRELOAD plants it in any program with started ports.
//
// The program's call of rte_eth_dev_start() comes here first, because a preloaded library is found
// before DPDK's; once the port runs, the filter is hung on its transmit queue 0 by DPDK's own way.
#include <dlfcn.h>

#include <cstdint>

#include <rte_ethdev.h>

namespace {

constexpr uint64_t kGoodBursts = 1000;  // that are let pass first
constexpr uint32_t kWhere = 300;        // in the buffer: the data room, whatever the headroom

uint16_t remember(uint16_t, uint16_t, rte_mbuf* packets[], uint16_t n, void*) {
    static rte_mbuf* sent = nullptr;
    static uint64_t bursts = 0;
    if (n == 0) return n;
    if (++bursts == kGoodBursts) static_cast<char*>(sent->buf_addr)[kWhere] = '!';
    sent = packets[0];
    return n;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int rte_eth_dev_start(uint16_t port) {
    const auto real = reinterpret_cast<int (*)(uint16_t)>(dlsym(RTLD_NEXT, "rte_eth_dev_start"));
    const int status = real(port);
    if (status == 0 && port == 0) (void)rte_eth_add_tx_callback(port, 0, remember, nullptr);
    return status;
}
