// SPDX-License-Identifier: BSD-2-Clause
// esp_too_big_test.cc - what is said to who sent too much, who is told nothing, and what is believed of such words.
#include "lib/ipsec/too_big.h"

#include <gtest/gtest.h>
#include <rte_ip.h>

#include "lib/net/cksum.h"
#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

std::string address_text(const IpAddress& a) { return text_of(reinterpret_cast<const std::byte*>(a.bytes.data()), a.v6 ? 16 : 4); }

// icmp_packet - with a right checksum. `message` begins with its type.
std::string icmp_packet(bool v6, const std::string& message) {
    std::string icmp = message;
    const std::string header = ip_header({.v6 = v6, .proto = static_cast<uint8_t>(v6 ? 58 : 1)}, icmp.size());
    icmp.replace(2, 2, be16(0));
    uint32_t sum = 0;
    const std::string all = (v6 ? header.substr(8, 32) + be32(static_cast<uint32_t>(icmp.size())) + be32(58) : "") + icmp + std::string(icmp.size() % 2, '\0');
    for (size_t i = 0; i < all.size(); i += 2) sum += load16(bytes_in(all) + i);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    icmp.replace(2, 2, be16(~sum & 0xffff));
    return header + icmp;
}
// says - such an error: what it is, its number, what it quotes.
std::string says(bool v6, uint32_t mtu, const std::string& quote) {
    return icmp_packet(v6, (v6 ? std::string("\x02\0\0\0", 4) : std::string("\x03\x04\0\0", 4)) + be32(mtu) + quote);
}

class EspTooBig : public PageTest, public ::testing::WithParamInterface<bool> {
  protected:
    bool v6() const { return GetParam(); }
    IpAddress us() const { return end_of_tunnel(v6(), 9); }
    bool answered(const std::string& packet) {
        Mbuf* m = clustered(packet);
        Mbuf* answer = make_too_big(m, 1400, us());
        EXPECT_EQ(bytes_of(m), packet);
        EXPECT_EQ(may_answer(m), answer != nullptr);
        m_freem(m);
        m_freem(answer);
        return answer != nullptr;
    }
    // heard - what is understood; mtu 0: nothing.
    static TooBig heard(const std::string& packet, uint16_t udp_port = 4500) {
        TooBig what{};
        Mbuf* m = cut_up(packet, {7, 30});
        if (!read_too_big(m, udp_port, &what)) what.mtu = 0;
        m_freem(m);
        return what;
    }
};
INSTANTIATE_TEST_SUITE_P(Families, EspTooBig, ::testing::Bool(), [](const auto& p) { return p.param ? "v6" : "v4"; });

TEST_P(EspTooBig, TheAnswerQuotesAsMuchAsTheRfcsTake) {
    const uint32_t header = v6() ? 40 : 20, most = v6() ? 1280 : 576;
    for (const size_t data : {10u, 400u, 540u, 1220u, 1300u, 9000u}) {
        const std::string packet = udp_packet({.v6 = v6()}, data);
        Mbuf* m = data == 1300 ? paged(PageClass::anonymous, packet, header) : data == 9000 ? cut_up(packet, {13, 0, 100}) : clustered(packet);
        m->rte.port = 5;
        Mbuf* answer = make_too_big(m, 1387, us());
        m_freem(m);
        ASSERT_NE(answer, nullptr);
        const std::string said = bytes_of(answer);
        EXPECT_EQ(answer->rte.port, 5);
        EXPECT_EQ(said.size(), std::min<size_t>(most, packet.size() + header + 8));
        const std::string quote = packet.substr(0, said.size() - header - 8);
        const std::string expected = says(v6(), 1387, quote);
        EXPECT_EQ(differs(said.substr(header), [&] {  // the checksum of IPv6 is over the addresses, too
            std::string icmp = expected.substr(header);
            if (v6()) icmp.replace(2, 2, said.substr(header + 2, 2));
            return icmp;
        }()), std::string::npos);
        EXPECT_EQ(said.substr(v6() ? 8 : 12, v6() ? 16 : 4), address_text(us()));
        EXPECT_EQ(said.substr(v6() ? 24 : 16, v6() ? 16 : 4), packet.substr(v6() ? 8 : 12, v6() ? 16 : 4));
        uint16_t sum = 0;
        ASSERT_EQ(in_sum(answer, header, answer->pkt_len() - header, &sum), 0);
        if (v6()) sum = add_sums(sum, in_pseudo(answer->data() + 8, 32, 58, answer->pkt_len() - header));
        EXPECT_EQ(sum, UINT16_MAX);
        IpView view{};
        EXPECT_TRUE(parse_ip(answer->data(), answer->len(), answer->pkt_len(), &view));
        EXPECT_EQ(view.length, said.size());
        if (!v6()) {
            EXPECT_EQ(rte_raw_cksum(answer->data(), 20), UINT16_MAX);
        }
        EXPECT_EQ(m_sanity(answer), std::nullopt);
        m_freem(answer);
    }
}

