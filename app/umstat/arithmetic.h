// SPDX-License-Identifier: BSD-2-Clause
// arithmetic.h - sums and shares of numbers that were sampled while they changed.
//
// A1  Nothing is ever below 0, a part never above its whole, a share never above 100 %. Two cells are
//     read one after the other, so a part may have been read after its whole had shrunk; and whoever
//     died may have left anything.
// A2  Nothing divides by 0, and nothing is multiplied past 2^64 (OpenBSD's netstat -m did both).
#pragma once
#include <algorithm>
#include <cstdint>

namespace umbuf::umstat {

// plus, times - stay at the largest number there is.
[[nodiscard]] constexpr uint64_t plus(uint64_t a, uint64_t b) noexcept { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }
[[nodiscard]] constexpr uint64_t times(uint64_t a, uint64_t b) noexcept {
    return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}
[[nodiscard]] constexpr uint64_t minus(uint64_t a, uint64_t b) noexcept { return a < b ? 0 : a - b; }

// percent - 0 to 100, rounded down. Of nothing: 0.
[[nodiscard]] constexpr unsigned percent(uint64_t part, uint64_t whole) noexcept {
    if (whole == 0) return 0;
    if (part >= whole) return 100;
    if (whole <= UINT64_MAX / 100) return static_cast<unsigned>(part * 100 / whole);
    return static_cast<unsigned>(std::min<uint64_t>(part / (whole / 100), 100));
}

// Use - of a store with a limit: current <= peak <= total (A1).
struct Use {
    uint64_t current = 0, peak = 0, total = 0;
    [[nodiscard]] constexpr uint64_t cached() const noexcept { return total - current; }
};
[[nodiscard]] constexpr Use use_of(uint64_t current, uint64_t peak, uint64_t total) noexcept {
    const uint64_t now = std::min(current, total);
    return {now, std::clamp(peak, now, total), total};
}
[[nodiscard]] constexpr Use operator+(const Use& a, const Use& b) noexcept {
    return {plus(a.current, b.current), plus(a.peak, b.peak), plus(a.total, b.total)};
}

// grown - how far a counter went. One that is less than it was has gone through 2^64 if it was near it,
// else was set back to 0 and counts anew.
[[nodiscard]] constexpr uint64_t grown(uint64_t before, uint64_t now) noexcept {
    if (now >= before || before >= UINT64_MAX / 2) return now - before;
    return now;
}

}  // namespace umbuf::umstat
