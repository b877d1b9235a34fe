// SPDX-License-Identifier: BSD-2-Clause
// windows.h - what does it cost to look at bytes that are not mapped?
//
// Method. One thread, EAL in this process. A window on 64 bytes of a page is opened, one word is read
// through it, and it is closed, over and over; beside it the same on a mapped cluster, so that what the
// loop itself costs is known. The three take turns in every round; the first round warms up and is thrown
// away. The median over the rounds is the answer.
//
//      mapped     mtod(): no window is needed
//      alias      the arena's standing read-only alias: an addition
//      strict     a window that is mapped for its own time: two system calls, and a fault for the page
#pragma once
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace umbuf::bench {

struct WindowRow {
    std::string window;
    std::vector<double> cycles;  // of one window, by round
};

// measure_windows - starts EAL in this process. Error: what could not be had.
[[nodiscard]] Result<std::vector<WindowRow>> measure_windows(unsigned rounds);
[[nodiscard]] std::string windows_table(const std::vector<WindowRow>& rows);

}  // namespace umbuf::bench
