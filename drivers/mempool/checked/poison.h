// SPDX-License-Identifier: BSD-2-Clause
// poison.h - bytes that say "nobody's": how they are laid, and how a change in them is found.
//
// Two words, so that a dump tells them apart: what a free object holds (FreeBSD's vm/uma_dbg.c fills
// freed items with the same one), and what lies behind every object. Byte i of a run is byte i mod 8
// of the word, in memory order.
#pragma once
#include <cstddef>
#include <cstdint>

namespace umbuf::checked {

inline constexpr uint64_t kPoison = 0xdeadc0dedeadc0de;
inline constexpr uint64_t kGuard = 0xfeedface0ff51de5;
inline constexpr size_t kUnchanged = SIZE_MAX;

// lay - fill n bytes with the word. The caller owns them.
void lay(std::byte* at, size_t n, uint64_t word) noexcept;

// first_change - the offset of the first of n bytes that is not the word's, or kUnchanged.
[[nodiscard]] size_t first_change(const std::byte* at, size_t n, uint64_t word) noexcept;

// byte_of - what byte `offset` of a run of the word is.
[[nodiscard]] inline std::byte byte_of(uint64_t word, size_t offset) noexcept {
    return reinterpret_cast<const std::byte*>(&word)[offset % sizeof word];
}

}  // namespace umbuf::checked
