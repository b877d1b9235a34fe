// SPDX-License-Identifier: BSD-2-Clause
// process.cc - from /proc, and by pidfd_open(2).
#include "lib/stat/process.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>

namespace umbuf::stat {

uint64_t started_ticks(uint32_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    const std::string all((std::istreambuf_iterator<char>(in)), {});
    const size_t name_ends = all.rfind(')');  // a program's name may hold anything
    if (name_ends == std::string::npos) return 0;
    std::istringstream rest(all.substr(name_ends + 1));
    std::string word;
    for (int field = 3; field <= 21; ++field) rest >> word;
    uint64_t ticks = 0;
    rest >> ticks;
    return ticks;
}

Process::Process(uint32_t pid, uint64_t started) : pid_(pid), started_(started) {
    if (started_ == 0) return;
    fd_ = static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(pid_), 0));
    // Asked after it was opened: what is open is that process, and not another that got its pid.
    if (fd_ >= 0 && started_ticks(pid_) != started_) started_ = 0;
}

Process::Process(Process&& other) noexcept { *this = std::move(other); }

Process& Process::operator=(Process&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(started_, other.started_);
    std::swap(fd_, other.fd_);
    return *this;
}

Process::~Process() {
    if (fd_ >= 0) close(fd_);
}

bool Process::lives() const {
    if (started_ == 0) return false;
    if (fd_ < 0) return started_ticks(pid_) == started_;
    pollfd ended{fd_, POLLIN, 0};
    return poll(&ended, 1, 0) == 0;
}

}  // namespace umbuf::stat
