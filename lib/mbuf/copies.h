// SPDX-License-Identifier: BSD-2-Clause
// copies.h - bytes that the CPU moved from one storage into another, by what for.
//
// Beside CopiedFor (window.h), which is about pages and whoever reads them, this is about mbufs of any kind, and
// the verbs and ports that make private or contiguous what was shared or in pieces. Bytes of pages that a verb
// copies are in both.
#pragma once
#include <cstddef>
#include <cstdint>

namespace umbuf {

// MovedFor - unshare: m_unshare, m_makewritable, m_copyback_cow. dup: m_dup and its kin, whose caller asked for
// a copy. contiguous: m_pullup, m_ensure_contig, m_copyup, m_pulldown. compact: m_defrag, m_collapse,
// m_fragment. foreign: m_copym of bytes that only DPDK can share. flat: a port whose device takes no chains.
enum class MovedFor : uint8_t { unshare, dup, contiguous, compact, foreign, flat, count };

// note_moved - once for each time, `bytes` together; nothing for 0. Any thread; never waits.
void note_moved(MovedFor why, uint32_t bytes) noexcept;

struct Moved {
    uint64_t bytes[static_cast<size_t>(MovedFor::count)], times[static_cast<size_t>(MovedFor::count)];
};
// moved - sums over all threads since the program started.
[[nodiscard]] Moved moved() noexcept;
// moved_sample - into the numbers that others read. Control thread.
void moved_sample() noexcept;

}  // namespace umbuf
