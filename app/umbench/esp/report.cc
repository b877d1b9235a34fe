// SPDX-License-Identifier: BSD-2-Clause
// report.cc - the table, the goals, the JSON.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/umbench/esp/esp.h"
#include "app/umbench/stats.h"

namespace umbuf::bench {
namespace {

using List = std::vector<double>;

// librte_ipsec's better way; empty: it has none.
const List& librte_of(const EspRow& row) {
    if (row.librte_cpu.empty()) return row.librte_lookaside;
    if (row.librte_lookaside.empty()) return row.librte_cpu;
    return median(row.librte_cpu) <= median(row.librte_lookaside) ? row.librte_cpu : row.librte_lookaside;
}

// How many times as fast as the other are we? Median of the rounds' ratios; below 0: there is no other.
double times_as_fast(const EspRow& row, const List& other) {
    List ratios;
    for (size_t i = 0; i < other.size() && i < row.umbuf.size(); ++i) ratios.push_back(other[i] / row.umbuf[i]);
    return ratios.empty() ? -1 : median(ratios);
}

std::string cycles_text(const List& list) { return list.empty() ? "-" : fmt::format("{:.0f}", median(list)); }
std::string ratio_text(const EspRow& row, const List& other) {
    return other.empty() ? "-" : fmt::format("{:.2f}", times_as_fast(row, other));
}

// Goal - of issue and docs/benchmarks.md: which rows, beside what, how fast at least.
struct Goal {
    const char* text;
    double least;
    bool (*of)(const EspRow& row);
    const List& (*other)(const EspRow& row);
};
// They are goals of the engine that umbuf has when nothing else is said.
bool gcm(const EspRow& row) { return row.engine == kEspEngines[0] && row.algorithm.starts_with("aes-gcm"); }
const Goal kGoals[] = {
    {"private buffers, as fast as librte_ipsec with aesni_gcm", 1.0,
     [](const EspRow& row) { return gcm(row) && row.source == "private"; }, librte_of},
    {"shared or unmapped, 1420 bytes, beyond L2, 1.25 times as fast as unsharing first", 1.25,
     [](const EspRow& row) { return gcm(row) && row.source != "private" && row.size == 1420 && row.working_set == "beyond"; },
     [](const EspRow& row) -> const List& { return row.unshare; }},
    {"the whole packet, 1420 bytes, 0.8 times as fast as IPsec-MB alone", 0.8,
     [](const EspRow& row) { return gcm(row) && row.size == 1420; }, [](const EspRow& row) -> const List& { return row.raw; }},
};

std::string goal_text(const std::vector<EspRow>& rows, const Goal& goal) {
    size_t n = 0, met = 0;
    double least = -1;
    for (const EspRow& row : rows) {
        if (!goal.of(row) || goal.other(row).empty()) continue;
        const double ratio = times_as_fast(row, goal.other(row));
        least = n++ == 0 ? ratio : std::min(least, ratio);
        met += ratio >= goal.least;
    }
    if (n == 0) return "";
    return fmt::format("{}: {} of {} rows, the lowest {:.2f}\n", goal.text, met, n, least);
}

nlohmann::ordered_json number(const List& list) { return list.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(median(list)); }

}  // namespace

std::string esp_table(const EspReport& report) {
    const std::vector<EspRow>& rows = report.rows;
    size_t wide = 9;  // of the engines' column
    for (const EspRow& row : rows) wide = std::max(wide, row.engine.size());
    std::string text = fmt::format("TSC cycles per packet, and how many times as fast as the other way umbuf is; {}\n", "bursts of 32, one thread");
    text += fmt::format("{:<{}} {:<11} {:<7} {:<8} {:<6} {:>4} {:>5} {:>7} {:>5}  {:>12} {:>11} {:>11}\n", "engine", wide, "algorithm", "",
                        "source", "L2", "SAs", "bytes", "cycles", "MAD", "librte", "unshare", "raw");
    const auto beside = [](const EspRow& row, const List& other) {
        return fmt::format("{} {:>5}", cycles_text(other), ratio_text(row, other));
    };
    for (const EspRow& row : rows)
        text += fmt::format("{:<{}} {:<11} {:<7} {:<8} {:<6} {:>4} {:>5} {:>7.0f} {:>5.1f}  {:>12} {:>11} {:>11}\n", row.engine, wide, row.algorithm,
                            row.direction, row.source, row.working_set, row.sas, row.size, median(row.umbuf), mad(row.umbuf),
                            beside(row, librte_of(row)) + (&librte_of(row) == &row.librte_cpu ? "c" : "q"), beside(row, row.unshare),
                            beside(row, row.raw));
    for (const Goal& goal : kGoals) text += goal_text(rows, goal);
    for (const std::string& line : report.left_out) text += "left out: " + line + "\n";
    return text;
}

std::string esp_json(const std::vector<EspRow>& rows) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const EspRow& row : rows) {
        const List& librte = librte_of(row);
        out.push_back({{"engine", row.engine},
                       {"algorithm", row.algorithm},
                       {"direction", row.direction},
                       {"size", row.size},
                       {"sas", row.sas},
                       {"source", row.source},
                       {"working_set", row.working_set},
                       {"cycles_per_packet", number(row.umbuf)},
                       {"librte_ipsec", number(librte)},
                       {"raw_ipsec_mb", number(row.raw)},
                       {"unshare_in_place", number(row.unshare)},
                       {"mad", mad(row.umbuf)},
                       {"rounds", row.umbuf.size()},
                       {"librte_ipsec_by", librte.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(&librte == &row.librte_cpu ? "cpu" : "queue")}});
    }
    return out.dump(2);
}

}  // namespace umbuf::bench
