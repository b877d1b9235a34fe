// SPDX-License-Identifier: BSD-2-Clause
// esp_input_test.cc - what comes in is believed in the RFC's order, and what is wrong is dropped by name.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

class EspInput : public EspTest {
  protected:
    // arrived - an ESP packet in a tunnel's IPv4 header.
    std::string tunnelled(const Sa& sa, uint64_t seq, const std::string& payload, uint8_t next = kProtoIpv4, uint8_t tos = 0, size_t more_pad = 0) {
        const std::string iv = sa.terms.algorithm.cipher->iv == 16 ? pattern(16, 8) : sa.terms.algorithm.cipher->iv == 8 ? iv8(seq) : "";
        return in_tunnel(flat(sa, seq, "", payload, next, iv, more_pad), tos);
    }
    static std::string in_tunnel(const std::string& esp, uint8_t tos = 0) { return ip_packet({.tos = tos, .proto = kProtoEsp}, esp); }
    // verdict - of one packet; what came out is in `said`.
    Xfrm verdict(Sa& sa, const std::string& packet) {
        Mbuf* m = clustered(packet);
        const EspFate fate = in(sa, m);
        said = fate.ok() ? bytes_of(m) : "";
        if (!fate.ok()) { EXPECT_EQ(bytes_of(m), packet) << "E-2: a refused packet is as it was"; }
        m_freem(m);
        return fate.why;
    }
    std::string said;
};

TEST_F(EspInput, ReplaysAreRefusedBeforeTheIcvAndForgeriesDoNotMoveTheWindow) {
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    const std::string packet = udp_packet({}, 30);
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, 5, packet)), Xfrm::ok);
    EXPECT_EQ(said, packet);
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, 5, packet)), Xfrm::in_seq);
    std::string forged = tunnelled(*sa, 1000, packet);
    forged.back() = static_cast<char>(forged.back() ^ 1);
    EXPECT_EQ(verdict(*sa, forged), Xfrm::in_proto);
    EXPECT_EQ(sa->window.top(), 5u);
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, 4, packet)), Xfrm::ok) << "it would be too old if 1000 had counted";
    std::string forged_replay = tunnelled(*sa, 4, packet);
    forged_replay.back() = static_cast<char>(forged_replay.back() ^ 1);
    EXPECT_EQ(verdict(*sa, forged_replay), Xfrm::in_seq) << "the number is looked at first";
    EXPECT_EQ(sa->counters.replayed.read(), 2u);
    EXPECT_EQ(sa->counters.bad_icv.read(), 1u);
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, 0, packet)), Xfrm::in_seq) << "S3";
}

TEST_F(EspInput, TwoCopiesInOneBurstAreOnePacketAndAReplay) {
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    const std::string esp = tunnelled(*sa, 9, udp_packet({}, 30));
    Mbuf* packets[] = {clustered(esp), clustered(esp), clustered(esp)};
    Sa* sas[] = {sa.get(), sa.get(), sa.get()};
    EspFate fates[3];
    EXPECT_EQ(esp_input(lane(), sas, packets, fates, 3), 1);
    EXPECT_EQ(fates[0].why, Xfrm::ok);
    EXPECT_EQ(fates[1].why, Xfrm::in_seq);
    EXPECT_EQ(fates[2].why, Xfrm::in_seq);
    for (Mbuf* m : packets) m_freem(m);
}

TEST_F(EspInput, ExtendedNumbersAreInferredAndAuthenticated) {
    for (const std::string& name : algorithms_of(ipsec_mb_engine)) {
        SaTerms terms = terms_of(name);
        terms.esn = true;
        const auto sa = sa_of(terms);
        const std::string packet = udp_packet({}, 30);
        const uint64_t border = uint64_t{1} << 32;
        sa->window.mark(border - 3);
        EXPECT_EQ(verdict(*sa, tunnelled(*sa, border - 1, packet)), Xfrm::ok) << name;
        EXPECT_EQ(verdict(*sa, tunnelled(*sa, border + 1, packet)), Xfrm::ok) << name << ": the lower half has wrapped";
        EXPECT_EQ(verdict(*sa, tunnelled(*sa, border - 2, packet)), Xfrm::ok) << name << ": late, of the subspace before";
        EXPECT_EQ(verdict(*sa, tunnelled(*sa, border - 2, packet)), Xfrm::in_seq) << name;
        EXPECT_EQ(verdict(*sa, tunnelled(*sa, 2, packet)), Xfrm::in_proto) << name << ": the upper half is 1 now, and was 0 when it was sealed";
    }
}

