// SPDX-License-Identifier: BSD-2-Clause
// exempt.cc - headers, compared.
#include "app/umfwd/gateway/exempt.h"

#include <cstring>

#include "app/umfwd/packet/frame.h"
#include "lib/ipsec/selector.h"

namespace umbuf::fwd {
namespace {

constexpr uint16_t kIkePort = 500;
constexpr uint8_t kFirstDiscovery = 133, kLastDiscovery = 137;

// Peek - what an exemption can depend on. No IPv6 extension header is looked behind.
struct Peek {
    bool v6 = false, begins = false;  // begins: no later part of a packet
    uint8_t proto = 0, hops = 0;
    uint32_t header = 0;
    std::byte l4[12];                 // as many as there are
    uint32_t n = 0;
    IpAddress src;
};

bool peek(const rte_mbuf* p, Peek* to) noexcept {
    std::byte copy[kIpv6Header];
    const auto* ip = static_cast<const std::byte*>(bytes_at(p, 0, kIpv4Header, copy));
    if (ip == nullptr) return false;
    to->v6 = static_cast<uint32_t>(ip[0]) >> 4 == 6;
    if (to->v6 && (ip = static_cast<const std::byte*>(bytes_at(p, 0, kIpv6Header, copy))) == nullptr) return false;
    to->src.v6 = to->v6;
    to->header = to->v6 ? kIpv6Header : (static_cast<uint32_t>(ip[0]) & 15) * 4;
    to->proto = static_cast<uint8_t>(ip[to->v6 ? 6 : 9]);
    to->hops = static_cast<uint8_t>(ip[to->v6 ? 7 : 8]);
    to->begins = to->v6 || (load16(ip + 6) & 0x1fff) == 0;
    std::memcpy(to->src.bytes.data(), ip + (to->v6 ? 8 : 12), to->v6 ? 16 : 4);
    if (to->header < kIpv4Header || p->pkt_len < to->header) return false;
    to->n = std::min<uint32_t>(sizeof to->l4, p->pkt_len - to->header);
    const void* l4 = bytes_at(p, to->header, to->n, to->l4);
    if (l4 == nullptr) return false;
    if (l4 != to->l4) std::memcpy(to->l4, l4, to->n);
    return true;
}

bool is_discovery(const Peek& at) noexcept {
    const bool message = at.v6 && at.proto == kProtoIcmpv6 && at.hops == UINT8_MAX && at.n >= 1;
    return message && static_cast<uint8_t>(at.l4[0]) >= kFirstDiscovery && static_cast<uint8_t>(at.l4[0]) <= kLastDiscovery;
}

// of_udp - from, or to, our own port `ours`.
Exempt of_udp(const Peek& at, uint16_t ours, uint16_t udp_port) noexcept {
    if (ours == kIkePort) return Exempt::ike;
    if (udp_port == 0 || ours != udp_port || at.n < 8) return Exempt::no;
    const uint16_t length = load16(at.l4 + 4);
    if (length == 9 && at.n >= 9 && at.l4[8] == std::byte{0xff}) return Exempt::ike;  // a keepalive
    if (at.n < 12) return Exempt::no;
    return load32(at.l4 + 8) == 0 ? Exempt::ike : Exempt::ready;
}

bool is_local(const RouteTable& table, const IpAddress& address) noexcept {
    Hop hop;
    if (address.v6) {
        uint8_t to[1][16];
        std::memcpy(to[0], address.bytes.data(), 16);
        table.lookup6(to, &hop, 1);
    } else {
        const uint32_t to = load32(reinterpret_cast<const std::byte*>(address.bytes.data()));
        table.lookup4(&to, &hop, 1);
    }
    return hop.kind == RouteKind::local;
}

}  // namespace

Exempt exempt_in(const rte_mbuf* p, bool local, uint16_t udp_port) noexcept {
    Peek at;
    if (!peek(p, &at)) return Exempt::no;
    if (is_discovery(at)) return Exempt::discovery;
    if (!local || at.proto != kProtoUdp || !at.begins || at.n < 4) return Exempt::no;
    const Exempt udp = of_udp(at, load16(at.l4 + 2), udp_port);
    return udp == Exempt::ready ? Exempt::no : udp;
}

Exempt exempt_out(const rte_mbuf* p, const RouteTable& table, uint16_t udp_port) noexcept {
    Peek at;
    if (!peek(p, &at)) return Exempt::no;
    if (is_discovery(at)) return Exempt::discovery;
    const bool udp = at.proto == kProtoUdp && at.begins && at.n >= 4;
    const Exempt as = udp ? of_udp(at, load16(at.l4), udp_port) : at.proto == kProtoEsp ? Exempt::ready : Exempt::no;
    return as != Exempt::no && is_local(table, at.src) ? as : Exempt::no;
}

}  // namespace umbuf::fwd
