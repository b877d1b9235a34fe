// SPDX-License-Identifier: BSD-2-Clause
// ops.cc - the handler "checked" as DPDK knows it: a table of callbacks, registered when the plug-in
// is loaded (EAL's -d).
#include <cerrno>

#include <rte_mempool.h>

#include "drivers/mempool/checked/checked.h"
#include "drivers/mempool/checked/pool.h"

namespace umbuf::checked {
namespace {

Pool* pool_of(const rte_mempool* pool) noexcept { return static_cast<Pool*>(pool->pool_data); }

int alloc(rte_mempool* pool) { return Pool::make(pool); }

void free(rte_mempool* pool) { Pool::drop(pool); }

int enqueue(rte_mempool* pool, void* const* objects, unsigned n) {
    pool_of(pool)->put(objects, n, Caller::here());
    return 0;
}

int dequeue(rte_mempool* pool, void** objects, unsigned n) { return pool_of(pool)->get(objects, n); }

unsigned get_count(const rte_mempool* pool) { return pool_of(pool)->count(); }

const rte_mempool_ops table = {
    .name = "checked",
    .alloc = alloc,
    .free = free,
    .enqueue = enqueue,
    .dequeue = dequeue,
    .get_count = get_count,
};
RTE_MEMPOOL_REGISTER_OPS(table)

}  // namespace
}  // namespace umbuf::checked

int64_t um_checked_scan(rte_mempool* pool) {
    umbuf::checked::Pool* checked = umbuf::checked::Pool::of(pool);
    return checked == nullptr ? -1 : static_cast<int64_t>(checked->scan());
}

int um_checked_read(rte_mempool* pool, um_checked_counts* counts) {
    umbuf::checked::Pool* checked = umbuf::checked::Pool::of(pool);
    if (checked == nullptr) return -1;
    *counts = checked->counts();
    return 0;
}
