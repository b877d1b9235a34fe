// SPDX-License-Identifier: BSD-2-Clause
// esp_output_test.cc - what goes out is what the RFCs say, whatever the packet lay in, which stays as it was.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

using EspOutput = EspTest;

// The outer header as RFC 4301 5.1.2 has it by our defaults.
std::string outer_header(const SaTerms& t, const IpKind& inner, size_t payload, uint8_t proto) {
    const auto address = [](const IpAddress& a) { return text_of(reinterpret_cast<const std::byte*>(a.bytes.data()), a.v6 ? 16 : 4); };
    std::string h;
    if (t.src.v6) {
        h = be32(uint32_t{6} << 28 | uint32_t{inner.tos} << 20) + be16(static_cast<uint32_t>(payload)) + static_cast<char>(proto) + '\x40';
        return h + address(t.src) + address(t.dst);
    }
    const bool df = inner.v6 || inner.df;
    h = std::string("\x45") + static_cast<char>(inner.tos) + be16(static_cast<uint32_t>(20 + payload)) + be16(df ? 0 : 1) +
        be16(df ? 0x4000 : 0) + '\x40' + static_cast<char>(proto) + be16(0) + address(t.src) + address(t.dst);
    ipv4_checksum(bytes_in(h), 20);
    return h;
}

TEST_F(EspOutput, TunnelPacketsAreByteForByteAsTheRfcSaysInAllFourMixes) {
    for (const std::string& name : algorithms_of(ipsec_mb_engine))
        for (const bool outer_v6 : {false, true})
            for (const bool inner_v6 : {false, true})
                for (const bool esn : {false, true})
                    for (const size_t data : {0u, 1u, 2u, 3u, 13u, 14u, 100u, 1420u}) {
                        SaTerms terms = terms_of(name, SaMode::tunnel, outer_v6);
                        terms.esn = esn;
                        terms.seq_floor = esn ? (uint64_t{9} << 32) + 41 : 41;
                        if (terms.algorithm.cipher->iv == 16) continue;  // its IV is chance: see below
                        const auto sa = sa_of(terms);
                        const IpKind kind{.v6 = inner_v6, .tos = 0xb9, .df = data % 2 == 0, .proto = kProtoUdp, .flow = 5};
                        const std::string packet = udp_packet(kind, data);
                        const uint64_t seq = terms.seq_floor + 1;
                        const std::string iv = terms.algorithm.cipher->iv == 8 ? iv8(seq) : "";
                        std::string esp = flat(*sa, seq, "", packet, inner_v6 ? kProtoIpv6 : kProtoIpv4, iv);
                        esp = outer_header(terms, kind, esp.size(), kProtoEsp) + esp;
                        Mbuf* m = clustered(packet);
                        m->rte.port = 3;
                        ASSERT_TRUE(out(*sa, m).ok());
                        ASSERT_EQ(differs(bytes_of(m), esp), std::string::npos) << name << (outer_v6 ? " v6" : " v4") << (inner_v6 ? " v6 " : " v4 ") << data;
                        EXPECT_EQ(m_sanity(m), std::nullopt);
                        EXPECT_EQ(m->rte.port, 3);
                        EXPECT_EQ(m->rte.nb_segs, 1);
                        EXPECT_GE(m_leadingspace(m), kEspHeadroom);
                        const auto peer = sa_of(terms);
                        if (esn) peer->window.mark(terms.seq_floor);
                        ASSERT_TRUE(in(*peer, m).ok());
                        ASSERT_EQ(bytes_of(m), packet);
                        m_freem(m);
                    }
}

TEST_F(EspOutput, TransportKeepsTheHeaderAndSaysEspInIt) {
    for (const std::string& name : algorithms_of(ipsec_mb_engine))
        for (const bool v6 : {false, true}) {
            const auto sa = sa_of(terms_of(name, SaMode::transport)), peer = sa_of(terms_of(name, SaMode::transport));
            const IpKind kind{.v6 = v6, .tos = 1};
            const std::string packet = udp_packet(kind, 333);
            Mbuf* m = clustered(packet);
            ASSERT_TRUE(out(*sa, m).ok());
            const std::string esp = bytes_of(m);
            IpKind said = kind;
            said.proto = kProtoEsp;
            const size_t header = v6 ? 40 : 20;
            EXPECT_EQ(esp.substr(0, header), ip_header(said, esp.size() - header)) << name;
            if (sa->terms.algorithm.cipher->iv != 16) {
                const std::string iv = sa->terms.algorithm.cipher->iv == 8 ? iv8(1) : "";
                EXPECT_EQ(esp.substr(header), flat(*sa, 1, "", packet.substr(header), kProtoUdp, iv)) << name;
            }
            ASSERT_TRUE(in(*peer, m).ok());
            EXPECT_EQ(bytes_of(m), packet) << name;
            m_freem(m);
        }
}

