// SPDX-License-Identifier: BSD-2-Clause
// zone_stats.h - what is counted and sampled of a zone, and who asked when it was empty.
//
// Requests that a pool cannot meet are seen where they fail: in the function by which a pool takes
// elements out of its common store (rte_mempool_ops::dequeue), whoever asked: a verb, a driver that fills its
// receive descriptors, other code of DPDK's. That function is wrapped in this process's own table of
// handlers, so it costs a call per bulk, and nothing that another process sees has changed: pools keep the
// handler that they have, and a secondary process needs none of ours (docs/decisions/0030).
#pragma once
#include <array>
#include <cstdint>

#include <rte_config.h>
#include <rte_mempool.h>

#include "lib/base/sync.h"
#include "lib/stat/segment.h"

namespace umbuf {

struct Zone;

// ZoneStats - the first three are counted by whom it happens to, all others sampled by the control thread.
struct ZoneStats {
    sync::Counter denied_verb, denied_driver;                      // add_shared
    sync::Counter delayed;                                         // add_shared
    std::array<sync::Counter, RTE_MAX_LCORE + 1> denied_lcores;    // add_shared; the last: all other threads
    sync::Counter in_use, cached, lcore_cached, total, limit, peak, element;
};
[[nodiscard]] std::span<const stat::Field> zone_fields() noexcept;

namespace zone {

// Asking - while it lives, what this thread asks of a pool is a verb's, who counts by himself what comes of it.
inline constinit thread_local bool asking = false;
class Asking {
  public:
    Asking() noexcept { asking = true; }
    ~Asking() { asking = false; }
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;
};

// watch, unwatch - see what the zone's pool refuses. Control thread; nobody asks the pool after unwatch.
void watch(Zone& zone);
void unwatch(const Zone& zone) noexcept;

}  // namespace zone
}  // namespace umbuf
