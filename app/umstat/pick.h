// SPDX-License-Identifier: BSD-2-Clause
// pick.h - numbers of a sample by their names, added up.
//
// What is not there is 0: an older or newer forwarder, or one without that part, is shown as far as it is
// known. docs/statistics.md has all names.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/stat/reader.h"

namespace umbuf::umstat {

// sum - of all with this name, and this label if there is one ("reason=nic"). Stays at 2^64 - 1.
[[nodiscard]] uint64_t sum(const stat::Sample& sample, std::string_view name, std::string_view label = {});
// largest - of them.
[[nodiscard]] uint64_t largest(const stat::Sample& sample, std::string_view name, std::string_view label = {});
// has - is there one?
[[nodiscard]] bool has(const stat::Sample& sample, std::string_view name, std::string_view label = {});

using Shares = std::vector<std::pair<std::string, uint64_t>>;
// by_label - the sums for each value of a label, in the order in which the values are first met.
[[nodiscard]] Shares by_label(const stat::Sample& sample, std::string_view name, std::string_view key);

// Slashed - "1/2/3" and "nic/checksum/crypto", as netstat says several numbers on one line. Without any
// share: "0" and "".
struct Slashed {
    std::string numbers, names;
};
[[nodiscard]] Slashed slashed(const Shares& shares);

}  // namespace umbuf::umstat
