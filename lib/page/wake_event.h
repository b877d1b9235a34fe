// SPDX-License-Identifier: BSD-2-Clause
// wake_event.h - an eventfd: what ends a wait in the kernel from another thread. For lib/page alone.
#pragma once
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace umbuf::page {

class WakeEvent {
  public:
    explicit WakeEvent(int flags) noexcept : fd_(eventfd(0, EFD_CLOEXEC | flags)) {}
    ~WakeEvent() {
        if (fd_ >= 0) ::close(fd_);
    }
    WakeEvent(const WakeEvent&) = delete;
    WakeEvent& operator=(const WakeEvent&) = delete;
    [[nodiscard]] int fd() const noexcept { return fd_; }  // -1: the kernel has none to give
    void raise() const noexcept {
        const uint64_t one = 1;
        // It fails when 2^64 - 2 calls were not waited for.
        [[maybe_unused]] const ssize_t written = ::write(fd_, &one, sizeof one);
    }

  private:
    int fd_;
};

}  // namespace umbuf::page
