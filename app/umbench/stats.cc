// SPDX-License-Identifier: BSD-2-Clause
// stats.cc - median and median absolute deviation.
#include "app/umbench/stats.h"

#include <algorithm>
#include <cmath>

namespace umbuf::bench {

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double mad(const std::vector<double>& values) {
    const double middle = median(values);
    std::vector<double> distance;
    for (const double v : values) distance.push_back(std::abs(v - middle));
    return median(std::move(distance));
}

}  // namespace umbuf::bench
