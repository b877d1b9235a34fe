// SPDX-License-Identifier: BSD-2-Clause
// interval.h - what happened between two looks.
#pragma once
#include "lib/stat/reader.h"

namespace umbuf::umstat {

// interval - `now`, whose counters and histograms are how far they went since `before`; the rest is as
// it is now. A number that was not there before, or another program's, went from 0.
[[nodiscard]] stat::Sample interval(const stat::Sample& before, stat::Sample now);
// seconds_between - 0 if the clock was set back.
[[nodiscard]] double seconds_between(const stat::Sample& before, const stat::Sample& now) noexcept;
// per_second - n things in so many seconds; in none: 0.
[[nodiscard]] uint64_t per_second(uint64_t n, double seconds) noexcept;

}  // namespace umbuf::umstat
