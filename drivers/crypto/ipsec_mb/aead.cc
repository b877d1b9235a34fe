// SPDX-License-Identifier: BSD-2-Clause
// aead.cc - AES-GCM, AES-GMAC and ChaCha20-Poly1305: init, update over the pieces, finalize.
//
// Each update reads a piece where it lies and writes the result where it belongs: that is all the copying
// there is. AES-GCM has a call for a message in one piece that is faster than these three; a short message
// in several pieces is put together in its room for its sake (kGather: `umbench esp`).
#include "drivers/crypto/ipsec_mb/key.h"

namespace umbuf::ipsec_mb {
namespace {

constexpr uint32_t kGather = 768;  // bytes: from here on a copy costs more than the three calls

// What IPsec-MB has three times, once for each key length.
struct Gcm {
    aes_gcm_init_t init;
    aes_gcm_enc_dec_update_t update;
    aes_gcm_enc_dec_finalize_t finalize;
};

Gcm gcm_of(const IMB_MGR* m, uint8_t bytes, bool encrypt) noexcept {
    switch (bytes) {
    case 16:
        return encrypt ? Gcm{m->gcm128_init, m->gcm128_enc_update, m->gcm128_enc_finalize}
                       : Gcm{m->gcm128_init, m->gcm128_dec_update, m->gcm128_dec_finalize};
    case 24:
        return encrypt ? Gcm{m->gcm192_init, m->gcm192_enc_update, m->gcm192_enc_finalize}
                       : Gcm{m->gcm192_init, m->gcm192_dec_update, m->gcm192_dec_finalize};
    default:
        return encrypt ? Gcm{m->gcm256_init, m->gcm256_enc_update, m->gcm256_enc_finalize}
                       : Gcm{m->gcm256_init, m->gcm256_dec_update, m->gcm256_dec_finalize};
    }
}

struct Gmac {
    aes_gmac_init_t init;
    aes_gmac_update_t update;
    aes_gmac_finalize_t finalize;
};

Gmac gmac_of(const IMB_MGR* m, uint8_t bytes) noexcept {
    switch (bytes) {
    case 16: return {m->gmac128_init, m->gmac128_update, m->gmac128_finalize};
    case 24: return {m->gmac192_init, m->gmac192_update, m->gmac192_finalize};
    default: return {m->gmac256_init, m->gmac256_update, m->gmac256_finalize};
    }
}

// one_piece - where the whole message lies, so that it can be done in one call; null: nowhere.
const uint8_t* one_piece(const Job& job) noexcept {
    if (job.to.size() != 1) return nullptr;
    if (job.source.size() == 1) return u8(job.source[0].at);
    if (job.len > (job.source.size() > 2 ? 4 * kGather : kGather)) return nullptr;
    std::byte* to = job.to[0].at;
    for (const Piece& piece : job.source) {
        std::memcpy(to, piece.at, piece.len);
        to += piece.len;
    }
    return u8(job.to[0].at);
}

}  // namespace

void run_gcm(Lane& lane, Job& job) noexcept {
    const Key& key = *Key::of(job);
    const Nonce nonce(key, job.head);
    const Aad aad(job);
    gcm_context_data context;
    uint8_t tag[16];
    if (const uint8_t* from = one_piece(job); from != nullptr) {
        uint8_t* const to = job.encrypt ? u8(job.icv) : tag;
        lane.gcm_of(key, job.encrypt)(&key.gcm, &context, u8(job.to[0].at), from, job.len, nonce.bytes, aad.bytes, aad.len, to, sizeof(tag));
        if (!job.encrypt) settle(job, tag, sizeof(tag));
        return;
    }
    const Gcm gcm = gcm_of(lane.mgr, key.bytes, job.encrypt);
    gcm.init(&key.gcm, &context, nonce.bytes, aad.bytes, aad.len);
    walk(job, [&](uint8_t* to, const uint8_t* from, uint32_t n) { gcm.update(&key.gcm, &context, to, from, n); });
    gcm.finalize(&key.gcm, &context, tag, sizeof(tag));
    settle(job, tag, sizeof(tag));
}

// RFC 4543, 3: nothing is encrypted; SPI, sequence number, IV and payload are what is authenticated.
void run_gmac(Lane& lane, Job& job) noexcept {
    const Key& key = *Key::of(job);
    const Gmac gmac = gmac_of(lane.mgr, key.bytes);
    const Nonce nonce(key, job.head);
    const Aad aad(job);
    // One run of 16 or 20 bytes: the fewer partial blocks there are, the fewer are pieced together.
    uint8_t front[20];
    std::memcpy(front, aad.bytes, aad.len);
    std::memcpy(front + aad.len, job.head.iv, 8);
    gcm_context_data context;
    gmac.init(&key.gcm, &context, nonce.bytes, 12);
    gmac.update(&key.gcm, &context, front, aad.len + 8u);
    walk(job, [&](uint8_t* to, const uint8_t* from, uint32_t n) {
        gmac.update(&key.gcm, &context, from, n);
        if (to != from) std::memcpy(to, from, n);
    });
    uint8_t tag[16];
    gmac.finalize(&key.gcm, &context, tag, sizeof(tag));
    settle(job, tag, sizeof(tag));
}

void run_chacha20_poly1305(Lane& lane, Job& job) noexcept {
    const Key& key = *Key::of(job);
    const IMB_MGR* m = lane.mgr;
    const auto update = job.encrypt ? m->chacha20_poly1305_enc_update : m->chacha20_poly1305_dec_update;
    const Nonce nonce(key, job.head);
    const Aad aad(job);
    chacha20_poly1305_context_data context;
    m->chacha20_poly1305_init(key.chacha, &context, nonce.bytes, aad.bytes, aad.len);
    walk(job, [&](uint8_t* to, const uint8_t* from, uint32_t n) { update(key.chacha, &context, to, from, n); });
    uint8_t tag[16];
    m->chacha20_poly1305_finalize(&context, tag, sizeof(tag));
    settle(job, tag, sizeof(tag));
}

}  // namespace umbuf::ipsec_mb
