// SPDX-License-Identifier: BSD-2-Clause
// too_big.h - "packet too big": said to who sent it, and understood from who says it of ours
// (RFC 792 and 1191: type 3, code 4; RFC 4443 3.2).
#pragma once
#include <cstdint>

#include "lib/ipsec/ip.h"
#include "lib/mbuf/mbuf.h"

namespace umbuf {

// may_answer - errors are answers to what can be answered: not to ICMP errors, to fragments behind the first, to
// groups and broadcasts, nor where the source is nobody's address (RFC 1122 3.2.2, RFC 1812 4.3.2.7, RFC 4443 2.4).
// The packet begins with its IP header. Its owner's lcore.
[[nodiscard]] bool may_answer(const Mbuf* packet) noexcept;
// make_too_big - an IP packet from `from` (of the packet's family) to its source, with as much of it as such an answer
// takes: 576 bytes in all, 1280 of IPv6. The packet stays as it is, and the caller's. Null: may_answer() says no, its
// bytes cannot be read, or no mbuf. The lcore that owns the packet.
[[nodiscard]] Mbuf* make_too_big(const Mbuf* packet, uint32_t mtu, const IpAddress& from) noexcept;

// TooBig - what such a message says about an ESP packet.
struct TooBig {
    IpAddress src, dst;  // of that packet
    uint32_t spi;        // host order
    uint32_t mtu;        // that the next hop takes
    bool udp;            // it was in UDP, from and to:
    uint16_t udp_src, udp_dst;
};
// read_too_big - false: the packet is something else, or too short, or its checksum is wrong. `udp_port`: ESP is
// also in UDP from or to this port; 0: no. A router that does not know RFC 1191 says no MTU: then it is the next lower
// that is usual (RFC 1191, 7.1). Who says so is not proven: who uses it asks whether the SA is ours (RFC 4301, 8.2.1).
[[nodiscard]] bool read_too_big(const Mbuf* packet, uint16_t udp_port, TooBig* what) noexcept;

}  // namespace umbuf
