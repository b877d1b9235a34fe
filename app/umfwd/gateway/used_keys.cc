// SPDX-License-Identifier: BSD-2-Clause
// used_keys.cc - a ring of keys and numbers.
#include "app/umfwd/gateway/used_keys.h"

#include <algorithm>
#include <cstring>

#include "lib/ipsec/engine.h"

namespace umbuf::fwd {
namespace {

uint32_t size_of(const Algorithm& algorithm, const Secret& key) {
    const size_t nonce = size_t{algorithm.cipher->key} + algorithm.cipher->salt;
    return static_cast<uint32_t>(std::min(nonce, key.size()));
}

}  // namespace

UsedKeys::Used* UsedKeys::find(const Algorithm& algorithm, const Secret& key) const noexcept {
    const uint32_t size = size_of(algorithm, key), known = static_cast<uint32_t>(std::min<uint64_t>(noted_, kMost));
    for (uint32_t i = 0; i < known; ++i)
        if (Used& used = table()[i]; used.size == size && same_bytes(used.key, key.data(), size)) return &used;
    return nullptr;
}

Status UsedKeys::note(const Algorithm& algorithm, const Secret& key, uint64_t last) {
    if (Used* used = find(algorithm, key); used != nullptr) {
        used->last = std::max(used->last, last);
        return {};
    }
    if (room_.size() == 0) {
        Result<Secret> room = Secret::make(kMost * sizeof(Used));
        if (!room) return room.error();
        room_ = std::move(room.value());
    }
    Used& used = table()[noted_++ % kMost];
    used.size = size_of(algorithm, key);
    used.last = last;
    std::memset(used.key, 0, kBytes);
    std::memcpy(used.key, key.data(), std::min<size_t>(used.size, kBytes));
    return {};
}

std::optional<uint64_t> UsedKeys::last(const Algorithm& algorithm, const Secret& key) const noexcept {
    const Used* used = find(algorithm, key);
    if (used == nullptr) return std::nullopt;
    return used->last;
}

}  // namespace umbuf::fwd
