// SPDX-License-Identifier: BSD-2-Clause
// conf_test.cc - the configuration file: what is understood, and the line for each thing that is not.
#include "app/umfwd/conf/conf.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "app/umfwd/conf/source.h"
#include "app/umfwd/conf/words.h"
#include "tests/unit/conf_file.h"
#include "tests/unit/fixture.h"
#include "tests/unit/program.h"

namespace umbuf::test {
namespace {

using namespace fwd;

// Every table there is, and of each just what must be there. Each case adds a line to it.
const std::string kBase = R"([eal]
#eal
[options]
#options
[ipsec]
#ipsec
[[port]]
name = "lan"
device = "net_null0"
addresses = "10.1.0.1/16"
#port
[[route]]
to = "10.9.0.0/16"
via = "10.1.0.9"
#route
[[neighbour]]
address = "10.1.0.9"
mac = "02:00:00:00:00:09"
#neighbour
[[sa]]
child = "b"
direction = "out"
spi = 0x1000
alg = "aes-gcm-128"
key = "000102030405060708090a0b0c0d0e0f10111213"
src = "192.0.2.1"
dst = "192.0.2.2"
seq_floor = 0
#sa
[[sa]]
child = "b"
direction = "in"
spi = 0x1001
alg = "aes-gcm-128"
key = "100102030405060708090a0b0c0d0e0f10111213"
src = "192.0.2.2"
dst = "192.0.2.1"
#in
[[policy]]
direction = "out"
action = "protect"
child = "b"
#policy
)";

// with - the base with `line` where the mark "#table" is. The line that begins with the same key goes.
std::string with(const std::string& table, const std::string& line) {
    std::string text = kBase;
    const size_t mark = text.find("\n#" + table + "\n") + 1, head = text.rfind("\n[", mark) + 1;
    const std::string key = "\n" + line.substr(0, line.find(' ')) + " = ";
    text.replace(mark, table.size() + 1, line);
    const size_t old = text.find(key, head);
    if (old < mark - 1) text.replace(old, text.find('\n', old + 1) - old, "\n#gone");
    return text;
}
uint32_t line_of(const std::string& text, const std::string& line) {
    return static_cast<uint32_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(text.find("\n" + line) + 1), '\n')) + 1;
}
// said - of the base with this line: what stands behind "F:LINE: ", if that is all that was said.
std::string said(const std::string& table, const std::string& line) {
    const std::string text = with(table, line), all = complaints(text);
    const std::string front = "F:" + std::to_string(line_of(text, line)) + ": ";
    if (!all.starts_with(front) || std::count(all.begin(), all.end(), '\n') != 1) return "not in its line, or not alone: " + all;
    return all.substr(front.size(), all.size() - front.size() - 1);
}

TEST(Conf, TheBaseOfTheseTestsIsGood) { EXPECT_EQ(complaints(kBase), ""); }
TEST(Conf, AnEmptyFileIsGoodAndSaysNothing) {
    const ConfRead read = ConfFile("").read();
    ASSERT_NE(read.conf, nullptr);
    EXPECT_STREQ(read.conf->mode(), "io");
    EXPECT_TRUE(read.conf->ports.empty() && read.conf->options.empty() && read.conf->eal.empty());
}

TEST(Conf, EveryKeyOfAnSaIsUnderstood) {
    const ConfRead read = ConfFile(R"(
[[sa]]
name = "one"
child = "c"
direction = "out"
spi = 4096
alg = "aes-cbc-256+hmac-sha512"
key = '''
00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f
20212223 24252627 28292a2b 2c2d2e2f 30313233 34353637 38393a3b 3c3d3e3f
40414243 44454647 48494a4b 4c4d4e4f 50515253 54555657 58595A5B 5C5D5E5F
'''
src = "fd00::1"
dst = "fd00::2"
esn = true
udp = { src = 4500, dst = 31000 }
df = "set"
dscp = 46
ttl = 9
ecn = false
flow_label = 0x12345
decap_dscp = true
fragment = "before"
seq_floor = 77
seq_file = "one.seq"
soft = { bytes = 1, packets = 2, seconds = 3 }
hard = { bytes = 4, packets = 5, seconds = 6 }
[[sa]]
child = "c"
direction = "in"
mode = "transport"
spi = 0xffffffff
alg = "null+hmac-sha1"
key = "000102030405060708090a0b0c0d0e0f10111213"
src = "10.0.0.1"
dst = "10.0.0.2"
found_by = "spi_dst_src"
window = 4096
udp = true
nat_oa = { src = "192.168.0.1", dst = "203.0.113.1" }
)").read();
    ASSERT_NE(read.conf, nullptr) << read.errors.front();
    ASSERT_EQ(read.conf->sas.size(), 2u);
    const ConfSa &out = read.conf->sas[0], &in = read.conf->sas[1];
    const SaTerms& t = out.terms;
    EXPECT_EQ(out.name, "one");
    EXPECT_EQ(out.at.line, 2u);
    EXPECT_EQ(t.spi, 4096u);
    EXPECT_EQ(t.algorithm.name(), "aes-cbc-256+hmac-sha512");
    ASSERT_EQ(out.key.size(), 96u);
    for (size_t i = 0; i < 96; ++i) EXPECT_EQ(out.key.data()[i], static_cast<std::byte>(i));
    EXPECT_EQ(address_text(t.src) + address_text(t.dst), "fd00::1fd00::2");
    EXPECT_TRUE(t.esn && t.udp && !t.outer.ecn && t.outer.decap_dscp && !t.outer.copy_dscp && !t.outer.copy_flow_label);
    EXPECT_EQ(t.udp_dst, 31000);
    EXPECT_EQ(t.outer.df, DfRule::set);
    EXPECT_EQ(t.fragment, FragmentRule::before);
    EXPECT_EQ(t.outer.dscp, 46);
    EXPECT_EQ(t.outer.ttl, 9);
    EXPECT_EQ(t.outer.flow_label, 0x12345u);
    EXPECT_EQ(t.seq_floor, 77u);
    EXPECT_EQ(out.seq_file, "/tmp/one.seq") << "beside the file";
    EXPECT_EQ(t.soft.bytes + 10 * t.soft.packets + 100 * t.soft.seconds, 321u);
    EXPECT_EQ(t.hard.bytes + 10 * t.hard.packets + 100 * t.hard.seconds, 654u);
    EXPECT_EQ(in.terms.mode, SaMode::transport);
    EXPECT_EQ(in.found_by, SadKey::spi_dst_src);
    EXPECT_EQ(in.terms.window, 4096u);
    EXPECT_EQ(in.terms.udp_src, 4500);
    EXPECT_TRUE(in.terms.oa.known);
    EXPECT_EQ(address_text(in.terms.oa.src) + " " + address_text(in.terms.oa.dst), "192.168.0.1 203.0.113.1");
    EXPECT_EQ(in.key.size(), 20u);
    EXPECT_STREQ(read.conf->mode(), "esp");
}

