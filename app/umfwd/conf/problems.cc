// SPDX-License-Identifier: BSD-2-Clause
// problems.cc - kept, sorted, printed.
#include "app/umfwd/conf/problems.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

namespace umbuf::fwd {

std::string without_secrets(std::string_view text) {
    constexpr size_t kLikely = 16;
    std::string out;
    for (size_t at = 0; at < text.size();) {
        size_t end = at;
        while (end < text.size() && std::isxdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
        out += end - at >= kLikely ? "..." : text.substr(at, end - at);
        if (end < text.size()) out += text[end++];
        at = end;
    }
    return out;
}

void Problems::add(Place at, std::string_view text) { found_.push_back({at, without_secrets(text)}); }

std::vector<std::string> Problems::lines() const {
    std::vector<Problem> sorted = found_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) { return a.at < b.at; });
    std::vector<std::string> lines;
    for (const Problem& p : sorted)
        lines.push_back(p.at.line == 0 ? fmt::format("{}: {}", file_, p.text) : fmt::format("{}:{}: {}", file_, p.at.line, p.text));
    return lines;
}

}  // namespace umbuf::fwd
