// SPDX-License-Identifier: BSD-2-Clause
// esp_spd_test.cc - the first policy that matches decides, against an oracle that tries them one by one.
#include "lib/ipsec/spd.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/esp_readers.h"

namespace umbuf::test {
namespace {

IpAddress v4(uint32_t n) {
    IpAddress a;
    store32(reinterpret_cast<std::byte*>(a.bytes.data()), n);
    return a;
}

class EspSpd : public PageTest {
  protected:
    // decided - by which of the published policies, as an index; -1: none.
    int decided(Direction direction, const PacketKey& key) {
        const Policy* found = nullptr;
        spd_.classify(direction, &key, &found, 1);
        return found == nullptr ? -1 : static_cast<int>(found - spd_.policies().data());
    }
    static PacketKey key_of(const std::string& packet) {
        PacketKey key;
        Mbuf* m = clustered(packet);
        EXPECT_EQ(selectors_of(m, &key), 0);
        m_freem(m);
        return key;
    }
    int decided(const std::string& packet) { return decided(Direction::out, key_of(packet)); }
    void publish(const std::vector<Policy>& policies) {
        const Status done = spd_.publish(policies);
        ASSERT_TRUE(done.ok()) << done.error().text;
    }
    static Policy all(bool v6 = false) {
        Policy p;
        p.selector.src = p.selector.dst = all_addresses(v6);
        p.action = Action::bypass;
        return p;
    }
    static Policy udp(Ports first, Ports second, bool v6 = false) {
        Policy p = all(v6);
        p.selector.protocol = Look::value;
        p.selector.proto = kProtoUdp;
        p.selector.first = first;
        p.selector.second = second;
        return p;
    }
    Readers readers_;
    Grace grace_{readers_.get()};
    Spd spd_{grace_, 0};
};

TEST_F(EspSpd, NothingIsThereUntilItIsPublished) {
    const std::string packet = udp_packet({}, 20);
    EXPECT_EQ(decided(packet), -1);
    publish({all()});
    EXPECT_EQ(decided(packet), 0);
    EXPECT_EQ(decided(Direction::in, key_of(packet)), -1) << "directions are apart";
    EXPECT_EQ(decided(udp_packet({.v6 = true}, 20)), -1) << "families are apart";
    publish({});
    EXPECT_EQ(decided(packet), -1);
}

TEST_F(EspSpd, PriorityDecidesAndThenTheOrder) {
    Policy a = udp(one_port(1111), {}), b = udp({}, one_port(2222)), c = all();
    publish({a, b, c});
    EXPECT_EQ(decided(udp_packet({}, 1)), 0);
    publish({b, a, c});
    EXPECT_EQ(decided(udp_packet({}, 1)), 0);
    EXPECT_EQ(spd_.policies()[0].selector.second.from, 2222);
    c.priority = -5;
    publish({a, b, c});
    EXPECT_EQ(decided(udp_packet({}, 1)), 0);
    EXPECT_EQ(spd_.policies()[0].priority, -5);
}

// RFC 4301, 4.4.1.1: ANY takes in OPAQUE; a range of ports does not.
TEST_F(EspSpd, AFragmentMatchesNoPolicyThatLooksAtPorts) {
    for (const bool v6 : {false, true}) {
        const auto fragment = [v6](uint32_t offset, bool more) {
            const std::string udp = be16(1111) + be16(2222) + be16(48) + be16(0) + pattern(40);
            if (v6) {
                IpKind kind{.v6 = true};
                kind.proto = 44;
                return ip_packet(kind, std::string("\x11\x00", 2) + be16(offset | (more ? 1 : 0)) + be32(9) + udp);
            }
            std::string p = ip_packet({.df = false}, udp);
            p.replace(6, 2, be16(offset / 8 | (more ? 0x2000 : 0)));
            return p;
        };
        publish({udp(one_port(1111), {}, v6), udp({}, ports(0, 65535), v6), udp(opaque_ports(), {}, v6), all(v6)});
        EXPECT_EQ(decided(udp_packet({.v6 = v6}, 40)), 0);
        EXPECT_EQ(decided(fragment(0, true)), 0) << "the first one has its ports";
        EXPECT_EQ(decided(fragment(80, true)), 2) << "not even all ports are ANY";
        EXPECT_EQ(decided(fragment(80, false)), 2);
        publish({udp(one_port(1111), {}, v6), all(v6)});
        EXPECT_EQ(decided(fragment(80, false)), 1);
        publish({udp(opaque_ports(), opaque_ports(), v6)});
        EXPECT_EQ(decided(udp_packet({.v6 = v6}, 40)), -1) << "opaque is not any";
        EXPECT_EQ(decided(fragment(80, false)), 0);
        publish({udp(one_port(1111), {}, v6)});
        EXPECT_EQ(decided(fragment(80, false)), -1);
        EXPECT_EQ(decided(ip_packet({.v6 = v6}, "ab")), -1) << "no ports where a packet ends";
    }
}

TEST_F(EspSpd, TheProtocolOfALaterFragmentMayBeOpaque) {
    IpKind kind{.v6 = true};
    kind.proto = 44;
    // Destination options come after the fragment header: what follows them is in another fragment.
    const std::string packet = ip_packet(kind, std::string("\x3c\x00\x00\x08\x00\x00\x00\x01", 8) + pattern(64));
    Policy hidden = all(true);
    hidden.selector.protocol = Look::opaque;
    Policy options = all(true);
    options.selector.protocol = Look::value;
    options.selector.proto = 60;
    publish({udp({}, {}, true), options, hidden});
    EXPECT_EQ(decided(packet), 2);
    EXPECT_EQ(decided(udp_packet({.v6 = true}, 10)), 0);
    publish({udp({}, {}, true), all(true)});
    EXPECT_EQ(decided(packet), 1);
}

TEST_F(EspSpd, TypesAndCodesStandWherePortsDo) {
    const auto ping = [](bool v6, uint8_t type, uint8_t code) {
        IpKind kind{.v6 = v6};
        kind.proto = v6 ? kProtoIcmpv6 : kProtoIcmp;
        return ip_packet(kind, std::string{static_cast<char>(type), static_cast<char>(code)} + pattern(30));
    };
    for (const bool v6 : {false, true}) {
        Policy one = all(v6), types = all(v6);
        one.selector.protocol = types.selector.protocol = Look::value;
        one.selector.proto = types.selector.proto = v6 ? kProtoIcmpv6 : kProtoIcmp;
        one.selector.first = icmp(3, 2, 4);
        types.selector.first = icmp_types(8, 11);
        publish({one, types});
        EXPECT_EQ(decided(ping(v6, 3, 1)), -1);
        EXPECT_EQ(decided(ping(v6, 3, 2)), 0);
        EXPECT_EQ(decided(ping(v6, 3, 4)), 0);
        EXPECT_EQ(decided(ping(v6, 3, 5)), -1);
        EXPECT_EQ(decided(ping(v6, 4, 3)), -1);
        EXPECT_EQ(decided(ping(v6, 8, 0)), 1);
        EXPECT_EQ(decided(ping(v6, 11, 255)), 1);
        EXPECT_EQ(decided(ping(v6, 12, 0)), -1);
    }
    IpKind mobile{.v6 = true};
    mobile.proto = kProtoMobility;
    Policy p = all(true);
    p.selector.protocol = Look::value;
    p.selector.proto = kProtoMobility;
    p.selector.first = icmp(5);
    publish({p});
    EXPECT_EQ(decided(ip_packet(mobile, std::string("\x3b\x01\x05\x00", 4) + pattern(12))), 0);
    EXPECT_EQ(decided(ip_packet(mobile, std::string("\x3b\x05\x06\x00", 4) + pattern(12))), -1);
}

TEST_F(EspSpd, RangesThatAreNoPrefixesMatchFromTheFirstToTheLast) {
    Policy p = all();
    p.selector.src = {v4(0x0a010203), v4(0x0a01020d)};
    p.selector.dst = {v4(0xc0a80907), v4(0xffffffff)};
    publish({p});
    const auto from = [](uint32_t src, uint32_t dst) {
        PacketKey key{};
        store32(reinterpret_cast<std::byte*>(key.bytes.data()) + PacketKey::kSrc, src);
        store32(reinterpret_cast<std::byte*>(key.bytes.data()) + PacketKey::kSrc + 4, dst);
        return key;
    };
    for (uint32_t src = 0x0a0101f0; src < 0x0a010230; ++src)
        EXPECT_EQ(decided(Direction::out, from(src, 0xc0a80908)), src >= 0x0a010203 && src <= 0x0a01020d ? 0 : -1) << std::hex << src;
    EXPECT_EQ(decided(Direction::out, from(0x0a010205, 0xc0a80906)), -1);
    EXPECT_EQ(decided(Direction::out, from(0x0a010205, 0xc0a80907)), 0);
    EXPECT_EQ(decided(Direction::out, from(0x0a010205, 0xffffffff)), 0);
    // The worst range there is, squared, is refused by name, and what was there stays.
    p.selector.src = p.selector.dst = {v4(1), v4(0xfffffffe)};
    EXPECT_TRUE(spd_.publish(std::vector<Policy>{p}).ok());
    Policy six = all(true);
    six.selector.src.from.bytes[15] = six.selector.dst.from.bytes[15] = 1;
    six.selector.src.to.bytes[15] = six.selector.dst.to.bytes[15] = 0xfe;
    const Status refused = spd_.publish(std::vector<Policy>{six});
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().text.find("4096"), std::string::npos) << refused.error().text;
    EXPECT_EQ(decided(Direction::out, from(2, 3)), 0);
    EXPECT_EQ(decided(Direction::out, from(0, 3)), -1);
}

TEST_F(EspSpd, SelectorsThatMakeNoSenseAreExplained) {
    const auto said = [this](const Policy& p) {
        const Status status = spd_.publish(std::vector<Policy>{p});
        return status.ok() ? std::string() : status.error().text;
    };
    Policy p = all();
    p.selector.first = one_port(5);
    EXPECT_NE(said(p).find("policy 1"), std::string::npos);
    p.selector.protocol = Look::value;
    p.selector.proto = 47;
    EXPECT_NE(said(p).find("47 has no ports"), std::string::npos);
    p.selector.proto = kProtoIcmp;
    EXPECT_EQ(said(p), "");
    p.selector.second = one_port(5);
    EXPECT_NE(said(p).find("second"), std::string::npos);
    EXPECT_NE(said(udp(ports(5, 4), {})).find("end before"), std::string::npos);
    EXPECT_NE(said(udp(opaque_ports(), one_port(1))).find("both"), std::string::npos);
    p = all();
    p.selector.dst = all_addresses(true);
    EXPECT_NE(said(p).find("IPv6"), std::string::npos);
    p = all();
    std::swap(p.selector.src.from, p.selector.src.to);
    EXPECT_NE(said(p).find("source"), std::string::npos);
}

// IPv6 extension headers, in windows on pages and in odd pieces.
TEST_F(EspSpd, SelectorsAreReadThroughAnyChain) {
    const std::string hop("\x2b\x00\x01\x04\x00\x00\x00\x00", 8), routing("\x3c\x02\x04\x00\x00\x00\x00\x00" "0123456789abcdef", 24),
        options = std::string("\x11\x0e", 2) + pattern(118);
    IpKind kind{.v6 = true};
    kind.proto = 0;
    const std::string udp = be16(1111) + be16(2222) + be16(28) + be16(0) + pattern(20);
    const std::string packet = ip_packet(kind, hop + routing + options + udp);
    publish({EspSpd::udp(one_port(1111), one_port(2222), true)});
    const auto looked = [this](Mbuf* m) {
        PacketKey key;
        EXPECT_EQ(selectors_of(m, &key), 0);
        m_freem(m);
        return decided(Direction::out, key);
    };
    EXPECT_EQ(looked(clustered(packet)), 0);
    for (size_t cut = 1; cut < packet.size(); ++cut) EXPECT_EQ(looked(cut_up(packet, {cut, 0, 1, 2})), 0) << cut;
    for (const size_t head : {1u, 40u, 47u, 199u}) EXPECT_EQ(looked(paged(PageClass::cache, packet, head)), 0) << head;
    // A chain of headers that does not end in the packet, and one that does not end soon.
    PacketKey key;
    for (size_t end = 41; end < 40 + 8 + 24 + 120; end += 7) {
        std::string cut = packet.substr(0, end);
        cut.replace(4, 2, be16(static_cast<uint32_t>(end - 40)));
        Mbuf* m = clustered(cut);
        EXPECT_EQ(selectors_of(m, &key), EBADMSG) << end;
        m_freem(m);
    }
    std::string many;
    for (int i = 0; i < 40; ++i) many += std::string("\x3c\x00\x01\x04\x00\x00\x00\x00", 8);
    kind.proto = 60;
    Mbuf* m = clustered(ip_packet(kind, many + udp));
    EXPECT_EQ(selectors_of(m, &key), EBADMSG);
    m_freem(m);
}

// Goal: rte_acl, our prefixes and our masks say what trying one policy after the other says.
TEST_F(EspSpd, RandomPoliciesDecideAsIfTriedOneByOne) {
    std::mt19937_64 random(seed());
    const auto pick = [&](uint64_t n) { return random() % n; };
    const auto small = [&](bool v6) {  // few addresses, so that they meet
        IpAddress a{.v6 = v6, .bytes = {}};
        a.bytes[0] = 10;
        a.bytes[v6 ? 9 : 2] = static_cast<uint8_t>(pick(3));
        a.bytes[v6 ? 15 : 3] = static_cast<uint8_t>(pick(16));
        return a;
    };
    const auto range = [&](bool v6) {
        if (pick(4) == 0) return all_addresses(v6);
        if (pick(3) == 0) return prefix(small(v6), static_cast<uint32_t>(pick(v6 ? 129 : 33)));
        IpRange r{small(v6), small(v6)};
        if (r.from.bytes > r.to.bytes) std::swap(r.from, r.to);
        return r;
    };
    const auto some_ports = [&]() -> Ports {
        if (pick(2) == 0) return {};
        const uint16_t a = static_cast<uint16_t>(pick(12)), b = static_cast<uint16_t>(pick(12));
        return ports(std::min(a, b), std::max(a, b));
    };
    constexpr uint8_t kProtos[] = {kProtoUdp, kProtoTcp, kProtoIcmp, 47};
    const auto matches = [](const Selector& s, const PacketKey& key) {
        const auto* at = reinterpret_cast<const std::byte*>(key.bytes.data());
        const bool v6 = key.v6;
        if (s.src.from.v6 != v6) return false;
        const size_t size = v6 ? 16 : 4;
        const auto inside = [&](const IpRange& r, uint32_t off) {
            return std::memcmp(r.from.bytes.data(), at + off, size) <= 0 && std::memcmp(r.to.bytes.data(), at + off, size) >= 0;
        };
        if (!inside(s.src, PacketKey::kSrc) || !inside(s.dst, static_cast<uint32_t>(PacketKey::kSrc + size))) return false;
        const uint32_t unknown = load32(at + PacketKey::kUnknown);
        const bool no_proto = (unknown & PacketKey::kProtoUnknown) != 0, no_ports = (unknown & PacketKey::kPortsUnknown) != 0;
        if (s.protocol == Look::value && (no_proto || s.proto != key.bytes[0])) return false;
        if (s.protocol == Look::opaque && !no_proto) return false;
        const auto port = [&](const Ports& p, uint32_t off) {
            if (p.look == Look::any) return true;
            if (p.look == Look::opaque) return no_ports;
            return !no_ports && load16(at + off) >= p.from && load16(at + off) <= p.to;
        };
        return port(s.first, PacketKey::kFirst) && port(s.second, PacketKey::kSecond);
    };
    for (int round = 0; round < 12; ++round) {
        std::vector<Policy> policies(1 + pick(20));
        for (Policy& p : policies) {
            const bool v6 = pick(2) == 0;
            p.direction = pick(2) == 0 ? Direction::in : Direction::out;
            p.priority = static_cast<int32_t>(pick(3));
            Selector& s = p.selector;
            s.src = range(v6);
            s.dst = range(v6);
            s.protocol = static_cast<Look>(pick(3));
            if (s.protocol == Look::value) s.proto = kProtos[pick(4)];
            if (pick(5) == 0)
                s.first = opaque_ports();
            else if (s.protocol == Look::value && s.proto != 47)
                s.first = some_ports(), s.second = s.proto == kProtoIcmp ? Ports{} : some_ports();
        }
        publish(policies);
        for (int i = 0; i < 300; ++i) {
            PacketKey key{};
            key.v6 = pick(2) == 0;
            const IpAddress src = small(key.v6), dst = small(key.v6);
            auto* at = reinterpret_cast<std::byte*>(key.bytes.data());
            const size_t size = key.v6 ? 16 : 4;
            std::memcpy(at + PacketKey::kSrc, src.bytes.data(), size);
            std::memcpy(at + PacketKey::kSrc + size, dst.bytes.data(), size);
            key.bytes[0] = kProtos[pick(4)];
            const uint32_t unknown[] = {0, 0, PacketKey::kPortsUnknown, PacketKey::kPortsUnknown | PacketKey::kProtoUnknown};
            store32(at + PacketKey::kUnknown, unknown[pick(4)]);
            if (load32(at + PacketKey::kUnknown) == 0) store16(at + PacketKey::kFirst, static_cast<uint32_t>(pick(14))), store16(at + PacketKey::kSecond, static_cast<uint32_t>(pick(14)));
            const Direction direction = pick(2) == 0 ? Direction::in : Direction::out;
            int expected = -1;
            for (size_t p = 0; p < spd_.policies().size() && expected < 0; ++p)
                if (spd_.policies()[p].direction == direction && matches(spd_.policies()[p].selector, key)) expected = static_cast<int>(p);
            ASSERT_EQ(decided(direction, key), expected) << "round " << round << ", packet " << i;
        }
    }
}

// P1: two sets that say the same in two ways, published in turn under a reader that must never see none.
TEST_F(EspSpd, PoliciesArePublishedWholeUnderReaders) {
    const PacketKey key = key_of(udp_packet({}, 10));
    publish({all()});
    std::atomic<bool> end{false};
    std::atomic<uint64_t> rounds{0}, wrong{0};
    std::jthread reader([&] {
        readers_.enter(0);
        while (!end.load()) {
            const PacketKey keys[] = {key, key, key};
            const Policy* found[3];
            spd_.classify(Direction::out, keys, found, 3);
            for (const Policy* p : found)
                if (p == nullptr || p != found[0] || p->action != Action::bypass) wrong.fetch_add(1);
            readers_.quiescent(0);
            if (rounds.fetch_add(1) % 8 == 0) sched_yield();
        }
        readers_.leave(0);
    });
    while (rounds.load() == 0) sched_yield();
    for (int i = 0; i < 100; ++i) i % 2 == 0 ? publish({udp(one_port(1111), {}), all()}) : publish({all()});
    end.store(true);
    reader.join();
    EXPECT_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace umbuf::test
