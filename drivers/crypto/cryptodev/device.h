// SPDX-License-Identifier: BSD-2-Clause
// device.h - one crypto device, its keys and its lanes: for the engine's own files.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <rte_cryptodev.h>

#include "drivers/crypto/cryptodev/cryptodev.h"
#include "lib/base/sync.h"

namespace umbuf::cryptodev {

inline constexpr uint32_t kDevices = 4;      // engines at a time
inline constexpr uint16_t kQueues = 16;      // lanes of a device, if it has as many queue pairs
inline constexpr uint16_t kFlying = 128;     // jobs of a lane with the device
inline constexpr uint16_t kDescriptors = 2 * kFlying;  // so that a queue is never full by our own doing

// Shape - which operations a job becomes.
enum class Shape : uint8_t {
    aead,   // AES-GCM, ChaCha20-Poly1305
    gmac,   // AES-GMAC: authentication only, by RFC 4543's rule
    chain,  // a cipher and an HMAC
    mac,    // an HMAC only
};

// Keyed - a key as the device has it: one session for each direction, with ESN and without. It outlives the
// SA until no job of it is in flight.
// Locks:  I immutable   a atomic   c control thread
struct Keyed {
    void* session[2][2] = {};           // [I] [encrypt][extended]
    sync::atomic<uint32_t> in_flight{0};  // [a]
};
// Key - in the SA's own memory; looked at by submit() alone (J4).
struct Key {
    Keyed* keyed;
    Cipher cipher;
    Shape shape;
    uint8_t iv, icv;
    uint8_t salt[4];
    [[nodiscard]] static const Key* of(const Job& job) noexcept { return reinterpret_cast<const Key*>(job.key); }
};

struct Lane;

// Device - [c] but for what lanes read: id, features, hardware.
struct Device {
    std::string name, engine_name;
    Engine engine{};
    uint8_t id = 0;
    int socket = 0;
    uint64_t features = 0;
    // hardware - it reads and writes by IOVA; and what its flags say of several mbufs is believed. DPDK's software
    // devices are given one mbuf: crypto_openssl and crypto_aesni_mb get some packets in several wrong, and
    // crypto_aesni_mb writes before what it decrypts out of place (decision 0023).
    bool hardware = false;
    bool made = false;      // by us
    std::vector<Lane*> queues;  // by number; null: free
    std::vector<rte_mempool*> pools;  // of sessions
    std::vector<Keyed*> graves;       // SA gone, jobs in flight, perhaps
    sync::Counter jobs, failed, copied, copied_bytes, full;  // added to when a lane closes

    [[nodiscard]] bool has(uint64_t feature) const noexcept { return (features & feature) != 0; }
};

// ---- key.cc
[[nodiscard]] bool supports(const Device& device, const Algorithm& algorithm) noexcept;
[[nodiscard]] Status make_key(Device& device, const Algorithm& algorithm, std::span<const std::byte> raw, std::byte* to);
void drop_key(Device& device, std::byte* key) noexcept;
// bury - free the sessions that no job needs any more.
void bury(Device& device) noexcept;

// ---- lane.cc
[[nodiscard]] EngineLane* open_lane(Device& device, int socket);
void close_lane(EngineLane* lane) noexcept;
uint16_t submit(EngineLane& lane, Job* jobs, uint16_t n) noexcept;
uint16_t reap(EngineLane& lane, uint16_t most) noexcept;
void run(EngineLane& lane, Job* jobs, uint16_t n) noexcept;
void add_counters(const Lane& lane, CryptodevCounters& to) noexcept;

// What travels with an operation, in memory that the device knows.
struct Extra {
    uint8_t iv[16];
    uint8_t aad[16];
    uint8_t digest[64];
    uint8_t front[32];  // what is authenticated before the text
    uint8_t high[4];    // ESN's, behind it
    uint16_t slot;
};
inline constexpr uint16_t kExtraAt = sizeof(rte_crypto_op) + sizeof(rte_crypto_sym_op);
inline constexpr uint16_t kIvAt = kExtraAt + offsetof(Extra, iv);

}  // namespace umbuf::cryptodev
