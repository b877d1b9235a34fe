// SPDX-License-Identifier: BSD-2-Clause
// process.h - is a process still the one that it was?
#pragma once
#include <cstdint>

namespace umbuf::stat {

// started_ticks - when this pid's process started, in clock ticks since the machine did (proc(5), stat,
// field 22). 0: there is none. With the pid it names a process for as long as the machine runs.
[[nodiscard]] uint64_t started_ticks(uint32_t pid);

// Process - one, named by its pid and the time of its start, to be asked again and again. With a pidfd
// (Linux 5.3) a question is a poll(), else a look into /proc, which takes some 20 times as long.
class Process {
  public:
    Process() = default;
    Process(uint32_t pid, uint64_t started);
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;
    ~Process();
    // lives - it has not ended. One that has ended and whom its parent has not waited for is dead, if there
    // is a pidfd.
    [[nodiscard]] bool lives() const;

  private:
    uint32_t pid_ = 0;
    uint64_t started_ = 0;  // 0: there was never such a process
    int fd_ = -1;           // -1: no pidfd
};

}  // namespace umbuf::stat