TEST_F(EspOutput, TransportGoesBehindTheExtensionHeadersThatRoutersRead) {
    // Hop-by-hop (pad), routing (segments left 0), then destination options that are the end's.
    const std::string hop = std::string("\x2b\x00\x01\x04\x00\x00\x00\x00", 8), routing = std::string("\x3c\x00\x04\x00\x00\x00\x00\x00", 8),
                      options = std::string("\x11\x00\x01\x04\x00\x00\x00\x00", 8);
    IpKind kind{.v6 = true};
    kind.proto = 0;
    const std::string payload = hop + routing + options + pattern(50);
    const std::string packet = ip_packet(kind, payload);
    const auto sa = sa_of(terms_of("aes-gcm-128", SaMode::transport)), peer = sa_of(terms_of("aes-gcm-128", SaMode::transport));
    Mbuf* m = clustered(packet);
    ASSERT_TRUE(out(*sa, m).ok());
    const std::string esp = bytes_of(m);
    EXPECT_EQ(static_cast<uint8_t>(esp[48]), kProtoEsp) << "the routing header's next header";
    EXPECT_EQ(esp.substr(56), flat(*sa, 1, "", packet.substr(56), 60, iv8(1)));
    ASSERT_TRUE(in(*peer, m).ok());
    EXPECT_EQ(bytes_of(m), packet);
    m_freem(m);
}

TEST_F(EspOutput, TransportCarriesNoFragments) {
    for (const bool v6 : {false, true}) {
        IpKind kind{.v6 = v6};
        if (v6) kind.proto = 44;
        std::string packet = ip_packet(kind, std::string("\x11\x00\x00\x01\x00\x00\x00\x01", 8) + pattern(40));
        if (!v6) packet[6] = '\x20';
        const auto sa = sa_of(terms_of("aes-gcm-128", SaMode::transport));
        Mbuf* m = clustered(packet);
        EXPECT_EQ(out(*sa, m).why, Xfrm::out_mode);
        EXPECT_EQ(bytes_of(m), packet);
        EXPECT_EQ(sa->sequence.last(), 0u);
        const auto tunnel = sa_of(terms_of("aes-gcm-128"));
        EXPECT_TRUE(out(*tunnel, m).ok());
        m_freem(m);
    }
}

// RFC 4303, 2.6: what says "no next header" in ESP's trailer is a dummy. Found by esp_fuzz.
TEST_F(EspOutput, TransportCarriesNothingThatWouldArriveAsADummy) {
    for (const bool v6 : {false, true}) {
        const std::string packet = ip_packet({.v6 = v6, .proto = kProtoNone}, pattern(40));
        const auto sa = sa_of(terms_of("aes-gcm-128", SaMode::transport));
        Mbuf* m = clustered(packet);
        EXPECT_EQ(out(*sa, m).why, Xfrm::out_mode);
        EXPECT_EQ(bytes_of(m), packet);
        EXPECT_EQ(sa->sequence.last(), 0u);
        const auto tunnel = sa_of(terms_of("aes-gcm-128")), peer = sa_of(terms_of("aes-gcm-128"));
        ASSERT_TRUE(out(*tunnel, m).ok());
        ASSERT_TRUE(in(*peer, m).ok());
        EXPECT_EQ(bytes_of(m), packet);
        m_freem(m);
    }
}

TEST_F(EspOutput, UdpEncapsulationIsRfc3948sInBothModes) {
    for (const SaMode mode : {SaMode::tunnel, SaMode::transport})
        for (const bool v6 : {false, true}) {
            SaTerms terms = terms_of("aes-gcm-128", mode, v6);
            terms.udp = true;
            terms.udp_src = 4500;
            terms.udp_dst = 31000;
            const std::string packet = udp_packet({.v6 = v6}, 77);
            // No NAT changed them: the checksum comes out as it went in (3.1.2).
            const size_t at = v6 ? 8 : 12, size = v6 ? 16 : 4;
            terms.oa.known = true;
            terms.oa.src.v6 = terms.oa.dst.v6 = v6;
            std::memcpy(terms.oa.src.bytes.data(), packet.data() + at, size);
            std::memcpy(terms.oa.dst.bytes.data(), packet.data() + at + size, size);
            const auto sa = sa_of(terms), peer = sa_of(terms);
            Mbuf* m = clustered(packet);
            ASSERT_TRUE(out(*sa, m).ok());
            const std::string esp = bytes_of(m);
            const size_t ip = v6 ? 40 : 20;
            EXPECT_EQ(static_cast<uint8_t>(esp[v6 ? 6 : 9]), kProtoUdp);
            EXPECT_EQ(esp.substr(ip, 6), be16(4500) + be16(31000) + be16(static_cast<uint32_t>(esp.size() - ip)));
            if (!v6) { EXPECT_EQ(esp.substr(ip + 6, 2), be16(0)); }
            if (v6) {
                uint32_t sum = kProtoUdp + static_cast<uint32_t>(esp.size() - ip);
                const std::string all = esp.substr(8) + std::string(esp.size() % 2, '\0');
                for (size_t i = 0; i < all.size(); i += 2) sum += load16(bytes_in(all) + i);
                while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
                EXPECT_EQ(sum, 0xffffu) << "IPv6 has no UDP without a checksum";
            }
            const EspWire wire = esp_wire(m, 31000);
            EXPECT_EQ(wire.kind, EspWireKind::esp);
            EXPECT_EQ(wire.spi, terms.spi);
            ASSERT_TRUE(in(*peer, m).ok());
            EXPECT_EQ(bytes_of(m), packet);
            m_freem(m);
        }
}