TEST(Conf, EveryKeyOfAPolicyIsUnderstood) {
    const auto policy = [](const std::string& lines) {
        const ConfFile file("[[policy]]\ndirection = \"in\"\naction = \"bypass\"\n" + lines);
        const ConfRead read = file.read();
        EXPECT_NE(read.conf, nullptr) << (read.errors.empty() ? "" : read.errors.front());
        return read.conf == nullptr ? ConfPolicy{} : read.conf->policies.at(0);
    };
    ConfPolicy p = policy("name = \"p\"\npriority = 7\nsrc = \"10.1.0.0/16\"\ndst = \"10.0.0.5-10.0.0.9\"\nprotocol = \"udp\"\nsrc_port = 53\ndst_port = \"1000-2000\"");
    const Selector& s = p.policy.selector;
    EXPECT_EQ(p.name, "p");
    EXPECT_EQ(p.policy.priority, 7);
    EXPECT_EQ(p.policy.direction, Direction::in);
    EXPECT_EQ(p.policy.action, Action::bypass);
    EXPECT_EQ(address_text(s.src.from) + " " + address_text(s.src.to), "10.1.0.0 10.1.255.255");
    EXPECT_EQ(address_text(s.dst.from) + " " + address_text(s.dst.to), "10.0.0.5 10.0.0.9");
    EXPECT_EQ(s.proto, 17);
    EXPECT_EQ(s.first.from, 53);
    EXPECT_EQ(s.second.to, 2000);
    EXPECT_FALSE(p.both_families);
    EXPECT_TRUE(policy("").both_families) << "no address says which";
    EXPECT_TRUE(policy("src = \"any\"").both_families);
    EXPECT_TRUE(policy("dst = \"fd00::/8\"").policy.selector.src.from.v6) << "the other end follows";
    p = policy("protocol = \"icmpv6\"\nicmp_type = 1\nicmp_code = \"0-4\"");
    EXPECT_TRUE(p.policy.selector.src.from.v6 && !p.both_families);
    EXPECT_EQ(p.policy.selector.first.from, 0x100);
    EXPECT_EQ(p.policy.selector.first.to, 0x104);
    p = policy("protocol = \"icmp\"\nicmp_type = \"3-5\"");
    EXPECT_EQ(p.policy.selector.first.from, 0x300);
    EXPECT_EQ(p.policy.selector.first.to, 0x5ff);
    EXPECT_FALSE(p.policy.selector.src.from.v6);
    EXPECT_EQ(policy("protocol = 6\ndst_port = \"opaque\"").policy.selector.second.look, Look::opaque);
    EXPECT_EQ(policy("protocol = \"opaque\"").policy.selector.protocol, Look::opaque);
}

TEST(Conf, PortsRoutesAndNeighboursAreUnderstood) {
    const ConfRead read = ConfFile(R"(
[[port]]
name = "lan"
device = "0000:00:04.0"
side = "inside"
[[port]]
name = "wan"
device = "net_af_packet0,iface=eth0"
mtu = 9000
addresses = ["10.0.0.1/24", "fd00::1/64"]
[[route]]
to = "0.0.0.0/0"
via = "10.0.0.254"
[[route]]
to = "fd01::/16"
port = "lan"
[[neighbour]]
address = "fd00::7"
mac = "02:00:00:00:00:07"
)").read();
    ASSERT_NE(read.conf, nullptr) << read.errors.front();
    const Conf& c = *read.conf;
    EXPECT_EQ(c.ports[1].device_name(), "net_af_packet0");
    EXPECT_EQ(c.ports[1].mtu, 9000u);
    EXPECT_TRUE(c.ports[0].inside && !c.ports[1].inside) << "outside, if nothing is said";
    ASSERT_EQ(c.ports[1].addresses.size(), 2u);
    EXPECT_EQ(address_text(c.ports[1].addresses[0].address), "10.0.0.1");
    EXPECT_EQ(c.ports[1].addresses[1].bits, 64u);
    EXPECT_EQ(c.routes[0].port, "wan") << "by the network that via is in";
    EXPECT_FALSE(c.routes[1].via.has_value());
    EXPECT_EQ(c.neighbours[0].port, "wan");
    EXPECT_EQ(c.neighbours[0].mac.addr_bytes[5], 7);
    EXPECT_EQ(c.port_named("lan")->at.line, 2u);
    EXPECT_EQ(c.port_named("nobody"), nullptr);
    EXPECT_STREQ(c.mode(), "route");
}

