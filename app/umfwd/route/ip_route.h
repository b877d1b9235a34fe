// SPDX-License-Identifier: BSD-2-Clause
// ip_route.h - where a burst of IP packets goes: a router's checks, and its tables.
//
// No Ethernet header anywhere here: what a packet came out of, a frame or an ESP packet, makes no difference.
#pragma once
#include <cstdint>
#include <cstring>

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include "app/umfwd/packet/burst.h"
#include "lib/ipsec/ip.h"
#include "lib/route/route_table.h"

namespace umbuf::fwd {

enum class IpWay : uint8_t {
    forward,  // as `hop` says
    cut,      // the same, in pieces: IPv4 without DF, longer than hop.mtu
    kernel,   // the kernel knows what to do, or whom to answer: `why`
    dead,     // of `why`
};
struct alignas(16) IpFate {
    IpWay way = IpWay::dead;
    Drop why = Drop::malformed;  // kernel, dead
    Hop hop;                     // forward, cut: reachable
};

// route_burst - the fates of n packets (any n) that begin with their IP headers (RFC 1812 5.2.2, RFC 8200). Nothing
// is written but lengths (padding goes) and headers that were in pieces, so that packets[i] may be another then; null:
// it was consumed, and is dead. The packets stay the caller's. A reader of the table (lib/route/route_table.h).
void route_burst(const RouteTable& table, rte_mbuf** packets, IpFate* fates, uint16_t n) noexcept;

// ---- the same in two steps, for a mode with more to ask in between

// Looked - what a packet says of itself, and the table of its destination.
struct alignas(16) Looked {
    bool asked = false;       // the table was. Else `why` says how it ends: `way` is kernel or dead
    IpWay way = IpWay::dead;
    Drop why = Drop::malformed;
    uint8_t ttl = 0;          // or hop limit
    bool v6 = false;
    bool may_cut = false;     // IPv4 without DF
    bool options = false;     // that a router has to look at
    bool link_local = false;  // from an address that must not leave its link
    uint16_t length = 0;      // of the packet
    Hop hop;
};
// look_up - the first step: route_burst() without its judgement.
void look_up(const RouteTable& table, rte_mbuf** packets, Looked* looked, uint16_t n) noexcept;
// look_up_own - the same for packets that were made here, headers and all, and are not in doubt.
void look_up_own(const RouteTable& table, rte_mbuf** packets, Looked* looked, uint16_t n) noexcept;
// judge - the second: what the answer means for a packet on its way.
[[nodiscard]] IpFate judge(const Looked& looked) noexcept;
// judge_own - for one that was made here, such as an ESP packet: its hop count is not this router's to look at.
[[nodiscard]] IpFate judge_own(const Looked& looked) noexcept;
// unfit - why a packet cannot be passed on, wherever it goes: options, or its last hop; Drop::count: it can.
[[nodiscard]] inline Drop unfit(const Looked& looked) noexcept {
    if (looked.options) return Drop::ip_options;
    if (looked.ttl <= 1) return Drop::ttl_expired;
    return looked.link_local ? Drop::no_route : Drop::count;
}
// is_plain_sailing - judge_own() says forward.
[[nodiscard]] inline bool is_plain_sailing(const Looked& looked) noexcept {
    const Hop& hop = looked.hop;
    return looked.asked && hop.kind == RouteKind::forward && hop.state == NeighbourState::reachable && looked.length <= hop.mtu;
}

// age - one hop less to live, in a header that is ours alone then. The packet has a fate `forward` or `cut`. As
// own_header(): Fate::send, or its end.
//
// IPv4's checksum is mended, not made anew: a fault that came in must not leave as right (RFC 1141, RFC 1624).
[[nodiscard]] inline Fate age(rte_mbuf*& p) noexcept {
    const bool v6 = *rte_pktmbuf_mtod(p, const uint8_t*) >> 4 == 6;
    if (const Fate fate = own_header(p, v6 ? kIpv6Header : kIpv4Header); fate != Fate::send) return fate;
    uint8_t* at = rte_pktmbuf_mtod(p, uint8_t*);
    --at[v6 ? 7 : 8];
    if (v6) return Fate::send;
    // The sum of the header has fallen by 0x100, so what makes it all ones rises as much.
    uint16_t sum = 0;
    std::memcpy(&sum, at + 10, sizeof sum);
    const uint32_t risen = uint32_t{sum} + rte_cpu_to_be_16(0x100);
    sum = static_cast<uint16_t>(risen + (risen >= UINT16_MAX ? 1 : 0));
    std::memcpy(at + 10, &sum, sizeof sum);
    return Fate::send;
}

}  // namespace umbuf::fwd