// R01, seed 000, pfSense 13938: sendfile's pages into ESP, with the checksum left to the device and without.
TEST_F(EspOutput, R01_PagesOfAFileAreEncryptedWhereTheyLieAndStayAsTheyAre) {
    for (const std::string& name : algorithms_of(ipsec_mb_engine))
        for (const bool offload : {false, true})
            for (const bool v6 : {false, true}) {
                const auto sa = sa_of(terms_of(name)), peer = sa_of(terms_of(name));
                const std::string packet = udp_packet({.v6 = v6}, 8900);
                const size_t head = (v6 ? 40 : 20) + 8;
                std::string as_made = packet;
                if (offload) as_made.replace(head - 2, 2, be16(0x1234));  // whatever stands there
                Mbuf* m = paged(PageClass::cache, as_made, head);
                if (offload) m->rte.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
                std::vector<const Page*> pages;
                std::vector<std::string> before;
                for (Mbuf* s = m->next(); s != nullptr; s = s->next()) {
                    pages.push_back(page_of(s));
                    before.push_back(page_bytes(pages.back()));
                }
                const WindowCounters was = window_counters();
                const uint64_t faults = faults_caught();
                Mbuf* held = m_copypacket(m, M_NOWAIT);  // the file's cache holds its pages, too
                ASSERT_TRUE(out(*sa, m).ok()) << name;
                const WindowCounters is = window_counters();
                for (const CopiedFor why : {CopiedFor::verb, CopiedFor::ext_pgs_off, CopiedFor::nic, CopiedFor::capture}) {
                    const size_t i = static_cast<size_t>(why);
                    EXPECT_EQ(is.copied_bytes[i], was.copied_bytes[i]) << name << ": bytes were copied, " << name_of(why);
                }
                EXPECT_EQ(faults_caught(), faults);
                EXPECT_FALSE(m_has_unmapped(m));
                EXPECT_EQ(m->rte.ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK, 0u) << "nothing is left to the device";
                for (size_t i = 0; i < pages.size(); ++i) EXPECT_EQ(page_bytes(pages[i]), before[i]) << name;
                ASSERT_TRUE(in(*peer, m).ok());
                ASSERT_EQ(differs(bytes_of(m), packet), std::string::npos) << name << (offload ? ", checksum left to the device" : "");
                m_freem(m);
                m_freem(held);
            }
}

TEST_F(EspOutput, ChecksumsThatWereLeftToTheDeviceAreMadeInTheCopy) {
    const std::string udp = udp_packet({}, 501);
    std::string tcp = ip_packet({.proto = kProtoTcp}, pattern(20, 5) + pattern(333));
    for (const SaMode mode : {SaMode::tunnel, SaMode::transport}) {
        const auto sa = sa_of(terms_of("aes-gcm-128", mode)), peer = sa_of(terms_of("aes-gcm-128", mode));
        std::string made = udp;
        made.replace(26, 2, be16(0xbeef));
        made.replace(10, 2, be16(0));
        Mbuf* m = cut_up(made, {5, 3, 0, 19, 1, 1});
        Mbuf* shared = m_copypacket(m, M_NOWAIT);
        m->rte.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
        ASSERT_TRUE(out(*sa, m).ok());
        ASSERT_TRUE(in(*peer, m).ok());
        EXPECT_EQ(bytes_of(m), udp);
        EXPECT_EQ(bytes_of(shared), made) << "R17: the other holder's headers";
        m_freem(m);
        m_freem(shared);

        m = clustered(tcp);
        m->rte.ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
        ASSERT_TRUE(out(*sa, m).ok());
        ASSERT_TRUE(in(*peer, m).ok());
        const std::string back = bytes_of(m);
        uint32_t sum = kProtoTcp + static_cast<uint32_t>(back.size() - 20);
        const std::string all = back.substr(12) + std::string(back.size() % 2, '\0');
        for (size_t i = 0; i < all.size(); i += 2) sum += load16(bytes_in(all) + i);
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        EXPECT_EQ(sum, 0xffffu);
        m_freem(m);
    }
    // What cannot be made is refused, not sent wrong.
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    for (const uint64_t wish : {uint64_t{RTE_MBUF_F_TX_SCTP_CKSUM}, uint64_t{RTE_MBUF_F_TX_TCP_CKSUM}, uint64_t{RTE_MBUF_F_TX_TCP_SEG}}) {
        Mbuf* m = clustered(udp);
        m->rte.ol_flags |= wish;
        const EspFate fate = out(*sa, m);
        EXPECT_EQ(fate.why, Xfrm::out_error);
        EXPECT_EQ(fate.error, EOPNOTSUPP);
        EXPECT_EQ(bytes_of(m), udp);
        m_freem(m);
    }
}

