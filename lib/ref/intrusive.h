// SPDX-License-Identifier: BSD-2-Clause
// intrusive.h - one 32-bit count in the storage's own control line, switched on at the first share.
//
// The idea of a free that executes no test until the first share is illumos's dblk; the count beside
// the cluster is DragonFly's.
#pragma once
#include <cstdint>

#include "lib/ref/count.h"

namespace umbuf::ref {

template <class Sync>
struct IntrusiveOf {
    static constexpr const char* kName = "intrusive";
    using Control = CountOf<Sync>;
    struct View {
        uint64_t counted = 0;  // [o] 1: this view is one of the count
    };
    using Merge = NoMerge;

    static int share(Control& control, View& source, View& copy, Merge*) noexcept {
        if (source.counted == 0) {
            // Alone, so a plain store will do. The copy reaches another thread only through some
            // queue, and the queue orders this store before it.
            control.n.store(2, sync::relaxed);
            source.counted = 1;
        } else {
            control.take();
        }
        copy.counted = 1;
        return 0;
    }

    template <class Last>
    static void release(Control& control, View& view, bool zero, Merge*, const Last& last) noexcept {
        view.counted = 0;
        if (zero) control.ask_zero();
        // Alone again: no locked instruction. The acquire load pairs with the release half of the
        // others' drop, so that their accesses happen before our free (R2).
        if (!control.alone() && !control.drop()) return;
        control.n.store(0, sync::relaxed);  // R4
        last(control, control.take_zero());
    }
    template <class Last>
    static void detach(Control& control, View& view, bool zero, Merge* merge, const Last& last) noexcept {
        release(control, view, zero, merge, last);
    }

    static Alone exclusive(Control& control, View& view, Merge*) noexcept {
        if (view.counted == 0) return Alone::yes;
        if (!control.alone()) return Alone::no;
        control.n.store(0, sync::relaxed);
        view.counted = 0;  // unshared again: the next free looks at nothing
        return control.take_zero() ? Alone::yes_zero : Alone::yes;
    }

    static int join(Control& control, View& view, bool& first) noexcept {
        return MembersOf<Sync>::join_group(control, view.counted, first);
    }
    static int share_member(Control& control, View&, View& copy, Merge*) noexcept {
        return MembersOf<Sync>::share_group(control, copy.counted);
    }
    template <class Last>
    static void leave(Control& control, View& view, bool zero, Merge*, const Last& last) noexcept {
        MembersOf<Sync>::leave_group(control, view.counted, zero, [&](bool z) { last(control, z); });
    }
    static bool sole_member(const Control& control, View&, Merge*) noexcept { return control.alone(); }

    static Account account(const Control& control, const View& view) noexcept {
        return {&control, view.counted, control.outstanding()};
    }
    static Account account_member(const Control& control, const View& view) noexcept {
        return account(control, view);
    }
};
using Intrusive = IntrusiveOf<sync::Real>;

}  // namespace umbuf::ref
