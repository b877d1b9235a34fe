// SPDX-License-Identifier: BSD-2-Clause
// process.h - is a process still the one that it was?
#pragma once
#include <cstdint>

namespace umbuf::stat {

// started_ticks - when this pid's process started, in clock ticks since the machine did (proc(5), stat,
// field 22). 0: there is none. With the pid it names a process for as long as the machine runs.
[[nodiscard]] uint64_t started_ticks(uint32_t pid);

}  // namespace umbuf::stat
