// SPDX-License-Identifier: BSD-2-Clause
// trace.h - a sequence of verbs, read from bytes, run on real mbufs and on the oracle side by side.
//
// Any bytes are a trace: a fuzzer finds them, a test draws them from its seed. After each step the
// two must agree in
//   - each mbuf: its length, its bytes, and that it sees the very storage that the oracle says (so
//     what is shared is known exactly, and no two storages lie at the same place);
//   - errors, and what an error left;
//   - pkt_len, nb_segs, and m_sanity;
//   - the clusters, controls and received packets in use: nothing is kept, or freed, too early;
//   - foreign storage: freed in the same step, once, with the right arguments, its bytes as the last
//     writer left them, or zero when any holder asked for that (read-only storage is never zeroed).
// Who may write is asked for one mbuf at a time, and seldom for all: a scheme may change what it keeps
// when it is asked.
//
// One thread, which holds all mbufs of the trace; the zones are balanced when it has run.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace umbuf::test {

struct TraceOptions {
    // alike - only what all schemes answer alike: no leader is made an orphan.
    bool alike = false;
    uint32_t steps = 1000000;  // at most; the trace ends with its bytes, too
};

struct TraceResult {
    std::optional<std::string> fault;  // where the two disagree
    uint64_t log = 0;                  // a hash of all errors, lengths and frees, in their order
    uint32_t steps = 0;
    uint32_t failures = 0;             // allocations that failed, as injected
    uint32_t refused = 0;              // writes refused: shared or read-only
    uint32_t freed = 0, zeroed = 0;    // foreign storages
    uint32_t orphans = 0;              // leaders that left their followers
    std::string text;                  // the log itself, last steps only
};

[[nodiscard]] TraceResult run_trace(std::span<const uint8_t> bytes, const TraceOptions& options = {});

}  // namespace umbuf::test