// Every key, wrong in its type or beyond its range: one line, its own, with what was expected.
TEST(Conf, EveryWrongValueGetsItsLine) {
    const struct {
        const char *table, *line, *expected;
    } rows[] = {
        {"eal", "lcores = 3", "eal.lcores = 3: expected a string"},
        {"eal", "lcores = \"\"", "eal.lcores = \"\": expected a string that is not empty"},
        {"eal", "memory_mb = 0", "eal.memory_mb = 0: expected a number from 1 to 16777216"},
        {"eal", "memory_mb = 16777217", "eal.memory_mb = 16777217: expected a number from 1"},
        {"eal", "memory_mb = \"512\"", "eal.memory_mb = \"512\": expected a number"},
        {"eal", "huge = 0", "eal.huge = 0: expected true or false"},
        {"eal", "in_memory = \"yes\"", "eal.in_memory = \"yes\": expected true or false"},
        {"eal", "file_prefix = true", "eal.file_prefix = true: expected a string"},
        {"eal", "log_level = 8", "eal.log_level = 8: expected a level"},
        {"eal", "args = [1]", "eal.args = 1: expected other arguments of EAL"},
        {"eal", "args = \"--\"", "eal.args = \"--\": expected other arguments of EAL"},
        {"options", "burst = 0", "options.burst = 0: expected a number from 1 to 512"},
        {"options", "burst = 513", "options.burst = 513: expected a number from 1 to 512"},
        {"options", "burst = [32]", "options.burst = a list: expected one value"},
        {"options", "burst = { a = 1 }", "options.burst = a table: expected one value"},
        {"options", "burst = 1979-05-27", "options.burst = a date or a time: expected one value"},
        {"options", "forward_mode = \"nonsense\"", "options.forward_mode = \"nonsense\": expected one of io, mac"},
        {"options", "forward_mode = \"help\"", "options.forward_mode = \"help\": expected one of io, mac"},
        {"options", "strict = 1", "options.strict = 1: expected true or false"},
        {"options", "eth_peer = [\"0,02:00:00:00:00:01\", 4]", "options.eth_peer = 4: expected port,address"},
        {"options", "portlist = \"2-1\"", "options.portlist = \"2-1\": expected numbers and ranges"},
        {"options", "faults = { }", "options.faults = a table: expected one value"},
        {"ipsec", "engine = \"abacus\"", "ipsec.engine = \"abacus\": expected \"ipsec-mb\", \"cryptodev:NAME\" or"},
        {"ipsec", "udp_port = 65536", "ipsec.udp_port = 65536: expected a number from 0 to 65535"},
        {"ipsec", "udp_port = -1", "ipsec.udp_port = -1: expected a number from 0 to 65535"},
        {"ipsec", "sas = 1", "ipsec.sas = 1: expected a number from 2 to 1048576"},
        {"ipsec", "children = 0", "ipsec.children = 0: expected a number from 1 to 1048576"},
        {"port", "name = 1", "port.name = 1: expected a string"},
        {"port", "device = \"\"", "port.device = \"\": expected a string"},
        {"port", "mtu = 67", "port.mtu = 67: expected a number from 68 to 9710"},
        {"port", "side = \"within\"", "port.side = \"within\": expected one of outside, inside"},
        {"port", "mtu = 9711", "port.mtu = 9711: expected a number from 68 to 9710"},
        {"port", "mtu = 1500.0", "port.mtu = 1500: expected a number from 68 to 9710"},
        {"port", "addresses = [\"10.1.0.1/16\", \"10.2.0.1\"]", "port.addresses = \"10.2.0.1\": expected an address with its network"},
        {"port", "addresses = [\"10.1.0.1/16\", \"10.2.0.1/33\"]", "port.addresses = \"10.2.0.1/33\": expected an address with its network"},
        {"route", "to = \"10.0.0.1/8\"", "route.to = \"10.0.0.1/8\": expected a network"},
        {"route", "to = 10", "route.to = 10: expected a network"},
        {"route", "via = \"10.1.0\"", "route.via = \"10.1.0\": expected an address"},
        {"route", "port = \"lna\"", "route.port = \"lna\": expected one of the ports: lan"},
        {"neighbour", "mac = \"02:00:00:00:00\"", "neighbour.mac = \"02:00:00:00:00\": expected the address of one station"},
        {"neighbour", "mac = \"01:00:00:00:00:01\"", "neighbour.mac = \"01:00:00:00:00:01\": expected the address of one station"},
        {"neighbour", "address = \"10.1.0.256\"", "neighbour.address = \"10.1.0.256\": expected an IP address"},
        {"neighbour", "port = 0", "neighbour.port = 0: expected one of the ports: lan"},
        {"sa", "name = 1", "sa.name = 1: expected a name of 1 to 63 letters"},
        {"sa", "name = \"to b\"", "sa.name = \"to b\": expected a name of 1 to 63 letters"},
        {"sa", "name = \"all\"", "sa.name = \"all\": expected a name of 1 to 63 letters"},
        {"sa", "direction = \"up\"", "sa.direction = \"up\": expected one of in, out"},
        {"sa", "spi = 255", "sa.spi = 255: expected a number from 256 to 4294967295"},
        {"sa", "spi = 0x100000000", "sa.spi = 4294967296: expected a number from 256 to 4294967295"},
        {"sa", "alg = \"rot13\"", "sa.alg = \"rot13\": expected an algorithm: there is no cipher 'rot13': there are aes-gcm-128"},
        {"sa", "alg = \"aes-cbc-128\"", "sa.alg = \"aes-cbc-128\": expected an algorithm: aes-cbc-128 protects nothing alone"},
        {"sa", "alg = 1", "sa.alg = 1: expected the name of an algorithm"},
        {"sa", "alg = \"aes-gcm-256\"", "not in its line"},
        {"sa", "key = \"0001\"", "sa.key: 2 bytes: expected 20: 16 for aes-gcm-128's key, 4 of salt, 0 for"},
        {"sa", "key = \"\"", "sa.key: 0 hexadecimal digits are no bytes"},
        {"sa", "key = \"00010203q\"", "sa.key: character 9 is no hexadecimal digit"},
        {"sa", "key = 0x000102", "sa.key: expected hexadecimal digits in quotes"},
        {"sa", "key = 000102", "sa.key: expected hexadecimal digits in quotes"},
        {"sa", "key = [\"000102\", \"03\"]", "sa.key: expected hexadecimal digits in quotes"},
        {"sa", "key_file = \"/nonexistent\"", "sa.key_file = \"/nonexistent\": expected key or key_file, and both are there"},
        {"sa", "mode = \"beet\"", "sa.mode = \"beet\": expected one of tunnel, transport"},
        {"sa", "src = \"here\"", "sa.src = \"here\": expected an IP address"},
        {"sa", "dst = \"fd00::1\"", "sa.dst = \"fd00::1\": expected an address of the same family as src"},
        {"sa", "esn = \"on\"", "sa.esn = \"on\": expected true or false"},
        {"sa", "udp = 4500", "sa.udp = 4500: expected true, or ports"},
        {"sa", "udp = { src = 0 }", "sa.udp.src = 0: expected a number from 1 to 65535"},
        {"sa", "udp = { dst = 65536 }", "sa.udp.dst = 65536: expected a number from 1 to 65535"},
        {"sa", "df = \"maybe\"", "sa.df = \"maybe\": expected one of copy, set, clear"},
        {"sa", "fragment = \"both\"", "sa.fragment = \"both\": expected one of after, before"},
        {"sa", "dscp = 64", "sa.dscp = 64: expected \"copy\", or a number from 0 to 63"},
        {"sa", "dscp = \"keep\"", "sa.dscp = \"keep\": expected \"copy\", or a number from 0 to 63"},
        {"sa", "flow_label = 0x100000", "sa.flow_label = 1048576: expected \"copy\", or a number from 0 to 1048575"},
        {"sa", "ttl = 0", "sa.ttl = 0: expected a number from 1 to 255"},
        {"sa", "ttl = 256", "sa.ttl = 256: expected a number from 1 to 255"},
        {"sa", "ecn = 1", "sa.ecn = 1: expected true or false"},
        {"sa", "decap_dscp = 1", "sa.decap_dscp = 1: expected true or false"},
        {"sa", "seq_floor = -1", "sa.seq_floor = -1: expected a number from 0 on"},
        {"sa", "seq_file = 1", "sa.seq_file = 1: expected a string"},
        {"sa", "soft = 1", "sa.soft = 1: expected a table"},
        {"sa", "soft = { bytes = 0 }", "sa.soft.bytes = 0: expected a number from 1 on"},
        {"sa", "hard = { packets = \"1\" }", "sa.hard.packets = \"1\": expected a number from 1 on"},
        {"sa", "hard = { seconds = 1.5 }", "sa.hard.seconds = 1.5: expected a number from 1 on"},
        {"sa", "window = 64", "sa.window = 64: an outbound SA receives nothing: leave it out"},
        {"sa", "found_by = \"spi\"", "sa.found_by = \"spi\": an outbound SA receives nothing: leave it out"},
        {"sa", "nat_oa = { src = \"10.0.0.1\" }", "sa.nat_oa = a table: an outbound SA receives nothing: leave it out"},
        {"in", "nat_oa = { src = \"10.0.0.1\" }", "sa.nat_oa = a table: expected with mode \"transport\" and udp only: leave it out"},
        {"in", "window = 31", "sa.window = 31: expected a number from 32 to 4096"},
        {"in", "window = 4097", "sa.window = 4097: expected a number from 32 to 4096"},
        {"in", "found_by = \"luck\"", "sa.found_by = \"luck\": expected one of spi, spi_dst, spi_dst_src"},
        {"in", "seq_floor = 1", "sa.seq_floor = 1: an inbound SA sends nothing: leave it out"},
        {"in", "seq_file = \"f\"", "sa.seq_file = \"f\": an inbound SA sends nothing: leave it out"},
        {"policy", "name = 1", "policy.name = 1: expected a name"},
        {"policy", "direction = 1", "policy.direction = 1: expected one of in, out"},
        {"policy", "priority = -1", "policy.priority = -1: expected a number from 0 to 2147483647"},
        {"policy", "action = \"encrypt\"", "policy.action = \"encrypt\": expected one of protect, bypass, discard"},
        {"policy", "src = \"10.0.0.1/8\"", "policy.src = \"10.0.0.1/8\": expected \"any\", a network"},
        {"policy", "dst = \"10.0.0.9-10.0.0.1\"", "policy.dst = \"10.0.0.9-10.0.0.1\": expected \"any\", a network"},
        {"policy", "dst = \"10.0.0.9-fd00::1\"", "policy.dst = \"10.0.0.9-fd00::1\": expected \"any\", a network"},
        {"policy", "protocol = 256", "policy.protocol = 256: expected \"any\", \"opaque\", one of icmp, tcp"},
        {"policy", "protocol = \"tpc\"", "policy.protocol = \"tpc\": expected \"any\", \"opaque\", one of icmp, tcp"},
        {"policy", "src_port = 65536", "policy.src_port = 65536: expected \"any\", \"opaque\", a port, or FROM-TO"},
        {"policy", "dst_port = \"9-3\"", "policy.dst_port = \"9-3\": expected \"any\", \"opaque\", a port, or FROM-TO"},
        {"policy", "icmp_type = 8", "policy.icmp_type = 8: expected with protocol icmp or icmpv6 only"},
        {"policy", "child = 1", "policy.child = 1: expected a name"},
    };
    for (const auto& row : rows) EXPECT_EQ(said(row.table, row.line).substr(0, std::string_view(row.expected).size()), row.expected) << row.line;
}