TEST_F(EspOutput, ChainsCutAtEveryByteGiveTheSamePacket) {
    const std::string packet = udp_packet({}, 61);
    for (const std::string& name : algorithms_of(ipsec_mb_engine)) {
        for (size_t cut = 0; cut <= packet.size(); ++cut)
            for (const size_t more : {0u, 1u, 7u}) {
                const auto sa = sa_of(terms_of(name)), peer = sa_of(terms_of(name));
                Mbuf* m = cut_up(packet, {cut, 0, more, 1});
                ASSERT_TRUE(out(*sa, m).ok());
                const std::string esp = bytes_of(m);
                // In, cut at another place each time.
                Mbuf* arrived = cut_up(esp, {cut, more, 0, 2});
                ASSERT_TRUE(in(*peer, arrived).ok()) << name << " cut at " << cut << ", " << more;
                ASSERT_EQ(bytes_of(arrived), packet) << name << " cut at " << cut;
                m_freem(m);
                m_freem(arrived);
            }
    }
}

TEST_F(EspOutput, PrivateSharedAndUnmappedMbufsMixInOnePacket) {
    std::mt19937_64 random(seed());
    for (const std::string& name : algorithms_of(ipsec_mb_engine))
        for (int round = 0; round < 40; ++round) {
            const std::string packet = udp_packet({.v6 = round % 2 == 0}, 200 + random() % 3000, static_cast<uint32_t>(round));
            Mbuf* m = inlined(packet.substr(0, 28 + random() % 60));
            std::vector<Mbuf*> others;
            std::vector<std::string> theirs;
            while (m->pkt_len() < packet.size()) {
                const size_t n = std::min<size_t>(random() % 700, packet.size() - m->pkt_len());
                const std::string bytes = packet.substr(m->pkt_len(), n);
                Mbuf* piece = nullptr;
                switch (n == 0 ? 0 : random() % 4) {
                case 0: piece = m_get(M_NOWAIT, MT_DATA); break;  // an empty one
                case 1: piece = filled(PageClass::cache, bytes); break;
                case 2: piece = filled(PageClass::anonymous, bytes); break;
                default: piece = clustered(bytes); break;
                }
                if (random() % 2 == 0 && piece->len() > 0) {
                    others.push_back(m_copym(piece, 0, M_COPYALL, M_NOWAIT));
                    theirs.push_back(bytes_of(others.back()));
                }
                m_demote(piece, true, 0);
                m_last(m)->set_next(piece);
                m_calchdrlen(m);
            }
            const auto sa = sa_of(terms_of(name)), peer = sa_of(terms_of(name));
            ASSERT_TRUE(out(*sa, m).ok());
            for (size_t i = 0; i < others.size(); ++i) {
                EXPECT_EQ(bytes_of(others[i]), theirs[i]) << "a byte that somebody else sees was written";
                m_freem(others[i]);
            }
            ASSERT_TRUE(in(*peer, m).ok());
            ASSERT_EQ(bytes_of(m), packet) << name << ", round " << round;
            m_freem(m);
        }
}

// Tee into ESP on one branch, plaintext on the other.
TEST_F(EspOutput, BothBranchesOfASharedPacketAreRight) {
    const std::string packet = udp_packet({}, 1400);
    Mbuf* m = received(packet);
    Mbuf* plain = m_copypacket(m, M_NOWAIT);
    const auto sa = sa_of(terms_of("aes-gcm-256")), peer = sa_of(terms_of("aes-gcm-256"));
    ASSERT_TRUE(out(*sa, m).ok());
    EXPECT_EQ(bytes_of(plain), packet);
    ASSERT_TRUE(in(*peer, m).ok());
    EXPECT_EQ(bytes_of(m), packet);
    m_freem(m);
    m_freem(plain);
}

