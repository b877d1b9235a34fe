// SPDX-License-Identifier: BSD-2-Clause
// ip_route.h - where a burst of IP packets goes: a router's checks, and its tables.
//
// No Ethernet header anywhere here: what a packet came out of, a frame or an ESP packet, makes no difference.
#pragma once
#include <cstdint>

#include <rte_mbuf.h>

#include "app/umfwd/packet/burst.h"
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
[[nodiscard]] Drop unfit(const Looked& looked) noexcept;

// age - one hop less to live, in a header that is ours alone then. The packet has a fate `forward` or `cut`. As
// own_header(): Fate::send, or its end.
[[nodiscard]] Fate age(rte_mbuf*& p) noexcept;

}  // namespace umbuf::fwd
