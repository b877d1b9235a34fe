// SPDX-License-Identifier: BSD-2-Clause
// fault.h - a wrapper around a port that misbehaves on purpose, from one printed seed.
//
// For tests and for people who want to see what their set-up does with a bad link. Each queue draws
// from its own generator (seed, port, queue), so a run is repeated by repeating its seed.
// Every packet that a fault kills or makes is counted here, under the fault's name: what a receiver
// misses is sent - drops, exactly. A fault that could not be done (no room in the burst for a
// duplicate, storage that somebody shares) is not counted.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "drivers/net/port.h"
#include "lib/base/result.h"

namespace umbuf {

// Chances are in parts per million of packets (drop .. corrupt) or of bursts (short_tx, no_mbuf,
// flap).
struct FaultPlan {
    uint64_t seed = 1;
    uint32_t drop = 0;       // received packet vanishes (freed, counted)
    uint32_t duplicate = 0;  // received packet arrives twice (the second a deep copy)
    uint32_t reorder = 0;    // received packet changes place with the next of its burst
    // one bit flips, behind the first 42 bytes (Ethernet, IPv4, UDP) when there is anything behind
    // them; never in storage that somebody shares
    uint32_t corrupt = 0;
    uint32_t short_tx = 0;  // the device takes only part of the burst
    // the next allocation, of any lcore, is armed to fail (alloc_faults_arm). Counted when armed:
    // a mode that allocates nothing has nothing that could fail.
    uint32_t no_mbuf = 0;
    uint32_t flap = 0;      // both directions of the queue do nothing for their next 100 bursts

    // parse - "seed=7,drop=1000,short_tx=20000". Error: which key or value, and the keys there are.
    static Result<FaultPlan> parse(const std::string& text);
    [[nodiscard]] std::string text() const;  // the same form, for the run's first line
};

struct FaultCounts {
    uint64_t drop, duplicate, reorder, corrupt, short_tx, no_mbuf, flap;
};

class FaultPort {  // Lives longer than the Port is open.
  public:
    FaultPort(Port& port, const FaultPlan& plan);  // wraps; the port is not started, or quiet
    ~FaultPort();
    FaultPort(const FaultPort&) = delete;
    FaultPort& operator=(const FaultPort&) = delete;
    [[nodiscard]] FaultCounts counts() const noexcept;
    [[nodiscard]] const FaultPlan& plan() const noexcept;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace umbuf
