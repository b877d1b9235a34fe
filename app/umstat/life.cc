// SPDX-License-Identifier: BSD-2-Clause
// life.cc - from the header of the segment, and the clock.
#include "app/umstat/life.h"

#include <fmt/format.h>

#include <ctime>

#include "app/umstat/arithmetic.h"

namespace umbuf::umstat {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

std::string who(const stat::Sample& s) {
    const std::string program = s.program.empty() ? "a forwarder" : s.program;
    const std::string version = s.version.empty() ? "" : " " + s.version;
    const std::string prefix = s.prefix.empty() ? "" : ", --file-prefix " + s.prefix;
    return fmt::format("{}{}, pid {}{}", program, version, s.pid, prefix);
}

std::string how(const stat::Sample& s) {
    using stat::Life;
    const std::string last = clock_text(s.beat_ns), ago = span_text(minus(s.taken_ns, s.beat_ns));
    const std::string ran = span_text(minus(s.beat_ns, s.started_ns));
    switch (s.life) {
    case Life::starting: return fmt::format("starting, since {}", clock_text(s.started_ns));
    case Life::running: return fmt::format("running, since {}", clock_text(s.started_ns));
    case Life::stopped: return fmt::format("stopped: it is alive, and forwards nothing; up since {}", clock_text(s.started_ns));
    case Life::hung: return fmt::format("hung: it is there, and has given no sign of life since {} ({})", last, ago);
    case Life::ended: return fmt::format("ended in order at {}, {} ago, after {}", last, ago, ran);
    case Life::died:
        return fmt::format("died without an end; its last sign of life was at {}, {} ago, after {}", last, ago, ran);
    }
    return "is in no state that is known";
}

}  // namespace

bool is_over(stat::Life life) noexcept { return life == stat::Life::ended || life == stat::Life::died; }

std::string life_line(const stat::Sample& s) { return fmt::format("{}: {}", who(s), how(s)); }

std::string warning_lines(const stat::Sample& s) {
    std::string text;
    if (s.life != stat::Life::running) text += life_line(s) + "\n";
    if (s.unlisted > 0)
        text += fmt::format("{} groups of numbers found no place in the file, and are not shown\n", s.unlisted);
    return text;
}

std::string clock_text(uint64_t realtime_ns) {
    const auto seconds = static_cast<time_t>(realtime_ns / kSecond);  // at most 18446744073: the year 2554
    tm parts{};
    if (localtime_r(&seconds, &parts) == nullptr) return "?";
    char text[64];
    return std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) > 0 ? text : "?";
}

std::string span_text(uint64_t ns) {
    const uint64_t s = ns / kSecond;
    if (s < 60) return fmt::format("{}.{} s", s, ns % kSecond / (kSecond / 10));
    if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
    if (s < 86400) return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
    return fmt::format("{} days {} h", s / 86400, s % 86400 / 3600);
}

}  // namespace umbuf::umstat
