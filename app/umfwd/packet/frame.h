// SPDX-License-Identifier: BSD-2-Clause
// frame.h - what is in a frame, and where: Ethernet, VLAN tags, IPv4, IPv6, ARP, UDP, TCP, ICMP.
//
// parse() reads a packet without changing it, whatever its segments look like, and trusts nothing:
// every length is checked against the bytes that are there. What it says is valid:
//
//      F1  l2_len <= pkt_len, and it ends where the ether_type after the last tag ends.
//      F2  l3 != none: the whole header of l3_len bytes is there (IPv6: with its extension
//      headers),
//          and the IP length does not go beyond the frame.
//      F3  l4 != none: the header is there, and l4_len bytes of header and data too (in a first
//          fragment: what it has of them). Padding behind the IP length is not counted.
//
// The layouts are DPDK's (rte_ether.h, rte_ip.h ...): at<rte_ipv4_hdr>(p, frame.l2_len).
#pragma once
#include <cstdint>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

namespace umbuf::fwd {

enum class L3 : uint8_t { none, ipv4, ipv6, arp };
enum class L4 : uint8_t { none, udp, tcp, icmp, icmp6 };

inline constexpr uint8_t kIcmpEchoReply = 0, kIcmpEchoRequest = 8;  // RFC 792

struct Frame {
    const char* error = nullptr;  // what did not fit, and stopped the parser; null: nothing
    uint16_t l2_len = 0;          // Ethernet header and tags
    uint16_t ether_type = 0;      // after the tags, host order; 0: no Ethernet header
    uint8_t tags = 0;             // VLAN, QinQ
    L3 l3 = L3::none;
    L4 l4 = L4::none;
    uint8_t proto = 0;      // IP protocol after the last header that was understood
    bool fragment = false;  // part of a larger packet, the first part included
    bool routed = false;    // IPv6 routing header with segments left: not yet at its end
    uint16_t l3_len = 0;    // IPv4 with options, IPv6 with extension headers
    uint16_t l4_len = 0;    // header and data; UDP: what its own length says
    [[nodiscard]] uint16_t l4_off() const noexcept {
        return static_cast<uint16_t>(l2_len + l3_len);
    }
};

[[nodiscard]] Frame parse(const rte_mbuf* p) noexcept;

// at - the bytes at `off` as a T. The caller knows that they are contiguous (own_header).
template <class T>
[[nodiscard]] inline T* at(rte_mbuf* p, uint32_t off) noexcept {
    return rte_pktmbuf_mtod_offset(p, T*, off);
}

// bytes_at - the bytes [off, off + n), in place or in `copy`: behind the first mbuf they may be unmapped, and
// are then copied through windows. Null: they are not there, or the CPU cannot read them.
[[nodiscard]] const void* slow_bytes_at(const rte_mbuf* p, uint32_t off, uint32_t n, void* copy) noexcept;
[[nodiscard]] inline const void* bytes_at(const rte_mbuf* p, uint32_t off, uint32_t n, void* copy) noexcept {
    if (__builtin_expect(off + n <= p->data_len, 1)) return rte_pktmbuf_mtod_offset(p, const void*, off);
    return slow_bytes_at(p, off, n, copy);
}
// is_readable - may the CPU read all of the packet, by windows if need be?
[[nodiscard]] bool is_readable(const rte_mbuf* p) noexcept;

// ---- Internet checksums (RFC 1071). All in network order, as they stand in the packet.
// data_sum - in_sum (lib/net/cksum.h) of bytes that are there and can be read, as in a packet that was
// received.
[[nodiscard]] uint16_t data_sum(const rte_mbuf* p, uint32_t off, uint32_t len) noexcept;
// pseudo_sum - sum of the pseudo header, not complemented: what a device wants to find in the L4
// checksum field. frame.l4 is udp or tcp.
[[nodiscard]] uint16_t pseudo_sum(const rte_mbuf* p, const Frame& frame) noexcept;
// l4_sum - sum over pseudo header, header and data with the checksum that is there: 0xffff if
// right.
[[nodiscard]] uint16_t l4_sum(const rte_mbuf* p, const Frame& frame) noexcept;
// sum_adjust - the checksum after one 16- or 32-bit field changed from `was` to `is` (RFC 1624).
[[nodiscard]] uint16_t sum_adjust(uint16_t checksum, uint32_t was, uint32_t is) noexcept;

// l4_checksum_offset - of the checksum field in a UDP or TCP header.
[[nodiscard]] constexpr uint16_t l4_checksum_offset(L4 l4) noexcept {
    return l4 == L4::udp ? offsetof(rte_udp_hdr, dgram_cksum) : offsetof(rte_tcp_hdr, cksum);
}

}  // namespace umbuf::fwd
