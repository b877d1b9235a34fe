// SPDX-License-Identifier: BSD-2-Clause
// report.h - what happened, as data; the text that testpmd's users grep and the JSON are two
// printings of the same struct, so they cannot disagree.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/umfwd/packet/stream.h"
#include "drivers/net/fault.h"

namespace umbuf::fwd {

struct WayReport {  // mode tee: another port's share of a stream's tx and of its tx-* drops
    uint16_t port = 0;
    uint64_t tx = 0, dropped = 0;
};

struct StreamReport {
    std::string mode;
    uint16_t rx_port = 0, rx_queue = 0, tx_port = 0, tx_queue = 0;
    unsigned lcore = 0;
    uint64_t rx = 0, tx = 0, made = 0, bad_ip_csum = 0, bad_l4_csum = 0;
    std::array<uint64_t, kDrops> drops{};
    std::vector<std::pair<uint16_t, uint64_t>> rx_bursts;  // (packets in the burst, how often), > 0 only
    std::vector<WayReport> tee;
};

// Counters that are summed, compared with a base and printed one by one. Each list is written once:
// it declares the fields, and report.cc walks it for everything else, so none can be forgotten.
#define UM_NIC_COUNTS(X) \
    X(rx_packets)        \
    X(rx_missed)         \
    X(rx_bytes)          \
    X(rx_errors)         \
    X(rx_nombuf)         \
    X(tx_packets)        \
    X(tx_errors)         \
    X(tx_bytes)

//      rx_total = rx_packets + rx_dropped      rx_dropped: the device had no descriptor (imissed)
//      tx_total = tx_packets + tx_dropped      tx_dropped: queue full, port closed, not sendable
#define UM_PORT_COUNTS(X)                                                               \
    X(rx_packets)                                                                       \
    X(rx_dropped)                                                                       \
    X(rx_total)                                                                         \
    X(tx_packets)                                                                       \
    X(tx_dropped)                                                                       \
    X(tx_total)                                                                         \
    X(rx_error)                                                                         \
    X(rx_nombufs)                                                                       \
    X(bad_ip_csum)                                                                      \
    X(bad_l4_csum)                                                                      \
    X(tx_closed) /* of tx_dropped: sent to the stopped port */                          \
    X(tx_chain)  /* of tx_dropped: chains that the device cannot send */                \
    X(tx_unmapped) /* of tx_dropped: unmapped pages that cannot be sent */              \
    X(pages_as_is)    /* packets that showed unmapped pages, by how they left (unmapped.h) */ \
    X(pages_windows)                                                                    \
    X(pages_copied)                                                                     \
    X(pages_captured) /* of the two above: only because somebody captures */            \
    X(flushed)   /* arrived while stopped, freed at the restart; in no other number */

#define UM_SEQ_COUNTS(X) X(sent) X(received) X(corrupt) X(duplicate) X(reordered) X(lost)

#define UM_FILE_COUNTS(X)                                                     \
    X(bytes)              /* of the file, taken by the port */               \
    X(packets)            /* with them */                                    \
    X(copied_packets)     /* made with --ext-pgs off */                      \
    X(copied_ext_pgs_off) /* bytes that the CPU copied out of pages, by reason */ \
    X(copied_nic)                                                             \
    X(copied_verb)                                                            \
    X(copied_capture)                                                         \
    X(looked_at)          /* bytes of pages that the CPU read: checksums */  \
    X(pages_read)                                                             \
    X(hits)               /* pages that were there, or on their way */       \
    X(evictions)                                                              \
    X(no_page)            /* questions for a page, and all were held */      \
    X(no_mbuf)            /* tries to make a packet that ended so */         \
    X(waits)              /* times that the next packet's page had not arrived */ \
    X(reads)              /* that the kernel was asked for */                \
    X(read_bytes)                                                             \
    X(short_reads)                                                            \
    X(truncated)          /* pages of a file that had become shorter */      \
    X(errors)             /* pages that could not be read */                 \
    X(given_up)           /* streams that ended there */                     \
    X(told)               /* bytes of it that the receiver has, or that were written off */ \
    X(pages_compared)     /* --sendfile-compare: cached ones, with the file */ \
    X(pages_changed)      /* of those: that differ from it */

// Bytes that the CPU moved from one storage into another: by verbs and ports (lib/mbuf/copies.h), and out of
// unmapped pages (CopiedFor in lib/mbuf/window.h).
#define UM_COPY_COUNTS(X) \
    X(unshare)            \
    X(dup)                \
    X(contiguous)         \
    X(compact)            \
    X(foreign)            \
    X(flat)               \
    X(page_verb)          \
    X(page_ext_pgs_off)   \
    X(page_nic)           \
    X(page_capture)

#define UM_RECV_COUNTS(X)                                       \
    X(packets)  /* with bytes of the file */                    \
    X(corrupt)  /* of those: the bytes are not the file's */    \
    X(bytes)    /* of the file, right ones */                   \
    X(told)     /* answers to the sender */                     \
    X(untold)   /* no mbuf for one */

#define UM_COUNT_FIELD(field) uint64_t field = 0;

struct PortNic {  // what the device itself counted: testpmd's "NIC statistics"
    UM_NIC_COUNTS(UM_COUNT_FIELD)
};

struct PortForward {        // testpmd's block "Forward statistics for port X"
    uint16_t port = 0;
    uint32_t generation = 0;  // which device of this number: it may be detached and another attached
    bool gone = false;        // detached; listed while a stream still uses it
    bool forwards = false;    // a stream uses it; if not, only `nic` says anything
    UM_PORT_COUNTS(UM_COUNT_FIELD)
    FaultCounts faults{};     // injected on purpose
    PortNic nic{};            // since the device was started or its counters were cleared
};

struct LcoreReport {
    unsigned lcore = 0;
    int socket = 0;
    uint64_t busy_cycles = 0, idle_cycles = 0, packets = 0;
};

struct ZoneReport {
    std::string name;
    uint32_t size = 0, total = 0, in_use = 0, expected = 0;
    uint64_t denied = 0;
    std::string held_by;  // halted, and not balanced: "port_tx 1 40, elsewhere 1"
};

struct SeqReport {  // mode seqgen: the sum over its streams
    bool used = false;
    UM_SEQ_COUNTS(UM_COUNT_FIELD)
};

struct FileReport {  // mode sendfile: the sum over its streams, and what they share
    bool used = false;
    UM_FILE_COUNTS(UM_COUNT_FIELD)
};
struct RecvReport {  // mode recvfile: the sum over its streams
    bool used = false;
    UM_RECV_COUNTS(UM_COUNT_FIELD)
};

struct CopyReport {
    UM_COPY_COUNTS(UM_COUNT_FIELD)
};
#undef UM_COUNT_FIELD

struct Report {
    std::string mode;
    double seconds = 0;       // of forwarding
    uint64_t tsc_hz = 0;
    std::vector<PortForward> ports;
    PortForward all;          // the accumulated block; port is 0xffff
    std::vector<StreamReport> streams;
    std::vector<LcoreReport> lcores;
    std::vector<ZoneReport> zones;
    SeqReport seq;
    FileReport file;
    RecvReport recv;
    CopyReport copies;
    bool sample = false;          // taken while forwarding: the numbers need not add up yet
    bool final = false;           // halted: pools_balanced means something
    bool pools_balanced = false;
    bool conserved = true;        // rx + made == tx + drops in every stream; asked when stopped
    // By how many packets it is not. Judged from the streams' beginning: numbers that were cleared
    // under load begin in the middle of a burst.
    std::optional<uint64_t> surplus;
    // unaccounted - mode seqgen: losses without a name, judged from the streams' beginning, too. A
    // packet that died just before its number was missed would be on both sides of a clearing.
    std::optional<uint64_t> unaccounted;
    std::vector<std::string> problems;  // what failed at halt, in sentences
    double mpps = 0;              // sent per second, in millions; received, if the mode sends none
    double cycles_per_packet = 0; // busy cycles / packets
};

void add(SeqReport& sum, const SeqReport& one);
void add(FileReport& sum, const FileReport& one);
void add(RecvReport& sum, const RecvReport& one);
// summarize - fill in what follows from the rest: totals, the accumulated block, rates, conserved.
void summarize(Report& report);
// since - now, minus what had been counted at `base`, which has the same streams and lcores.
[[nodiscard]] Report since(Report now, const Report& base);
// since - the same, where nothing is missing or lost was judged from `beginning` on.
[[nodiscard]] Report since(Report now, const Report& base, const Report& beginning);

// dropped - by reason, over all streams and ports; the reasons that ports count included.
[[nodiscard]] std::vector<std::pair<std::string, uint64_t>> drops_by_reason(const Report& report);
// lost_unaccounted - packets that nobody can name a reason for. 0 is the only good answer.
[[nodiscard]] uint64_t lost_unaccounted(const Report& report);

// forward_text - only testpmd's blocks, as "show fwd stats all" and "stop" print them.
[[nodiscard]] std::string forward_text(const Report& report);
// final_text - only what the end adds: pools and the verdict.
[[nodiscard]] std::string final_text(const Report& report);
[[nodiscard]] std::string to_text(const Report& report);  // testpmd's words and layout, then ours
[[nodiscard]] std::string to_json(const Report& report);

}  // namespace umbuf::fwd
