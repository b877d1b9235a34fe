// SPDX-License-Identifier: BSD-2-Clause
// gateway.cc - mode esp: an IPsec gateway, whose routes are the kernel's, and whose policies and SAs the Gateway's.
//
// It is mode route with a boundary between ports inside and ports outside: what crosses it is protected, bypassed or
// discarded by policies (gateway/pass.h). Inside, everything is as in mode route. Outside, of what is not IP only ARP
// passes: frames with VLAN tags, say, could carry IP by a way that no policy sees.
#include <memory>

#include "app/umfwd/engines/engines.h"
#include "app/umfwd/gateway/gateway.h"
#include "app/umfwd/gateway/pass.h"
#include "app/umfwd/packet/burst.h"
#include "app/umfwd/packet/frame.h"
#include "app/umfwd/route/departure.h"
#include "app/umfwd/route/router.h"

namespace umbuf::fwd {
namespace {

struct Crossing final : EngineState {
    explicit Crossing(Stream& stream)
        : exits(stream), door(stream.router->door()), lane(stream.gateway->lane(stream.lane)),
          pass(stream, *stream.gateway, lane, stream.router->table()), inside(stream.gateway->inside(stream.rx_port->id())) {}
    Exits exits;
    KernelDoor& door;
    GatewayLane& lane;
    Pass pass;
    const bool inside;
    rte_mbuf* packets[kMaxBurst];
    rte_mbuf* groups[kMaxBurst];
    void holds(EngineHolds& all) const override {
        pass.reassembly().held.each([&all](const rte_mempool* pool, uint64_t n) { all.reassembly[pool] += n; });
    }
};

Status begin(Stream& stream) {
    UM_ASSERT(stream.router != nullptr && stream.gateway != nullptr);
    GatewayLane& lane = stream.gateway->lane(stream.lane);
    if (lane.leader == nullptr) lane.leader = &stream;
    stream.state = std::make_unique<Crossing>(stream);
    if (stream.rx_queue == 0) stream.router->door().read_by(stream.rx_port->id(), true);
    return {};
}

// end - what other lanes had for this one, and it was not there any more to take.
void end(Stream& stream) {
    if (stream.state == nullptr) return;
    static_cast<Crossing&>(*stream.state).pass.give_up();
    if (stream.rx_queue == 0) stream.router->door().read_by(stream.rx_port->id(), false);
    const GatewayLane& lane = static_cast<Crossing&>(*stream.state).lane;
    if (lane.leader != &stream) return;
    static_cast<Crossing&>(*stream.state).pass.leave_device();
    if (lane.ring == nullptr) return;
    Handed list[kHandoverBurst];
    while (const uint16_t n = lane.ring->take(list, kHandoverBurst)) {
        stream.stats.made.add(n);
        stream.stats.drop(Drop::drained, n);
        for (uint16_t i = 0; i < n; ++i) rte_pktmbuf_free(list[i].packet());
    }
}

// Sorted - of a burst's frames, what is left for the pass.
struct Sorted {
    uint16_t ip = 0, groups = 0;
};

// sort - IP packets for us to the front, without their Ethernet headers; IP to groups from outside to state.groups; the
// others go.
Sorted sort(Stream& stream, Crossing& state, uint16_t n, Departure& out) noexcept {
    const rte_ether_addr& us = stream.rx_port->mac();
    const uint16_t port = stream.rx_port->id();
    rte_mbuf** packets = state.packets;
    Sorted sorted;
    for (uint16_t i = 0; i < n; ++i) {
        if (i + kAhead < n) prefetch_header(packets[i + kAhead]);
        rte_mbuf* p = packets[i];
        p->port = port;
        rte_ether_hdr copy;
        const auto* ether = static_cast<const rte_ether_hdr*>(bytes_at(p, 0, sizeof copy, &copy));
        if (ether == nullptr) {
            out.die(p, Drop::malformed);
            continue;
        }
        const bool is_ip = ether->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) || ether->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6);
        const bool for_us = rte_is_same_ether_addr(&ether->dst_addr, &us);
        if (is_ip && for_us && p->data_len >= RTE_ETHER_HDR_LEN && p->pkt_len > RTE_ETHER_HDR_LEN) {
            rte_pktmbuf_adj(p, RTE_ETHER_HDR_LEN);
            packets[sorted.ip++] = p;
        } else if (!for_us && !rte_is_multicast_ether_addr(&ether->dst_addr)) {
            out.die(p, Drop::other_host);
        } else if (state.inside || ether->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)) {
            out.punt({.packet = p}, Drop::to_kernel);
        } else if (is_ip) {
            state.groups[sorted.groups++] = p;
        } else {
            out.die(p, Drop::not_handled);
        }
    }
    return sorted;
}

uint16_t from_kernel(Stream& stream, Crossing& state, Departure& out) noexcept {
    if (stream.rx_queue != 0) return 0;
    rte_mbuf* frames[kRouteBurst];
    const uint16_t n = state.door.from_kernel(stream.rx_port->id(), frames, kRouteBurst);
    if (n == 0) return 0;
    stream.stats.made.add(n);
    state.pass.from_kernel(frames, n, out);
    return n;
}

uint16_t from_lanes(Stream& stream, Crossing& state, Departure& out) noexcept {
    if (state.lane.ring == nullptr || state.lane.leader != &stream) return 0;
    Handed list[kHandoverBurst];
    uint16_t all = 0;
    // As many as there may be while nobody turns, and no more: others may put in as fast as we take.
    for (uint32_t turn = 0; turn < kHandoverRing / kHandoverBurst; ++turn) {
        const uint16_t n = state.lane.ring->take(list, kHandoverBurst);
        if (n == 0) break;
        stream.stats.made.add(n);
        state.pass.from_lanes(list, n, out);
        all = static_cast<uint16_t>(all + n);
    }
    return all;
}

uint32_t burst(Stream& stream) noexcept {
    auto& state = static_cast<Crossing&>(*stream.state);
    state.pass.clock(ipsec_clock_s());
    Departure out(stream, state.exits, state.door);
    uint32_t made = uint32_t{from_kernel(stream, state, out)} + from_lanes(stream, state, out);
    if (state.lane.leader == &stream) made += state.pass.from_device(out);
    const uint16_t n = receive(stream, state.packets);
    if (n + made == 0) return 0;
    for (uint16_t i = 0; i < std::min(kAhead, n); ++i) prefetch_header(state.packets[i]);
    const Sorted sorted = sort(stream, state, n, out);
    if (sorted.groups > 0) state.pass.to_group(state.groups, sorted.groups, out);
    state.pass.arrived(state.packets, sorted.ip, out);
    state.pass.hand_over();
    out.flush();
    return n + made;
}

}  // namespace

const Engine gateway_engine = {
    .name = "esp",
    .summary = "a gateway: policies, ESP and routes in one pass",
    .shares = true,
    .sources = false,
    .routes = true,
    .ipsec = true,
    .begin = begin,
    .burst = burst,
    .end = end,
};

}  // namespace umbuf::fwd