TEST_F(EspInput, PaddingIsVerified) {
    for (const std::string& name : algorithms_of(ipsec_mb_engine)) {
        const auto sa = sa_of(terms_of(name));
        const std::string packet = udp_packet({}, 30);
        uint64_t seq = 1;
        for (const size_t more : {0u, 16u, 48u, 208u, 224u}) {
            EXPECT_EQ(verdict(*sa, tunnelled(*sa, seq++, packet, kProtoIpv4, 0, more)), Xfrm::ok) << name << ", " << more << " bytes more";
            EXPECT_EQ(said, packet);
        }
        const auto with = [&](const std::string& text) { return in_tunnel(sealed(*sa, seq++, "", text, std::string(sa->terms.algorithm.cipher->iv, 'i'))); };
        const std::string body(16, '\x45');
        const auto ends = [&](const std::string& end) { return body + end; };
        const auto pad = [](size_t n) {
            std::string s;
            for (size_t i = 1; i <= n; ++i) s += static_cast<char>(i);
            return s;
        };
        std::string wrong = ends(pad(14) + "\x0e\x04");
        wrong[16 + 5] = '\x66';
        EXPECT_EQ(verdict(*sa, with(wrong)), Xfrm::in_proto) << name << ": a byte of the padding";
        EXPECT_EQ(verdict(*sa, with(ends(std::string(14, '\0') + "\x0e\x04"))), Xfrm::in_proto) << name << ": zeroes";
        EXPECT_EQ(verdict(*sa, with(ends(pad(14) + "\xff\x04"))), Xfrm::in_proto) << name << ": more than there is";
        EXPECT_EQ(verdict(*sa, with(pad(14) + "\x0f\x04" + pad(14) + "\x1f\x04")), Xfrm::in_proto) << name << ": one more than there is";
        EXPECT_EQ(sa->counters.bad_padding.read(), 4u) << name;
    }
}

TEST_F(EspInput, DummiesAreDroppedAndCountedAndTrafficFlowPaddingIsCutOff) {
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, 1, pattern(60), kProtoNone)), Xfrm::in_dummy);
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, 2, "", kProtoNone)), Xfrm::in_dummy);
    EXPECT_EQ(lane().counters.of(Xfrm::in_dummy), 2u);
    for (const bool v6 : {false, true}) {
        const std::string packet = udp_packet({.v6 = v6}, 40);
        EXPECT_EQ(verdict(*sa, tunnelled(*sa, v6 ? 4 : 3, packet + std::string(700, '\0'), v6 ? kProtoIpv6 : kProtoIpv4)), Xfrm::ok);
        EXPECT_EQ(said, packet);
    }
}

TEST_F(EspInput, WhatComesOutOfATunnelIsOneWholePacketOfTheVersionThatWasSaid) {
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    const std::string v4 = udp_packet({}, 40), v6 = udp_packet({.v6 = true}, 40);
    uint64_t seq = 1;
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, seq++, v4, kProtoIpv6)), Xfrm::in_mode);
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, seq++, v6, kProtoIpv4)), Xfrm::in_mode);
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, seq++, v4.substr(20), kProtoUdp)), Xfrm::in_mode);
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, seq++, v4.substr(0, 60))), Xfrm::in_header);
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, seq++, "E")), Xfrm::in_header);
    EXPECT_EQ(verdict(*sa, tunnelled(*sa, seq++, "")), Xfrm::in_header);
}

TEST_F(EspInput, EveryLengthThatIsWrongIsRefused) {
    for (const std::string& name : algorithms_of(ipsec_mb_engine)) {
        const auto sa = sa_of(terms_of(name));
        const std::string esp = tunnelled(*sa, 1, udp_packet({}, 2)).substr(20);
        const size_t step = std::max<size_t>(4, sa->terms.algorithm.cipher->block);
        for (size_t n = 0; n < esp.size(); ++n) {
            const Xfrm why = verdict(*sa, in_tunnel(esp.substr(0, n)));
            const size_t around = 8u + sa->terms.algorithm.cipher->iv + sa->terms.algorithm.icv();
            const bool possible = n > around && (n - around) % step == 0;
            EXPECT_EQ(why, possible ? Xfrm::in_proto : Xfrm::in_header) << name << ", " << n << " bytes";
        }
        // The IP header says less, or more, than there is.
        std::string longer = in_tunnel(esp);
        longer.replace(2, 2, be16(static_cast<uint32_t>(longer.size() + 4)));
        EXPECT_EQ(verdict(*sa, longer), Xfrm::in_header);
        EXPECT_EQ(verdict(*sa, in_tunnel(esp) + "padding of Ethernet"), Xfrm::ok) << name;
    }
}

