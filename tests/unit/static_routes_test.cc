// SPDX-License-Identifier: BSD-2-Clause
// static_routes_test.cc - what a file says of addresses, routes and neighbours, in a table without a kernel.
#include "app/umfwd/route/static_routes.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "app/umfwd/conf/words.h"
#include "tests/unit/conf_file.h"
#include "tests/unit/esp_readers.h"

namespace umbuf::test {
namespace {

using namespace fwd;

constexpr const char* kFile = R"(
[[port]]
name = "lan"
device = "net_ring_link0b"
addresses = ["10.1.0.1/16", "fd00:1::1/64"]

[[port]]
name = "wan"
device = "net_null0"
addresses = "192.0.2.1/24"

[[route]]
to = "10.2.0.0/16"
via = "192.0.2.2"

[[route]]
to = "10.1.0.0/16"
via = "192.0.2.9"

[[neighbour]]
address = "192.0.2.2"
mac = "02:00:00:00:00:22"

[[neighbour]]
address = "10.1.0.7"
mac = "02:00:00:00:00:07"
port = "lan"
)";

class StaticRoutes : public EspTest {
  protected:
    void SetUp() override {
        EspTest::SetUp();
        auto made = RouteTable::make({.routes = 64, .neighbours = 64}, readers_.get());
        ASSERT_TRUE(made.ok()) << made.error().text;
        table_ = std::move(made).value();
    }
    void TearDown() override {
        table_.reset();
        EspTest::TearDown();
    }
    Status set(const std::map<std::string, StaticPort>& ports) {
        const ConfFile file(kFile);
        const ConfRead read = file.read();
        EXPECT_NE(read.conf, nullptr) << (read.errors.empty() ? "" : read.errors.front());
        return set_static_routes(*read.conf, ports, *table_);
    }
    // way - "port 3 mac 02:.." and so on.
    std::string way(const std::string& to) {
        IpAddress address;
        EXPECT_TRUE(to_address(to, &address));
        Hop hop;
        if (address.v6) {
            uint8_t bytes[1][16];
            std::copy(address.bytes.begin(), address.bytes.end(), bytes[0]);
            table_->lookup6(bytes, &hop, 1);
        } else {
            const uint32_t bytes = load32(reinterpret_cast<const std::byte*>(address.bytes.data()));
            table_->lookup4(&bytes, &hop, 1);
        }
        if (hop.kind == RouteKind::none) return "none";
        if (hop.kind == RouteKind::local) return "local";
        const bool known = hop.state == NeighbourState::reachable;
        return fmt::format("port {} mtu {} to {}", hop.port, hop.mtu, known ? std::to_string(hop.mac.addr_bytes[5]) : "nobody");
    }
    Readers readers_;
    std::unique_ptr<RouteTable> table_;
};

TEST_F(StaticRoutes, AreWhatTheKernelWouldMakeOfTheFile) {
    const Status done = set({{"lan", {3, 1500}}, {"wan", {0, 1400}}});
    ASSERT_TRUE(done.ok()) << done.error().text;
    EXPECT_EQ(way("10.1.0.1"), "local");
    EXPECT_EQ(way("192.0.2.1"), "local");
    EXPECT_EQ(way("fd00:1::1"), "local");
    EXPECT_EQ(way("10.2.3.4"), "port 0 mtu 1400 to 34") << "by the gateway";
    EXPECT_EQ(way("192.0.2.2"), "port 0 mtu 1400 to 34");
    EXPECT_EQ(way("192.0.2.3"), "port 0 mtu 1400 to nobody");
    EXPECT_EQ(way("fd00:1::2"), "port 3 mtu 1500 to nobody");
    EXPECT_EQ(way("10.1.0.7"), "port 0 mtu 1400 to nobody") << "a route of the file wins over a network on the link";
    EXPECT_EQ(way("10.3.0.1"), "none");
    IpAddress own;
    EXPECT_TRUE(table_->own_address(3, false, &own)) << "what a lane says itself has an address";
}

TEST_F(StaticRoutes, PortsThatAreNotHereHaveNone) {
    ASSERT_TRUE(set({{"lan", {3, 1500}}}).ok());
    EXPECT_EQ(way("10.1.0.7"), "port 3 mtu 1500 to 7");
    EXPECT_EQ(way("192.0.2.1"), "none");
    EXPECT_EQ(way("10.2.0.1"), "none");
}

}  // namespace
}  // namespace umbuf::test
