// SPDX-License-Identifier: BSD-2-Clause
// exempt.h - which packets cross the boundary without a policy's leave: those without which there could be no SA.
//
// RFC 4301, 4.4.1: the SPD must have entries by which IKE passes; they are built in here, as is neighbour discovery,
// IPv6's ARP. Both are told from anything else narrowly: only what this machine sends or is sent, and discovery
// only with the hop limit that no router lets by (RFC 4861, 3.1).
#pragma once
#include <cstdint>

#include <rte_mbuf.h>

#include "lib/route/route_table.h"

namespace umbuf::fwd {

enum class Exempt : uint8_t {
    no,
    discovery,  // ICMPv6 133 to 137, hop limit 255
    ike,        // UDP 500; the port of RFC 3948 with the non-ESP marker, or its keepalives
    ready,      // ESP already
};

// exempt_in - a packet for this machine that begins with its IP header; `local`: to an address of its own, not to a
// group. ESP is no exemption there: it has its own way.
[[nodiscard]] Exempt exempt_in(const rte_mbuf* p, bool local, uint16_t udp_port) noexcept;
// exempt_out - a packet that the kernel sends, its own or one that it passes on. A reader of the table.
[[nodiscard]] Exempt exempt_out(const rte_mbuf* p, const RouteTable& table, uint16_t udp_port) noexcept;

}  // namespace umbuf::fwd