// What is written over is nobody else's, and becomes what the fresh clusters become: the short way and the long
// way, and the way into new clusters, beside each other.
TEST_F(EspOutput, PrivatePacketsAreDoneWhereTheyLieAndBecomeTheSame) {
    for (const std::string& name : algorithms_of(ipsec_mb_engine)) {
        const bool in_place = find_algorithm(name).value().aead();
        if (find_algorithm(name).value().cipher->iv == 16) continue;  // its IV is chance
        for (uint32_t variant = 0; variant < 64; variant += in_place ? 1 : 9) {
            const auto bit = [variant](uint32_t i) { return (variant >> i & 1) != 0; };
            SaTerms terms = terms_of(name, SaMode::tunnel, bit(0));
            terms.esn = bit(1);
            terms.seq_floor = terms.esn ? (uint64_t{3} << 32) - 2 : 7;
            if (bit(2)) terms.outer.df = bit(3) ? DfRule::set : DfRule::clear;
            if (bit(3)) terms.outer.copy_dscp = terms.outer.ecn = false, terms.outer.dscp = 9;
            const auto ours = sa_of(terms), theirs = sa_of(terms), in_ours = sa_of(terms), in_theirs = sa_of(terms);
            if (terms.esn)
                for (Sa* sa : {in_ours.get(), in_theirs.get()}) sa->window.mark(terms.seq_floor);
            const IpKind kind{.v6 = bit(4), .tos = static_cast<uint8_t>(variant * 5), .df = bit(5), .proto = kProtoUdp, .flow = 0};
            for (size_t data = 0; data < 3; ++data) {
                const std::string packet = udp_packet(kind, data * 331 + variant % 7, variant);
                Mbuf* const first = received(packet + "behind");
                Mbuf* mine = first;
                Mbuf* shared = received(packet);
                Mbuf* held = m_copypacket(shared, M_NOWAIT);
                ASSERT_TRUE(out(*ours, mine).ok());
                ASSERT_TRUE(out(*theirs, shared).ok());
                EXPECT_EQ(mine == first, in_place) << name;
                ASSERT_EQ(differs(bytes_of(mine), bytes_of(shared)), std::string::npos) << name << ", variant " << variant << ", " << data;
                EXPECT_EQ(bytes_of(held), packet);
                EXPECT_EQ(m_sanity(mine), std::nullopt);
                EXPECT_GE(m_leadingspace(mine), kEspRoom);
                // And back: mine is still alone, the other is not.
                Mbuf* arrived = received(bytes_of(mine));
                Mbuf* const there = arrived;
                Mbuf* other = received(bytes_of(shared));
                Mbuf* seen = m_copypacket(other, M_NOWAIT);
                ASSERT_TRUE(in(*in_ours, arrived).ok()) << name << ", variant " << variant;
                ASSERT_TRUE(in(*in_theirs, other).ok());
                EXPECT_EQ(arrived == there, in_place);
                EXPECT_EQ(bytes_of(seen), bytes_of(mine));
                ASSERT_EQ(bytes_of(arrived), bytes_of(other));
                ASSERT_EQ(bytes_of(arrived), packet);
                EXPECT_EQ(m_sanity(arrived), std::nullopt);
                for (Mbuf* m : {mine, shared, held, arrived, other, seen}) m_freem(m);
            }
        }
    }
}

// Each way in which bytes can be somebody else's, too, or nobody's to write: R05, R06, R17.
TEST_F(EspOutput, WhatIsNotOursAloneIsNeverWrittenOver) {
    const std::string packet = udp_packet({}, 600);
    const auto sa = sa_of(terms_of("aes-gcm-128")), peer = sa_of(terms_of("aes-gcm-128"));
    const auto unchanged = [&](Mbuf* m, Mbuf* other, const char* how) {
        const std::string was = bytes_of(other);
        std::string around = text_of(static_cast<std::byte*>(other->rte.buf_addr), other->rte.buf_len);
        Mbuf* const source = m;
        ASSERT_TRUE(out(*sa, m).ok()) << how;
        EXPECT_NE(m, source) << how;
        EXPECT_EQ(bytes_of(other), was) << how;
        EXPECT_EQ(text_of(static_cast<std::byte*>(other->rte.buf_addr), other->rte.buf_len), around) << how << ": around it";
        ASSERT_TRUE(in(*peer, m).ok()) << how;
        EXPECT_EQ(bytes_of(m), packet) << how;
        m_freem(m);
    };
    Mbuf* m = received(packet);
    Mbuf* other = m_copypacket(m, M_NOWAIT);
    unchanged(m, other, "a received packet with a copy");
    m_freem(other);
    m = received(packet);
    other = m_copypacket(m, M_NOWAIT);
    unchanged(other, m, "its copy");
    m_freem(m);
    m = received(packet);
    other = Mbuf::of(rte_pktmbuf_clone(&m->rte, rx_zone()->pool));
    unchanged(m, other, "a received packet with a clone of DPDK's");
    rte_pktmbuf_free(&other->rte);
    m = received(packet);
    other = Mbuf::of(rte_pktmbuf_clone(&m->rte, rx_zone()->pool));
    unchanged(other, m, "the clone");
    m_freem(m);
    // A cluster with room on both sides.
    const auto roomy = [&] {
        Mbuf* c = m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, 2048);
        c->rte.data_off = 200;
        std::memcpy(c->data(), packet.data(), packet.size());
        c->set_len(static_cast<uint32_t>(packet.size()));
        m_calchdrlen(c);
        return c;
    };
    m = roomy();
    Mbuf* const where = m;
    ASSERT_TRUE(out(*sa, m).ok());
    EXPECT_EQ(m, where) << "alone, it is written over";
    ASSERT_TRUE(in(*peer, m).ok());
    m_freem(m);
    m = roomy();
    other = m_copypacket(m, M_NOWAIT);
    unchanged(m, other, "a cluster with a copy");
    m_freem(other);
    // Memory that may only be read.
    static std::array<std::byte, 2048> memory;
    memory.fill(std::byte{7});
    std::memcpy(memory.data() + 300, packet.data(), packet.size());
    const auto before = memory;
    m = m_gethdr(M_NOWAIT, MT_DATA);
    ASSERT_EQ(m_extadd(m, memory.data(), memory.size(), [](void*, uint32_t, void*) {}, nullptr, M_RDONLY), 0);
    m->rte.data_off = 300;
    m->set_len(static_cast<uint32_t>(packet.size()));
    m_calchdrlen(m);
    ASSERT_TRUE(out(*sa, m).ok());
    EXPECT_EQ(memory, before);
    m_freem(m);
}

