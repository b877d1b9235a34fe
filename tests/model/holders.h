// SPDX-License-Identifier: BSD-2-Clause
// holders.h - what schemes need from above (lib/ref), made of relacy's atomics, and a storage under
// them with its holders. tests/unit/scheme_holders.h is the same for real threads.
//
// Everything belongs to one execution. What a scheme reaches by a static name (links, the pool, the
// lock) is found through a pointer that the execution's Storage sets.
#pragma once
#include "tests/model/model.h"

#include "lib/ref/intrusive.h"
#include "lib/ref/leader.h"
#include "lib/ref/list.h"
#include "lib/ref/native.h"
#include "lib/ref/proxy.h"
#include "lib/ref/weighted.h"

namespace umbuf::model {

inline constexpr uint32_t kViews = 4;

// ---- links: places in the array of views
struct Links {
    using View = ref::ListView<sync::Real>;
    static inline View* views = nullptr;
    static uint32_t of(const View& view) noexcept { return static_cast<uint32_t>(&view - views) + 1; }
    static View& at(uint32_t link) noexcept {
        RL_ASSERT(link >= 1 && link <= kViews);
        return views[link - 1];
    }
};

// ---- the pool: an object is given once, and poisoned when it is back, so that a late touch is seen
struct Pool {
    using Object = ref::ProxyObject<sync::Real>;
    static constexpr uint32_t kGone = 0x0d1e0000;
    struct Shelf {
        Object objects[3];
        unsigned given = 0, back = 0;
    };
    static inline Shelf* shelf = nullptr;
    static Object* get() noexcept { return shelf->given < 3 ? &shelf->objects[shelf->given++] : nullptr; }
    static void put(Object* proxy) noexcept {
        RL_ASSERT(proxy->count.n.load(sync::relaxed) == 0 && proxy->count.zero.load(sync::relaxed) == 0);
        proxy->word = kGone;
        proxy->count.n.store(kGone, sync::relaxed);
        ++shelf->back;
    }
    // balanced - all are back, and nobody has touched one since.
    static bool balanced() {
        for (unsigned i = 0; i < shelf->given; ++i) {
            const Object& proxy = shelf->objects[i];
            if (proxy.word != kGone || proxy.count.n.load(sync::relaxed) != kGone ||
                proxy.count.zero.load(sync::relaxed) != 0)
                return false;
        }
        return shelf->back == shelf->given;
    }
};

// ---- pins: the count on each view's mbuf, 1 for its user
struct Pins {
    template <class View>
    static void pin(View& view) noexcept;
    template <class View>
    static void unpin(View& view) noexcept;
    template <class View>
    static bool only_pin(View& view) noexcept;
};

using List = ref::List<Links>;
using ListStriped = ref::ListStriped<Links>;
using Proxy = ref::Proxy<Pool>;
using ProxyPlus = ref::ProxyPlus<Pool>;
using Leader = ref::Leader<Pins>;
using Intrusive = ref::Intrusive;
using Native = ref::Native;
using Weighted = ref::Weighted<>;
using WeightedNoMerge = ref::WeightedNoMerge<>;

// ---- what differs from scheme to scheme
template <class S>
inline constexpr bool kLeads = std::same_as<S, Leader>;
template <class S>
inline constexpr bool kRings = std::same_as<S, List> || std::same_as<S, ListStriped>;
template <class S>
inline constexpr bool kProxied = std::same_as<S, Proxy> || std::same_as<S, ProxyPlus>;

template <class View>
bool unshared(const View& view) {
    if constexpr (requires { view.counted; }) return view.counted == 0;
    else if constexpr (requires { view.weight; }) return view.weight == 0;
    else if constexpr (requires { view.proxy; }) return view.proxy == nullptr;
    else if constexpr (requires { view.word; }) return view.word.load(sync::relaxed) == 0;
    else return view.next.load(sync::relaxed) == 0;
}
template <class Control>
bool dead(const Control& control) {  // R4
    if constexpr (requires { control.word; }) return control.word.load(sync::relaxed) == 0;
    else if constexpr (requires { control.head; })
        return control.head.load(sync::relaxed) == 0 && control.zero.load(sync::relaxed) == 0;
    else return control.n.load(sync::relaxed) == 0 && control.zero.load(sync::relaxed) == 0;
}

struct NoGround {
    template <class View>
    explicit NoGround(View*) {}
};
template <class S>
struct Ground : NoGround {
    using NoGround::NoGround;
};
template <class S>
    requires kRings<S>
struct Ground<S> {
    explicit Ground(typename S::View* views) {
        Links::views = views;
        ref::OneLock::of(nullptr).borrow(mutex);
    }
    void striped(const void* control) { ref::StripedLock::of(control).borrow(mutex); }
    rl::mutex mutex;
};
template <class S>
    requires kProxied<S>
struct Ground<S> {
    explicit Ground(typename S::View*) { Pool::shelf = &shelf; }
    Pool::Shelf shelf;
};
template <class S>
    requires kLeads<S>
struct Ground<S> {
    explicit Ground(typename S::View*) {}
    sync::atomic<uint32_t> users[kViews];  // as DPDK's count on an mbuf
    sync::atomic<uint32_t> asked{0};       // the leader's own flag, in its mbuf
};

// Storage - under a control, with its holders' views, its bytes in plain memory, and who freed it.
// Thread i has view i. view[0] was there first (so it leads, under Leader).
template <class S>
struct Storage {
    using View = typename S::View;
    typename S::Control control;
    View view[kViews];
    Ground<S> ground{view};
    rl::var<int> touched[3];  // by holder
    rl::var<int> frees, zeroed;
    unsigned freer = ~0U;
    static inline Storage* now = nullptr;

