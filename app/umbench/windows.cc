// SPDX-License-Identifier: BSD-2-Clause
// windows.cc - the loops, over an mbuf of each kind.
#include "app/umbench/windows.h"

#include <fmt/format.h>

#include <algorithm>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_lcore.h>

#include "app/umbench/own_eal.h"
#include "app/umbench/stats.h"
#include "lib/mbuf/verbs.h"
#include "lib/page/arena.h"
#include "lib/page/extpg.h"

namespace umbuf::bench {
namespace {

constexpr uint32_t kBytes = 1024;  // of the mbuf; windows are opened all over it
constexpr uint32_t kWindow = 64;

sync::atomic<uint64_t> seen{0};  // so that what was read is wanted

// Cycles of one window on m.
double time_windows(const Mbuf* m, uint32_t times) {
    uint64_t sum = 0;
    const uint64_t begin = rte_rdtsc_precise();
    for (uint32_t i = 0; i < times; ++i) {
        const ReadWindow in(m, i * kWindow % kBytes, kWindow);
        sum += static_cast<uint64_t>(sync::load_of(*reinterpret_cast<const uint64_t*>(in.bytes()), sync::relaxed));
    }
    const uint64_t cycles = rte_rdtsc_precise() - begin;
    seen.store(sum, sync::relaxed);
    return static_cast<double>(cycles) / times;
}

// In an arena of its own: an anonymous page, and windows on it.
Result<double> time_page(bool strict, uint32_t times) {
    ArenaConfig config;
    config.cache.pages = 0;
    config.anonymous.pages = 16;
    config.strict = strict;
    if (Status opened = arena_open(config, static_cast<int>(rte_socket_id())); !opened) return opened.error();
    Mbuf* m = mb_alloc_ext_pgs(PageClass::anonymous, kBytes, M_NOWAIT, "umbench");
    if (m == nullptr) return Error{ENOBUFS, "no page for a window"};
    const double cycles = time_windows(m, times);
    m_freem(m);
    if (!arena_close().empty()) return Error{EBUSY, "a page is still held"};
    return cycles;
}

Result<double> time_mapped(uint32_t times) {
    Mbuf* m = m_getjcl(M_NOWAIT, MT_DATA, 0, kBytes);
    if (m == nullptr) return Error{ENOBUFS, "no cluster"};
    m->set_len(kBytes);
    const double cycles = time_windows(m, times);
    m_freem(m);
    return cycles;
}

Result<double> time_one(const std::string& window) {
    if (window == "mapped") return time_mapped(1000000);
    return window == "alias" ? time_page(false, 1000000) : time_page(true, 5000);
}

}  // namespace

Result<std::vector<WindowRow>> measure_windows(unsigned rounds) {
    if (Status eal = start_eal(1); !eal) return eal.error();
    if (Status zones = mbinit({}, {static_cast<int>(rte_socket_id())}); !zones) return zones.error();
    std::vector<WindowRow> rows{{"mapped", {}}, {"alias", {}}, {"strict", {}}};
    for (unsigned round = 0; round <= rounds; ++round)
        for (WindowRow& row : rows) {
            Result<double> cycles = time_one(row.window);
            if (!cycles) return cycles.error();
            if (round > 0) row.cycles.push_back(cycles.value());
        }
    if (!mbfini().empty()) return Error{EBUSY, "an mbuf is still held"};
    rte_eal_cleanup();
    return rows;
}

std::string windows_table(const std::vector<WindowRow>& rows) {
    std::string text = fmt::format("{:<8} {:>13}  {}\n", "window", "cycles", "[min..max]");
    for (const WindowRow& row : rows) {
        const auto [low, high] = std::minmax_element(row.cycles.begin(), row.cycles.end());
        text += fmt::format("{:<8} {:>13.1f}  [{:.1f}..{:.1f}]\n", row.window, median(row.cycles), *low, *high);
    }
    return text;
}

}  // namespace umbuf::bench
