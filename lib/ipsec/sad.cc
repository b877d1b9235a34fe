// SPDX-License-Identifier: BSD-2-Clause
// sad.cc - SAs in two sets of tables.
#include "lib/ipsec/sad.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include <rte_errno.h>
#include <rte_ipsec_sad.h>

namespace umbuf {
namespace {

constexpr uint32_t kLookup = 32;

int kind_of(SadKey key) noexcept {
    switch (key) {
        case SadKey::spi: return RTE_IPSEC_SAD_SPI_ONLY;
        case SadKey::spi_dst: return RTE_IPSEC_SAD_SPI_DIP;
        case SadKey::spi_dst_src: return RTE_IPSEC_SAD_SPI_DIP_SIP;
    }
    return RTE_IPSEC_SAD_SPI_ONLY;
}

// The library compares bytes: any order of them will do, the same for all.
void fill(const SadQuery& from, bool v6, rte_ipsec_sad_key* to) noexcept {
    *to = {};
    if (v6) {
        to->v6.spi = from.spi;
        // An array in DPDK 22.11, a structure in 24.11.
        static_assert(sizeof(to->v6.dip) == 16 && sizeof(to->v6.sip) == 16);
        std::memcpy(&to->v6.dip, from.dst.bytes.data(), 16);
        std::memcpy(&to->v6.sip, from.src.bytes.data(), 16);
        return;
    }
    to->v4.spi = from.spi;
    std::memcpy(&to->v4.dip, from.dst.bytes.data(), 4);
    std::memcpy(&to->v4.sip, from.src.bytes.data(), 4);
}

// Names are the process's; a database has four tables.
std::string new_name() {
    static uint32_t made = 0;  // control thread
    return "um_" + std::to_string(made++);
}

}  // namespace

Result<std::unique_ptr<Sad>> Sad::make(uint32_t capacity, Grace& grace, int socket) {
    std::unique_ptr<Sad> sad(new Sad(capacity, grace));
    if (const Status opened = sad->open(socket); !opened) return opened.error();
    return sad;
}

Status Sad::open(int socket) {
    for (uint32_t i = capacity_; i > 0; --i) free_.push_back(i - 1);
    for (Side& side : sides_)
        for (const bool v6 : {false, true}) {
            rte_ipsec_sad_conf conf{};
            conf.socket_id = socket;
            // Twice as many places as SAs: a cuckoo table may refuse the last of them. Its hash is a CRC,
            // linear in its seed, so the two sides, which see the same changes, fill alike.
            for (uint32_t& most : conf.max_sa) most = 2 * capacity_;
            conf.flags = v6 ? RTE_IPSEC_SAD_FLAG_IPV6 : 0;
            side.of[v6] = rte_ipsec_sad_create(new_name().c_str(), &conf);
            if (side.of[v6] == nullptr)
                return Error{rte_errno, "no memory for an SA database of " + std::to_string(capacity_) + " SAs: " + rte_strerror(rte_errno)};
        }
    active_.store(&sides_[0], sync::release);
    return {};
}

Sad::~Sad() {
    for (uint32_t i = 0; i < capacity_; ++i) {
        const Slot& slot = slots_[i];
        UM_ASSERT(!in_flight(slot));  // D2
        delete slot.sa.load(sync::relaxed);
    }
    for (Side& side : sides_)
        for (rte_ipsec_sad* table : side.of) rte_ipsec_sad_destroy(table);
}

// ---- control

bool Sad::has(SaId id) const noexcept { return resolve(id.id, id.generation) != nullptr; }

bool Sad::inbound(SaId id) const noexcept { return has(id) && slots_[id.id].in; }

Sad::Edit Sad::edit_of(const Slot& slot, Sa* sa, bool put) noexcept {
    return {put, {sa->terms.spi, sa->terms.dst, sa->terms.src}, slot.found_by, sa};
}

Sad::KeyBytes Sad::bytes_of(const Edit& edit) noexcept {
    KeyBytes bytes{};
    std::memcpy(bytes.data(), &edit.key.spi, 4);
    bytes[4] = static_cast<uint8_t>(edit.kind);
    if (edit.kind == SadKey::spi) return bytes;
    bytes[5] = edit.key.dst.v6;
    std::memcpy(bytes.data() + 6, edit.key.dst.bytes.data(), 16);
    if (edit.kind == SadKey::spi_dst_src) std::memcpy(bytes.data() + 22, edit.key.src.bytes.data(), 16);
    return bytes;
}

// prepare - the SA, with the id of a free slot, which stays free.
Result<std::unique_ptr<Sa>> Sad::prepare(const NewSa& from) {
    (void)collect();
    if (free_.empty())
        return Error{ENOSPC, "all " + std::to_string(capacity_) + " SAs are in use, " + std::to_string(dead_.size()) + " of them removed and still held"};
    SaTerms terms = from.terms;
    if (terms.src.v6 != terms.dst.v6) return Error{EINVAL, "SA " + std::to_string(terms.spi) + ": source and destination are both IPv4, or both IPv6"};
    terms.id = free_.back();
    terms.generation = slots_[terms.id].generation + 1;
    if (terms.generation == 0) terms.generation = 1;
    return Sa::make(terms, from.key, *from.engine, from.now_s);
}

// place - it can be found by its id from now on.
void Sad::place(std::unique_ptr<Sa> sa, const NewSa& from, bool in) {
    Slot& slot = slots_[sa->terms.id];
    UM_ASSERT(!free_.empty() && free_.back() == sa->terms.id);
    free_.pop_back();
    slot.child = from.child;
    slot.generation = sa->terms.generation;
    slot.found_by = from.found_by;
    slot.in = in;
    slot.sa.store(sa.release(), sync::release);  // pairs with resolve()
}

Result<SaId> Sad::add_out(const NewSa& from) {
    Result<std::unique_ptr<Sa>> sa = prepare(from);
    if (!sa) return sa.error();
    const SaId id = id_of(*sa.value());
    place(std::move(sa.value()), from, false);
    return id;
}

Result<SaId> Sad::add_in(const NewSa& from) {
    Result<std::unique_ptr<Sa>> sa = prepare(from);
    if (!sa) return sa.error();
    const Edit put{true, {from.terms.spi, from.terms.dst, from.terms.src}, from.found_by, sa.value().get()};
    const KeyBytes key = bytes_of(put);
    if (keys_.contains(key)) return Error{EEXIST, "there is an inbound SA " + std::to_string(from.terms.spi) + " with this key"};
    // The slot first: a packet that finds the SA may ask whose it is.
    const SaId id = id_of(*sa.value());
    place(std::move(sa.value()), from, true);
    if (const Status changed = change({&put, 1}); !changed) {
        retire(id.id);
        return changed.error();
    }
    keys_.insert(key);
    return id;
}

Result<SaId> Sad::replace_in(SaId old, const NewSa& from) {
    if (!inbound(old)) return Error{ENOENT, "there is no inbound SA with id " + std::to_string(old.id)};
    Result<std::unique_ptr<Sa>> sa = prepare(from);
    if (!sa) return sa.error();
    const Edit edits[] = {edit_of(slots_[old.id], resolve(old.id, old.generation), false),
                          {true, {from.terms.spi, from.terms.dst, from.terms.src}, from.found_by, sa.value().get()}};
    const KeyBytes out = bytes_of(edits[0]), in = bytes_of(edits[1]);
    if (in != out && keys_.contains(in)) return Error{EEXIST, "there is an inbound SA " + std::to_string(from.terms.spi) + " with this key"};
    const SaId id = id_of(*sa.value());
    place(std::move(sa.value()), from, true);
    if (const Status changed = change(edits); !changed) {
        retire(id.id);
        return changed.error();
    }
    keys_.erase(out);
    keys_.insert(in);
    retire(old.id);
    return id;
}

Status Sad::remove(SaId id) {
    if (!has(id)) return Error{ENOENT, "there is no SA with id " + std::to_string(id.id) + " and generation " + std::to_string(id.generation)};
    const Slot& slot = slots_[id.id];
    if (slot.in) {
        const Edit take = edit_of(slot, slot.sa.load(sync::relaxed), false);
        if (const Status changed = change({&take, 1}); !changed) return changed.error();
        keys_.erase(bytes_of(take));
    }
    retire(id.id);
    return {};
}

// retire - nobody finds it any more; who has, has it until the grace is over.
void Sad::retire(uint32_t id) {
    Slot& slot = slots_[id];
    std::unique_ptr<Sa> sa(slot.sa.load(sync::relaxed));
    slot.sa.store(nullptr, sync::release);
    dead_.push_back({std::move(sa), grace_.start()});
}

// in_flight - the acquire pairs with end_work(): what a job did with the key comes before its wiping.
bool Sad::in_flight(const Slot& slot) noexcept { return slot.begun.load(sync::relaxed) != slot.done.load(sync::acquire); }

bool Sad::busy(SaId id) const noexcept { return has(id) && in_flight(slots_[id.id]); }

bool Sad::held(const Dead& dead) const noexcept {
    if (!grace_.passed(dead.token)) return true;
    return in_flight(slots_[dead.sa->terms.id]);  // nobody can begin any more
}

uint32_t Sad::collect() {
    std::erase_if(dead_, [this](Dead& dead) {
        if (held(dead)) return false;
        free_.push_back(dead.sa->terms.id);
        dead.sa.reset();
        return true;
    });
    return static_cast<uint32_t>(dead_.size());
}

std::vector<Sa*> Sad::sas() const {
    std::vector<Sa*> all;
    for (uint32_t i = 0; i < capacity_; ++i)
        if (Sa* sa = slots_[i].sa.load(sync::relaxed); sa != nullptr) all.push_back(sa);
    return all;
}

int Sad::apply(Side& side, const Edit& edit) noexcept {
    const int kind = kind_of(edit.kind);
    for (const bool v6 : {false, true}) {
        if (edit.kind != SadKey::spi && v6 != edit.key.dst.v6) continue;  // an SPI alone is of both families
        rte_ipsec_sad_key key;
        fill(edit.key, v6, &key);
        const int error = edit.put ? rte_ipsec_sad_add(side.of[v6], &key, kind, edit.sa) : rte_ipsec_sad_del(side.of[v6], &key, kind);
        if (error == 0) continue;
        if (edit.put && v6 && edit.kind == SadKey::spi) {  // its first half
            fill(edit.key, false, &key);
            (void)rte_ipsec_sad_del(side.of[0], &key, kind);
        }
        return -error;
    }
    return 0;
}

// settle - the side that is not active is as the other, and nobody looks at it.
void Sad::settle() {
    if (owed_.empty()) return;
    grace_.wait(owed_token_);
    Side& idle = sides_[active_.load(sync::relaxed) == &sides_[0]];
    for (const Edit& edit : owed_) {
        const int error = apply(idle, edit);
        UM_ASSERT_MSG(error == 0, "%s: the other side took it", rte_strerror(error));
    }
    owed_.clear();
}

Status Sad::change(std::span<const Edit> edits) {
    settle();
    Side& idle = sides_[active_.load(sync::relaxed) == &sides_[0]];
    for (size_t i = 0; i < edits.size(); ++i) {
        const int error = apply(idle, edits[i]);
        if (error == 0) continue;
        while (i-- > 0) {
            Edit back = edits[i];
            back.put = !back.put;
            const int undone = apply(idle, back);
            UM_ASSERT(undone == 0);
        }
        return Error{error, "the SA database does not take SA " + std::to_string(edits[0].key.spi) + ": " + rte_strerror(error)};
    }
    active_.store(&idle, sync::release);  // D1; pairs with lookup()
    owed_token_ = grace_.start();
    owed_.assign(edits.begin(), edits.end());
    return {};
}

// ---- readers

Sa* Sad::resolve(uint32_t id, uint32_t generation) const noexcept {
    if (id >= capacity_) return nullptr;
    Sa* sa = slots_[id].sa.load(sync::acquire);
    return sa != nullptr && sa->terms.generation == generation ? sa : nullptr;  // D3
}

Sa* Sad::resolve(uint32_t id, uint32_t generation) noexcept { return std::as_const(*this).resolve(id, generation); }

void Sad::lookup(const SadQuery* queries, Sa** sas, uint16_t n) const noexcept {
    const Side& side = *active_.load(sync::acquire);
    for (uint32_t from = 0; from < n; from += kLookup) {
        const uint32_t some = std::min<uint32_t>(kLookup, n - from);
        for (const bool v6 : {false, true}) {
            rte_ipsec_sad_key keys[kLookup];
            const rte_ipsec_sad_key* at[kLookup];
            void* found[kLookup];
            uint32_t whose[kLookup], k = 0;
            for (uint32_t i = from; i < from + some; ++i) {
                if (queries[i].dst.v6 != v6) continue;
                fill(queries[i], v6, &keys[k]);
                at[k] = &keys[k];
                whose[k++] = i;
            }
            if (k == 0) continue;
            (void)rte_ipsec_sad_lookup(side.of[v6], at, found, k);
            for (uint32_t i = 0; i < k; ++i) sas[whose[i]] = static_cast<Sa*>(found[i]);
        }
    }
}

}  // namespace umbuf
