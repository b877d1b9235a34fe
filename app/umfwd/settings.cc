// SPDX-License-Identifier: BSD-2-Clause
// settings.cc - the command line: testpmd's option names, answered with whole sentences.
#include "app/umfwd/settings.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <set>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "app/umfwd/conf/conf.h"
#include "app/umfwd/engines/engine.h"
#include "app/umfwd/machine/links.h"
#include "app/umfwd/nearest.h"
#include "app/umfwd/say.h"
#include "drivers/crypto/engines.h"
#include "lib/ipsec/sa_text.h"
#include "lib/page/input_file.h"

#ifndef UMBUF_VERSION
#define UMBUF_VERSION "0"
#endif

namespace umbuf::fwd {

namespace {

// What a frame has around its MTU: testpmd's --max-pkt-len counts both.
constexpr uint32_t kFrameOverhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
constexpr uint32_t kMaxPktLen = 9728;

// Every host and router takes 68 bytes as they are: 60 of header and one unit of data (RFC 791 3.2).
constexpr uint16_t kLeastFragment = 68;

// Bad - thrown inside CLI11's callbacks only, and caught in parse_args().
struct Bad {
    std::string text;
};

[[noreturn]] void bad(const char* option, const std::string& value, const std::string& expected) {
    throw Bad{fmt::format("{}={}: expected {}", option, value, expected)};
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    size_t from = 0;
    for (;;) {
        const size_t at = text.find(separator, from);
        parts.push_back(text.substr(from, at - from));
        if (at == std::string::npos) return parts;
        from = at + 1;
    }
}

bool to_number(const std::string& text, int base, uint64_t* out) {
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, *out, base);
    return error == std::errc{} && at == end && !text.empty();
}

uint64_t number_in(const char* option, const std::string& text, uint64_t low, uint64_t high) {
    uint64_t n = 0;
    if (!to_number(text, 10, &n) || n < low || n > high)
        bad(option, text, fmt::format("a number from {} to {}", low, high));
    return n;
}

uint64_t mask_in(const char* option, const std::string& text) {
    const bool prefixed = text.starts_with("0x") || text.starts_with("0X");
    uint64_t mask = 0;
    if (!to_number(prefixed ? text.substr(2) : text, 16, &mask) || mask == 0)
        bad(option, text, "a hexadecimal mask with a bit set, such as 0x3");
    return mask;
}

template <class T>
std::vector<T> bits_of(uint64_t mask) {
    std::vector<T> bits;
    for (uint32_t i = 0; i < 64; ++i)
        if ((mask >> i & 1) != 0) bits.push_back(static_cast<T>(i));
    return bits;
}

// list_in - "0,2-4" as {0, 2, 3, 4}, each once.
template <class T>
std::vector<T> list_in(const char* option, const std::string& text, uint64_t high) {
    std::vector<T> list;
    for (const std::string& part : split(text, ',')) {
        const std::vector<std::string> ends = split(part, '-');
        uint64_t from = 0, to = 0;
        if (ends.size() > 2 || !to_number(ends.front(), 10, &from) ||
            !to_number(ends.back(), 10, &to) || from > to || to > high)
            bad(option, text, fmt::format("numbers and ranges up to {}, such as 0,2-4", high));
        for (uint64_t i = from; i <= to; ++i) list.push_back(static_cast<T>(i));
    }
    if (std::set<T>(list.begin(), list.end()).size() != list.size())
        bad(option, text, "each number once");
    return list;
}

template <class T>
std::vector<T> sizes_in(const char* option, const std::string& text, uint64_t low, uint64_t high) {
    std::vector<T> sizes;
    for (const std::string& part : split(text, ',')) {
        uint64_t n = 0;
        if (!to_number(part, 10, &n) || n < low || n > high)
            bad(option, text, fmt::format("sizes from {} to {} bytes, separated by commas", low, high));
        sizes.push_back(static_cast<T>(n));
    }
    return sizes;
}

void peer_in(Settings& s, const std::string& text) {
    const size_t comma = text.find(',');
    uint64_t port = 0;
    rte_ether_addr mac;
    if (comma == std::string::npos || !to_number(text.substr(0, comma), 10, &port) ||
        port >= RTE_MAX_ETHPORTS || rte_ether_unformat_addr(text.c_str() + comma + 1, &mac) != 0)
        bad("--eth-peer", text, "port,address, such as 0,02:00:00:00:00:01");
    s.peers[static_cast<uint16_t>(port)] = mac;
}

// PORT[,PORT]:MODE. That the mode exists is for check() to say, as of --forward-mode.
void port_mode_in(Settings& s, const std::string& text) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos || colon + 1 == text.size())
        bad("--port-mode", text, "ports and their mode, such as 0,1:tee");
    PortMode own{list_in<uint16_t>("--port-mode", text.substr(0, colon), RTE_MAX_ETHPORTS - 1), text.substr(colon + 1)};
    for (const PortMode& other : s.port_modes)
        for (const uint16_t port : own.ports)
            if (std::ranges::find(other.ports, port) != other.ports.end())
                bad("--port-mode", text, fmt::format("each port once: port {} has mode {}", port, other.mode));
    s.port_modes.push_back(std::move(own));
}

