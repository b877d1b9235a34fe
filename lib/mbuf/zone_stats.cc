// SPDX-License-Identifier: BSD-2-Clause
// zone_stats.cc - the wrapper in the table of pool handlers.
#include "lib/mbuf/zone_stats.h"

#include <rte_lcore.h>

#include "lib/mbuf/zone.h"

namespace umbuf {
namespace {

using stat::Kind;

constexpr stat::Field kFields[] = {
    {"zone_denied", "requests", Kind::counter, 1, "refused, the zone was empty", "who=verb"},
    {"zone_denied", "requests", Kind::counter, 1, "refused, the zone was empty", "who=driver"},
    {"zone_delayed", "requests", Kind::counter, 1, "granted after elements that were held back had been given back"},
    {"zone_denied_lcores", "requests", Kind::histogram, RTE_MAX_LCORE + 1, "refused, by lcore; the last cell: other threads"},
    {"zone_in_use", "elements", Kind::gauge, 1, "that somebody holds"},
    {"zone_cached", "elements", Kind::gauge, 1, "free, in the common pool and in caches of lcores"},
    {"zone_lcore_cached", "elements", Kind::gauge, 1, "free, in caches of lcores"},
    {"zone_total", "elements", Kind::gauge, 1, "in use and free"},
    {"zone_limit", "elements", Kind::limit, 1, "that there are"},
    {"zone_peak", "elements", Kind::peak, 1, "the most in use when somebody looked"},
    {"zone_element", "bytes", Kind::gauge, 1, "memory of one element, with its headers"},
};

// The zones, for whom a request failed. Written by the control thread, read by any; a slot is used again.
constexpr size_t kMostZones = 256;
sync::atomic<Zone*> watched[kMostZones];

// What each handler's function was. [I] once its wrapper is in the table.
rte_mempool_dequeue_t original[RTE_MEMPOOL_MAX_OPS_IDX];

Zone* zone_of(const rte_mempool* pool) noexcept {
    for (const sync::atomic<Zone*>& slot : watched)
        if (Zone* zone = slot.load(sync::acquire); zone != nullptr && zone->pool == pool) return zone;  // pairs with watch()
    return nullptr;
}

// fills_cache - DPDK first asks for more than it was asked for, to fill an lcore's cache. Where that fails it
// asks again, for what is needed: only this one was a request.
bool fills_cache(rte_mempool* pool, void** to) noexcept {
    const rte_mempool_cache* cache = rte_mempool_default_cache(pool, rte_lcore_id());
    return cache != nullptr && to >= cache->objs && to < cache->objs + std::size(cache->objs);
}

void refused_by(rte_mempool* pool, void** to) noexcept __attribute__((cold, noinline));
void refused_by(rte_mempool* pool, void** to) noexcept {
    if (zone::asking || fills_cache(pool, to)) return;
    if (Zone* zone = zone_of(pool); zone != nullptr) zone->note_denied(zone->stats->denied_driver);
}

int watching_get(rte_mempool* pool, void** to, unsigned n) {
    const int error = original[pool->ops_index](pool, to, n);
    if (__builtin_expect(error < 0, 0)) refused_by(pool, to);
    return error;
}

}  // namespace

std::span<const stat::Field> zone_fields() noexcept { return kFields; }

void Zone::note_denied(sync::Counter& who) noexcept {
    const unsigned lcore = rte_lcore_id();
    who.add_shared(1);
    stats->denied_lcores[lcore < RTE_MAX_LCORE ? lcore : RTE_MAX_LCORE].add_shared(1);
}

namespace zone {

void watch(Zone& zone) {
    rte_mempool_ops* ops = rte_mempool_get_ops(zone.pool->ops_index);
    if (ops->dequeue != watching_get) {
        original[zone.pool->ops_index] = ops->dequeue;
        sync::store_to(ops->dequeue, &watching_get, sync::release);  // lcores may be asking other pools of this handler
    }
    for (sync::atomic<Zone*>& slot : watched) {
        if (slot.load(sync::relaxed) != nullptr) continue;
        return slot.store(&zone, sync::release);  // pairs with zone_of()
    }
}

void unwatch(const Zone& zone) noexcept {
    for (sync::atomic<Zone*>& slot : watched)
        if (slot.load(sync::relaxed) == &zone) slot.store(nullptr, sync::relaxed);
}

}  // namespace zone
}  // namespace umbuf
