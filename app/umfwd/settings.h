// SPDX-License-Identifier: BSD-2-Clause
// settings.h - everything a person can choose, with the same names as testpmd's options.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <rte_ethdev.h>

#include "drivers/net/fault.h"
#include "lib/base/result.h"

namespace umbuf::fwd {

struct Conf;    // app/umfwd/conf/conf.h
struct Engine;  // app/umfwd/engines/engine.h

enum class Topology : uint8_t { paired, chained, loop };

// PortMode - ports that forward between themselves in a mode of their own, in this order.
struct PortMode {
    std::vector<uint16_t> ports;
    std::string mode;
};

// Fixed at start [I], or changed at the prompt while stopped [s].
struct Settings {
    // ---- what to run
    std::string mode = "io";                   // [s] --forward-mode: of the ports that no --port-mode names
    std::vector<PortMode> port_modes;          // [I] --port-mode
    bool interactive = false;                  // [I] -i
    bool auto_start = false;                   // [I] --auto-start
    uint32_t tx_first = 0;                     // [I] --tx-first: bursts sent before forwarding
    uint32_t stats_period_s = 0;               // [I] --stats-period
    double seconds = 0;                        // [I] --seconds: stop by itself; 0: never
    std::vector<std::string> cmdline_files;    // [I] --cmdline-file
    bool strict = false;                       // [I] --strict: first failing command ends, status 1
    std::string control;                       // [I] --control: a socket for commands; empty: none
    std::string stats_file;                    // [I] --stats-file; empty: by the --file-prefix; "none"
    std::string stats_group;                   // [I] --stats-group: a name or a number; empty: the process's own
    std::string json_file;                     // [I] --json: final report; "-": standard output
    std::shared_ptr<const Conf> conf;          // [I] --conf: ports, policies, SAs, routes; null: no file

    // ---- which ports and lcores
    Topology topology = Topology::paired;      // [s] --port-topology
    std::vector<uint16_t> port_list;           // [s] --portlist / --portmask; empty: all
    uint16_t links = 0;                        // [I] --links: cables inside the process (machine/links.h)
    uint16_t nb_ports = 0;                     // [s] --nb-ports: the first n; 0: all
    uint32_t nb_cores = 1;                     // [s] --nb-cores
    std::vector<unsigned> core_list;           // [s] --corelist / --coremask; empty: the first ones
    uint16_t rxq = 1, txq = 1, rxd = 0, txd = 0;  // [I] --rxq --txq --rxd --txd
    uint16_t burst = 32;                       // [s] --burst
    uint32_t mtu = 0;                          // [I] --max-pkt-len minus Ethernet header and CRC
    std::map<std::string, uint32_t> port_mtus; // [I] --conf: by the device's name; others have `mtu`
    uint64_t rss_hf = RTE_ETH_RSS_IP;          // [I] --rss-ip, --rss-udp, --disable-rss
    bool flush_rx = true;                      // [s] --no-flush-rx: keep what came while stopped
    std::map<uint16_t, rte_ether_addr> peers;  // [s] --eth-peer=X,MM:MM:..

    // ---- buffers
    std::vector<uint32_t> mbuf_sizes;          // [I] --mbuf-size: data room incl. headroom; empty: 2176
    uint32_t total_num_mbufs = 0;              // [I] --total-num-mbufs; 0: computed from the ports
    uint32_t mbcache = 250;                    // [I] --mbcache
    bool numa = true;                          // [I] --no-numa turns it off
    std::string refcnt = kDefaultRefs;         // [I] --refcnt: who counts references (lib/mbuf/refs.h)
    bool trace_refcnt = false;                 // [I] --trace-refcnt: from the start (lib/mbuf/trace.h)

    // ---- unmapped pages (lib/page); no arena is opened when there are no pages of either kind
    uint32_t page_cache_mb = 0;                // [I] --page-cache: megabytes for the contents of files
    uint32_t anon_pages = 0;                   // [I] --anon-pages: pages of kAnonPage bytes
    bool strict_pages = false;                 // [I] --strict-pages: each window mapped for its own time
    bool ext_pgs = true;                       // [s] --ext-pgs, also while forwarding: may new mbufs be unmapped
    std::vector<uint16_t> unmapped_ports;      // [I] --unmapped-ports: believed to send what the CPU cannot read

    // ---- modes esp-enc and esp-dec
    std::string esp_sa;                        // [I] --esp-sa: in the words of lib/ipsec/sa_text.h
    uint64_t esp_seq_floor = UINT64_MAX;       // [I] --esp-seq-floor: the last number that was used; max: unknown
    std::string esp_seq_file;                  // [I] --esp-seq-file: who remembers it (lib/ipsec/seq_file.h)
    uint32_t cross_check = 0;                  // [I] --cross-check: every so many packets by another engine, too; 0: none
    std::string cross_check_file = "umfwd-cross-check.pcapng";  // [I] --cross-check-file: the first difference
    std::string esp_engine = "ipsec-mb";       // [I] --esp-engine: drivers/crypto/engines.h

