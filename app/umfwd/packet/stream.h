// SPDX-License-Identifier: BSD-2-Clause
// stream.h - one receive queue and the transmit queue its packets leave by: testpmd's unit of work.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "drivers/net/port.h"
#include "lib/base/sync.h"
#include "lib/stat/segment.h"

namespace umbuf::fwd {

inline constexpr uint16_t kMaxBurst = 512;  // testpmd's limit

// Every packet that dies in a stream dies under one of these names. `text` is what reports print.
#define UM_DROPS(X)                                                            \
    X(tx_full, "tx-full")          /* the transmit queue took no more */       \
    X(tx_closed, "tx-closed")      /* the port was stopped */                  \
    X(tx_chain, "tx-chain")        /* a chain that the device cannot send */   \
    X(tx_unmapped, "tx-unmapped")  /* unmapped pages that cannot be sent */    \
    X(rx_sink, "rx-sink")          /* mode rxonly: receiving is the purpose */ \
    X(no_mbuf, "no-mbuf")          /* no mbuf or cluster for a reply or copy */ \
    X(malformed, "malformed")      /* too short or inconsistent for the mode */ \
    X(not_handled, "not-handled")  /* a packet that the mode has no use for */ \
    X(read_only, "read-only")      /* had to be written, could not be made private */ \
    X(esp, "esp-refused")          /* modes esp*: replay, ICV, padding, limits */ \
    X(esp_differs, "esp-cross-check") /* --cross-check: two engines disagree about it */ \
    X(seq_done, "seq-received")    /* mode seqgen: checked and consumed */     \
    X(file_done, "file-received")  /* mode recvfile: compared and consumed */  \
    X(file_told, "file-answers")   /* mode sendfile: the receiver's answers */ \
    X(io_error, "io-error")        /* mode sendfile: the file could not be read there, or before */ \
    X(to_kernel, "to-kernel")      /* mode route: given to the kernel: ARP, ND, for this machine, multicast */ \
    X(no_route, "no-route")        /* given to the kernel, which answers, as up to ip-options */ \
    X(no_neighbour, "no-neighbour") /* ... which resolves it */                \
    X(ttl_expired, "ttl-expired")                                              \
    X(too_big, "too-big")          /* longer than the way's MTU: DF, or IPv6 */ \
    X(ip_options, "ip-options")                                                \
    X(punt_limited, "punt-limited") /* the kernel's answers are limited: --punt-rate */ \
    X(punt_full, "punt-full")      /* the kernel is behind */                  \
    X(blackhole, "blackhole")      /* a route says so */                       \
    X(martian, "martian")          /* an address that no router forwards */    \
    X(other_host, "other-host")    /* a frame for somebody else */             \
    X(port_down, "port-down")      /* the route's port takes no part */        \
    X(policy, "policy")            /* mode esp: a policy discards it, wants it protected, or none has it */ \
    X(no_sa, "no-sa")              /* no SA for what came, or none yet for what is to be protected */ \
    X(handed_over, "handed-over")  /* given to the lcore that has the SA */    \
    X(lane_full, "lane-full")      /* that lcore, or the crypto device, is behind */ \
    X(merged, "merged")            /* fragments that are in a packet now: no loss */ \
    X(fragment, "fragment")        /* that could not be put together: lost ones, overlaps, too many */ \
    X(to_device, "to-device")      /* given to a crypto device; what comes back is made */ \
    X(keepalive, "keepalive")      /* of a NAT's memory: no loss */            \
    X(drained, "drained")          /* still queued when forwarding stopped */

enum class Drop : uint8_t {
#define X(id, text) id,
    UM_DROPS(X)
#undef X
    count
};
inline constexpr size_t kDrops = static_cast<size_t>(Drop::count);
[[nodiscard]] const char* name_of(Drop drop) noexcept;

// One writer (the stream's lcore), any readers. Conservation, checked at every halt:
//      rx + made == tx + sum(drops)      made: packets this stream created (txonly, tee, replies)
// Under way the left side is counted first, and lies behind: who reads in order never sees more come out
// than went in.
struct StreamStats {
    sync::Counter tx;
    std::array<sync::Counter, kDrops> drops;
    sync::Counter bad_ip_csum, bad_l4_csum;             // mode csum, testpmd's words
    sync::Counter made, rx;
    sync::Counter held_mbufs, held_packets;  // that the engine keeps between bursts: of mbuf zones, of the port's packet zone
    std::array<sync::Counter, kMaxBurst + 1> rx_bursts;  // how many bursts had i packets
    void drop(Drop why, uint64_t n) noexcept { drops[static_cast<size_t>(why)].add(n); }
};
[[nodiscard]] std::span<const stat::Field> stream_fields() noexcept;

// A port that a stream sends to besides its transmit port, and that port's share of the stream's
// numbers: `tx` of StreamStats::tx, `dropped` of the drops named tx-*.
struct WayStats {
    sync::Counter tx, dropped;
};
[[nodiscard]] std::span<const stat::Field> way_fields() noexcept;
struct Way {
    Way(Port* to, const std::string& labels) : port(to), stats(way_fields(), labels) {}
    Port* port;                    // [I]
    stat::Box<WayStats> stats;     // [l]
};

// EngineHolds - elements that an engine has between bursts, by pool and by what for.
struct EngineHolds {
    std::map<const rte_mempool*, uint64_t> crypto, reassembly;
};

// What an engine keeps per stream; made by Engine::begin, freed after Engine::end.
struct EngineState {
    virtual ~EngineState() = default;
    // holds - add to it what this one has now: a moment's sample. Control thread, while the lane runs.
    virtual void holds(EngineHolds&) const {}
};

struct Settings;  // settings.h
struct Engine;    // engines/engine.h
class Router;     // route/router.h
class Gateway;    // gateway/gateway.h

// Locks:  I immutable while forwarding   l the stream's lcore
struct alignas(64) Stream {
    explicit Stream(const std::string& of = {}) : labels(of), cells(stream_fields(), of), stats(*cells) {}
    explicit Stream(StreamStats& others) : stats(others) {}  // counts where another stream does
    const Engine* engine = nullptr;  // [I] what is done with its packets
    Port* rx_port = nullptr;     // [I]
    Port* tx_port = nullptr;     // [I]
    uint16_t rx_queue = 0;       // [I]
    uint16_t tx_queue = 0;       // [I] the owner lcore's own: two lcores never share one
    uint16_t lane = 0;           // [I] the owner lcore's number among those of the run
    uint16_t burst = 0;          // [I] packets per rx_burst, <= kMaxBurst
    rte_ether_addr peer{};       // [I] --eth-peer of the transmit port
    const Settings* settings = nullptr;      // [I]
    Router* router = nullptr;                // [I] modes that route; else null
    Gateway* gateway = nullptr;              // [I] mode esp; else null
    std::vector<Way> tee;                    // [I] mode tee: where the copies go; modes that route: every other port
    std::unique_ptr<EngineState> state;      // [l]
    const std::string labels;                // [I] of its numbers, and of its mode's
    const stat::Box<StreamStats> cells;      // [I]
    StreamStats& stats;                      // [l] where everybody can read
};

}  // namespace umbuf::fwd
