// SPDX-License-Identifier: BSD-2-Clause
// forward.h - how fast does a forwarder forward, beside another one on the same devices?
//
// Method. Two programs with testpmd's command line, in turn: A B, B A, A B ... Each run starts the
// program afresh on the same virtual devices, with the same burst, descriptors, buffers and lcores,
// lets it warm up, and reads its own "TX-packets" twice (`show fwd stats all`), by the same words for
// both. One pair gives one ratio; the median of the ratios is the answer, because what disturbs a
// shared machine for seconds disturbs both halves of a pair.
//
//      null    net_null0 -> net_null1 and back      receive and transmit cost nothing: the loop itself
//      ring    net_ring0 <-> net_ring1              packets sent first go round and round
//      virtio  net_vhost0, looped                   a peer (testpmd, virtio-user, flowgen) in its own
//                                                   process offers more than comes back
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "app/umbench/rig.h"
#include "lib/base/result.h"

namespace umbuf::bench {

struct Plan {
    Program a, b;  // b is the baseline
    Program peer;  // virtio: a testpmd
    std::vector<std::string> vdevs, modes;
    unsigned pairs = 5;
    double seconds = 3;   // measured, per run
    double warm_up = 0.5;
    unsigned burst = 32;
};

struct Row {
    std::string vdev, mode;
    std::vector<double> a_mpps, b_mpps, ratios;  // by pair
};

// compare - every vdev with every mode. `progress` gets one line per pair. Error: which program, on
// what, said what.
[[nodiscard]] Result<std::vector<Row>> compare(const Plan& plan,
                                               const std::function<void(const std::string&)>& progress);

}  // namespace umbuf::bench
