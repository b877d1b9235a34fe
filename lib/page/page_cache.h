// SPDX-License-Identifier: BSD-2-Clause
// page_cache.h - pages of files that were read, kept as long as there is room: repeated reads are no I/O.
//
// Each cached page is held by one mbuf of the cache's, the *holder*. Who asks for a page gets a view of
// it, made by sharing from the holder as m_copym() does, and makes packets by sharing from the view. So
// "does anybody still use this page?" is the question that every reference-count scheme answers: is
// the holder alone? No scheme, and no driver that frees a packet, knows of the cache.
//
// C1  A page is taken from the cache only when its holder is alone with it, and it is not filling.
// C2  A key is in the cache at most once; while it is filling, who asks shares it (M_NOTREADY).
// C3  A page that failed is forgotten at the next question for it, and read anew: an error is nobody's
//     for ever. Who has views of the old one keeps those.
//
// Who owns the holders. An mbuf has one owner at a time, and lcores share this cache, so a lock goes
// around look-up, share and eviction. It is taken once per page of a file and lcore, which is dozens of
// packets: those are made from the view, which is the lcore's own. One cache for each lcore instead
// would need no lock; it would read each file once for each lcore, and divide the pages among them.
//
// Eviction is by second chance (clock): what was asked for since the hand's last visit stays once more.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/mbuf/mbuf.h"
#include "lib/page/file_reader.h"
#include "lib/stat/segment.h"

namespace umbuf {

struct CacheStats {  // one writer at a time
    sync::Counter hits, misses, evictions, no_page, retried, pages;
};
struct CacheCounters {
    uint64_t hits;       // the page was there, or on its way
    uint64_t misses;     // a read was begun
    uint64_t evictions;
    uint64_t no_page;    // nothing could be evicted: every page is held or filling
    uint64_t retried;    // pages that had failed, and were forgotten (C3)
    uint32_t pages;      // cached now
};

class PageCache {
  public:
    // open - a cache of at most `most` pages of the arena, filled by `reader`, which outlives it, and can
    // have that many Fills at once. Control thread.
    static Result<std::unique_ptr<PageCache>> open(FileReader& reader, uint32_t most);
    // Waits for what is being read. Views that others have stay theirs. Nobody is inside get().
    ~PageCache();
    PageCache(const PageCache&) = delete;
    PageCache& operator=(const PageCache&) = delete;

    // unit - how much of a file one page holds: all of a page of the arena, or a frame less where an mbuf
    // could not show all of it (its length has 16 bits).
    [[nodiscard]] uint32_t unit() const noexcept { return unit_; }
    // get - a view of bytes [index * unit(), the next unit or the file's end) of the file: one unmapped
    // mbuf, no packet, the caller's. It may be not ready. The file, which has such bytes, lives until it is.
    // Null: rte_errno ENOBUFS: no page could be had now (counted), or no mbuf. Never waits. Any thread.
    [[nodiscard]] Mbuf* get(const InputFile& file, uint64_t index) noexcept;
    // peek - the same of a page that is there now; nothing is begun, and nothing counted. Null: it is not there. Any thread.
    [[nodiscard]] Mbuf* peek(const InputFile& file, uint64_t index) noexcept;
    [[nodiscard]] CacheCounters counters() const noexcept;

  private:
    struct Slot {
        Mbuf* holder = nullptr;  // null: the slot is free
        uint64_t file = 0, index = 0;  // the key: InputFile::id(), and which page of it
        Slot* next = nullptr;    // in its bucket, or free
        bool used = false;       // since the hand was here
        Fill fill;               // its page is the slot's, too
    };
    PageCache(FileReader& reader, uint32_t most, uint32_t unit);
    [[nodiscard]] Slot*& bucket(uint64_t file, uint64_t index) noexcept;
    [[nodiscard]] Slot* find(uint64_t file, uint64_t index) noexcept;
    [[nodiscard]] Slot* insert(const InputFile& file, uint64_t index) noexcept;
    [[nodiscard]] Mbuf* new_holder(uint32_t bytes) noexcept;
    [[nodiscard]] bool evict_one() noexcept;
    void forget(Slot& slot) noexcept;

    // Locks:  I immutable   k under lock_
    FileReader& reader_;                 // [k]
    const uint32_t unit_;                // [I]
    const stat::Box<CacheStats> stats_;  // [k] to write
    sync::SpinLock lock_;
    std::vector<Slot> slots_;            // [k]
    std::vector<Slot*> buckets_;         // [k]
    Slot* free_ = nullptr;               // [k]
    size_t hand_ = 0;                    // [k]
};

}  // namespace umbuf
