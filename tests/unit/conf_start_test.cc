// SPDX-License-Identifier: BSD-2-Clause
// conf_start_test.cc - the configuration file and the command line together: who wins, and what is refused.
#include "app/umfwd/conf/command_line.h"

#include <gtest/gtest.h>

#include "tests/unit/conf_file.h"

namespace umbuf::test {
namespace {

using namespace fwd;
using Words = std::vector<std::string>;

Beginning begin_with(Words words) {
    words.insert(words.begin(), "umfwd");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    return begin(static_cast<int>(argv.size()), argv.data());
}

// settings - of the file and these options.
Settings settings(const ConfFile& file, Words options) {
    Beginning b = begin_with({"--conf", file.path()});
    EXPECT_FALSE(b.end);
    options.insert(options.begin(), "umfwd");
    std::vector<char*> argv;
    for (std::string& word : options) argv.push_back(word.data());
    const Result<ParsedArgs> parsed = parse_args(static_cast<int>(argv.size()), argv.data(), b.base);
    EXPECT_TRUE(parsed.ok()) << parsed.error().text;
    return parsed.ok() ? parsed.value().settings : Settings{};
}

const char* const kOptions = R"(
[options]
forward_mode = "macswap"
burst = 64
nb_cores = 1
corelist = "1,2"
eth_peer = ["0,02:00:00:00:00:0a", "3,02:00:00:00:00:0b"]
cmdline_file = "/dev/null"
seconds = 0.5
strict = true
numa = false
no_flush_rx = false
ext_pgs = false
txpkts = "64,64"
disable_rss = true
portmask = "0x3"
tx_first = false
[[port]]
name = "a"
device = "net_null0"
mtu = 1400
[[port]]
name = "b"
device = "net_null1,size=128"
)";

TEST(ConfStart, OptionsOfTheFileAreSettings) {
    const ConfFile file(kOptions);
    const Settings s = settings(file, {});
    EXPECT_EQ(s.mode, "macswap");
    EXPECT_EQ(s.burst, 64);
    EXPECT_EQ(s.nb_cores, 1u) << "said, so the list does not decide";
    EXPECT_EQ(s.core_list, (std::vector<unsigned>{1, 2}));
    EXPECT_EQ(s.peers.size(), 2u);
    EXPECT_EQ(s.cmdline_files, (Words{"/dev/null"}));
    EXPECT_EQ(s.seconds, 0.5);
    EXPECT_TRUE(s.strict);
    EXPECT_FALSE(s.numa) << "false is --no-numa";
    EXPECT_TRUE(s.flush_rx) << "and false of no_flush_rx is nothing";
    EXPECT_FALSE(s.ext_pgs);
    EXPECT_EQ(s.txpkts, (std::vector<uint16_t>{64, 64}));
    EXPECT_EQ(s.rss_hf, 0u);
    EXPECT_EQ(s.port_list, (std::vector<uint16_t>{0, 1}));
    EXPECT_EQ(s.tx_first, 0u);
    EXPECT_EQ(mtu_wanted(s, "net_null0"), 1400u);
    EXPECT_EQ(mtu_wanted(s, "net_null1"), 0u);
    ASSERT_NE(s.conf, nullptr);
}

TEST(ConfStart, TheEngineMayBeSaidAmongIpsec) {
    const ConfFile file("[ipsec]\nengine = \"cryptodev:crypto_openssl\"\n");
    EXPECT_EQ(settings(file, {}).esp_engine, "cryptodev:crypto_openssl");
    EXPECT_EQ(settings(file, {"--esp-engine=ipsec-mb"}).esp_engine, "ipsec-mb");
}

TEST(ConfStart, TheCommandLineWinsAlsoByAnotherName) {
    const ConfFile file(kOptions);
    const Settings s = settings(file, {"--burst=16", "--rss-ip", "--portlist=1", "--coremask=0xe", "--eth-peer=3,02:00:00:00:00:0c", "--numa",
                                       "--max-pkt-len=1518", "--forward-mode=io"});
    EXPECT_EQ(s.burst, 16);
    EXPECT_EQ(s.rss_hf, RTE_ETH_RSS_IP);
    EXPECT_EQ(s.port_list, (std::vector<uint16_t>{1}));
    EXPECT_EQ(s.nb_cores, 3u) << "naming lcores here means using them";
    ASSERT_EQ(s.peers.size(), 2u) << "what may be repeated adds up";
    EXPECT_EQ(s.peers.at(3).addr_bytes[5], 0x0c);
    EXPECT_TRUE(s.numa);
    EXPECT_EQ(mtu_wanted(s, "net_null0"), 1500u);
    EXPECT_EQ(s.mode, "io");
}

TEST(ConfStart, EalGetsTheFilesArgumentsWithoutThoseThatAreSaid) {
    const char* const text = R"(
[eal]
lcores = "0@0,1@1"
memory_mb = 512
huge = false
in_memory = true
file_prefix = "gw"
log_level = ["a:8", "b:7"]
args = ["--iova-mode=va", "--no-telemetry"]
[[port]]
name = "a"
device = "net_null0,size=64"
[[port]]
name = "b"
device = "net_null1"
)";
    const ConfFile file(text);
    const std::shared_ptr<const Conf> conf = file.read().conf;
    ASSERT_NE(conf, nullptr);
    EXPECT_EQ(eal_arguments(*conf, {"umfwd"}),
              (Words{"umfwd", "--lcores", "0@0,1@1", "-m", "512", "--no-huge", "--in-memory", "--file-prefix", "gw", "--log-level", "a:8", "--log-level", "b:7",
                     "--iova-mode=va", "--no-telemetry", "--vdev", "net_null0,size=64", "--vdev", "net_null1", "--no-pci"}));
    EXPECT_EQ(eal_arguments(*conf, {"umfwd", "-l", "4,5", "-m1024", "--file-prefix=x", "--vdev", "net_null1,size=9", "--iova-mode=pa", "--log-level=c:1", "--", "-m", "1"}),
              (Words{"umfwd", "--no-huge", "--in-memory", "--no-telemetry", "--vdev", "net_null0,size=64", "--no-pci", "-l", "4,5", "-m1024", "--file-prefix=x",
                     "--vdev", "net_null1,size=9", "--iova-mode=pa", "--log-level=c:1", "--", "-m", "1"}));
    const ConfFile small("[eal]\nhuge = false\n");
    EXPECT_EQ(eal_arguments(*small.read().conf, {"umfwd", "--in-memory"}), (Words{"umfwd", "--in-memory"})) << "where memory comes from is one question";
    const ConfFile pci("[[port]]\nname = \"a\"\ndevice = \"0000:00:04.0\"\n");
    EXPECT_EQ(eal_arguments(*pci.read().conf, {"umfwd"}), (Words{"umfwd", "-a", "0000:00:04.0"}));
    const ConfFile none("");
    EXPECT_EQ(eal_arguments(*none.read().conf, {"umfwd", "--vdev=net_null0"}), (Words{"umfwd", "--vdev=net_null0"})) << "no ports: those of the command line";
}

