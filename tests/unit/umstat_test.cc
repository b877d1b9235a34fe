// SPDX-License-Identifier: BSD-2-Clause
// umstat_test.cc - what umstat prints of numbers that were made up for it, to the letter.
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>
#include <sstream>

#include "app/umstat/arithmetic.h"
#include "app/umstat/interval.h"
#include "app/umstat/json.h"
#include "app/umstat/labels.h"
#include "app/umstat/life.h"
#include "app/umstat/options.h"
#include "app/umstat/pick.h"
#include "app/umstat/screen.h"
#include "app/umstat/source.h"
#include "app/umstat/views.h"
#include "app/umstat/zones.h"
#include "lib/stat/segment.h"
#include "tests/unit/umstat_sample.h"

namespace umbuf::umstat {
namespace {

bool has_line(const std::string& text, const std::string& line) {
    std::istringstream lines(text);
    for (std::string one; std::getline(lines, one);)
        if (one == line) return true;
    return false;
}

#define EXPECT_LINE(text, line) EXPECT_TRUE(has_line(text, line)) << "no line '" << (line) << "' in\n" << (text)

// no_number_is_mad - A1, of a whole text: nothing negative, "a/b/c (current/cache/total)" adds up and
// "current/peak/max" is in order, no share above 100 %.
void no_number_is_mad(const std::string& text) {
    EXPECT_EQ(text.find('-' + std::string("1")), std::string::npos) << text;
    std::istringstream lines(text);
    std::smatch found;
    const std::regex used("\\((\\d+)% in use\\)"), peak("^\t?(\\d+)/(\\d+)/(\\d+) .*\\(current/peak/max\\)$"),
        cache("^(\\d+)/(\\d+)/(\\d+)(/(\\d+))? .*\\(current/cache/total(/max)?\\)$");
    const auto at = [&](size_t i) { return std::stoull(found[i].str()); };
    for (std::string line; std::getline(lines, line);) {
        if (std::regex_search(line, found, used)) { EXPECT_LE(at(1), 100U) << line; }
        if (std::regex_match(line, found, peak)) {
            EXPECT_LE(at(1), at(2)) << line;
            EXPECT_LE(at(2), at(3)) << line;
        }
        if (std::regex_match(line, found, cache)) {
            EXPECT_LE(at(1), at(3)) << line;
            if (at(3) < kMost) { EXPECT_EQ(at(1) + at(2), at(3)) << line; }
            if (found[5].matched) { EXPECT_LE(at(3), at(5)) << line; }
        }
    }
}

// ---- -m

TEST(UmstatMemory, FreeBSDsLinesHaveFreeBSDsMeanings) {
    Made s;
    s.zone("um_mbuf_0", "mbuf", 256, 100, 4096, 200, 512).zone("packets_0", "packet", 2048, 30, 1023, 64, 2496);
    s.zone("um_cl2k_0", "cluster", 2048, 7, 2048, 9, 2112).zone("um_cl4k_0", "cluster", 4096, 3, 256, 3, 4160);
    s.zone("um_cl9k_0", "cluster", 9216, 2, 256, 2, 9280).zone("um_cl16k_0", "cluster", 16384, 1, 128, 1, 16448);
    s.zone("um_tag_0", "tag", 64, 5, 512, 5, 128).zone("um_page_0", "page", 32768, 4, 512, 4, 128);
    s.put("zone_denied", "zone=um_mbuf_0,kind=mbuf,who=verb", 1, Kind::counter)
        .put("zone_denied", "zone=um_mbuf_0,kind=mbuf,who=driver", 2, Kind::counter)
        .put("zone_denied", "zone=um_cl2k_0,kind=cluster,who=verb", 4, Kind::counter)
        .put("zone_denied", "zone=packets_0,kind=packet,who=driver", 8, Kind::counter)
        .put("zone_denied", "zone=um_cl9k_0,kind=cluster,who=verb", 16, Kind::counter)
        .put("zone_delayed", "zone=packets_0,kind=packet", 5, Kind::counter);
    s.put("window_now", "", 2).put("window_peak", "", 6).put("window_limit", "", 64).put("window_denied", "", 3);
    s.put("sendfile_calls", "lcore=1", 2).put("sendfile_calls", "lcore=2", 1).put("reader_reads", "", 40).put("cache_misses", "", 41);
    s.put("cache_hits", "", 42).put("sendfile_ahead", "lcore=1", 43).put("sendfile_waits", "lcore=1", 44);
    const std::string text = memory_text(s);
    EXPECT_LINE(text, "130/4989/5119 mbufs in use (current/cache/total)");
    EXPECT_LINE(text, "37/3034/3071/3071 mbuf clusters in use (current/cache/total/max)");
    EXPECT_LINE(text, "30/993 mbuf+clusters out of packet secondary zone in use (current/cache)");
    EXPECT_LINE(text, "3/253/256/256 4k (page size) jumbo clusters in use (current/cache/total/max)");
    EXPECT_LINE(text, "2/254/256/256 9k jumbo clusters in use (current/cache/total/max)");
    EXPECT_LINE(text, "1/127/128/128 16k jumbo clusters in use (current/cache/total/max)");
    // Pages are not among them.
    const uint64_t used = 100 * 512 + 30 * 2496 + 7 * 2112 + 3 * 4160 + 2 * 9280 + 16448 + 5 * 128;
    const uint64_t cached = 3996 * 512 + 993 * 2496 + 2041 * 2112 + 253 * 4160 + 254 * 9280 + 127 * 16448 + 507 * 128;
    EXPECT_LINE(text, std::to_string(used / 1024) + "K/" + std::to_string(cached / 1024) + "K/" +
                          std::to_string(used / 1024 + cached / 1024) + "K bytes allocated to network (current/cache/total)");
    EXPECT_LINE(text, "3/4/8 requests for mbufs denied (mbufs/clusters/mbuf+clusters)");
    EXPECT_LINE(text, "0/0/5 requests for mbufs delayed (mbufs/clusters/mbuf+clusters)");
    EXPECT_LINE(text, "0/0/0 requests for jumbo clusters delayed (4k/9k/16k)");
    EXPECT_LINE(text, "0/16/0 requests for jumbo clusters denied (4k/9k/16k)");
    EXPECT_LINE(text, "2/6/64 sfbufs in use (current/peak/max)");
    EXPECT_LINE(text, "3 sendfile syscalls");
    EXPECT_LINE(text, "0 sendfile syscalls completed without I/O request");
    EXPECT_LINE(text, "40 requests for I/O initiated by sendfile");
    EXPECT_LINE(text, "41 pages read by sendfile as part of a request");
    EXPECT_LINE(text, "42 pages were valid at time of a sendfile request");
    EXPECT_LINE(text, "43 pages were read ahead by sendfile");
    EXPECT_LINE(text, "44 times sendfile encountered an already busy page");
    EXPECT_LINE(text, "3 requests for sfbufs denied");
    EXPECT_LINE(text, "0 requests for sfbufs delayed");
    EXPECT_LINE(text, "\t30/64/1023 packets_0 2048 byte elements in use (current/peak/max)");
    no_number_is_mad(text);
}

TEST(UmstatMemory, OursSayPagesCopiesAndReferences) {
    Made s;
    s.put("page_in_use", "class=cache", 5).put("page_peak", "class=cache", 9).put("page_limit", "class=cache", 512);
    s.put("page_size", "class=cache", 32768).put("page_filling", "class=cache", 1).put("page_failed", "class=cache", 2);
    s.put("page_denied", "class=cache", 3).put("page_references", "class=cache", 40).put("page_references_largest", "class=cache", 12);
    s.put("conversion_mapped", "reason=nic", 1).put("conversion_mapped", "reason=crypto", 2).put("conversion_copied", "", 3);
    s.put("copied_bytes", "reason=verb", 1000).put("copied_bytes", "reason=read", 2000).put("copied_times", "reason=verb", 4);
    s.put("moved_bytes", "reason=unshare", 300).put("moved_bytes", "reason=flat", 70);
    s.put("refused", "reason=read-only", 6).put("refused", "reason=not-ready", 7).put("ref_stuck", "", 1);
    s.put("ref_held_back", "", 100).put("ref_held_back_peak", "", 31).put("foreign_clones", "", 9).put("foreign_set_aside", "", 2);
    const std::string text = memory_text(s);
    EXPECT_LINE(text, "\t5/9/512 cache pages of 32768 bytes in use (current/peak/max)");
    EXPECT_LINE(text, "\t1/2/3 cache pages (not ready/failed/denied)");
    EXPECT_LINE(text, "\t40/12 references to cache pages (sum/largest)");
    EXPECT_LINE(text, "\t1/2 conversions to mapped (nic/crypto)");
    EXPECT_LINE(text, "\t3 copied into clusters");
    EXPECT_LINE(text, "\t1000/2000 bytes copied (verb/read)");
    EXPECT_LINE(text, "\t300/70 bytes moved into other storage (unshare/flat)");
    EXPECT_LINE(text, "\t4 copies (verb)");
    EXPECT_LINE(text, "\t6 writes refused");
    EXPECT_LINE(text, "\t6/7 requests refused (read-only/not-ready)");
    EXPECT_LINE(text, "\t100/31 held-back weights (given back/most at once)");
    EXPECT_LINE(text, "\t2/9 foreign clones set aside (now/ever)");
    EXPECT_LINE(text, "\t1 counts saturated");
}

TEST(UmstatMemory, WhatIsNotThereIsZero) {
    const Made nothing;
    const std::string text = memory_text(nothing);
    EXPECT_LINE(text, "0/0/0 mbufs in use (current/cache/total)");
    EXPECT_LINE(text, "0K/0K/0K bytes allocated to network (current/cache/total)");
    EXPECT_LINE(text, "\t0 Kbytes allocated to network (0% in use)");
    EXPECT_LINE(text, "0/0 sfbufs in use (current/peak)");
    no_number_is_mad(text);
}

// R26: OpenBSD's netstat divided by totmem / 100, which is 0 below 100.
TEST(UmstatMemory, SmallAndHugeTotalsGiveSharesOfAtMostAHundred) {
    for (const uint64_t total : {uint64_t{0}, uint64_t{1}, uint64_t{99}, uint64_t{100}, uint64_t{1} << 32, kMost})
        for (const uint64_t part : {uint64_t{0}, uint64_t{1}, total / 2, total, kMost}) {
            EXPECT_LE(percent(part, total), 100U) << part << " of " << total;
            Made s;
            const std::string labels = "zone=z,kind=mbuf,size=256";
            s.put("zone_in_use", labels, part).put("zone_total", labels, total).put("zone_peak", labels, part / 2);
            s.put("zone_element", labels, 1);
            no_number_is_mad(memory_text(s));
        }
    EXPECT_EQ(percent(99, 99), 100U);
    EXPECT_EQ(percent(1, 99), 1U);
    EXPECT_EQ(percent(0, 0), 0U);
    EXPECT_EQ(percent(uint64_t{1} << 31, uint64_t{1} << 32), 50U);
    EXPECT_GE(percent(kMost - 1, kMost), 99U);
}

// Goal: whatever was sampled, nothing is below 0 or above its whole. Method: zones of random numbers,
// among them the ends of the range, in random subsets.
TEST(UmstatMemory, NoSampleWhateverIsPrintedAsNonsense) {
    const char* const given = std::getenv("UM_SEED");
    const uint32_t seed = given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 0)) : std::random_device{}();
    SCOPED_TRACE("UM_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    const uint64_t ends[] = {0, 1, 2, 99, 100, 2048, UINT32_MAX, uint64_t{UINT32_MAX} + 1, kMost - 1, kMost};
    const char* const names[] = {"zone_in_use", "zone_cached", "zone_total", "zone_limit", "zone_peak", "zone_element", "zone_denied"};
    const char* const kinds[] = {"mbuf", "packet", "cluster", "tag", "page", "what"};
    for (int round = 0; round < 100; ++round) {
        Made s;
        for (int zone = 0; zone < 6; ++zone)
            for (const char* name : names)
                if (random() % 4 != 0)
                    s.put(name, "zone=z" + std::to_string(zone) + ",kind=" + kinds[random() % 6] + ",size=" + std::to_string(ends[random() % 6]),
                          random() % 2 != 0 ? ends[random() % 10] : random() >> random() % 64);
        no_number_is_mad(memory_text(s));
        (void)owners_text(s);
    }
}

// ---- intervals

TEST(UmstatInterval, CountersAreHowFarTheyWentAndGaugesAsTheyAre) {
    Made before, now;
    before.put("in", "port=0", 10, Kind::counter).put("now", "", 5);
    now.put("in", "port=0", 25, Kind::counter).put("now", "", 3).put("new", "", 4, Kind::counter);
    const stat::Sample went = interval(before, now);
    EXPECT_EQ(went.numbers[0].value(), 15U);
    EXPECT_EQ(went.numbers[1].value(), 3U);
    EXPECT_EQ(went.numbers[2].value(), 4U);
}

TEST(UmstatInterval, ACounterThatWrapsOrBeginsAnewIsNeverNegative) {
    EXPECT_EQ(grown(kMost - 9, 5), 15U) << "through 2^64";
    EXPECT_EQ(grown(1000, 5), 5U) << "set back, counts anew";
    EXPECT_EQ(grown(0, kMost), kMost);
    EXPECT_EQ(grown(7, 7), 0U);
}

TEST(UmstatInterval, ACounterThatWasClearedIsNoHugeRate) {
    Made before, now;
    before.put("in", "", 1000, Kind::counter);
    now.put("in", "", 7, Kind::counter);
    EXPECT_EQ(interval(before, now).numbers[0].value(), 7U);
}

TEST(UmstatInterval, NumbersThatMovedInTheDirectoryAreFound) {
    Made before, now;
    before.put("a", "x=1", 1, Kind::counter).put("a", "x=2", 20, Kind::counter);
    now.put("a", "x=2", 22, Kind::counter).put("b", "", 1, Kind::counter).put("a", "x=1", 4, Kind::counter);
    const stat::Sample went = interval(before, now);
    EXPECT_EQ(went.numbers[0].value(), 2U);
    EXPECT_EQ(went.numbers[2].value(), 3U);
}

TEST(UmstatInterval, AnotherProgramsNumbersWentFromZero) {
    Made before, now;
    before.put("in", "", 1000, Kind::counter);
    now.put("in", "", 1500, Kind::counter);
    now.generation = 77;
    EXPECT_EQ(interval(before, now).numbers[0].value(), 1500U);
}

TEST(UmstatInterval, AClockThatWasSetBackMakesNoRate) {
    Made before, now;
    before.taken_ns = now.taken_ns + 5;
    EXPECT_EQ(seconds_between(before, now), 0);
    EXPECT_EQ(per_second(100, 0), 0U);
    EXPECT_EQ(per_second(100, 0.5), 200U);
    EXPECT_EQ(per_second(kMost, 0.001), kMost);
}

// ---- -i, -w

Made two_ports() {
    Made s;
    const std::string a = "port=0,device=net_tap0,driver=net_tap", b = "port=10,device=net_ring1,driver=net_ring";
    s.put("port_mtu", b, 9000).put("port_up", b, 0).put("port_open", b, 1).put("port_rx_packets", b, 7, Kind::counter);
    s.put("port_mtu", a, 1500).put("port_up", a, 1).put("port_open", a, 1);
    s.put("port_rx_packets", a, 100, Kind::counter).put("port_rx_bytes", a, 6400, Kind::counter).put("port_rx_missed", a, 3, Kind::counter);
    s.put("port_rx_nombuf", a, 4, Kind::counter).put("port_rx_errors", a, 2, Kind::counter).put("port_tx_packets", a, 90, Kind::counter);
    s.put("port_tx_bytes", a, 5760, Kind::counter).put("port_tx_errors", a, 1, Kind::counter);
    s.put("port_tx_dropped", a + ",reason=closed", 5, Kind::counter).put("port_tx_dropped", a + ",reason=chain", 6, Kind::counter);
    return s;
}

TEST(UmstatInterfaces, EachHasALineOfNetstatsColumns) {
    EXPECT_EQ(interfaces_text(two_ports()),
              "Name         Mtu Network          Ipkts  Ierrs    Idrop         Ibytes        Opkts  Oerrs         Obytes     Drop\n"
              "net_tap0    1500 <Link#0>           100      2        7           6400           90      1           5760       11\n"
              "net_ring1*  9000 <Link#10>            7      0        0              0            0      0              0        0\n");
}

TEST(UmstatInterfaces, OneIsFoundByNameOrNumber) {
    const Made s = two_ports();
    EXPECT_TRUE(has_interface(s, "net_ring1"));
    EXPECT_TRUE(has_interface(s, "10"));
    EXPECT_FALSE(has_interface(s, "1"));
    EXPECT_EQ(interfaces_text(s, "10").find("net_tap0"), std::string::npos);
}

TEST(UmstatInterfaces, TrafficIsOfAllOrOfOne) {
    EXPECT_EQ(traffic_of(two_ports()).in_packets, 107U);
    EXPECT_EQ(traffic_of(two_ports(), "10").in_packets, 7U);
    EXPECT_EQ(traffic_head(""), "            input         (Total)                output\n"
                                "   packets  errs idrops        bytes    packets  errs        bytes  drops\n");
    EXPECT_EQ(traffic_line(traffic_of(two_ports(), "net_tap0")),
              "       100     2      7         6400         90     1         5760     11\n");
}

// ---- -s, -d, -o

TEST(UmstatProtocols, EspHasTheKernelsWords) {
    Made s;
    const std::string stream = "rx_port=0,rx_queue=0,tx_port=1,tx_queue=0,lcore=1,";
    s.put("esp_packets", stream + "why=ok", 50, Kind::counter).put("esp_packets", stream + "why=XfrmInStateSeqError", 3, Kind::counter);
    s.put("sa_packets", "spi=0x1000,sa=2,generation=5,name=to-b", 50, Kind::counter).put("sa_bytes", "spi=0x1000,sa=2,generation=5,name=to-b", 999, Kind::counter);
    s.put("sa_replayed", "spi=0x1000,sa=2,generation=5,name=to-b", 3, Kind::counter).put("sa_soft_expired", "spi=0x1000,sa=2,generation=5,name=to-b", 1);
    s.put("sa_refused", "spi=0x1000,sa=2,generation=5,name=to-b,why=XfrmInStateSeqError", 3, Kind::counter);
    EXPECT_EQ(protocols_text(s),
              "esp:\n\t50 packets let through\n\t3 XfrmInStateSeqError\n"
              "esp sa 2 to-b, spi 0x1000, past a soft limit:\n\t50 packets let through\n\t999 bytes\n\t3 packets replayed\n"
              "\t0 packets with a wrong ICV\n\t0 packets with wrong padding\n\t3 XfrmInStateSeqError\n");
}

TEST(UmstatProtocols, ForwardingIsTheSumOverStreams) {
    Made s;
    s.put("stream_rx", "rx_port=0", 5, Kind::counter).put("stream_rx", "rx_port=1", 6, Kind::counter);
    EXPECT_EQ(protocols_text(s), "forwarding:\n\t11 packets received\n");
    EXPECT_EQ(protocols_text(Made{}), "nothing has been forwarded yet\n");
}

TEST(UmstatDrops, TheMostFrequentReasonIsFirst) {
    Made s;
    const std::string a = "rx_port=0,rx_queue=0,tx_port=1,tx_queue=0,lcore=1,reason=", b = "rx_port=1,rx_queue=0,tx_port=0,tx_queue=0,lcore=2,reason=";
    s.put("stream_drops", a + "malformed", 2, Kind::counter).put("stream_drops", a + "tx-full", 3, Kind::counter);
    s.put("stream_drops", b + "tx-full", 9, Kind::counter).put("stream_drops", b + "no-mbuf", 0, Kind::counter);
    s.put("port_rx_missed", "port=1,device=net_tap1", 5, Kind::counter);
    EXPECT_EQ(drops_text(s),
              "12 tx-full\n\t9 port 1 queue 0 to port 0 queue 0, lcore 2\n\t3 port 0 queue 0 to port 1 queue 0, lcore 1\n"
              "5 rx-missed (port 1 net_tap1)\n2 malformed (port 0 queue 0 to port 1 queue 0, lcore 1)\n");
    EXPECT_EQ(drops_text(Made{}), "no packet died\n");
}

TEST(UmstatOwners, TheLedgerNamesWhoHoldsAZonesElements) {
    Made s;
    s.zone("um_mbuf_0", "mbuf", 256, 24, 100, 30, 512);
    s.put("ledger", "owner=pool,zone=um_mbuf_0", 70).put("ledger", "owner=lcore_caches,zone=um_mbuf_0", 6);
    s.put("ledger", "owner=port_rx,port=0,zone=um_mbuf_0", 20).put("ledger", "owner=port_rx,port=1,zone=um_mbuf_0", 0);
    s.put("ledger", "owner=elsewhere,zone=um_mbuf_0", 4);
    EXPECT_EQ(owners_text(s), "um_mbuf_0 100 elements of 256 bytes, 24 held (24%)\n\t70 pool\n\t6 lcore_caches\n\t20 port_rx 0\n\t4 elsewhere\n");
    s.put("ledger", "owner=crypto,zone=um_mbuf_0", 3);
    EXPECT_LINE(owners_text(s), "\tof 100 that there are: some moved while they were counted");
    EXPECT_EQ(owners_text(Made{}), "no ledger is kept here\n");
}

// ---- lives

TEST(UmstatLife, WhoDoesNotRunIsSaidSoFirst) {
    Made s;
    EXPECT_EQ(warning_lines(s), "");
    s.started_ns = 1'000'000'000;
    s.beat_ns = 4'000'000'000;
    s.life = stat::Life::died;
    EXPECT_EQ(warning_lines(s), "umfwd 0.1.0, pid 12, --file-prefix lab: died without an end; its last sign of life was at " +
                                    clock_text(s.beat_ns) + ", 6.0 s ago, after 3.0 s\n");
    s.life = stat::Life::ended;
    EXPECT_EQ(life_line(s), "umfwd 0.1.0, pid 12, --file-prefix lab: ended in order at " + clock_text(s.beat_ns) + ", 6.0 s ago, after 3.0 s");
    s.life = stat::Life::hung;
    EXPECT_EQ(life_line(s), "umfwd 0.1.0, pid 12, --file-prefix lab: hung: it is there, and has given no sign of life since " +
                                clock_text(s.beat_ns) + " (6.0 s)");
    s.life = stat::Life::stopped;
    EXPECT_NE(warning_lines(s).find(": stopped: it is alive, and forwards nothing"), std::string::npos);
    s.beat_ns = kMost;  // a clock that was set back, or rubbish
    s.life = stat::Life::died;
    EXPECT_NE(life_line(s).find("0.0 s ago"), std::string::npos);
}

TEST(UmstatLife, SpansAreInWordsForPeople) {
    EXPECT_EQ(span_text(0), "0.0 s");
    EXPECT_EQ(span_text(59'990'000'000), "59.9 s");
    EXPECT_EQ(span_text(65'000'000'000), "1 min 5 s");
    EXPECT_EQ(span_text(3'720'000'000'000), "1 h 2 min");
    EXPECT_EQ(span_text(kMost), "213503 days 23 h");
}

// ---- --json

TEST(UmstatJson, HasEveryNumberOnOneLine) {
    Made s;
    s.numbers.push_back(number("in", "port=0,device=a", {kMost}, Kind::counter, "packets"));
    s.numbers.push_back(number("bursts", "", {5, 0, 1, 0, 0}, Kind::histogram, "bursts"));
    s.generation = kMost;
    const std::string text = sample_json(s);
    EXPECT_EQ(text.find('\n'), std::string::npos);
    const nlohmann::json read = nlohmann::json::parse(text);
    EXPECT_EQ(read["program"], "umfwd");
    EXPECT_EQ(read["life"], "running");
    EXPECT_EQ(read["generation"], std::to_string(kMost));
    EXPECT_EQ(read["taken"], 10.0);
    EXPECT_EQ(read["numbers"][0], nlohmann::json::parse(R"({"name":"in","unit":"packets","kind":"counter",
        "labels":{"port":"0","device":"a"},"value":18446744073709551615})"));
    EXPECT_EQ(read["numbers"][1]["cells"], nlohmann::json::parse("[5,0,1]"));
}

// ---- -f

TEST(UmstatPicture, FitsEveryTerminal) {
    Picture p;
    p.now = two_ports().zone("um_mbuf_0", "mbuf", 256, 99, 100, 100, 512);
    p.since = p.now;
    p.seconds = 1;
    for (const unsigned rows : {1U, 2U, 5U, 24U, 200U})
        for (const unsigned columns : {1U, 10U, 80U, 300U}) {
            p.rows = rows, p.columns = columns;
            std::istringstream lines(picture_text(p));
            unsigned n = 0;
            for (std::string one; std::getline(lines, one); ++n) EXPECT_LE(one.size(), columns);
            EXPECT_LE(n, rows);
        }
}

// ---- which forwarder

struct UmstatSource : ::testing::Test {
    std::filesystem::path folder;
    Options options;
    UmstatSource() {
        std::string name = (std::filesystem::temp_directory_path() / "umstat-XXXXXX").string();
        folder = mkdtemp(name.data());
    }
    ~UmstatSource() override {
        stat::close();
        std::filesystem::remove_all(folder);
    }
    std::string make(const std::string& prefix) {
        stat::Plan plan;
        plan.path = (folder / ("umbuf." + prefix)).string();
        plan.program = "stat_tests";
        plan.prefix = prefix;
        plan.entries = 16;
        plan.cell_bytes = 4096;
        EXPECT_TRUE(stat::open(plan));
        stat::say(stat::State::running);
        stat::close();
        return plan.path;
    }
};

TEST_F(UmstatSource, TheOnlyForwarderNeedsNoName) {
    const std::string path = make("lab");
    std::ofstream(folder / "umbuf.lab.trace") << "no segment";
    std::ofstream(folder / "another.lab") << "nothing of ours";
    const Result<std::string> found = path_for(options, folder.string());
    ASSERT_TRUE(found) << found.error().text;
    EXPECT_EQ(found.value(), path);
}

TEST_F(UmstatSource, OfSeveralOneMustBeNamed) {
    make("a");
    make("b");
    const Result<std::string> found = path_for(options, folder.string());
    ASSERT_FALSE(found);
    for (const char* word : {"several", "--file-prefix", "\n  a ", "\n  b ", "ended, pid "})
        EXPECT_NE(found.error().text.find(word), std::string::npos) << word << " in " << found.error().text;
    options.prefix_given = true;
    options.prefix = "b";
    EXPECT_EQ(path_for(options, folder.string()).value(), "/dev/shm/umbuf.b");
}

TEST_F(UmstatSource, WhereThereIsNoneThePlaceIsSaid) {
    const Result<std::string> found = path_for(options, folder.string());
    ASSERT_FALSE(found);
    EXPECT_NE(found.error().text.find((folder / "umbuf.*").string()), std::string::npos) << found.error().text;
    const Result<Source> none = Source::open((folder / "umbuf.x").string());
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().text.find("is one running"), std::string::npos) << none.error().text;
}

TEST_F(UmstatSource, TheNextForwarderIsFollowed) {
    const std::string path = make("lab");
    Result<Source> source = Source::open(path);
    ASSERT_TRUE(source);
    stat::Sample first, second;
    ASSERT_TRUE(source.value().sample(first));
    make("lab");
    ASSERT_TRUE(source.value().sample(second));
    EXPECT_NE(first.generation, second.generation);
}

// ---- the command line

Result<Parsed> parsed(std::vector<std::string> words) {
    words.insert(words.begin(), "umstat");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    return parse(static_cast<int>(words.size()), argv.data());
}

TEST(UmstatOptions, LettersAreNetstats) {
    const Result<Parsed> p = parsed({"-d", "-ma", "-w", "0.5", "-q", "3", "-I", "net_tap0", "--file-prefix=lab"});
    ASSERT_TRUE(p) << p.error().text;
    const Options& o = p.value().options;
    EXPECT_EQ(o.views, (std::vector<View>{View::memory, View::drops}));
    EXPECT_TRUE(o.all);
    EXPECT_EQ(o.every_s, 0.5);
    EXPECT_EQ(o.count, 3U);
    EXPECT_EQ(o.interface, "net_tap0");
    EXPECT_TRUE(o.prefix_given);
    EXPECT_EQ(o.prefix, "lab");
}

TEST(UmstatOptions, WhatContradictsItselfIsRefused) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"-x"}, {"-w", "0"}, {"-w", "soon"}, {"-w"}, {"-w", "1", "-q", "-1"}, {"-q", "3"}, {"--json", "-f"},
          {"--json", "-m"}, {"--path=/a", "--file-prefix=b"}, {"--prometheus=1", "-w", "1"}, {"--nothing"}, {"word"}})
        EXPECT_FALSE(parsed(words)) << words[0];
    EXPECT_NE(parsed({"-m", "--nothing"}).error().text.find("--nothing"), std::string::npos);
    EXPECT_NE(parsed({"-mx"}).error().text.find("-mx"), std::string::npos);
}

TEST(UmstatLabels, AreTakenApartWhateverTheyAre) {
    using All = std::vector<std::pair<std::string, std::string>>;
    const auto labels = [](const char* text) { return labels_of(number("n", text, {0})); };
    EXPECT_EQ(labels("a=1,b=2"), (All{{"a", "1"}, {"b", "2"}}));
    EXPECT_EQ(labels(""), All{});
    EXPECT_EQ(labels(",,a,=x,b=,b=3,c=4"), (All{{"b", ""}, {"c", "4"}}));
    EXPECT_TRUE(in_order("um_2", "um_10"));
    EXPECT_FALSE(in_order("um_10", "um_2"));
    EXPECT_TRUE(in_order("um", "um_2"));
    EXPECT_EQ(as_number("12x", 7), 7U);
}

}  // namespace
}  // namespace umbuf::umstat
