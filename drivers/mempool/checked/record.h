// SPDX-License-Identifier: BSD-2-Clause
// record.h - what is known about one object. Beside the pool, where an overrun does not reach it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "drivers/mempool/checked/layout.h"

namespace umbuf::checked {

inline constexpr int kFrames = 6;

// Caller - who called put: taken once per call, so once per burst.
struct Caller {
    uint64_t tsc;
    uint32_t lcore;         // LCORE_ID_ANY: a thread that EAL does not know
    int32_t frames;
    void* frame[kFrames];   // innermost first: the code that put, then its callers

    // here - of the function that calls this one. Costs the unwinding of kFrames frames.
    [[gnu::noinline]] static Caller here() noexcept;
};

struct Record {
    std::byte* object;              // [I] once the pool is open
    uint64_t generation;            // how often it was given out
    bool home;                      // it is in the handler
    Caller put_by;                  // frames 0: never put but by DPDK, when the pool was filled
    std::byte watched[kWatched];    // the first bytes, as they were put
};

}  // namespace umbuf::checked
