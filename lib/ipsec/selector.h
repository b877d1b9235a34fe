// SPDX-License-Identifier: BSD-2-Clause
// selector.h - what a policy can look at in a packet (RFC 4301, 4.4.1.1).
//
// Addresses are ranges, ports are ranges, and either may be ANY. What cannot be seen is OPAQUE: the ports of
// a fragment that is not the first, and, in IPv6, its protocol where more headers came before it. ANY takes
// in OPAQUE; a range of ports does not. So a fragment matches only policies that do not look at ports, or
// that say opaque.
//
//      protocol              first                    second
//      TCP UDP SCTP DCCP     source port              destination port
//      UDP-Lite
//      ICMP, ICMPv6          type * 256 + code        ANY
//      mobility header       type * 256               ANY
//      all others            ANY                      ANY
//
// Source and destination are the packet's own, in both directions.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "lib/base/result.h"
#include "lib/ipsec/ip.h"
#include "lib/mbuf/mbuf.h"

namespace umbuf {

inline constexpr uint8_t kProtoIcmp = 1, kProtoDccp = 33, kProtoIcmpv6 = 58, kProtoSctp = 132, kProtoMobility = 135, kProtoUdpLite = 136;

// IpRange - from, to: both inside.
struct IpRange {
    IpAddress from, to;
};
[[nodiscard]] IpRange all_addresses(bool v6) noexcept;
// prefix - `bits` of the address, the rest is whatever it is.
[[nodiscard]] IpRange prefix(const IpAddress& address, uint32_t bits) noexcept;

enum class Look : uint8_t { any, opaque, value };

struct Ports {
    Look look = Look::any;
    uint16_t from = 0, to = 0;  // of Look::value, both inside
};
[[nodiscard]] inline Ports one_port(uint16_t port) noexcept { return {Look::value, port, port}; }
[[nodiscard]] inline Ports ports(uint16_t from, uint16_t to) noexcept { return {Look::value, from, to}; }
[[nodiscard]] inline Ports opaque_ports() noexcept { return {Look::opaque, 0, 0}; }
// icmp - one type with some of its codes, or several types with all of theirs: what RFC 4301 has.
[[nodiscard]] inline Ports icmp(uint8_t type, uint8_t from_code = 0, uint8_t to_code = 255) noexcept {
    return {Look::value, static_cast<uint16_t>(type << 8 | from_code), static_cast<uint16_t>(type << 8 | to_code)};
}
[[nodiscard]] inline Ports icmp_types(uint8_t from, uint8_t to) noexcept {
    return {Look::value, static_cast<uint16_t>(from << 8), static_cast<uint16_t>(to << 8 | 255)};
}

struct Selector {
    IpRange src, dst;
    Look protocol = Look::any;
    uint8_t proto = 0;     // of Look::value
    Ports first, second;
};
// check_selector - Error: two families, a range that is none, ports of a protocol that has none.
[[nodiscard]] Status check_selector(const Selector& selector);

// PacketKey - what a packet has of it. In network order, as rte_acl reads it.
struct PacketKey {
    static constexpr uint32_t kProto = 0, kFirst = 4, kSecond = 6, kUnknown = 8, kSrc = 12;
    static constexpr uint32_t kPortsUnknown = 1, kProtoUnknown = 2;  // bits of the word at kUnknown
    alignas(16) std::array<uint8_t, 48> bytes;
    bool v6;
};
// selectors_of - of a packet, read where it lies, through windows if need be. IPv6 extension headers are
// skipped: hop-by-hop, routing, destination options, fragment. 0, or EBADMSG: no whole IP header or chain
// of them (RFC 7112), or EBUSY, EIO, EOPNOTSUPP: it cannot be read (window.h, W3).
[[nodiscard]] int selectors_of(const Mbuf* m, PacketKey* key) noexcept;

}  // namespace umbuf
