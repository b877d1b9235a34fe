// SPDX-License-Identifier: BSD-2-Clause
// departure.h - IP packets on their way out of a lane: by a port, to the kernel, or dead.
//
// What route_burst() (ip_route.h) has decided is carried out here: hop counts, pieces, Ethernet headers, the ports'
// bursts, and the limits on what the kernel is asked to answer.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/route/door.h"
#include "app/umfwd/route/ip_route.h"

namespace umbuf::fwd {

// Bucket - so many a second, and a fiftieth of a second's worth at once (one at least).
class Bucket {
  public:
    Bucket() = default;
    Bucket(uint64_t per_second, uint64_t tsc_hz) noexcept
        : price_(per_second == 0 ? 0 : tsc_hz / per_second), most_(std::max(price_, tsc_hz / 50)), saved_(most_) {}
    [[nodiscard]] bool take(uint64_t tsc) noexcept {
        if (price_ == 0) return false;
        saved_ = std::min(most_, saved_ + (tsc - since_));
        since_ = tsc;
        if (saved_ < price_) return false;
        saved_ -= price_;
        return true;
    }

  private:
    uint64_t price_ = 0, most_ = 0;     // [I] TSC ticks
    uint64_t saved_ = 0, since_ = 0;    // [l]
};

// Exit - a port that packets leave by, and those of this turn.
struct Exit {
    Port* port = nullptr;       // [I]
    Way* way = nullptr;         // [I] null: the stream's own transmit port
    uint16_t n = 0;             // [l]
    rte_mbuf* packets[kMaxBurst];  // [l]
};

// Exits - a stream's, kept between turns: large.
struct Exits {
    std::vector<Exit> list;                          // [I]
    std::array<uint8_t, RTE_MAX_ETHPORTS> of_port;   // [I] place in the list; kNone
    Bucket errors, unresolved;                       // [l]
    static constexpr uint8_t kNone = 0xff;
    explicit Exits(Stream& stream);
    [[nodiscard]] Exit* find(uint16_t port) noexcept {
        return port < of_port.size() && of_port[port] != kNone ? &list[of_port[port]] : nullptr;
    }
};

// Departure - one turn. All packets that it was given are gone after flush(), and counted.
class Departure {
  public:
    Departure(Stream& stream, Exits& exits, KernelDoor& door) noexcept : stream_(stream), exits_(exits), door_(door) {}
    // carry_out - n packets that begin with their IP headers, with their fates. A null packet is dead already.
    void carry_out(rte_mbuf** packets, const IpFate* fates, uint16_t n) noexcept;
    // carry_out_own - the same for packets that were made here (judge_own): no hop is counted, and what needs the
    // kernel is sent by it as its own.
    void carry_out_own(rte_mbuf** packets, const IpFate* fates, uint16_t n) noexcept;
    // pass_on, pass_on_own - one packet, as judge() and judge_own() have it.
    void pass_on(rte_mbuf* p, const Looked& looked) noexcept;
    void pass_on_own(rte_mbuf* p, const Looked& looked) noexcept;
    // frame - leaves by this port as it is.
    void frame(rte_mbuf* p, uint16_t port) noexcept;
    // punt - to the kernel, by the TAP of packet->port; `why` is what it is counted as.
    void punt(const Punt& punt, Drop why) noexcept;
    void die(rte_mbuf* p, Drop why) noexcept;
    void flush() noexcept;

  private:
    void forward(rte_mbuf* p, const Hop& hop) noexcept;
    void cut(rte_mbuf* p, const Hop& hop) noexcept;
    void leave_in_pieces(rte_mbuf* p, const Hop& hop) noexcept;
    void leave(rte_mbuf* p, const Hop& hop, bool v6) noexcept;
    void send(Exit& exit) noexcept;
    [[nodiscard]] bool allowed(Drop why) noexcept;

    Stream& stream_;
    Exits& exits_;
    KernelDoor& door_;
    bool punted_ = false;
};

}  // namespace umbuf::fwd