TEST(Conf, EveryTableOfTheWrongKindGetsItsLine) {
    EXPECT_EQ(complaints("sa = 3\n"), "F:1: sa = 3: expected tables, each headed [[sa]]\n");
    EXPECT_EQ(complaints("\n[port]\nname = \"a\"\n"), "F:2: port = a table: expected tables, each headed [[port]]\n");
    EXPECT_EQ(complaints("policy = [1]\n"), "F:1: policy = 1: expected tables, each headed [[policy]]\n");
    EXPECT_EQ(complaints("[[eal]]\n"), "F:1: eal = a list: expected a table\n");
    EXPECT_EQ(complaints("options = \"burst\"\n"), "F:1: options = \"burst\": expected a table\n");
}

TEST(Conf, AnUnknownKeyIsNamedWithTheNearestOne) {
    EXPECT_EQ(said("eal", "lcore = 1"), "eal.lcore is unknown; the nearest that there is: eal.lcores");
    EXPECT_EQ(said("options", "brust = 1"), "options.brust is unknown; the nearest that there is: options.burst");
    EXPECT_EQ(said("options", "port-topology = \"loop\""), "options.port-topology is unknown; the nearest that there is: options.port_topology");
    EXPECT_EQ(said("options", "check_conf = \"x\"").substr(0, 29), "options.check_conf is unknown");
    EXPECT_EQ(said("options", "help = true").substr(0, 23), "options.help is unknown");
    EXPECT_EQ(said("ipsec", "udpport = 1"), "ipsec.udpport is unknown; the nearest that there is: ipsec.udp_port");
    EXPECT_EQ(said("port", "adresses = []"), "port.adresses is unknown; the nearest that there is: port.addresses");
    EXPECT_EQ(said("route", "gateway = 1").substr(0, 24), "route.gateway is unknown");
    EXPECT_EQ(said("neighbour", "lladdr = 1").substr(0, 27), "neighbour.lladdr is unknown");
    EXPECT_EQ(said("sa", "flow-label = 1"), "sa.flow-label is unknown; the nearest that there is: sa.flow_label");
    EXPECT_EQ(said("sa", "soft = { byte = 1 }"), "sa.soft.byte is unknown; the nearest that there is: sa.soft.bytes");
    EXPECT_EQ(said("policy", "srcport = 1"), "policy.srcport is unknown; the nearest that there is: policy.src_port");
    EXPECT_EQ(complaints("[ports]\n"), "F:1: ports is unknown; the nearest that there is: port\n");
    EXPECT_EQ(complaints("\"\\u001b[2J\" = 1\n").substr(0, 18), "F:1: \\u001b[2J is ") << "no control characters to a terminal";
}

