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

// Bytes of a page: the page cache's hold most of a read, ours a jumbo frame's payload.
inline constexpr uint32_t kCachePage = 65536, kAnonPage = 16384;

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
