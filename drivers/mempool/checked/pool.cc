// SPDX-License-Identifier: BSD-2-Clause
// pool.cc - putting, waiting, getting, and what is looked at on the way.
#include "drivers/mempool/checked/pool.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "drivers/mempool/checked/poison.h"

namespace umbuf::checked {

namespace {

class Locked {
  public:
    explicit Locked(rte_spinlock_t& lock) noexcept : lock_(lock) { rte_spinlock_lock(&lock_); }
    ~Locked() { rte_spinlock_unlock(&lock_); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

  private:
    rte_spinlock_t& lock_;
};

// describe - what differs in [first, end) of the object; first is known to differ.
template <class Expected>
Finding describe(Fault fault, Moment moment, const std::byte* object, uint32_t first, uint32_t end,
                 Expected expected) noexcept {
    Finding out{.fault = fault, .moment = moment, .offset = first};
    for (uint32_t at = first; at < end; ++at) {
        if (object[at] != expected(at)) ++out.bad;
        if (at - first >= Finding::kShown) continue;
        out.expected[out.shown] = expected(at);
        out.found[out.shown++] = object[at];
    }
    return out;
}

Finding describe_run(Fault fault, Moment moment, const std::byte* object, uint32_t begin,
                     uint32_t end, size_t change, uint64_t word) noexcept {
    return describe(fault, moment, object, begin + static_cast<uint32_t>(change), end,
                    [=](uint32_t at) { return byte_of(word, at - begin); });
}

}  // namespace

int Pool::make(rte_mempool* pool) noexcept {
    Options options;
    if (!read_options(pool->size, options)) return -EINVAL;
    const size_t n = pool->size;
    const size_t bytes = sizeof(Pool) + n * (sizeof(Record) + sizeof(uint32_t));
    void* memory = rte_zmalloc_socket("checked mempool", bytes, 64, pool->socket_id);
    if (memory == nullptr) return -ENOMEM;
    Pool* made = new (memory) Pool{};
    made->pool_ = pool;
    made->options_ = options;
    made->capacity_ = pool->size;
    made->records_ = reinterpret_cast<Record*>(made + 1);
    made->queue_ = reinterpret_cast<uint32_t*>(made->records_ + n);
    rte_spinlock_init(&made->lock_);
    (void)Caller::here();  // the unwinder loads its library at its first use: not in a burst
    pool->pool_data = made;
    make_room(pool);
    return 0;
}

void Pool::drop(rte_mempool* pool) noexcept {
    if (pool->pool_data == nullptr) return;  // it was never filled
    Pool* made = static_cast<Pool*>(pool->pool_data);
    if (made->counts_.gets > 0) report_end(*pool, made->counts_);
    rte_free(pool->pool_data);
    pool->pool_data = nullptr;
}

Pool* Pool::of(const rte_mempool* pool) noexcept {
    const rte_mempool_ops* ops = rte_mempool_get_ops(pool->ops_index);
    return std::strcmp(ops->name, "checked") == 0 ? static_cast<Pool*>(pool->pool_data) : nullptr;
}

void Pool::put(void* const* objects, uint32_t n, const Caller& by) noexcept {
    const Locked locked(lock_);
    if (unscanned_ >= kScanEvery) {  // before the new ones come: these waited for a burst at least
        scan_newest(options_.scan);
        unscanned_ = 0;
    }
    for (uint32_t i = 0; i < n; ++i) {
        if (open_)
            put_one(static_cast<std::byte*>(objects[i]), by);
        else
            be_born(objects[i], by);
    }
    if (open_) unscanned_ += n;
}

int Pool::get(void** objects, uint32_t n) noexcept {
    const Locked locked(lock_);
    if (!open_) open();
    if (n > waiting_) return -ENOBUFS;
    for (uint32_t i = 0; i < n; ++i) objects[i] = get_one();
    return 0;
}

uint32_t Pool::count() noexcept {
    const Locked locked(lock_);
    return open_ ? waiting_ : born_;
}

uint64_t Pool::scan() noexcept {
    const Locked locked(lock_);
    return scan_newest(waiting_);
}

um_checked_counts Pool::counts() noexcept {
    const Locked locked(lock_);
    return counts_;
}

void Pool::be_born(void* object, const Caller& by) noexcept {
    if (born_ == capacity_) {
        ++counts_.strangers;
        return fault(object, kNobody, {.fault = Fault::stranger, .moment = Moment::put});
    }
    Record& record = records_[born_++];
    record.object = static_cast<std::byte*>(object);
    record.put_by = by;
    record.put_by.frames = 0;  // DPDK's
}

// The pool is made, and everything is at home. From here on its bytes are watched (Q3).
void Pool::open() noexcept {
    if (born_ == 0) return;
    open_ = true;
    std::sort(records_, records_ + born_,
              [](const Record& a, const Record& b) { return a.object < b.object; });
    layout_ = layout_of(pool_, records_[0].object);
    for (uint32_t i = 0; i < born_; ++i) {
        records_[i].home = true;
        lay_out(records_[i]);
        queue_[i] = i;
    }
    waiting_ = born_;
}

void Pool::put_one(std::byte* object, const Caller& by) noexcept {
    const uint32_t index = find(object);
    if (index == kNobody) {
        ++counts_.strangers;
        return fault(object, index, {.fault = Fault::stranger, .moment = Moment::put});
    }
    Record& record = records_[index];
    if (record.home) {  // Q1: it would be given out twice
        ++counts_.double_puts;
        return fault(object, index, {.fault = Fault::double_put, .moment = Moment::put});
    }
    look_at_guard(index, Moment::put);
    look_whether_fit(index);
    record.put_by = by;
    record.home = true;
    lay_out(record);
    queue_[(head_ + waiting_) % capacity_] = index;
    ++waiting_;
    ++counts_.puts;
}

void* Pool::get_one() noexcept {
    const uint32_t index = queue_[head_];
    head_ = (head_ + 1) % capacity_;
    --waiting_;
    look(index, Moment::get);
    Record& record = records_[index];
    // Fewer objects than were born: DPDK takes the pool down, object by object.
    const bool ending = pool_->populated_size < born_;
    if (record.generation > 0 && waiting_ < options_.quarantine && !ending) ++counts_.early;
    record.home = false;
    ++record.generation;
    ++counts_.gets;
    return record.object;
}

uint32_t Pool::find(const void* object) const noexcept {
    const Record* end = records_ + born_;
    const Record* at = std::lower_bound(
        static_cast<const Record*>(records_), end, object,
        [](const Record& record, const void* wanted) { return record.object < wanted; });
    return at != end && at->object == object ? static_cast<uint32_t>(at - records_) : kNobody;
}

// newest - the index of the i-th newest that waits; 0: the newest.
uint32_t Pool::newest(uint32_t i) const noexcept {
    return queue_[(head_ + waiting_ - 1 - i) % capacity_];
}

uint64_t Pool::scan_newest(uint32_t n) noexcept {
    const uint32_t looked = std::min(n, waiting_);
    uint64_t faults = 0;
    for (uint32_t i = 0; i < looked; ++i) faults += look(newest(i), Moment::scan);
    counts_.scanned += looked;
    return faults;
}

void Pool::lay_out(Record& record) noexcept {
    std::byte* object = record.object;
    std::memcpy(record.watched, object, layout_.watched);
    lay(object + layout_.kept, layout_.poisoned - layout_.kept, kPoison);
    lay(object + layout_.guard_begin, layout_.guard_end - layout_.guard_begin, kGuard);
}

// Q2, of an object at home. Returns how many faults there were.
uint64_t Pool::look(uint32_t index, Moment moment) noexcept {
    Record& record = records_[index];
    const std::byte* object = record.object;
    const Layout& l = layout_;
    uint64_t faults = 0;
    if (const size_t at = first_change(object + l.kept, l.poisoned - l.kept, kPoison);
        at != kUnchanged) {
        ++faults;
        fault(object, index,
              describe_run(Fault::late_write, moment, object, l.kept, l.poisoned, at, kPoison));
    }
    if (std::memcmp(object, record.watched, l.watched) != 0) {
        const auto at = static_cast<uint32_t>(
            std::mismatch(object, object + l.watched, record.watched).first - object);
        ++faults;
        fault(object, index, describe(Fault::header_write, moment, object, at, l.watched,
                                      [&](uint32_t i) { return record.watched[i]; }));
    }
    counts_.late_writes += faults;
    if (look_at_guard(index, moment)) ++faults;
    if (faults > 0) lay_out(record);
    return faults;
}

// Of any object, at home or about to be. True: it was written.
bool Pool::look_at_guard(uint32_t index, Moment moment) noexcept {
    const std::byte* object = records_[index].object;
    const uint32_t begin = layout_.guard_begin, end = layout_.guard_end;
    const size_t at = first_change(object + begin, end - begin, kGuard);
    if (at == kUnchanged) return false;
    ++counts_.overruns;
    fault(object, index, describe_run(Fault::overrun, moment, object, begin, end, at, kGuard));
    return true;
}

// What every mbuf in a pool must be (rte_mbuf_raw_free): the next rte_pktmbuf_alloc() relies on it.
void Pool::look_whether_fit(uint32_t index) noexcept {
    if (!layout_.mbufs) return;
    const std::byte* object = records_[index].object;
    const rte_mbuf* m = reinterpret_cast<const rte_mbuf*>(object);
    const bool own_buffer =
        layout_.pinned || m->buf_addr == object + sizeof(rte_mbuf) + rte_pktmbuf_priv_size(pool_);
    if (rte_mbuf_refcnt_read(m) == 1 && m->nb_segs == 1 && m->next == nullptr && m->pool == pool_ &&
        own_buffer)
        return;
    ++counts_.unfit;
    fault(object, index, {.fault = Fault::unfit, .moment = Moment::put});
}

void Pool::fault(const void* object, uint32_t index, const Finding& finding) noexcept {
    if (options_.abort || reported_ < kReports)
        report(*pool_, layout_, object, index == kNobody ? nullptr : &records_[index], index, finding);
    ++reported_;
    if (!options_.abort) return;
    rte_spinlock_unlock(&lock_);  // a handler of SIGABRT, or a process that shares the pool, may free
    std::abort();
}

}  // namespace umbuf::checked
