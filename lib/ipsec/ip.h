// SPDX-License-Identifier: BSD-2-Clause
// ip.h - what ESP has to know of an IPv4 or IPv6 packet (RFC 791, RFC 8200), and trusts nothing for.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <rte_byteorder.h>

namespace umbuf {

inline constexpr uint8_t kProtoIpv4 = 4, kProtoTcp = 6, kProtoUdp = 17, kProtoIpv6 = 41, kProtoEsp = 50, kProtoNone = 59;
inline constexpr uint32_t kIpv4Header = 20, kIpv6Header = 40, kUdpHeader = 8;
// kPeek - bytes of a packet that are looked at: an IPv4 header always, IPv6 with that much of extensions.
inline constexpr uint32_t kPeek = 128;

// IpAddress - network order; an IPv4 address is the first four bytes.
struct IpAddress {
    bool v6 = false;
    std::array<uint8_t, 16> bytes{};
    bool operator==(const IpAddress&) const = default;
};

// IpView - a packet's header, as parse_ip() found it.
struct IpView {
    bool v6;
    bool dont_fragment;    // IPv4's bit; always set for IPv6
    bool fragment;         // a part of a packet, the first part included
    uint8_t tos;           // traffic class: DSCP and ECN
    uint8_t proto;         // after the last header that routers on the way look at
    uint16_t header;       // bytes up to there: IPv4 with options; IPv6 with hop-by-hop and routing headers,
                           // and destination options before a routing header (RFC 4303, 3.1.1)
    uint16_t proto_at;     // where `proto` stands
    uint32_t length;       // of the packet, as it says itself
    uint32_t flow_label;   // IPv6
};
// parse_ip - `have` bytes are at `at`, of a packet of `length` bytes. False: no whole header of either
// version, or it says more bytes than there are.
[[nodiscard]] bool parse_ip(const std::byte* at, uint32_t have, uint32_t length, IpView* view) noexcept;

// Numbers in network order, anywhere.
[[nodiscard]] inline uint16_t load16(const std::byte* at) noexcept {
    return static_cast<uint16_t>(static_cast<uint32_t>(at[0]) << 8 | static_cast<uint32_t>(at[1]));
}
[[nodiscard]] inline uint32_t load32(const std::byte* at) noexcept { return uint32_t{load16(at)} << 16 | load16(at + 2); }
[[nodiscard]] inline uint64_t load64(const std::byte* at) noexcept {
    uint64_t big = 0;
    std::memcpy(&big, at, sizeof(big));
    return rte_be_to_cpu_64(big);
}
inline void store16(std::byte* at, uint32_t n) noexcept {
    at[0] = static_cast<std::byte>(n >> 8);
    at[1] = static_cast<std::byte>(n);
}
// Each as one store, however it is compiled: what is written in pieces and read whole soon after waits for
// its last piece.
inline void store32(std::byte* at, uint32_t n) noexcept {
    const uint32_t big = rte_cpu_to_be_32(n);
    std::memcpy(at, &big, sizeof(big));
}
inline void store64(std::byte* at, uint64_t n) noexcept {
    const uint64_t big = rte_cpu_to_be_64(n);
    std::memcpy(at, &big, sizeof(big));
}
// ipv4_checksum - write the checksum of the header at `at`, of `header` bytes.
void ipv4_checksum(std::byte* at, uint32_t header) noexcept;

}  // namespace umbuf
