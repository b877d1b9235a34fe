// SPDX-License-Identifier: BSD-2-Clause
// nearest.cc - Levenshtein's distance, one row at a time.
#include "app/umfwd/nearest.h"

#include <algorithm>
#include <cstdint>

namespace umbuf::fwd {
namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
        }
    }
    return row.back();
}

}  // namespace

std::string nearest(const std::string& typed, const std::vector<std::string>& names) {
    std::string found;
    size_t least = SIZE_MAX;
    for (const std::string& name : names) {
        const size_t distance = edit_distance(typed, name);
        if (distance >= least) continue;
        least = distance;
        found = name;
    }
    return found;
}

}  // namespace umbuf::fwd
