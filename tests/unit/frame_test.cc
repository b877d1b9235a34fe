// SPDX-License-Identifier: BSD-2-Clause
// frame_test.cc - what parse() says of good, odd and cut frames.
#include "app/umfwd/packet/frame.h"

#include <random>

#include "tests/unit/fixture.h"
#include "tests/unit/frames.h"
#include "tests/unit/page_fixture.h"

namespace umbuf::test {
namespace {

using fwd::Frame;
using fwd::L3;
using fwd::L4;

struct FrameTest : MbufTest {
    static Frame parse(const std::string& bytes) {
        Mbuf* m = received(bytes);
        const Frame frame = fwd::parse(&m->rte);
        m_freem(m);
        return frame;
    }
    // parse_in_pieces - the same bytes in mbufs of n bytes each.
    static Frame parse_in_pieces(const std::string& bytes, size_t n) {
        Mbuf* m = received(bytes.substr(0, n));
        for (size_t at = n; at < bytes.size(); at += n) {
            const std::string piece = bytes.substr(at, n);
            EXPECT_EQ(rte_pktmbuf_chain(&m->rte, &received(piece)->rte), 0);
        }
        adopt_chain(m);
        const Frame frame = fwd::parse(&m->rte);
        m_freem(m);
        return frame;
    }
};

bool same(const Frame& a, const Frame& b) {
    const bool errors = (a.error == nullptr) == (b.error == nullptr);
    return errors && a.l2_len == b.l2_len && a.ether_type == b.ether_type && a.tags == b.tags &&
           a.l3 == b.l3 && a.l4 == b.l4 && a.proto == b.proto && a.fragment == b.fragment &&
           a.routed == b.routed && a.l3_len == b.l3_len && a.l4_len == b.l4_len;
}

std::string extension(uint8_t next, size_t length) {  // hop-by-hop, destination options
    std::string s(length, '\0');
    s[0] = static_cast<char>(next);
    s[1] = static_cast<char>(length / 8 - 1);
    return s;
}

std::string routing(uint8_t next, uint8_t left) {
    std::string s = extension(next, 24);
    s[3] = static_cast<char>(left);
    return s;
}

std::string fragment6(uint8_t next, uint16_t offset_and_more) {
    return std::string(1, static_cast<char>(next)) + '\0' + be16(offset_and_more) + be32(99);
}

TEST_F(FrameTest, PlainUdpOverIpv4) {
    const Frame f = parse(ether(0x0800, ip4(17, udp("hello"))));
    EXPECT_EQ(f.error, nullptr);
    EXPECT_EQ(f.l2_len, 14);
    EXPECT_EQ(f.ether_type, 0x0800);
    EXPECT_EQ(f.l3, L3::ipv4);
    EXPECT_EQ(f.l3_len, 20);
    EXPECT_EQ(f.l4, L4::udp);
    EXPECT_EQ(f.l4_len, 13);
}

TEST_F(FrameTest, PaddingBehindTheIpLengthIsNotCounted) {
    const Frame f = parse(ether(0x0800, ip4(6, tcp("x")) + std::string(30, '\xee')));
    EXPECT_EQ(f.l4, L4::tcp);
    EXPECT_EQ(f.l4_len, 21);
}

TEST_F(FrameTest, TagsAreSkippedAndCounted) {
    const Frame one = parse(ether(0x0800, ip4(17, udp("v")), {{0x8100, 5}}));
    EXPECT_EQ(one.tags, 1);
    EXPECT_EQ(one.l2_len, 18);
    EXPECT_EQ(one.l4, L4::udp);
    const Frame two = parse(ether(0x86dd, ip6(6, tcp("q", true)), {{0x88a8, 7}, {0x8100, 8}}));
    EXPECT_EQ(two.tags, 2);
    EXPECT_EQ(two.l2_len, 22);
    EXPECT_EQ(two.l4, L4::tcp);
    EXPECT_EQ(parse(ether(0x0800, ip4(17, udp("")), {{0x9100, 1}, {0x8100, 2}})).l2_len, 22);
}

TEST_F(FrameTest, MoreTagsThanAnybodyUsesAreRefused) {
    std::vector<std::pair<uint16_t, uint16_t>> tags(8, {0x8100, 1});
    EXPECT_EQ(parse(ether(0x0800, ip4(17, udp("")), tags)).l4, L4::udp);
    tags.emplace_back(0x8100, 1);
    const Frame f = parse(ether(0x0800, ip4(17, udp("")), tags));
    EXPECT_NE(f.error, nullptr);
    EXPECT_EQ(f.l3, L3::none);
}

TEST_F(FrameTest, Ipv4OptionsBelongToTheHeader) {
    const Frame f = parse(ether(0x0800, ip4(6, tcp("data"), std::string(40, '\x01'))));
    EXPECT_EQ(f.l3_len, 60);
    EXPECT_EQ(f.l4, L4::tcp);
    EXPECT_EQ(f.l4_off(), 74);
    EXPECT_EQ(f.l4_len, 24);
}

TEST_F(FrameTest, FragmentsAreTold) {
    const Frame first =
        parse(ether(0x0800, ip4(17, udp(std::string(40, 'f')).substr(0, 24), "", 0x2000)));
    EXPECT_TRUE(first.fragment);
    EXPECT_EQ(first.error, nullptr) << "the rest of the datagram is elsewhere";
    EXPECT_EQ(first.l4, L4::udp);
    EXPECT_EQ(first.l4_len, 24) << "what is there";
    const Frame later = parse(ether(0x0800, ip4(17, std::string(24, 'f'), "", 0x0003)));
    EXPECT_TRUE(later.fragment);
    EXPECT_EQ(later.l4, L4::none);
    EXPECT_FALSE(parse(ether(0x0800, ip4(17, udp("d"), "", 0x4000))).fragment) << "DF only";
}

TEST_F(FrameTest, Ipv6ExtensionHeadersBelongToTheHeader) {
    const std::string l4 = udp("six", true);
    const std::string chain = extension(43, 8) + routing(60, 0) + extension(17, 16) + l4;
    const Frame f = parse(ether(0x86dd, ip6(0, chain)));
    EXPECT_EQ(f.error, nullptr);
    EXPECT_EQ(f.l3_len, 40 + 8 + 24 + 16);
    EXPECT_EQ(f.l4, L4::udp);
    EXPECT_EQ(f.l4_len, l4.size());
    EXPECT_FALSE(f.routed);
    EXPECT_TRUE(parse(ether(0x86dd, ip6(43, routing(17, 1) + l4))).routed);
}

TEST_F(FrameTest, Ipv6AuthenticationHeaderCountsInWords) {
    std::string ah(24, '\0');
    ah[0] = 17;
    ah[1] = 4;  // (4 + 2) * 4 = 24
    const Frame f = parse(ether(0x86dd, ip6(51, ah + udp("ah", true))));
    EXPECT_EQ(f.l3_len, 64);
    EXPECT_EQ(f.l4, L4::udp);
}

TEST_F(FrameTest, Ipv6Fragments) {
    const std::string l4 = udp("fragment", true);
    const Frame later = parse(ether(0x86dd, ip6(44, fragment6(17, 0x0008) + l4)));
    EXPECT_TRUE(later.fragment);
    EXPECT_EQ(later.l4, L4::none);
    const Frame first = parse(ether(0x86dd, ip6(44, fragment6(17, 0x0001) + l4)));
    EXPECT_TRUE(first.fragment);
    EXPECT_EQ(first.l4, L4::udp);
    const Frame atomic = parse(ether(0x86dd, ip6(44, fragment6(17, 0) + l4)));  // RFC 6946
    EXPECT_FALSE(atomic.fragment);
    EXPECT_EQ(atomic.l4, L4::udp);
}

TEST_F(FrameTest, EndlessExtensionHeadersAreRefused) {
    std::string chain;
    for (int i = 0; i < 40; ++i)
        chain += extension(60, 8);
    const Frame f = parse(ether(0x86dd, ip6(60, chain)));
    EXPECT_NE(f.error, nullptr);
    EXPECT_EQ(f.l3, L3::none);
}

TEST_F(FrameTest, LengthsThatDoNotFitAreErrorsAndStopAboveWhatIsRight) {
    const std::string good = ether(0x0800, ip4(17, udp("12345678")));
    const auto with = [&good](size_t at, uint8_t byte) {
        std::string s = good;
        s[at] = static_cast<char>(byte);
        return parse(s);
    };
    EXPECT_EQ(with(14, 0x65).l3, L3::none) << "version";
    EXPECT_EQ(with(14, 0x44).l3, L3::none) << "header length 16";
    EXPECT_EQ(with(14, 0x4f).l3, L3::none) << "header length 60, packet 36";
    EXPECT_EQ(with(17, 37).l3, L3::none) << "total length one too much";
    EXPECT_EQ(with(17, 19).l3, L3::none) << "total length below the header";
    const Frame udp_long = with(39, 17);
    EXPECT_NE(udp_long.error, nullptr);
    EXPECT_EQ(udp_long.l3, L3::ipv4);
    EXPECT_EQ(udp_long.l4, L4::none);
    EXPECT_EQ(with(39, 7).l4, L4::none) << "UDP length below its header";
    EXPECT_EQ(with(39, 8).l4_len, 8) << "shorter than the IP says: allowed, and it counts";
    std::string segment = ether(0x0800, ip4(6, tcp("")));
    segment[14 + 20 + 12] = '\x60';
    EXPECT_EQ(parse(segment).l4, L4::none) << "TCP options beyond the end";
}

TEST_F(FrameTest, ArpIsKnown) {
    EXPECT_EQ(parse(ether(0x0806, arp(1))).l3, L3::arp);
    EXPECT_EQ(parse(ether(0x0806, arp(1)).substr(0, 41)).l3, L3::none);
    const Frame other = parse(ether(0x88cc, "lldp"));
    EXPECT_EQ(other.error, nullptr);
    EXPECT_EQ(other.l3, L3::none);
    EXPECT_EQ(other.ether_type, 0x88cc);
}

std::vector<std::string> zoo() {
    return {
        ether(0x0800, ip4(17, udp("zoo"))),
        ether(0x0800, ip4(6, tcp("options"), std::string(8, '\x01')), {{0x8100, 1}}),
        ether(0x0800, ip4(1, icmp_echo(8, "ping"))),
        ether(0x86dd, ip6(0, extension(60, 16) + extension(6, 24) + tcp("six", true))),
        ether(0x86dd, ip6(44, fragment6(17, 1) + udp("part", true)), {{0x88a8, 1}, {0x8100, 2}}),
        ether(0x86dd, ip6(58, icmp_echo(128, "ping6"))),
        ether(0x0806, arp(1))};
}

TEST_F(FrameTest, SegmentsMakeNoDifference) {
    for (const std::string& frame : zoo())
        for (const size_t n : {1u, 2u, 3u, 13u, 14u, 15u, 33u, 34u, 41u})
            EXPECT_TRUE(same(parse(frame), parse_in_pieces(frame, n))) << n;
}

// Goal: F1 to F3 for anything. Method: every prefix of each frame, and random single-byte damage;
// what the parser claims must lie inside the packet.
TEST_F(FrameTest, WhatIsClaimedIsInsideWhateverTheBytes) {
    std::mt19937_64 random(seed());
    const auto holds = [](const Frame& f, size_t size) {
        if (f.l2_len > size) return false;
        if (f.l3 != L3::none && size_t{f.l2_len} + f.l3_len > size) return false;
        return f.l4 == L4::none || (f.l4_len >= 4 && size_t{f.l4_off()} + f.l4_len <= size);
    };
    for (const std::string& frame : zoo()) {
        for (size_t n = 0; n <= frame.size(); ++n)
            EXPECT_TRUE(holds(parse(frame.substr(0, n)), n)) << n << " bytes";
        for (int i = 0; i < 2000; ++i) {
            std::string s = frame.substr(0, 1 + random() % frame.size());
            for (int hits = 0; hits < 3; ++hits)
                s[random() % s.size()] = static_cast<char>(random());
            ASSERT_TRUE(holds(parse(s), s.size())) << "round " << i;
        }
    }
}

// A packet whose headers, or data, are in pages: it came back from a port of this program.
TEST_F(PageTest, FramesAreReadThroughWindowsAndWhatCannotBeReadIsNoFrame) {
    const std::string frame = ether(0x0800, ip4(17, udp(pattern(1001), false)));
    for (const size_t cut : {14U, 15U, 33U, 34U, 41U, 42U, 201U}) {
        Mbuf* m = headed(frame.substr(0, cut), filled(PageClass::cache, frame.substr(cut)));
        const Frame f = fwd::parse(&m->rte);
        EXPECT_EQ(f.error, nullptr);
        EXPECT_EQ(f.l4, L4::udp) << cut;
        EXPECT_TRUE(fwd::is_readable(&m->rte));
        EXPECT_EQ(fwd::l4_sum(&m->rte, f), 0xffff) << cut;
        m_freem(m);
    }
    Mbuf* m = headed(frame.substr(0, 20), filled(PageClass::device, frame.substr(20)));
    EXPECT_FALSE(fwd::is_readable(&m->rte));
    EXPECT_NE(fwd::parse(&m->rte).error, nullptr);
    m_freem(m);
}

TEST_F(FrameTest, SumsAgreeWithTheTestsOwn) {
    for (const bool v6 : {false, true}) {
        for (const size_t n : {0u, 1u, 2u, 3u, 100u, 101u, 1000u}) {
            const std::string l4 = n % 2 == 0 ? udp(pattern(n), v6) : tcp(pattern(n), v6);
            const uint8_t proto = n % 2 == 0 ? 17 : 6;
            const std::string frame =
                v6 ? ether(0x86dd, ip6(proto, l4)) : ether(0x0800, ip4(proto, l4));
            Mbuf* m = received(frame);
            Frame f = fwd::parse(&m->rte);
            EXPECT_EQ(fwd::l4_sum(&m->rte, f), 0xffff) << n << " bytes, v6 " << v6;
            m->data()[f.l4_off()] ^= std::byte{1};
            EXPECT_NE(fwd::l4_sum(&m->rte, f), 0xffff);
            m_freem(m);
        }
    }
}

TEST_F(FrameTest, SumsGoOnOverSegmentsOfAnyLength) {
    const std::string bytes = std::string(600, '\xff') + pattern(601);
    for (const size_t n : {1u, 2u, 3u, 7u, 64u, 333u}) {
        Mbuf* m = received(bytes.substr(0, n));
        for (size_t at = n; at < bytes.size(); at += n)
            ASSERT_EQ(rte_pktmbuf_chain(&m->rte, &received(bytes.substr(at, n))->rte), 0);
        for (const size_t from : {0u, 1u, 2u, 65u, 1200u})
            for (const size_t length : {0u, 1u, 2u, 400u, 1201u}) {
                const std::string range = bytes.substr(from, length);
                const auto size = static_cast<uint32_t>(range.size());
                const uint16_t sum = fwd::data_sum(&m->rte, static_cast<uint32_t>(from), size);
                EXPECT_EQ(static_cast<uint16_t>(~__builtin_bswap16(sum)), sum16(range))
                    << n << " bytes in each, " << from << " + " << length;
            }
        m_freem(m);
    }
}

TEST_F(FrameTest, AdjustingASumIsLikeMakingItAnew) {
    std::mt19937_64 random(seed());
    for (int i = 0; i < 10000; ++i) {
        std::string s =
            be32(static_cast<uint32_t>(random())) + be32(static_cast<uint32_t>(random()) | 1);
        const std::string is = be32(static_cast<uint32_t>(random()));
        const auto word = [](const std::string& bytes) {  // as it stands in memory
            uint32_t w;
            std::memcpy(&w, bytes.data(), 4);
            return w;
        };
        const auto swapped = [](uint16_t n) { return __builtin_bswap16(n); };
        const uint16_t before = sum16(s);
        const uint16_t adjusted = swapped(fwd::sum_adjust(swapped(before), word(s), word(is)));
        s.replace(0, 4, is);
        ASSERT_EQ(adjusted, sum16(s)) << "round " << i;
    }
}

}  // namespace
}  // namespace umbuf::test
