// SPDX-License-Identifier: BSD-2-Clause
// key.h - what IPsec-MB wants of a key, and what a lane is: for the engine's own files.
#pragma once
#include <cstring>

#include <intel-ipsec-mb.h>

#include "lib/ipsec/engine.h"

namespace umbuf::ipsec_mb {

struct AesKey {
    alignas(16) uint8_t encrypt[16 * 15];
    alignas(16) uint8_t decrypt[16 * 15];
};

// Key - in the SA's own memory. The expansions depend on the CPU's code path, which all lanes share.
struct Key {
    Cipher cipher;
    Integrity integrity;
    uint8_t bytes;  // of the cipher's key: 16, 24 or 32
    uint8_t iv, icv;
    uint8_t salt[4];
    union alignas(64) {
        gcm_key_data gcm;
        uint8_t chacha[32];
        AesKey aes;
    };
    alignas(16) uint8_t inner[64], outer[64];  // HMAC: the hash after the padded key
    [[nodiscard]] static const Key* of(const Job& job) noexcept { return reinterpret_cast<const Key*>(job.key); }
};

inline constexpr uint32_t kMost = 64;          // jobs that the library is given at a time
inline constexpr uint32_t kScratch = 1u << 18;  // bytes: three of the largest packets

// Lane - one lcore's manager, and what it works in.
struct Lane {
    IMB_MGR* mgr;
    aes_gcm_enc_dec_t gcm[2][3];  // AES-GCM in one call, by direction (1: encryption) and length of key
    IMB_JOB jobs[kMost];
    uint8_t scratch[kScratch];
    [[nodiscard]] aes_gcm_enc_dec_t gcm_of(const Key& key, bool encrypt) const noexcept { return gcm[encrypt][key.bytes / 8 - 2]; }
    [[nodiscard]] static Lane& of(EngineLane& lane) noexcept { return reinterpret_cast<Lane&>(lane); }
};

// manager - with the code path that the environment and the CPU allow. Null: no memory.
[[nodiscard]] IMB_MGR* manager();

// Nonce - salt and IV, 12 bytes (RFC 4106, 4; RFC 7634, 2). Put together in a register: the cipher reads all of
// it at once, and would wait for two stores.
struct Nonce {
    alignas(16) uint8_t bytes[16];
    Nonce(const Key& key, const EspHead& head) noexcept {
        using Words = uint32_t __attribute__((vector_size(16)));
        uint32_t salt, iv[2];
        std::memcpy(&salt, key.salt, 4);
        std::memcpy(iv, head.iv, 8);
        const Words all = {salt, iv[0], iv[1], 0};
        std::memcpy(bytes, &all, sizeof(bytes));
    }
};
// Aad - SPI and the sequence number as it is authenticated (RFC 4106, 5): 8 bytes, 12 with ESN.
struct Aad {
    uint8_t bytes[12];
    uint32_t len;
    explicit Aad(const Job& job) noexcept : len(job.extended ? 12 : 8) {
        if (!job.extended) {
            std::memcpy(bytes, job.head.spi, 8);  // and the number behind it, as one
            return;
        }
        std::memcpy(bytes, job.head.spi, 4);
        std::memcpy(bytes + 4, job.seq_high, 4);
        std::memcpy(bytes + len - 4, job.head.seq, 4);
    }
};

inline const uint8_t* u8(const std::byte* at) noexcept { return reinterpret_cast<const uint8_t*>(at); }
inline uint8_t* u8(std::byte* at) noexcept { return reinterpret_cast<uint8_t*>(at); }

// walk - step(to, from, n) for each run of bytes that is in one source piece and in one room.
template <class Step>
inline void walk(const Job& job, Step step) noexcept {
    size_t room = 0;
    uint32_t used = 0;
    for (const Piece& piece : job.source)
        for (uint32_t done = 0; done < piece.len;) {
            while (used == job.to[room].len) {
                ++room;
                used = 0;
            }
            const uint32_t left = job.to[room].len - used;
            const uint32_t n = piece.len - done < left ? piece.len - done : left;
            step(u8(job.to[room].at + used), u8(piece.at + done), n);
            used += n;
            done += n;
        }
}

// settle - the tag goes into the job, or is compared with what is there (J3).
inline void settle(Job& job, const uint8_t* tag, uint32_t n) noexcept {
    if (job.encrypt) {
        std::memcpy(job.icv, tag, n);
        return;
    }
    job.authentic = same_bytes(job.icv, reinterpret_cast<const std::byte*>(tag), n);
}

void run_gcm(Lane& lane, Job& job) noexcept;
void run_gmac(Lane& lane, Job& job) noexcept;
void run_chacha20_poly1305(Lane& lane, Job& job) noexcept;
// run_etm - kMost at most, of either direction.
void run_etm(Lane& lane, std::span<Job* const> jobs) noexcept;
void expand_hmac(IMB_MGR* mgr, const IntegrityKind& kind, const std::byte* raw, Key& key);

}  // namespace umbuf::ipsec_mb
