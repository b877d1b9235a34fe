// SPDX-License-Identifier: BSD-2-Clause
// route.h - what a route says, and what a packet is told by it.
#pragma once
#include <cstdint>
#include <tuple>

#include <rte_ether.h>

#include "lib/ipsec/ip.h"

namespace umbuf {

// kRouteBurst - packets that are looked up at once.
inline constexpr uint16_t kRouteBurst = 64;

// Prefix - the bits behind `length` are 0.
struct Prefix {
    IpAddress address;
    uint8_t length = 0;  // bits
    bool operator==(const Prefix&) const = default;
    bool operator<(const Prefix& b) const noexcept {
        return std::tie(address.v6, address.bytes, length) < std::tie(b.address.v6, b.address.bytes, b.length);
    }
};
// prefix_of - the address with the bits behind `length` cleared. length <= 32, or 128.
[[nodiscard]] Prefix prefix_of(const IpAddress& address, uint8_t length) noexcept;

enum class RouteKind : uint8_t {
    none,         // no route
    forward,      // to a port of ours
    local,        // the kernel's: an address of this machine
    elsewhere,    // the kernel's, too, to pass on: by a device that is no port of ours
    blackhole,    // to be dropped, and nobody is told
    unreachable,  // to be refused: who sent it is told
};

// Route - where packets of a prefix go. Control.
struct Route {
    RouteKind kind = RouteKind::none;
    bool gatewayed = false;  // forward: to `gateway`; else the destination is at the port itself
    uint16_t port = 0;       // forward
    uint16_t mtu = 0;        // forward: bytes of an IP packet that may leave
    IpAddress gateway;       // of either family (RFC 5549)
    bool own = false;        // local: an address that this machine has at `port`
    bool operator==(const Route&) const = default;
    bool operator<(const Route& b) const noexcept {
        return std::tie(kind, gatewayed, port, mtu, gateway.v6, gateway.bytes, own) <
               std::tie(b.kind, b.gatewayed, b.port, b.mtu, b.gateway.v6, b.gateway.bytes, b.own);
    }
};

// Neighbours are what the kernel says they are. Only a reachable one has an address to send to.
enum class NeighbourState : uint8_t { unknown, pending, failed, reachable };

// Hop - a copy for the packet that asked: nothing of it changes when the tables do. It is copied from array to array,
// in one move: a copy in parts that overlap, or of what was just written in parts, waits for the stores.
struct alignas(16) Hop {
    RouteKind kind = RouteKind::none;
    NeighbourState state = NeighbourState::unknown;  // forward
    uint16_t port = 0;                               // forward
    uint16_t mtu = 0;                                // forward
    rte_ether_addr mac{};                            // reachable
};

}  // namespace umbuf
