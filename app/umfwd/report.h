// SPDX-License-Identifier: BSD-2-Clause
// report.h - what happened, as data; the text that testpmd's users grep and the JSON are two
// printings of the same struct, so they cannot disagree.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "app/umfwd/stream.h"

namespace umbuf::fwd {

struct StreamReport {
    uint16_t rx_port, rx_queue, tx_port, tx_queue;
    unsigned lcore;
    uint64_t rx, tx, made, bad_ip_csum, bad_l4_csum;
    std::array<uint64_t, kDrops> drops;
    std::vector<std::pair<uint16_t, uint64_t>> rx_bursts;  // (packets in the burst, how often), > 0 only
};

struct PortForward {  // testpmd's block "Forward statistics for port X"
    uint16_t port;
    uint64_t rx_packets, rx_dropped, rx_total;  // dropped: the device's imissed; total: the sum
    uint64_t tx_packets, tx_dropped, tx_total;
    uint64_t rx_error, rx_nombufs, bad_ip_csum, bad_l4_csum;
};

struct LcoreReport {
    unsigned lcore;
    int socket;
    uint64_t busy_cycles, idle_cycles, packets;
};

struct ZoneReport {
    std::string name;
    uint32_t size, total, in_use, expected;
    uint64_t denied;
};

struct SeqReport {  // mode seqgen: the sum over its streams
    bool used;
    uint64_t sent, received, corrupt, duplicate, reordered, lost;
};

struct Report {
    std::string mode;
    double seconds;       // of forwarding
    uint64_t tsc_hz;
    std::vector<PortForward> ports;
    PortForward all;      // the accumulated block; port is 0xffff
    std::vector<StreamReport> streams;
    std::vector<LcoreReport> lcores;
    std::vector<ZoneReport> zones;
    SeqReport seq;
    bool pools_balanced;      // filled in at halt
    bool conserved;           // rx + made == tx + drops in every stream
    double mpps;              // packets sent per second, in millions
    double cycles_per_packet; // busy cycles / packets
};

[[nodiscard]] std::string to_text(const Report& report);  // testpmd's words and layout, then ours
[[nodiscard]] std::string to_json(const Report& report);

}  // namespace umbuf::fwd
