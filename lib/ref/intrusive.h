// SPDX-License-Identifier: BSD-2-Clause
// intrusive.h - one 32-bit count in the storage's own control line, switched on at the first share.
//
// The weight of a view is 0 (never shared: the count is not looked at, ever) or 1 (counted). The
// idea of a free that executes no test until the first share is illumos's dblk; the count beside the
// cluster is DragonFly's. tests/model/intrusive_model.cc explores every interleaving.
#pragma once
#include <cerrno>
#include <cstdint>

#include "lib/base/check.h"
#include "lib/base/sync.h"

namespace umbuf::ref {

struct Intrusive {
    static constexpr const char* kName = "intrusive";
    // From here on the count is a leak: takes and drops no longer change who frees (R5). Half the
    // range is left, so that no number of racing threads can step over it to zero.
    static constexpr uint32_t kSaturated = 0x80000000U;

    // a atomic
    struct Control {
        sync::atomic<uint32_t> count{0};  // [a] counted views; 0: none, or one of weight 0
        sync::atomic<uint32_t> zero{0};   // [a] 1: zero the storage before it is reused
    };

    static int share(Control& control, uint32_t& source, uint32_t& copy) noexcept {
        if (source == 0) {
            // Alone, so a plain store will do. The copy reaches another thread only through some
            // queue, and the queue orders this store before it.
            control.count.store(2, sync::relaxed);
            source = 1;
        } else {
            // Relaxed: our own view keeps the count above 0, so there is nothing to order.
            const uint32_t was = control.count.fetch_add(1, sync::relaxed);
            UM_ASSERT_MSG(was >= 1, "share of a dead reference (R1)");
            if (was >= kSaturated) control.count.store(kSaturated, sync::relaxed);  // R5
        }
        copy = 1;
        return 0;
    }

    [[nodiscard]] static bool release(Control& control, uint32_t weight) noexcept {
        if (weight == 0) return true;
        // Alone again: no locked instruction. Acquire pairs with the release half of the others'
        // fetch_sub in drop(), so that their accesses happen before our free (R2).
        if (control.count.load(sync::acquire) != 1 && !drop(control)) return false;
        control.count.store(0, sync::relaxed);  // R4
        return true;
    }

    // No test for 1 here, unlike release(): the pinning owner may join between test and store.
    [[nodiscard]] static bool leave(Control& control, uint32_t) noexcept { return drop(control); }

    static bool join(Control& control, uint32_t& copy) noexcept {
        const uint32_t was = control.count.fetch_add(1, sync::relaxed);
        if (was >= kSaturated) control.count.store(kSaturated, sync::relaxed);  // R5
        copy = 1;
        return was == 0;
    }

    // Acquire pairs with drop(): whoever was here before has finished reading what we may now write.
    [[nodiscard]] static bool exclusive(const Control& control, uint32_t weight) noexcept {
        return weight == 0 || control.count.load(sync::acquire) == 1;
    }

    // Before our own drop, whose release half publishes it (R6). Same value from anyone: no race.
    static void zeroize(Control& control, uint32_t&) noexcept { control.zero.store(1, sync::relaxed); }

    [[nodiscard]] static bool zero_wanted(Control& control) noexcept {
        if (control.zero.load(sync::relaxed) == 0) return false;
        control.zero.store(0, sync::relaxed);
        return true;
    }

    static void flush() noexcept {}  // Nothing is cached.

    [[nodiscard]] static bool audit(const Control& control, uint64_t weights) noexcept {
        const uint32_t count = control.count.load(sync::relaxed);
        return count >= kSaturated || count == weights;
    }

  private:
    // One counted view less. True: it was the last (R2: acq_rel orders all before it).
    static bool drop(Control& control) noexcept {
        const uint32_t was = control.count.fetch_sub(1, sync::acq_rel);
        UM_ASSERT_MSG(was >= 1, "release of a dead reference (R1)");
        if (was >= kSaturated) {
            control.count.store(kSaturated, sync::relaxed);  // R5: stuck, leaked on purpose
            return false;
        }
        return was == 1;
    }
};

}  // namespace umbuf::ref
