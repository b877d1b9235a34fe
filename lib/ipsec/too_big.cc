// SPDX-License-Identifier: BSD-2-Clause
// too_big.cc - ICMP, as much of it as a path's MTU takes.
#include "lib/ipsec/too_big.h"

#include <algorithm>
#include <cstring>

#include "lib/ipsec/esp_batch.h"
#include "lib/mbuf/verbs.h"
#include "lib/net/cksum.h"

namespace umbuf {
namespace {

constexpr uint8_t kIcmp = 1, kIcmp6 = 58, kFragment = 44;
constexpr uint8_t kUnreachable = 3, kFragmentationNeeded = 4, kTooBig6 = 2;
constexpr uint32_t kIcmpHeader = 8;
constexpr uint32_t kMost4 = 576, kMost6 = 1280;  // bytes of an answer: RFC 1812 4.3.2.3, RFC 4443 2.4 c
constexpr uint8_t kTos = 0xc0;                   // internetwork control: RFC 1812 4.3.2.5
constexpr uint8_t kTtl = 64;

uint8_t byte_at(const std::byte* at) noexcept { return static_cast<uint8_t>(*at); }

// Looked - a packet's header, and what is behind it.
struct Looked {
    std::byte scratch[kPeek];
    const std::byte* at = nullptr;
    uint32_t have = 0;
    IpView ip{};
    uint32_t upper = 0;   // where the first header stands that is for the end
    uint8_t proto = 0;
    bool later = false;   // a fragment that is not the first
};
bool look(const Mbuf* m, Looked& l) noexcept {
    if (esp::readable(m) != 0) return false;
    l.have = esp::front_of(m, l.scratch, &l.at);
    if (!parse_ip(l.at, l.have, m->pkt_len(), &l.ip)) return false;
    l.upper = l.ip.header;
    l.proto = l.ip.proto;
    if (!l.ip.v6) l.later = (load16(l.at + 6) & 0x1fff) != 0;
    if (!l.ip.v6 || l.proto != kFragment) return true;
    if (l.upper + 8 > l.have) return false;
    l.later = (load16(l.at + l.upper + 2) & 0xfff8) != 0;
    l.proto = byte_at(l.at + l.upper);
    l.upper += 8;
    return true;
}

// somebodys - an address that one machine has.
bool somebodys4(uint32_t a) noexcept {
    const uint32_t net = a >> 24;
    return net != 0 && net != 127 && net < 224;
}
bool somebodys6(const std::byte* a) noexcept {
    static constexpr std::byte kZero[15] = {};
    const bool loop = std::memcmp(a, kZero, sizeof kZero) == 0 && byte_at(a + 15) <= 1;
    return a[0] != std::byte{0xff} && !loop;
}

// is_error - an ICMP message that is one, or that cannot be seen to be none.
bool is_error(const Looked& l) noexcept {
    if (l.proto != (l.ip.v6 ? kIcmp6 : kIcmp)) return false;
    if (l.upper >= l.have || l.upper >= l.ip.length) return true;
    const uint8_t type = byte_at(l.at + l.upper);
    if (l.ip.v6) return type < 128;  // RFC 4443, 2.1
    constexpr uint8_t kErrors[] = {3, 4, 5, 11, 12};
    return std::ranges::find(kErrors, type) != std::end(kErrors) || type > 40;
}

bool answerable(const Looked& l) noexcept {
    if (l.later || is_error(l)) return false;
    if (l.ip.v6) return somebodys6(l.at + 8) && l.at[24] != std::byte{0xff};
    return somebodys4(load32(l.at + 12)) && somebodys4(load32(l.at + 16));
}

void write_header(std::byte* to, const Looked& l, const IpAddress& from, uint32_t bytes) noexcept {
    const auto* us = reinterpret_cast<const std::byte*>(from.bytes.data());
    if (l.ip.v6) {
        store32(to, 6u << 28 | uint32_t{kTos} << 20);
        store16(to + 4, bytes - kIpv6Header);
        to[6] = std::byte{kIcmp6};
        to[7] = std::byte{kTtl};
        std::memcpy(to + 8, us, 16);
        std::memcpy(to + 24, l.at + 8, 16);
        return;
    }
    store32(to, 0x45u << 24 | uint32_t{kTos} << 16 | bytes);
    store32(to + 4, 0x4000);  // DF, and no number: RFC 6864 4.1
    store32(to + 8, uint32_t{kTtl} << 24 | uint32_t{kIcmp} << 16);
    std::memcpy(to + 12, us, 4);
    std::memcpy(to + 16, l.at + 12, 4);
    ipv4_checksum(to, kIpv4Header);
}

void write_icmp(Mbuf* m, bool v6, uint32_t header, uint32_t mtu) noexcept {
    std::byte* to = m->data() + header;
    const uint32_t n = m->pkt_len() - header;
    to[0] = std::byte{v6 ? kTooBig6 : kUnreachable};
    to[1] = std::byte{v6 ? uint8_t{0} : kFragmentationNeeded};
    store16(to + 2, 0);
    store32(to + 4, v6 ? mtu : std::min<uint32_t>(mtu, UINT16_MAX));
    uint16_t sum = 0;
    (void)in_sum(m, header, n, &sum);  // ours, and mapped
    if (v6) sum = add_sums(sum, in_pseudo(m->data() + 8, 32, kIcmp6, n));
    sum = static_cast<uint16_t>(~sum);
    std::memcpy(to + 2, &sum, sizeof sum);
}

// plateau - RFC 1191, 7.1: the next lower of the MTUs that are usual.
uint32_t plateau(uint32_t length) noexcept {
    constexpr uint32_t kUsual[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};
    for (const uint32_t mtu : kUsual)
        if (mtu < length) return mtu;
    return 68;
}

// read_quote - the ESP packet that is quoted from `at` on, `end` bytes in all.
bool read_quote(const Mbuf* m, uint32_t at, uint32_t end, bool v6, uint16_t udp_port, TooBig* what) noexcept {
    std::byte quote[kPeek];
    const uint32_t have = std::min<uint32_t>(sizeof quote, end - at);
    esp::peek(m, at, have, quote);
    IpView ip{};
    // Of the packet there is only a part.
    if (!parse_ip(quote, have, UINT16_MAX + kIpv6Header, &ip) || ip.v6 != v6 || (!v6 && (load16(quote + 6) & 0x1fff) != 0)) return false;
    uint32_t esp = ip.header;
    what->udp = ip.proto == kProtoUdp && udp_port != 0;
    if (ip.proto != kProtoEsp && !what->udp) return false;
    if (what->udp) {
        if (esp + kUdpHeader > have) return false;
        what->udp_src = load16(quote + esp);
        what->udp_dst = load16(quote + esp + 2);
        if (what->udp_src != udp_port && what->udp_dst != udp_port) return false;
        esp += kUdpHeader;
    }
    if (esp + 4 > have) return false;
    what->spi = load32(quote + esp);
    what->src.v6 = what->dst.v6 = v6;
    std::memcpy(what->src.bytes.data(), quote + (v6 ? 8 : 12), v6 ? 16 : 4);
    std::memcpy(what->dst.bytes.data(), quote + (v6 ? 24 : 16), v6 ? 16 : 4);
    if (what->mtu == 0) what->mtu = plateau(ip.length);
    return what->spi != 0;
}

}  // namespace

bool may_answer(const Mbuf* packet) noexcept {
    Looked l;
    return look(packet, l) && answerable(l);
}

Mbuf* make_too_big(const Mbuf* packet, uint32_t mtu, const IpAddress& from) noexcept {
    Looked l;
    if (!look(packet, l) || !answerable(l) || from.v6 != l.ip.v6) return nullptr;
    const uint32_t header = l.ip.v6 ? kIpv6Header : kIpv4Header;
    const uint32_t quote = std::min(l.ip.length, (l.ip.v6 ? kMost6 : kMost4) - header - kIcmpHeader);
    Mbuf* m = esp::fresh(header + kIcmpHeader + quote);
    if (m == nullptr) return nullptr;
    m->rte.port = packet->rte.port;
    if (m_copydata(packet, 0, quote, m->data() + header + kIcmpHeader) != 0) {
        m_freem(m);
        return nullptr;
    }
    write_header(m->data(), l, from, m->pkt_len());
    write_icmp(m, l.ip.v6, header, mtu);
    return m;
}

bool read_too_big(const Mbuf* packet, uint16_t udp_port, TooBig* what) noexcept {
    Looked l;
    if (!look(packet, l) || l.ip.fragment || l.proto != (l.ip.v6 ? kIcmp6 : kIcmp)) return false;
    const uint32_t quote = l.upper + kIcmpHeader;
    if (quote > l.have || quote >= l.ip.length) return false;
    const std::byte* icmp = l.at + l.upper;
    const bool is_it = l.ip.v6 ? byte_at(icmp) == kTooBig6 : byte_at(icmp) == kUnreachable && byte_at(icmp + 1) == kFragmentationNeeded;
    if (!is_it) return false;
    uint16_t sum = 0;
    if (in_sum(packet, l.upper, l.ip.length - l.upper, &sum) != 0) return false;
    if (l.ip.v6) sum = add_sums(sum, in_pseudo(l.at + 8, 32, kIcmp6, l.ip.length - l.upper));
    if (sum != UINT16_MAX) return false;
    *what = {};
    what->mtu = l.ip.v6 ? load32(icmp + 4) : load16(icmp + 6);
    return read_quote(packet, quote, l.ip.length, l.ip.v6, udp_port, what);
}

}  // namespace umbuf