TEST_F(EspInput, AFragmentIsReassembledFirst) {
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    std::string packet = tunnelled(*sa, 1, udp_packet({}, 2));
    packet[6] = '\x20';
    EXPECT_EQ(verdict(*sa, packet), Xfrm::in_header);
}

TEST_F(EspInput, AnotherSpiOrEncapsulationOrNoSaIsNotThisSas) {
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    SaTerms other = terms_of("aes-gcm-128");
    other.spi = 999;
    const auto peer = sa_of(other);
    EXPECT_EQ(verdict(*sa, tunnelled(*peer, 1, udp_packet({}, 2))), Xfrm::in_no_states);
    SaTerms nat = terms_of("aes-gcm-128");
    nat.udp = true;
    const auto encapsulated = sa_of(nat);
    EXPECT_EQ(verdict(*encapsulated, tunnelled(*sa, 1, udp_packet({}, 2))), Xfrm::in_mismatch);
    EXPECT_EQ(verdict(*sa, udp_packet({}, 50)), Xfrm::in_mismatch);
    Mbuf* m = clustered(tunnelled(*sa, 1, udp_packet({}, 2)));
    Sa* none = nullptr;
    EspFate fate;
    EXPECT_EQ(esp_input(lane(), &none, &m, &fate, 1), 0);
    EXPECT_EQ(fate.why, Xfrm::in_no_states);
    m_freem(m);
}

// RFC 3948, 2.2 and 2.3.
TEST_F(EspInput, KeepalivesAndIkeAreToldFromEsp) {
    const auto wire_of = [](const std::string& data, uint16_t port = 4500) {
        std::string udp = be16(500) + be16(port) + be16(static_cast<uint32_t>(8 + data.size())) + be16(0) + data;
        Mbuf* m = clustered(ip_packet({}, udp));
        const EspWire wire = esp_wire(m, 4500);
        m_freem(m);
        return wire;
    };
    EXPECT_EQ(wire_of("\xff").kind, EspWireKind::keepalive);
    EXPECT_EQ(wire_of("\xfe").kind, EspWireKind::malformed);
    EXPECT_EQ(wire_of("").kind, EspWireKind::malformed);
    EXPECT_EQ(wire_of("1234567").kind, EspWireKind::malformed);
    const EspWire ike = wire_of(std::string(4, '\0') + "an IKE header");
    EXPECT_EQ(ike.kind, EspWireKind::non_esp);
    EXPECT_EQ(ike.at, 20u + 8 + 4);
    const EspWire esp = wire_of(be32(0xabcdef01) + "0123456789");
    EXPECT_EQ(esp.kind, EspWireKind::esp);
    EXPECT_EQ(esp.spi, 0xabcdef01u);
    EXPECT_EQ(wire_of("whatever it is", 53).kind, EspWireKind::none);
    // UDP that says more than IP does.
    std::string udp = be16(500) + be16(4500) + be16(60) + be16(0) + "12345678901234";
    Mbuf* m = clustered(ip_packet({}, udp));
    EXPECT_EQ(esp_wire(m, 4500).kind, EspWireKind::malformed);
    m_freem(m);
}

