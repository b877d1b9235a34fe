// SPDX-License-Identifier: BSD-2-Clause
// meter.h - how long an lcore was busy, read by anyone at any moment.
//
// One word holds it all, so that a reader never sees half a change:
//
//      word = 2 * base + busy        now busy:  busy cycles = base + now    (base is "sum - since")
//                                    now idle:  busy cycles = base          (base is the sum)
//
// Arithmetic is modulo 2^63: fifty years at 5 GHz.
// The writer reads the clock once in an empty turn, whose time is worth nothing, and never in a busy
// one: so a turn that finds work is busy from its beginning, and a saturated lcore pays nothing. The
// one turn that finds the queues empty again is charged to the work before it.
#pragma once
#include <cstdint>

#include "lib/base/sync.h"

namespace umbuf::fwd {

class CycleMeter {  // One writer, any readers.
  public:
    void begin(uint64_t now) noexcept {
        begin_.set(now);
        end_.set(0);
        word_.store(0, sync::relaxed);
        busy_ = false;
    }
    void end(uint64_t now) noexcept {
        if (busy_) to_idle(now);
        end_.set(now);
    }

    [[nodiscard]] bool is_busy() const noexcept { return busy_; }  // the writer's own view
    void to_busy(uint64_t now) noexcept {
        busy_ = true;
        word_.store((base() - now) << 1 | 1, sync::relaxed);
    }
    void to_idle(uint64_t now) noexcept {
        busy_ = false;
        word_.store((base() + now) << 1, sync::relaxed);
    }

    struct Reading {
        uint64_t busy, idle;
    };
    [[nodiscard]] Reading read(uint64_t now) const noexcept {
        if (end_.read() != 0) now = end_.read();
        const uint64_t word = word_.load(sync::relaxed);
        const uint64_t busy = ((word >> 1) + ((word & 1) != 0 ? now : 0)) & kMask;
        const uint64_t all = begin_.read() == 0 ? 0 : now - begin_.read();
        // A reader's `now` may be a moment older than the change that it reads.
        if (busy > all) return {all, 0};
        return {busy, all - busy};
    }

  private:
    static constexpr uint64_t kMask = UINT64_MAX >> 1;
    [[nodiscard]] uint64_t base() const noexcept { return word_.load(sync::relaxed) >> 1; }
    bool busy_ = false;                // the writer's
    sync::atomic<uint64_t> word_{0};   // [a] the writer stores, readers load
    sync::Counter begin_, end_;
};

}  // namespace umbuf::fwd
