// SPDX-License-Identifier: BSD-2-Clause
// drops.cc - umstat -d: no packet dies without a reason.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "app/umstat/arithmetic.h"
#include "app/umstat/labels.h"
#include "app/umstat/views.h"

namespace umbuf::umstat {
namespace {

struct Death {
    std::string reason, where;
    uint64_t packets;
};

std::string stream_of(const stat::Number& n) {
    return fmt::format("port {} queue {} to port {} queue {}, lcore {}", n.label("rx_port"), n.label("rx_queue"),
                       n.label("tx_port"), n.label("tx_queue"), n.label("lcore"));
}

std::string port_of(const stat::Number& n) {
    const std::string device = n.label("device");
    return "port " + n.label("port") + (device.empty() ? "" : " " + device);
}

// Outside - of the streams, before a packet reaches one, or behind it. port_tx_dropped is not here: the
// streams have it, too.
struct Outside {
    const char *name, *reason;
};
constexpr Outside kOutside[] = {{"port_rx_missed", "rx-missed"},    {"port_rx_nombuf", "rx-nombuf"},
                                {"port_rx_errors", "rx-errors"},    {"port_tx_errors", "tx-errors"},
                                {"port_drained", "port-drained"},   {"port_flushed", "port-flushed"}};

std::vector<Death> deaths_of(const stat::Sample& sample) {
    std::vector<Death> all;
    for (const stat::Number& number : sample.numbers) {
        const uint64_t n = number.value();
        if (n == 0) continue;
        if (number.name == "stream_drops") all.push_back({number.label("reason"), stream_of(number), n});
        for (const auto& [name, reason] : kOutside)
            if (number.name == name) all.push_back({reason, port_of(number), n});
    }
    return all;
}

struct Reason {
    std::string name;
    uint64_t packets = 0;
    std::vector<Death> where;
};

std::vector<Reason> by_reason(const std::vector<Death>& deaths) {
    std::vector<Reason> all;
    for (const Death& death : deaths) {
        auto at = std::find_if(all.begin(), all.end(), [&](const Reason& one) { return one.name == death.reason; });
        if (at == all.end()) at = all.insert(all.end(), {death.reason, 0, {}});
        at->packets = plus(at->packets, death.packets);
        at->where.push_back(death);
    }
    const auto more = [](const auto& a, const auto& b) { return a.packets > b.packets; };
    std::stable_sort(all.begin(), all.end(), more);
    for (Reason& one : all) std::stable_sort(one.where.begin(), one.where.end(), more);
    return all;
}

}  // namespace

std::string drops_text(const stat::Sample& sample) {
    std::string out;
    for (const Reason& one : by_reason(deaths_of(sample))) {
        if (one.where.size() == 1) {
            out += fmt::format("{} {} ({})\n", one.packets, one.name, one.where[0].where);
            continue;
        }
        out += fmt::format("{} {}\n", one.packets, one.name);
        for (const Death& death : one.where) out += fmt::format("\t{} {}\n", death.packets, death.where);
    }
    return out.empty() ? "no packet died\n" : out;
}

}  // namespace umbuf::umstat
