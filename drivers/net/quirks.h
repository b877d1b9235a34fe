// SPDX-License-Identifier: BSD-2-Clause
// quirks.h - what a driver does that its rte_eth_dev_info does not say.
//
// One row per driver that differs; read from the drivers' sources (DPDK 22.11 and 24.11) and held
// to it by tests/unit/port_test.cc. A driver without a row is believed word for word.
#pragma once
#include <cstdint>
#include <string_view>

#include <rte_ether.h>

namespace umbuf {

inline constexpr uint32_t kNoLimit = 0xffffffff;

struct Quirks {
    std::string_view driver;
    // chains - which received chains are to be marked (adopt_chain). by_scatter: what SCATTER
    // makes. always: also without it, because the peer chooses the packet's length. never: mbufs
    // arrive as they were sent, marked by whoever made them, and not all of them from a packet
    // zone.
    enum Chains : uint8_t { by_scatter, always, never } chains;
    // chain_bytes - sends chains up to this length although it does not offer MULTI_SEGS. 0: it
    // does not. pcap truncates longer ones (a bounce buffer of its own), hence a limit and not a
    // flag.
    uint32_t chain_bytes;
    // endless - receive never runs dry, so there is nothing to drain.
    bool endless;
    // soft_mtu - reports the largest frame as a constant, but takes what its medium takes.
    bool soft_mtu;
    // one_start - the device does not survive a stop: af_packet closes its sockets and never opens
    // them again; pcap starts its files over, which truncates the one it wrote. Such a device keeps
    // running until it is closed; stop closes our paths only.
    bool one_start;
    // soft_sums - its checksum offloads move no work to hardware. virtio and vhost negotiate that
    // packets carry unfinished checksums, which a peer in user space takes for wrong ones; tap
    // makes them in the driver, from a copy of the header.
    bool soft_sums = false;
    // pages - who reads what is sent, which decides how unmapped pages leave (unmapped.h). unknown: copies
    // are right for all. by_cpu: the driver, with the CPU, in this process. by_nobody: it is freed. handed_on:
    // whoever gets the mbuf itself. by_peer: another process, by its own mapping of EAL's memory.
    enum Pages : uint8_t { unknown, by_cpu, by_nobody, handed_on, by_peer } pages = unknown;
    // by_interrupt - changes its device on EAL's interrupt thread, and takes no care of those who
    // change it meanwhile: whoever does goes there, too (interrupt_thread.h).
    bool by_interrupt = false;
};

inline constexpr Quirks kQuirks[] = {
    // driver, chains, chain_bytes, endless, soft_mtu, one_start, soft_sums, pages, by_interrupt
    {"net_ring", Quirks::never, 0, false, false, false, false, Quirks::handed_on},
    {"net_null", Quirks::by_scatter, kNoLimit, true, false, false, false, Quirks::by_nobody},
    {"net_pcap", Quirks::always, RTE_ETHER_MAX_JUMBO_FRAME_LEN, true, false, true, false, Quirks::by_cpu},
    {"net_vhost", Quirks::always, 0, false, false, false, true, Quirks::by_cpu},
    {"net_virtio", Quirks::always, 0, false, false, false, true},
    {"net_virtio_user", Quirks::always, 0, false, false, false, true, Quirks::by_peer, true},
    {"net_memif", Quirks::always, 0, false, true, false, false, Quirks::by_cpu},
    {"net_tap", Quirks::always, 0, false, true, false, true, Quirks::by_cpu},
    {"net_af_packet", Quirks::by_scatter, 0, false, true, true, false, Quirks::by_cpu},
};

// quirks_of - the driver's row, or the row of a driver without quirks.
[[nodiscard]] constexpr Quirks quirks_of(std::string_view driver) noexcept {
    for (const Quirks& row : kQuirks)
        if (row.driver == driver) return row;
    return {driver, Quirks::by_scatter, 0, false, false, false, false};
}

}  // namespace umbuf