TEST(Conf, WhatIsMissingIsNamedAtItsTable) {
    EXPECT_EQ(complaints("\n[[port]]\n"), "F:2: port.name is missing: expected what this file calls the port, such as \"wan\"\n"
                                          "F:2: port.device is missing: expected what is written behind --vdev or -a, such as \"net_af_packet0,iface=eth0\" or \"0000:00:04.0\"\n");
    const std::string sa = complaints("[[sa]]\nspi = 256\n");
    for (const char* key : {"child", "direction", "alg", "key", "src", "dst"}) EXPECT_NE(sa.find(std::string("F:1: sa.") + key + " is missing: expected "), std::string::npos) << key << " in\n" << sa;
    EXPECT_NE(complaints("[[policy]]\ndirection = \"in\"\naction = \"protect\"\n").find("F:1: policy.child is missing"), std::string::npos);
    EXPECT_NE(complaints("[[policy]]\n").find("F:1: policy.action is missing"), std::string::npos);
    EXPECT_NE(complaints("[[route]]\n").find("F:1: route.to is missing"), std::string::npos);
    EXPECT_NE(complaints("[[neighbour]]\n").find("F:1: neighbour.mac is missing"), std::string::npos);
}

TEST(Conf, AllErrorsAreToldAtOnceInTheOrderOfTheFile) {
    const std::string all = complaints("[[sa]]\nchild = 1\nspi = 3\n[options]\nburst = 0\nfrag_size = 1\n[eal]\nhueg = true\n");
    std::vector<int> lines;
    for (size_t at = 0; at < all.size(); at = all.find('\n', at) + 1) lines.push_back(std::stoi(all.substr(at + 2)));
    EXPECT_TRUE(std::is_sorted(lines.begin(), lines.end())) << all;
    for (const int line : {1, 2, 3, 5, 6, 8}) EXPECT_NE(std::find(lines.begin(), lines.end(), line), lines.end()) << line << " in\n" << all;
}

