// SPDX-License-Identifier: BSD-2-Clause
// key.cc - what a device can do, and sessions: keys as it wants them.
//
// A session pool is memory of its own that core dumps leave out, and a session is wiped when it goes: DPDK's
// drivers do not all do it. OpenSSL's keep the key in their heap, too, which dumps have.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>

#include <rte_errno.h>

#include "drivers/crypto/cryptodev/device.h"

namespace umbuf::cryptodev {
namespace {

constexpr uint32_t kPool = 128;  // sessions; more pools are made as they are needed

Shape shape_of(const Algorithm& algorithm) noexcept {
    if (algorithm.cipher->cipher == Cipher::aes_gmac) return Shape::gmac;
    if (algorithm.aead()) return Shape::aead;
    return algorithm.cipher->cipher == Cipher::null ? Shape::mac : Shape::chain;
}

rte_crypto_auth_algorithm auth_of(Integrity integrity) noexcept {
    switch (integrity) {
    case Integrity::hmac_sha1: return RTE_CRYPTO_AUTH_SHA1_HMAC;
    case Integrity::hmac_sha256: return RTE_CRYPTO_AUTH_SHA256_HMAC;
    case Integrity::hmac_sha384: return RTE_CRYPTO_AUTH_SHA384_HMAC;
    default: return RTE_CRYPTO_AUTH_SHA512_HMAC;
    }
}
rte_crypto_cipher_algorithm cipher_of(Cipher cipher) noexcept {
    return cipher == Cipher::aes_ctr ? RTE_CRYPTO_CIPHER_AES_CTR : RTE_CRYPTO_CIPHER_AES_CBC;
}
rte_crypto_aead_algorithm aead_of(Cipher cipher) noexcept {
    return cipher == Cipher::aes_gcm ? RTE_CRYPTO_AEAD_AES_GCM : RTE_CRYPTO_AEAD_CHACHA20_POLY1305;
}

const rte_cryptodev_symmetric_capability* capability(const Device& device, rte_crypto_sym_xform_type type, int algorithm) noexcept {
    rte_cryptodev_sym_capability_idx index{};
    index.type = type;
    if (type == RTE_CRYPTO_SYM_XFORM_AEAD) index.algo.aead = static_cast<rte_crypto_aead_algorithm>(algorithm);
    if (type == RTE_CRYPTO_SYM_XFORM_AUTH) index.algo.auth = static_cast<rte_crypto_auth_algorithm>(algorithm);
    if (type == RTE_CRYPTO_SYM_XFORM_CIPHER) index.algo.cipher = static_cast<rte_crypto_cipher_algorithm>(algorithm);
    return rte_cryptodev_sym_capability_get(device.id, &index);
}

bool has_aead(const Device& device, const CipherKind& kind) noexcept {
    const auto* cap = capability(device, RTE_CRYPTO_SYM_XFORM_AEAD, aead_of(kind.cipher));
    return cap != nullptr && rte_cryptodev_sym_capability_check_aead(cap, kind.key, kind.icv, 8, 12) == 0 &&
           rte_cryptodev_sym_capability_check_aead(cap, kind.key, kind.icv, 12, 12) == 0;
}
bool has_auth(const Device& device, rte_crypto_auth_algorithm algorithm, uint16_t key, uint16_t icv, uint16_t iv) noexcept {
    const auto* cap = capability(device, RTE_CRYPTO_SYM_XFORM_AUTH, algorithm);
    return cap != nullptr && rte_cryptodev_sym_capability_check_auth(cap, key, icv, iv) == 0;
}
bool has_cipher(const Device& device, const CipherKind& kind) noexcept {
    const auto* cap = capability(device, RTE_CRYPTO_SYM_XFORM_CIPHER, cipher_of(kind.cipher));
    return cap != nullptr && rte_cryptodev_sym_capability_check_cipher(cap, kind.key, 16) == 0;
}

// Transforms - of one session. They point into the raw key.
struct Transforms {
    rte_crypto_sym_xform first{}, second{};

    Transforms(const Algorithm& algorithm, std::span<const std::byte> raw, bool encrypt, bool extended) {
        const CipherKind& kind = *algorithm.cipher;
        const uint8_t* key = reinterpret_cast<const uint8_t*>(raw.data());
        switch (shape_of(algorithm)) {
        case Shape::aead: set_aead(first, kind, key, encrypt, extended); return;
        case Shape::gmac: set_auth(first, RTE_CRYPTO_AUTH_AES_GMAC, key, kind.key, kind.icv, 12, encrypt); return;
        case Shape::mac: set_hmac(first, algorithm, key, encrypt); return;
        case Shape::chain: break;
        }
        // Encrypt, then MAC; on the way back, the MAC first.
        set_cipher(encrypt ? first : second, kind, key, encrypt);
        set_hmac(encrypt ? second : first, algorithm, key, encrypt);
        first.next = &second;
    }

