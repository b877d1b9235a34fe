// SPDX-License-Identifier: BSD-2-Clause
// esp_nat_test.cc - transport mode behind a NAT: the inner checksum fits the addresses that arrived.
#include <gtest/gtest.h>

#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

class EspNat : public EspTest {
  protected:
    static SaTerms behind_nat() {
        SaTerms terms = terms_of("aes-gcm-128", SaMode::transport);
        terms.udp = true;
        return terms;
    }
    static IpAddress address_at(const std::string& packet, bool v6, bool dst) {
        IpAddress a{.v6 = v6, .bytes = {}};
        const size_t size = v6 ? 16 : 4;
        std::memcpy(a.bytes.data(), packet.data() + (v6 ? 8 : 12) + (dst ? size : 0), size);
        return a;
    }
    // translated - sent by ESP in UDP, its source address changed by a NAT on the way, and opened.
    std::string translated(const std::string& packet, bool v6, const NatOa& oa) {
        SaTerms terms = behind_nat();
        terms.oa = oa;
        const auto sa = sa_of(terms), peer = sa_of(terms);
        Mbuf* m = clustered(packet);
        EXPECT_TRUE(out(*sa, m).ok());
        std::string wire = bytes_of(m);
        m_freem(m);
        wire.replace(v6 ? 8 : 12, 4, "\xcb\x00\x71\x63", 4);
        if (!v6) ipv4_checksum(bytes_in(wire), 20);
        m = clustered(wire);
        EXPECT_TRUE(in(*peer, m).ok());
        const std::string opened = bytes_of(m);
        EXPECT_EQ(opened.substr(v6 ? 8 : 12, 4), wire.substr(v6 ? 8 : 12, 4));
        m_freem(m);
        return opened;
    }
    // sum_of - over the pseudo header and all; 0xffff: the checksum is right.
    static uint32_t sum_of(const std::string& packet, bool v6, uint8_t proto) {
        const size_t header = v6 ? 40 : 20;
        std::string all = packet.substr(v6 ? 8 : 12);
        uint32_t sum = proto + static_cast<uint32_t>(packet.size() - header);
        all += std::string(all.size() % 2, '\0');
        for (size_t i = 0; i < all.size(); i += 2) sum += load16(bytes_in(all) + i);
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        return sum;
    }
    static bool sums_up(const std::string& packet, bool v6, uint8_t proto) { return sum_of(packet, v6, proto) == 0xffff; }
    // summed - a packet of the protocol whose checksum, at `at` behind the IP header, is right.
    static std::string summed(bool v6, uint8_t proto, size_t at, size_t data) {
        IpKind kind{.v6 = v6};
        kind.proto = proto;
        std::string payload = pattern(20 + data, 5);
        payload.replace(at, 2, be16(0));
        payload.replace(at, 2, be16(~sum_of(ip_packet(kind, payload), v6, proto) & 0xffff));
        return ip_packet(kind, payload);
    }
    static NatOa original(const std::string& packet, bool v6) { return {.known = true, .src = address_at(packet, v6, false), .dst = address_at(packet, v6, true)}; }
};

TEST_F(EspNat, KnownAddressesCorrectTheChecksumByTheDifference) {
    for (const bool v6 : {false, true})
        for (const size_t data : {0u, 1u, 700u}) {
            const std::string udp = udp_packet({.v6 = v6}, data), tcp = summed(v6, kProtoTcp, 16, data);
            const std::string udp_came = translated(udp, v6, original(udp, v6)), tcp_came = translated(tcp, v6, original(tcp, v6));
            EXPECT_TRUE(sums_up(udp_came, v6, kProtoUdp)) << v6 << data;
            EXPECT_TRUE(sums_up(tcp_came, v6, kProtoTcp)) << v6 << data;
            EXPECT_EQ(tcp_came.substr(v6 ? 58 : 38), tcp.substr(v6 ? 58 : 38)) << "nothing else";
            // RFC 1624: one that was wrong is not made right.
            std::string wrong = tcp;
            wrong.back() = static_cast<char>(wrong.back() ^ 1);
            EXPECT_FALSE(sums_up(translated(wrong, v6, original(wrong, v6)), v6, kProtoTcp));
        }
    const std::string ping = summed(true, 58, 2, 30);
    EXPECT_TRUE(sums_up(translated(ping, true, original(ping, true)), true, 58));
}

TEST_F(EspNat, WithoutThemUdpHasNoneAndOthersANewOne) {
    for (const bool v6 : {false, true}) {
        const std::string udp = udp_packet({.v6 = v6}, 61), tcp = summed(v6, kProtoTcp, 16, 333);
        const std::string came = translated(udp, v6, {});
        if (v6) { EXPECT_TRUE(sums_up(came, v6, kProtoUdp)) << "IPv6 has no UDP without"; }
        if (!v6) { EXPECT_EQ(came.substr(26, 2), be16(0)); }
        EXPECT_EQ(came.substr(v6 ? 48 : 28), udp.substr(v6 ? 48 : 28));
        EXPECT_TRUE(sums_up(translated(tcp, v6, {}), v6, kProtoTcp));
    }
}

TEST_F(EspNat, WhatHasNoChecksumGetsNone) {
    std::string none = udp_packet({}, 61);
    none.replace(26, 2, be16(0));
    EXPECT_EQ(translated(none, false, original(none, false)).substr(20), none.substr(20));
    const std::string gre = ip_packet({.proto = 47}, pattern(40)), runt = ip_packet({.proto = kProtoTcp}, pattern(17)), empty = ip_packet({.proto = kProtoUdp}, "");
    for (const std::string& packet : {gre, runt, empty}) {
        EXPECT_EQ(translated(packet, false, {}).substr(20), packet.substr(20));
        EXPECT_EQ(translated(packet, false, original(packet, false)).substr(20), packet.substr(20));
    }
}

TEST_F(EspNat, OtherModesAreLeftAlone) {
    std::string packet = udp_packet({}, 61);
    packet[27] = static_cast<char>(packet[27] ^ 0x55);  // wrong: if it is touched, it shows
    for (const bool udp : {false, true})
        for (const SaMode mode : {SaMode::tunnel, SaMode::transport}) {
            if (udp && mode == SaMode::transport) continue;
            SaTerms terms = terms_of("aes-gcm-128", mode);
            terms.udp = udp;
            const auto sa = sa_of(terms), peer = sa_of(terms);
            Mbuf* m = clustered(packet);
            ASSERT_TRUE(out(*sa, m).ok());
            ASSERT_TRUE(in(*peer, m).ok());
            EXPECT_EQ(bytes_of(m), packet);
            m_freem(m);
        }
}

}  // namespace
}  // namespace umbuf::test
