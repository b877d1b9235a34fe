// SPDX-License-Identifier: BSD-2-Clause
// frames.h - frames as strings, put together byte by byte: the tests' own idea of the protocols.
//
// Nothing here uses DPDK's or the program's code for headers and checksums, so that a mistake there
// is not made twice.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace umbuf::test {

inline std::string be16(uint32_t n) {
    return {static_cast<char>(n >> 8 & 0xff), static_cast<char>(n & 0xff)};
}
inline std::string be32(uint32_t n) {
    return be16(n >> 16) + be16(n & 0xffff);
}

// sum16 - the Internet checksum of s, an odd end padded with zero (RFC 1071).
inline uint16_t sum16(const std::string& s) {
    uint32_t sum = 0;
    for (size_t i = 0; i < s.size(); ++i)
        sum += static_cast<uint32_t>(static_cast<uint8_t>(s[i])) << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

inline void put16(std::string& s, size_t at, uint32_t n) {
    s.replace(at, 2, be16(n));
}
inline uint16_t get16(const std::string& s, size_t at) {
    return static_cast<uint16_t>(static_cast<uint8_t>(s[at]) << 8 |
                                 static_cast<uint8_t>(s[at + 1]));
}

inline const std::string kToMac =
    "\x02"
    "to__1";
inline const std::string kFromMac =
    "\x02"
    "from2";
inline const std::string kIp4A = be32(0x0a000001), kIp4B = be32(0x0a000002);
inline std::string ip6_address(char last) {
    return std::string("\xfd") + std::string(14, '\0') + last;
}

// ether - a frame. tags: (TPID, VLAN) from the outside in.
inline std::string ether(uint16_t type, const std::string& payload,
                         const std::vector<std::pair<uint16_t, uint16_t>>& tags = {}) {
    std::string s = kToMac + kFromMac;
    for (const auto& [tpid, vlan] : tags)
        s += be16(tpid) + be16(vlan);
    return s + be16(type) + payload;
}

// ip4 - options: a multiple of four bytes. part: the flags and fragment offset field.
inline std::string ip4(uint8_t proto, const std::string& payload, const std::string& options = "",
                       uint16_t part = 0) {
    std::string s(1, static_cast<char>(0x45 + options.size() / 4));
    s += '\0';
    s += be16(static_cast<uint32_t>(20 + options.size() + payload.size())) + be16(7) + be16(part);
    s += '\x40';
    s += static_cast<char>(proto);
    s += be16(0) + kIp4A + kIp4B + options;
    put16(s, 10, sum16(s));
    return s + payload;
}

// ip6 - `rest` begins with the header that `next` names.
inline std::string ip6(uint8_t next, const std::string& rest) {
    std::string s = be32(0x60000000) + be16(static_cast<uint32_t>(rest.size()));
    s += static_cast<char>(next);
    s += '\x40';
    return s + ip6_address('a') + ip6_address('b') + rest;
}

// pseudo - the pseudo header for L4 checksums, v4 or v6.
inline std::string pseudo4(uint8_t proto, size_t length) {
    return kIp4A + kIp4B + be16(proto) + be16(static_cast<uint32_t>(length));
}
inline std::string pseudo6(uint8_t proto, size_t length) {
    return ip6_address('a') + ip6_address('b') + be32(static_cast<uint32_t>(length)) + be32(proto);
}

// udp - checksum over `pseudo` (empty: none, 0).
inline std::string udp(const std::string& data, bool v6 = false, bool with_sum = true) {
    std::string s =
        be16(1111) + be16(2222) + be16(static_cast<uint32_t>(8 + data.size())) + be16(0);
    s += data;
    if (!with_sum) return s;
    const uint16_t sum = sum16((v6 ? pseudo6(17, s.size()) : pseudo4(17, s.size())) + s);
    put16(s, 6, sum == 0 ? 0xffffU : sum);
    return s;
}

inline std::string tcp(const std::string& data, bool v6 = false) {
    std::string s = be16(3333) + be16(4444) + be32(1) + be32(2) + be16(0x5018) + be16(1000) +
                    be16(0) + be16(0) + data;
    put16(s, 16, sum16((v6 ? pseudo6(6, s.size()) : pseudo4(6, s.size())) + s));
    return s;
}

inline std::string icmp_echo(uint8_t type, const std::string& data) {
    std::string s(1, static_cast<char>(type));
    s += '\0';
    s += be16(0) + be16(0x1234) + be16(1) + data;
    put16(s, 2, sum16(s));
    return s;
}

// arp - asks for kIp4B unless told otherwise.
inline std::string arp(uint16_t opcode, const std::string& from_ip = kIp4A,
                       const std::string& to_ip = kIp4B) {
    std::string s = be16(1) + be16(0x0800);
    s += '\x06';
    s += '\x04';
    return s + be16(opcode) + kFromMac + from_ip + std::string(6, '\0') + to_ip;
}

}  // namespace umbuf::test
