// SPDX-License-Identifier: BSD-2-Clause
// report.h - a fault in words, on standard error: what, where, which bytes, who had it last.
#pragma once
#include <cstdint>

#include "drivers/mempool/checked/checked.h"
#include "drivers/mempool/checked/layout.h"
#include "drivers/mempool/checked/record.h"

namespace umbuf::checked {

enum class Fault : uint8_t { double_put, stranger, unfit, late_write, header_write, overrun };

// What an object was being asked when its fault was found.
enum class Moment : uint8_t { put, get, scan };

// Finding - one fault. `expected` and `found` are the bytes from `offset` on, up to the end of what
// was compared.
struct Finding {
    static constexpr uint32_t kShown = 16;
    Fault fault;
    Moment moment;
    uint32_t offset = 0;  // of the first bad byte, from the start of the object
    uint32_t bad = 0;     // how many bytes differ
    uint32_t shown = 0;
    std::byte expected[kShown] = {}, found[kShown] = {};
};

// report - tell it. `record` is null for a stranger. The pool is the caller's for this while.
void report(const rte_mempool& pool, const Layout& layout, const void* object, const Record* record,
            uint32_t index, const Finding& finding) noexcept;

// report_end - one line about a pool that is given back: so it was checked, and this is what was seen.
void report_end(const rte_mempool& pool, const um_checked_counts& counts) noexcept;

}  // namespace umbuf::checked
