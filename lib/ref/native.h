// SPDX-License-Identifier: BSD-2-Clause
// native.h - DPDK's way to count: 16 bits, and a count of 1 is changed by a plain store
// (rte_mbuf.h: rte_mbuf_ext_refcnt_update).
//
// Two differences, both for safety. DPDK looks for the 1 with a relaxed load, which on a weakly
// ordered CPU lets the next user's writes overtake the last one's reads; here it is an acquire load,
// which costs x86 nothing. And DPDK's count wraps; here a share is refused before that.
#pragma once
#include <cerrno>
#include <cstdint>

#include "lib/base/check.h"
#include "lib/ref/count.h"

namespace umbuf::ref {

template <class Sync>
struct NativeOf {
    static constexpr const char* kName = "native";
    // A share beyond this many is refused (R5 has nothing to do here: 16 bits cannot leave half their
    // range to racing threads and still be of use). The room above is for threads that look at once.
    static constexpr uint16_t kMost = 65535 - 1024;

    struct Control {
        typename Sync::template atomic<uint16_t> n{0};     // [a] counted views
        typename Sync::template atomic<uint16_t> zero{0};  // [a]
    };
    struct View {
        uint64_t counted = 0;  // [o]
    };
    using Merge = NoMerge;

    static int share(Control& control, View& source, View& copy, Merge* merge) noexcept {
        if (source.counted == 0) {
            control.n.store(1, sync::relaxed);  // DPDK sets 1 when a buffer is attached first
            source.counted = 1;
        }
        return share_member(control, source, copy, merge);
    }
    static int share_member(Control& control, View&, View& copy, Merge*) noexcept {
        const uint16_t now = control.n.load(sync::relaxed);
        if (now >= kMost) return ENOBUFS;
        UM_ASSERT_MSG(now >= 1, "share of a dead reference (R1)");
        control.n.fetch_add(1, sync::acq_rel);
        copy.counted = 1;
        return 0;
    }

    template <class Last>
    static void release(Control& control, View& view, bool zero, Merge*, const Last& last) noexcept {
        view.counted = 0;
        if (zero) control.zero.store(1, sync::relaxed);
        if (control.n.load(sync::acquire) == 1) {
            control.n.store(0, sync::relaxed);
        } else if (!drop(control)) {
            return;
        }
        last(control, take_zero(control));
    }
    template <class Last>
    static void detach(Control& control, View& view, bool zero, Merge* merge, const Last& last) noexcept {
        release(control, view, zero, merge, last);
    }
    static Alone exclusive(Control& control, View& view, Merge*) noexcept {
        if (view.counted == 0) return Alone::yes;
        if (control.n.load(sync::acquire) != 1) return Alone::no;
        control.n.store(0, sync::relaxed);
        view.counted = 0;
        return take_zero(control) ? Alone::yes_zero : Alone::yes;
    }

    static int join(Control& control, View& view, bool& first) noexcept {
        if (control.n.load(sync::relaxed) >= kMost) return ENOBUFS;
        view.counted = 1;
        first = control.n.fetch_add(1, sync::relaxed) == 0;
        return 0;
    }
    template <class Last>
    static void leave(Control& control, View& view, bool zero, Merge*, const Last& last) noexcept {
        view.counted = 0;
        if (zero) control.zero.store(1, sync::relaxed);
        if (drop(control)) last(control, take_zero(control));
    }
    static bool sole_member(const Control& control, View&, Merge*) noexcept {
        return control.n.load(sync::acquire) == 1;
    }

    static Account account(const Control& control, const View& view) noexcept {
        return {&control, view.counted, control.n.load(sync::relaxed)};
    }
    static Account account_member(const Control& control, const View& view) noexcept {
        return account(control, view);
    }

  private:
    static bool drop(Control& control) noexcept {
        const uint16_t was = control.n.fetch_sub(1, sync::acq_rel);
        UM_ASSERT_MSG(was >= 1, "release of a dead reference (R1)");
        return was == 1;
    }
    static bool take_zero(Control& control) noexcept {
        if (control.zero.load(sync::relaxed) == 0) return false;
        control.zero.store(0, sync::relaxed);
        return true;
    }
};
using Native = NativeOf<sync::Real>;

}  // namespace umbuf::ref
