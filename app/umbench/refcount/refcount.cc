// SPDX-License-Identifier: BSD-2-Clause
// refcount.cc - the rounds, and what is printed of them.
#include "app/umbench/refcount/refcount.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include <rte_eal.h>
#include <rte_lcore.h>

#include "app/umbench/own_eal.h"
#include "app/umbench/refcount/workload.h"
#include "app/umbench/stats.h"
#include "lib/mbuf/refs.h"

namespace umbuf::bench {
namespace {

// 1, 2, 4 ... and all.
std::vector<unsigned> lcore_counts() {
    std::vector<unsigned> counts;
    for (unsigned n = 1; n < rte_lcore_count(); n *= 2) counts.push_back(n);
    counts.push_back(rte_lcore_count());
    return counts;
}

using Progress = std::function<void(const std::string&)>;

// One workload on so many lcores, all schemes, all rounds.
class Comparison {
  public:
    Comparison(const RefPlan& plan, std::string workload, unsigned lcores)
        : plan_(plan), workload_(std::move(workload)), lcores_(lcores) {
        for (const std::string& scheme : plan.schemes)
            if (workload_runs_on(workload_, scheme, lcores_))
                rows_.push_back({.scheme = scheme, .workload = workload_, .lcores = lcores_, .cycles_per_op = {}});
    }

    Status run() {
        for (unsigned round = 0; round <= plan_.rounds; ++round)
            for (size_t i = 0; i < rows_.size(); ++i) {
                RefRow& row = rows_[(i + round) % rows_.size()];
                Result<Measured> m = run_workload(workload_, row.scheme, lcores_, plan_.milliseconds, false);
                if (!m) return m.error();
                if (round > 0) row.cycles_per_op.push_back(m.value().cycles_per_op);
            }
        for (RefRow& row : rows_) {
            if (row.scheme == "dpdk") continue;
            Result<Measured> m = run_workload(workload_, row.scheme, lcores_, plan_.milliseconds / 4, true);
            if (!m) return m.error();
            row.rmw_per_op = m.value().rmw_per_op;
            row.handovers_per_op = m.value().handovers_per_op;
        }
        return {};
    }
    [[nodiscard]] const std::vector<RefRow>& rows() const noexcept { return rows_; }

  private:
    const RefPlan& plan_;
    std::string workload_;
    unsigned lcores_;
    std::vector<RefRow> rows_;
};

double lowest(const RefRow& row) { return *std::min_element(row.cycles_per_op.begin(), row.cycles_per_op.end()); }
double highest(const RefRow& row) { return *std::max_element(row.cycles_per_op.begin(), row.cycles_per_op.end()); }

// The ratio to DPDK in the same rounds, where it ran.
std::string against_dpdk(const std::vector<RefRow>& rows, const RefRow& row) {
    for (const RefRow& other : rows) {
        if (other.scheme != "dpdk" || other.workload != row.workload || other.lcores != row.lcores) continue;
        std::vector<double> ratios;
        for (size_t i = 0; i < row.cycles_per_op.size(); ++i)
            ratios.push_back(row.cycles_per_op[i] / other.cycles_per_op[i]);
        return fmt::format("{:.2f}", median(ratios));
    }
    return "-";
}

}  // namespace

std::vector<std::string> refcount_schemes() {
    std::vector<std::string> all(refs_names().begin(), refs_names().end());
    all.emplace_back("dpdk");
    return all;
}

Result<std::vector<RefRow>> compare_schemes(const RefPlan& wanted, const Progress& progress) {
    RefPlan plan = wanted;
    if (plan.schemes.empty()) plan.schemes = refcount_schemes();
    if (plan.workloads.empty()) plan.workloads = workload_names();
    if (Status eal = start_eal(plan.lcores); !eal) return eal.error();
    std::vector<RefRow> rows;
    for (const unsigned lcores : lcore_counts())
        for (const std::string& workload : plan.workloads) {
            progress(fmt::format("{} on {} lcore{}", workload, lcores, lcores == 1 ? "" : "s"));
            Comparison comparison(plan, workload, lcores);
            if (Status done = comparison.run(); !done) return done.error();
            rows.insert(rows.end(), comparison.rows().begin(), comparison.rows().end());
        }
    rte_eal_cleanup();
    return rows;
}

std::string refcount_table(const std::vector<RefRow>& rows) {
    std::string text = fmt::format("{:<17} {:>6} {:<17} {:>10} {:<19} {:>7} {:>7} {:>8}\n", "workload", "lcores", "scheme",
                                   "cycles/op", "[min..max]", "/dpdk", "rmw/op", "handover");
    for (const RefRow& row : rows)
        text += fmt::format("{:<17} {:>6} {:<17} {:>10.1f} {:<19} {:>7} {:>7} {:>8}\n", row.workload, row.lcores, row.scheme,
                            median(row.cycles_per_op), fmt::format("[{:.1f}..{:.1f}]", lowest(row), highest(row)),
                            against_dpdk(rows, row), row.rmw_per_op < 0 ? "-" : fmt::format("{:.2f}", row.rmw_per_op),
                            row.handovers_per_op < 0 ? "-" : fmt::format("{:.2f}", row.handovers_per_op));
    return text;
}

std::string refcount_json(const std::vector<RefRow>& rows) {
    const auto counted = [](double n) { return n < 0 ? nlohmann::json() : nlohmann::json(n); };
    nlohmann::json out = nlohmann::json::array();
    for (const RefRow& row : rows)
        out.push_back({{"scheme", row.scheme},
                       {"workload", row.workload},
                       {"lcores", row.lcores},
                       {"cycles_per_op", median(row.cycles_per_op)},
                       {"min", lowest(row)},
                       {"max", highest(row)},
                       {"rounds", row.cycles_per_op.size()},
                       {"rmw_per_op", counted(row.rmw_per_op)},
                       {"handovers_per_op", counted(row.handovers_per_op)}});
    return out.dump(2);
}

}  // namespace umbuf::bench
