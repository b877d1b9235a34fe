// SPDX-License-Identifier: BSD-2-Clause
// zone_get.h - taking elements out of zones: for the files of lib/mbuf and lib/page only.
#pragma once
#include "lib/mbuf/ext.h"
#include "lib/mbuf/zone.h"

namespace umbuf::zone {

// The zones of one NUMA node.
struct Node {
    Zone* mbufs = nullptr;
    Zone* clusters[kClusterZones] = {};
    Zone* controls = nullptr;
    Zone* proxies = nullptr;  // null: the scheme takes none
    Zone* tags = nullptr;
};

inline constinit bool iova_is_va = false;  // [I] from mbinit to mbfini

// pool_get, pool_put - rte_mempool_get and rte_mempool_put of one element, this lcore's cache first.
// DPDK's are made for bulks: for one, their loop costs more than the element.
[[nodiscard, gnu::always_inline]] inline void* pool_get(rte_mempool* pool) noexcept {
    rte_mempool_cache* cache = rte_mempool_default_cache(pool, rte_lcore_id());
    if (__builtin_expect(cache != nullptr && cache->len > 0, 1)) return cache->objs[--cache->len];
    void* element = nullptr;
    const Asking verb;
    return rte_mempool_get(pool, &element) == 0 ? element : nullptr;
}
[[gnu::always_inline]] inline void pool_put(rte_mempool* pool, void* element) noexcept {
    rte_mempool_cache* cache = rte_mempool_default_cache(pool, rte_lcore_id());
    if (__builtin_expect(cache != nullptr && cache->len < cache->flushthresh, 1))
        cache->objs[cache->len++] = element;
    else
        rte_mempool_put(pool, element);
}

// here - the calling thread's node; the first node for threads that EAL does not know. Remembered per
// thread: asking EAL is a call into a library.
inline constinit thread_local Node* here_ = nullptr;
[[nodiscard]] Node& find_here() noexcept;
[[nodiscard, gnu::always_inline]] inline Node& here() noexcept {
    return here_ != nullptr && here_->mbufs != nullptr ? *here_ : find_here();
}

// cluster_pool - by the number kept in Mbuf::ext_zone, for a free that does not load the control.
[[nodiscard]] rte_mempool* cluster_pool(uint8_t number) noexcept;
[[nodiscard]] inline uint8_t number_of(const Zone& cluster_zone) noexcept {
    return static_cast<uint8_t>(cluster_zone.socket * kClusterZones + cluster_zone.cluster);
}

// fault_fires - is this the allocation that alloc_faults_arm() wants to fail?
inline constinit sync::atomic<int64_t> fault_in{0};  // allocations until it fires; 0: disarmed
[[nodiscard]] bool armed_fault_fires() noexcept;
[[nodiscard]] inline bool fault_fires() noexcept {
    return __builtin_expect(fault_in.load(sync::relaxed) != 0, 0) && armed_fault_fires();
}
// note_denied - count it, a verb's, and say ENOBUFS in rte_errno.
void note_denied(Zone& zone) noexcept;

// get - one element, or null and counted as denied.
[[nodiscard]] void* get(Zone& zone) noexcept;

// get_header - a header whose record is parked; those that are not are set aside (ext.h).
// Acquire pairs with the hook's release: a parked record is not looked at any more.
[[nodiscard]] inline bool parked(const Mbuf* m) noexcept { return m->ctl.load(sync::acquire) == nullptr; }
void set_aside(Mbuf* m) noexcept;
[[nodiscard]] Mbuf* get_header_slowly() noexcept;
[[nodiscard]] inline Mbuf* get_header() noexcept {
    Zone& zone = *here().mbufs;
    if (fault_fires()) {
        note_denied(zone);
        return nullptr;
    }
    Mbuf* m = static_cast<Mbuf*>(pool_get(zone.pool));
    if (__builtin_expect(m == nullptr, 0)) return get_header_slowly();
    if (__builtin_expect(parked(m), 1)) return m;
    set_aside(m);
    return get_header_slowly();
}

// note_refused_write - count a verb's refusal to write what it does not own alone.
void note_refused_write() noexcept;
// note_lost_tags - count tags that were found on a header that is taken again.
void note_lost_tags(uint32_t n) noexcept;

}  // namespace umbuf::zone
