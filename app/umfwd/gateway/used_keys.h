// SPDX-License-Identifier: BSD-2-Clause
// used_keys.h - how far the keys have come that are not in use any more.
//
// For algorithms whose IV is the sequence number: the same key from the start again is the same nonces again,
// and gives its secrets away. Only the key and the salt make a nonce, so only they are kept, in memory for
// keys (secret.h), the newest kMost of them.
//
// Thread: control.
#pragma once
#include <cstdint>
#include <optional>

#include "lib/ipsec/algorithm.h"
#include "lib/ipsec/secret.h"

namespace umbuf::fwd {

class UsedKeys {
  public:
    static constexpr uint32_t kMost = 4096;

    // note - `key` has sent up to `last`, or less. Error: no memory for the first one; nothing is known of it then.
    [[nodiscard]] Status note(const Algorithm& algorithm, const Secret& key, uint64_t last);
    // last - none: it is not known here.
    [[nodiscard]] std::optional<uint64_t> last(const Algorithm& algorithm, const Secret& key) const noexcept;

  private:
    static constexpr size_t kBytes = 36;  // a key of 32 and a salt of 4
    struct Used {
        std::byte key[kBytes];  // zeroes behind a shorter one
        uint32_t size;
        uint64_t last;
    };
    [[nodiscard]] Used* find(const Algorithm& algorithm, const Secret& key) const noexcept;
    [[nodiscard]] Used* table() const noexcept { return reinterpret_cast<Used*>(room_.data()); }

    Secret room_;         // of kMost Used
    uint64_t noted_ = 0;  // the next one is at noted_ % kMost
};

}  // namespace umbuf::fwd
