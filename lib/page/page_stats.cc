// SPDX-License-Identifier: BSD-2-Clause
// page_stats.cc - pages, looked at from outside.
#include "lib/page/page_stats.h"

#include <algorithm>
#include <vector>

#include "lib/page/arena_state.h"

namespace umbuf {
namespace {

using stat::Kind;

constexpr stat::Field kPages[] = {
    {"page_filling", "pages", Kind::gauge, 1, "held, and their content has not arrived"},
    {"page_failed", "pages", Kind::gauge, 1, "held, and their content never will arrive"},
    {"page_in_use", "pages", Kind::gauge, 1, "that mbufs hold"},
    {"page_cached", "pages", Kind::gauge, 1, "free"},
    {"page_peak", "pages", Kind::peak, 1, "the most in use when somebody looked"},
    {"page_limit", "pages", Kind::limit, 1, "that there are"},
    {"page_size", "bytes", Kind::gauge, 1, "of one page"},
    {"page_denied", "requests", Kind::counter, 1, "refused, no page was free"},
    {"page_references", "references", Kind::gauge, 1, "mbufs that show a piece of a page, sum over all pages"},
    {"page_references_largest", "references", Kind::gauge, 1, "of the page that most mbufs show"},
};

constexpr stat::Field kWindows[] = {
    {"window_now", "windows", Kind::gauge, 1, "explicit windows on pages that are open"},
    {"window_peak", "windows", Kind::peak, 1, "the most at once"},
    {"window_limit", "windows", Kind::limit, 1, "that can be open; 0: no limit"},
    {"window_denied", "requests", Kind::counter, 1, "refused: not ready, not readable, not the asker's"},
    {"window_delayed", "requests", Kind::counter, 1, "that waited: none ever does"},
};

PageStats& stats_of(size_t cls) { return *page::arena->classes[cls].stats; }

// References - of each page, the headers that show a piece of it. Headers come and go meanwhile.
struct References {
    std::vector<uint32_t> of[kPageClasses];

    void see(const Mbuf* m) {
        if (m->ctl.load(sync::relaxed) == nullptr) return;  // at home
        const void* at = sync::load_of(m->rte.buf_addr, sync::relaxed);
        const Page* page = ghost::has(ghost::of(at)) ? page_of(at) : nullptr;
        if (page == nullptr) return;
        std::vector<uint32_t>& list = of[static_cast<size_t>(page->cls)];
        if (page->number < list.size()) ++list[page->number];
    }
};

void count_references() {
    References all;
    for (size_t c = 0; c < kPageClasses; ++c)
        if (const Zone* zone = page::arena->classes[c].zone; zone != nullptr) all.of[c].resize(zone->pool->size);
    for (const Zone* zone : zones())
        if (zone->kind == ZoneKind::mbuf)
            rte_mempool_obj_iter(
                zone->pool,
                [](rte_mempool*, void* arg, void* element, unsigned) {
                    static_cast<References*>(arg)->see(static_cast<const Mbuf*>(element));
                },
                &all);
    for (size_t c = 0; c < kPageClasses; ++c) {
        if (all.of[c].empty()) continue;
        uint64_t sum = 0;
        for (const uint32_t n : all.of[c]) sum += n;
        stats_of(c).references.set(sum);
        stats_of(c).references_largest.set(*std::ranges::max_element(all.of[c]));
    }
}

}  // namespace

std::span<const stat::Field> page_fields() noexcept { return kPages; }
std::span<const stat::Field> window_fields() noexcept { return kWindows; }

void pages_sample(bool references) {
    if (page::arena == nullptr) return;
    for (const page::ClassZone& c : page::arena->classes) {
        if (c.zone == nullptr) continue;
        PageStats& s = *c.stats;
        const ZoneLevel level = zone_level(*c.zone);
        s.in_use.set(level.in_use);
        s.cached.set(level.pool + level.caches);
        if (level.in_use > s.peak.read()) s.peak.set(level.in_use);
        s.limit.set(c.zone->pool->size);
        s.size.set(c.page);
        s.denied.set(c.zone->denied());
    }
    if (references) count_references();
}

}  // namespace umbuf
