// SPDX-License-Identifier: BSD-2-Clause
// pages.h - the arena of unmapped pages of a forwarder: opened from its settings, and given back.
//
// Between the zones and the ports: pages hold on to zones, and devices learn of the memory when they
// are set up (lib/page/arena.h).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "app/umfwd/settings.h"
#include "lib/base/result.h"

namespace umbuf::fwd {

// Bytes of a page: ours hold a jumbo frame's payload, the page cache's as much as one mbuf can show (its
// length has 16 bits, so of 64 KiB the last frame would never be used).
inline constexpr uint32_t kCachePage = 32768, kAnonPage = 16384;

// page_cache_pages - how many pages --page-cache asks for.
[[nodiscard]] inline uint32_t page_cache_pages(const Settings& settings) {
    return settings.page_cache_mb * ((1u << 20) / kCachePage);
}

class Pages {  // Control thread.
  public:
    // create - the arena, if the settings have pages. A process that has opened one already keeps it.
    // Error: what was wanted, and the option to change.
    static Result<std::unique_ptr<Pages>> create(const Settings& settings);
    ~Pages();
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    // halt - with every port closed. What is still held, in sentences; the arena stays then.
    std::vector<std::string> halt();

  private:
    Pages() = default;
    bool owner_ = false;  // [I] opened the arena, so closes it
};

}  // namespace umbuf::fwd
