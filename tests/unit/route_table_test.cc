// SPDX-License-Identifier: BSD-2-Clause
// route_table_test.cc - the longest prefix wins, whatever was there before, and readers see no half change.
#include "lib/route/route_table.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "tests/unit/esp_readers.h"

namespace umbuf::test {
namespace {

IpAddress v4(uint32_t a) {
    IpAddress address;
    store32(reinterpret_cast<std::byte*>(address.bytes.data()), a);
    return address;
}

IpAddress v6(std::initializer_list<uint8_t> bytes) {
    IpAddress address{.v6 = true};
    std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
    return address;
}

Route to_port(uint16_t port, uint16_t mtu = 1500) { return {.kind = RouteKind::forward, .port = port, .mtu = mtu}; }
Route by(uint16_t port, const IpAddress& gateway) {
    return {.kind = RouteKind::forward, .gatewayed = true, .port = port, .mtu = 1500, .gateway = gateway};
}
const rte_ether_addr kMac{{2, 0, 0, 0, 0, 9}};

class RouteTableTest : public MbufTest {
  protected:
    void SetUp() override {
        MbufTest::SetUp();
        make({.routes = 2048, .neighbours = 256});
    }
    void make(const RouteConfig& config) {
        table_.reset();
        auto made = RouteTable::make(config, readers_.get());
        ASSERT_TRUE(made.ok()) << made.error().text;
        table_ = std::move(made).value();
    }
    void TearDown() override {
        table_.reset();
        MbufTest::TearDown();
    }
    void set(const IpAddress& address, uint8_t length, const Route& route) {
        const Status done = table_->set(prefix_of(address, length), route);
        ASSERT_TRUE(done.ok()) << done.error().text;
    }
    void remove(const IpAddress& address, uint8_t length) { ASSERT_TRUE(table_->remove(prefix_of(address, length)).ok()); }
    Hop hop(const IpAddress& to) const {
        Hop hop;
        if (to.v6) {
            uint8_t address[1][16];
            std::copy(to.bytes.begin(), to.bytes.end(), address[0]);
            table_->lookup6(address, &hop, 1);
        } else {
            const uint32_t address = load32(reinterpret_cast<const std::byte*>(to.bytes.data()));
            table_->lookup4(&address, &hop, 1);
        }
        return hop;
    }

