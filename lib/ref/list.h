// SPDX-License-Identifier: BSD-2-Clause
// list.h - no count at all: the views of a storage are a ring, under a lock. OpenBSD's way until 2026
// (uipc_mbuf.c r1.302: m_ext.ext_nextref, ext_prevref and one mutex for the whole machine).
//
// Kept from there: the first share takes no lock, because the source is still alone; a release first
// looks without the lock whether it is alone; each share and release writes its neighbours' mbufs.
// Changed, so that it keeps the contract (docs/refcount.md tells what the original did):
//   - a zero request goes to the control, not into the neighbours' flags, which their owners change
//     without a lock (the holes Z1 and Z2);
//   - the links are 32 bits: the mbuf has eight bytes for a scheme, not sixteen. Links turns them
//     into views.
//
// A view that was once shared and is alone again is linked to itself.
#pragma once
#include <array>
#include <cstdint>
#include <mutex>

#include "lib/base/check.h"
#include "lib/ref/scheme.h"

namespace umbuf::ref {

// OneLock - for all storage there is.
struct OneLock {
    static constexpr const char* kName = "list";
    static sync::SpinLock& of(const void*) noexcept {
        static sync::SpinLock lock;
        return lock;
    }
};
// StripedLock - one of 64, by address.
struct StripedLock {
    static constexpr const char* kName = "list-striped";
    struct alignas(64) Line {
        sync::SpinLock lock;
    };
    static sync::SpinLock& of(const void* control) noexcept {
        static std::array<Line, 64> lines;
        const auto address = reinterpret_cast<uintptr_t>(control) >> 6;  // controls are lines
        return lines[(address ^ (address >> 6) ^ (address >> 12)) % lines.size()].lock;
    }
};

template <class Sync>
struct ListView {  // [l] both; read without the lock only to ask whether we are alone
    typename Sync::template atomic<uint32_t> next{0};
    typename Sync::template atomic<uint32_t> prev{0};
};

// Links: uint32_t of(const ListView&), never 0, and ListView& at(uint32_t).
template <class Lock, class Links, class Sync>
struct ListOf {
    static constexpr const char* kName = Lock::kName;

    struct Control {
        typename Sync::template atomic<uint32_t> zero{0};  // [a]
        typename Sync::template atomic<uint32_t> head{0};  // [l] a member of the joined group, or 0
    };
    using View = ListView<Sync>;
    using Merge = NoMerge;

    static int share(Control& control, View& source, View& copy, Merge* merge) noexcept {
        if (source.next.load(sync::relaxed) != 0 && !alone(source))
            return share_member(control, source, copy, merge);
        // Alone: nobody else can reach either of the two.
        link(source, copy);
        link(copy, source);
        return 0;
    }
    static int share_member(Control& control, View& source, View& copy, Merge*) noexcept {
        std::lock_guard held(Lock::of(&control));
        insert(source, copy);
        return 0;
    }

    template <class Last>
    static void release(Control& control, View& view, bool zero, Merge*, const Last& last) noexcept {
        if (!alone(view)) {
            std::lock_guard held(Lock::of(&control));
            if (zero) control.zero.store(1, sync::relaxed);
            if (unlink(view)) return;
        } else if (zero) {
            control.zero.store(1, sync::relaxed);
        }
        clear(view);
        last(control, take_zero(control));
    }
    template <class Last>
    static void detach(Control& control, View& view, bool zero, Merge* merge, const Last& last) noexcept {
        release(control, view, zero, merge, last);
    }
    static Alone exclusive(Control& control, View& view, Merge*) noexcept {
        if (view.next.load(sync::relaxed) == 0) return Alone::yes;
        if (!alone(view)) return Alone::no;
        clear(view);
        return take_zero(control) ? Alone::yes_zero : Alone::yes;
    }

    static int join(Control& control, View& view, bool& first) noexcept {
        std::lock_guard held(Lock::of(&control));
        const uint32_t head = control.head.load(sync::relaxed);
        first = head == 0;
        if (first) {
            link(view, view);
            control.head.store(Links::of(view), sync::relaxed);
        } else {
            insert(Links::at(head), view);
        }
        return 0;
    }
    template <class Last>
    static void leave(Control& control, View& view, bool zero, Merge*, const Last& last) noexcept {
        bool wanted = false;
        {
            std::lock_guard held(Lock::of(&control));
            if (zero) control.zero.store(1, sync::relaxed);
            const uint32_t next = view.next.load(sync::relaxed);
            const bool others = unlink(view);
            if (control.head.load(sync::relaxed) == Links::of(view) || !others)
                control.head.store(others ? next : 0, sync::relaxed);
            if (others) return;
            clear(view);
            wanted = take_zero(control);
        }
        last(control, wanted);
    }
    static bool sole_member(const Control&, View& view, Merge*) noexcept { return alone(view); }

    // A ring has no number of its own: it is walked, and only while all is quiet.
    static constexpr bool kAccountWalks = true;
    static Account account(const Control& control, const View& view) noexcept {
        uint64_t n = 0;
        if (const uint32_t first = view.next.load(sync::relaxed); first != 0) {
            uint32_t at = first;
            do {
                at = Links::at(at).next.load(sync::relaxed);
                ++n;
            } while (at != first && n < UINT32_MAX);
        }
        return {&control, n != 0 ? 1U : 0U, n};
    }
    static Account account_member(const Control& control, const View& view) noexcept {
        return account(control, view);
    }

  private:
    // Acquire pairs with the release store of whoever unlinked himself from us (R2).
    static bool alone(const View& view) noexcept { return view.next.load(sync::acquire) == Links::of(view); }
    // `next` last: once it says that a view is alone, its holder frees the storage without a lock, and
    // the mbuf with the links in it may serve somebody else.
    static void link(View& view, View& next) noexcept {
        next.prev.store(Links::of(view), sync::relaxed);
        view.next.store(Links::of(next), sync::release);
    }
    static void insert(View& after, View& view) noexcept {
        View& next = Links::at(after.next.load(sync::relaxed));
        UM_ASSERT_MSG(next.prev.load(sync::relaxed) == Links::of(after), "share of a dead reference: its ring is torn (R1)");
        link(view, next);
        link(after, view);
    }
    // unlink - false: there was nobody else.
    static bool unlink(View& view) noexcept {
        const uint32_t next = view.next.load(sync::relaxed);
        const uint32_t prev = view.prev.load(sync::relaxed);
        UM_ASSERT_MSG(next != 0 && prev != 0, "release of a dead reference (R1)");
        if (next == Links::of(view)) return false;
        UM_ASSERT_MSG(Links::at(next).prev.load(sync::relaxed) == Links::of(view), "a ring is torn (R1)");
        link(Links::at(prev), Links::at(next));
        clear(view);
        return true;
    }
    static void clear(View& view) noexcept {
        view.next.store(0, sync::relaxed);
        view.prev.store(0, sync::relaxed);
    }
    static bool take_zero(Control& control) noexcept {
        if (control.zero.load(sync::relaxed) == 0) return false;
        control.zero.store(0, sync::relaxed);
        return true;
    }
};

template <class Links, class Sync = sync::Real>
using List = ListOf<OneLock, Links, Sync>;
template <class Links, class Sync = sync::Real>
using ListStriped = ListOf<StripedLock, Links, Sync>;

}  // namespace umbuf::ref