TEST(Conf, WhatIsNoTomlIsToldByLineAndColumn) {
    EXPECT_EQ(complaints("[eal]\nlcores = \n").substr(0, 34), "F:2: column 10: this is no TOML: E");
    EXPECT_NE(complaints("a = 1\na = 2\n").find("F:2: column 5: this is no TOML"), std::string::npos);
    EXPECT_NE(complaints("\xff\xfe\n").find("F:1: column"), std::string::npos);
    EXPECT_EQ(complaints("\n# " + std::string(2000, 'x')), "F:2: a line of 2002 bytes: expected 1024 at most\n");
    EXPECT_NE(complaints(std::string(100000, '[')).find("a line of 100000 bytes"), std::string::npos);
    std::string deep = "a = ";
    for (int i = 0; i < 1000; ++i) deep += "[\n";
    EXPECT_NE(complaints(deep), "");
}

TEST(Conf, FilesThatAreNoneAreRefused) {
    EXPECT_EQ(read_conf("/nonexistent/a.toml").errors, (std::vector<std::string>{"/nonexistent/a.toml: cannot be read: No such file or directory"}));
    EXPECT_EQ(read_conf("/tmp").errors, (std::vector<std::string>{"/tmp: is no file of text"}));
    EXPECT_EQ(read_conf("/dev/null").errors, (std::vector<std::string>{"/dev/null: is no file of text"}));
}

// ---- what one table cannot know

TEST(Conf, NoncesAreNotUsedTwice) {
    EXPECT_NE(complaints(with("sa", "seq_floor = 0")).empty(), false);
    std::string text = kBase;
    text.erase(text.find("seq_floor = 0\n"), 14);
    EXPECT_NE(complaints(text).find("sa.seq_floor is missing: expected the last number that this key of aes-gcm-128 has sent"), std::string::npos);
    EXPECT_EQ(complaints(with("sa", "seq_file = \"/var/lib/umbuf/b.seq\"")), "");
    // One key for two SAs; but not where they are the two ends of one.
    EXPECT_EQ(said("in", "key = \"000102030405060708090a0b0c0d0e0f10111213\"").substr(0, 13), "not in its li");
    EXPECT_NE(complaints(with("in", "key = \"00 01 02030405060708090a0b0c0d0e0f10111213\"")).find("sa.key: expected another key, or nonces would be used twice, than that of the SA, of line 20"), std::string::npos);
    std::string ends = with("in", "key = \"000102030405060708090a0b0c0d0e0f10111213\"");
    ends.replace(ends.find("0x1001"), 6, "0x1000");
    EXPECT_EQ(complaints(ends), "");
}

TEST(Conf, ThingsThatMustDifferDo) {
    const std::string port = "[[port]]\nname = \"a\"\ndevice = \"net_null0,size=64\"\naddresses = \"10.0.0.1/8\"\n";
    const std::string twice = complaints(port + port);
    EXPECT_NE(twice.find("F:5: port.name = \"a\": expected another name: the port of line 1 has it"), std::string::npos) << twice;
    EXPECT_NE(twice.find("F:5: port.device = \"net_null0\": expected another device: the port of line 1 has it"), std::string::npos) << twice;
    EXPECT_NE(twice.find("F:5: port.addresses: 10.0.0.1: expected another address: the port of line 1 has it"), std::string::npos) << twice;
    const std::string sa = kBase.substr(kBase.find("#sa\n") + 4, kBase.find("#in\n") - kBase.find("#sa\n") - 4);
    EXPECT_NE(complaints(kBase + sa).find("sa.spi = 0x1001: expected another SPI than that of the inbound SA, of line 30"), std::string::npos) << complaints(kBase + sa);
    std::string elsewhere = sa;
    elsewhere.replace(elsewhere.find("dst = \"192.0.2.1\""), 17, "dst = \"192.0.2.9\"");
    EXPECT_EQ(complaints(kBase + elsewhere).find("sa.spi"), std::string::npos) << "another destination may use the number";
}

TEST(Conf, PoliciesNameChildrenThatThereAre) {
    const std::string text = with("policy", "child = \"bb\"");
    EXPECT_NE(complaints(text).find("policy.child = \"bb\": expected the child of an SA, the nearest is \"b\""), std::string::npos) << complaints(text);
    EXPECT_NE(complaints("[[policy]]\ndirection = \"in\"\naction = \"protect\"\nchild = \"c\"\n").find("and there are no SAs"), std::string::npos);
    EXPECT_NE(complaints("[[policy]]\ndirection = \"in\"\naction = \"bypass\"\nchild = \"c\"\n").find("policy.child = \"c\": only what is protected has one"), std::string::npos);
    EXPECT_NE(complaints("[[policy]]\ndirection = \"in\"\naction = \"bypass\"\nsrc_port = 7\n").find("F:1: policy: a selector: ports are of one protocol"), std::string::npos);
    EXPECT_NE(complaints("[[policy]]\ndirection = \"in\"\naction = \"bypass\"\nsrc = \"10.0.0.1\"\ndst = \"fd00::1\"\n").find("both IPv4, or both IPv6"), std::string::npos);
}