// R09, CVE-2022-27666: sizes around each cluster, and the largest packets there are.
TEST_F(EspOutput, R09_EverySizeHasItsRoom) {
    std::vector<size_t> sizes;
    for (const size_t around : {2048u, 4096u, 9216u, 16384u, 32768u, 49152u})
        for (size_t d = 0; d < 24; ++d) sizes.push_back(around - kEspHeadroom - 100 + 8 * d);
    sizes.insert(sizes.end(), {65535 - 28 - 100, 65535 - 28 - 58});
    for (const size_t data : sizes) {
        const auto sa = sa_of(terms_of("aes-gcm-128")), peer = sa_of(terms_of("aes-gcm-128"));
        const std::string packet = udp_packet({}, data);
        Mbuf* m = cut_up(packet, {28});
        ASSERT_TRUE(out(*sa, m).ok()) << data;
        ASSERT_EQ(m_sanity(m), std::nullopt);
        ASSERT_TRUE(in(*peer, m).ok()) << data;
        ASSERT_EQ(differs(bytes_of(m), packet), std::string::npos) << data;
        m_freem(m);
    }
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    Mbuf* m = cut_up(udp_packet({}, 65535 - 28), {28});
    const EspFate fate = out(*sa, m);
    EXPECT_EQ(fate.why, Xfrm::out_error);
    EXPECT_EQ(fate.error, EMSGSIZE);
    m_freem(m);
}

TEST_F(EspOutput, APacketOfMoreMbufsThanABatchHasPiecesIsReadFromACopy) {
    const std::string packet = udp_packet({}, 700);
    const auto sa = sa_of(terms_of("aes-gcm-128")), peer = sa_of(terms_of("aes-gcm-128"));
    Mbuf* m = cut_up(packet, std::vector<size_t>(packet.size(), 1));
    ASSERT_TRUE(out(*sa, m).ok());
    const std::string esp = bytes_of(m);
    m_freem(m);
    m = cut_up(esp, std::vector<size_t>(esp.size(), 1));
    ASSERT_TRUE(in(*peer, m).ok());
    EXPECT_EQ(bytes_of(m), packet);
    m_freem(m);
}

TEST_F(EspOutput, ABurstOfScatteredPacketsIsDoneInSeveralBatchesInOrder) {
    const auto sa = sa_of(terms_of("aes-gcm-128")), peer = sa_of(terms_of("aes-gcm-128"));
    constexpr uint16_t kN = 70;
    std::vector<Mbuf*> packets;
    std::vector<std::string> said;
    for (uint16_t i = 0; i < kN; ++i) {
        said.push_back(udp_packet({}, 60 + i, i));
        packets.push_back(cut_up(said.back(), std::vector<size_t>(i % 3 == 0 ? 60 : 2, 1)));
    }
    std::vector<Sa*> outs(kN, sa.get()), ins(kN, peer.get());
    std::vector<EspFate> fates(kN);
    EXPECT_EQ(esp_output(lane(), outs.data(), packets.data(), fates.data(), kN), kN);
    for (uint16_t i = 0; i < kN; ++i) EXPECT_EQ(bytes_of(packets[i]).substr(24, 4), be32(i + 1u));
    EXPECT_EQ(esp_input(lane(), ins.data(), packets.data(), fates.data(), kN), kN);
    for (uint16_t i = 0; i < kN; ++i) {
        EXPECT_EQ(bytes_of(packets[i]), said[i]);
        m_freem(packets[i]);
    }
    EXPECT_EQ(lane().counters.of(Xfrm::ok), 2u * kN);
}

