// SPDX-License-Identifier: BSD-2-Clause
// trace.h - probes on references: where each was taken and where it was dropped.
//
// The idea is OpenBSD's: dt(4) has probes on its reference counts, and MCLREFDEBUG kept the last place
// that touched a cluster (sys/mbuf.h). Off, a probe is one relaxed load and one predicted branch. On,
// it writes down who did what to which storage, and the callers.
//
//   T1  each thread writes into a ring of its own, which nobody else writes. The memory is had when
//       tracing is switched on; a probe never waits, and allocates nothing. The oldest event is
//       overwritten, and counted.
//   T2  events are numbered by one counter, and a drop is written down before it is done, all else
//       behind it. So the order of the numbers is that in which things happened to one storage.
//   T3  a reader sees an event whole or not at all, also while its ring is written.
//
// What is not seen: what DPDK code does to an mbuf's own record or count (rte_pktmbuf_clone, a
// driver's free of a received packet's header). A storage's life begins where the trace was switched on.
#pragma once
#include <cstdint>
#include <string>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/mbuf/ext.h"
#include "lib/ref/scheme.h"

namespace umbuf::trace {

inline constexpr uint32_t kMostEvents = 16384;  // in one ring

// start - the probes write from now on; what they wrote before stays. The first time it has the memory:
// a ring of kMostEvents (2 MB) for each lcore and eight other threads, kept until the program ends.
// `events`: use only so many of each ring; if that is another number than before, what was written is
// forgotten. Control thread. ENOMEM.
[[nodiscard]] Status start(uint32_t events = kMostEvents);
// stop - the probes are silent; what they wrote stays. Control thread.
void stop() noexcept;
// clear - forget what was written so far. Also while on. Control thread.
void clear() noexcept;

struct State {
    bool on;
    uint32_t threads;      // that wrote something
    uint64_t events;       // that can be shown
    uint64_t overwritten;  // that were, and are not any more
    uint64_t unrecorded;   // of threads that found no ring left
};
[[nodiscard]] State state() noexcept;

// What to show. storage: only this one's events, named by the address that other dumps print; null:
// of all. last: only the last so many; 0: all.
struct Filter {
    const void* storage = nullptr;
    uint64_t last = 0;
};
// dump - the events in their order, with the callers' names, and what is still held. At any time;
// control plane: allocates, reads symbols from files.
[[nodiscard]] std::string dump(const Filter& filter);

// diagnose - when an invariant of references breaks, print the life of the storage in question, or how
// to switch tracing on. mbinit() calls it. Control thread.
void diagnose() noexcept;

// ---- the probes, for lib/mbuf's own files

enum class Kind : uint8_t { attach, take, join, drop, detach, last, unshare };

inline constinit sync::atomic<bool> on_{false};
// on - ask this first. A thread sees a change a moment late.
[[nodiscard, gnu::always_inline]] inline bool on() noexcept { return __builtin_expect(on_.load(sync::relaxed), 0); }

// working_on - what this thread does now, for the case that it dies of it. control may be null.
void working_on(const ExtControl* control, const Mbuf* m) noexcept;
// record - write it down. from: whose view a take copied. account: what the scheme tells; group null:
// nothing. The calling thread holds the storage, or just let it go.
void record(Kind kind, const ExtControl* control, const Mbuf* m, const Mbuf* from = nullptr,
            const ref::Account& account = {}) noexcept __attribute__((cold, noinline));

}  // namespace umbuf::trace
