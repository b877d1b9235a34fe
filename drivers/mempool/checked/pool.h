// SPDX-License-Identifier: BSD-2-Clause
// pool.h - one checked pool: where each object is, the queue in which free ones wait, the checks.
//
//      put --> | newest ... scan ... quarantine ... oldest | --> get
//
// Free objects leave in the order in which they came, so each waits as long as there is anything
// older: a late write has the longest time to be seen, and no program starves, because the last one
// is given out, too. The quarantine is the number of newer puts that an object is meant to wait for; an
// object that had to leave before is counted as early.
//
// Invariants:
//   Q1  a record's `home` is true exactly while its index is in the queue.
//   Q2  bytes at home are as they were laid: watched, poisoned, guard. Every put lays them, every get
//       looks at them; what is found changed is reported, and laid again.
//   Q3  before the first get a pool is being made, and objects are only born: whoever made the pool
//       may write them (obj_init, rte_mempool_obj_iter). The first get opens it.
//
// One lock for everything, and the bytes are looked at under it: this is for finding faults, and a
// slow pool that is surely right finds more of them than a fast one. It spins, it never sleeps.
//
// The memory is DPDK's (rte_malloc), taken when the pool is made. Lock letters:
//   I immutable once made   L by lock_
#pragma once
#include <cstddef>
#include <cstdint>

#include <rte_mempool.h>
#include <rte_spinlock.h>

#include "drivers/mempool/checked/checked.h"
#include "drivers/mempool/checked/layout.h"
#include "drivers/mempool/checked/options.h"
#include "drivers/mempool/checked/record.h"
#include "drivers/mempool/checked/report.h"

namespace umbuf::checked {

class Pool {
  public:
    // make - for a pool that has no memory yet; makes room for guards in it. 0 or -errno. Control
    // thread. drop - with the pool's last use over; its objects are gone already, after DPDK has got
    // each of those at home, and so had it looked at, once more.
    [[nodiscard]] static int make(rte_mempool* pool) noexcept;
    static void drop(rte_mempool* pool) noexcept;
    // of - null for a pool of another handler.
    [[nodiscard]] static Pool* of(const rte_mempool* pool) noexcept;

    // put, get - DPDK's enqueue and dequeue: all n or none. Any thread.
    void put(void* const* objects, uint32_t n, const Caller& by) noexcept;
    [[nodiscard]] int get(void** objects, uint32_t n) noexcept;
    [[nodiscard]] uint32_t count() noexcept;

    // scan - look at everything that waits; how many faults were found. Any thread.
    [[nodiscard]] uint64_t scan() noexcept;
    [[nodiscard]] um_checked_counts counts() noexcept;

  private:
    static constexpr uint32_t kNobody = UINT32_MAX;
    static constexpr uint32_t kScanEvery = 32;  // puts: a burst
    static constexpr uint32_t kReports = 16;    // in words, when faults are only counted

    void be_born(void* object, const Caller& by) noexcept;
    void open() noexcept;
    void put_one(std::byte* object, const Caller& by) noexcept;
    [[nodiscard]] void* get_one() noexcept;

    [[nodiscard]] uint32_t find(const void* object) const noexcept;
    [[nodiscard]] uint32_t newest(uint32_t i) const noexcept;
    uint64_t scan_newest(uint32_t n) noexcept;

    void lay_out(Record& record) noexcept;
    uint64_t look(uint32_t index, Moment moment) noexcept;
    bool look_at_guard(uint32_t index, Moment moment) noexcept;
    void look_whether_fit(uint32_t index) noexcept;
    void fault(const void* object, uint32_t index, const Finding& finding) noexcept;

    rte_mempool* pool_;     // [I]
    Options options_;       // [I]
    uint32_t capacity_;     // [I]
    Record* records_;       // [L] sorted by address once open
    uint32_t* queue_;       // [L] a ring of indices
    rte_spinlock_t lock_;
    Layout layout_;         // [L]
    bool open_;             // [L]
    uint32_t born_;         // [L]
    uint32_t head_;         // [L] of the queue: the oldest
    uint32_t waiting_;      // [L]
    uint32_t unscanned_;    // [L] puts since the last scan
    uint32_t reported_;     // [L]
    um_checked_counts counts_;  // [L]
};

}  // namespace umbuf::checked
