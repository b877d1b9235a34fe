// SPDX-License-Identifier: BSD-2-Clause
// counted.h - the schemes once more, over atomics that count themselves: how many locked instructions
// does an operation take, and how often was the last one on that line another lcore's?
//
// For counting only, never for timing. Sizes are those of the real atomics, so nothing else changes;
// who wrote a line last is kept in a table beside, by address.
#pragma once
#include <array>
#include <cstdint>

#include <rte_lcore.h>

#include "lib/base/sync.h"
#include "lib/mbuf/refs.h"

namespace umbuf::bench {

struct Tally {
    uint64_t rmw = 0, handovers = 0;
};
inline constinit thread_local Tally tally;  // this lcore's
inline std::array<sync::atomic<uint8_t>, 4096> last_writer;

inline void note_rmw(const void* word) noexcept {
    ++tally.rmw;
    const auto line = reinterpret_cast<uintptr_t>(word) >> 6;
    auto& last = last_writer[(line ^ (line >> 12)) % last_writer.size()];
    const auto me = static_cast<uint8_t>(rte_lcore_id() + 1);
    const uint8_t was = last.load(sync::relaxed);
    tally.handovers += was != me && was != 0;
    last.store(me, sync::relaxed);
}

struct Counting {
    template <class T>
    class atomic {
      public:
        atomic() = default;
        explicit constexpr atomic(T v) : a_(v) {}
        T load(sync::memory_order o) const noexcept { return a_.load(o); }
        void store(T v, sync::memory_order o) noexcept { a_.store(v, o); }
        T fetch_add(T v, sync::memory_order o) noexcept { return note_rmw(this), a_.fetch_add(v, o); }
        T fetch_sub(T v, sync::memory_order o) noexcept { return note_rmw(this), a_.fetch_sub(v, o); }
        T fetch_and(T v, sync::memory_order o) noexcept { return note_rmw(this), a_.fetch_and(v, o); }
        T fetch_or(T v, sync::memory_order o) noexcept { return note_rmw(this), a_.fetch_or(v, o); }

      private:
        sync::atomic<T> a_{};
    };
};

// counted - the scheme of that name over Counting; null: there is none.
[[nodiscard]] const RefOps* counted(const std::string& name);

}  // namespace umbuf::bench
