// SPDX-License-Identifier: BSD-2-Clause
// ipsec_mb.cc - the engine's table: keys, lanes, and which way a job goes.
#include "drivers/crypto/ipsec_mb/ipsec_mb.h"

#include <cstdlib>
#include <new>
#include <string>

#include "drivers/crypto/ipsec_mb/key.h"

namespace umbuf {
namespace ipsec_mb {

IMB_MGR* manager() {
    IMB_MGR* mgr = alloc_mb_mgr(0);
    if (mgr == nullptr) return nullptr;
    const char* less = std::getenv("UM_IPSEC_MB");
    const std::string path = less == nullptr ? "" : less;
    if (path == "sse")
        init_mb_mgr_sse(mgr);
    else if (path == "avx2")
        init_mb_mgr_avx2(mgr);
    else
        init_mb_mgr_auto(mgr, nullptr);
    return mgr;
}

namespace {

// The manager that keys are expanded with: made once, and kept.
IMB_MGR* shared_manager() {
    static IMB_MGR* const mgr = manager();
    return mgr;
}

Status ready() {
    if (imb_get_version() >> 16 != IMB_VERSION_NUM >> 16)
        return Error{ENOTSUP, std::string("ipsec-mb: built for version ") + IMB_VERSION_STR + " of the library, and it is " +
                                  imb_get_version_str()};
    if ((imb_get_feature_flags() & IMB_FEATURE_AESNI) == 0)
        return Error{ENOTSUP, "ipsec-mb: this CPU has no AES instructions; choose another engine"};
    if (shared_manager() == nullptr) return Error{ENOMEM, "ipsec-mb: no memory for its manager"};
    if (const int error = imb_get_errno(shared_manager()); error != 0)
        return Error{EIO, std::string("ipsec-mb: the library says: ") + imb_get_strerror(error)};
    return {};
}

bool supports(const Algorithm&) noexcept { return true; }
// Where a cipher and a hash are two passes, what is not authentic is not deciphered.
bool in_place(const Algorithm& algorithm) noexcept { return algorithm.aead(); }

size_t key_bytes(const Algorithm&) noexcept { return sizeof(Key); }

void expand_gcm(IMB_MGR* mgr, uint8_t bytes, const void* raw, gcm_key_data* to) {
    switch (bytes) {
    case 16: IMB_AES128_GCM_PRE(mgr, raw, to); break;
    case 24: IMB_AES192_GCM_PRE(mgr, raw, to); break;
    default: IMB_AES256_GCM_PRE(mgr, raw, to); break;
    }
}

void expand_aes(IMB_MGR* mgr, uint8_t bytes, const void* raw, AesKey& to) {
    switch (bytes) {
    case 16: IMB_AES_KEYEXP_128(mgr, raw, to.encrypt, to.decrypt); break;
    case 24: IMB_AES_KEYEXP_192(mgr, raw, to.encrypt, to.decrypt); break;
    default: IMB_AES_KEYEXP_256(mgr, raw, to.encrypt, to.decrypt); break;
    }
}

Status make_key(const Algorithm& algorithm, std::span<const std::byte> raw, std::byte* to) {
    Key* key = new (to) Key{};
    const CipherKind& kind = *algorithm.cipher;
    key->cipher = kind.cipher;
    key->integrity = algorithm.aead() ? Integrity::aead : algorithm.integrity->integrity;
    key->bytes = kind.key;
    key->iv = kind.iv;
    key->icv = static_cast<uint8_t>(algorithm.icv());
    std::memcpy(key->salt, raw.data() + kind.key, kind.salt);
    switch (kind.cipher) {
    case Cipher::null: break;
    case Cipher::aes_cbc:
    case Cipher::aes_ctr: expand_aes(shared_manager(), kind.key, raw.data(), key->aes); break;
    case Cipher::chacha20_poly1305: std::memcpy(key->chacha, raw.data(), sizeof(key->chacha)); break;
    default: expand_gcm(shared_manager(), kind.key, raw.data(), &key->gcm); break;
    }
    if (!algorithm.aead()) expand_hmac(shared_manager(), *algorithm.integrity, raw.data() + kind.key + kind.salt, *key);
    return {};
}

EngineLane* open_lane(int) {
    Lane* lane = new (std::nothrow) Lane;
    if (lane == nullptr) return nullptr;
    lane->mgr = manager();
    if (lane->mgr == nullptr) {
        delete lane;
        return nullptr;
    }
    const IMB_MGR& m = *lane->mgr;
    const aes_gcm_enc_dec_t calls[2][3] = {{m.gcm128_dec, m.gcm192_dec, m.gcm256_dec}, {m.gcm128_enc, m.gcm192_enc, m.gcm256_enc}};
    std::memcpy(lane->gcm, calls, sizeof(calls));
    return reinterpret_cast<EngineLane*>(lane);
}

void close_lane(EngineLane* opaque) noexcept {
    if (opaque == nullptr) return;
    Lane* lane = &Lane::of(*opaque);
    free_mb_mgr(lane->mgr);
    delete lane;
}

// fetch_early - the first lines of what the next job reads and writes: they arrive while this one is done. The processor
// fetches the rest by itself.
constexpr uint32_t kEarly = 1536;  // bytes; found by trying (umbench esp)
[[gnu::always_inline]] inline void fetch_early(const Job& job) noexcept {
    const Piece& first = job.source[job.source.size() > 2 ? 1 : 0];  // pages are behind the headers
    const uint32_t most = first.len < kEarly ? first.len : kEarly;
    for (uint32_t at = 0; at < most; at += 64) __builtin_prefetch(first.at + at);
    const Room& room = job.to[0];
    const uint32_t much = room.len < kEarly ? room.len : kEarly;
    for (uint32_t at = 0; at < much; at += 64) __builtin_prefetch(room.at + at);
}

void run(EngineLane& opaque, Job* jobs, uint16_t n) noexcept {
    Lane& lane = Lane::of(opaque);
    Job* etm[kMost];
    uint32_t n_etm = 0;
    for (uint16_t i = 0; i < n; ++i) {
        if (i + 1 < n) fetch_early(jobs[i + 1]);
        switch (Key::of(jobs[i])->cipher) {
        case Cipher::aes_gcm: run_gcm(lane, jobs[i]); break;
        case Cipher::aes_gmac: run_gmac(lane, jobs[i]); break;
        case Cipher::chacha20_poly1305: run_chacha20_poly1305(lane, jobs[i]); break;
        default:
            etm[n_etm++] = &jobs[i];
            if (n_etm < kMost) break;
            run_etm(lane, {etm, n_etm});
            n_etm = 0;
        }
    }
    if (n_etm > 0) run_etm(lane, {etm, n_etm});
}

}  // namespace
}  // namespace ipsec_mb

const Engine ipsec_mb_engine = {
    .name = "ipsec-mb",
    .ready = ipsec_mb::ready,
    .supports = ipsec_mb::supports,
    .in_place = ipsec_mb::in_place,
    .key_bytes = ipsec_mb::key_bytes,
    .make_key = ipsec_mb::make_key,
    .open = ipsec_mb::open_lane,
    .close = ipsec_mb::close_lane,
    .run = ipsec_mb::run,
};

}  // namespace umbuf
