// SPDX-License-Identifier: BSD-2-Clause
// proxy.h - a count that is made when it is needed: the first share takes a proxy object from a pool,
// and all views of the storage point to it. OpenBSD since 2026.
//
// Two variants, told apart by Plus:
//   proxy   as the change was first shown: the count starts at 1 and is taken like any other; every
//           release is a locked instruction, the last included; once proxied, a view stays so, also
//           when it is alone again. A copy and two frees cost three locked instructions.
//   proxy+  the same object, better used: it starts at 2, the last release is a load, and a view that
//           finds itself alone gives the object back. One locked instruction.
// In both, the first share can fail, because it allocates.
#pragma once
#include <cerrno>
#include <cstdint>

#include "lib/base/check.h"
#include "lib/ref/count.h"

namespace umbuf::ref {

// The object. `word` is what a pool's debug patterns land on when somebody keeps one too long.
template <class Sync>
struct ProxyObject {
    static constexpr uint64_t kAlive = 0x756d7072786f6b79;  // "umprxoky"
    static constexpr uint64_t kDead = 0x756d707278646561;
    sync::plain<uint64_t> word = kDead;  // [I] kAlive between get and put
    CountOf<Sync> count;                 // [a]
};

// Pool: Object* get() or null, void put(Object*). Never waits.
template <bool Plus, class Pool, class Sync>
struct ProxyOf {
    static constexpr const char* kName = Plus ? "proxy+" : "proxy";
    using Object = ProxyObject<Sync>;
    using Control = CountOf<Sync>;  // for joined groups only: they have a line of their own already
    struct View {
        Object* proxy = nullptr;  // [o]
    };
    using Merge = NoMerge;

    static int share(Control&, View& source, View& copy, Merge*) noexcept {
        if (source.proxy == nullptr) {
            Object* fresh = Pool::get();
            if (fresh == nullptr) return ENOBUFS;
            fresh->word = Object::kAlive;
            fresh->count.zero.store(0, sync::relaxed);
            // The source is alone, so a plain store would do for both views (proxy+).
            fresh->count.n.store(Plus ? 2 : 1, sync::relaxed);
            source.proxy = fresh;
            if constexpr (!Plus) fresh->count.take();
        } else {
            check(source.proxy);
            source.proxy->count.take();
        }
        copy.proxy = source.proxy;
        return 0;
    }

    template <class Last>
    static void release(Control& control, View& view, bool zero, Merge*, const Last& last) noexcept {
        Object* proxy = view.proxy;
        check(proxy);
        view.proxy = nullptr;
        if (zero) proxy->count.ask_zero();
        if (!(Plus && proxy->count.alone()) && !proxy->count.drop()) return;
        last(control, retire(proxy));
    }
    template <class Last>
    static void detach(Control& control, View& view, bool zero, Merge* merge, const Last& last) noexcept {
        release(control, view, zero, merge, last);
    }
    static Alone exclusive(Control&, View& view, Merge*) noexcept {
        if (view.proxy == nullptr) return Alone::yes;
        check(view.proxy);
        if (!view.proxy->count.alone()) return Alone::no;
        if constexpr (!Plus) return view.proxy->count.take_zero() ? Alone::yes_zero : Alone::yes;
        const bool zero = retire(view.proxy);
        view.proxy = nullptr;
        return zero ? Alone::yes_zero : Alone::yes;
    }

    static int join(Control& control, View& view, bool& first) noexcept {
        uintptr_t mark = 0;
        const int error = MembersOf<Sync>::join_group(control, mark, first);
        view.proxy = member();
        return error;
    }
    static int share_member(Control& control, View&, View& copy, Merge*) noexcept {
        uintptr_t mark = 0;
        const int error = MembersOf<Sync>::share_group(control, mark);
        copy.proxy = member();
        return error;
    }
    template <class Last>
    static void leave(Control& control, View& view, bool zero, Merge*, const Last& last) noexcept {
        uintptr_t mark = 0;
        view.proxy = nullptr;
        MembersOf<Sync>::leave_group(control, mark, zero, [&](bool z) { last(control, z); });
    }
    static bool sole_member(const Control& control, View&, Merge*) noexcept { return control.alone(); }

    static Account account(const Control&, const View& view) noexcept {
        return {view.proxy, 1, view.proxy->count.outstanding()};
    }
    static Account account_member(const Control& control, const View&) noexcept {
        return {&control, 1, control.outstanding()};
    }

  private:
    // A member needs no object, but its bits must not be 0.
    static Object* member() noexcept { return reinterpret_cast<Object*>(uintptr_t{1}); }
    static void check([[maybe_unused]] const Object* proxy) noexcept {
        UM_ASSERT_MSG(proxy->word == Object::kAlive,
                      "proxy %p is not alive (its first word is %#llx): this reference was dropped before",
                      static_cast<const void*>(proxy), static_cast<unsigned long long>(proxy->word));
    }
    // retire - nobody else has it: back to its pool. Was zeroing asked for?
    static bool retire(Object* proxy) noexcept {
        const bool zero = proxy->count.take_zero();
        proxy->count.n.store(0, sync::relaxed);
        proxy->word = Object::kDead;
        Pool::put(proxy);
        return zero;
    }
};

template <class Pool, class Sync = sync::Real>
using Proxy = ProxyOf<false, Pool, Sync>;
template <class Pool, class Sync = sync::Real>
using ProxyPlus = ProxyOf<true, Pool, Sync>;

}  // namespace umbuf::ref