    Readers readers_;
    std::unique_ptr<RouteTable> table_;
};

TEST_F(RouteTableTest, TheLongestPrefixWins) {
    set(v4(0), 0, to_port(1));
    set(v4(0x0a000000), 8, to_port(2));
    set(v4(0x0a010200), 24, to_port(3));
    set(v4(0x0a010280), 25, to_port(4));
    set(v4(0x0a0102ff), 32, {.kind = RouteKind::local});
    EXPECT_EQ(hop(v4(0x0a010201)).kind, RouteKind::none) << "before commit()";
    table_->commit();
    EXPECT_EQ(hop(v4(0xffffffff)).port, 1);
    EXPECT_EQ(hop(v4(0x09ffffff)).port, 1);
    EXPECT_EQ(hop(v4(0x0a000000)).port, 2);
    EXPECT_EQ(hop(v4(0x0a01027f)).port, 3);
    EXPECT_EQ(hop(v4(0x0a010280)).port, 4);
    EXPECT_EQ(hop(v4(0x0a0102ff)).kind, RouteKind::local);
    remove(v4(0x0a010280), 25);
    remove(v4(0), 0);
    table_->commit();
    EXPECT_EQ(hop(v4(0x0a010280)).port, 3);
    EXPECT_EQ(hop(v4(0xffffffff)).kind, RouteKind::none);
    EXPECT_EQ(hop(v4(0x0a010280)).mtu, 1500);
}

// Prefixes that end where the addresses end, in an order that rte_fib is not given (docs/decisions/0040). In
// which tables it then writes too much depends on what else is there: the random test below looks for that.
TEST_F(RouteTableTest, AShorterPrefixToTheEndOfTheAddressesTouchesNoLongerOne) {
    set(v4(0x0a000000), 8, to_port(3));
    set(v4(0x80000000), 1, to_port(2));
    table_->commit();
    set(v4(0), 0, to_port(1));
    table_->commit();
    set(v4(0xc0000000), 2, to_port(4));
    table_->commit();
    EXPECT_EQ(hop(v4(0x01000000)).port, 1);
    EXPECT_EQ(hop(v4(0x0a000001)).port, 3);
    EXPECT_EQ(hop(v4(0x80000001)).port, 2);
    EXPECT_EQ(hop(v4(0xbfffffff)).port, 2);
    EXPECT_EQ(hop(v4(0xffffffff)).port, 4);
}

TEST_F(RouteTableTest, TheLongestPrefixWinsInIpv6) {
    const IpAddress net = v6({0x20, 1, 0xd, 0xb8});
    set(v6({}), 0, to_port(1));
    set(net, 32, to_port(2));
    set(v6({0x20, 1, 0xd, 0xb8, 0, 1}), 48, {.kind = RouteKind::blackhole});
    set(v6({0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}), 128, {.kind = RouteKind::local});
    table_->commit();
    EXPECT_EQ(hop(v6({0x20, 1, 0xd, 0xb9})).port, 1);
    EXPECT_EQ(hop(net).port, 2);
    EXPECT_EQ(hop(v6({0x20, 1, 0xd, 0xb8, 0, 1, 9})).kind, RouteKind::blackhole);
    EXPECT_EQ(hop(v6({0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})).kind, RouteKind::local);
    EXPECT_EQ(hop(v6({0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2})).port, 2);
    remove(v6({}), 0);
    table_->commit();
    EXPECT_EQ(hop(v6({0x20, 1, 0xd, 0xb9})).kind, RouteKind::none);
}

std::string text(const IpAddress& a) {
    char is[INET6_ADDRSTRLEN];
    return inet_ntop(a.v6 ? AF_INET6 : AF_INET, a.bytes.data(), is, sizeof is);
}

// Oracle - prefixes in a list, and the longest that fits.
struct Oracle {
    std::map<Prefix, Route> routes;
    [[nodiscard]] Route find(const IpAddress& to) const {
        std::optional<Prefix> best;
        for (const auto& [prefix, route] : routes)
            if (prefix.address.v6 == to.v6 && prefix_of(to, prefix.length) == prefix && (!best || prefix.length >= best->length))
                best = prefix;
        return best ? routes.at(*best) : Route{};
    }
    // text_of - the prefixes that the address is in.
    [[nodiscard]] std::string text_of(const IpAddress& to) const {
        std::string all;
        for (const auto& [prefix, route] : routes)
            if (prefix.address.v6 == to.v6 && prefix_of(to, prefix.length) == prefix)
                all += text(prefix.address) + "/" + std::to_string(prefix.length) + " " + std::to_string(route.port) + "; ";
        return all;
    }
};

struct Chance {
    std::mt19937_64 random{seed()};
    uint32_t below(uint32_t n) { return static_cast<uint32_t>(random() % n); }
    // address - of few values in each byte, so that prefixes lie in each other.
    IpAddress address(bool of6) {
        IpAddress a{.v6 = of6};
        for (uint32_t i = 0; i < (of6 ? 16U : 4U); ++i) a.bytes[i] = static_cast<uint8_t>(below(3) == 0 ? random() : 0x80 * below(2) + below(2));
        return a;
    }
    IpAddress inside(const Prefix& prefix) {
        IpAddress a = prefix.address;
        for (uint32_t bit = prefix.length; bit < (a.v6 ? 128U : 32U); ++bit)
            a.bytes[bit / 8] = static_cast<uint8_t>(a.bytes[bit / 8] | below(2) << (7 - bit % 8));
        return a;
    }
};

// Goal: any order of additions, replacements and removals. Method: random ones in both families, each commit
// compared with a list, inside the prefixes that changed and elsewhere.
TEST_F(RouteTableTest, AnyOrderOfChangesAgreesWithAList) {
    Chance chance;
    Oracle oracle;
    for (int round = 0; round < 200; ++round) {
        std::vector<Prefix> touched;
        for (uint32_t n = chance.below(12); n > 0; --n) {
            const bool of6 = chance.below(2) == 1;
            if (!oracle.routes.empty() && chance.below(400) < 160 + oracle.routes.size()) {
                auto victim = oracle.routes.begin();
                std::advance(victim, chance.below(static_cast<uint32_t>(oracle.routes.size())));
                touched.push_back(victim->first);
                ASSERT_TRUE(table_->remove(victim->first).ok());
                oracle.routes.erase(victim);
                continue;
            }
            const Prefix prefix = prefix_of(chance.address(of6), static_cast<uint8_t>(chance.below(of6 ? 129 : 33)));
            const Route route = chance.below(8) == 0 ? Route{.kind = RouteKind::local} : to_port(static_cast<uint16_t>(chance.below(40)));
            ASSERT_TRUE(table_->set(prefix, route).ok());
            oracle.routes[prefix] = route;
            touched.push_back(prefix);
        }
        table_->commit();
        for (int k = 0; k < 40; ++k) {
            const IpAddress to = touched.empty() || k % 4 == 0 ? chance.address(k % 8 == 0)
                                                               : chance.inside(touched[chance.below(static_cast<uint32_t>(touched.size()))]);
            const Hop got = hop(to);
            const Route want = oracle.find(to);
            ASSERT_EQ(got.kind, want.kind) << "round " << round << ", to " << text(to) << ", in " << oracle.text_of(to);
            ASSERT_EQ(got.port, want.port) << "round " << round;
        }
    }
    EXPECT_EQ(table_->routes().size(), oracle.routes.size());
}

// Goal: F1, F2 and T1. Method: a thread looks up all the time; what covers everything stays, the more specific
// routes come and go, and their inner tables and numbers are used again. Only what was ever right may be seen.
TEST_F(RouteTableTest, AReaderNeverMissesARouteThatStays) {
    set(v4(0x0a000000), 8, to_port(7));
    set(v6({0x20, 1}), 16, to_port(7));
    table_->commit();
    readers_.enter(1);
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> wrong{0}, looked{0};
    std::jthread reader([&] {
        while (!stop.load()) {
            for (uint32_t net = 0; net < 16; ++net) {
                uint32_t to[4];
                uint8_t to6[4][16] = {};
                Hop hops[4], hops6[4];
                for (uint32_t i = 0; i < 4; ++i) {
                    to[i] = 0x0a000000 + (net << 8) + i * 64 + 1;
                    to6[i][0] = 0x20, to6[i][1] = 1, to6[i][5] = static_cast<uint8_t>(net), to6[i][9] = static_cast<uint8_t>(i);
                }
                table_->lookup4(to, hops, 4);
                table_->lookup6(to6, hops6, 4);
                for (uint32_t i = 0; i < 4; ++i) {
                    const auto right = [&](const Hop& h) { return h.kind == RouteKind::forward && (h.port == 7 || h.port == 100 + net); };
                    wrong += !right(hops[i]) + !right(hops6[i]);
                }
                looked += 8;
            }
            readers_.quiescent(1);
        }
        readers_.leave(1);
    });
    Chance chance;
    for (int round = 0; round < 300 || looked.load() < 50'000; ++round) {
        const uint8_t net = static_cast<uint8_t>(chance.below(16));
        const IpAddress at4 = v4(0x0a000000 + (uint32_t{net} << 8) + 64 * chance.below(4));
        const IpAddress at6 = v6({0x20, 1, 0, 0, 0, net, 0, 0, 0, static_cast<uint8_t>(chance.below(4))});
        const uint8_t more = static_cast<uint8_t>(chance.below(3));
        for (const Prefix& p : {prefix_of(at4, static_cast<uint8_t>(24 + more)), prefix_of(at6, static_cast<uint8_t>(48 + 16 * more))})
            if (!table_->remove(p)) set(p.address, p.length, to_port(static_cast<uint16_t>(100 + net)));
        table_->commit();
    }
    stop = true;
    reader.join();
    EXPECT_EQ(wrong.load(), 0u) << "of " << looked.load();
}

TEST_F(RouteTableTest, ACommitWaitsForWhoMayStillRead) {
    set(v4(0x0a000000), 8, to_port(1));
    table_->commit();
    readers_.enter(1);
    set(v4(0x0a000000), 8, to_port(2));
    std::atomic<bool> done{false};
    std::jthread control([&] {
        table_->commit();
        done = true;
    });
    while (hop(v4(0x0a000001)).port != 2) std::this_thread::yield();  // published
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    EXPECT_FALSE(done.load()) << "the reader could still be in the other side";
    readers_.quiescent(1);
    control.join();
    EXPECT_TRUE(done.load());
    readers_.leave(1);
}

TEST_F(RouteTableTest, AHopKnowsTheGatewaysOrTheDestinationsNeighbour) {
    set(v4(0x0a000000), 8, to_port(1));
    set(v4(0), 0, by(2, v4(0xc0000201)));
    set(v6({0x20, 1}), 16, to_port(1));
    set(v4(0x0b000000), 8, by(2, v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9})));
    table_->commit();
    EXPECT_EQ(hop(v4(0x0a000005)).state, NeighbourState::unknown);
    EXPECT_EQ(hop(v4(0x08080808)).state, NeighbourState::unknown);
    ASSERT_TRUE(table_->set_neighbour(1, v4(0x0a000005), NeighbourState::reachable, kMac).ok());
    ASSERT_TRUE(table_->set_neighbour(2, v4(0x0a000006), NeighbourState::reachable, kMac).ok());
    ASSERT_TRUE(table_->set_neighbour(1, v6({0x20, 1, 7}), NeighbourState::reachable, kMac).ok());
    ASSERT_TRUE(table_->set_neighbour(2, v4(0xc0000201), NeighbourState::pending, {}).ok());
    ASSERT_TRUE(table_->set_neighbour(2, v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}), NeighbourState::reachable, kMac).ok());
    EXPECT_EQ(hop(v4(0x0a000005)).state, NeighbourState::reachable) << "at once";
    const Hop reached = hop(v4(0x0a000005));
    EXPECT_TRUE(rte_is_same_ether_addr(&kMac, &reached.mac));
    EXPECT_EQ(hop(v4(0x0a000006)).state, NeighbourState::unknown) << "known at another port";
    EXPECT_EQ(hop(v6({0x20, 1, 7})).state, NeighbourState::reachable);
    EXPECT_EQ(hop(v4(0x08080808)).state, NeighbourState::pending);
    EXPECT_EQ(hop(v4(0x0b000001)).state, NeighbourState::reachable) << "an IPv4 route by an IPv6 gateway";
    table_->forget_neighbour(1, v4(0x0a000005));
    table_->forget_neighbour(2, v4(0xc0000201));
    EXPECT_EQ(hop(v4(0x0a000005)).state, NeighbourState::unknown);
    EXPECT_EQ(hop(v4(0x08080808)).state, NeighbourState::unknown);
    ASSERT_TRUE(table_->set_neighbour(2, v4(0xc0000201), NeighbourState::reachable, kMac).ok());
    EXPECT_EQ(hop(v4(0x08080808)).state, NeighbourState::reachable) << "the route still holds the place";
}