    // ---- modes that route
    std::string tap = "umf";                   // [I] --tap: the TAPs are this and the port's number; empty: none (tests)
    std::string tap_netns;                     // [I] --tap-netns: the TAPs' network namespace; empty: ours
    uint32_t routes = 16384;                   // [I] --routes: room for, of each family
    uint32_t punt_rate = 1000;                 // [I] --punt-rate: packets a second, of each lcore, that the kernel answers

    // ---- mode frag
    uint16_t frag_size = 576;                  // [I] --frag-size: bytes of an IPv4 packet left whole

    // ---- generator modes
    std::vector<uint16_t> txpkts = {64};       // [s] --txpkts: segment lengths
    uint32_t tx_ip_src = 0xC6120001, tx_ip_dst = 0xC6120002;  // [I] --tx-ip: 198.18.0.1,2 (RFC 2544)
    uint16_t tx_udp_src = 9, tx_udp_dst = 9;   // [I] --tx-udp
    uint32_t flowgen_flows = 1024;             // [I] --flowgen-flows
    uint64_t tx_count = 0;                     // [I] --tx-count: packets to make; 0: no limit

    // ---- mode sendfile
    std::string sendfile;                      // [I] --sendfile: the file
    uint16_t sendfile_payload = 1408;          // [I] --sendfile-payload: bytes of the file in a packet
    uint64_t sendfile_loops = 1;               // [I] --sendfile-loops: how often; 0: for ever
    uint16_t sendfile_ahead = 16;              // [I] --sendfile-ahead: pages asked for before they are needed
    bool sendfile_checksum = false;            // [I] --sendfile-checksum: UDP checksums are computed
    uint32_t sendfile_window = 0;              // [I] --sendfile-window: packets ahead of the receiver's answers; 0: any
    uint32_t sendfile_ip_src = 0, sendfile_ip_dst = 0;  // [I] --sendfile-ip; 0: those of --tx-ip
    bool sendfile_compare = false;             // [I] --sendfile-compare: at the end, what is cached with the file

    // ---- faults
    std::string faults;                        // [I] --faults: FaultPlan::parse; empty: none
    std::vector<uint16_t> fault_ports;         // [I] --fault-ports: only of these; empty: of all
};

// Mode sendfile: with its headers, a payload fits into the longest frame that we set up ports for; and
// the pages asked for ahead into a table of each stream's.
inline constexpr uint16_t kMostFilePayload = 9600, kMostAhead = 256;

// mtu_wanted - of the port that DPDK has under this name; 0: what the device has.
[[nodiscard]] inline uint32_t mtu_wanted(const Settings& s, const std::string& device) {
    const auto own = s.port_mtus.find(device);
    return own == s.port_mtus.end() ? s.mtu : own->second;
}

// mode_of - of the streams that receive from this port.
[[nodiscard]] const std::string& mode_of(const Settings& s, uint16_t port);
// modes_of - every mode that may run, --forward-mode's first.
[[nodiscard]] std::vector<std::string> modes_of(const Settings& s);
// any_mode - is there one of them of which this is true? One that does not exist is left out.
[[nodiscard]] bool any_mode(const Settings& s, bool (*is)(const Engine& engine));
[[nodiscard]] bool any_mode(const Settings& s, std::string_view name);

// has_pages - is an arena of unmapped pages asked for?
[[nodiscard]] inline bool has_pages(const Settings& s) { return s.page_cache_mb > 0 || s.anon_pages > 0; }

struct ParsedArgs {
    Settings settings;
    bool exit_now = false;  // --help or --version was printed
    std::vector<std::string> notes;  // for people: options of testpmd that change nothing here
};

// parse_args - the part of the command line after "--"; argv[0] is not looked at. Needs no EAL.
// `base`: what holds where the command line says nothing.
// Error: which option, which value, what it can be.
[[nodiscard]] Result<ParsedArgs> parse_args(int argc, char** argv, const Settings& base = {});

// option_names - those that can be said elsewhere, without their dashes: all but questions.
struct OptionName {
    std::string name;
    bool takes_value;
    bool repeats;  // may be said more than once, and adds up
};
[[nodiscard]] std::vector<OptionName> option_names();
// take_options - arguments, each for itself: they need not make sense together yet (check()). On error
// nothing is taken.
[[nodiscard]] Status take_options(Settings& settings, std::vector<std::string> arguments);

// check_eal_side - the part of the command line before "--", argv[0] not looked at: is there one of
// our own options, which EAL would refuse without saying where it belongs?
[[nodiscard]] Status check_eal_side(int argc, char** argv);

// check_files - can the files that the settings name be read and written? Asked before anything
// starts: a report that cannot be written is better known before the run than behind it.
[[nodiscard]] Status check_files(const Settings& settings);

// check - do the settings make sense together and with this engine table? Error: which, and why.
[[nodiscard]] Status check(const Settings& settings);

}  // namespace umbuf::fwd
