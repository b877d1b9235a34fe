// SPDX-License-Identifier: BSD-2-Clause
// stats.h - numbers about a few repetitions that one disturbed repetition cannot spoil.
#pragma once
#include <vector>

namespace umbuf::bench {

[[nodiscard]] double median(std::vector<double> values);  // of none: 0
// mad - the median distance from the median: a spread that an outlier cannot move.
[[nodiscard]] double mad(const std::vector<double>& values);

}  // namespace umbuf::bench
