// SPDX-License-Identifier: BSD-2-Clause
// copies.cc - each lcore counts by itself; threads that are no lcores share the last place.
#include "lib/mbuf/copies.h"

#include <rte_lcore.h>

#include "lib/base/sync.h"
#include "lib/stat/segment.h"

namespace umbuf {
namespace {

constexpr size_t kReasons = static_cast<size_t>(MovedFor::count);

struct alignas(64) Place {
    sync::Counter bytes[kReasons], times[kReasons];
};
Place places[RTE_MAX_LCORE + 1];

using stat::Kind;
struct Counters {
    sync::Counter bytes[kReasons], times[kReasons];
};
constexpr char kBytes[] = "moved into other storage", kTimes[] = "of bytes into other storage";
constexpr stat::Field kFields[] = {
    {"moved_bytes", "bytes", Kind::counter, 1, kBytes, "reason=unshare"},
    {"moved_bytes", "bytes", Kind::counter, 1, kBytes, "reason=dup"},
    {"moved_bytes", "bytes", Kind::counter, 1, kBytes, "reason=contiguous"},
    {"moved_bytes", "bytes", Kind::counter, 1, kBytes, "reason=compact"},
    {"moved_bytes", "bytes", Kind::counter, 1, kBytes, "reason=foreign"},
    {"moved_bytes", "bytes", Kind::counter, 1, kBytes, "reason=flat"},
    {"moved_times", "copies", Kind::counter, 1, kTimes, "reason=unshare"},
    {"moved_times", "copies", Kind::counter, 1, kTimes, "reason=dup"},
    {"moved_times", "copies", Kind::counter, 1, kTimes, "reason=contiguous"},
    {"moved_times", "copies", Kind::counter, 1, kTimes, "reason=compact"},
    {"moved_times", "copies", Kind::counter, 1, kTimes, "reason=foreign"},
    {"moved_times", "copies", Kind::counter, 1, kTimes, "reason=flat"},
};
stat::Global<Counters> g(kFields);

}  // namespace

void note_moved(MovedFor why, uint32_t bytes) noexcept {
    if (bytes == 0) return;
    const auto at = static_cast<size_t>(why);
    const unsigned lcore = rte_lcore_id();
    if (__builtin_expect(lcore < RTE_MAX_LCORE, 1)) {
        places[lcore].bytes[at].add(bytes);
        places[lcore].times[at].add(1);
    } else {
        places[RTE_MAX_LCORE].bytes[at].add_shared(bytes);
        places[RTE_MAX_LCORE].times[at].add_shared(1);
    }
}

Moved moved() noexcept {
    Moved sum{};
    for (const Place& by : places)
        for (size_t i = 0; i < kReasons; ++i) {
            sum.bytes[i] += by.bytes[i].read();
            sum.times[i] += by.times[i].read();
        }
    return sum;
}

void moved_sample() noexcept {
    const Moved now = moved();
    for (size_t i = 0; i < kReasons; ++i) {
        g->bytes[i].set(now.bytes[i]);
        g->times[i].set(now.times[i]);
    }
}

}  // namespace umbuf
