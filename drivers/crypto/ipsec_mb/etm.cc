// SPDX-License-Identifier: BSD-2-Clause
// etm.cc - AES-CBC, AES-CTR or nothing, and HMAC over the result: encrypt, then MAC.
//
// The library ciphers many messages at once, each in one piece. So a burst goes in rounds: in each, every
// packet contributes its next run of whole blocks, from the piece where they lie to the room where they
// belong; a block that two pieces share is put together on the side (a seam). The next round goes on with
// the IV that this one left.
//
// An HMAC wants its message in one piece, head and ciphertext (and, with ESN, four bytes more). Where they
// lie side by side they are hashed there (Job::whole). Else they are copied into the lane's scratch first:
// a packet that came in several mbufs, or over several clusters, or ESN. Ciphertext, in memory of ours.
#include <algorithm>
#include <array>

#include "drivers/crypto/ipsec_mb/key.h"
#include "lib/base/check.h"
#include "lib/ipsec/ip.h"

namespace umbuf::ipsec_mb {
namespace {

constexpr uint32_t kBlock = 16;

// Cursor - how far a packet's cipher has come.
struct Cursor {
    Job* job;
    const Key* key;
    size_t piece, room;
    uint32_t in_piece, in_room, done;
    uint32_t run;   // bytes of this round
    bool seam;      // they are put together on the side
    alignas(16) uint8_t iv[kBlock];  // CBC: the last ciphertext block; CTR: the next counter block
    alignas(16) uint8_t from[kBlock], to[kBlock];

