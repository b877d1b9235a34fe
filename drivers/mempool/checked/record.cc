// SPDX-License-Identifier: BSD-2-Clause
// record.cc - who calls.
#include "drivers/mempool/checked/record.h"

#include <execinfo.h>

#include <algorithm>

#include <rte_cycles.h>
#include <rte_lcore.h>

namespace umbuf::checked {

Caller Caller::here() noexcept {
    constexpr int kOurs = 2;  // this function, and the callback that DPDK called
    void* all[kFrames + kOurs];
    const int n = backtrace(all, kFrames + kOurs);
    Caller out{.tsc = rte_get_tsc_cycles(), .lcore = rte_lcore_id(), .frames = 0, .frame = {}};
    out.frames = std::max(0, n - kOurs);
    std::copy_n(all + std::min(n, kOurs), out.frames, out.frame);
    return out;
}

}  // namespace umbuf::checked