TEST_F(RouteTableTest, EachPortHasAnAddressOfOursToSpeakBy) {
    const auto own = [&](uint16_t port, bool six) {
        IpAddress address;
        return table_->own_address(port, six, &address) ? std::optional(address) : std::nullopt;
    };
    const auto local = [](uint16_t port) { return Route{.kind = RouteKind::local, .port = port, .own = true}; };
    const IpAddress six = v6({0x20, 1, 0xd, 0xb8, 1});
    set(v4(0x0a000005), 32, local(1));
    set(v4(0x0a000003), 32, local(1));
    set(v4(0x0a000001), 32, {.kind = RouteKind::local});  // a broadcast address, say
    set(six, 128, local(2));
    EXPECT_FALSE(own(1, false)) << "before commit()";
    table_->commit();
    EXPECT_EQ(own(1, false), v4(0x0a000003)) << "the lowest";
    EXPECT_EQ(own(2, true), six);
    EXPECT_FALSE(own(1, true) || own(2, false) || own(3, false) || own(UINT16_MAX, false));
    EXPECT_EQ(hop(v4(0x0a000005)).kind, RouteKind::local);
    remove(v4(0x0a000003), 32);
    set(six, 128, to_port(2));
    table_->commit();
    EXPECT_EQ(own(1, false), v4(0x0a000005));
    EXPECT_FALSE(own(2, true));
}

