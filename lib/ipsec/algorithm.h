// SPDX-License-Identifier: BSD-2-Clause
// algorithm.h - what ESP can be made with: ciphers, integrity, and the sizes that each brings.
//
// An algorithm is an AEAD alone ("aes-gcm-128"), or a cipher and an integrity ("aes-cbc-128+hmac-sha256").
// Sizes are bytes. A key, as IKE and Linux' `ip xfrm` know it, is the cipher's key, its salt, and the
// integrity's key, in this order.
//
// ICVs are of one length each: 16 bytes for AEADs (RFC 8221, 5, says no shorter ones), RFC 4868's for
// HMAC-SHA-2, 12 for HMAC-SHA-1 (RFC 2404).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace umbuf {

enum class Cipher : uint8_t { null, aes_cbc, aes_ctr, aes_gcm, aes_gmac, chacha20_poly1305 };
enum class Integrity : uint8_t { aead, hmac_sha1, hmac_sha256, hmac_sha384, hmac_sha512 };

struct CipherKind {
    Cipher cipher;
    const char* name;
    uint8_t key;    // without the salt
    uint8_t salt;   // the part of the nonce that does not travel
    uint8_t iv;     // the part that does
    uint8_t block;  // payload and trailer are a multiple of this, and of 4 (RFC 4303, 2.4)
    uint8_t icv;    // 0: no AEAD
    const char* rfc;
};
struct IntegrityKind {
    Integrity integrity;
    const char* name;
    uint8_t key;
    uint8_t icv;
    uint8_t block;  // of the hash
    const char* rfc;
};

// Algorithm - a pair that fits together: the kinds are of the tables below, which live for ever.
struct Algorithm {
    const CipherKind* cipher = nullptr;
    const IntegrityKind* integrity = nullptr;  // null: the cipher is an AEAD

    [[nodiscard]] bool aead() const noexcept { return integrity == nullptr; }
    [[nodiscard]] uint32_t key_bytes() const noexcept {
        return uint32_t{cipher->key} + cipher->salt + (aead() ? 0u : integrity->key);
    }
    [[nodiscard]] uint32_t icv() const noexcept { return aead() ? cipher->icv : integrity->icv; }
    [[nodiscard]] std::string name() const;
    bool operator==(const Algorithm&) const = default;
};

inline constexpr uint32_t kMaxIv = 16, kMaxIcv = 32, kMaxAlign = 16;
inline constexpr uint32_t kMaxKey = 32 + 4 + 64;

[[nodiscard]] std::span<const CipherKind> cipher_kinds() noexcept;
[[nodiscard]] std::span<const IntegrityKind> integrity_kinds() noexcept;
// find_algorithm - by its name. Error: which part is unknown or does not fit, and what there is.
[[nodiscard]] Result<Algorithm> find_algorithm(std::string_view name);

}  // namespace umbuf