// RFC 1122 3.2.2, RFC 1812 4.3.2.7, RFC 4443 2.4 e.
TEST_P(EspTooBig, NobodyIsToldWhoMustNotBe) {
    const std::string packet = udp_packet({.v6 = v6()}, 1400);
    EXPECT_TRUE(answered(packet));
    const uint32_t src = v6() ? 8 : 12, dst = v6() ? 24 : 16;
    const auto with = [&](uint32_t at, const std::string& bytes) { return std::string(packet).replace(at, bytes.size(), bytes); };
    EXPECT_FALSE(answered("no packet"));
    if (v6()) {
        EXPECT_FALSE(answered(with(dst, "\xff\x02")));
        EXPECT_FALSE(answered(with(src, "\xff\x02")));
        EXPECT_FALSE(answered(with(src, std::string(16, '\0'))));
        EXPECT_FALSE(answered(with(src, std::string(15, '\0') + '\x01')));
        const std::string first = packet.substr(0, 6) + '\x2c' + packet.substr(7, 33) + '\x11' + '\0' + be16(1) + be32(5) + packet.substr(48);
        EXPECT_TRUE(answered(first));
        EXPECT_FALSE(answered(std::string(first).replace(42, 2, be16(9))));
    } else {
        for (const char* group : {"\xe0\x01\x01\x01", "\xff\xff\xff\xff"}) EXPECT_FALSE(answered(with(dst, group)));
        EXPECT_FALSE(answered(with(src, "\xe0\x01\x01\x01")));
        EXPECT_FALSE(answered(with(src, std::string(4, '\0'))));
        EXPECT_FALSE(answered(with(src, std::string("\x7f\0\0\x01", 4))));
        EXPECT_TRUE(answered(with(6, be16(0x2000)))) << "a first fragment";
        EXPECT_FALSE(answered(with(6, be16(0x2001))));
    }
    // Errors are not answered by errors; what asks, and is asked, is.
    for (const int type : {3, 4, 5, 8, 0, 11, 12, 13, 14, 41}) {
        const bool error = v6() || type == 3 || type == 4 || type == 5 || type == 11 || type == 12 || type == 41;
        EXPECT_EQ(answered(icmp_packet(v6(), static_cast<char>(type) + std::string(1300, '\0'))), !error) << type;
    }
    if (v6()) {
        EXPECT_TRUE(answered(icmp_packet(true, '\x80' + std::string(1300, '\0'))));
    }
    EXPECT_FALSE(answered(ip_packet({.v6 = v6(), .proto = static_cast<uint8_t>(v6() ? 58 : 1)}, ""))) << "an error, for all we see";
    Mbuf* m = clustered(packet);
    EXPECT_EQ(make_too_big(m, 1400, end_of_tunnel(!v6(), 9)), nullptr);
    alloc_faults_arm(1);
    EXPECT_EQ(make_too_big(m, 1400, us()), nullptr);
    alloc_faults_arm(0);
    m_freem(m);
}