// RFC 6040, figure 4, every cell, in both families inside.
TEST_F(EspInput, CongestionMarksComeOutOfTheTunnelAsRfc6040Says) {
    constexpr int kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3, kDrop = -1;
    struct Cell {
        int inner, outer, out;
    };
    constexpr Cell kCells[] = {
        {kNotEct, kNotEct, kNotEct}, {kNotEct, kEct0, kNotEct}, {kNotEct, kEct1, kNotEct}, {kNotEct, kCe, kDrop},
        {kEct0, kNotEct, kEct0},     {kEct0, kEct0, kEct0},     {kEct0, kEct1, kEct1},     {kEct0, kCe, kCe},
        {kEct1, kNotEct, kEct1},     {kEct1, kEct0, kEct1},     {kEct1, kEct1, kEct1},     {kEct1, kCe, kCe},
        {kCe, kNotEct, kCe},         {kCe, kEct0, kCe},         {kCe, kEct1, kCe},         {kCe, kCe, kCe}};
    for (const bool decap_dscp : {false, true})
        for (const bool v6 : {false, true}) {
            SaTerms terms = terms_of("aes-gcm-128");
            terms.outer.decap_dscp = decap_dscp;
            const auto sa = sa_of(terms);
            uint64_t seq = 1;
            for (const Cell& cell : kCells) {
                const auto packet = [&](int dscp, int ecn) { return udp_packet({.v6 = v6, .tos = static_cast<uint8_t>(dscp << 2 | ecn), .flow = 0xabcde}, 20); };
                const std::string esp = tunnelled(*sa, seq++, packet(46, cell.inner), v6 ? kProtoIpv6 : kProtoIpv4, static_cast<uint8_t>(10 << 2 | cell.outer));
                const Xfrm why = verdict(*sa, esp);
                EXPECT_EQ(why, cell.out == kDrop ? Xfrm::in_ecn : Xfrm::ok) << cell.inner << " in " << cell.outer;
                if (why == Xfrm::ok) { EXPECT_EQ(said, packet(decap_dscp ? 10 : 46, cell.out)) << cell.inner << " in " << cell.outer; }
            }
        }
}

TEST_F(EspInput, OuterHeadersFollowTheirRules) {
    const auto outer = [this](const SaTerms& terms, const IpKind& kind) {
        const auto sa = sa_of(terms);
        Mbuf* m = clustered(udp_packet(kind, 20));
        EXPECT_TRUE(out(*sa, m).ok());
        const std::string bytes = bytes_of(m);
        m_freem(m);
        return bytes.substr(0, terms.src.v6 ? 40 : 20);
    };
    for (const bool inner_v6 : {false, true}) {
        SaTerms terms = terms_of("aes-gcm-128");
        terms.outer.ttl = 33;
        terms.outer.copy_dscp = false;
        terms.outer.dscp = 8;
        for (const DfRule rule : {DfRule::copy, DfRule::set, DfRule::clear})
            for (const bool df : {false, true}) {
                terms.outer.df = rule;
                const std::string h = outer(terms, {.v6 = inner_v6, .tos = 0x2b, .df = df});
                const bool expected = rule == DfRule::copy ? df || inner_v6 : rule == DfRule::set;
                EXPECT_EQ(load16(bytes_in(h) + 6), expected ? 0x4000 : 0);
                EXPECT_EQ(h[8], 33);
                EXPECT_EQ(static_cast<uint8_t>(h[1]), 8 << 2 | 3) << "DSCP by rule, ECN copied";
                std::string checked = h;
                ipv4_checksum(bytes_in(checked), 20);
                EXPECT_EQ(checked, h);
            }
        terms.outer.ecn = false;
        EXPECT_EQ(static_cast<uint8_t>(outer(terms, {.v6 = inner_v6, .tos = 0x2b})[1]), 8 << 2) << "compatibility mode";
        SaTerms six = terms_of("aes-gcm-128", SaMode::tunnel, true);
        six.outer.flow_label = 0x12345;
        EXPECT_EQ(load32(bytes_in(outer(six, {.v6 = inner_v6, .flow = 0x777})))  & 0xfffff, 0x12345u);
        six.outer.copy_flow_label = true;
        EXPECT_EQ(load32(bytes_in(outer(six, {.v6 = inner_v6, .flow = 0x777})))  & 0xfffff, inner_v6 ? 0x777u : 0x12345u);
    }
}

// R05, R06: CVE-2026-45257, -43284, -43500. What came may be a file's page, or anybody's.
TEST_F(EspInput, R06_NothingThatArrivesIsDecryptedInPlace) {
    for (const std::string& name : algorithms_of(ipsec_mb_engine))
        for (const PageClass cls : {PageClass::cache, PageClass::anonymous}) {
            const auto sa = sa_of(terms_of(name));
            const std::string packet = udp_packet({}, 6000), esp = tunnelled(*sa, 1, packet);
            Mbuf* m = paged(cls, esp, 28);
            Mbuf* held = m_copypacket(m, M_NOWAIT);
            const uint64_t faults = faults_caught();
            ASSERT_TRUE(in(*sa, m).ok()) << name;
            EXPECT_EQ(bytes_of(m), packet);
            EXPECT_EQ(bytes_of(held), esp);
            EXPECT_EQ(faults_caught(), faults);
            m_freem(m);
            m_freem(held);
            // Received from a NIC, and shared with nobody but a copy that was made before.
            const std::string small = tunnelled(*sa, 2, udp_packet({}, 900));
            Mbuf* first = received(small);
            Mbuf* copy = m_copypacket(first, M_NOWAIT);
            ASSERT_TRUE(in(*sa, first).ok());
            EXPECT_EQ(bytes_of(first), udp_packet({}, 900));
            EXPECT_EQ(bytes_of(copy), small);
            m_freem(first);
            m_freem(copy);
        }
}

