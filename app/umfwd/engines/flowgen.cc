// SPDX-License-Identifier: BSD-2-Clause
// flowgen.cc - mode flowgen: like txonly, but the packets belong to many flows; and whatever comes
// in is received and freed (rx-sink), so that two generators can face each other.
//
// Flow i of --flowgen-flows is sent to address i after --tx-ip's destination, in its /15 (RFC 2544
// reserves 198.18.0.0/15). Flows take turns packet by packet, checksums are kept right.
#include <algorithm>

#include <fmt/format.h>
#include <rte_byteorder.h>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"
#include "app/umfwd/engines/template.h"
#include "app/umfwd/packet/frame.h"
#include "app/umfwd/settings.h"

namespace umbuf::fwd {
namespace {

constexpr uint32_t kMostFlows = 1U << 17;  // addresses in a /15

struct State : EngineState {
    Template packet;
    uint64_t left = 0;  // packets still to make
    uint32_t flows = 0;
    uint32_t next = 0;   // whose turn it is
    uint32_t first = 0;  // flow 0's destination, host order
};

Status begin(Stream& stream) {
    const Settings& settings = *stream.settings;
    if (settings.flowgen_flows == 0 || settings.flowgen_flows > kMostFlows)
        return Error{EINVAL, fmt::format("--flowgen-flows={}: it can be 1 to {}",
                                         settings.flowgen_flows, kMostFlows)};
    Result<Template> packet = Template::make(stream, settings.txpkts);
    if (!packet) return packet.error();
    auto state = std::make_unique<State>();
    state->packet = std::move(packet).value();
    state->left = settings.tx_count == 0 ? UINT64_MAX : settings.tx_count;
    state->flows = settings.flowgen_flows;
    state->first = settings.tx_ip_dst;
    stream.state = std::move(state);
    return {};
}

uint32_t address_of(const State& state, uint32_t flow) noexcept {
    constexpr uint32_t kHosts = kMostFlows - 1;
    return (state.first & ~kHosts) | ((state.first + flow) & kHosts);
}

void aim(rte_mbuf* p, uint32_t address) noexcept {
    auto* ip = at<rte_ipv4_hdr>(p, sizeof(rte_ether_hdr));
    auto* udp = at<rte_udp_hdr>(p, sizeof(rte_ether_hdr) + sizeof(rte_ipv4_hdr));
    const rte_be32_t was = ip->dst_addr;
    ip->dst_addr = rte_cpu_to_be_32(address);
    ip->hdr_checksum = sum_adjust(ip->hdr_checksum, was, ip->dst_addr);
    udp->dgram_cksum = sum_adjust(udp->dgram_cksum, was, ip->dst_addr);
    if (udp->dgram_cksum == 0) udp->dgram_cksum = 0xffff;  // RFC 768: 0 would mean "none"
}

uint32_t burst(Stream& stream) noexcept {
    auto& state = static_cast<State&>(*stream.state);
    rte_mbuf* packets[kMaxBurst];
    const uint16_t drained = receive(stream, packets);
    sink(stream, packets, drained, Drop::rx_sink);

    const auto want = static_cast<uint16_t>(std::min<uint64_t>(stream.burst, state.left));
    const uint16_t n = want == 0 ? want : state.packet.stamp(packets, want);
    for (uint16_t i = 0; i < n; ++i) {
        aim(packets[i], address_of(state, state.next));
        state.next = state.next + 1 == state.flows ? 0 : state.next + 1;
    }
    state.left -= n;
    stream.stats.made.add(n);
    transmit(stream, *stream.tx_port, packets, n);
    return uint32_t{drained} + n;
}

}  // namespace

const Engine flowgen_engine = {
    .name = "flowgen",
    .summary = "send UDP packets of many flows (--flowgen-flows), free what comes in",
    .shares = false,
    .sources = true,
    .begin = begin,
    .burst = burst,
    .end = nullptr,
};

}  // namespace umbuf::fwd
