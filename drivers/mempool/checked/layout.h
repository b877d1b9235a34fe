// SPDX-License-Identifier: BSD-2-Clause
// layout.h - which bytes of a pool's objects mean something while the object is free.
//
//      mbuf pools      0          128          128+priv               +room
//                      | rte_mbuf | private    | data room            | guard ...
//                      | watched  | kept       | poisoned             |
//
//      other pools     0          keep                       elt_size
//                      | kept     | poisoned                 | guard ...
//
//   watched   DPDK relies on it in the pool (refcnt 1, next null, buf_addr ...; rte_mbuf_raw_free),
//             so it cannot be poisoned: it is copied at the put, and must be the same at the get.
//   kept      the owner's, also while the object is free; nobody looks at it.
//   poisoned  nobody's: filled at the put, looked at in the quarantine and at the get.
//   guard     behind the object, never anybody's: looked at every time.
//
// An mbuf pool is one whose private data and whose objects say so. Mbufs with pinned external buffers
// have no bytes to poison. Any other pool keeps the number of bytes that its pool_config is (an
// integer, not a pointer: rte_mempool_set_ops_byname(pool, "checked", (void *)128)), and a cache line
// of them where pool_config is NULL.
#pragma once
#include <cstdint>

#include <rte_mempool.h>

namespace umbuf::checked {

inline constexpr uint32_t kRawKeep = 64;     // bytes; of a pool that does not say
inline constexpr uint32_t kGuardBytes = 64;  // at least; alignment adds to it
inline constexpr uint32_t kWatched = 128;    // sizeof(rte_mbuf)

// All in bytes from the start of the object.
struct Layout {
    bool mbufs = false;
    bool pinned = false;        // mbufs whose buffers are elsewhere
    uint32_t watched = 0;       // [0, watched)
    uint32_t kept = 0;          // [watched, kept)
    uint32_t poisoned = 0;      // [kept, poisoned)
    uint32_t guard_begin = 0;   // [guard_begin, guard_end)
    uint32_t guard_end = 0;
};

// make_room - give each object of the pool a guard, wherever its size leaves one. Only while the
// pool has no memory yet (the alloc callback): DPDK then lays the objects out with it.
void make_room(rte_mempool* pool) noexcept;

// layout_of - of a pool whose objects have been made; `object` is any one of them.
[[nodiscard]] Layout layout_of(rte_mempool* pool, const void* object) noexcept;

}  // namespace umbuf::checked