TEST_F(EspOutput, ABurstOfAllAlgorithmsAtOnceIsRightForEach) {
    std::mt19937_64 random(seed());
    const std::vector<std::string> names = algorithms_of(ipsec_mb_engine);
    std::vector<std::unique_ptr<Sa>> outs, ins;
    std::vector<Sa*> out_of, in_of;
    std::vector<Mbuf*> packets;
    std::vector<std::string> said;
    for (size_t i = 0; i < 3 * names.size(); ++i) {
        SaTerms terms = terms_of(names[random() % names.size()]);
        terms.esn = random() % 2 == 0;
        outs.push_back(sa_of(terms));
        ins.push_back(sa_of(terms));
        out_of.push_back(outs.back().get());
        in_of.push_back(ins.back().get());
        said.push_back(udp_packet({}, i % 7 == 0 ? 20000 + random() % 40000 : random() % 1500, static_cast<uint32_t>(i)));
        packets.push_back(cut_up(said.back(), {28, random() % 600, 0, random() % 33}));
    }
    const uint16_t n = static_cast<uint16_t>(packets.size());
    std::vector<EspFate> fates(n);
    ASSERT_EQ(esp_output(lane(), out_of.data(), packets.data(), fates.data(), n), n);
    for (uint16_t i = 0; i < n; ++i)
        if (i % 2 == 0) {  // some arrive in pieces
            const std::string esp = bytes_of(packets[i]);
            m_freem(packets[i]);
            packets[i] = cut_up(esp, {30, random() % 100, 1});
        }
    ASSERT_EQ(esp_input(lane(), in_of.data(), packets.data(), fates.data(), n), n);
    for (uint16_t i = 0; i < n; ++i) {
        EXPECT_EQ(differs(bytes_of(packets[i]), said[i]), std::string::npos) << out_of[i]->terms.algorithm.name();
        m_freem(packets[i]);
    }
}

// RFC 3602, 3: an IV that can be foretold gives the plaintext's blocks away.
TEST_F(EspOutput, IvsOfBlockChainsAreNeverTheSame) {
    const auto sa = sa_of(terms_of("aes-cbc-128+hmac-sha256"));
    std::set<std::string> seen;
    for (int i = 0; i < 2000; ++i) {
        Mbuf* m = clustered(udp_packet({}, 1));
        ASSERT_TRUE(out(*sa, m).ok());
        seen.insert(bytes_of(m).substr(28, 16));
        m_freem(m);
    }
    EXPECT_EQ(seen.size(), 2000u);
    std::vector<int> ones(128);
    for (const std::string& iv : seen)
        for (size_t bit = 0; bit < 128; ++bit) ones[bit] += iv[bit / 8] >> bit % 8 & 1;
    for (size_t bit = 0; bit < 128; ++bit) EXPECT_NEAR(ones[bit], 1000, 180) << "bit " << bit << " (8 sigma)";
}

// Windows that are mapped for their own time are open as long as the engine reads, and none is left over.
class StrictEspOutput : public EspTest {
  protected:
    void SetUp() override {
        ArenaConfig c = config();
        c.strict = true;
        open(c);
        make_lane();
    }
};

TEST_F(StrictEspOutput, WindowsAreOpenWhileTheEngineReadsAndClosedBehindIt) {
    for (const std::string& name : algorithms_of(ipsec_mb_engine)) {
        const auto sa = sa_of(terms_of(name)), peer = sa_of(terms_of(name));
        std::vector<Mbuf*> packets;
        std::vector<std::string> said;
        for (uint32_t i = 0; i < 5; ++i) {
            said.push_back(udp_packet({}, 5000, i));
            packets.push_back(paged(i % 2 == 0 ? PageClass::cache : PageClass::anonymous, said.back(), 28));
        }
        std::vector<Sa*> outs(5, sa.get()), ins(5, peer.get());
        std::vector<EspFate> fates(5);
        const uint64_t faults = faults_caught();
        ASSERT_EQ(esp_output(lane(), outs.data(), packets.data(), fates.data(), 5), 5) << name;
        EXPECT_EQ(page_counters().windows_now, 0u);
        EXPECT_EQ(faults_caught(), faults);
        ASSERT_EQ(esp_input(lane(), ins.data(), packets.data(), fates.data(), 5), 5) << name;
        for (uint32_t i = 0; i < 5; ++i) {
            EXPECT_EQ(bytes_of(packets[i]), said[i]);
            m_freem(packets[i]);
        }
    }
}

