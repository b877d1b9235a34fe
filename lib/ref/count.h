// SPDX-License-Identifier: BSD-2-Clause
// count.h - a 32-bit count of views, and a zero request beside it: the part that the classic schemes
// have in common. Where it lives, and when it is looked at, is what tells them apart.
#pragma once
#include <cerrno>
#include <cstdint>

#include "lib/base/check.h"
#include "lib/ref/scheme.h"

namespace umbuf::ref {

template <class Sync>
struct CountOf {
    // From here on the count is a leak: takes and drops no longer change who frees (R5). It is parked
    // in the middle of what is left, a quarter of the range from either end: so far no number of
    // threads can move it that are each between a change and the store that takes it back.
    static constexpr uint32_t kSaturated = 0x80000000U;
    static constexpr uint32_t kParked = 0xc0000000U;

    typename Sync::template atomic<uint32_t> n{0};     // [a] counted views
    typename Sync::template atomic<uint32_t> zero{0};  // [a] 1: zero the storage before it is reused

    // take - one more, by a holder. Relaxed: its own view keeps the count above 0, so there is
    // nothing to order.
    void take() noexcept {
        const uint32_t was = n.fetch_add(1, sync::relaxed);
        UM_ASSERT_MSG(was >= 1, "share of a dead reference (R1)");
        stop_at_the_mark(was);
    }
    // enter - one more, by somebody who pins the storage from outside. True: it was the first.
    bool enter() noexcept {
        const uint32_t was = n.fetch_add(1, sync::relaxed);
        stop_at_the_mark(was);
        return was == 0;
    }
    // drop - one less. True: it was the last (R2: acq_rel orders all that came before it).
    [[nodiscard]] bool drop() noexcept {
        const uint32_t was = n.fetch_sub(1, sync::acq_rel);
        UM_ASSERT_MSG(was >= 1, "release of a dead reference (R1)");
        if (was >= kSaturated) {
            n.store(kParked, sync::relaxed);  // R5: stuck, leaked on purpose
            return false;
        }
        return was == 1;
    }
    // alone - acquire pairs with drop(): whoever was here has finished with what we may now write.
    [[nodiscard]] bool alone() const noexcept { return n.load(sync::acquire) == 1; }
    // ask_zero - before the asker's own drop, whose release half publishes it (R6). The same value
    // from anyone: no race.
    void ask_zero() noexcept { zero.store(1, sync::relaxed); }
    // take_zero - for the one who is alone: was it asked for? Asked once, told once.
    [[nodiscard]] bool take_zero() noexcept {
        if (zero.load(sync::relaxed) == 0) return false;
        zero.store(0, sync::relaxed);
        return true;
    }
    [[nodiscard]] uint64_t outstanding() const noexcept {
        const uint32_t count = n.load(sync::relaxed);
        return count >= kSaturated ? kStuckCount : count;
    }

  private:
    void stop_at_the_mark(uint32_t was) noexcept {
        if (was < kSaturated - 1) return;
        if (was == kSaturated - 1) note_stuck();
        n.store(kParked, sync::relaxed);
    }
};

// MembersOf - the join family over a CountOf in the control. Which of several schemes this is does
// not show: a received packet's group is counted beside its cluster, and pins its header, in all.
template <class Sync>
struct MembersOf {
    using Group = CountOf<Sync>;

    template <class V>
    static int join_group(Group& group, V& view, bool& first) noexcept {
        view = 1;
        first = group.enter();
        return 0;
    }
    template <class V>
    static int share_group(Group& group, V& copy) noexcept {
        group.take();
        copy = 1;
        return 0;
    }
    // No look whether we are alone first, unlike a release: the pinning owner may join meanwhile.
    template <class V, class Last>
    static void leave_group(Group& group, V& view, bool zero, const Last& last) noexcept {
        view = 0;
        if (zero) group.ask_zero();
        if (group.drop()) last(group.take_zero());
    }
};

}  // namespace umbuf::ref
