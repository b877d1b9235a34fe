// SPDX-License-Identifier: BSD-2-Clause
// random.h - unpredictable bytes for IVs, a handful per packet.
//
// The kernel's (getrandom), kBytes at a time: one call for 256 IVs. It does not block once the system has
// booted, which the first take(), at start, makes sure of.
#pragma once
#include <cstddef>
#include <cstdint>

namespace umbuf {

class Random {
  public:
    // Control thread: the first bytes may be waited for.
    Random() noexcept { refill(); }
    // take - n bytes, kBytes at most, that nobody got before. One thread.
    void take(std::byte* to, uint32_t n) noexcept;

  private:
    static constexpr uint32_t kBytes = 4096;
    void refill() noexcept;
    std::byte bytes_[kBytes];
    uint32_t used_ = 0;
};

}  // namespace umbuf
