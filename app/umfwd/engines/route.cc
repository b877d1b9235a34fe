// SPDX-License-Identifier: BSD-2-Clause
// route.cc - mode route: an IPv4 and IPv6 router, whose routes and neighbours are the kernel's.
//
// A frame for us that has an IP packet is routed (route/ip_route.h); what is not IP, or is for a group, is given to
// the kernel, which answers ARP and neighbour discovery, talks to routing daemons, and makes the ICMP errors
// (docs/route.md). What the kernel sends by a port's TAP leaves by that port.
#include <memory>

#include "app/umfwd/engines/engines.h"
#include "app/umfwd/packet/burst.h"
#include "app/umfwd/packet/frame.h"
#include "app/umfwd/route/departure.h"
#include "app/umfwd/route/ip_route.h"
#include "app/umfwd/route/router.h"

namespace umbuf::fwd {
namespace {

struct Routing final : EngineState {
    explicit Routing(Stream& stream) : exits(stream), table(stream.router->table()), door(stream.router->door()) {}
    Exits exits;
    const RouteTable& table;
    KernelDoor& door;
    rte_mbuf* packets[kMaxBurst];
    IpFate fates[kMaxBurst];
};

Status begin(Stream& stream) {
    UM_ASSERT(stream.router != nullptr);
    stream.state = std::make_unique<Routing>(stream);
    if (stream.rx_queue == 0) stream.router->door().read_by(stream.rx_port->id(), true);
    return {};
}

void end(Stream& stream) {
    if (stream.state != nullptr && stream.rx_queue == 0) stream.router->door().read_by(stream.rx_port->id(), false);
}

// sort - the IP packets of n frames, without their Ethernet headers; the others go. Returns how many.
uint16_t sort(Stream& stream, rte_mbuf** packets, uint16_t n, Departure& out) noexcept {
    const rte_ether_addr& us = stream.rx_port->mac();
    uint16_t ip = 0;
    for (uint16_t i = 0; i < n; ++i) {
        if (i + kAhead < n) prefetch_header(packets[i + kAhead]);
        rte_mbuf* p = packets[i];
        p->port = stream.rx_port->id();  // rings keep what another port wrote
        rte_ether_hdr copy;
        const auto* ether = static_cast<const rte_ether_hdr*>(bytes_at(p, 0, sizeof copy, &copy));
        if (ether == nullptr) {
            out.die(p, Drop::malformed);
            continue;
        }
        const bool is_ip = ether->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) || ether->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6);
        if (rte_is_same_ether_addr(&ether->dst_addr, &us)) {
            if (is_ip && p->data_len >= RTE_ETHER_HDR_LEN && p->pkt_len > RTE_ETHER_HDR_LEN) {
                rte_pktmbuf_adj(p, RTE_ETHER_HDR_LEN);
                packets[ip++] = p;
                continue;
            }
        } else if (!rte_is_multicast_ether_addr(&ether->dst_addr)) {
            out.die(p, Drop::other_host);
            continue;
        }
        out.punt({.packet = p}, Drop::to_kernel);
    }
    return ip;
}

uint16_t from_kernel(Stream& stream, Routing& state, Departure& out) noexcept {
    if (stream.rx_queue != 0) return 0;
    rte_mbuf* frames[kRouteBurst];
    const uint16_t n = state.door.from_kernel(stream.rx_port->id(), frames, kRouteBurst);
    if (n == 0) return 0;
    stream.stats.made.add(n);
    for (uint16_t i = 0; i < n; ++i) out.frame(frames[i], stream.rx_port->id());
    return n;
}

uint32_t burst(Stream& stream) noexcept {
    auto& state = static_cast<Routing&>(*stream.state);
    Departure out(stream, state.exits, state.door);
    const uint16_t made = from_kernel(stream, state, out);
    const uint16_t n = receive(stream, state.packets);
    if (n + made == 0) return 0;
    for (uint16_t i = 0; i < std::min(kAhead, n); ++i) prefetch_header(state.packets[i]);
    const uint16_t ip = sort(stream, state.packets, n, out);
    route_burst(state.table, state.packets, state.fates, ip);
    out.carry_out(state.packets, state.fates, ip);
    out.flush();
    return uint32_t{n} + made;
}

}  // namespace

const Engine route_engine = {
    .name = "route",
    .summary = "route IPv4 and IPv6, by the kernel's routes and neighbours",
    .shares = true,
    .sources = false,
    .routes = true,
    .begin = begin,
    .burst = burst,
    .end = end,
};

}  // namespace umbuf::fwd
