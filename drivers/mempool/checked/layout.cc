// SPDX-License-Identifier: BSD-2-Clause
// layout.cc - finding out what kind of objects a pool has.
#include "drivers/mempool/checked/layout.h"

#include <algorithm>
#include <cstdint>

#include <rte_mbuf.h>

namespace umbuf::checked {

static_assert(kWatched == sizeof(rte_mbuf));

namespace {

// A DPDK that was built with RTE_LIBRTE_MEMPOOL_DEBUG has a cookie of its own behind each object.
// The library that is loaded knows: without any alignment its trailer is that cookie.
uint32_t cookie_bytes() noexcept {
    rte_mempool_objsz size{};
    rte_mempool_calc_obj_size(8, RTE_MEMPOOL_F_NO_CACHE_ALIGN | RTE_MEMPOOL_F_NO_SPREAD, &size);
    return size.trailer_size;
}

// Does the object look as rte_pktmbuf_init() leaves it? A raw pool's private data may look like
// that of an mbuf pool by chance; its objects do not, too.
bool is_mbuf(rte_mempool* pool, const void* object) noexcept {
    if (pool->private_data_size < sizeof(rte_pktmbuf_pool_private)) return false;
    if (pool->elt_size < sizeof(rte_mbuf) + rte_pktmbuf_priv_size(pool)) return false;
    const rte_mbuf* m = static_cast<const rte_mbuf*>(object);
    return m->pool == pool && m->priv_size == rte_pktmbuf_priv_size(pool) && m->nb_segs == 1;
}

Layout of_mbufs(rte_mempool* pool) noexcept {
    Layout out;
    out.mbufs = true;
    out.watched = kWatched;
    out.kept = kWatched + rte_pktmbuf_priv_size(pool);
    const uint32_t end = out.kept + rte_pktmbuf_data_room_size(pool);
    out.pinned = (rte_pktmbuf_priv_flags(pool) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF) != 0 ||
                 end > pool->elt_size;
    if (out.pinned) out.kept = pool->elt_size;
    out.poisoned = out.pinned ? pool->elt_size : end;
    return out;
}

Layout of_others(rte_mempool* pool) noexcept {
    const auto said = reinterpret_cast<uintptr_t>(pool->pool_config);
    const uintptr_t keep = said == 0 ? kRawKeep : said;
    Layout out;
    out.kept = static_cast<uint32_t>(std::min<uintptr_t>(keep, pool->elt_size));
    out.poisoned = pool->elt_size;
    return out;
}

}  // namespace

void make_room(rte_mempool* pool) noexcept { pool->trailer_size += kGuardBytes; }

Layout layout_of(rte_mempool* pool, const void* object) noexcept {
    Layout out = is_mbuf(pool, object) ? of_mbufs(pool) : of_others(pool);
    // Up to 7 bytes of rounding belong to the guard, but not where DPDK's cookie comes after them.
    const uint32_t cookie = cookie_bytes();
    out.guard_begin = cookie == 0 ? out.poisoned : pool->elt_size + cookie;
    out.guard_end = pool->elt_size + pool->trailer_size;
    return out;
}

}  // namespace umbuf::checked
