// SPDX-License-Identifier: BSD-2-Clause
// labels.cc - of text that somebody else wrote.
#include "app/umstat/labels.h"

#include <algorithm>
#include <charconv>
#include <cctype>

namespace umbuf::umstat {

std::vector<std::pair<std::string, std::string>> labels_of(const stat::Number& number) {
    std::vector<std::pair<std::string, std::string>> all;
    const std::string& text = number.labels;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(',', at), text.size());
        const size_t is = text.find('=', at);
        if (is < end) {
            std::string key = text.substr(at, is - at);
            const bool there = std::any_of(all.begin(), all.end(), [&](const auto& one) { return one.first == key; });
            if (!key.empty() && !there) all.emplace_back(std::move(key), text.substr(is + 1, end - is - 1));
        }
        at = end + 1;
    }
    return all;
}

const char* kind_name(stat::Kind kind) noexcept {
    switch (kind) {
    case stat::Kind::counter: return "counter";
    case stat::Kind::gauge: return "gauge";
    case stat::Kind::peak: return "peak";
    case stat::Kind::limit: return "limit";
    case stat::Kind::histogram: return "histogram";
    }
    return "?";
}

uint64_t as_number(const std::string& label, uint64_t otherwise) noexcept {
    uint64_t value = 0;
    const char* const end = label.data() + label.size();
    const auto [stopped, error] = std::from_chars(label.data(), end, value);
    return error == std::errc{} && stopped == end ? value : otherwise;
}

bool in_order(const std::string& a, const std::string& b) noexcept {
    const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
    const auto run = [&](const std::string& s, size_t at) {
        size_t end = at;
        while (end < s.size() && digit(s[end])) ++end;
        return end;
    };
    size_t i = 0, j = 0;
    while (i < a.size() && j < b.size()) {
        if (!digit(a[i]) || !digit(b[j])) {
            if (a[i] != b[j]) return a[i] < b[j];
            ++i, ++j;
            continue;
        }
        const uint64_t x = as_number(a.substr(i, run(a, i) - i), UINT64_MAX), y = as_number(b.substr(j, run(b, j) - j), UINT64_MAX);
        if (x != y) return x < y;
        i = run(a, i), j = run(b, j);
    }
    return a.size() - i < b.size() - j;
}

}  // namespace umbuf::umstat
