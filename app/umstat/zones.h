// SPDX-License-Identifier: BSD-2-Clause
// zones.h - the zones of a sample, each with all that is said of it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "app/umstat/arithmetic.h"
#include "lib/stat/reader.h"

namespace umbuf::umstat {

struct ZoneNow {
    std::string name, kind;    // kind: mbuf, packet, cluster, control, proxy, tag, page
    uint64_t size = 0;         // bytes of data of an element
    uint64_t element = 0;      // bytes of memory of one
    Use use;                   // of what there is
    uint64_t limit = 0;        // at least use.total
    uint64_t denied = 0, delayed = 0;
};

// zones_of - in order of kind, size and name; whatever was sampled, current <= peak <= total <= limit.
[[nodiscard]] std::vector<ZoneNow> zones_of(const stat::Sample& sample);

}  // namespace umbuf::umstat
