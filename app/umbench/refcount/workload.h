// SPDX-License-Identifier: BSD-2-Clause
// workload.h - what is done to shared buffers, and by whom: the middle of `umbench refcount`.
//
// An operation is a copy and its free, but for `unshared` (a buffer and its free) and `tcp`,
// `zeroize` (a buffer, a copy, and both frees). They come in bursts of 32, as in a forwarder: copy all,
// free all, give back what was held back.
//
//      unshared          each lcore takes and frees buffers of its own
//      copy_free         one lcore copies and frees the same packet
//      shared_cluster    all lcores copy and free one packet; each copies from its own copy of it
//      private_clusters  each lcore copies and frees packets of its own, 64 in turn
//      handover          even lcores copy, odd lcores free
//      fanout8, 45       a 16k cluster is cut into so many packets; half of them go to another lcore
//      tcp               the original is kept until its copy has been sent, then both are freed
//      zeroize           the same, and the bytes are zeroed at the end
//
// With one lcore, handover, fanout and tcp run through a ring to that lcore itself.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace umbuf::bench {

inline constexpr uint32_t kBurst = 32;

struct Measured {
    double cycles_per_op = 0;     // of all lcores together
    double rmw_per_op = 0;        // counted runs only
    double handovers_per_op = 0;  // counted runs only
    uint64_t ops = 0;
};

[[nodiscard]] const std::vector<std::string>& workload_names();
// workload_runs_on - copy_free is one lcore's; a rest of zeroing is not DPDK's.
[[nodiscard]] bool workload_runs_on(const std::string& workload, const std::string& scheme, unsigned lcores);

// run_workload - on the first `lcores` lcores, the calling one included, for that long. Zones are made
// before and freed after; a buffer that is missing then is an error. scheme: a name of refs_names(),
// or "dpdk". count: the counting kind instead of the real one.
[[nodiscard]] Result<Measured> run_workload(const std::string& workload, const std::string& scheme,
                                            unsigned lcores, double milliseconds, bool count);

}  // namespace umbuf::bench
