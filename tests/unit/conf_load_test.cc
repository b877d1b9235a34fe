// SPDX-License-Identifier: BSD-2-Clause
// conf_load_test.cc - configurations in a database: packets go the way that the file says.
#include "app/umfwd/gateway/book.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "app/umfwd/conf/words.h"
#include "tests/unit/conf_file.h"
#include "tests/unit/esp_readers.h"
#include "tests/unit/program.h"

namespace umbuf::test {
namespace {

using namespace fwd;

class ConfLoad : public EspTest {
  protected:
    struct Loaded {
        std::unique_ptr<IpsecDb> db;
        std::unique_ptr<Book> book;
    };
    Loaded load(const std::string& text) {
        const ConfFile file(text);
        ConfRead read = file.read();
        EXPECT_NE(read.conf, nullptr) << (read.errors.empty() ? "" : read.errors.front());
        Loaded loaded{std::move(IpsecDb::make(ipsec_config(*read.conf, 0), ipsec_mb_engine, readers_.get()).value()), nullptr};
        loaded.book = std::make_unique<Book>(*loaded.db);
        const Status done = loaded.book->load(read.conf, 0);
        EXPECT_TRUE(done.ok()) << done.error().text;
        return loaded;
    }
    static std::string example(const std::string& name) { return file_text(source_root + "/conf/" + name); }

