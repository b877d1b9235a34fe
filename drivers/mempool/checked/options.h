// SPDX-License-Identifier: BSD-2-Clause
// options.h - what the environment says about checked pools.
//
//      UM_CHECKED              abort (default): report and abort. count: report and go on.
//      UM_CHECKED_QUARANTINE   how many puts an object is meant to wait for; default: a quarter of
//                              the pool. More than the pool has is the whole pool.
//      UM_CHECKED_SCAN         how many of the newest waiting objects each put call looks at;
//                              default 64, 0: none. More than the quarantine is the quarantine.
//
// The environment, because the program is one that knows nothing of us. Read once per pool, when
// the pool is made.
#pragma once
#include <cstdint>

namespace umbuf::checked {

struct Options {
    bool abort = true;
    uint32_t quarantine = 0;  // objects
    uint32_t scan = 64;       // objects, at most quarantine
};

// read_options - for a pool of n objects. False: a value makes no sense; standard error says which
// one, and what was expected. Control thread.
[[nodiscard]] bool read_options(uint32_t n, Options& options) noexcept;

}  // namespace umbuf::checked