// E-2, I1: what is decrypted where it lies, and refused then, is put back; in one run, and in a batch (limits).
TEST_F(EspInput, APrivatePacketThatIsRefusedIsPutBack) {
    const std::string v4 = udp_packet({}, 300);
    for (const std::string& name : {std::string("aes-gcm-128"), std::string("aes-gmac-256"), std::string("chacha20-poly1305")})
        for (const bool limited : {false, true}) {
            SaTerms terms = terms_of(name);
            if (limited) terms.hard.packets = 1000;
            const auto sa = sa_of(terms);
            ASSERT_TRUE(sa->in_place);
            EXPECT_EQ(sa->quick.usable, !limited);
            struct Case {
                std::string packet;
                Xfrm why;
            };
            std::vector<Case> cases;
            std::string forged = tunnelled(*sa, 1, v4);
            forged.back() = static_cast<char>(forged.back() ^ 1);
            cases.push_back({forged, Xfrm::in_proto});
            std::string cut = tunnelled(*sa, 2, v4);
            cut[60] = static_cast<char>(cut[60] ^ 4);
            cases.push_back({cut, Xfrm::in_proto});
            cases.push_back({in_tunnel(sealed(*sa, 3, "", pattern(14) + "\x07\x04", iv8(3))), Xfrm::in_proto});  // padding
            cases.push_back({tunnelled(*sa, 4, pattern(60), kProtoNone), Xfrm::in_dummy});
            cases.push_back({tunnelled(*sa, 5, v4, kProtoIpv6), Xfrm::in_mode});
            cases.push_back({tunnelled(*sa, 6, v4.substr(0, 60)), Xfrm::in_header});
            cases.push_back({tunnelled(*sa, 7, v4, kProtoIpv4, 3), Xfrm::in_ecn});
            for (const Case& c : cases) {
                const std::string with_more = c.packet + "behind the packet";  // an Ethernet frame's padding
                Mbuf* const m = received(with_more);
                Mbuf* packet = m;
                const uint16_t off = m->rte.data_off;
                EXPECT_EQ(in(*sa, packet).why, c.why) << name << (limited ? ", with limits" : "");
                EXPECT_EQ(packet, m);
                EXPECT_EQ(differs(bytes_of(m), with_more), std::string::npos) << name << ", " << name_of(c.why);
                EXPECT_EQ(m->rte.data_off, off);
                EXPECT_EQ(m_sanity(m), std::nullopt);
                m_freem(m);
            }
            // Its twin in the same burst.
            const std::string esp = tunnelled(*sa, 20, v4);
            Mbuf* packets[] = {received(esp), received(esp)};
            Sa* sas[] = {sa.get(), sa.get()};
            EspFate fates[2];
            EXPECT_EQ(esp_input(lane(), sas, packets, fates, 2), 1);
            EXPECT_EQ(bytes_of(packets[0]), v4);
            EXPECT_EQ(fates[1].why, Xfrm::in_seq);
            EXPECT_EQ(bytes_of(packets[1]), esp);
            for (Mbuf* m : packets) m_freem(m);
        }
}

TEST_F(EspInput, EveryAllocationThatFailsLeavesThePacketAsItWasAndItsNumberFree) {
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    const std::string packet = udp_packet({}, 40000), esp = tunnelled(*sa, 1, packet);
    for (uint32_t n = 1;; ++n) {
        Mbuf* m = cut_up(esp, {28});
        const std::vector<uint32_t> before = levels();
        alloc_faults_arm(n);
        const EspFate fate = in(*sa, m);
        alloc_faults_arm(0);
        if (fate.ok()) {
            EXPECT_GE(n, 4u);
            EXPECT_EQ(bytes_of(m), packet);
            m_freem(m);
            return;
        }
        EXPECT_EQ(fate.why, Xfrm::in_buffer);
        EXPECT_EQ(fate.error, ENOBUFS);
        EXPECT_EQ(levels(), before) << n;
        EXPECT_EQ(bytes_of(m), esp);
        m_freem(m);
        ASSERT_LT(n, 100u);
    }
}

