// SPDX-License-Identifier: BSD-2-Clause
// owners.cc - umstat -o: the ledger.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "app/umstat/arithmetic.h"
#include "app/umstat/labels.h"
#include "app/umstat/views.h"
#include "app/umstat/zones.h"

namespace umbuf::umstat {
namespace {

struct Holding {
    std::string owner;  // with its port
    uint64_t elements;
};

std::vector<Holding> holdings_of(const stat::Sample& sample, const std::string& zone) {
    std::vector<Holding> all;
    for (const stat::Number& number : sample.numbers) {
        if (number.name != "ledger" || number.label("zone") != zone) continue;
        std::string owner = number.label("owner");
        if (const std::string port = number.label("port"); !port.empty()) owner += " " + port;
        const auto at = std::find_if(all.begin(), all.end(), [&](const Holding& one) { return one.owner == owner; });
        if (at == all.end()) all.push_back({owner, number.value()});
        else at->elements = plus(at->elements, number.value());
    }
    return all;
}

bool is_free(const std::string& owner) { return owner == "pool" || owner == "lcore_caches"; }

}  // namespace

std::string owners_text(const stat::Sample& sample) {
    std::string out;
    for (const ZoneNow& zone : zones_of(sample)) {
        const std::vector<Holding> holdings = holdings_of(sample, zone.name);
        if (holdings.empty()) continue;
        uint64_t all = 0, held = 0;
        for (const Holding& one : holdings) {
            all = plus(all, one.elements);
            if (!is_free(one.owner)) held = plus(held, one.elements);
        }
        const std::string size = zone.size > 0 ? fmt::format(" of {} bytes", zone.size) : "";
        out += fmt::format("{} {} elements{}, {} held ({}%)\n", zone.name, all, size, held, percent(held, all));
        for (const Holding& one : holdings)
            if (one.elements > 0) out += fmt::format("\t{} {}\n", one.elements, one.owner);
        // Owners are asked one after another: what moved meanwhile is missing, or there twice.
        if (const uint64_t there = zone.limit; there != all)
            out += fmt::format("\tof {} that there are: some moved while they were counted\n", there);
    }
    return out.empty() ? "no ledger is kept here\n" : out;
}

}  // namespace umbuf::umstat