    // start - n views, all made from view 0, which was never shared.
    void start(unsigned n) {
        reset();
        for (unsigned i = 1; i < n; ++i) share(0, i);
    }
    void reset() {
        now = this;
        ref::stuck = 0;
        for (auto& t : touched) t($) = 0;
        frees($) = 0;
        zeroed($) = 0;
        if constexpr (std::same_as<S, ListStriped>) ground.striped(&control);
        if constexpr (kLeads<S>)
            for (auto& u : ground.users) u.store(1, sync::relaxed);
    }
    void share(unsigned from, unsigned to, typename S::Merge* merge = nullptr) {
        RL_ASSERT(S::share(control, view[from], view[to], merge) == 0);
    }

    // freed - what a zone does with the storage: it must be alone with it (R2), and once (R7).
    void freed(typename S::Control& c, bool zero) {
        RL_ASSERT(&c == &control);
        frees($) = frees($) + 1;
        zeroed($) = zeroed($) + (zero ? 1 : 0);
        for (auto& t : touched) t($) = -1;
        freer = rl::thread_index();
    }
    auto last() {
        return [this](typename S::Control& c, bool zero) { freed(c, zero); };
    }
    // let_go - what an mbuf's free does. A view that was never shared takes the storage with it; a
    // leader goes when nobody pins its mbuf.
    void let_go(unsigned i, bool zero = false, typename S::Merge* merge = nullptr) {
        if constexpr (kLeads<S>) {
            if (zero && i == 0) ground.asked.store(1, sync::relaxed);
            if (ground.users[i].fetch_sub(1, sync::acq_rel) != 1) return;
            zero = i == 0 ? ground.asked.load(sync::relaxed) != 0 : zero;
        }
        end(i, zero, merge);
    }
    void end(unsigned i, bool zero, typename S::Merge* merge = nullptr) {
        if (unshared(view[i])) return freed(control, zero);
        S::release(control, view[i], zero, merge, last());
    }
    // alone - R3; zero: somebody who left had asked for zeroing (R6).
    bool alone(unsigned i, bool* zero = nullptr, typename S::Merge* merge = nullptr) {
        if (unshared(view[i])) return true;
        const ref::Alone a = S::exclusive(control, view[i], merge);
        if (zero != nullptr && a == ref::Alone::yes_zero) *zero = true;
        return a != ref::Alone::no;
    }
    // over - after all have gone: freed once, and everything is as it was before the first share.
    void over(int zeroings = 0) {
        RL_ASSERT(frees($) == 1 && zeroed($) == zeroings);
        clean();
    }
    void clean() {
        RL_ASSERT(dead(control));
        for (const View& v : view) {
            RL_ASSERT(unshared(v));
            if constexpr (kRings<S>) RL_ASSERT(v.prev.load(sync::relaxed) == 0);
        }
        if constexpr (kProxied<S>) RL_ASSERT(Pool::balanced());
        RL_ASSERT(ref::stuck == 0);
    }
};

template <class View>
void Pins::pin(View& view) noexcept {
    auto* storage = Storage<Leader>::now;
    storage->ground.users[&view - storage->view].fetch_add(1, sync::relaxed);
}
template <class View>
void Pins::unpin(View& view) noexcept {
    auto* storage = Storage<Leader>::now;
    storage->let_go(static_cast<unsigned>(&view - storage->view));
}
template <class View>
bool Pins::only_pin(View& view) noexcept {
    auto* storage = Storage<Leader>::now;
    return storage->ground.users[&view - storage->view].load(sync::acquire) == 1;
}

// Packet - a received packet's cluster, as lib/mbuf/ext.h keeps it: the header pins it from outside
// the group, and the group, while it has members, holds one pin more. A zero request waits until the
// last pin goes (lib/mbuf/ext.cc: unpin_packet).
template <class S>
struct Packet : Storage<S> {
    sync::atomic<uint32_t> pins{0};
    sync::atomic<uint32_t> pending{0};

    void start() {
        this->reset();
        pins.store(1, sync::relaxed);
    }
    void unpin() {
        if (pins.fetch_sub(1, sync::acq_rel) != 1) return;
        this->freed(this->control, pending.load(sync::relaxed) != 0);
    }
    void enter(unsigned i) {
        bool first = false;
        RL_ASSERT(S::join(this->control, this->view[i], first) == 0);
        if (first) pins.fetch_add(1, sync::relaxed);
    }
    void share_member(unsigned from, unsigned to) {
        RL_ASSERT(S::share_member(this->control, this->view[from], this->view[to], nullptr) == 0);
    }
    auto empty() {
        return [this](typename S::Control& c, bool zero) {
            RL_ASSERT(&c == &this->control);
            if (zero) pending.store(1, sync::relaxed);
            unpin();
        };
    }
    void leave(unsigned i, bool zero = false, typename S::Merge* merge = nullptr) {
        S::leave(this->control, this->view[i], zero, merge, empty());
    }
    // sole - may a copy's holder write? No header (pins 1), and no other copy.
    bool sole(unsigned i, typename S::Merge* merge = nullptr) {
        return pins.load(sync::acquire) == 1 && S::sole_member(this->control, this->view[i], merge);
    }
    void over(int zeroings = 0) {
        RL_ASSERT(pins.load(sync::relaxed) == 0);
        Storage<S>::over(zeroings);
    }
};

}  // namespace umbuf::model
