// SPDX-License-Identifier: BSD-2-Clause
// umstat_sample.h - samples made by hand, for the tests of umstat.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lib/stat/reader.h"

namespace umbuf::umstat {

using stat::Kind;
inline constexpr uint64_t kMost = UINT64_MAX;

inline stat::Number number(const std::string& name, const std::string& labels, std::vector<uint64_t> cells, Kind kind = Kind::gauge,
                    const std::string& unit = "things", const std::string& help = "") {
    return {name, unit, labels, help, kind, std::move(cells)};
}

// Made - a sample by hand.
struct Made : stat::Sample {
    Made() {
        program = "umfwd";
        version = "0.1.0";
        prefix = "lab";
        pid = 12;
        life = stat::Life::running;
        taken_ns = 10'000'000'000;
    }
    Made& put(const std::string& name, const std::string& labels, uint64_t value, Kind kind = Kind::gauge) {
        numbers.push_back(number(name, labels, {value}, kind));
        return *this;
    }
    Made& zone(const std::string& name, const std::string& kind, uint64_t size, uint64_t in_use, uint64_t total, uint64_t peak,
               uint64_t element) {
        const std::string labels = "zone=" + name + ",kind=" + kind + ",size=" + std::to_string(size) + ",node=0";
        put("zone_in_use", labels, in_use).put("zone_cached", labels, total - in_use).put("zone_total", labels, total);
        return put("zone_limit", labels, total).put("zone_peak", labels, peak).put("zone_element", labels, element);
    }
};

}  // namespace umbuf::umstat