// R04, FreeBSD D48265: what is not there, will never be, or cannot be read by a CPU.
TEST_F(EspOutput, R04_WhatCannotBeReadIsRefusedWithItsReasonAndNothingIsDone) {
    const std::string head = ip_header({}, 100);
    struct Case {
        PageClass cls;
        int error;
    };
    for (const Case& c : {Case{PageClass::cache, EBUSY}, Case{PageClass::cache, EIO}, Case{PageClass::device, EOPNOTSUPP}}) {
        const auto sa = sa_of(terms_of("aes-gcm-128"));
        Mbuf* tail = mb_alloc_ext_pgs(c.cls, 100, M_NOWAIT, "test");
        Page* page = page_of(tail);
        if (c.error == EIO) page_failed(page);
        Mbuf* m = headed(head, tail);
        const std::vector<uint32_t> before = levels();
        const EspFate fate = out(*sa, m);
        EXPECT_EQ(fate.why, Xfrm::out_error);
        EXPECT_EQ(fate.error, c.error);
        EXPECT_EQ(levels(), before);
        EXPECT_EQ(m->next(), tail);
        EXPECT_EQ(sa->sequence.last(), 0u) << "no number was used";
        EXPECT_EQ(sa->counters.refused.of(Xfrm::out_error), 1u);
        m_freem(m);
        if (c.error == EBUSY) page_ready(page);
    }
}

TEST_F(EspOutput, EveryAllocationThatFailsLeavesThePacketAsItWas) {
    const std::string packet = udp_packet({}, 40000);
    for (uint32_t n = 1;; ++n) {
        const auto sa = sa_of(terms_of("aes-gcm-128"));
        Mbuf* m = cut_up(packet, {28});
        const std::vector<uint32_t> before = levels();
        alloc_faults_arm(n);
        const EspFate fate = out(*sa, m);
        alloc_faults_arm(0);
        if (fate.ok()) {
            EXPECT_GE(n, 4u) << "it has several allocations to make";
            m_freem(m);
            return;
        }
        EXPECT_EQ(fate.why, Xfrm::out_error);
        EXPECT_EQ(fate.error, ENOBUFS);
        EXPECT_EQ(levels(), before) << n;
        EXPECT_EQ(bytes_of(m), packet);
        EXPECT_EQ(sa->sequence.last(), 0u);
        m_freem(m);
        ASSERT_LT(n, 100u);
    }
}

TEST_F(EspOutput, SequenceNumbersEndAndTheNonceIsNeverUsedTwice) {
    SaTerms terms = terms_of("aes-gcm-128");
    terms.seq_floor = uint64_t{UINT32_MAX} - 2;
    const auto sa = sa_of(terms);
    const std::string packet = udp_packet({}, 10);
    for (int i = 0; i < 5; ++i) {
        Mbuf* m = clustered(packet);
        const EspFate fate = out(*sa, m);
        EXPECT_EQ(fate.why, i < 2 ? Xfrm::ok : Xfrm::out_seq);
        if (i >= 2) { EXPECT_EQ(bytes_of(m), packet); }
        m_freem(m);
    }
}

TEST_F(EspOutput, LifetimesAreSoftEventsAndHardDrops) {
    const std::string packet = udp_packet({}, 72);  // 100 bytes, 104 under the cipher
    for (const int what : {0, 1, 2}) {
        SaTerms terms = terms_of("aes-gcm-128");
        if (what == 0) terms.soft.packets = 2, terms.hard.packets = 3;
        if (what == 1) terms.soft.bytes = 208, terms.hard.bytes = 3 * 104;
        if (what == 2) terms.soft.seconds = 20, terms.hard.seconds = 30;
        const auto sa = sa_of(terms);
        for (int i = 0; i < 5; ++i) {
            lane().now_s = static_cast<uint64_t>(10 * i);
            Mbuf* m = clustered(packet);
            EXPECT_EQ(sa->counters.soft_expired.read(), i > 2 ? 1u : 0u) << what << ", " << i;
            EXPECT_EQ(out(*sa, m).why, i < 3 ? Xfrm::ok : Xfrm::out_expired) << what << ", " << i;
            m_freem(m);
        }
    }
    lane().now_s = 0;
}

TEST_F(EspOutput, WhatIsNoIpPacketIsRefused) {
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    const std::string good = udp_packet({}, 40), good6 = udp_packet({.v6 = true}, 40);
    std::vector<std::string> bad = {"", "E", good.substr(0, 19), good.substr(0, good.size() - 1), good6.substr(0, 39), good6.substr(0, good6.size() - 1),
                                    std::string(60, '\0'), std::string(60, '\xff')};
    std::string ihl = good;
    ihl[0] = '\x44';
    bad.push_back(ihl);
    ihl[0] = '\x4f';
    bad.push_back(ihl.substr(0, 50));
    for (const std::string& packet : bad) {
        Mbuf* m = clustered(packet);
        EXPECT_EQ(out(*sa, m).why, Xfrm::out_header) << packet.size();
        EXPECT_EQ(bytes_of(m), packet);
        m_freem(m);
    }
    // Ethernet's padding is not the packet's.
    const auto peer = sa_of(terms_of("aes-gcm-128"));
    Mbuf* m = clustered(good + std::string(6, '\xee'));
    ASSERT_TRUE(out(*sa, m).ok());
    ASSERT_TRUE(in(*peer, m).ok());
    EXPECT_EQ(bytes_of(m), good);
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::test
