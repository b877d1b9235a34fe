// SPDX-License-Identifier: BSD-2-Clause
// header_fuzz.cc - libFuzzer against the header rules of ESP (ip.h, outer.h): any bytes are rules and a packet.
//
// All memory is as long as it is said to be, so that the address sanitizer sees who goes beyond. Checked: what
// parse_ip() says is inside the packet; write_outer() writes a header that says what the rules say, and no byte
// more; leave_tunnel() changes the traffic class and nothing else, and leaves a right checksum right.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "lib/ipsec/outer.h"

namespace umbuf {
namespace {

using Bytes = std::vector<std::byte>;

void must(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "header_fuzz: %s\n", what);
    std::abort();
}

Bytes exact(const uint8_t* at, size_t n) {
    Bytes b(n);
    if (n > 0) std::memcpy(b.data(), at, n);
    b.shrink_to_fit();
    return b;
}

uint8_t tos_of(const Bytes& p) {
    return static_cast<uint8_t>(static_cast<uint8_t>(p[0]) >> 4 == 6 ? load16(p.data()) >> 4 : static_cast<uint32_t>(p[1]));
}

bool sum_right(std::span<const std::byte> header) {
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < header.size(); i += 2) sum += load16(header.data() + i);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

void outer(const OuterRules& rules, const IpView& inner, bool v6, uint16_t payload, uint16_t id) {
    IpAddress src{.v6 = v6, .bytes = {}}, dst{.v6 = v6, .bytes = {}};
    src.bytes.fill(0x11);
    dst.bytes.fill(0x22);
    Bytes to(outer_bytes(v6));
    write_outer(to.data(), rules, src, dst, inner, kProtoEsp, payload, id);
    IpView said{};
    const uint32_t length = static_cast<uint32_t>(to.size()) + payload;
    if (length > UINT16_MAX && !v6) return;  // esp_output refuses it before
    must(parse_ip(to.data(), static_cast<uint32_t>(to.size()), length, &said), "an outer header that is none");
    must(said.v6 == v6 && said.length == length && said.proto == kProtoEsp && said.header == to.size() && !said.fragment, "an outer header's sizes");
    must(said.tos >> 2 == (rules.copy_dscp ? inner.tos >> 2 : rules.dscp), "DSCP outside");
    must((said.tos & 3) == (rules.ecn ? inner.tos & 3 : 0), "ECN outside");
    must(static_cast<uint8_t>(to[v6 ? 7 : 8]) == rules.ttl, "TTL outside");
    if (v6) {
        must(said.flow_label == ((rules.copy_flow_label && inner.v6 ? inner.flow_label : rules.flow_label) & 0xfffff), "flow label outside");
        return;
    }
    must(sum_right(to), "the outer checksum");
    must(said.dont_fragment == (rules.df == DfRule::copy ? inner.dont_fragment : rules.df == DfRule::set), "DF outside");
}

void inner(const OuterRules& rules, const Bytes& packet, const IpView& view, uint8_t outer_tos) {
    Bytes after = packet;
    const uint8_t was = tos_of(packet);
    const bool v4 = !view.v6, right = v4 && sum_right({packet.data(), view.header});
    const int ecn = ecn_at_end(was, outer_tos);
    const bool lost = (was & 3) == 0 && (outer_tos & 3) == 3;
    must((ecn < 0) == lost, "RFC 6040 drops a mark that a packet without ECN cannot carry, and nothing else");
    const bool kept = leave_tunnel(after.data(), rules, outer_tos);
    must(kept == !lost, "leave_tunnel and ecn_at_end");
    if (!kept) {
        must(after == packet, "a dropped packet was changed");
        return;
    }
    const uint8_t is = tos_of(after);
    must((is & 3) == ecn, "ECN inside");
    must(is >> 2 == (rules.decap_dscp ? outer_tos >> 2 : was >> 2), "DSCP inside");
    must((ecn == 3) == ((was & 3) == 3 || (outer_tos & 3) == 3), "a congestion mark is kept, and none is made");
    if (right) must(sum_right({after.data(), view.header}), "a right checksum is not right any more");
    // All but the class, and the checksum over it, is as it was.
    const auto blanked = [v4](Bytes b) {
        if (v4) {
            b[1] = b[10] = b[11] = std::byte{0};
        } else {
            store16(b.data(), load16(b.data()) & 0xf00f);
        }
        return b;
    };
    must(blanked(after) == blanked(packet), "leave_tunnel changed something else");
}

}  // namespace
}  // namespace umbuf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace umbuf;
    constexpr size_t kRules = 12;
    if (size < kRules) return 0;
    OuterRules rules;
    rules.df = static_cast<DfRule>(data[0] % 3);
    rules.copy_dscp = (data[1] & 1) != 0;
    rules.ecn = (data[1] & 2) != 0;
    rules.copy_flow_label = (data[1] & 4) != 0;
    rules.decap_dscp = (data[1] & 8) != 0;
    rules.dscp = data[2] & 63;
    rules.ttl = data[3];
    rules.flow_label = uint32_t{data[4]} << 16 | uint32_t{data[5]} << 8 | data[6];
    const uint8_t outer_tos = data[7];
    const uint16_t payload = static_cast<uint16_t>(data[8] << 8 | data[9]), more = static_cast<uint16_t>(data[10] << 8 | data[11]);
    // What is behind the first bytes of a packet need not be there to be parsed.
    const Bytes packet = exact(data + kRules, size - kRules);
    IpView view{};
    const uint32_t have = static_cast<uint32_t>(packet.size()), length = have + more;
    if (!parse_ip(packet.data(), have, length, &view)) return 0;
    must(view.length <= length && view.header <= have && view.header <= view.length, "a header that is not inside its packet");
    must(view.header >= (view.v6 ? kIpv6Header : kIpv4Header) && view.proto_at < view.header, "a header without a protocol");
    must(static_cast<uint8_t>(packet[view.proto_at]) == view.proto, "a protocol that is not there");
    must(view.tos == tos_of(packet) && view.v6 == (static_cast<uint8_t>(packet[0]) >> 4 == 6), "a class that is not there");
    for (const bool v6 : {false, true}) outer(rules, view, v6, payload, more);
    inner(rules, packet, view, outer_tos);
    return 0;
}
