// SPDX-License-Identifier: BSD-2-Clause
// frame.cc - the parser and its sums.
#include "app/umfwd/packet/frame.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include <rte_byteorder.h>

#include "lib/mbuf/mbuf.h"
#include "lib/mbuf/verbs.h"
#include "lib/mbuf/window.h"
#include "lib/net/cksum.h"

namespace umbuf::fwd {
namespace {

constexpr uint8_t kMaxTags = 8;  // more is somebody's joke, and l2_len has 7 bits in an rte_mbuf
constexpr uint8_t kMaxExtensions = 16;  // the same joke in IPv6

// Reader - copies of headers out of a packet, each checked to be there.
struct Reader {
    const rte_mbuf* p;
    template <class T>
    [[nodiscard]] bool get(uint32_t off, T& to) const noexcept {
        const void* from = bytes_at(p, off, sizeof(T), &to);
        if (from != nullptr && from != &to) std::memcpy(&to, from, sizeof(T));
        return from != nullptr;
    }
};

bool is_tag(uint16_t type) noexcept {
    return type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ ||
           type == RTE_ETHER_TYPE_QINQ1;
}

const char* parse_l2(const Reader& in, Frame& f) noexcept {
    rte_ether_hdr ether;
    if (!in.get(0, ether)) return "shorter than an Ethernet header";
    uint16_t type = rte_be_to_cpu_16(ether.ether_type);
    uint16_t off = sizeof(ether);
    while (is_tag(type)) {
        rte_vlan_hdr tag;
        if (f.tags == kMaxTags) return "too many VLAN tags";
        if (!in.get(off, tag)) return "ends inside a VLAN tag";
        ++f.tags;
        off = static_cast<uint16_t>(off + sizeof(tag));
        type = rte_be_to_cpu_16(tag.eth_proto);
    }
    f.l2_len = off;
    f.ether_type = type;
    return nullptr;
}

// parse_l4 - room: bytes behind the IP header, by the IP length.
const char* parse_l4(const Reader& in, Frame& f, uint32_t room) noexcept {
    const uint32_t off = f.l4_off();
    f.l4_len = static_cast<uint16_t>(room);
    if (f.proto == IPPROTO_UDP) {
        rte_udp_hdr udp;
        if (room < sizeof(udp) || !in.get(off, udp)) return "ends inside a UDP header";
        const uint16_t length = rte_be_to_cpu_16(udp.dgram_len);
        const bool fits = length <= room || f.fragment;  // the rest comes in later fragments
        if (length < sizeof(udp) || !fits) return "UDP length does not fit the IP length";
        f.l4_len = static_cast<uint16_t>(std::min<uint32_t>(length, room));
        f.l4 = L4::udp;
    } else if (f.proto == IPPROTO_TCP) {
        rte_tcp_hdr tcp;
        if (room < sizeof(tcp) || !in.get(off, tcp)) return "ends inside a TCP header";
        const uint32_t header = uint32_t{tcp.data_off} >> 4 << 2;
        if (header < sizeof(tcp) || header > room) return "TCP data offset does not fit";
        f.l4 = L4::tcp;
    } else if (f.proto == IPPROTO_ICMP && f.l3 == L3::ipv4) {
        if (room < sizeof(rte_icmp_hdr)) return "ends inside an ICMP header";
        f.l4 = L4::icmp;
    } else if (f.proto == IPPROTO_ICMPV6 && f.l3 == L3::ipv6) {
        if (room < 4) return "ends inside an ICMPv6 header";
        f.l4 = L4::icmp6;
    }
    return nullptr;
}

const char* parse_ipv4(const Reader& in, Frame& f) noexcept {
    rte_ipv4_hdr ip;
    if (!in.get(f.l2_len, ip)) return "ends inside an IPv4 header";
    if (ip.version_ihl >> 4 != 4) return "IPv4 version is not 4";
    const uint16_t header = static_cast<uint16_t>((ip.version_ihl & 15) * 4);
    const uint16_t total = rte_be_to_cpu_16(ip.total_length);
    if (header < sizeof(ip) || header > total) return "IPv4 header length does not fit";
    if (total > in.p->pkt_len - f.l2_len) return "IPv4 length goes beyond the frame";
    const uint16_t part = rte_be_to_cpu_16(ip.fragment_offset);
    f.l3 = L3::ipv4;
    f.l3_len = header;
    f.proto = ip.next_proto_id;
    f.fragment = (part & (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0;
    if ((part & RTE_IPV4_HDR_OFFSET_MASK) != 0) return nullptr;
    return parse_l4(in, f, static_cast<uint32_t>(total - header));
}

// extension_length - bytes of an IPv6 extension header (RFC 8200 4; AH: RFC 4302 2.2); 0: `proto`
// is none, but what the packet carries.
uint32_t extension_length(uint8_t proto, uint8_t length_field) noexcept {
    switch (proto) {
        case IPPROTO_HOPOPTS:
        case IPPROTO_ROUTING:
        case IPPROTO_DSTOPTS:
        case 135:  // mobility, RFC 6275
        case 139:  // HIP, RFC 7401
        case 140:  // shim6, RFC 5533
            return (uint32_t{length_field} + 1) * 8;
        case IPPROTO_FRAGMENT: return 8;
        case IPPROTO_AH: return (uint32_t{length_field} + 2) * 4;
        default: return 0;
    }
}

const char* parse_ipv6(const Reader& in, Frame& f) noexcept {
    rte_ipv6_hdr ip;
    if (!in.get(f.l2_len, ip)) return "ends inside an IPv6 header";
    if (rte_be_to_cpu_32(ip.vtc_flow) >> 28 != 6) return "IPv6 version is not 6";
    uint32_t room = rte_be_to_cpu_16(ip.payload_len);
    if (room + sizeof(ip) > in.p->pkt_len - f.l2_len) return "IPv6 length goes beyond the frame";
    uint32_t header = sizeof(ip);
    uint8_t proto = ip.proto;
    bool later_fragment = false;
    for (uint8_t i = 0; extension_length(proto, 0) != 0 && !later_fragment; ++i) {
        struct {
            uint8_t next, length, type_or_offset_high, left_or_offset_low;
        } ext;
        if (i == kMaxExtensions) return "too many IPv6 extension headers";
        if (room < sizeof(ext) || !in.get(f.l2_len + header, ext))
            return "ends inside an IPv6 extension header";
        const uint32_t length = extension_length(proto, ext.length);
        if (length > room) return "IPv6 extension header longer than the packet";
        if (proto == IPPROTO_ROUTING) f.routed = ext.left_or_offset_low != 0;
        if (proto == IPPROTO_FRAGMENT) {
            const uint32_t part = uint32_t{ext.type_or_offset_high} << 8 | ext.left_or_offset_low;
            f.fragment = (part & 0xfff9) != 0;  // offset, and the flag "more"
            later_fragment = (part & 0xfff8) != 0;
        }
        header += length;
        room -= length;
        proto = ext.next;
    }
    if (header + f.l2_len > UINT16_MAX) return "IPv6 extension headers too long";
    f.l3 = L3::ipv6;
    f.l3_len = static_cast<uint16_t>(header);
    f.proto = proto;
    return later_fragment ? nullptr : parse_l4(in, f, room);
}

const char* parse_arp(const Reader& in, Frame& f) noexcept {
    rte_arp_hdr arp;
    if (!in.get(f.l2_len, arp)) return "ends inside an ARP packet";
    f.l3 = L3::arp;
    f.l3_len = sizeof(arp);
    return nullptr;
}

}  // namespace

Frame parse(const rte_mbuf* p) noexcept {
    const Reader in{p};
    Frame f;
    f.error = parse_l2(in, f);
    if (f.error != nullptr) return f;
    if (f.ether_type == RTE_ETHER_TYPE_IPV4) f.error = parse_ipv4(in, f);
    if (f.ether_type == RTE_ETHER_TYPE_IPV6) f.error = parse_ipv6(in, f);
    if (f.ether_type == RTE_ETHER_TYPE_ARP) f.error = parse_arp(in, f);
    return f;
}

const void* slow_bytes_at(const rte_mbuf* p, uint32_t off, uint32_t n, void* copy) noexcept {
    if (n > p->pkt_len || off > p->pkt_len - n) return nullptr;
    return m_copydata(Mbuf::of(const_cast<rte_mbuf*>(p)), off, n, copy) == 0 ? copy : nullptr;
}

bool is_readable(const rte_mbuf* p) noexcept {
    for (p = p->next; p != nullptr; p = p->next)  // pages are never first
        if (m_readable(Mbuf::of(const_cast<rte_mbuf*>(p))) != 0) return false;
    return true;
}

uint16_t data_sum(const rte_mbuf* p, uint32_t off, uint32_t len) noexcept {
    uint16_t sum = 0;
    const int error = in_sum(Mbuf::of(p), off, len, &sum);
    UM_ASSERT_MSG(error == 0, "packet %p: a sum over bytes that cannot be read", static_cast<const void*>(p));
    return sum;
}

uint16_t pseudo_sum(const rte_mbuf* p, const Frame& f) noexcept {
    const bool v4 = f.l3 == L3::ipv4;
    const uint32_t from = v4 ? offsetof(rte_ipv4_hdr, src_addr) : offsetof(rte_ipv6_hdr, src_addr);
    const uint32_t size = v4 ? 8 : 32;  // both addresses, side by side in either header
    uint8_t copy[32];
    const void* addresses = bytes_at(p, f.l2_len + from, size, copy);
    const uint8_t protocol = f.l4 == L4::udp ? IPPROTO_UDP : IPPROTO_TCP;
    return in_pseudo(addresses, size, protocol, f.l4_len);
}

uint16_t l4_sum(const rte_mbuf* p, const Frame& f) noexcept {
    return add_sums(data_sum(p, f.l4_off(), f.l4_len), pseudo_sum(p, f));
}

uint16_t sum_adjust(uint16_t checksum, uint32_t was, uint32_t is) noexcept {
    uint32_t sum = static_cast<uint16_t>(~checksum);
    sum = add_sums(sum, static_cast<uint16_t>(~was));
    sum = add_sums(sum, static_cast<uint16_t>(~(was >> 16)));
    sum = add_sums(sum, is & 0xffff);
    sum = add_sums(sum, is >> 16);
    return static_cast<uint16_t>(~sum);
}

}  // namespace umbuf::fwd
