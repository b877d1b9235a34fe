// SPDX-License-Identifier: BSD-2-Clause
// secret.h - memory for keys: not in core dumps, not in children, zeroed when it goes.
//
// Pages of its own (MADV_DONTDUMP, MADV_WIPEONFORK; locked where the limit allows), so that nothing of a
// key shares a page with what is written to a dump. There is no way to print one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/result.h"

namespace umbuf {

// secret_is_wiped - called with the pages of each secret when they are zero and not yet given back. For
// tests: null, or set by the control thread while no secret goes.
using SecretHook = void (*)(const std::byte* at, size_t bytes) noexcept;
inline constinit SecretHook secret_is_wiped = nullptr;

// wipe - zero bytes in a way that is not optimised away.
void wipe(void* at, size_t bytes) noexcept;

class Secret {
  public:
    Secret() = default;
    ~Secret() { clear(); }
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;

    // make - `bytes` of zeroes, aligned to a page. Error: no memory, or the kernel cannot keep it out of
    // dumps. Control thread.
    [[nodiscard]] static Result<Secret> make(size_t bytes);
    // copy - of what is there; the caller wipes his own.
    [[nodiscard]] static Result<Secret> copy(std::span<const std::byte> bytes);

    [[nodiscard]] std::byte* data() const noexcept { return data_; }  // null: empty
    [[nodiscard]] size_t size() const noexcept { return size_; }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
    // clear - wipe it and give the memory back.
    void clear() noexcept;

  private:
    std::byte* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace umbuf
