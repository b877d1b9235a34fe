// SPDX-License-Identifier: BSD-2-Clause
// page_stats.h - what is counted and sampled of pages and their windows, while there is an arena.
#pragma once
#include <span>

#include "lib/base/sync.h"
#include "lib/page/page.h"
#include "lib/stat/segment.h"

namespace umbuf {

// PageStats - of one class. filling and failed are counted (add_shared); the rest is sampled.
struct PageStats {
    sync::Counter filling, failed;
    sync::Counter in_use, cached, peak, limit, size, denied, references, references_largest;
};
[[nodiscard]] std::span<const stat::Field> page_fields() noexcept;

struct WindowStats {  // add_shared
    sync::Counter now, peak, limit, denied, delayed;
};
[[nodiscard]] std::span<const stat::Field> window_fields() noexcept;

// pages_sample - set the numbers that nobody counts; `references`: also those, for which all headers are
// looked at. Control thread.
void pages_sample(bool references);

}  // namespace umbuf
