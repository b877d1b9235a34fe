// SPDX-License-Identifier: BSD-2-Clause
// pick.cc - one walk over the numbers for each question: there are some hundreds of them.
#include "app/umstat/pick.h"

#include <algorithm>

#include "app/umstat/arithmetic.h"

namespace umbuf::umstat {
namespace {

bool fits(const stat::Number& number, std::string_view name, std::string_view label) {
    if (number.name != name) return false;
    const size_t is = label.find('=');
    return is == std::string_view::npos || number.label(label.substr(0, is)) == label.substr(is + 1);
}

}  // namespace

uint64_t sum(const stat::Sample& sample, std::string_view name, std::string_view label) {
    uint64_t total = 0;
    for (const stat::Number& number : sample.numbers)
        if (fits(number, name, label)) total = plus(total, number.value());
    return total;
}

uint64_t largest(const stat::Sample& sample, std::string_view name, std::string_view label) {
    uint64_t most = 0;
    for (const stat::Number& number : sample.numbers)
        if (fits(number, name, label)) most = std::max(most, number.value());
    return most;
}

bool has(const stat::Sample& sample, std::string_view name, std::string_view label) {
    return std::any_of(sample.numbers.begin(), sample.numbers.end(),
                       [&](const stat::Number& number) { return fits(number, name, label); });
}

Shares by_label(const stat::Sample& sample, std::string_view name, std::string_view key) {
    Shares shares;
    for (const stat::Number& number : sample.numbers) {
        if (number.name != name) continue;
        const std::string value = number.label(key);
        if (value.empty()) continue;
        const auto at = std::find_if(shares.begin(), shares.end(), [&](const auto& one) { return one.first == value; });
        if (at == shares.end()) shares.emplace_back(value, number.value());
        else at->second = plus(at->second, number.value());
    }
    return shares;
}

Slashed slashed(const Shares& shares) {
    if (shares.empty()) return {"0", ""};
    Slashed both;
    for (const auto& [name, n] : shares) {
        const char* between = both.names.empty() ? "" : "/";
        both.numbers += between + std::to_string(n);
        both.names += between + name;
    }
    return both;
}

}  // namespace umbuf::umstat
