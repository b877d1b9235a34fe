// SPDX-License-Identifier: BSD-2-Clause
// packets.h - what does a reference-count scheme cost where packets are shared?
//
// Method. umfwd in the modes that share buffers, under each scheme, afresh for each run; vhost-user
// ports, and a generator (testpmd, virtio-user, flowgen) in its own process at their other ends.
//
//      tee     three ports: a packet that comes in by one goes to the two others, one buffer for both
//      frag    one port: a packet comes back as fragments that share its buffer
//
// In each round each scheme has one run; who begins changes from round to round, so that what
// disturbs a shared machine for a while disturbs all of them. The numbers are umfwd's own, of its
// report: counted from after the warm-up until it is stopped. The median over the rounds is the
// answer.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "app/umbench/rig.h"
#include "lib/base/result.h"

namespace umbuf::bench {

struct PacketsPlan {
    Program umfwd;
    Program peer;  // a testpmd
    std::vector<std::string> modes, schemes;
    unsigned rounds = 5;
    double seconds = 3;  // measured, per run
    double warm_up = 0.5;
    unsigned burst = 32;
    unsigned frame = 1024;  // bytes of a packet that is offered
};

struct PacketsRow {
    std::string mode, scheme;
    std::vector<double> mpps;    // sent, copies and fragments included; by round
    std::vector<double> cycles;  // busy cycles per packet received; by round
};

// measure_packets - every mode with every scheme. `progress` gets one line per run. Error: which
// scheme, in what mode, and what the program said.
[[nodiscard]] Result<std::vector<PacketsRow>> measure_packets(
    const PacketsPlan& plan, const std::function<void(const std::string&)>& progress);

// packets_table - for people; packets_json - for plots: an array of {mode, scheme, mpps, min, max,
// cycles_per_packet, cycles_min, cycles_max, rounds}; min and max are those of mpps.
[[nodiscard]] std::string packets_table(const PacketsPlan& plan, const std::vector<PacketsRow>& rows);
[[nodiscard]] std::string packets_json(const std::vector<PacketsRow>& rows);

}  // namespace umbuf::bench