TEST(Conf, TransportModeHasNoOuterHeader) {
    for (const char* line : {"df = \"copy\"", "dscp = 1", "ecn = true", "flow_label = 1", "ttl = 1", "decap_dscp = true"})
        EXPECT_NE(complaints(with("sa", std::string(line) + "\nmode = \"transport\"")).find("transport mode has no outer header: leave it out"), std::string::npos) << line;
}

TEST(Conf, WhoIsCutIsSaidOfWhatIsSent) {
    EXPECT_EQ(complaints(with("sa", "fragment = \"before\"")), "");
    EXPECT_NE(complaints(with("in", "fragment = \"after\"")).find("sa.fragment = \"after\": an inbound SA sends nothing"), std::string::npos);
    EXPECT_EQ(complaints(with("sa", "fragment = \"after\"\nmode = \"transport\"")), "");
    EXPECT_NE(complaints(with("sa", "fragment = \"before\"\nmode = \"transport\"")).find("transport mode protects whole packets"), std::string::npos);
}

TEST(Conf, TheAddressesBehindANatAreTwo) {
    const auto said_of = [](const std::string& value) { return complaints(with("in", "udp = true\nmode = \"transport\"\nnat_oa = " + value)); };
    EXPECT_EQ(said_of("{ src = \"10.0.0.1\", dst = \"10.0.0.2\" }"), "");
    EXPECT_NE(said_of("{ src = \"10.0.0.1\" }").find("sa.nat_oa.dst is missing: expected the address that the sender's packets had"), std::string::npos);
    EXPECT_NE(said_of("{ src = \"10.0.0.1\", dst = \"fd00::1\" }").find("sa.nat_oa.dst = \"fd00::1\": expected an address of the same family as src"), std::string::npos);
}

TEST(Conf, AModeThatWouldNotLookAtThePoliciesIsRefused) {
    const ConfRead read = ConfFile(kBase).read();
    ASSERT_NE(read.conf, nullptr);
    EXPECT_TRUE(read.conf->served_by("esp").ok());
    EXPECT_NE(read.conf->served_by("io").error().text.find("has policies or SAs, and this mode would not look at them; expected mode esp"), std::string::npos);
    const ConfRead routes = ConfFile("[[port]]\nname=\"a\"\ndevice=\"net_null0\"\naddresses=\"10.0.0.1/8\"\n").read();
    EXPECT_TRUE(routes.conf->served_by("route").ok() && routes.conf->served_by("esp").ok());
    EXPECT_FALSE(routes.conf->served_by("mac").ok());
}

// ---- keys

TEST(ConfKeys, AFileWithAKeyThatOthersCanReadIsRefusedUnlessToldOtherwise) {
    for (const mode_t rights : {0640u, 0620u, 0610u, 0604u, 0602u, 0601u, 0644u})
        EXPECT_NE(complaints(kBase, rights).find("F:25: sa.key: a key in a file with rights 0"), std::string::npos) << complaints(kBase, rights);
    EXPECT_EQ(complaints(kBase, 0644, true), "");
    EXPECT_EQ(complaints(kBase, 0400), "");
    EXPECT_EQ(complaints("[eal]\nhuge = false\n", 0644), "") << "there is no key in it";
}

TEST(ConfKeys, AKeyMayBeInAFileOfItsOwn) {
    const ConfFile key("000102030405060708090a0b0c0d0e0f10111213\n"), open("00\n", 0604);
    std::string text = kBase;
    const std::string line = "key = \"000102030405060708090a0b0c0d0e0f10111213\"";
    text.replace(text.find(line), line.size(), "key_file = \"" + std::filesystem::path(key.path()).filename().string() + "\"");
    const ConfFile file(text);
    const ConfRead read = file.read();
    ASSERT_NE(read.conf, nullptr) << read.errors.front();
    EXPECT_EQ(read.conf->sas[0].key.size(), 20u) << "beside the configuration";
    text.replace(text.find(std::filesystem::path(key.path()).filename().string()), 14, open.path().substr(5));
    EXPECT_NE(complaints(text).find("is open to everybody: chmod o="), std::string::npos) << complaints(text);
}

