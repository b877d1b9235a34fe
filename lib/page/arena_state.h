// SPDX-License-Identifier: BSD-2-Clause
// arena_state.h - what the arena is made of: for lib/page's own files only.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "lib/page/arena.h"
#include "lib/page/backing.h"
#include "lib/page/page_stats.h"

namespace umbuf::page {

// StrictWindows - mappings that live as long as their window. A slot's addresses are used again after
// all others were (FIFO by a running number), so that a stale pointer meets nothing for long.
class StrictWindows {
  public:
    static constexpr uint32_t kSlots = 1024;
    static Result<StrictWindows> make(const Backing& backing, uint32_t biggest_page);
    // open - the page's bytes from `ghost` on, with `prot`. Dies when the kernel refuses, or all slots
    // are open: a test tool's limits.
    [[nodiscard]] std::byte* open(const Backing& backing, const Page* page, const std::byte* ghost, int prot) noexcept;
    void close(const std::byte* window) noexcept;
    // last_at - whose page was, or is, at this address of a window; null: no window was there.
    [[nodiscard]] const Page* last_at(const void* address, bool& is_open) const noexcept;

  private:
    struct Slot {
        sync::atomic<const Page*> page{nullptr};  // [a] of the last window here
        sync::atomic<bool> open{false};           // [a]
    };
    [[nodiscard]] uint32_t slot_of(const void* address) const noexcept;
    Space space_;                                  // [I]
    size_t slot_bytes_ = 0;                        // [I]
    std::unique_ptr<Slot[]> slots_;                // [I]
    std::unique_ptr<sync::atomic<uint32_t>> next_; // [a]
};

struct ClassZone {
    Zone* zone = nullptr;
    size_t off = 0;      // [I] of the class in the arena
    size_t bytes = 0;    // [I]
    uint32_t page = 0;   // [I] bytes of a page
    stat::Box<PageStats> stats;  // [I] with a zone
};

struct Arena {
    ArenaConfig config;
    Backing backing;
    Space alias_ro, alias_rw;  // [I] empty in a strict arena
    std::optional<StrictWindows> strict;
    std::array<ClassZone, kPageClasses> classes;
    std::vector<Page*> by_frame;  // [I] frame number -> its page; null: left out
    uint32_t left_out = 0;
    stat::Box<WindowStats> windows{window_fields(), ""};

    [[nodiscard]] size_t offset_of(const void* ghost) const noexcept {
        return static_cast<size_t>(static_cast<const std::byte*>(ghost) - backing.base());
    }
    [[nodiscard]] bool has_alias(const void* address) const noexcept;     // the read-only one
    [[nodiscard]] bool has_rw_alias(const void* address) const noexcept;
    void note_open() noexcept;
    void note_closed() noexcept { windows->now.add_shared(uint64_t{0} - 1); }
};

// arena - the open one, or null. Written by the control thread while nobody uses pages.
inline constinit Arena* arena = nullptr;

extern const PageOps kOps;  // page.cc

}  // namespace umbuf::page