TEST_F(EspInput, RandomDamageIsNeverDelivered) {
    std::mt19937_64 random(seed());
    for (const std::string& name : algorithms_of(ipsec_mb_engine))
        for (int i = 0; i < 400; ++i) {
            const auto sa = sa_of(terms_of(name));
            std::string esp = tunnelled(*sa, 1 + random() % 1000, udp_packet({}, random() % 90));
            const size_t at = 20 + random() % (esp.size() - 20);
            esp[at] = static_cast<char>(esp[at] ^ (1 << random() % 8));
            const Xfrm why = verdict(*sa, esp);
            EXPECT_TRUE(why == Xfrm::in_proto || why == Xfrm::in_no_states || why == Xfrm::in_seq) << name_of(why) << ", byte " << at;
        }
}

TEST_F(EspInput, HardLimitsDropWhatArrives) {
    SaTerms terms = terms_of("aes-gcm-128");
    terms.hard.packets = 2;
    const auto sa = sa_of(terms);
    for (uint64_t seq = 1; seq <= 4; ++seq)
        EXPECT_EQ(verdict(*sa, tunnelled(*sa, seq, udp_packet({}, 2))), seq <= 2 ? Xfrm::ok : Xfrm::in_expired);
    const auto burst = sa_of(terms);
    Mbuf* packets[3];
    Sa* sas[3] = {burst.get(), burst.get(), burst.get()};
    EspFate fates[3];
    for (uint32_t i = 0; i < 3; ++i) packets[i] = clustered(tunnelled(*burst, i + 1, udp_packet({}, 2)));
    EXPECT_EQ(esp_input(lane(), sas, packets, fates, 3), 2);
    EXPECT_EQ(fates[2].why, Xfrm::in_expired) << "the limit is reached inside a burst";
    for (Mbuf* m : packets) m_freem(m);
}

TEST(EspSa, TermsThatMakeNoSenseAreExplainedWithoutTheKey) {
    const auto said = [](const SaTerms& terms, size_t key_bytes) {
        const std::string key(key_bytes, 'K');
        const auto sa = Sa::make(terms, {bytes_in(key), key.size()}, ipsec_mb_engine, 0);
        EXPECT_FALSE(sa.ok());
        EXPECT_EQ(sa.error().text.find("KKKK"), std::string::npos);
        return sa.error().text;
    };
    const SaTerms good = terms_of("aes-gcm-128");
    EXPECT_NE(said(good, 16).find("20"), std::string::npos) << "which length it has to be";
    SaTerms bad = good;
    bad.spi = 255;
    EXPECT_NE(said(bad, 20).find("reserved"), std::string::npos);
    bad = good;
    bad.window = 16;
    EXPECT_NE(said(bad, 20).find("32 to 4096"), std::string::npos);
    bad = good;
    bad.dst = end_of_tunnel(true, 1);
    EXPECT_NE(said(bad, 20).find("IPv6"), std::string::npos);
}

// A4: the memory that held a key is zero when it is given back; and it is not in a core dump.
TEST(EspSa, KeysAreKeptOutOfDumpsAndWiped) {
    Result<Secret> secret = Secret::make(100);
    ASSERT_TRUE(secret.ok());
    std::FILE* maps = std::fopen("/proc/self/smaps", "r");
    ASSERT_NE(maps, nullptr);
    char line[512], where[32];
    std::snprintf(where, sizeof(where), "%zx-", reinterpret_cast<size_t>(secret.value().data()));
    bool inside = false, kept_out = false;
    while (std::fgets(line, sizeof(line), maps) != nullptr) {
        if (std::strncmp(line, where, std::strlen(where)) == 0) inside = true;
        if (inside && std::strncmp(line, "VmFlags:", 8) == 0) {
            kept_out = std::strstr(line, " dd") != nullptr;
            break;
        }
    }
    std::fclose(maps);
    EXPECT_TRUE(inside) << "it has pages of its own";
    EXPECT_TRUE(kept_out) << line;
    std::string bytes = "a key, on the stack";
    wipe(bytes.data(), bytes.size());
    EXPECT_EQ(bytes, std::string(bytes.size(), '\0'));
}

}  // namespace
}  // namespace umbuf::test
