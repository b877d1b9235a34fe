// SPDX-License-Identifier: BSD-2-Clause
// lane.cc - jobs become operations of a device, and come back.
//
// Each job in flight has a slot: an operation, mbufs to show the device where the bytes are, and some memory
// that the device knows. The ways of a job, by what has to be copied for it:
//
//      direct      the device reads the pieces and writes the room                              nothing
//      in room     the pieces are copied into the room, and the device works there               once
//      bounced     the pieces are copied into the slot's memory, and what it did is copied out   twice
//      hashed      nothing is encrypted: the copy into the room is the cipher                    nothing
//
// A chain of cipher and HMAC is direct where the head lies before the text, because the hash goes over both.
// With ESN, four bytes are hashed behind the ciphertext; in the room they would lie where the ICV will be,
// beyond the output (J2), so such a job is bounced when it encrypts.
#include <algorithm>
#include <cstring>
#include <new>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "drivers/crypto/cryptodev/device.h"
#include "lib/ipsec/ip.h"
#include "lib/mbuf/window.h"

namespace umbuf::cryptodev {

namespace {

constexpr uint32_t kSegments = 24;             // of a chain that is shown to the device
constexpr uint32_t kSmall = 2304;              // bytes of each slot's own memory
constexpr uint32_t kLarge = (1u << 16) + 256;  // of a large one
constexpr uint32_t kLarges = 4;                // jobs that can have one
constexpr uint64_t kPatienceMs = 1000;         // without a sign of life, on the control thread
constexpr uint16_t kBurst = 32;

enum class Way : uint8_t { direct, in_room, bounced, hashed };

struct Slot {
    Job* job;      // null: nobody waits for it
    Keyed* keyed;  // null: the slot is free
    rte_crypto_op* op;
    Extra* extra;
    uint8_t* small;
    uint8_t* bytes;  // small, or a large one
    uint32_t text_at;  // in `bytes`, of what is bounced
    Way way;
    uint8_t icv;
    std::array<rte_mbuf, kSegments + 1> m;  // the last is the destination
};

}  // namespace

struct Lane {
    Device* device;
    uint16_t queue;
    rte_mempool* ops;
    Slot* slots;
    uint8_t* memory;
    std::array<uint8_t*, kLarges> large;
    uint32_t n_large;  // free ones
    std::array<uint16_t, kFlying> free;
    uint16_t n_free;
    sync::Counter jobs, failed, copied, copied_bytes, full;  // [l]
    [[nodiscard]] static Lane& of(EngineLane& lane) noexcept { return reinterpret_cast<Lane&>(lane); }
};

namespace {

// ---- memory, as the device sees it

// iova_of - RTE_BAD_IOVA: the device cannot reach it. Software uses addresses.
rte_iova_t iova_of(const Device& device, const void* at) noexcept {
    if (!device.hardware) return reinterpret_cast<rte_iova_t>(at);
    // A page's window is not the page: the device has it where it lies.
    const void* there = ghost::alias_has(at) ? ghost::of(at) : at;
    return rte_mem_virt2memseg_list(there) == nullptr ? RTE_BAD_IOVA : rte_mem_virt2iova(there);
}

// Chain - the mbufs of a slot, one behind the other.
class Chain {
  public:
    Chain(const Device& device, Slot& slot, size_t at) : device_(device), slot_(slot), from_(at), at_(at) {}
    // add - false: no more mbufs, or bytes that the device cannot reach.
    bool add(const void* bytes, uint32_t len) noexcept {
        if (len == 0) return true;
        const rte_iova_t iova = iova_of(device_, bytes);
        if (at_ == slot_.m.size() || len > UINT16_MAX || iova == RTE_BAD_IOVA) return false;
        rte_mbuf& m = slot_.m[at_];
        m = rte_mbuf{};
        m.buf_addr = const_cast<void*>(bytes);
        rte_mbuf_iova_set(&m, iova);
        m.buf_len = m.data_len = static_cast<uint16_t>(len);
        rte_mbuf_refcnt_set(&m, 1);
        m.nb_segs = 1;
        if (at_ > from_) {
            slot_.m[at_ - 1].next = &m;
            ++slot_.m[from_].nb_segs;
        }
        slot_.m[from_].pkt_len += len;
        ++at_;
        return true;
    }
    [[nodiscard]] bool add_source(const Job& job) noexcept {
        return std::all_of(job.source.begin(), job.source.end(), [this](const Piece& p) { return add(p.at, p.len); });
    }
    [[nodiscard]] rte_mbuf* first() noexcept { return &slot_.m[from_]; }
    [[nodiscard]] bool one() const noexcept { return at_ == from_ + 1; }