    [[nodiscard]] bool finished() const noexcept { return done == job->len; }
    const std::byte* source() noexcept {
        while (in_piece == job->source[piece].len) ++piece, in_piece = 0;
        return job->source[piece].at + in_piece;
    }
    std::byte* target() noexcept {
        while (in_room == job->to[room].len) ++room, in_room = 0;
        return job->to[room].at + in_room;
    }
    [[nodiscard]] uint32_t together() noexcept {
        (void)source();
        (void)target();
        return std::min(job->source[piece].len - in_piece, job->to[room].len - in_room);
    }
};

void begin(Cursor& c, Job& job) noexcept {
    c = Cursor{.job = &job, .key = Key::of(job)};
    if (c.key->cipher == Cipher::aes_cbc) {
        std::memcpy(c.iv, job.head.iv, kBlock);
        return;
    }
    // RFC 3686, 4: nonce, IV, a counter that begins with 1.
    std::memcpy(c.iv, c.key->salt, 4);
    std::memcpy(c.iv + 4, job.head.iv, 8);
    c.iv[15] = 1;
}

// gather - the seam's bytes, out of as many pieces as they are in. Moves the source's side on.
void gather(Cursor& c) noexcept {
    for (uint32_t n = 0; n < c.run;) {
        const std::byte* at = c.source();
        const uint32_t k = std::min(c.run - n, c.job->source[c.piece].len - c.in_piece);
        std::memcpy(c.from + n, at, k);
        c.in_piece += k;
        n += k;
    }
}

void scatter(Cursor& c) noexcept {
    for (uint32_t n = 0; n < c.run;) {
        std::byte* at = c.target();
        const uint32_t k = std::min(c.run - n, c.job->to[c.room].len - c.in_room);
        std::memcpy(at, c.to + n, k);
        c.in_room += k;
        n += k;
    }
}

// next - this round's run, as the library is told of it.
void next(Cursor& c, IMB_JOB& j) noexcept {
    const uint32_t left = c.job->len - c.done, n = c.together();
    c.seam = n < std::min(left, kBlock);
    c.run = c.seam ? std::min(left, kBlock) : n == left ? n : n & ~(kBlock - 1);
    if (c.seam) gather(c);
    j = IMB_JOB{};
    j.src = c.seam ? c.from : u8(c.source());
    j.dst = c.seam ? c.to : u8(c.target());
    j.msg_len_to_cipher_in_bytes = c.run;
    j.iv = c.iv;
    j.iv_len_in_bytes = kBlock;
    j.enc_keys = c.key->aes.encrypt;
    j.dec_keys = c.key->cipher == Cipher::aes_ctr ? c.key->aes.encrypt : c.key->aes.decrypt;
    j.key_len_in_bytes = c.key->bytes;
    j.cipher_mode = c.key->cipher == Cipher::aes_ctr ? IMB_CIPHER_CNTR : IMB_CIPHER_CBC;
    j.cipher_direction = c.job->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
    j.hash_alg = IMB_AUTH_NULL;
    j.chain_order = IMB_ORDER_CIPHER_HASH;
}

// done - the run is through: leave the IV for the next, move both sides on.
void done(Cursor& c, const IMB_JOB& j) noexcept {
    if (c.key->cipher == Cipher::aes_cbc) {
        const uint8_t* chained = (c.job->encrypt ? j.dst : j.src) + c.run - kBlock;
        std::memcpy(c.iv, chained, kBlock);
    } else {
        std::byte* counter = reinterpret_cast<std::byte*>(c.iv + 12);
        store32(counter, load32(counter) + (c.run + kBlock - 1) / kBlock);
    }
    if (c.seam) {
        scatter(c);
    } else {
        c.in_piece += c.run;
        c.in_room += c.run;
    }
    c.done += c.run;
}

bool alike(const Cursor& a, const Cursor& b) noexcept { return a.key->cipher == b.key->cipher && a.key->bytes == b.key->bytes; }

// round - one run of each packet that has the first unfinished one's cipher. False: all are finished.
bool round(Lane& lane, std::span<Cursor> cursors) noexcept {
    const auto first = std::find_if(cursors.begin(), cursors.end(), [](const Cursor& c) { return !c.finished(); });
    if (first == cursors.end()) return false;
    std::array<Cursor*, kMost> of;
    uint32_t n = 0;
    for (Cursor& c : cursors)
        if (!c.finished() && alike(c, *first)) {
            of[n] = &c;
            next(c, lane.jobs[n++]);
        }
    const IMB_JOB& j = lane.jobs[0];
    const uint32_t through = IMB_SUBMIT_CIPHER_BURST_NOCHECK(lane.mgr, lane.jobs, n, j.cipher_mode, j.cipher_direction,
                                                             static_cast<IMB_KEY_SIZE_BYTES>(j.key_len_in_bytes));
    UM_ASSERT_MSG(through == n, "IPsec-MB ciphered %u of %u runs", through, n);
    for (uint32_t i = 0; i < n; ++i) done(*of[i], lane.jobs[i]);
    return true;
}

// cipher - all in `jobs`, of one direction.
void cipher(Lane& lane, std::span<Job* const> jobs) noexcept {
    std::array<Cursor, kMost> cursors;
    uint32_t n = 0;
    for (Job* job : jobs) {
        if (Key::of(*job)->cipher == Cipher::null)
            walk(*job, [](uint8_t* to, const uint8_t* from, uint32_t bytes) { std::memcpy(to, from, bytes); });
        else
            begin(cursors[n++], *job);
    }
    while (round(lane, {cursors.data(), n})) {
    }
}

IMB_HASH_ALG hash_of(Integrity integrity) noexcept {
    switch (integrity) {
    case Integrity::hmac_sha1: return IMB_AUTH_HMAC_SHA_1;
    case Integrity::hmac_sha256: return IMB_AUTH_HMAC_SHA_256;
    case Integrity::hmac_sha384: return IMB_AUTH_HMAC_SHA_384;
    default: return IMB_AUTH_HMAC_SHA_512;
    }
}

uint32_t message_bytes(const Job& job) noexcept { return 8u + Key::of(job)->iv + job.len + (job.extended ? 4u : 0u); }

// message - what is authenticated, in one piece: where it lies, or in the lane's scratch from `used` on.
// Null: there is no more room in it, yet.
const uint8_t* message(Lane& lane, const Job& job, uint32_t& used) noexcept {
    if (job.whole != nullptr && !job.extended) return u8(job.whole);
    if (kScratch - used < message_bytes(job)) return nullptr;
    uint8_t* const at = lane.scratch + used;
    uint8_t* to = at;
    const auto put = [&to](const void* from, size_t n) {
        if (n == 0) return;  // a piece of nothing may be nowhere
        std::memcpy(to, from, n);
        to += n;
    };
    put(&job.head, 8u + Key::of(job)->iv);
    if (job.encrypt) {
        for (const Room& room : job.to) put(room.at, room.len);
    } else {
        for (const Piece& piece : job.source) put(piece.at, piece.len);
    }
    if (job.extended) put(job.seq_high, 4);
    used += message_bytes(job);
    return at;
}

// hash - some of `jobs`, of one HMAC, from the first on. Returns how many.
uint32_t hash(Lane& lane, std::span<Job* const> jobs) noexcept {
    const Integrity integrity = Key::of(*jobs[0])->integrity;
    uint8_t tags[kMost][kMaxIcv];
    uint32_t n = 0, used = 0;
    for (; n < jobs.size() && Key::of(*jobs[n])->integrity == integrity; ++n) {
        const Key& key = *Key::of(*jobs[n]);
        const uint8_t* at = message(lane, *jobs[n], used);
        if (at == nullptr) break;
        IMB_JOB& j = lane.jobs[n];
        j = IMB_JOB{};
        j.src = at;
        j.msg_len_to_hash_in_bytes = message_bytes(*jobs[n]);
        j.auth_tag_output = tags[n];
        j.auth_tag_output_len_in_bytes = key.icv;
        j.u.HMAC._hashed_auth_key_xor_ipad = key.inner;
        j.u.HMAC._hashed_auth_key_xor_opad = key.outer;
        j.hash_alg = hash_of(integrity);
        j.cipher_mode = IMB_CIPHER_NULL;
        j.chain_order = IMB_ORDER_HASH_CIPHER;
    }
    const uint32_t through = IMB_SUBMIT_HASH_BURST_NOCHECK(lane.mgr, lane.jobs, n, hash_of(integrity));
    UM_ASSERT_MSG(through == n && n > 0, "IPsec-MB hashed %u of %u messages", through, n);
    for (uint32_t i = 0; i < n; ++i) settle(*jobs[i], tags[i], Key::of(*jobs[i])->icv);
    return n;
}

void hash_all(Lane& lane, std::span<Job* const> jobs) noexcept {
    while (!jobs.empty()) jobs = jobs.subspan(hash(lane, jobs));
}

}  // namespace

void run_etm(Lane& lane, std::span<Job* const> jobs) noexcept {
    std::array<Job*, kMost> encrypt, decrypt;
    uint32_t n_encrypt = 0, n_decrypt = 0;
    for (Job* job : jobs) (job->encrypt ? encrypt[n_encrypt++] : decrypt[n_decrypt++]) = job;
    cipher(lane, {encrypt.data(), n_encrypt});
    hash_all(lane, {encrypt.data(), n_encrypt});
    hash_all(lane, {decrypt.data(), n_decrypt});
    // What is not authentic is not worth the cipher's time.
    const auto end = std::remove_if(decrypt.begin(), decrypt.begin() + n_decrypt, [](const Job* job) { return !job->authentic; });
    cipher(lane, {decrypt.data(), static_cast<size_t>(end - decrypt.begin())});
}

void expand_hmac(IMB_MGR* mgr, const IntegrityKind& kind, const std::byte* raw, Key& key) {
    const auto one_block = [mgr, &kind](const void* block, void* to) {
        switch (kind.integrity) {
        case Integrity::hmac_sha1: IMB_SHA1_ONE_BLOCK(mgr, block, to); break;
        case Integrity::hmac_sha256: IMB_SHA256_ONE_BLOCK(mgr, block, to); break;
        case Integrity::hmac_sha384: IMB_SHA384_ONE_BLOCK(mgr, block, to); break;
        default: IMB_SHA512_ONE_BLOCK(mgr, block, to); break;
        }
    };
    const auto padded = [&](uint8_t pad, uint8_t* to) {
        uint8_t block[128];
        std::memset(block, pad, sizeof(block));
        for (uint32_t i = 0; i < kind.key; ++i) block[i] = static_cast<uint8_t>(block[i] ^ static_cast<uint8_t>(raw[i]));
        one_block(block, to);
        wipe(block, sizeof(block));
    };
    padded(0x36, key.inner);  // RFC 2104, 2; a key is never longer than a block
    padded(0x5c, key.outer);
}

}  // namespace umbuf::ipsec_mb
