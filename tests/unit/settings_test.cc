// SPDX-License-Identifier: BSD-2-Clause
// settings_test.cc - the command line: what is understood, and the sentence for what is not.
#include "app/umfwd/settings.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace umbuf::fwd {
namespace {

Result<ParsedArgs> parse(std::vector<std::string> args) {
    args.insert(args.begin(), "umfwd");
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    return parse_args(static_cast<int>(args.size()), argv.data());
}

Settings good(const std::vector<std::string>& args) {
    Result<ParsedArgs> parsed = parse(args);
    EXPECT_TRUE(parsed.ok()) << parsed.error().text;
    return parsed.ok() ? parsed.value().settings : Settings{};
}

std::string refusal(const std::vector<std::string>& args) {
    Result<ParsedArgs> parsed = parse(args);
    EXPECT_FALSE(parsed.ok());
    return parsed.error().text;
}

TEST(Settings, NothingSaidMeansTestpmdsDefaults) {
    const Settings s = good({});
    EXPECT_EQ(s.mode, "io");
    EXPECT_EQ(s.burst, 32);
    EXPECT_EQ(s.nb_cores, 1u);
    EXPECT_EQ(s.topology, Topology::paired);
    EXPECT_EQ(s.rss_hf, RTE_ETH_RSS_IP);
    EXPECT_EQ(s.frag_size, 576);
    EXPECT_FALSE(s.interactive);
}

TEST(Settings, TestpmdsOptionsAreUnderstood) {
    const Settings s = good({"-i", "--forward-mode=macswap", "--nb-cores=2", "--rxq=2", "--txq=2",
                             "--rxd=512", "--txd=256", "--burst=64", "--mbuf-size=2176,9216",
                             "--total-num-mbufs=8192", "--mbcache=100", "--port-topology=chained",
                             "--portlist=0,2-3", "--eth-peer=0,02:00:00:00:00:AA",
                             "--eth-peer=3,02:00:00:00:00:BB", "--txpkts=64,128",
                             "--tx-ip=10.0.0.1,10.0.0.2", "--tx-udp=5,6", "--max-pkt-len=9018",
                             "--rss-udp", "--no-flush-rx", "--no-numa", "--tx-first", "-a",
                             "--refcnt=proxy+", "--trace-refcnt"});
    EXPECT_TRUE(s.interactive);
    EXPECT_EQ(s.mode, "macswap");
    EXPECT_EQ(s.nb_cores, 2u);
    EXPECT_EQ(s.rxq, 2);
    EXPECT_EQ(s.txq, 2);
    EXPECT_EQ(s.rxd, 512);
    EXPECT_EQ(s.txd, 256);
    EXPECT_EQ(s.burst, 64);
    EXPECT_EQ(s.mbuf_sizes, (std::vector<uint32_t>{2176, 9216}));
    EXPECT_EQ(s.total_num_mbufs, 8192u);
    EXPECT_EQ(s.mbcache, 100u);
    EXPECT_EQ(s.topology, Topology::chained);
    EXPECT_EQ(s.port_list, (std::vector<uint16_t>{0, 2, 3}));
    ASSERT_EQ(s.peers.size(), 2u);
    EXPECT_EQ(s.peers.at(3).addr_bytes[5], 0xbb);
    EXPECT_EQ(s.txpkts, (std::vector<uint16_t>{64, 128}));
    EXPECT_EQ(s.tx_ip_src, 0x0a000001u);
    EXPECT_EQ(s.tx_udp_dst, 6);
    EXPECT_EQ(s.mtu, 9000u);
    EXPECT_EQ(s.rss_hf, RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
    EXPECT_FALSE(s.flush_rx);
    EXPECT_FALSE(s.numa);
    EXPECT_EQ(s.tx_first, 1u);
    EXPECT_EQ(s.refcnt, "proxy+");
    EXPECT_TRUE(s.trace_refcnt);
}

TEST(Settings, PortsMayHaveAModeOfTheirOwn) {
    const Settings s = good({"--forward-mode=macswap", "--port-mode=1:seqgen", "--port-mode=2-3,5:tee"});
    ASSERT_EQ(s.port_modes.size(), 2u);
    EXPECT_EQ(s.port_modes[1].ports, (std::vector<uint16_t>{2, 3, 5}));
    EXPECT_EQ(mode_of(s, 1), "seqgen");
    EXPECT_EQ(mode_of(s, 5), "tee");
    EXPECT_EQ(mode_of(s, 4), "macswap");
    EXPECT_EQ(modes_of(s), (std::vector<std::string>{"macswap", "seqgen", "tee"}));
    EXPECT_TRUE(any_mode(s, "tee"));
    EXPECT_FALSE(any_mode(s, "io"));
    EXPECT_EQ(refusal({"--port-mode=1"}), "--port-mode=1: expected ports and their mode, such as 0,1:tee");
    EXPECT_EQ(refusal({"--port-mode=1:io", "--port-mode=0,1:tee"}), "--port-mode=0,1:tee: expected each port once: port 1 has mode io");
    EXPECT_NE(refusal({"--port-mode=1,2:nonsense"}).find("--port-mode=1,2:nonsense: expected one of io, "), std::string::npos);
    EXPECT_NE(refusal({"--port-mode=1:sendfile", "--page-cache=8"}).find("--sendfile=FILE"), std::string::npos) << "as of the mode of all";
    EXPECT_NE(refusal({"--port-mode=1:recvfile"}).find("--sendfile=FILE"), std::string::npos);
    EXPECT_NE(refusal({"--port-mode=1:txonly", "--tx-first"}).find("mode txonly makes its own packets"), std::string::npos);
}

TEST(Settings, LinksFaultsOfSomePortsAndNoTaps) {
    const Settings s = good({"--links=3", "--fault-ports=0,2", "--tap=none", "--sendfile-window=48", "--sendfile-ip=10.0.0.1,10.0.0.2",
                             "--sendfile-compare"});
    EXPECT_EQ(s.links, 3);
    EXPECT_EQ(s.fault_ports, (std::vector<uint16_t>{0, 2}));
    EXPECT_EQ(s.tap, "");
    EXPECT_EQ(s.sendfile_window, 48u);
    EXPECT_EQ(s.sendfile_ip_dst, 0x0a000002u);
    EXPECT_TRUE(s.sendfile_compare);
    EXPECT_EQ(refusal({"--links=65"}), "--links=65: expected a number from 0 to 64");
    EXPECT_EQ(refusal({"--sendfile-ip=10.0.0.1"}), "--sendfile-ip=10.0.0.1: expected two IPv4 addresses, such as 198.18.0.1,198.18.0.2");
}

TEST(Settings, PagesAreAskedForByKind) {
    EXPECT_FALSE(has_pages(good({})));
    EXPECT_TRUE(good({}).ext_pgs);
    const Settings s = good({"--page-cache=64", "--anon-pages=32", "--ext-pgs=off", "--strict-pages",
                             "--unmapped-ports=0,2-3"});
    EXPECT_TRUE(has_pages(s));
    EXPECT_EQ(s.page_cache_mb, 64u);
    EXPECT_EQ(s.anon_pages, 32u);
    EXPECT_FALSE(s.ext_pgs);
    EXPECT_TRUE(s.strict_pages);
    EXPECT_EQ(s.unmapped_ports, (std::vector<uint16_t>{0, 2, 3}));
    EXPECT_EQ(refusal({"--ext-pgs=maybe"}), "--ext-pgs=maybe: expected on or off");
}

TEST(Settings, WhatIsSaidOfPagesNeedsPages) {
    EXPECT_NE(refusal({"--strict-pages"}).find("add --page-cache or --anon-pages"), std::string::npos);
    EXPECT_NE(refusal({"--unmapped-ports=0", "--page-cache=0"}).find("there are no pages to send"), std::string::npos);
}

TEST(Settings, ModeSendfileNeedsAFileAndPages) {
    const Settings s = good({"--forward-mode=sendfile", "--sendfile=f", "--page-cache=8", "--sendfile-payload=9000",
                             "--sendfile-loops=0", "--sendfile-ahead=256", "--sendfile-checksum"});
    EXPECT_EQ(s.sendfile, "f");
    EXPECT_EQ(s.sendfile_payload, 9000);
    EXPECT_EQ(s.sendfile_loops, 0U);
    EXPECT_EQ(s.sendfile_ahead, 256);
    EXPECT_TRUE(s.sendfile_checksum);
    EXPECT_NE(refusal({"--forward-mode=sendfile", "--page-cache=8"}).find("--sendfile=FILE"), std::string::npos);
    EXPECT_NE(refusal({"--forward-mode=sendfile", "--sendfile=f"}).find("--page-cache=MB"), std::string::npos);
    EXPECT_EQ(refusal({"--sendfile-ahead=257"}), "--sendfile-ahead=257: expected a number from 1 to 256");
}

TEST(Settings, EspEnginesAreNamedAndWhatIsNoneIsRefusedWithTheList) {
    EXPECT_EQ(good({}).esp_engine, "ipsec-mb");
    EXPECT_EQ(good({}).cross_check, 0u);
    const Settings s = good({"--esp-engine=cryptodev:crypto_openssl", "--cross-check=100", "--cross-check-file=f"});
    EXPECT_EQ(s.esp_engine, "cryptodev:crypto_openssl");
    EXPECT_EQ(s.cross_check, 100u);
    EXPECT_EQ(s.cross_check_file, "f");
    EXPECT_EQ(good({"--esp-engine=security"}).esp_engine, "security") << "which devices there are is known later";
    for (const char* wrong : {"--esp-engine=openssl", "--esp-engine=cryptodev:", "--esp-engine="})
        EXPECT_NE(refusal({wrong}).find("--esp-engine"), std::string::npos) << wrong;
    EXPECT_NE(refusal({"--esp-engine=openssl"}).find("cryptodev:NAME"), std::string::npos);
}

TEST(Settings, MasksAreListsInAnotherForm) {
    const Settings s = good({"--portmask=0x5", "--coremask=e"});
    EXPECT_EQ(s.port_list, (std::vector<uint16_t>{0, 2}));
    EXPECT_EQ(s.core_list, (std::vector<unsigned>{1, 2, 3}));
    EXPECT_EQ(s.nb_cores, 3u) << "naming lcores means using them";
}

TEST(Settings, AnOptionMayBeSaidTwiceAndTheLastWins) {
    EXPECT_EQ(good({"--burst=8", "--burst=16"}).burst, 16);
    EXPECT_EQ(good({"--rss-ip", "--disable-rss"}).rss_hf, 0u);
}

TEST(Settings, SeveralCommandFilesRunInOrder) {
    EXPECT_EQ(good({"--cmdline-file=a", "--cmdline-file=b"}).cmdline_files,
              (std::vector<std::string>{"a", "b"}));
}

TEST(Settings, ABoundIsInsideAndTheNextValueIsNot) {
    EXPECT_EQ(good({"--burst=1"}).burst, 1);
    EXPECT_EQ(good({"--burst=512"}).burst, 512);
    EXPECT_EQ(refusal({"--burst=0"}), "--burst=0: expected a number from 1 to 512");
    EXPECT_EQ(refusal({"--burst=513"}), "--burst=513: expected a number from 1 to 512");
    EXPECT_EQ(good({"--tap=wan"}).tap, "wan");
    EXPECT_EQ(refusal({"--tap=a/b"}), "--tap=a/b: expected a name of up to 11 characters, or none");
    EXPECT_EQ(refusal({"--tap=twelve-chars"}), "--tap=twelve-chars: expected a name of up to 11 characters, or none");
    EXPECT_EQ(good({"--tap-netns=blue"}).tap_netns, "blue");
    EXPECT_EQ(good({"--routes=4000000"}).routes, 4000000);
    EXPECT_EQ(refusal({"--routes=63"}), "--routes=63: expected a number from 64 to 4000000");
    EXPECT_EQ(good({"--punt-rate=0"}).punt_rate, 0);
    EXPECT_EQ(good({"--frag-size=68"}).frag_size, 68);
    EXPECT_EQ(good({"--frag-size=65535"}).frag_size, 65535);
    EXPECT_EQ(refusal({"--frag-size=67"}), "--frag-size=67: expected a number from 68 to 65535");
    EXPECT_EQ(refusal({"--frag-size=65536"}), "--frag-size=65536: expected a number from 68 to 65535");
}

TEST(Settings, QuestionsAreAnsweredAndEndTheProgram) {
    for (const char* question : {"--help", "--version", "--forward-mode=help"}) {
        const Result<ParsedArgs> parsed = parse({question});
        ASSERT_TRUE(parsed.ok()) << question;
        EXPECT_TRUE(Result<ParsedArgs>(parsed).value().exit_now) << question;
    }
}

TEST(Settings, AnUnknownOptionIsNamedWithTheNearestOne) {
    EXPECT_EQ(refusal({"--forwrd-mode=io"}),
              "unknown option --forwrd-mode; the nearest that there is: --forward-mode (all: --help)");
    EXPECT_NE(refusal({"--nbcores=2"}).find("--nb-cores"), std::string::npos);
    EXPECT_NE(refusal({"stray"}).find("'stray' is not an option"), std::string::npos);
}

// Every refusal names the option and the value, and says what would be right.
TEST(Settings, EveryWrongValueGetsItsSentence) {
    const struct {
        std::string argument, option, expected;
    } rows[] = {
        {"--rxq=abc", "--rxq=abc", "a number from 1 to"},
        {"--txq=-1", "--txq=-1", "a number from 1 to"},
        {"--rxd=99999", "--rxd=99999", "32768"},
        {"--nb-cores=0", "--nb-cores=0", "a number from 1 to"},
        {"--nb-ports=0", "--nb-ports=0", "a number from 1 to"},
        {"--stats-period=0", "--stats-period=0", "a number from 1 to"},
        {"--total-num-mbufs=1", "--total-num-mbufs=1", "256"},
        {"--forward-mode=nonsense", "--forward-mode=nonsense", "io, mac"},
        {"--port-topology=star", "--port-topology=star", "paired, chained or loop"},
        {"--portlist=0,0", "--portlist=0,0", "each number once"},
        {"--portlist=2-1", "--portlist=2-1", "such as 0,2-4"},
        {"--portmask=0x0", "--portmask=0x0", "mask with a bit set"},
        {"--coremask=zz", "--coremask=zz", "hexadecimal"},
        {"--eth-peer=0", "--eth-peer=0", "port,address"},
        {"--eth-peer=0,nonsense", "--eth-peer=0,nonsense", "02:00:00:00:00:01"},
        {"--mbuf-size=10", "--mbuf-size=10", "bytes"},
        {"--txpkts=64,x", "--txpkts=64,x", "commas"},
        {"--txpkts=5", "--txpkts", "expected 14 to"},
        {"--tx-ip=10.0.0.1", "--tx-ip=10.0.0.1", "two IPv4 addresses"},
        {"--tx-udp=1,2,3", "--tx-udp=1,2,3", "one or two UDP ports"},
        {"--seconds=never", "--seconds=never", "a time in seconds"},
        {"--max-pkt-len=20", "--max-pkt-len=20", "a number from 64"},
        {"--faults=banana=1", "--faults=banana=1", "banana"},
        {"--burst", "--burst", "a value is missing"},
    };
    for (const auto& row : rows) {
        const std::string text = refusal({row.argument});
        EXPECT_NE(text.find(row.option), std::string::npos) << row.argument << ": " << text;
        EXPECT_NE(text.find(row.expected), std::string::npos) << row.argument << ": " << text;
    }
}

TEST(Settings, OptionsThatContradictEachOtherAreRefused) {
    EXPECT_NE(refusal({"--forward-mode=txonly", "--tx-first"}).find("makes its own packets"),
              std::string::npos);
    EXPECT_NE(refusal({"--corelist=1,2", "--nb-cores=3"}).find("names only 2 lcores"), std::string::npos);
    EXPECT_NE(refusal({"--portlist=0,1", "--nb-ports=3"}).find("names only 2 ports"), std::string::npos);
}

TEST(Settings, NoArgumentsAtAllAreNoArguments) {
    const Result<ParsedArgs> parsed = parse_args(0, nullptr);
    ASSERT_TRUE(parsed.ok()) << parsed.error().text;
    EXPECT_FALSE(Result<ParsedArgs>(parsed).value().exit_now);
}

std::string eal_side(std::vector<std::string> args) {
    args.insert(args.begin(), "umfwd");
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    return check_eal_side(static_cast<int>(argv.size()), argv.data()).error().text;
}

TEST(Settings, AnOptionOfOursBeforeTheDashesIsSentBehindThem) {
    for (const std::string ours : {"--forward-mode=io", "-i", "--auto-start", "--seconds"}) {
        EXPECT_NE(eal_side({"-l", "0,1", ours}).find("options of umfwd come after --"), std::string::npos)
            << ours;
        EXPECT_EQ(eal_side({"-l", "0,1", ours}).substr(0, ours.size()), ours);
    }
    EXPECT_EQ(eal_side({}), "");
    EXPECT_EQ(eal_side({"-l", "0,1", "-a", "0000:00:04.0", "--no-huge", "--vdev=net_null0"}), "");
}

TEST(Settings, TxFirstIsRefusedWhereNothingStartsByItself) {
    EXPECT_NE(refusal({"-i", "--tx-first"}).find("--auto-start"), std::string::npos);
    EXPECT_NE(refusal({"--cmdline-file=x", "--tx-first"}).find("start tx_first"), std::string::npos);
    EXPECT_EQ(good({"-i", "-a", "--tx-first"}).tx_first, 1u);
    EXPECT_EQ(good({"--tx-first"}).tx_first, 1u);
}

TEST(Settings, TxFirstForbidsNoModeAtThePrompt) {
    Settings s = good({"-i", "-a", "--tx-first"});
    s.mode = "txonly";
    EXPECT_TRUE(check(s).ok()) << check(s).error().text;
}

TEST(Settings, WhatTestpmdNeedsAndWeDoNotIsAcceptedWithOneNote) {
    for (const char* option : {"--record-core-cycles", "--record-burst-stats", "--disable-link-check",
                               "--no-lsc-interrupt", "--no-mlockall", "--display-xstats=a,b"}) {
        Result<ParsedArgs> parsed = parse({option, option});
        ASSERT_TRUE(parsed.ok()) << parsed.error().text;
        ASSERT_EQ(parsed.value().notes.size(), 1u) << option;
        EXPECT_EQ(parsed.value().notes[0].substr(0, 5), std::string(option).substr(0, 5));
    }
    EXPECT_TRUE(Result<ParsedArgs>(parse({"-i"})).value().notes.empty());
}

TEST(Settings, FilesThatCannotBeUsedAreNoticedBeforeTheStart) {
    Settings s;
    EXPECT_TRUE(check_files(s).ok());
    s.json_file = "-";
    EXPECT_TRUE(check_files(s).ok());
    s.json_file = "/nonexistent/report.json";
    EXPECT_EQ(check_files(s).error().text,
              "--json=/nonexistent/report.json: cannot be written: No such file or directory");
    s.json_file = "/tmp";
    EXPECT_EQ(check_files(s).error().code, EISDIR);
    s.json_file = "/etc/passwd/report.json";
    EXPECT_EQ(check_files(s).error().code, ENOTDIR);
    s.json_file = "/tmp/umfwd-no-such-report.json";
    EXPECT_TRUE(check_files(s).ok());
    s.cmdline_files = {"/nonexistent/commands"};
    EXPECT_EQ(check_files(s).error().text,
              "--cmdline-file=/nonexistent/commands: cannot be read: No such file or directory");
    s.cmdline_files = {"/tmp"};
    EXPECT_EQ(check_files(s).error().code, EISDIR);
}

}  // namespace
}  // namespace umbuf::fwd
