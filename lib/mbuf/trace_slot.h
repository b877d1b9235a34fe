// SPDX-License-Identifier: BSD-2-Clause
// trace_slot.h - one event of a reference trace, and the place in a ring where it is kept: for trace.cc.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "lib/base/sync.h"
#include "lib/mbuf/trace.h"

namespace umbuf::trace {

inline constexpr size_t kCallers = 7;

// An event as people see it.
struct Event {
    uint64_t number;  // T2
    uint64_t tsc;
    const void* storage;
    const void* m;
    const void* from;
    uint64_t weight, outstanding;  // outstanding 0: the scheme does not tell
    const char* scheme;
    Kind kind;
    uint16_t lcore;
    uint32_t thread;
    std::array<const void*, kCallers> callers;  // null behind the last
};

// Slot - the same in a ring. A seqlock for one writer: word 0 is the number, and 0 while the rest is
// written. Stores of the rest release and loads acquire, so whoever reads one word of a newer event
// then reads a number that is not the old one (T3). No fence, which ThreadSanitizer would not know.
struct Slot {
    std::array<sync::atomic<uint64_t>, 16> words;
};
static_assert(sizeof(Slot) == 128);

inline uint64_t bits(const void* p) noexcept { return reinterpret_cast<uintptr_t>(p); }
template <class T>
T* pointer(uint64_t word) noexcept {
    return reinterpret_cast<T*>(static_cast<uintptr_t>(word));
}

// put - by the one writer. Never waits.
inline void put(Slot& slot, const Event& e) noexcept {
    uint64_t words[16] = {e.number, e.tsc, bits(e.storage), bits(e.m), bits(e.from), e.weight, e.outstanding,
                          bits(e.scheme), uint64_t{e.thread} << 32 | uint64_t{e.lcore} << 8 | uint64_t(e.kind)};
    for (size_t i = 0; i < kCallers; ++i) words[9 + i] = bits(e.callers[i]);
    slot.words[0].store(0, sync::relaxed);
    for (size_t i = 1; i < 16; ++i) slot.words[i].store(words[i], sync::release);
    slot.words[0].store(words[0], sync::release);
}

// get - by anybody. False: it is empty, or was written meanwhile; e is then not to be looked at.
[[nodiscard]] inline bool get(const Slot& slot, Event& e) noexcept {
    uint64_t words[16];
    for (size_t i = 0; i < 16; ++i) words[i] = slot.words[i].load(sync::acquire);
    if (words[0] == 0 || slot.words[0].load(sync::relaxed) != words[0]) return false;
    e = {words[0], words[1], pointer<void>(words[2]), pointer<void>(words[3]), pointer<void>(words[4]),
         words[5], words[6], pointer<char>(words[7]), static_cast<Kind>(words[8] & 0xff),
         static_cast<uint16_t>(words[8] >> 8), static_cast<uint32_t>(words[8] >> 32), {}};
    for (size_t i = 0; i < kCallers; ++i) e.callers[i] = pointer<void>(words[9 + i]);
    return true;
}

}  // namespace umbuf::trace
