// SPDX-License-Identifier: BSD-2-Clause
// raw.h - the floor: IPsec-MB's calls alone, on flat buffers, one for each packet.
//
// Where the source is private they work in place. Else they read one buffer and write another, as a cipher
// must that may not write what it reads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "app/umbench/esp/bare_gcm.h"
#include "app/umbench/esp/esp_case.h"

namespace umbuf::bench {

class Raw {
  public:
    // make - null: not for this algorithm (AES-GCM alone). Error: no memory.
    [[nodiscard]] static Result<std::unique_ptr<Raw>> make(const EspCase& what, uint32_t kept);
    // call - packet number i of the working set, by SA sa.
    void call(uint32_t i, uint16_t sa) noexcept;

  private:
    struct Free {
        void operator()(std::byte* at) const noexcept;
    };
    using Memory = std::unique_ptr<std::byte, Free>;
    static Memory take(size_t bytes);
    Raw(const EspCase& what, BareKit kit) : what_(what), kit_(std::move(kit)) {}

    const EspCase what_;
    BareKit kit_;
    uint32_t stride_ = 0, kept_ = 0, next_ = 0;
    uint64_t seq_ = 0;
    Memory from_, to_;
};

}  // namespace umbuf::bench
