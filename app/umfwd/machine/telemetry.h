// SPDX-License-Identifier: BSD-2-Clause
// telemetry.h - the same numbers through DPDK's telemetry socket: /umbuf/zones, /umbuf/drops ...
#pragma once
#include "lib/base/result.h"

namespace umbuf::fwd {

// telemetry_commands - make them known to DPDK. Once, after EAL has started; control thread. They answer on a
// thread of DPDK's, from the cells that everybody reads: no lcore is asked. Without telemetry
// (--no-telemetry, --in-memory) nobody asks.
void telemetry_commands();

}  // namespace umbuf::fwd