// K1, K2, C2. Whatever somebody does with a key, no parser sees it and no message has it.
TEST(ConfKeys, NoParserSeesAKeyAndNoMessageHasIt) {
    const std::string key = "deadbeef0badcafe1122334455667788feedface";
    const std::string ways[] = {
        "key = \"K\"", "key=\"K\"", "key\t= 'K'", "\"key\" = \"K\"", "'key' = \"K\"", "key = \"\"\"K\"\"\"", "key = '''\nK\n'''", "key = \"K",
        "key = \"\"\"K", "key = 'K", "key = K", "key = 0xK", "key = [\"K\", \"K\"]", "key = [\n\"K\",\n\"K\"\n]", "key = \"KK\"", "key = \"Kx\"", "key = \"\\K\"",
        "key = \"K\\", "sa.key = \"K\"", "x = { key = \"K\" }", "x = { key = K }", "key = { a = \"K\" }", "key = \"K\" key = \"K\"", "# key = \"K\"", "key =\"K\"\nkey = \"K\"",
        "kye = \"K\"", "kye = 0xK", "kye = K", "kye = [K]", "alg = \"K\"", "alg = 0xK", "spi = 0xK", "key_file = \"K\"", "name = \"K\"\nx = \"K\"", "K = \"K\"", "[K]", "[[K]]", "K",
        "src = \"K\"", "dscp = \"K\"", "seq_floor = 0xK", "child = [\"K\"]",
    };
    for (std::string way : ways) {
        const bool ours = way.starts_with("key") || way.find("key\"") != std::string::npos || way.find("key'") != std::string::npos;
        for (size_t at; (at = way.find('K')) != std::string::npos;) way.replace(at, 1, key);
        const std::string text = "[[sa]]\n" + way + "\n[options]\nburst = 0\n";
        const std::string said = complaints(text);
        EXPECT_NE(said, "") << way;
        for (size_t i = 0; i + 8 <= key.size(); ++i) EXPECT_EQ(said.find(key.substr(i, 8)), std::string::npos) << way << "\n" << said;
        const Result<Source> source = Source::of(text);
        ASSERT_TRUE(source.ok());
        const std::string_view seen = source.value().text();
        EXPECT_EQ(seen.size(), text.size());
        for (size_t i = 0; i < text.size(); ++i) ASSERT_EQ(seen[i] == '\n', text[i] == '\n') << way;
        if (ours && !way.starts_with("key_file")) { EXPECT_EQ(seen.find("deadbeef"), std::string_view::npos) << way << "\n" << seen; }
    }
}

TEST(ConfKeys, WhatLooksLikeAKeyIsLeftOutOfMessages) {
    for (const char* key : {"0123456789abcdef", "01 23 45 67 89 ab cd ef", "01234567 89abcdef", "01:23:45:67:89:ab:cd:ef", "DEADBEEFdeadbeefdeadbeef"}) {
        EXPECT_EQ(without_secrets(key), "...");
        EXPECT_EQ(without_secrets(std::string("x=\"") + key + "\" y"), "x=\"...\" y");
        EXPECT_NE(complaints(std::string("[[sa]]\nalg = \"") + key + "\"\n").find("sa.alg = \"...\": expected an algorithm"), std::string::npos);
    }
    for (const char* text : {"", "0123456789abcde", "2001:db8:1111:2222:3333:4444:5555:6666", "02:00:00:00:00:01", "fe80::1", "a bad face", "4294967295", "of 2000 bytes: expected 1024"})
        EXPECT_EQ(without_secrets(text), text);
}

TEST(ConfKeys, KeysAreFoundByTheirPlace) {
    const Result<Source> source = Source::of("a = \"\xc3\xa9\"\nx = { y = \"\xc3\xa9\", key = \"01\" }\n  key='ff 00'\nmonkey = \"02\"\nkey_file = \"03\"\n");
    ASSERT_TRUE(source.ok());
    const auto at = [&](uint32_t line, uint32_t column) {
        const Result<Secret> key = source.value().key_at({line, column});
        return key.ok() ? std::string(reinterpret_cast<const char*>(key.value().data()), key.value().size()) : "none";
    };
    EXPECT_EQ(at(2, 22), "\x01") << "columns are characters";
    EXPECT_EQ(at(3, 7), std::string("\xff\x00", 2));
    EXPECT_EQ(at(1, 5), "none");
    EXPECT_NE(source.value().text().find("monkey = \"02\"\nkey_file = \"03\""), std::string_view::npos) << "those are no keys";
}

// ---- damage

std::vector<std::string> examples() {
    std::vector<std::string> texts{kBase};
    for (const auto& entry : std::filesystem::directory_iterator(source_root + "/conf"))
        if (entry.path().extension() == ".toml") texts.push_back(file_text(entry.path()));
    return texts;
}

TEST(ConfDamage, ATruncatedFileIsReadOrRefused) {
    for (const std::string& text : examples())
        for (size_t size = seed() % 7; size < text.size(); size += 7) (void)complaints(std::string_view(text).substr(0, size));
}

// Goal: no text makes the reader crash, or say nothing and take nothing. Method: the examples, with characters
// replaced and put in, parts cut out and repeated, as a printed seed has it. UM_ROUNDS=n: that many.
TEST(ConfDamage, RandomDamageIsReadOrRefused) {
    std::mt19937_64 random(seed());
    const std::vector<std::string> texts = examples();
    const std::string salt = "\"'[]{}=.,#\n\\-+_0x9zK \t\r\x01\xff\xc3\xa9";
    const char* given = std::getenv("UM_ROUNDS");
    const int rounds = given != nullptr ? std::atoi(given) : 1200;
    for (int round = 0; round < rounds; ++round) {
        std::string text = texts[random() % texts.size()];
        for (uint64_t n = random() % 6; n <= 6; ++n) {
            const size_t at = random() % text.size(), size = random() % std::min<size_t>(40, text.size() - at);
            switch (random() % 4) {
            case 0: text[at] = salt[random() % salt.size()]; break;
            case 1: text.erase(at, size); break;
            case 2: text.insert(random() % text.size(), text.substr(at, size)); break;
            default: text.insert(at, 1, salt[random() % salt.size()]);
            }
            if (text.empty()) text = "#";
        }
        (void)complaints(text);
    }
}

}  // namespace
}  // namespace umbuf::test
