// SPDX-License-Identifier: BSD-2-Clause
// engine.h - who does the cryptography: one call per burst, from where the bytes lie to where they go; two,
// where a device takes its time.
//
// A job reads scattered source pieces, which may be anybody's, and writes fresh destination pieces, which
// are the caller's alone. The copy that protects what is shared is thus part of the cipher.
//
//      source   | payload, in as many pieces as its mbufs | trailer |       read, never written (J1)
//      to       | ciphertext, in one piece as a rule                |       written, and nothing else (J2)
//      icv      | in the job                                        |
//
// J1  A source byte is never written, not even with what it was (the pages of files have no writable
//     address at all).
// J2  Nothing outside `to` and the job is written; `to` is not used for scratch beyond `len` bytes
//     (CVE-2026-31431).
// J3  An ICV is compared in constant time. What was decrypted under a wrong one is not told from it:
//     `authentic` is false, and the caller lets go of `to`.
// J4  A job that was submitted is the engine's until it is reaped: the job, its pieces, its rooms stay. But
//     not its key: the SA may go meanwhile, so nobody looks at `key` after submit() has returned.
// J5  What was in flight when a lane was closed is nobody's: after close() it is not read or written.
// J6  In place: where the engine says that it can, and the caller that the bytes are nobody else's, the only
//     piece may be the only room. J1 is then the caller's affair (esp_in_place.h).
//
// Engines are in drivers/crypto. What an engine keeps per lcore is its Lane.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "lib/base/result.h"
#include "lib/ipsec/algorithm.h"
#include "lib/ipsec/secret.h"

namespace umbuf {

struct Piece {
    const std::byte* at;
    uint32_t len;  // 0 is fine
};
struct Room {
    std::byte* at;
    uint32_t len;
};

// EspHead - what is sent before the ciphertext: SPI, lower half of the sequence number, IV, as on the wire.
struct alignas(8) EspHead {
    std::byte spi[4];
    std::byte seq[4];
    std::byte iv[kMaxIv];
};
static_assert(sizeof(EspHead) == 8 + kMaxIv);

// Job - one packet's cryptography. The caller fills in all but what is said.
struct Job {
    const std::byte* key;     // what make_key() wrote for the SA
    std::span<const Piece> source;
    std::span<const Room> to;  // as many bytes as `source`
    // whole - where head and ciphertext lie side by side: before `to` (encryption), or in the source
    // (decryption). Null: they do not. For engines that hash in one piece.
    const std::byte* whole;
    uint32_t len;              // of either; ESP's is 2 at least (RFC 4303, 2.4), and a device is not given less
    bool encrypt;
    bool extended;             // ESN: `seq_high` is authenticated, too
    bool authentic;            // written, of a decryption: the ICV was right
    bool failed;               // written: the engine could not do it. Not authentic, and `to` means nothing
    bool done;                 // written by reap(), or by submit() if it failed at once
    std::byte seq_high[4];     // network order
    EspHead head;
    std::byte icv[kMaxIcv];    // encryption: written. Decryption: what the packet says
};

class EngineLane;  // the engine's own

// Engine - a const table of functions, chosen when an SA is made.
struct Engine {
    const char* name;
    // ready - 0, or why this engine cannot be used at all on this CPU.
    Status (*ready)();
    bool (*supports)(const Algorithm& algorithm) noexcept;
    // in_place - may a job's source be its room (J6)? Decryption writes all of it, whatever the ICV is. Null: no.
    bool (*in_place)(const Algorithm& algorithm) noexcept = nullptr;
    // key_bytes, make_key - the key as the engine wants it, in memory that the SA owns (64-byte aligned,
    // page aligned in fact). `key` has algorithm.key_bytes(). Error: the engine has no room for it, or
    // its device refuses it; nothing is to be dropped then. Control thread.
    size_t (*key_bytes)(const Algorithm& algorithm) noexcept;
    Status (*make_key)(const Algorithm& algorithm, std::span<const std::byte> key, std::byte* to);
    // open, close - what one lcore needs. Control thread. Null: no memory.
    EngineLane* (*open)(int socket);
    void (*close)(EngineLane* lane) noexcept;
    // run - n jobs of SAs with keys of this engine, all done when it returns. The lane's lcore. A
    // synchronous engine never blocks and never allocates; an asynchronous one waits for its device, which
    // is for self-tests and second opinions, and has nothing else in flight on this lane.
    void (*run)(EngineLane& lane, Job* jobs, uint16_t n) noexcept;

    // ---- what an engine may leave out
    // drop_key - make_key()'s counterpart, for what it keeps elsewhere: gone when no job of it is in
    // flight any more (J4). Control thread.
    void (*drop_key)(std::byte* key) noexcept = nullptr;
    // submit - hand jobs over, from the first on: as many as are taken. Fewer than n: the device is full,
    // and will not be when something was reaped. reap - note what is done (Job::done), `most` jobs at most,
    // in any order; returns how many. The lane's lcore; they never block, never allocate. Null: the engine
    // is synchronous.
    uint16_t (*submit)(EngineLane& lane, Job* jobs, uint16_t n) noexcept = nullptr;
    uint16_t (*reap)(EngineLane& lane, uint16_t most) noexcept = nullptr;
};

// same_bytes - in time that does not depend on where they differ (J3).
[[nodiscard]] inline bool same_bytes(const std::byte* a, const std::byte* b, size_t n) noexcept {
    uint64_t differ = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t x = 0, y = 0;
        std::memcpy(&x, a + i, 8);
        std::memcpy(&y, b + i, 8);
        differ |= x ^ y;
    }
    for (; i < n; ++i) differ |= static_cast<uint64_t>(a[i] ^ b[i]);
    // The compiler may not look into `differ` before the loops have ended.
    asm("" : "+r"(differ));
    return differ == 0;
}

// engine_selftest - every algorithm that the engine supports and a public vector is known for (selftest.cc
// names them), both ways, cut in two. Error: which algorithm of which engine is wrong, and the vector.
[[nodiscard]] Status engine_selftest(const Engine& engine);
// engine_selftest - of one algorithm; EOPNOTSUPP: the engine does not support it, or no vector is known.
[[nodiscard]] Status engine_selftest(const Engine& engine, const Algorithm& algorithm);

}  // namespace umbuf