// addresses_in - two of them, in host order.
void addresses_in(const char* option, const std::string& text, uint32_t& from, uint32_t& to) {
    const std::vector<std::string> ends = split(text, ',');
    in_addr address[2];
    if (ends.size() != 2 || inet_pton(AF_INET, ends[0].c_str(), &address[0]) != 1 ||
        inet_pton(AF_INET, ends[1].c_str(), &address[1]) != 1)
        bad(option, text, "two IPv4 addresses, such as 198.18.0.1,198.18.0.2");
    from = ntohl(address[0].s_addr);
    to = ntohl(address[1].s_addr);
}

void tx_udp_in(Settings& s, const std::string& text) {
    const std::vector<std::string> ends = split(text, ',');
    if (ends.size() > 2) bad("--tx-udp", text, "one or two UDP ports, such as 9,10");
    s.tx_udp_src = static_cast<uint16_t>(number_in("--tx-udp", ends.front(), 1, 65535));
    s.tx_udp_dst = static_cast<uint16_t>(number_in("--tx-udp", ends.back(), 1, 65535));
}

bool on_or_off(const char* option, const std::string& text) {
    if (text != "on" && text != "off") bad(option, text, "on or off");
    return text == "on";
}

void topology_in(Settings& s, const std::string& text) {
    if (text == "paired") s.topology = Topology::paired;
    else if (text == "chained") s.topology = Topology::chained;
    else if (text == "loop") s.topology = Topology::loop;
    else bad("--port-topology", text, "paired, chained or loop");
}

void seconds_in(Settings& s, const std::string& text) {
    char* end = nullptr;
    const double seconds = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(seconds > 0 && seconds <= 1e9))
        bad("--seconds", text, "a time in seconds, such as 10 or 0.5");
    s.seconds = seconds;
}

std::string mode_names() {
    std::string names;
    for (const Engine* engine : engines()) names += (names.empty() ? "" : ", ") + std::string(engine->name);
    return names;
}

std::string mode_help() {
    std::string text = "Forwarding modes (--forward-mode, set fwd):\n";
    for (const Engine* engine : engines()) text += fmt::format("  {:<10} {}\n", engine->name, engine->summary);
    return text;
}

// Parser - the option table over CLI11, and the settings that it fills.
class Parser {
  public:
    explicit Parser(Settings base = {});
    // take - what these arguments say, each for itself: false, and nothing taken, if they only ask.
    Result<bool> take(int argc, char** argv);
    Result<ParsedArgs> run(int argc, char** argv);
    [[nodiscard]] bool knows(const std::string& option) const;
    [[nodiscard]] std::vector<OptionName> names() const;
    [[nodiscard]] const Settings& settings() const { return settings_; }

  private:
    using Take = std::function<void(const std::string&)>;
    void option(const char* name, const Take& take, const char* help);
    void repeated(const char* name, const Take& take, const char* help);
    void flag(const char* name, const std::function<void()>& set, const char* help);
    template <class T>
    void number(const char* name, T& field, uint64_t low, uint64_t high, const char* help);
    void accepted(const char* name, const char* why, bool with_value = false);
    void running_options();
    void placing_options();
    void buffer_options();
    void page_options();
    void generator_options();
    void sendfile_options();
    void needless_options();
    [[nodiscard]] std::string unknown(const std::string& argument) const;

