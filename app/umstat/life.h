// SPDX-License-Identifier: BSD-2-Clause
// life.h - how the forwarder is, in one line, and when.
#pragma once
#include <string>

#include "lib/stat/reader.h"

namespace umbuf::umstat {

// is_over - nothing will be counted there any more.
[[nodiscard]] bool is_over(stat::Life life) noexcept;

// life_line - "umfwd 0.1.0, pid 12, --file-prefix lab: died; ...", without a newline. Times are local.
[[nodiscard]] std::string life_line(const stat::Sample& sample);
// warning_lines - the same where the numbers are not those of a forwarder that runs; else empty. It goes
// before them, and says when and how it ended. More lines: numbers that are missing.
[[nodiscard]] std::string warning_lines(const stat::Sample& sample);

// clock_text - "2026-11-21 18:03:11"; span_text - "3.2 s", "12 min 5 s", "1 h 2 min", "3 days 4 h".
[[nodiscard]] std::string clock_text(uint64_t realtime_ns);
[[nodiscard]] std::string span_text(uint64_t ns);

}  // namespace umbuf::umstat
