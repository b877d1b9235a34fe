// SPDX-License-Identifier: BSD-2-Clause
// zones.cc - gathered by the label zone=.
#include "app/umstat/zones.h"

#include <algorithm>
#include <iterator>

#include "app/umstat/labels.h"

namespace umbuf::umstat {
namespace {

// Raw - as it was sampled: nothing needs to fit.
struct Raw {
    ZoneNow zone;
    uint64_t in_use = 0, cached = 0, total = 0, peak = 0;
};

Raw& raw_of(std::vector<Raw>& all, const stat::Number& number, const std::string& name) {
    const auto at = std::find_if(all.begin(), all.end(), [&](const Raw& one) { return one.zone.name == name; });
    if (at != all.end()) return *at;
    Raw& raw = all.emplace_back();
    raw.zone.name = name;
    raw.zone.kind = number.label("kind");
    raw.zone.size = as_number(number.label("size"));
    return raw;
}

void take(Raw& raw, const stat::Number& number) {
    const uint64_t n = number.value();
    if (number.name == "zone_in_use") raw.in_use = n;
    else if (number.name == "zone_cached") raw.cached = n;
    else if (number.name == "zone_total") raw.total = n;
    else if (number.name == "zone_peak") raw.peak = n;
    else if (number.name == "zone_limit") raw.zone.limit = n;
    else if (number.name == "zone_element") raw.zone.element = n;
    else if (number.name == "zone_denied") raw.zone.denied = plus(raw.zone.denied, n);
    else if (number.name == "zone_delayed") raw.zone.delayed = plus(raw.zone.delayed, n);
}

ZoneNow fitted(const Raw& raw) {
    ZoneNow zone = raw.zone;
    // A writer may say what there is in any of three ways; the most is what there is.
    const uint64_t total = std::max({raw.total, raw.zone.limit, raw.total == 0 && raw.zone.limit == 0 ? plus(raw.in_use, raw.cached) : 0});
    zone.use = use_of(raw.in_use, raw.peak, total);
    zone.limit = std::max(zone.limit, total);
    return zone;
}

size_t rank(const std::string& kind) {
    static constexpr const char* kOrder[] = {"mbuf", "packet", "cluster", "control", "proxy", "tag", "page"};
    return static_cast<size_t>(std::find(std::begin(kOrder), std::end(kOrder), kind) - std::begin(kOrder));
}

}  // namespace

std::vector<ZoneNow> zones_of(const stat::Sample& sample) {
    std::vector<Raw> raws;
    for (const stat::Number& number : sample.numbers) {
        if (number.name.compare(0, 5, "zone_") != 0) continue;
        if (const std::string name = number.label("zone"); !name.empty()) take(raw_of(raws, number, name), number);
    }
    std::vector<ZoneNow> zones;
    for (const Raw& raw : raws) zones.push_back(fitted(raw));
    std::stable_sort(zones.begin(), zones.end(), [](const ZoneNow& a, const ZoneNow& b) {
        if (rank(a.kind) != rank(b.kind)) return rank(a.kind) < rank(b.kind);
        return a.size != b.size ? a.size < b.size : in_order(a.name, b.name);
    });
    return zones;
}

}  // namespace umbuf::umstat
