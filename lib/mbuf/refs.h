// SPDX-License-Identifier: BSD-2-Clause
// refs.h - the scheme that counts references: which one it is, what it holds back, and its audit.
//
// One scheme serves the whole program, from mbinit to mbfini. The verbs reach it by a table of
// functions, drivers by the callback in each mbuf's record; both are made from the same template
// (lib/mbuf/ext_ops.h), so neither looks at a name at run time.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lib/mbuf/mbuf.h"
#include "lib/ref/scheme.h"

namespace umbuf {

// RefOps - a scheme, made to work on mbufs.
struct RefOps {
    const char* name;
    int (*share)(Mbuf* m, Mbuf* copy, uint32_t offset, uint32_t length) noexcept;
    Mbuf* (*copym)(Mbuf* m, uint32_t off, uint32_t len, int how) noexcept;  // the whole verb
    rte_mbuf_extbuf_free_callback_t hook;
    bool (*extfree)(Mbuf* m) noexcept;  // m lives on
    bool (*free)(Mbuf* m) noexcept;     // m is about to go home
    bool (*free_quickly)(Mbuf* m) noexcept;  // and goes; false: it declines (quick.h)
    void (*freem)(Mbuf* m) noexcept;         // the whole verb, but for null
    bool (*exclusive)(Mbuf* m) noexcept;
    void (*flush)() noexcept;
    void (*merge)(bool on) noexcept;
    ref::Account (*account)(Mbuf* m) noexcept;  // group null: m is of no group
    void (*held_back)(void (*see)(void* arg, const void* group, uint64_t weight), void* arg) noexcept;
    bool takes_proxies;  // needs ZoneConfig::proxies
};

inline constexpr const char* kDefaultRefs = "weighted";

// refs_names - of all schemes, in the order in which documents list them.
[[nodiscard]] const std::vector<const char*>& refs_names();
// refs_named - null: there is none of that name.
[[nodiscard]] const RefOps* refs_named(const std::string& name);
// refs_in_use - after mbinit.
inline constinit const RefOps* refs_current = nullptr;  // [I] from mbinit to mbfini
[[nodiscard]] inline const RefOps& refs_in_use() noexcept { return *refs_current; }

// refs_flush - give back what this thread holds back. At the end of each burst, and when idle. Any
// thread; never waits.
inline constinit thread_local bool refs_holding = false;  // this thread may hold something back
void refs_give_back() noexcept;
inline void refs_flush() noexcept {
    if (refs_holding) refs_give_back();
}

// MergedReleases - while it lives, its thread may hold releases back (weighted: up to 64 storages),
// and promises to call refs_flush() soon and often. Other threads release directly. Not nested.
class MergedReleases {
  public:
    MergedReleases() noexcept;
    ~MergedReleases();
    MergedReleases(const MergedReleases&) = delete;
    MergedReleases& operator=(const MergedReleases&) = delete;
};

// What the schemes have done since the program started. Sums over all threads; a moment late.
struct RefCounters {
    uint64_t stuck;          // storage leaked, because its count saturated (R5)
    uint64_t refused;        // shares that the scheme refused (no proxy; native's 16 bits; a led leader)
    uint64_t held_storages;  // releases held back were given: for that many storages
    uint32_t held_most;      // the most that one thread held back at a flush
};
[[nodiscard]] RefCounters refs_counters() noexcept;
inline constexpr uint32_t kMostHeldBack = 64;  // storages, by one thread

// refs_audit - with everything quiet: do the views of each storage add up to what its count says?
// One sentence for each that does not. What the calling thread holds back is counted, other threads
// must have flushed. Walks all mbufs. Control thread.
[[nodiscard]] std::vector<std::string> refs_audit();

}  // namespace umbuf