  private:
    static void set_aead(rte_crypto_sym_xform& x, const CipherKind& kind, const uint8_t* key, bool encrypt, bool extended) {
        x.type = RTE_CRYPTO_SYM_XFORM_AEAD;
        x.aead.op = encrypt ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
        x.aead.algo = aead_of(kind.cipher);
        x.aead.key.data = key;
        x.aead.key.length = kind.key;
        x.aead.iv.offset = kIvAt;
        x.aead.iv.length = 12;
        x.aead.digest_length = kind.icv;
        x.aead.aad_length = extended ? 12 : 8;
    }
    static void set_auth(rte_crypto_sym_xform& x, rte_crypto_auth_algorithm algorithm, const uint8_t* key, uint16_t bytes,
                         uint16_t icv, uint16_t iv, bool encrypt) {
        x.type = RTE_CRYPTO_SYM_XFORM_AUTH;
        x.auth.op = encrypt ? RTE_CRYPTO_AUTH_OP_GENERATE : RTE_CRYPTO_AUTH_OP_VERIFY;
        x.auth.algo = algorithm;
        x.auth.key.data = key;
        x.auth.key.length = bytes;
        x.auth.iv.offset = iv == 0 ? uint16_t{0} : kIvAt;
        x.auth.iv.length = iv;
        x.auth.digest_length = icv;
    }
    static void set_hmac(rte_crypto_sym_xform& x, const Algorithm& algorithm, const uint8_t* key, bool encrypt) {
        const IntegrityKind& kind = *algorithm.integrity;
        set_auth(x, auth_of(kind.integrity), key + algorithm.cipher->key + algorithm.cipher->salt, kind.key, kind.icv, 0, encrypt);
    }
    static void set_cipher(rte_crypto_sym_xform& x, const CipherKind& kind, const uint8_t* key, bool encrypt) {
        x.type = RTE_CRYPTO_SYM_XFORM_CIPHER;
        x.cipher.op = encrypt ? RTE_CRYPTO_CIPHER_OP_ENCRYPT : RTE_CRYPTO_CIPHER_OP_DECRYPT;
        x.cipher.algo = cipher_of(kind.cipher);
        x.cipher.key.data = key;
        x.cipher.key.length = kind.key;
        x.cipher.iv.offset = kIvAt;
        x.cipher.iv.length = 16;
    }
};

void leave_out_of_dumps(rte_mempool*, void*, rte_mempool_memhdr* memory, unsigned) {
    const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const uintptr_t from = reinterpret_cast<uintptr_t>(memory->addr) & ~(page - 1);
    const uintptr_t to = reinterpret_cast<uintptr_t>(memory->addr) + memory->len;
    (void)madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTDUMP);
}

rte_mempool* add_pool(Device& device) {
    const std::string name = "um_sess_" + std::to_string(device.id) + "_" + std::to_string(device.pools.size());
    rte_mempool* pool = rte_cryptodev_sym_session_pool_create(
        name.c_str(), kPool, rte_cryptodev_sym_get_private_session_size(device.id), 0, 0, device.socket);
    if (pool == nullptr) return nullptr;
    rte_mempool_mem_iter(pool, leave_out_of_dumps, nullptr);
    device.pools.push_back(pool);
    return pool;
}

// session - null: rte_errno says why.
void* session(Device& device, Transforms& transforms) {
    for (rte_mempool* pool : device.pools)
        if (rte_mempool_avail_count(pool) > 0) return rte_cryptodev_sym_session_create(device.id, &transforms.first, pool);
    rte_mempool* pool = add_pool(device);
    return pool == nullptr ? nullptr : rte_cryptodev_sym_session_create(device.id, &transforms.first, pool);
}

void free_sessions(Device& device, Keyed& keyed) noexcept {
    for (auto& direction : keyed.session)
        for (void*& s : direction) {
            if (s == nullptr) continue;
            const uint32_t bytes = rte_mempool_from_obj(s)->elt_size;
            (void)rte_cryptodev_sym_session_free(device.id, s);
            wipe(s, bytes);  // it is in its pool, which nobody else takes from
            s = nullptr;
        }
}

}  // namespace

bool supports(const Device& device, const Algorithm& algorithm) noexcept {
    const CipherKind& kind = *algorithm.cipher;
    switch (shape_of(algorithm)) {
    case Shape::aead: return has_aead(device, kind);
    case Shape::gmac: return has_auth(device, RTE_CRYPTO_AUTH_AES_GMAC, kind.key, kind.icv, 12);
    default: break;
    }
    const IntegrityKind& hash = *algorithm.integrity;
    if (!has_auth(device, auth_of(hash.integrity), hash.key, hash.icv, 0)) return false;
    return kind.cipher == Cipher::null || (device.has(RTE_CRYPTODEV_FF_SYM_OPERATION_CHAINING) && has_cipher(device, kind));
}

Status make_key(Device& device, const Algorithm& algorithm, std::span<const std::byte> raw, std::byte* to) {
    bury(device);
    auto keyed = std::make_unique<Keyed>();
    const Shape shape = shape_of(algorithm);
    for (const bool encrypt : {false, true})
        for (const bool extended : {false, true}) {
            // Only an AEAD's session knows how many bytes there are besides the text.
            if (extended && shape != Shape::aead) continue;
            Transforms transforms(algorithm, raw, encrypt, extended);
            void* made = session(device, transforms);
            keyed->session[encrypt][extended] = made;
            if (made != nullptr) continue;
            const int error = rte_errno == 0 ? ENOMEM : rte_errno;
            free_sessions(device, *keyed);
            return Error{error, device.engine_name + " makes no session for " + algorithm.name() + ": " + rte_strerror(error)};
        }
    Key* key = new (to) Key{};
    key->keyed = keyed.release();
    key->cipher = algorithm.cipher->cipher;
    key->shape = shape;
    key->iv = algorithm.cipher->iv;
    key->icv = static_cast<uint8_t>(algorithm.icv());
    std::memcpy(key->salt, raw.data() + algorithm.cipher->key, algorithm.cipher->salt);
    return {};
}

void drop_key(Device& device, std::byte* key) noexcept {
    device.graves.push_back(reinterpret_cast<Key*>(key)->keyed);
    bury(device);
}

void bury(Device& device) noexcept {
    std::erase_if(device.graves, [&device](Keyed* keyed) {
        // Pairs with the release in lane.cc, land(): the device has let go of the session.
        if (keyed->in_flight.load(sync::acquire) != 0) return false;
        free_sessions(device, *keyed);
        delete keyed;
        return true;
    });
}

}  // namespace umbuf::cryptodev