TEST(ConfStart, TheWordsAreTakenWhereverTheyStand) {
    const ConfFile file("[options]\nburst = 7\n");
    for (const Words& words : {Words{"--conf", file.path(), "-l", "0", "--", "-i"}, Words{"-l", "0", "--conf=" + file.path(), "--", "-i"}, Words{"-l", "0", "--", "--conf", file.path(), "-i"}}) {
        const Beginning b = begin_with(words);
        ASSERT_FALSE(b.end);
        EXPECT_EQ(b.argv, (Words{"umfwd", "-l", "0", "--", "-i"}));
        EXPECT_EQ(b.base.burst, 7);
    }
    const Beginning without = begin_with({"-l", "0", "--", "--burst=1"});
    EXPECT_EQ(without.argv, (Words{"umfwd", "-l", "0", "--", "--burst=1"}));
    EXPECT_EQ(without.base.conf, nullptr);
    for (const Words& words : {Words{"--conf"}, Words{"--check-conf="}, Words{"--conf", "--", "-i"}}) EXPECT_EQ(begin_with(words).status, 1);
}

int checked(const std::string& text) {
    const ConfFile file(text);
    const Beginning b = begin_with({"--check-conf", file.path()});
    EXPECT_TRUE(b.end);
    return b.status;
}

TEST(ConfStart, CheckConfAlsoSeesWhatDoesNotGoTogether) {
    EXPECT_EQ(checked(""), 0);
    EXPECT_EQ(checked("[options]\nburst = 0\n"), 1);
    EXPECT_EQ(checked("[options]\nportlist = \"0\"\nnb_ports = 2\n"), 1);
    EXPECT_EQ(checked("[options]\nforward_mode = \"sendfile\"\n"), 1);
    EXPECT_EQ(checked("[options]\ncmdline_file = \"/nonexistent\"\n"), 1);
    EXPECT_EQ(checked("[options]\nforward_mode = \"io\"\n[[policy]]\ndirection = \"in\"\naction = \"bypass\"\n"), 1) << "mode io looks at no policy";
    testing::internal::CaptureStderr();
    EXPECT_EQ(checked("\n[options]\nportlist = \"0\"\nnb_ports = 2\n"), 1);
    EXPECT_NE(testing::internal::GetCapturedStderr().find(":4: --nb-ports=2: --portlist names only 1 ports"), std::string::npos) << "with its line";
}

TEST(ConfStart, APolicyKeepsItsModeAtTheCommandLineAndAtThePrompt) {
    const ConfFile file("[[policy]]\ndirection = \"in\"\naction = \"bypass\"\n");
    const Beginning b = begin_with({"--conf", file.path()});
    ASSERT_FALSE(b.end);
    EXPECT_EQ(b.base.mode, "esp");
    Settings s = b.base;
    s.mode = "io";
    EXPECT_NE(check(s).error().text.find("this mode would not look at them"), std::string::npos);
}

}  // namespace
}  // namespace umbuf::test
