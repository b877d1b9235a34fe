// SPDX-License-Identifier: BSD-2-Clause
// outer.cc - outer headers, field by field.
#include "lib/ipsec/outer.h"

#include <cstring>

namespace umbuf {
namespace {

constexpr uint8_t kEcn = 3;

uint8_t tos_outside(const OuterRules& rules, uint8_t inner) noexcept {
    const uint8_t dscp = rules.copy_dscp ? inner >> 2 : rules.dscp;
    return static_cast<uint8_t>(dscp << 2 | (rules.ecn ? inner & kEcn : 0));
}

bool dont_fragment(const OuterRules& rules, const IpView& inner) noexcept {
    return rules.df == DfRule::copy ? inner.dont_fragment : rules.df == DfRule::set;
}

void write_ipv4(std::byte* to, const OuterRules& rules, const IpAddress& src, const IpAddress& dst, const IpView& inner,
                uint8_t proto, uint32_t payload, uint16_t id) noexcept {
    const uint64_t first = uint64_t{0x45} << 56 | uint64_t{tos_outside(rules, inner.tos)} << 48 |
                           uint64_t{(kIpv4Header + payload) & 0xffff} << 32 | uint64_t{id} << 16 |
                           (dont_fragment(rules, inner) ? 0x4000u : 0u);
    const auto* from = reinterpret_cast<const std::byte*>(src.bytes.data());
    const auto* at = reinterpret_cast<const std::byte*>(dst.bytes.data());
    const uint32_t source = load32(from), destination = load32(at);
    const uint64_t second = uint64_t{rules.ttl} << 56 | uint64_t{proto} << 48 | source;
    put_ipv4(to, first, second, destination, (second >> 32) + source + destination);
}

void write_ipv6(std::byte* to, const OuterRules& rules, const IpAddress& src, const IpAddress& dst, const IpView& inner,
                uint8_t proto, uint32_t payload) noexcept {
    const bool copy = rules.copy_flow_label && inner.v6;
    const uint32_t label = (copy ? inner.flow_label : rules.flow_label) & 0xfffff;
    store32(to, uint32_t{6} << 28 | uint32_t{tos_outside(rules, inner.tos)} << 20 | label);
    store16(to + 4, payload);
    to[6] = std::byte{proto};
    to[7] = std::byte{rules.ttl};
    std::memcpy(to + 8, src.bytes.data(), 16);
    std::memcpy(to + 24, dst.bytes.data(), 16);
}

}  // namespace

void write_outer(std::byte* to, const OuterRules& rules, const IpAddress& src, const IpAddress& dst, const IpView& inner,
                 uint8_t proto, uint32_t payload, uint16_t id) noexcept {
    if (src.v6)
        write_ipv6(to, rules, src, dst, inner, proto, payload);
    else
        write_ipv4(to, rules, src, dst, inner, proto, payload, id);
}

int ecn_at_end(uint8_t inner, uint8_t outer) noexcept {
    // Rows: inner Not-ECT, ECT(1), ECT(0), CE. Columns: outer the same.
    static constexpr int8_t kTable[4][4] = {{0, 0, 0, -1}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
    return kTable[inner & kEcn][outer & kEcn];
}

bool leave_tunnel(std::byte* inner, const OuterRules& rules, uint8_t outer_tos) noexcept {
    const bool v6 = static_cast<uint8_t>(inner[0]) >> 4 == 6;
    const uint8_t was = static_cast<uint8_t>(v6 ? load16(inner) >> 4 : static_cast<uint8_t>(inner[1]));
    const int ecn = ecn_at_end(was, outer_tos);
    if (ecn < 0) return false;
    const uint8_t dscp = rules.decap_dscp ? outer_tos >> 2 : was >> 2;
    const uint8_t is = static_cast<uint8_t>(dscp << 2 | ecn);
    if (is == was) return true;
    if (v6) {
        store16(inner, (load16(inner) & 0xf00fu) | uint32_t{is} << 4);
        return true;
    }
    inner[1] = std::byte{is};
    // RFC 1624: HC' = ~(~HC + ~m + m'), so that a checksum that was wrong stays wrong.
    uint32_t sum = (~uint32_t{load16(inner + 10)} & 0xffff) + (~uint32_t{was} & 0xffff) + is;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    store16(inner + 10, ~sum & 0xffff);
    return true;
}

}  // namespace umbuf