  private:
    const Device& device_;
    Slot& slot_;
    size_t from_, at_;
};

// only_room - of a job that has no other; null: it has.
const Room* only_room(const Job& job) noexcept {
    const Room* only = nullptr;
    for (const Room& room : job.to) {
        if (room.len == 0) continue;
        if (only != nullptr) return nullptr;
        only = &room;
    }
    return only;
}

void gather(const Job& job, uint8_t* to) noexcept {
    for (const Piece& piece : job.source) {
        if (piece.len == 0) continue;
        std::memcpy(to, piece.at, piece.len);
        to += piece.len;
    }
}

void scatter(const Job& job, const uint8_t* from) noexcept {
    for (const Room& room : job.to) {
        if (room.len == 0) continue;
        std::memcpy(room.at, from, room.len);
        from += room.len;
    }
}

// copy_through - a cipher that changes nothing.
void copy_through(const Job& job) noexcept {
    size_t room = 0;
    uint32_t used = 0;
    for (const Piece& piece : job.source)
        for (uint32_t done = 0; done < piece.len;) {
            while (used == job.to[room].len) ++room, used = 0;
            const uint32_t n = std::min(piece.len - done, job.to[room].len - used);
            std::memcpy(job.to[room].at + used, piece.at + done, n);
            used += n;
            done += n;
        }
}

// ---- one job

// borrow - memory of `bytes` in the slot. False: all large ones are in use.
bool borrow(Lane& lane, Slot& slot, uint32_t bytes) noexcept {
    slot.bytes = slot.small;
    if (bytes <= kSmall) return true;
    if (lane.n_large == 0) return false;
    slot.bytes = lane.large[--lane.n_large];
    return true;
}

void give_back(Lane& lane, Slot& slot) noexcept {
    if (slot.bytes != slot.small) lane.large[lane.n_large++] = slot.bytes;
    slot.bytes = slot.small;
}

// sym_of - op->sym is an array of none, which compilers warn of.
rte_crypto_sym_op& sym_of(const Slot& slot) noexcept {
    return *reinterpret_cast<rte_crypto_sym_op*>(reinterpret_cast<uint8_t*>(slot.op) + offsetof(rte_crypto_op, sym));
}

rte_iova_t extra_iova(const Slot& slot, const uint8_t* at) noexcept {
    return slot.op->phys_addr + static_cast<uint64_t>(at - reinterpret_cast<const uint8_t*>(slot.op));
}

void write_iv(const Key& key, const Job& job, Extra& extra) noexcept {
    if (key.cipher == Cipher::aes_cbc) {
        std::memcpy(extra.iv, job.head.iv, 16);
        return;
    }
    std::memcpy(extra.iv, key.salt, 4);
    std::memcpy(extra.iv + 4, job.head.iv, 8);
    store32(reinterpret_cast<std::byte*>(extra.iv + 12), 1);  // AES-CTR's counter (RFC 3686, 4)
}

// write_aad - SPI and the number as they are authenticated (RFC 4106, 5). Returns their bytes.
uint32_t write_aad(const Job& job, uint8_t* to) noexcept {
    const uint32_t bytes = job.extended ? 12 : 8;
    std::memcpy(to, job.head.spi, 4);
    if (job.extended) std::memcpy(to + 4, job.seq_high, 4);
    std::memcpy(to + bytes - 4, job.head.seq, 4);
    return bytes;
}

// Auth - the part of sym_op that AEADs do not have.
void set_auth(Slot& slot, uint32_t offset, uint32_t bytes) noexcept {
    rte_crypto_sym_op& sym = sym_of(slot);
    sym.auth.data.offset = offset;
    sym.auth.data.length = bytes;
    sym.auth.digest.data = slot.extra->digest;
    sym.auth.digest.phys_addr = extra_iova(slot, slot.extra->digest);
}

// use_memory - the slot's borrowed memory is what the device works on.
void use_memory(const Device& device, Slot& slot, uint32_t bytes) noexcept {
    Chain chain(device, slot, 0);
    const bool known = chain.add(slot.bytes, bytes);
    UM_ASSERT(known);
    sym_of(slot).m_src = chain.first();
}

bool oop(const Device& device, const Chain& chain) noexcept {
    return device.has(chain.one() ? RTE_CRYPTODEV_FF_OOP_LB_IN_LB_OUT : RTE_CRYPTODEV_FF_OOP_SGL_IN_LB_OUT);
}

// lead_out - m_dst is the room, with `before` bytes before it that the device only counts.
bool lead_out(const Device& device, Slot& slot, const Room& room, uint32_t before) noexcept {
    Chain to(device, slot, kSegments);
    if (!to.add(room.at - before, room.len + before)) return false;
    sym_of(slot).m_dst = to.first();
    return true;
}

bool build_aead(Lane& lane, Slot& slot, const Job& job) noexcept {
    const Device& device = *lane.device;
    rte_crypto_sym_op& sym = sym_of(slot);
    (void)write_aad(job, slot.extra->aad);
    sym.aead.data.offset = 0;
    sym.aead.data.length = job.len;
    sym.aead.aad.data = slot.extra->aad;
    sym.aead.aad.phys_addr = extra_iova(slot, slot.extra->aad);
    sym.aead.digest.data = slot.extra->digest;
    sym.aead.digest.phys_addr = extra_iova(slot, slot.extra->digest);
    const Room* room = only_room(job);
    Chain chain(device, slot, 0);
    if (room != nullptr && chain.add_source(job) && (device.hardware || chain.one()) && oop(device, chain) &&
        lead_out(device, slot, *room, 0)) {
        slot.way = Way::direct;
        sym.m_src = chain.first();
        return true;
    }
    Chain there(device, slot, 0);
    if (room != nullptr && there.add(room->at, job.len)) {
        slot.way = Way::in_room;
        gather(job, reinterpret_cast<uint8_t*>(room->at));
        sym.m_src = there.first();
        return true;
    }
    if (!borrow(lane, slot, job.len)) return false;
    slot.way = Way::bounced;
    slot.text_at = 0;
    gather(job, slot.bytes);
    use_memory(device, slot, job.len);
    return true;
}

// hash_whole - where head and text lie in one piece, and nothing is to be hashed besides.
bool hash_whole(const Device& device, Slot& slot, const Job& job, uint32_t head) noexcept {
    Chain whole(device, slot, 0);
    if (job.whole == nullptr || job.extended || !whole.add(job.whole, head + job.len)) return false;
    sym_of(slot).m_src = whole.first();
    set_auth(slot, 0, head + job.len);
    return true;
}

// build_hash - AES-GMAC, and HMACs without a cipher.
bool build_hash(Lane& lane, Slot& slot, const Key& key, const Job& job) noexcept {
    slot.way = Way::hashed;
    const uint32_t head = 8u + key.iv;
    const bool gmac = key.shape == Shape::gmac;
    if (job.encrypt && job.whole != nullptr && !job.extended) copy_through(job);  // that is where it is hashed
    if (hash_whole(*lane.device, slot, job, head)) {
        if (!job.encrypt) copy_through(job);
        return true;
    }
    if (!borrow(lane, slot, 12 + 8 + job.len + 4)) return false;
    uint8_t* to = slot.bytes;
    if (gmac) {
        to += write_aad(job, to);  // RFC 4543, 3: ESN's upper half between SPI and number
        std::memcpy(to, job.head.iv, 8);
        to += 8;
    } else {
        std::memcpy(to, &job.head, 8);
        to += 8;
    }
    gather(job, to);
    to += job.len;
    if (!gmac && job.extended) {
        std::memcpy(to, job.seq_high, 4);
        to += 4;
    }
    const uint32_t bytes = static_cast<uint32_t>(to - slot.bytes);
    use_memory(*lane.device, slot, bytes);
    set_auth(slot, 0, bytes);
    copy_through(job);
    lane.copied.add(1);
    lane.copied_bytes.add(job.len);
    return true;
}

// chain_directly - false: it has to be bounced.
bool chain_directly(const Device& device, Slot& slot, const Job& job, uint32_t head) noexcept {
    const Room* room = only_room(job);
    if (room == nullptr || !device.hardware) return false;
    if (job.encrypt && (job.extended || job.whole == nullptr)) return false;
    Chain chain(device, slot, 0);
    if (!job.encrypt && !job.extended && job.whole != nullptr) {
        if (!chain.add(job.whole, head + job.len)) return false;
    } else {
        std::memcpy(slot.extra->front, &job.head, head);
        std::memcpy(slot.extra->high, job.seq_high, 4);
        if (!chain.add(slot.extra->front, head) || !chain.add_source(job)) return false;
        if (job.extended && !chain.add(slot.extra->high, 4)) return false;
    }
    if (!oop(device, chain) || !lead_out(device, slot, *room, head)) return false;
    sym_of(slot).m_src = chain.first();
    return true;
}

bool build_chain(Lane& lane, Slot& slot, const Key& key, const Job& job) noexcept {
    const uint32_t head = 8u + key.iv, high = job.extended ? 4u : 0u;
    rte_crypto_sym_op& sym = sym_of(slot);
    sym.cipher.data.offset = head;
    sym.cipher.data.length = job.len;
    set_auth(slot, 0, head + job.len + high);
    slot.way = Way::direct;
    if (chain_directly(*lane.device, slot, job, head)) return true;
    sym.m_dst = nullptr;
    if (!borrow(lane, slot, head + job.len + high)) return false;
    slot.way = Way::bounced;
    slot.text_at = head;
    std::memcpy(slot.bytes, &job.head, head);
    gather(job, slot.bytes + head);
    std::memcpy(slot.bytes + head + job.len, job.seq_high, high);
    use_memory(*lane.device, slot, head + job.len + high);
    return true;
}

// build - the slot's operation. False: there is no memory for it now, and the slot is as it was.
bool build(Lane& lane, Slot& slot, Job& job) noexcept {
    const Key& key = *Key::of(job);
    rte_crypto_op* op = slot.op;
    __rte_crypto_op_reset(op, RTE_CRYPTO_OP_TYPE_SYMMETRIC);
    void* session = key.keyed->session[job.encrypt][job.extended && key.shape == Shape::aead];
    (void)rte_crypto_op_attach_sym_session(op, session);
    sym_of(slot).m_dst = nullptr;
    write_iv(key, job, *slot.extra);
    if (!job.encrypt) std::memcpy(slot.extra->digest, job.icv, key.icv);
    slot.bytes = slot.small;
    slot.icv = key.icv;
    job.done = job.failed = job.authentic = false;
    bool built = false;
    switch (key.shape) {
    case Shape::aead: built = build_aead(lane, slot, job); break;
    case Shape::chain: built = build_chain(lane, slot, key, job); break;
    default: built = build_hash(lane, slot, key, job); break;
    }
    if (!built) return false;
    if (slot.way == Way::in_room || slot.way == Way::bounced) {
        lane.copied.add(1);
        lane.copied_bytes.add(job.len);
    }
    slot.job = &job;
    slot.keyed = key.keyed;
    key.keyed->in_flight.fetch_add(1, sync::relaxed);  // the SA is there: its key is, too
    return true;
}

// release - the slot is free again.
void release(Lane& lane, Slot& slot) noexcept {
    give_back(lane, slot);
    // What the device did with the session happens before bury() frees it: pairs with its acquire.
    slot.keyed->in_flight.fetch_sub(1, sync::release);
    slot.keyed = nullptr;
    slot.job = nullptr;
    lane.free[lane.n_free++] = static_cast<uint16_t>(&slot - lane.slots);
}

// land - an operation is done, one way or another.
void land(Lane& lane, Slot& slot) noexcept {
    lane.jobs.add(1);
    Job* job = slot.job;
    if (job != nullptr) {
        const auto status = slot.op->status;
        job->failed = status != RTE_CRYPTO_OP_STATUS_SUCCESS && (job->encrypt || status != RTE_CRYPTO_OP_STATUS_AUTH_FAILED);
        job->authentic = !job->encrypt && status == RTE_CRYPTO_OP_STATUS_SUCCESS;
        if (job->failed) lane.failed.add(1);
        const bool good = job->encrypt ? !job->failed : job->authentic;
        if (good && job->encrypt) std::memcpy(job->icv, slot.extra->digest, slot.icv);
        if (good && slot.way == Way::bounced) scatter(*job, slot.bytes + slot.text_at);
        job->done = true;
    }
    release(lane, slot);
}

Slot& slot_of(Lane& lane, const rte_crypto_op* op) noexcept {
    const auto* extra = reinterpret_cast<const Extra*>(reinterpret_cast<const uint8_t*>(op) + kExtraAt);
    return lane.slots[extra->slot];
}

// enqueue - how many operations are with the device, or have failed at once.
uint16_t enqueue(Lane& lane, rte_crypto_op** ops, uint16_t n) noexcept {
    for (uint16_t done = 0;;) {
        done = static_cast<uint16_t>(done + rte_cryptodev_enqueue_burst(lane.device->id, lane.queue, ops + done, static_cast<uint16_t>(n - done)));
        if (done == n) return n;
        // One that the device refuses for what it is does not get better by waiting.
        if (ops[done]->status == RTE_CRYPTO_OP_STATUS_NOT_PROCESSED) return done;
        Slot& slot = slot_of(lane, ops[done]);
        if (slot.op->status == RTE_CRYPTO_OP_STATUS_SUCCESS) slot.op->status = RTE_CRYPTO_OP_STATUS_ERROR;
        land(lane, slot);
        if (++done == n) return n;
    }
}

uint16_t in_flight(const Lane& lane) noexcept { return static_cast<uint16_t>(kFlying - lane.n_free); }

}  // namespace

uint16_t submit(EngineLane& opaque, Job* jobs, uint16_t n) noexcept {
    Lane& lane = Lane::of(opaque);
    uint16_t taken = 0;
    while (taken < n) {
        rte_crypto_op* ops[kBurst];
        uint16_t built = 0;
        for (; built < kBurst && taken + built < n && lane.n_free > 0; ++built) {
            Slot& slot = lane.slots[lane.free[lane.n_free - 1]];
            if (!build(lane, slot, jobs[taken + built])) break;
            --lane.n_free;
            ops[built] = slot.op;
        }
        if (built == 0) break;
        const uint16_t gone = enqueue(lane, ops, built);
        for (uint16_t i = built; i > gone; --i) release(lane, slot_of(lane, ops[i - 1]));
        taken = static_cast<uint16_t>(taken + gone);
        if (gone < built) break;
    }
    if (taken < n) lane.full.add(1);
    return taken;
}

uint16_t reap(EngineLane& opaque, uint16_t most) noexcept {
    Lane& lane = Lane::of(opaque);
    uint16_t done = 0;
    while (done < most && in_flight(lane) > 0) {
        rte_crypto_op* ops[kBurst];
        const uint16_t n = rte_cryptodev_dequeue_burst(lane.device->id, lane.queue, ops,
                                                       std::min<uint16_t>(kBurst, static_cast<uint16_t>(most - done)));
        for (uint16_t i = 0; i < n; ++i) land(lane, slot_of(lane, ops[i]));
        done = static_cast<uint16_t>(done + n);
        if (n == 0) break;
    }
    return done;
}

namespace {

// Patience - of the control thread, with a device that says nothing.
struct Patience {
    uint64_t until = 0;
    void again() noexcept { until = rte_get_timer_cycles() + rte_get_timer_hz() * kPatienceMs / 1000; }
    [[nodiscard]] bool ended() const noexcept { return rte_get_timer_cycles() > until; }
};

// drain - false: the device keeps something.
bool drain(Lane& lane) noexcept {
    Patience patience;
    patience.again();
    while (in_flight(lane) > 0 && !patience.ended())
        if (reap(reinterpret_cast<EngineLane&>(lane), UINT16_MAX) > 0) patience.again();
    return in_flight(lane) == 0;
}

}  // namespace

void run(EngineLane& opaque, Job* jobs, uint16_t n) noexcept {
    Lane& lane = Lane::of(opaque);
    for (uint16_t taken = 0; taken < n;) {
        const uint16_t more = submit(opaque, jobs + taken, static_cast<uint16_t>(n - taken));
        taken = static_cast<uint16_t>(taken + more);
        if (more == 0 || !drain(lane)) break;  // it takes nothing though it has nothing, or keeps what it has
    }
    for (uint16_t i = 0; i < n; ++i)
        if (!jobs[i].done) {
            jobs[i].failed = true;
            jobs[i].authentic = false;
        }
    // What comes late finds nobody.
    for (uint16_t i = 0; i < kFlying; ++i) lane.slots[i].job = nullptr;
}

namespace {

void free_lane(Lane* lane) noexcept {
    for (uint16_t i = 0; lane->slots != nullptr && i < kFlying; ++i)
        if (lane->slots[i].op != nullptr) rte_crypto_op_free(lane->slots[i].op);
    rte_mempool_free(lane->ops);
    rte_free(lane->slots);
    rte_free(lane->memory);
    lane->device->queues[lane->queue] = nullptr;
    rte_free(lane);
}

bool make_slots(Lane& lane, int socket) {
    const std::string name = "um_ops_" + std::to_string(lane.device->id) + "_" + std::to_string(lane.queue);
    lane.ops = rte_crypto_op_pool_create(name.c_str(), RTE_CRYPTO_OP_TYPE_SYMMETRIC, kFlying, 0, sizeof(Extra), socket);
    lane.slots = static_cast<Slot*>(rte_zmalloc_socket("um_slots", sizeof(Slot) * kFlying, 64, socket));
    lane.memory = static_cast<uint8_t*>(rte_zmalloc_socket("um_bounce", kSmall * kFlying + kLarge * kLarges, 64, socket));
    if (lane.ops == nullptr || lane.slots == nullptr || lane.memory == nullptr) return false;
    for (uint16_t i = 0; i < kFlying; ++i) {
        Slot& slot = lane.slots[i];
        slot.op = rte_crypto_op_alloc(lane.ops, RTE_CRYPTO_OP_TYPE_SYMMETRIC);
        if (slot.op == nullptr) return false;
        slot.extra = reinterpret_cast<Extra*>(reinterpret_cast<uint8_t*>(slot.op) + kExtraAt);
        *slot.extra = Extra{};
        slot.extra->slot = i;
        slot.small = slot.bytes = lane.memory + size_t{kSmall} * i;
        lane.free[lane.n_free++] = i;
    }
    for (uint32_t i = 0; i < kLarges; ++i)
        lane.large[lane.n_large++] = lane.memory + size_t{kSmall} * kFlying + size_t{kLarge} * i;
    return true;
}

}  // namespace

EngineLane* open_lane(Device& device, int socket) {
    const auto queue = std::find(device.queues.begin(), device.queues.end(), nullptr);
    if (queue == device.queues.end()) return nullptr;
    if (socket < 0) socket = device.socket;
    void* memory = rte_zmalloc_socket("um_lane", sizeof(Lane), 64, socket);
    if (memory == nullptr) return nullptr;
    Lane* lane = new (memory) Lane{};
    lane->device = &device;
    lane->queue = static_cast<uint16_t>(queue - device.queues.begin());
    *queue = lane;
    if (make_slots(*lane, socket)) return reinterpret_cast<EngineLane*>(lane);
    free_lane(lane);
    return nullptr;
}

void close_lane(EngineLane* opaque) noexcept {
    if (opaque == nullptr) return;
    Lane& lane = Lane::of(*opaque);
    Device& device = *lane.device;
    if (!drain(lane)) {
        // It will not be asked again, and what it still has of us stays where it is.
        rte_cryptodev_stop(device.id);
        device.queues.erase(device.queues.begin(), device.queues.end());
        return;
    }
    device.jobs.add(lane.jobs.read());
    device.failed.add(lane.failed.read());
    device.copied.add(lane.copied.read());
    device.copied_bytes.add(lane.copied_bytes.read());
    device.full.add(lane.full.read());
    free_lane(&lane);
    bury(device);
}

void add_counters(const Lane& lane, CryptodevCounters& to) noexcept {
    to.jobs += lane.jobs.read();
    to.failed += lane.failed.read();
    to.copied += lane.copied.read();
    to.copied_bytes += lane.copied_bytes.read();
    to.full += lane.full.read();
}

}  // namespace umbuf::cryptodev
