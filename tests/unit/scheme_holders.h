// SPDX-License-Identifier: BSD-2-Clause
// scheme_holders.h - what schemes need from above (lib/ref), made of plain memory: for tests of
// schemes alone. The models have their own, of relacy's atomics (tests/model/holders.h).
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "lib/ref/intrusive.h"
#include "lib/ref/leader.h"
#include "lib/ref/list.h"
#include "lib/ref/native.h"
#include "lib/ref/proxy.h"
#include "lib/ref/weighted.h"

namespace umbuf::test {

// Views live here, so that 32 bits find them and each has its pins. Tests take them one by one.
inline constexpr size_t kArena = 80000;
struct Arena {
    alignas(64) std::array<uint64_t, kArena> views{};
    std::array<std::atomic<uint32_t>, kArena> pins{};  // as DPDK's count: 1 for the holder himself
    std::atomic<size_t> used{0};
    std::atomic<uint32_t> unpinned{0};  // leaders that went with their last follower
};
inline Arena arena;

template <class View>
inline size_t index_of(const View& view) noexcept {
    return static_cast<size_t>(reinterpret_cast<const uint64_t*>(&view) - arena.views.data());
}

struct ArenaLinks {
    using View = ref::ListView<sync::Real>;
    static uint32_t of(const View& view) noexcept { return static_cast<uint32_t>(index_of(view)) + 1; }
    static View& at(uint32_t link) noexcept { return *reinterpret_cast<View*>(&arena.views[link - 1]); }
};

// Proxies, as a zone gives them; empty when a test says so.
struct HeapPool {
    using Object = ref::ProxyObject<sync::Real>;
    static inline std::atomic<int> out{0};
    static inline bool empty = false;
    static Object* get() noexcept {
        if (empty) return nullptr;
        out.fetch_add(1);
        return new Object;
    }
    static void put(Object* proxy) noexcept {
        out.fetch_sub(1);
        delete proxy;
    }
};

// A leader whose pins are all gone is freed by the test that counts it (Holders::let_go).
struct ArenaPins {
    template <class View>
    static void pin(View& view) noexcept {
        arena.pins[index_of(view)].fetch_add(1, std::memory_order_relaxed);
    }
    template <class View>
    static void unpin(View& view) noexcept;
    template <class View>
    static bool only_pin(View& view) noexcept {
        return arena.pins[index_of(view)].load(std::memory_order_acquire) == 1;
    }
};

using AllSchemes =
    ::testing::Types<ref::List<ArenaLinks>, ref::ListStriped<ArenaLinks>, ref::Proxy<HeapPool>,
                     ref::ProxyPlus<HeapPool>, ref::Leader<ArenaPins>, ref::Intrusive, ref::Native,
                     ref::Weighted<>, ref::WeightedNoMerge<>>;

template <class S>
inline constexpr bool kLeads = std::same_as<S, ref::Leader<ArenaPins>>;

// Storage - under a control, with its frees counted, and its holders' views.
template <class S>
class Storage {
  public:
    using View = typename S::View;
    typename S::Control control{};
    std::atomic<uint32_t> frees{0}, zeroed{0};
    std::function<void(bool zero)> on_free;

    // fresh - a view that was never shared; of this storage, or about to be.
    static View& fresh() {
        const size_t i = arena.used.fetch_add(1) % kArena;
        arena.views[i] = 0;
        arena.pins[i].store(1, std::memory_order_relaxed);
        return *reinterpret_cast<View*>(&arena.views[i]);
    }
    int share(View& from, View& to) { return S::share(control, from, to, merge); }
    View& share(View& from) {
        View& to = fresh();
        EXPECT_EQ(share(from, to), 0);
        return to;
    }
    // let_go - what an mbuf's free does: an unshared view takes the storage with it; a leader goes
    // when nobody pins it.
    void let_go(View& view, bool zero = false) {
        if constexpr (kLeads<S>) {
            if (arena.pins[index_of(view)].load(std::memory_order_acquire) > 1) zero_asked_ = zero_asked_ || zero;
            if (arena.pins[index_of(view)].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        }
        end(view, zero);
    }
    void end(View& view, bool zero) {
        if (bits(view) == 0) return freed(control, zero);
        now = this;
        S::release(control, view, zero, merge, [this](typename S::Control& c, bool z) { freed(c, z); });
    }
    [[nodiscard]] bool alone(View& view, bool* zero = nullptr) {
        if (bits(view) == 0) return true;
        const ref::Alone a = S::exclusive(control, view, merge);
        if (zero != nullptr) *zero = a == ref::Alone::yes_zero;
        return a != ref::Alone::no;
    }
    bool join(View& view) {
        bool first = false;
        EXPECT_EQ(S::join(control, view, first), 0);
        return first;
    }
    void leave(View& view, bool zero = false) {
        S::leave(control, view, zero, merge, [this](typename S::Control& c, bool z) { freed(c, z); });
    }
    void freed(typename S::Control& c, bool zero) {
        EXPECT_EQ(&c, &control);
        frees.fetch_add(1, std::memory_order_relaxed);
        zeroed.fetch_add(zero ? 1 : 0, std::memory_order_relaxed);
        if (on_free) on_free(zero);
    }
    // Atomic, as neighbours in a ring may write their half meanwhile.
    static uint64_t bits(const View& view) {
        return std::atomic_ref(arena.views[index_of(view)]).load(std::memory_order_relaxed);
    }

    // take_request - a leader's own zero request, which its mbuf carries until the end.
    bool take_request() noexcept { return std::exchange(zero_asked_, false); }

    typename S::Merge* merge = nullptr;
    static inline thread_local Storage* now = nullptr;  // whose release is running: for unpin()

  private:
    bool zero_asked_ = false;
};

template <class View>
void ArenaPins::unpin(View& view) noexcept {
    if (arena.pins[index_of(view)].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    arena.unpinned.fetch_add(1);
    auto* storage = Storage<ref::Leader<ArenaPins>>::now;
    storage->end(view, storage->take_request());
}

}  // namespace umbuf::test
