// SPDX-License-Identifier: BSD-2-Clause
// ip.cc - IP headers, read with suspicion.
#include "lib/ipsec/ip.h"

#include <cstring>

#include <rte_ip.h>

namespace umbuf {
namespace {

constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;

uint8_t byte_at(const std::byte* at) noexcept { return static_cast<uint8_t>(*at); }

bool parse_ipv4(const std::byte* at, uint32_t have, uint32_t length, IpView* view) noexcept {
    if (have < kIpv4Header) return false;
    const uint32_t header = (byte_at(at) & 15u) * 4;
    const uint32_t says = load16(at + 2), fragment = load16(at + 6);
    if (header < kIpv4Header || header > have || says < header || says > length) return false;
    // One by one: a view that is made elsewhere and copied is read before it has been written.
    view->v6 = false;
    view->dont_fragment = (fragment & 0x4000) != 0;
    view->fragment = (fragment & 0x3fff) != 0;
    view->tos = byte_at(at + 1);
    view->proto = byte_at(at + 9);
    view->header = static_cast<uint16_t>(header);
    view->proto_at = 9;
    view->length = says;
    view->flow_label = 0;
    return true;
}

// A destination options header comes before ESP only if a routing header follows it (RFC 8200, 4.1).
bool stays_outside(const std::byte* at, uint32_t have, uint32_t off, uint8_t proto) noexcept {
    if (proto == kHopByHop || proto == kRouting) return true;
    return proto == kDestination && off + 8 <= have && byte_at(at + off) == kRouting;
}

bool parse_ipv6(const std::byte* at, uint32_t have, uint32_t length, IpView* view) noexcept {
    if (have < kIpv6Header) return false;
    const uint32_t says = kIpv6Header + load16(at + 4), first = load32(at);
    if (says > length) return false;
    uint32_t off = kIpv6Header, proto_at = 6;
    uint8_t proto = byte_at(at + proto_at);
    while (stays_outside(at, have, off, proto)) {
        if (off + 8 > have || off + 8 > says) return false;
        proto = byte_at(at + off);
        proto_at = off;
        off += (byte_at(at + off + 1) + 1u) * 8;
    }
    if (off > have || off > says) return false;
    view->v6 = true;
    view->dont_fragment = true;
    view->fragment = proto == kFragment;
    view->tos = static_cast<uint8_t>(first >> 20);
    view->proto = proto;
    view->header = static_cast<uint16_t>(off);
    view->proto_at = static_cast<uint16_t>(proto_at);
    view->length = says;
    view->flow_label = first & 0xfffff;
    return true;
}

}  // namespace

bool parse_ip(const std::byte* at, uint32_t have, uint32_t length, IpView* view) noexcept {
    if (have == 0) return false;
    switch (byte_at(at) >> 4) {
    case 4: return parse_ipv4(at, have, length, view);
    case 6: return parse_ipv6(at, have, length, view);
    default: return false;
    }
}

void ipv4_checksum(std::byte* at, uint32_t header) noexcept {
    std::memset(at + 10, 0, 2);
    const uint16_t sum = static_cast<uint16_t>(~rte_raw_cksum(at, header));
    std::memcpy(at + 10, &sum, sizeof(sum));
}

}  // namespace umbuf
