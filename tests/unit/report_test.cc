// SPDX-License-Identifier: BSD-2-Clause
// report_test.cc - the report's words are testpmd's, and its two printings say the same.
#include "app/umfwd/report.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <regex>
#include <sstream>

#include <nlohmann/json.hpp>

#include "app/umfwd/machine/meter.h"
#include "tests/unit/fixture.h"

namespace umbuf::fwd {
namespace {

StreamReport stream(uint16_t from, uint16_t to, uint64_t rx, uint64_t full) {
    StreamReport s;
    s.rx_port = from;
    s.tx_port = to;
    s.lcore = 1;
    s.rx = rx;
    s.tx = rx - full;
    s.drops[static_cast<size_t>(Drop::tx_full)] = full;
    return s;
}

Report two_ports() {
    Report r;
    r.mode = "io";
    r.seconds = 2;
    r.tsc_hz = 2600000000;
    r.ports = {{.port = 0, .rx_dropped = 7}, {.port = 1}};
    r.streams = {stream(0, 1, 18562048, 0), stream(1, 0, 18562208, 208)};
    summarize(r);
    return r;
}

// What dpdk-testpmd 22.11 prints for these numbers, byte for byte.
TEST(Report, ForwardStatisticsHaveTestpmdsLayout) {
    EXPECT_EQ(forward_text(two_ports()), R"(
  ---------------------- Forward statistics for port 0  ----------------------
  RX-packets: 18562048       RX-dropped: 7             RX-total: 18562055
  TX-packets: 18562000       TX-dropped: 208           TX-total: 18562208
  ----------------------------------------------------------------------------

  ---------------------- Forward statistics for port 1  ----------------------
  RX-packets: 18562208       RX-dropped: 0             RX-total: 18562208
  TX-packets: 18562048       TX-dropped: 0             TX-total: 18562048
  ----------------------------------------------------------------------------

  +++++++++++++++ Accumulated forward statistics for all ports+++++++++++++++
  RX-packets: 37124256       RX-dropped: 7             RX-total: 37124263
  TX-packets: 37124048       TX-dropped: 208           TX-total: 37124256
  ++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++
)");
}

TEST(Report, ModeCsumShowsItsCountersWhereTestpmdDoes) {
    Report r = two_ports();
    r.mode = "csum";
    r.ports[0].bad_ip_csum = 5;
    EXPECT_NE(forward_text(r).find("RX-total: 18562055\n"
                                   "  Bad-ipcsum: 5              Bad-l4csum: 0             "
                                   "Bad-outer-l4csum: 0             \n"
                                   "  Bad-outer-ipcsum: 0             \n"
                                   "  TX-packets: "),
              std::string::npos);
}

TEST(Report, SeveralQueuesShowEachStream) {
    Report r;
    r.mode = "io";
    r.streams = {stream(0, 1, 10, 0), stream(0, 1, 20, 1)};
    r.streams[1].rx_queue = r.streams[1].tx_queue = 1;
    r.ports = {{.port = 0}, {.port = 1}};
    r.streams.push_back(stream(1, 0, 0, 0));
    summarize(r);
    EXPECT_NE(forward_text(r).find(
                  "\n  ------- Forward Stats for RX Port= 0/Queue= 1 -> TX Port= 1/Queue= 1 -------\n"
                  "  RX-packets: 20             TX-packets: 19             TX-dropped: 1             \n"),
              std::string::npos)
        << forward_text(r);
}

// "RX-packets: 5" and so on under each heading, as scripts read them.
std::map<std::string, std::map<std::string, uint64_t>> parse_text(const std::string& text) {
    std::map<std::string, std::map<std::string, uint64_t>> blocks;
    const std::regex heading("Forward statistics for port (\\d+)|(Accumulated)"), pair("([RT]X-\\w+): (\\d+)");
    std::istringstream lines(text);
    std::string line, block;
    while (std::getline(lines, line)) {
        std::smatch match;
        if (std::regex_search(line, match, heading)) block = match[1].matched ? match[1].str() : "all";
        if (line.starts_with("  +++++++++++++++++")) block.clear();
        if (block.empty()) continue;
        for (auto at = std::sregex_iterator(line.begin(), line.end(), pair); at != std::sregex_iterator(); ++at)
            blocks[block][(*at)[1]] = std::stoull((*at)[2]);
    }
    return blocks;
}

Report random_report(std::mt19937_64& random) {
    Report r;
    r.mode = "mac";
    r.seconds = 1;
    const auto ports = static_cast<uint16_t>(1 + random() % 6);
    for (uint16_t i = 0; i < ports; ++i) {
        PortForward port{.port = i, .generation = i + 1u, .rx_dropped = random() % 1000};
        port.tx_closed = random() % 50;
        port.rx_nombufs = random() % 3;
        port.rx_error = random() % 3;
        r.ports.push_back(port);
        r.streams.push_back(stream(i, static_cast<uint16_t>(i ^ 1) < ports ? static_cast<uint16_t>(i ^ 1) : i,
                                   1000 + random() % 100000, random() % 1000));
    }
    summarize(r);
    return r;
}

TEST(Report, TextAndJsonAgree) {
    std::mt19937_64 random(umbuf::test::seed());
    for (int round = 0; round < 50; ++round) {
        const Report r = random_report(random);
        const auto text = parse_text(to_text(r));
        const auto json = nlohmann::json::parse(to_json(r));
        std::map<std::string, nlohmann::json> blocks{{"all", json["all"]}};
        for (const auto& port : json["ports"]) blocks[std::to_string(port["port"].get<int>())] = port;
        ASSERT_EQ(text.size(), blocks.size());
        const std::pair<const char*, const char*> words[] = {
            {"RX-packets", "rx_packets"}, {"RX-dropped", "rx_dropped"}, {"RX-total", "rx_total"},
            {"TX-packets", "tx_packets"}, {"TX-dropped", "tx_dropped"}, {"TX-total", "tx_total"}};
        for (const auto& [name, block] : blocks)
            for (const auto& [word, key] : words)
                EXPECT_EQ(text.at(name).at(word), block[key].get<uint64_t>()) << name << " " << word;
        for (const auto& [name, block] : blocks) {
            if (text.at(name).contains("RX-nombufs"))
                EXPECT_EQ(text.at(name).at("RX-nombufs"), block["rx_nombufs"].get<uint64_t>());
            else
                EXPECT_EQ(block["rx_nombufs"].get<uint64_t>(), 0u);
        }
    }
}

TEST(Report, WhatAClosedPortTookIsADropOfTheStream) {
    Report r;
    r.streams = {stream(0, 1, 100, 10)};
    r.streams[0].tx -= 30;
    r.streams[0].drops[static_cast<size_t>(Drop::tx_closed)] = 30;
    r.ports = {{.port = 0}, {.port = 1}};
    summarize(r);
    EXPECT_EQ(r.ports[1].tx_packets, 60u);
    EXPECT_EQ(r.ports[1].tx_dropped, 40u);
    EXPECT_EQ(r.all.tx_total, 100u);
    EXPECT_TRUE(r.conserved);
}

TEST(Report, EachPortOfATeeHasItsOwnShare) {
    Report r;
    r.streams = {stream(0, 1, 100, 10)};  // 90 to port 1, 10 dropped there
    r.streams[0].made = 200;
    r.streams[0].tx += 170;
    r.streams[0].drops[static_cast<size_t>(Drop::tx_closed)] = 30;
    r.streams[0].tee = {{.port = 2, .tx = 100, .dropped = 0}, {.port = 3, .tx = 70, .dropped = 30}};
    summarize(r);
    ASSERT_EQ(r.ports.size(), 4u);
    const uint64_t sent[] = {0, 90, 100, 70}, dropped[] = {0, 10, 0, 30};
    for (size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(r.ports[i].tx_packets, sent[i]) << i;
        EXPECT_EQ(r.ports[i].tx_dropped, dropped[i]) << i;
    }
    EXPECT_EQ(r.all.tx_total, 300u);
    EXPECT_TRUE(r.conserved);
}

TEST(Report, APacketThatVanishedIsNotConserved) {
    Report r;
    r.streams = {stream(0, 1, 100, 0)};
    r.streams[0].tx -= 1;
    summarize(r);
    EXPECT_FALSE(r.conserved);
    EXPECT_EQ(lost_unaccounted(r), 1u);
    r.surplus.reset();
    r.sample = true;  // while it runs, that packet is in a burst
    summarize(r);
    EXPECT_TRUE(r.conserved);
    EXPECT_EQ(lost_unaccounted(r), 0u);
}

TEST(Report, CountingBeginsAnewAtTheBase) {
    Report base = {}, now = {};
    base.streams = {stream(0, 1, 100, 10)};
    base.ports = {{.port = 0, .generation = 1, .rx_dropped = 5}, {.port = 1, .generation = 2}};
    now.streams = {stream(0, 1, 150, 12)};
    now.ports = {{.port = 0, .generation = 1, .rx_dropped = 8},
                 {.port = 1, .generation = 3, .rx_dropped = 4}};  // another device
    Report r = since(now, base);
    summarize(r);
    EXPECT_EQ(r.streams[0].rx, 50u);
    EXPECT_EQ(r.ports[0].rx_dropped, 3u);
    EXPECT_EQ(r.ports[1].rx_dropped, 4u);
    EXPECT_TRUE(r.conserved);
    base.streams[0].rx += 1;  // cleared under load: between receive and transmit
    EXPECT_EQ(since(now, base).surplus, 0u);
}

TEST(Report, ADetachedPortSpeaksThroughItsSuccessor) {
    Report r;
    r.streams = {stream(0, 1, 100, 0)};
    r.ports = {{.port = 0},
               {.port = 1, .generation = 3},
               {.port = 1, .generation = 2, .gone = true, .tx_closed = 40},
               {.port = 5, .generation = 4, .gone = true}};
    summarize(r);
    ASSERT_EQ(r.ports.size(), 2u) << "nobody uses port 5";
    EXPECT_EQ(nlohmann::json::parse(to_json(r))["ports"][1]["gone"], false) << "the living one";
    EXPECT_EQ(r.ports[1].tx_packets, 100u);
    EXPECT_EQ(r.all.tx_closed, 40u);
}

TEST(Report, LossInSeqgenIsExplainedByNamedDropsOnly) {
    Report r;
    r.seq = {.used = true, .sent = 100, .received = 90, .corrupt = 0, .duplicate = 0, .reordered = 0, .lost = 10};
    r.streams = {stream(0, 0, 0, 0)};
    r.ports = {{.port = 0, .rx_dropped = 4}};
    summarize(r);
    EXPECT_EQ(lost_unaccounted(r), 6u);
    r.all.faults.drop = 6;
    EXPECT_EQ(lost_unaccounted(r), 0u);
    const auto json = nlohmann::json::parse(to_json(r));
    EXPECT_EQ(json["sent"], 100);
    EXPECT_EQ(json["received"], 90);
}

TEST(Report, ClearingUnderLoadNeitherHidesNorInventsLossInSeqgen) {
    const auto at = [](uint64_t sent, uint64_t lost, uint64_t missed) {
        Report r;
        r.seq = {.used = true, .sent = sent, .received = sent - lost, .corrupt = 0, .duplicate = 0,
                 .reordered = 0, .lost = lost};
        r.streams = {stream(0, 0, 0, 0)};
        r.ports = {{.port = 0, .generation = 1, .rx_dropped = missed}};
        return r;
    };
    const Report beginning = at(0, 0, 100);
    const auto judged = [&](const Report& now, const Report& base) {
        Report r = since(now, base, beginning);
        summarize(r);
        return r;
    };
    Report r = judged(at(1000, 10, 110), at(600, 8, 109));  // the 109th was missed before its number was
    EXPECT_EQ(r.seq.sent, 400u);
    EXPECT_EQ(r.seq.lost, 2u);
    EXPECT_EQ(r.ports[0].rx_dropped, 1u);
    EXPECT_EQ(lost_unaccounted(r), 0u);
    r = judged(at(1000, 11, 110), at(600, 8, 107));  // as many drops as losses since, and yet
    EXPECT_EQ(r.seq.lost, 3u);
    EXPECT_EQ(r.ports[0].rx_dropped, 3u);
    EXPECT_EQ(lost_unaccounted(r), 1u);
    r = judged(at(1000, 5, 110), at(600, 8, 108));  // late packets came after all
    EXPECT_EQ(r.seq.lost, 0u);
}

// Sums, bases and JSON walk the same lists: a number in every field must come out of each of them.
TEST(Report, NoCounterIsForgotten) {
    const auto filled = [](uint64_t n) {
        PortForward p;
        p.generation = 1;
        p.forwards = true;
#define X(field) p.field = n;
        UM_PORT_COUNTS(X)
#undef X
#define X(field) p.nic.field = n;
        UM_NIC_COUNTS(X)
#undef X
        p.faults = {n, n, n, n, n, n, n};
        return p;
    };
    Report now, base;
    now.ports = {filled(7)};
    base.ports = {filled(4)};
    const Report r = since(now, base);
    const auto left = [](std::string_view field) { return field == "flushed" ? 7u : 3u; };
#define X(field) EXPECT_EQ(r.ports[0].field, left(#field)) << #field;
    UM_PORT_COUNTS(X)
#undef X
    EXPECT_EQ(r.ports[0].faults.flap, 3u);
    EXPECT_EQ(r.ports[0].nic.tx_bytes, 7u) << "the device's own: since it was started";
    const auto json = nlohmann::json::parse(to_json(r))["ports"][0];
#define X(field) EXPECT_EQ(json[#field], left(#field)) << #field;
    UM_PORT_COUNTS(X)
#undef X
#define X(field) EXPECT_EQ(json["nic"][#field], 7) << #field;
    UM_NIC_COUNTS(X)
#undef X
    for (const char* fault : {"drop", "duplicate", "reorder", "corrupt", "short_tx", "no_mbuf", "flap"})
        EXPECT_EQ(json["faults"][fault], 3) << fault;
    EXPECT_EQ(json["gone"], false);
}

TEST(CycleMeter, BusyAndIdleAddUpAtEveryMoment) {
    CycleMeter meter;
    meter.begin(1000);
    EXPECT_EQ(meter.read(1500).idle, 500u);
    meter.to_busy(2000);
    EXPECT_EQ(meter.read(2300).busy, 300u) << "the stretch that still runs counts";
    EXPECT_EQ(meter.read(2300).idle, 1000u);
    meter.to_idle(3000);
    EXPECT_EQ(meter.read(4000).busy, 1000u);
    meter.to_busy(4000);
    meter.end(4500);
    EXPECT_EQ(meter.read(9999).busy, 1500u) << "after the end nothing grows";
    EXPECT_EQ(meter.read(9999).idle, 2000u);
}

}  // namespace
}  // namespace umbuf::fwd
