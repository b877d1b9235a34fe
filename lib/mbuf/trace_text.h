// SPDX-License-Identifier: BSD-2-Clause
// trace_text.h - events of a reference trace as text for people: of this process, or out of a file.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lib/mbuf/trace.h"
#include "lib/mbuf/trace_slot.h"

namespace umbuf::trace {

// Teller - what the events alone do not say: the names of callers, and how fast time went.
struct Teller {
    std::string (*symbol)(const void* arg, const void* caller);
    const void* arg;
    uint64_t tsc_hz;
};

[[nodiscard]] std::string headline(const State& now, const char* scheme);
// show - those that the filter wants, in order, and what is still held behind them.
[[nodiscard]] std::string show(const std::vector<Event>& events, const Filter& filter, const Teller& teller);

}  // namespace umbuf::trace
