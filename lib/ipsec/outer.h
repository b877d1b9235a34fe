// SPDX-License-Identifier: BSD-2-Clause
// outer.h - the header of a tunnel's outer packet, and what the inner one learns from it at the end
// (RFC 4301, 5.1.2; RFC 6040 for ECN).
#pragma once
#include <cstddef>
#include <cstdint>

#include "lib/ipsec/ip.h"

namespace umbuf {

enum class DfRule : uint8_t { copy, set, clear };  // IPv6 inside counts as set: its routers do not fragment

struct OuterRules {
    DfRule df = DfRule::copy;
    bool copy_dscp = true;        // inner to outer; else `dscp`
    uint8_t dscp = 0;
    bool ecn = true;              // RFC 6040's normal mode; else its compatibility mode: Not-ECT outside
    bool copy_flow_label = false; // between IPv6 and IPv6; else `flow_label`
    uint32_t flow_label = 0;
    uint8_t ttl = 64;             // hop limit
    bool decap_dscp = false;      // outer DSCP replaces the inner one at the end (RFC 2983, pipe model: no)
};

// outer_bytes - of the header that write_outer() writes.
[[nodiscard]] inline uint32_t outer_bytes(bool v6) noexcept { return v6 ? kIpv6Header : kIpv4Header; }
// put_ipv4 - an IPv4 header of these eight bytes, and these less the checksum, and this destination. `sum`: of
// all but the first eight, 32 bits at a time (RFC 1071: they fold to those of 16). In registers, and two stores
// and a half, because the engine, or a device, reads it soon.
[[gnu::always_inline]] inline void put_ipv4(std::byte* to, uint64_t first, uint64_t second, uint32_t destination, uint64_t sum) noexcept {
    sum += (first >> 32) + (first & UINT32_MAX);
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    store64(to, first);
    store64(to + 8, second | (~sum & 0xffff) << 32);
    store32(to + 16, destination);
}
// write_outer - for a packet of `payload` bytes behind this header, of `proto`. `id` is IPv4's.
void write_outer(std::byte* to, const OuterRules& rules, const IpAddress& src, const IpAddress& dst, const IpView& inner,
                 uint8_t proto, uint32_t payload, uint16_t id) noexcept;

// ecn_at_end - RFC 6040, figure 4: the inner ECN field of a packet that leaves a tunnel; -1: the packet
// is dropped (congestion was marked, and the inner packet cannot say so).
[[nodiscard]] int ecn_at_end(uint8_t inner, uint8_t outer) noexcept;
// leave_tunnel - what the outer header's traffic class does to the inner packet at `inner`, which is
// private, and whole in its header. False: it is dropped.
[[nodiscard]] bool leave_tunnel(std::byte* inner, const OuterRules& rules, uint8_t outer_tos) noexcept;

}  // namespace umbuf
