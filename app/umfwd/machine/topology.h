// SPDX-License-Identifier: BSD-2-Clause
// topology.h - which queue feeds which, and which lcore carries it: a plan, made from plain numbers.
//
// Ports are paired like testpmd's: by their place in the list, not by their number.
//
//      paired    0 <-> 1, 2 <-> 3; an odd last one to itself
//      chained   0 -> 1 -> 2 -> 0
//      loop      0 -> 0, 1 -> 1
//
// Mode tee sends on to that port, and a copy to each other port but the one that it came in by. Mode
// icmpecho answers by the port that it was asked on. A mode that routes sends by any port.
//
// Ports that a --port-mode names are a list of their own, in a mode of their own: nothing is sent from one
// such list to another. The lists share the lcores.
//
// Rules, checked by plan_streams() itself:
//   T1  each receive queue of each port belongs to exactly one stream.
//   T2  no transmit queue is used by two lcores: drivers' queues are not for sharing.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "app/umfwd/settings.h"
#include "lib/base/result.h"

namespace umbuf::fwd {

struct Engine;

struct PlannedStream {
    uint16_t rx_port, rx_queue, tx_port, tx_queue;
    size_t lane;                  // index into Plan::lcores
    std::vector<uint16_t> tee;    // mode tee: where the copies go; modes that route: every other port
    const Engine* engine = nullptr;
};

struct Plan {
    std::vector<uint16_t> ports;           // in use, in order
    std::vector<unsigned> lcores;          // in use, in order
    std::vector<PlannedStream> streams;    // grouped by lane, in testpmd's order
    std::vector<std::string> notes;        // one line each, for the person who starts it
};

// queues_wanted - how many transmit queues every port must have for these settings.
[[nodiscard]] uint16_t queues_wanted(const Settings& settings);

// choose_ports - of the ports that could forward, the ones that the settings ask for, in order.
// Error: a listed port that is not among them.
[[nodiscard]] Result<std::vector<uint16_t>> choose_ports(const Settings& settings,
                                                         const std::vector<uint16_t>& usable);

[[nodiscard]] std::vector<unsigned> worker_lcores();  // EAL's, in order
// choose_lcores - of the worker lcores, the ones that the settings ask for. Error: which is missing,
// and how to give EAL more.
[[nodiscard]] Result<std::vector<unsigned>> choose_lcores(const Settings& settings,
                                                          const std::vector<unsigned>& workers);

// plan_streams - `txq` is how many transmit queues the ports have. Error: what the ports lack.
[[nodiscard]] Result<Plan> plan_streams(const Settings& settings, const std::vector<uint16_t>& ports,
                                        const std::vector<unsigned>& lcores, uint16_t txq);

}  // namespace umbuf::fwd