TEST_F(RouteTableTest, WhoIsSentToIsMarkedOnce) {
    set(v4(0x0a000000), 8, to_port(1));
    table_->commit();
    for (uint32_t i = 1; i < 4; ++i)
        ASSERT_TRUE(table_->set_neighbour(1, v4(0x0a000000 + i), NeighbourState::reachable, kMac).ok());
    const auto used = [this] {
        std::vector<uint8_t> last;
        table_->neighbours().take_used([&last](const Neighbours::Entry& e) { last.push_back(e.key.address[3]); });
        return last;
    };
    EXPECT_TRUE(used().empty());
    hop(v4(0x0a000002));
    EXPECT_EQ(used(), std::vector<uint8_t>{2});
    EXPECT_TRUE(used().empty());
}

// Numbers and places come back: more next hops and neighbours, one after the other, than there is room for.
TEST_F(RouteTableTest, NumbersAndPlacesAreUsedAgain) {
    make({.routes = 256, .neighbours = 64});
    for (uint32_t i = 0; i < 70'000; ++i) {
        set(v4(0x0a000000), 24, by(static_cast<uint16_t>(i % 3), v4(i)));
        if (i % 50 != 0) continue;
        table_->commit();
        table_->commit();  // what the first let go of
    }
    table_->commit();
    table_->commit();
    for (uint32_t i = 0; i < 1000; ++i) {
        ASSERT_TRUE(table_->set_neighbour(1, v4(i), NeighbourState::reachable, kMac).ok()) << i;
        table_->forget_neighbour(1, v4(i));
        if (i % 32 == 0) table_->commit();
    }
}

TEST_F(RouteTableTest, AFullTableRefusesAndKeepsWhatItHas) {
    make({.routes = 64, .neighbours = 16});
    set(v4(0), 0, to_port(1));
    uint32_t n = 0;
    Status last;
    while ((last = table_->set(prefix_of(v4(n << 12), 20), to_port(2)))) ++n;
    EXPECT_GE(n, 63u);
    EXPECT_NE(last.error().text.find("--routes"), std::string::npos) << last.error().text;
    table_->commit();
    EXPECT_EQ(hop(v4((n - 1) << 12)).port, 2);
    EXPECT_EQ(hop(v4(n << 12)).port, 1);
    remove(v4(0), 20);
    table_->commit();
    set(v4(n << 12), 20, to_port(2));
    table_->commit();
    EXPECT_EQ(hop(v4(n << 12)).port, 2);
    EXPECT_EQ(hop(v4(0)).port, 1);
}

}  // namespace
}  // namespace umbuf::test
