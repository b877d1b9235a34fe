// SPDX-License-Identifier: BSD-2-Clause
// problems.cc - kept, sorted, printed.
#include "app/umfwd/conf/problems.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

namespace umbuf::fwd {

namespace {

bool is_digit(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

// end_of_run - of digits, with a blank or a colon between some.
size_t end_of_run(std::string_view text, size_t at) {
    for (; at < text.size(); ++at) {
        const bool between = (text[at] == ' ' || text[at] == ':') && at + 1 < text.size() && is_digit(text[at + 1]);
        if (!is_digit(text[at]) && !between) break;
    }
    return at;
}

// may_be_key - an IPv6 address has colons, too, but not between single bytes.
bool may_be_key(std::string_view run) {
    constexpr size_t kLikely = 16;
    const auto digits = static_cast<size_t>(std::count_if(run.begin(), run.end(), is_digit));
    if (run.find(':') == std::string_view::npos) return digits >= kLikely;
    const auto bytes = static_cast<size_t>(std::count(run.begin(), run.end(), ':')) + 1;
    return digits >= kLikely && digits <= 2 * bytes;
}

}  // namespace

std::string without_secrets(std::string_view text) {
    std::string out;
    for (size_t at = 0; at < text.size();) {
        const size_t end = is_digit(text[at]) ? end_of_run(text, at) : at + 1;
        const std::string_view part = text.substr(at, end - at);
        out += may_be_key(part) ? "..." : part;
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