    // packet - UDP, or with another protocol's number in its header, between these addresses.
    static std::string packet(const std::string& src, const std::string& dst, uint8_t proto = kProtoUdp, uint16_t from = 1111, uint16_t to = 2222) {
        IpAddress a, b;
        EXPECT_TRUE(to_address(src, &a) && to_address(dst, &b));
        std::string p = udp_packet({.v6 = a.v6, .proto = proto}, 64);
        const size_t size = a.v6 ? 16 : 4, at = a.v6 ? 8 : 12;
        std::memcpy(p.data() + at, a.bytes.data(), size);
        std::memcpy(p.data() + at + size, b.bytes.data(), size);
        p.replace(a.v6 ? 40 : 20, 4, be16(from) + be16(to));
        if (!a.v6) ipv4_checksum(bytes_in(p), 20);
        return p;
    }
    IpsecFate pass(IpsecDb& db, bool in, Mbuf*& m) {
        IpsecFate fate;
        in ? ipsec_in(db, lane(), &m, &fate, 1) : ipsec_out(db, lane(), &m, &fate, 1);
        return fate;
    }
    IpsecWay way(IpsecDb& db, bool in, const std::string& bytes) {
        Mbuf* m = clustered(bytes);
        const IpsecWay w = pass(db, in, m).way;
        m_freem(m);
        return w;
    }
    Readers readers_;
};

// The other end has the same file, with in and out exchanged, and source and destination in policies.
std::string other_end(std::string text) {
    const auto swap = [&text](const std::string& a, const std::string& b) {
        for (const auto& [from, to] : {std::pair{a, std::string("\x01")}, {b, a}, {std::string("\x01"), b}})
            for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
    };
    swap("direction = \"out\"", "direction = \"in\"");
    const auto drop = [&text](const std::string& key) {
        for (size_t at; (at = text.find("\n" + key + " = ")) != std::string::npos;) text.erase(at, text.find('\n', at + 1) - at);
    };
    for (const char* key : {"seq_floor", "window", "found_by"}) drop(key);
    for (size_t at = 0; (at = text.find("[[sa]]\n", at)) != std::string::npos; at += 7)
        if (text.find("direction = \"out\"", at) < text.find("[[", at + 2)) text.insert(at + 7, "seq_floor = 0\n");
    return text;
}

struct Flow {
    const char *file, *src, *dst;
    uint8_t proto;
    uint16_t port;
};
class ConfExample : public ConfLoad, public ::testing::WithParamInterface<Flow> {};

TEST_P(ConfExample, CarriesAPacketToItsOtherEnd) {
    const Flow& flow = GetParam();
    Loaded here = load(example(flow.file)), there = load(other_end(example(flow.file)));
    const std::string sent = packet(flow.src, flow.dst, flow.proto, 1111, flow.port);
    for (int turn = 0; turn < 3; ++turn) {
        Mbuf* m = clustered(sent);
        ASSERT_EQ(pass(*here.db, false, m).way, IpsecWay::esp);
        EXPECT_EQ(bytes_of(m).find(sent.substr(sent.size() - 40)), std::string::npos) << "it is not in the clear";
        const IpsecFate fate = pass(*there.db, true, m);
        EXPECT_EQ(fate.way, IpsecWay::esp) << name_of(fate.esp.why);
        EXPECT_EQ(bytes_of(m), sent);
        m_freem(m);
    }
    EXPECT_EQ(way(*there.db, true, sent), IpsecWay::refused) << "in the clear";
    EXPECT_EQ(way(*here.db, false, packet("203.0.113.99", "203.0.113.98")), std::string(flow.file) == "bench-esp.toml" ? IpsecWay::esp : IpsecWay::refused)
        << "no policy is for it";
}

INSTANTIATE_TEST_SUITE_P(Conf, ConfExample,
                         ::testing::Values(Flow{"tunnel-v4.toml", "10.1.2.3", "10.2.3.4", kProtoUdp, 2222}, Flow{"tunnel-v6-in-v4.toml", "2001:db8:1::7", "2001:db8:2::9", kProtoUdp, 2222},
                                           Flow{"transport.toml", "10.1.0.7", "192.0.2.80", kProtoUdp, 443}, Flow{"transport.toml", "10.1.0.7", "192.0.2.80", kProtoTcp, 443},
                                           Flow{"nat-t.toml", "10.1.0.7", "10.0.77.1", kProtoUdp, 2222}, Flow{"many-sas.toml", "10.0.0.7", "10.8.0.1", kProtoUdp, 2222},
                                           Flow{"bench-esp.toml", "10.1.0.7", "10.8.0.1", kProtoUdp, 2222}),
                         [](const auto& p) {
                             std::string name = std::string(p.param.file) + std::to_string(p.index);
                             std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
                             return name;
                         });

TEST_F(ConfLoad, TheTunnelLetsPingsOfTheGatewayPassAndNothingElse) {
    Loaded l = load(example("tunnel-v4.toml"));
    EXPECT_EQ(l.book->sas().size(), 2u);
    EXPECT_EQ(way(*l.db, false, packet("192.0.2.1", "192.0.2.77", kProtoIcmp)), IpsecWay::bypass);
    EXPECT_EQ(way(*l.db, true, packet("192.0.2.77", "192.0.2.1", kProtoIcmp)), IpsecWay::bypass);
    EXPECT_EQ(way(*l.db, true, packet("192.0.2.77", "192.0.2.1")), IpsecWay::refused);
    EXPECT_EQ(way(*l.db, true, packet("10.2.0.1", "10.1.0.1", kProtoIcmp)), IpsecWay::refused) << "it must come through the tunnel";
}

TEST_F(ConfLoad, APolicyWithoutAddressesIsOfBothFamilies) {
    Loaded l = load("[[policy]]\ndirection = \"out\"\naction = \"bypass\"\nprotocol = \"udp\"\ndst_port = \"2000-3000\"\n");
    EXPECT_EQ(l.db->spd.policies().size(), 2u);
    EXPECT_EQ(way(*l.db, false, packet("10.0.0.1", "10.0.0.2")), IpsecWay::bypass);
    EXPECT_EQ(way(*l.db, false, packet("fd00::1", "fd00::2")), IpsecWay::bypass);
    EXPECT_EQ(way(*l.db, false, packet("fd00::1", "fd00::2", kProtoUdp, 1, 4000)), IpsecWay::refused);
}

TEST_F(ConfLoad, WhatTheDatabaseRefusesIsToldByItsLineAndTakenBack) {
    const ConfFile file(example("many-sas.toml"));
    const std::shared_ptr<const Conf> conf = file.read().conf;
    ASSERT_NE(conf, nullptr);
    auto db = std::move(IpsecDb::make({.sas = 8, .children = 16}, ipsec_mb_engine, readers_.get()).value());
    Book book(*db);
    const Status loaded = book.load(conf, 0);
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().text.find(file.path() + ":"), 0u) << loaded.error().text;
    EXPECT_NE(loaded.error().text.find(": sa \""), std::string::npos) << loaded.error().text;
    EXPECT_TRUE(db->sad().sas().empty());
    EXPECT_TRUE(db->spd.policies().empty());
    EXPECT_TRUE(book.sas().empty());
}

}  // namespace
}  // namespace umbuf::test
