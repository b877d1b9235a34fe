// SPDX-License-Identifier: BSD-2-Clause
// selector.cc - selectors, checked; packets, looked at.
#include "lib/ipsec/selector.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "lib/ipsec/esp_batch.h"

namespace umbuf {
namespace {

constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;
constexpr uint32_t kMostHeaders = 16;  // of IPv6's extensions: more is an attack

bool has_ports(uint8_t proto) noexcept {
    return proto == kProtoTcp || proto == kProtoUdp || proto == kProtoSctp || proto == kProtoDccp || proto == kProtoUdpLite;
}
bool has_type(uint8_t proto) noexcept { return proto == kProtoIcmp || proto == kProtoIcmpv6 || proto == kProtoMobility; }

size_t size_of(bool v6) noexcept { return v6 ? 16 : 4; }

Error wrong(const std::string& text) { return Error{EINVAL, "a selector: " + text}; }

Status check_range(const IpRange& range, bool v6, const char* name) {
    if (range.from.v6 != v6 || range.to.v6 != v6) return wrong("source and destination are both IPv4, or both IPv6");
    if (std::memcmp(range.from.bytes.data(), range.to.bytes.data(), size_of(v6)) > 0)
        return wrong(std::string("the ") + name + " addresses end before they begin");
    return {};
}

// What follows the headers that routers look at.
struct Upper {
    uint32_t at;
    uint8_t proto;
    bool later;          // a fragment that is not the first
    bool proto_unknown;
};

bool is_extension(uint8_t proto) noexcept {
    return proto == kHopByHop || proto == kRouting || proto == kFragment || proto == kDestination;
}

// upper_of_v6 - false: the chain of headers does not end in this packet.
bool upper_of_v6(const Mbuf* m, const IpView& ip, Upper* upper) noexcept {
    uint32_t at = ip.header;
    uint8_t proto = ip.proto;
    for (uint32_t headers = 0; is_extension(proto); ++headers) {
        if (headers == kMostHeaders || at + 8 > ip.length) return false;
        std::byte header[8];
        esp::peek(m, at, sizeof(header), header);
        const bool fragment = proto == kFragment;
        proto = static_cast<uint8_t>(header[0]);
        at += fragment ? 8 : (static_cast<uint32_t>(header[1]) + 1) * 8;
        if (fragment && load16(header + 2) >> 3 != 0) {
            *upper = {at, proto, true, is_extension(proto)};
            return true;
        }
    }
    if (at > ip.length) return false;
    *upper = {at, proto, false, false};
    return true;
}

// read_upper - first and second, or that they are unknown.
uint32_t read_upper(const Mbuf* m, const IpView& ip, const Upper& upper, PacketKey* key) noexcept {
    if (upper.later) return PacketKey::kPortsUnknown | (upper.proto_unknown ? PacketKey::kProtoUnknown : 0u);
    const bool with_ports = has_ports(upper.proto);
    if (!with_ports && !has_type(upper.proto)) return 0;
    if (upper.at + 4 > ip.length) return PacketKey::kPortsUnknown;
    std::byte four[4];
    esp::peek(m, upper.at, sizeof(four), four);
    std::byte* to = reinterpret_cast<std::byte*>(key->bytes.data());
    if (with_ports)
        std::memcpy(to + PacketKey::kFirst, four, 4);
    else if (upper.proto == kProtoMobility)
        to[PacketKey::kFirst] = four[2];  // RFC 6275, 6.1.1
    else
        std::memcpy(to + PacketKey::kFirst, four, 2);
    return 0;
}

}  // namespace

IpRange all_addresses(bool v6) noexcept {
    IpRange range;
    range.from.v6 = range.to.v6 = v6;
    std::memset(range.to.bytes.data(), 0xff, size_of(v6));
    return range;
}

IpRange prefix(const IpAddress& address, uint32_t bits) noexcept {
    IpRange range{address, address};
    for (uint32_t i = bits; i < size_of(address.v6) * 8; ++i) {
        const uint8_t bit = static_cast<uint8_t>(0x80 >> i % 8);
        range.from.bytes[i / 8] = static_cast<uint8_t>(range.from.bytes[i / 8] & ~bit);
        range.to.bytes[i / 8] |= bit;
    }
    return range;
}

Status check_selector(const Selector& s) {
    const bool v6 = s.src.from.v6;
    if (const Status src = check_range(s.src, v6, "source"); !src) return src;
    if (const Status dst = check_range(s.dst, v6, "destination"); !dst) return dst;
    for (const Ports& p : {s.first, s.second})
        if (p.look == Look::value && p.from > p.to) return wrong("the ports end before they begin");
    const bool values = s.first.look == Look::value || s.second.look == Look::value;
    const bool opaques = s.first.look == Look::opaque || s.second.look == Look::opaque;
    if (values && opaques) return wrong("of one packet, both ports can be seen, or neither");
    if (!values) return {};
    if (s.protocol != Look::value) return wrong("ports are of one protocol, and none is given");
    if (has_type(s.proto) && s.second.look == Look::value) return wrong("a type has no second port");
    if (!has_ports(s.proto) && !has_type(s.proto)) return wrong("protocol " + std::to_string(s.proto) + " has no ports");
    return {};
}

namespace {

// usual - the whole key of the usual packet: IPv4 without options, no fragment, the ports in the first mbuf. False: it
// is not one.
bool usual(const Mbuf* m, PacketKey* key) noexcept {
    constexpr uint32_t kSeen = kIpv4Header + 4;
    if (m->len() < kSeen || m_unmapped(m)) return false;
    const std::byte* at = m->data();
    const uint64_t front = load64(at);
    const uint32_t length = static_cast<uint16_t>(front >> 32);
    if (front >> 56 != 0x45 || (front & 0x3fff) != 0 || length < kSeen || length > m->pkt_len()) return false;
    std::byte* to = reinterpret_cast<std::byte*>(key->bytes.data());
    const uint8_t proto = static_cast<uint8_t>(at[9]);
    *key = {};
    to[PacketKey::kProto] = at[9];
    std::memcpy(to + PacketKey::kSrc, at + 12, 8);
    if (has_ports(proto)) std::memcpy(to + PacketKey::kFirst, at + kIpv4Header, 4);
    else if (proto == kProtoMobility) to[PacketKey::kFirst] = at[kIpv4Header + 2];
    else if (has_type(proto)) std::memcpy(to + PacketKey::kFirst, at + kIpv4Header, 2);
    return true;
}

}  // namespace

int selectors_of(const Mbuf* m, PacketKey* key) noexcept {
    if (const int error = esp::readable(m); error != 0) return error;
    if (__builtin_expect(usual(m, key), 1)) return 0;
    std::byte scratch[kPeek];
    const std::byte* front = nullptr;
    const uint32_t have = esp::front_of(m, scratch, &front);
    IpView ip{};
    if (!parse_ip(front, have, m->pkt_len(), &ip)) return EBADMSG;
    *key = {};
    key->v6 = ip.v6;
    std::memcpy(key->bytes.data() + PacketKey::kSrc, front + (ip.v6 ? 8 : 12), 2 * size_of(ip.v6));
    Upper upper{ip.header, ip.proto, !ip.v6 && (load16(front + 6) & 0x1fff) != 0, false};
    if (ip.v6 && !upper_of_v6(m, ip, &upper)) return EBADMSG;
    key->bytes[PacketKey::kProto] = upper.proto;
    store32(reinterpret_cast<std::byte*>(key->bytes.data()) + PacketKey::kUnknown, read_upper(m, ip, upper, key));
    return 0;
}

}  // namespace umbuf