    CLI::App app_{"Forward packets between ports.", "umfwd [EAL options] --"};
    Settings settings_;
    std::vector<std::string> notes_;
    std::set<std::string> repeated_, questions_{"help", "version"};
    bool nb_cores_given_ = false, core_list_given_ = false;
    bool modes_wanted_ = false;
};

void Parser::option(const char* name, const Take& take, const char* help) {
    app_.add_option_function<std::string>(name, take, help)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void Parser::repeated(const char* name, const Take& take, const char* help) {
    repeated_.insert(name + 2);
    app_.add_option_function<std::vector<std::string>>(
            name,
            [take](const std::vector<std::string>& values) {
                for (const std::string& value : values) take(value);
            },
            help)
        ->allow_extra_args(false);
}

void Parser::flag(const char* name, const std::function<void()>& set, const char* help) {
    app_.add_flag_callback(name, set, help)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

template <class T>
void Parser::number(const char* name, T& field, uint64_t low, uint64_t high, const char* help) {
    option(
        name,
        [name, &field, low, high](const std::string& text) {
            field = static_cast<T>(number_in(name, text, low, high));
        },
        help);
}

// accepted - an option of testpmd that asks for what is done anyway. It is taken, and said so once.
void Parser::accepted(const char* name, const char* why, bool with_value) {
    const auto note = [this, name, why] {
        const std::string line = fmt::format("{}: {}\n", name, why);
        if (std::find(notes_.begin(), notes_.end(), line) == notes_.end()) notes_.push_back(line);
    };
    const std::string help = fmt::format("accepted; {}", why);
    if (with_value) option(name, [note](const std::string&) { note(); }, help.c_str());
    else flag(name, note, help.c_str());
}

void Parser::running_options() {
    Settings& s = settings_;
    option(
        "--forward-mode",
        [this](const std::string& text) {
            modes_wanted_ |= text == "help";
            settings_.mode = text;
        },
        "forwarding mode; \"help\" lists them");
    repeated("--port-mode", [&s](const std::string& text) { port_mode_in(s, text); },
             "PORTS:MODE: these ports forward between themselves, in this mode; may be repeated");
    flag("-i,--interactive", [&s] { s.interactive = true; }, "read commands from a prompt");
    flag("-a,--auto-start", [&s] { s.auto_start = true; }, "start forwarding at once");
    flag("--tx-first", [&s] { s.tx_first = 1; }, "send one burst from each port before forwarding");
    number("--stats-period", s.stats_period_s, 1, 86400, "print statistics every N seconds");
    option("--seconds", [&s](const std::string& text) { seconds_in(s, text); }, "halt after N seconds");
    repeated(
        "--cmdline-file", [&s](const std::string& text) { s.cmdline_files.push_back(text); },
        "run the commands in this file; may be repeated");
    flag("--strict", [&s] { s.strict = true; }, "end with status 1 at the first command that fails");
    option("--control", [&s](const std::string& text) { s.control = text; }, "take commands from a UNIX socket, too, at this path");
    option("--json", [&s](const std::string& text) { s.json_file = text; },
           "write the final report to this file; - is standard output");
    option("--stats-file", [&s](const std::string& text) { s.stats_file = text; },
           "where others read the numbers (default: /dev/shm/umbuf.PREFIX); none");
    option("--stats-group", [&s](const std::string& text) { s.stats_group = text; }, "a group that may read them");
    option("--faults", [&s](const std::string& text) { s.faults = text; },
           "misbehave on purpose, such as seed=7,drop=1000");
    option(
        "--fault-ports",
        [&s](const std::string& text) {
            s.fault_ports = list_in<uint16_t>("--fault-ports", text, RTE_MAX_ETHPORTS - 1);
        },
        "only these ports misbehave (all)");
    // Taken out of the command line before it comes here (conf/command_line.h).
    option("--conf", [](const std::string&) {}, "read this configuration; options here win over it");
    option("--check-conf", [](const std::string&) {}, "say what is wrong with this configuration, and end");
    flag("--conf-readable", [] {}, "keys may be in a configuration that others than its owner can read");
}

void Parser::placing_options() {
    Settings& s = settings_;
    option("--port-topology", [&s](const std::string& text) { topology_in(s, text); },
           "paired, chained or loop");
    option(
        "--portlist",
        [&s](const std::string& text) {
            s.port_list = list_in<uint16_t>("--portlist", text, RTE_MAX_ETHPORTS - 1);
        },
        "ports to forward between, such as 0,2-3");
    option(
        "--portmask",
        [&s](const std::string& text) {
            s.port_list = bits_of<uint16_t>(mask_in("--portmask", text));
        },
        "the same as a hexadecimal mask");
    number("--links", s.links, 0, kMostLinks, "pairs of ports that are each other's far end");
    number("--nb-ports", s.nb_ports, 1, RTE_MAX_ETHPORTS, "forward between the first N ports");
    option(
        "--nb-cores",
        [this](const std::string& text) {
            settings_.nb_cores =
                static_cast<uint32_t>(number_in("--nb-cores", text, 1, RTE_MAX_LCORE - 1));
            nb_cores_given_ = true;
        },
        "lcores that forward");
    option(
        "--corelist",
        [this](const std::string& text) {
            settings_.core_list = list_in<unsigned>("--corelist", text, RTE_MAX_LCORE - 1);
            core_list_given_ = true;
        },
        "lcores that forward, by number");
    option(
        "--coremask",
        [this](const std::string& text) {
            settings_.core_list = bits_of<unsigned>(mask_in("--coremask", text));
            core_list_given_ = true;
        },
        "the same as a hexadecimal mask");
    number("--rxq", s.rxq, 1, 1024, "receive queues per port");
    number("--txq", s.txq, 1, 1024, "transmit queues per port");
    number("--rxd", s.rxd, 1, 32768, "descriptors per receive queue");
    number("--txd", s.txd, 1, 32768, "descriptors per transmit queue");
    number("--burst", s.burst, 1, kMaxBurst, "packets per burst");
    option(
        "--max-pkt-len",
        [&s](const std::string& text) {
            s.mtu = static_cast<uint32_t>(
                        number_in("--max-pkt-len", text, RTE_ETHER_MIN_LEN, kMaxPktLen)) -
                    kFrameOverhead;
            s.port_mtus.clear();
        },
        "longest frame, with header and CRC");
    flag("--rss-ip", [&s] { s.rss_hf = RTE_ETH_RSS_IP; }, "spread by IP addresses");
    flag("--rss-udp", [&s] { s.rss_hf = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP; },
         "spread by IP addresses and UDP ports");
    flag("--disable-rss", [&s] { s.rss_hf = 0; }, "do not spread");
    flag("--no-flush-rx", [&s] { s.flush_rx = false; },
         "at a restart, keep what arrived while stopped");
    repeated("--eth-peer", [&s](const std::string& text) { peer_in(s, text); },
             "port,address: who is at the other end; may be repeated");
    option(
        "--tap",
        [&s](const std::string& text) {
            if (text.empty() || text.size() > 11 || text.find('/') != std::string::npos) bad("--tap", text, "a name of up to 11 characters, or none");
            s.tap = text == "none" ? "" : text;
        },
        "modes route, esp: the TAP interfaces are called this and the port's number (umf); none: only --conf says what is where");
    option("--tap-netns", [&s](const std::string& text) { s.tap_netns = text; }, "modes route, esp: the TAPs' network namespace, as of ip-netns");
    number("--routes", s.routes, 64, 4000000, "modes route, esp: room for N routes of each family (16384)");
    number("--punt-rate", s.punt_rate, 0, 1000000, "modes route, esp: packets a second that the kernel has to answer, of each lcore (1000)");
    number("--frag-size", s.frag_size, kLeastFragment, UINT16_MAX,
           "longest IPv4 packet, in bytes, that mode frag leaves whole");
    option(
        "--esp-sa",
        [&s](const std::string& text) {
            if (const Result<SaText> sa = parse_sa(text); !sa) throw Bad{"--esp-sa: " + sa.error().text};
            s.esp_sa = text;
        },
        "the SA of modes esp-enc and esp-dec, in words (the manual has them)");
    number("--esp-seq-floor", s.esp_seq_floor, 0, UINT64_MAX - 1,
           "the last sequence number that this key has sent; 0: none, ever");
    option("--esp-seq-file", [&s](const std::string& text) { s.esp_seq_file = text; },
           "a file that remembers it; made where there is none and a floor is given");
    option(
        "--esp-engine",
        [&s](const std::string& text) {
            if (const Status known = check_esp_engine(text); !known) throw Bad{"--esp-engine: " + known.error().text};
            s.esp_engine = text;
        },
        "who does the cryptography: ipsec-mb, cryptodev:NAME or security");
    number("--cross-check", s.cross_check, 0, UINT32_MAX,
           "every so many ESP packets by a second engine, too, and compared; 0: none");
    option("--cross-check-file", [&s](const std::string& text) { s.cross_check_file = text; },
           "a new file for the first packet that two engines differ about");
}

void Parser::buffer_options() {
    Settings& s = settings_;
    option(
        "--mbuf-size",
        [&s](const std::string& text) {
            s.mbuf_sizes = sizes_in<uint32_t>("--mbuf-size", text, RTE_PKTMBUF_HEADROOM + 64, 65535);
        },
        "bytes of a packet's buffer with headroom; several make several pools");
    number("--total-num-mbufs", s.total_num_mbufs, 256, 1u << 28, "packets per pool");
    number("--mbcache", s.mbcache, 0, RTE_MEMPOOL_CACHE_MAX_SIZE, "elements kept per lcore");
    option(
        "--refcnt",
        [&s](const std::string& text) {
            if (refs_named(text) == nullptr)
                bad("--refcnt", text, fmt::format("one of {}", fmt::join(refs_names(), ", ")));
            s.refcnt = text;
        },
        "scheme that counts references to shared buffers");
    flag("--trace-refcnt", [&s] { s.trace_refcnt = true; },
         "write down where references are taken and dropped");
    flag("--numa", [&s] { s.numa = true; }, "buffers on the node of their port (default)");
    flag("--no-numa", [&s] { s.numa = false; }, "all buffers on one node");
}

void Parser::page_options() {
    Settings& s = settings_;
    number("--page-cache", s.page_cache_mb, 0, 1u << 20, "megabytes of unmapped pages for files; 0: none");
    number("--anon-pages", s.anon_pages, 0, 1u << 24, "unmapped pages for payload of our own; 0: none");
    option("--ext-pgs", [&s](const std::string& text) { s.ext_pgs = on_or_off("--ext-pgs", text); },
           "may new mbufs be unmapped: on or off");
    flag("--strict-pages", [&s] { s.strict_pages = true; },
         "map each window on a page for its own time, to find uses after it");
    option(
        "--unmapped-ports",
        [&s](const std::string& text) {
            s.unmapped_ports = list_in<uint16_t>("--unmapped-ports", text, RTE_MAX_ETHPORTS - 1);
        },
        "ports that send unmapped pages, without being asked for a proof");
}

void Parser::generator_options() {
    Settings& s = settings_;
    option(
        "--txpkts",
        [&s](const std::string& text) { s.txpkts = sizes_in<uint16_t>("--txpkts", text, 1, 16384); },
        "segment lengths of a made packet");
    option("--tx-ip", [&s](const std::string& text) { addresses_in("--tx-ip", text, s.tx_ip_src, s.tx_ip_dst); },
           "source,destination");
    option("--tx-udp", [&s](const std::string& text) { tx_udp_in(s, text); }, "source[,destination]");
    number("--flowgen-flows", s.flowgen_flows, 1, INT32_MAX, "flows in mode flowgen");
    number("--tx-count", s.tx_count, 1, UINT64_MAX, "packets that a generator stream makes");
}

void Parser::sendfile_options() {
    Settings& s = settings_;
    option("--sendfile", [&s](const std::string& text) { s.sendfile = text; }, "the file that mode sendfile sends");
    number("--sendfile-payload", s.sendfile_payload, 1, kMostFilePayload, "bytes of the file in a packet");
    number("--sendfile-loops", s.sendfile_loops, 0, UINT64_MAX, "how often each stream sends it; 0: for ever");
    number("--sendfile-ahead", s.sendfile_ahead, 1, kMostAhead, "pages asked for before they are needed");
    number("--sendfile-window", s.sendfile_window, 0, 1u << 20, "packets sent ahead of mode recvfile's answers; 0: any");
    option("--sendfile-ip",
           [&s](const std::string& text) { addresses_in("--sendfile-ip", text, s.sendfile_ip_src, s.sendfile_ip_dst); },
           "source,destination of mode sendfile (--tx-ip's)");
    flag("--sendfile-compare", [&s] { s.sendfile_compare = true; },
         "when forwarding stops, compare the cached pages with the file");
    flag("--sendfile-checksum", [&s] { s.sendfile_checksum = true; },
         "compute UDP checksums, which reads the pages");
}

void Parser::needless_options() {
    accepted("--record-core-cycles", "cycles are always counted");
    accepted("--record-burst-stats", "bursts are always counted");
    accepted("--disable-link-check", "no start waits for a link");
    accepted("--no-lsc-interrupt", "links are polled, too");
    accepted("--no-mlockall", "memory is never locked as a whole");
    accepted("--display-xstats", "'show port xstats' prints all of them", true);
}

Parser::Parser(Settings base) : settings_(std::move(base)) {
    app_.set_version_flag("--version", "umfwd " UMBUF_VERSION);
    app_.allow_extras();  // So that the error is ours, and names the nearest option.
    running_options();
    placing_options();
    buffer_options();
    page_options();
    generator_options();
    sendfile_options();
    needless_options();
}

bool Parser::knows(const std::string& option) const {
    const auto is = [&option](const char* dashes, const std::vector<std::string>& names) {
        return std::any_of(names.begin(), names.end(),
                           [&](const std::string& name) { return option == dashes + name; });
    };
    for (const CLI::Option* known : app_.get_options())
        if (is("--", known->get_lnames()) || is("-", known->get_snames())) return true;
    return false;
}

std::string Parser::unknown(const std::string& argument) const {
    const std::string typed = argument.substr(0, argument.find('='));
    if (!typed.starts_with("-"))
        return fmt::format("'{}' is not an option; options start with --, see --help", argument);
    std::vector<std::string> names;
    for (const CLI::Option* known : app_.get_options())
        for (const std::string& name : known->get_lnames()) names.push_back("--" + name);
    return fmt::format("unknown option {}; the nearest that there is: {} (all: --help)", typed, nearest(typed, names));
}

Error wrong(std::string text) { return {EINVAL, std::move(text)}; }

// check_tx_first - only about the command line: at the prompt another mode may follow, and "start"
// has its own tx_first.
Status check_tx_first(const Settings& s) {
    if (s.tx_first == 0) return {};
    if (!s.auto_start && (s.interactive || !s.cmdline_files.empty()))
        return wrong("--tx-first: nothing starts by itself here; add --auto-start, or use the command "
                     "'start tx_first'");
    if (!s.cmdline_files.empty()) return {};
    for (const std::string& mode : modes_of(s))
        if (find_engine(mode)->sources)
            return wrong(fmt::format("--tx-first: mode {} makes its own packets; leave the option out", mode));
    return {};
}

Result<bool> Parser::take(int argc, char** argv) {
    try {
        if (argc > 0) app_.parse(argc, argv);  // CLI11 takes argv[0] for granted
    } catch (const Bad& problem) {
        return Error{EINVAL, problem.text};
    } catch (const CLI::CallForHelp&) {
        say(app_.help());
        return false;
    } catch (const CLI::CallForVersion& version) {
        say(fmt::format("{}\n", version.what()));
        return false;
    } catch (const CLI::ArgumentMismatch& problem) {
        const std::string text = problem.what();  // begins with the option's name
        return Error{EINVAL, fmt::format("{}: a value is missing, as in {}=...; see --help",
                                         text.substr(0, text.find(':')), text.substr(0, text.find(':')))};
    } catch (const CLI::ParseError& problem) {
        return Error{EINVAL, fmt::format("{} (see --help)", problem.what())};
    }
    if (const std::vector<std::string> rest = app_.remaining(); !rest.empty())
        return Error{EINVAL, unknown(rest.front())};
    if (modes_wanted_) {
        say(mode_help());
        return false;
    }
    // Who names lcores means them all, unless he says how many.
    if (core_list_given_ && !nb_cores_given_)
        settings_.nb_cores = static_cast<uint32_t>(settings_.core_list.size());
    return true;
}

Result<ParsedArgs> Parser::run(int argc, char** argv) {
    const Result<bool> taken = take(argc, argv);
    if (!taken) return taken.error();
    if (!taken.value()) return ParsedArgs{settings_, true, {}};
    if (Status status = check(settings_); !status) return status.error();
    if (Status status = check_tx_first(settings_); !status) return status.error();
    return ParsedArgs{settings_, false, notes_};
}

std::vector<OptionName> Parser::names() const {
    std::vector<OptionName> names;
    for (const CLI::Option* known : app_.get_options())
        for (const std::string& name : known->get_lnames())
            if (!questions_.contains(name))
                names.push_back({name, known->get_items_expected_max() > 0, repeated_.contains(name)});
    return names;
}

Status check_places(const Settings& s) {
    if (s.nb_cores < 1) return wrong("--nb-cores=0: at least one lcore must forward");
    if (!s.core_list.empty() && s.nb_cores > s.core_list.size())
        return wrong(fmt::format("--nb-cores={}: --corelist names only {} lcores", s.nb_cores,
                                 s.core_list.size()));
    if (!s.port_list.empty() && s.nb_ports > s.port_list.size())
        return wrong(fmt::format("--nb-ports={}: --portlist names only {} ports", s.nb_ports,
                                 s.port_list.size()));
    if (s.rxq < 1 || s.txq < 1) return wrong("--rxq and --txq: a port needs one queue each way");
    if (s.burst < 1 || s.burst > kMaxBurst)
        return wrong(fmt::format("--burst={}: expected 1 to {}", s.burst, kMaxBurst));
    return {};
}

Status check_pages(const Settings& s) {
    if (has_pages(s)) return {};
    if (s.strict_pages) return wrong("--strict-pages: there are no pages; add --page-cache or --anon-pages");
    if (!s.unmapped_ports.empty())
        return wrong("--unmapped-ports: there are no pages to send; add --page-cache or --anon-pages");
    return {};
}

Status check_sendfile(const Settings& s) {
    if (any_mode(s, "recvfile") && s.sendfile.empty())
        return wrong("mode recvfile compares what it receives with a file: say which, --sendfile=FILE");
    if (!any_mode(s, "sendfile")) return {};
    if (s.sendfile.empty()) return wrong("mode sendfile sends a file: say which, --sendfile=FILE");
    if (s.page_cache_mb == 0)
        return wrong("mode sendfile reads files into unmapped pages, and there are none: add --page-cache=MB, "
                     "such as --page-cache=64");
    return {};
}

Status check_generator(const Settings& s) {
    uint32_t length = 0;
    for (const uint16_t segment : s.txpkts) length += segment;
    if (s.txpkts.empty() || s.txpkts.size() > 32)
        return wrong("--txpkts: expected 1 to 32 segment lengths");
    if (length < 14 || length > kMaxPktLen)
        return wrong(fmt::format("--txpkts: the segments make a packet of {} bytes; expected 14 to {}",
                                 length, kMaxPktLen));
    return {};
}

}  // namespace

Result<ParsedArgs> parse_args(int argc, char** argv, const Settings& base) { return Parser(base).run(argc, argv); }

std::vector<OptionName> option_names() { return Parser().names(); }

Status take_options(Settings& settings, std::vector<std::string> arguments) {
    std::string program = "umfwd";
    std::vector<char*> argv{program.data()};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    Parser parser(settings);
    const Result<bool> taken = parser.take(static_cast<int>(argv.size()), argv.data());
    if (!taken) return taken.error();
    settings = parser.settings();
    return {};
}

Status check_eal_side(int argc, char** argv) {
    const Parser ours;
    for (int i = 1; i < argc; ++i) {
        const std::string given = argv[i], name = given.substr(0, given.find('='));
        const std::set<std::string> shared{"-a", "-h", "--help", "--version"};  // EAL's, or both's
        if (!shared.contains(name) && ours.knows(name))
            return wrong(fmt::format("{}: options of umfwd come after --, as in: umfwd -l 0,1 -- {}", given,
                                     given));
    }
    return {};
}

namespace {

Error unusable(const char* option, const std::string& file, const char* what, int error) {
    return {error, fmt::format("{}={}: {}: {}", option, file, what, std::strerror(error))};
}

Status check_readable(const std::string& file) {
    if (access(file.c_str(), R_OK) != 0)
        return unusable("--cmdline-file", file, "cannot be read", errno);
    std::error_code ignored;
    if (std::filesystem::is_directory(file, ignored))
        return unusable("--cmdline-file", file, "is no file of commands", EISDIR);
    return {};
}

Status check_writable(const std::string& file) {
    std::error_code ignored;
    if (std::filesystem::is_directory(file, ignored))
        return unusable("--json", file, "cannot be written", EISDIR);
    const std::filesystem::path folder = std::filesystem::path(file).parent_path();
    const std::string place =
        std::filesystem::exists(file, ignored) ? file : folder.empty() ? "." : folder.string();
    if (place != file && std::filesystem::exists(place, ignored) &&
        !std::filesystem::is_directory(place, ignored))
        return unusable("--json", file, "cannot be written", ENOTDIR);
    if (access(place.c_str(), W_OK) != 0)
        return unusable("--json", file, "cannot be written", errno);
    return {};
}

}  // namespace

// check_file_to_send - the mode may be another now, and this one later.
Status check_file_to_send(const std::string& path) {
    const Result<std::unique_ptr<InputFile>> file = InputFile::open(path);
    if (!file) return Error{file.error().code, "--sendfile=" + file.error().text};
    if (file.value()->size() > 0) return {};
    return Error{ENODATA, fmt::format("--sendfile={}: is empty: there is nothing to send", path)};
}

Status check_files(const Settings& s) {
    if (!s.sendfile.empty())
        if (Status status = check_file_to_send(s.sendfile); !status) return status;
    for (const std::string& file : s.cmdline_files)
        if (Status status = check_readable(file); !status) return status;
    return s.json_file.empty() || s.json_file == "-" ? Status{} : check_writable(s.json_file);
}

const std::string& mode_of(const Settings& s, uint16_t port) {
    for (const PortMode& own : s.port_modes)
        if (std::ranges::find(own.ports, port) != own.ports.end()) return own.mode;
    return s.mode;
}

std::vector<std::string> modes_of(const Settings& s) {
    std::vector<std::string> modes{s.mode};
    for (const PortMode& own : s.port_modes)
        if (std::ranges::find(modes, own.mode) == modes.end()) modes.push_back(own.mode);
    return modes;
}

bool any_mode(const Settings& s, bool (*is)(const Engine& engine)) {
    return std::ranges::any_of(modes_of(s), [is](const std::string& mode) {
        const Engine* engine = find_engine(mode);
        return engine != nullptr && is(*engine);
    });
}

bool any_mode(const Settings& s, std::string_view name) {
    return std::ranges::any_of(modes_of(s), [name](const std::string& mode) { return mode == name; });
}

Status check(const Settings& s) {
    const Engine* engine = find_engine(s.mode);
    if (engine == nullptr && s.conf != nullptr && s.mode == s.conf->mode())
        return wrong(fmt::format("{} needs mode {}, which this build does not have", s.conf->file, s.mode));
    if (s.conf != nullptr)
        if (Status served = s.conf->served_by(s.mode); !served) return served;
    if (engine == nullptr)
        return wrong(fmt::format("--forward-mode={}: expected one of {}", s.mode, mode_names()));
    for (const PortMode& own : s.port_modes)
        if (find_engine(own.mode) == nullptr)
            return wrong(fmt::format("--port-mode={}:{}: expected one of {}", fmt::join(own.ports, ","), own.mode, mode_names()));
    if (!s.faults.empty()) {
        const Result<FaultPlan> plan = FaultPlan::parse(s.faults);
        if (!plan) return wrong(fmt::format("--faults={}: {}", s.faults, plan.error().text));
    }
    if (Status status = check_places(s); !status) return status;
    if (Status status = check_pages(s); !status) return status;
    if (Status status = check_sendfile(s); !status) return status;
    return check_generator(s);
}

}  // namespace umbuf::fwd
