// SPDX-License-Identifier: BSD-2-Clause
// problems.h - what is wrong with a file, all of it, each at its place.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace umbuf::fwd {

// Place - in a file; the first line and column are 1. Line 0: the file as a whole.
struct Place {
    uint32_t line = 0, column = 0;
    auto operator<=>(const Place&) const = default;
};

class Problems {
  public:
    explicit Problems(std::string file) : file_(std::move(file)) {}
    // add - one sentence, or part of one, without the file and the line. Whatever in it could be a key is
    // left out (without_secrets).
    void add(Place at, std::string_view text);
    [[nodiscard]] bool none() const noexcept { return found_.empty(); }
    // lines - "FILE:LINE: text", in the order of the file.
    [[nodiscard]] std::vector<std::string> lines() const;

  private:
    struct Problem {
        Place at;
        std::string text;
    };
    const std::string file_;
    std::vector<Problem> found_;
};

// without_secrets - 16 or more hexadecimal digits, also with blanks between them, or as bytes with colons, may be
// somebody's key, wherever it was written by mistake: they become "...".
[[nodiscard]] std::string without_secrets(std::string_view text);

}  // namespace umbuf::fwd