TEST_P(EspTooBig, WhatARouterSaysOfEspIsUnderstood) {
    const std::string quoted = ip_packet({.v6 = v6(), .proto = kProtoEsp}, be32(0x1234567) + be32(9) + pattern(1400));
    const size_t least = (v6() ? 40 : 20) + 8;
    for (const size_t n : {least, least + 5, size_t{500}}) {
        const TooBig what = heard(says(v6(), 1300, quoted.substr(0, n)));
        EXPECT_EQ(what.mtu, 1300u);
        EXPECT_EQ(what.spi, 0x1234567u);
        EXPECT_FALSE(what.udp);
        EXPECT_EQ(address_text(what.src) + address_text(what.dst), quoted.substr(v6() ? 8 : 12, v6() ? 32 : 8));
    }
    const std::string in_udp = ip_packet({.v6 = v6(), .proto = kProtoUdp}, be16(4500) + be16(7777) + be32(0) + be32(0x1234567) + be32(9) + pattern(1400));
    const TooBig what = heard(says(v6(), 1300, in_udp.substr(0, 100)));
    EXPECT_EQ(what.spi, 0x1234567u);
    EXPECT_TRUE(what.udp);
    EXPECT_EQ(what.udp_src, 4500);
    EXPECT_EQ(what.udp_dst, 7777);
    EXPECT_EQ(heard(says(v6(), 1300, in_udp.substr(0, 100)), 0).mtu, 0u);
    EXPECT_EQ(heard(says(v6(), 1300, in_udp.substr(0, 100)), 500).mtu, 0u);
    if (!v6()) {
        EXPECT_EQ(heard(says(false, 0, quoted.substr(0, 100))).mtu, 1006u) << "RFC 1191, 7.1: below 1428";
    }
}

TEST_P(EspTooBig, WhatSaysSomethingElseIsNot) {
    const std::string quoted = ip_packet({.v6 = v6(), .proto = kProtoEsp}, be32(0x1234567) + be32(9) + pattern(60));
    const std::string right = says(v6(), 1300, quoted);
    ASSERT_EQ(heard(right).mtu, 1300u);
    for (size_t n = 0; n < right.size(); ++n) EXPECT_EQ(heard(right.substr(0, n)).mtu, 0u) << n;
    std::string wrong = right;
    wrong.back() = static_cast<char>(wrong.back() ^ 1);
    EXPECT_EQ(heard(wrong).mtu, 0u) << "its checksum";
    const uint32_t header = v6() ? 40 : 20;
    EXPECT_EQ(heard(icmp_packet(v6(), std::string(1, v6() ? '\x01' : '\x08') + right.substr(header + 1))).mtu, 0u);
    if (!v6()) {
        EXPECT_EQ(heard(icmp_packet(false, std::string("\x03\x01", 2) + right.substr(22))).mtu, 0u) << "host unreachable";
    }
    EXPECT_EQ(heard(says(v6(), 1300, ip_packet({.v6 = v6(), .proto = kProtoTcp}, pattern(60)))).mtu, 0u);
    EXPECT_EQ(heard(says(v6(), 1300, ip_packet({.v6 = !v6(), .proto = kProtoEsp}, pattern(60)))).mtu, 0u);
    EXPECT_EQ(heard(says(v6(), 1300, quoted.substr(0, header + 3))).mtu, 0u) << "no SPI";
    EXPECT_EQ(heard(says(v6(), 1300, ip_packet({.v6 = v6(), .proto = kProtoEsp}, std::string(40, '\0')))).mtu, 0u) << "SPI 0";
    if (!v6()) {
        EXPECT_EQ(heard(says(false, 1300, std::string(quoted).replace(6, 2, be16(5)))).mtu, 0u) << "a later fragment";
    }
}

}  // namespace
}  // namespace umbuf::test
