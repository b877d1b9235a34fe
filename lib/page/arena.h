// SPDX-License-Identifier: BSD-2-Clause
// arena.h - where pages live: one piece of EAL's memory that the CPU cannot touch, and its aliases.
//
//      EAL's address (the ghost)   +-- cache --+-- anonymous --+-- device --+   PROT_NONE: what mbufs hold,
//                                  |           |               |            |   and devices and vhost know
//      read-only alias             +-----------+---------------+            .   PROT_READ
//      read-write alias            .           +---------------+            .   PROT_READ | PROT_WRITE
//
// The distance from the ghost to its alias is one constant, so a window costs an addition. In a strict
// arena there are no aliases: each window is mapped for its own time, at addresses that are used again
// late, so that a touch after it was closed faults, and says so.
//
// Opened after mbinit() and before the ports, which learn of the memory while it can still be touched;
// closed after them. One arena per program. Control thread.
#pragma once
#include <cstdint>
#include <vector>

#include <rte_common.h>

#include "lib/base/result.h"
#include "lib/mbuf/zone.h"
#include "lib/page/backing.h"
#include "lib/page/page.h"

namespace umbuf {

struct ArenaConfig {
    struct Class {
        uint32_t pages;
        uint32_t bytes;  // of each: a power of two, kFrame to 64 KiB
    };
    Class cache = {256, 65536};
    Class anonymous = {256, 16384};
    Class device = {0, kFrame};
    bool strict = false;
    uint32_t pool_cache = 64;  // page objects kept per lcore
    // iova_of - what devices call an address. For tests of memory that is not one run for a device.
    rte_iova_t (*iova_of)(const void*) = nullptr;
};

// arena_open - Error: no memory, no files behind it, or a wrong size; and the remedy. A page that is not
// one run for devices is never handed out; how many were left out is counted (arena_left_out).
[[nodiscard]] Status arena_open(const ArenaConfig& config, int socket);
// arena_close - give it back. If a page is still held nothing is freed, and the answer says which. It
// may be called again, and without an arena it does nothing.
[[nodiscard]] std::vector<Unbalanced> arena_close();
// arena_holders - who holds pages, by class and by the name that they were taken under. Nobody may take or
// give back meanwhile.
struct PageHolder {
    PageClass cls;
    const char* owner;
    uint32_t pages;
};
[[nodiscard]] std::vector<PageHolder> arena_holders();
[[nodiscard]] bool arena_is_open() noexcept;
[[nodiscard]] bool arena_is_strict() noexcept;
[[nodiscard]] uint32_t arena_left_out() noexcept;

// FillWindow - the way to write cache pages before they are ready: a mapping of all of them for as long
// as this lives (P2). A reader whose kernel keeps the pages by itself (io_uring's fixed buffers) drops it
// as soon as they are registered, and goes on using its addresses as mere numbers. Control thread.
class FillWindow {
  public:
    FillWindow() = default;
    static Result<FillWindow> open();
    [[nodiscard]] std::byte* base() const noexcept { return space_.base(); }
    [[nodiscard]] size_t bytes() const noexcept { return space_.bytes(); }
    // at - where the page's first byte is in this window.
    [[nodiscard]] std::byte* at(const Page* page) const noexcept;

  private:
    page::Space space_;  // [I]
};

}  // namespace umbuf
