// SPDX-License-Identifier: BSD-2-Clause
// refcount.h - what does a shared buffer cost, under each scheme, beside rte_pktmbuf_clone?
//
// Method. In each round every scheme does the workload once, one after the other, starting with
// another one each round; so what disturbs the machine for a moment does not favour one of them. The
// first round warms up and is thrown away. The median over the rounds is the answer, min and max the
// spread. Locked instructions and handovers of a cache line are counted in a run of their own, by
// atomics that count themselves (counted.h): they do not disturb the times.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace umbuf::bench {

struct RefPlan {
    std::vector<std::string> schemes, workloads;  // empty: all
    unsigned rounds = 5;
    double milliseconds = 40;  // of each run
    unsigned lcores = 0;       // at most; 0: all processors
};

struct RefRow {
    std::string scheme, workload;
    unsigned lcores = 0;
    std::vector<double> cycles_per_op;         // by round
    double rmw_per_op = -1, handovers_per_op = -1;  // -1: cannot be counted (dpdk)
};

// refcount_schemes - refs_names() and "dpdk".
[[nodiscard]] std::vector<std::string> refcount_schemes();

// compare_schemes - all of it; starts EAL in this process. progress: a line now and then. Error: what
// could not be had, or which scheme lost a buffer.
[[nodiscard]] Result<std::vector<RefRow>> compare_schemes(const RefPlan& plan,
                                                          const std::function<void(const std::string&)>& progress);

// refcount_table - for people; refcount_json - for plots: an array of {scheme, workload, lcores,
// cycles_per_op, min, max, rmw_per_op, handovers_per_op}, the last two null where they cannot be counted.
[[nodiscard]] std::string refcount_table(const std::vector<RefRow>& rows);
[[nodiscard]] std::string refcount_json(const std::vector<RefRow>& rows);

}  // namespace umbuf::bench
