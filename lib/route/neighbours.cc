// SPDX-License-Identifier: BSD-2-Clause
// neighbours.cc - a hash that readers use without a lock, and the words beside it.
#include "lib/route/neighbours.h"

#include <cstring>
#include <string>

#include <rte_hash.h>
#include <rte_jhash.h>

namespace umbuf {

namespace {

constexpr uint32_t kStateShift = 56;

uint64_t word_of(NeighbourState state, const rte_ether_addr& mac) noexcept {
    uint64_t word = 0;
    std::memcpy(&word, &mac, sizeof mac);
    return word | static_cast<uint64_t>(state) << kStateShift;
}

void unpack(uint64_t word, NeighbourState& state, rte_ether_addr& mac) noexcept {
    state = static_cast<NeighbourState>(word >> kStateShift);
    std::memcpy(&mac, &word, sizeof mac);
}
static_assert(RTE_BYTE_ORDER == RTE_LITTLE_ENDIAN);  // the address is in the word's low bytes

}  // namespace

NeighbourKey neighbour_key(uint16_t port, const IpAddress& address) noexcept {
    NeighbourKey key{{}, port, address.v6};
    std::memcpy(key.address, address.bytes.data(), address.v6 ? 16 : 4);
    return key;
}

Result<std::unique_ptr<Neighbours>> Neighbours::make(uint32_t most, int socket) {
    static uint32_t made = 0;  // control thread
    std::unique_ptr<Neighbours> n(new Neighbours);
    const std::string name = "um_neigh" + std::to_string(made++);
    rte_hash_parameters terms{};
    terms.name = name.c_str();
    terms.entries = most;
    terms.key_len = sizeof(NeighbourKey);
    terms.hash_func = rte_jhash;
    terms.socket_id = socket;
    terms.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
    n->hash_ = rte_hash_create(&terms);
    if (n->hash_ == nullptr)
        return Error{ENOMEM, "no memory for " + std::to_string(most) + " neighbours: give EAL more (-m MB)"};
    n->n_places_ = static_cast<uint32_t>(rte_hash_max_key_id(n->hash_)) + 1;
    n->places_ = std::make_unique<Place[]>(n->n_places_);
    return n;
}

Neighbours::~Neighbours() { rte_hash_free(hash_); }

int32_t Neighbours::place_of(const NeighbourKey& key) const noexcept { return rte_hash_lookup(hash_, &key); }

// The word is blank before the key can be found.
int32_t Neighbours::make_place(const NeighbourKey& key) {
    if (const int32_t there = place_of(key); there >= 0) return there;
    const int32_t at = rte_hash_add_key(hash_, &key);
    if (at < 0) return -1;
    UM_ASSERT(static_cast<uint32_t>(at) < n_places_);
    places_[static_cast<uint32_t>(at)].key = key;
    return at;
}

int32_t Neighbours::hold(const NeighbourKey& key) {
    const int32_t at = make_place(key);
    if (at >= 0) ++places_[static_cast<uint32_t>(at)].holders;
    return at;
}

void Neighbours::drop(int32_t place) {
    UM_ASSERT(places_[static_cast<uint32_t>(place)].holders > 0);
    --places_[static_cast<uint32_t>(place)].holders;
    remove_if_idle(place);
}

bool Neighbours::set(const NeighbourKey& key, NeighbourState state, const rte_ether_addr& mac) {
    const int32_t at = make_place(key);
    if (at < 0) return false;
    Place& place = places_[static_cast<uint32_t>(at)];
    place.known = true;
    place.word.store(word_of(state, mac), sync::relaxed);  // alone: nothing else is read by it
    return true;
}

void Neighbours::forget(const NeighbourKey& key) {
    const int32_t at = place_of(key);
    if (at < 0) return;
    Place& place = places_[static_cast<uint32_t>(at)];
    place.known = false;
    place.word.store(0, sync::relaxed);
    remove_if_idle(at);
}

void Neighbours::remove_if_idle(int32_t at) {
    const Place& place = places_[static_cast<uint32_t>(at)];
    if (place.known || place.holders > 0) return;
    const int32_t was = rte_hash_del_key(hash_, &place.key);
    UM_ASSERT(was == at);
    removed_.push_back(at);
}

void Neighbours::release() {
    for (const int32_t at : removed_) {
        Place& place = places_[static_cast<uint32_t>(at)];
        place.word.store(0, sync::relaxed);
        place.used.store(false, sync::relaxed);
        const int e = rte_hash_free_key_with_position(hash_, at);
        UM_ASSERT(e == 0);
    }
    removed_.clear();
}

Neighbours::Entry Neighbours::entry(const Place& place) const noexcept {
    Entry e{place.key, NeighbourState::unknown, {}};
    unpack(place.word.load(sync::relaxed), e.state, e.mac);
    return e;
}

void Neighbours::each(const std::function<void(const Entry&)>& visit) const {
    const void* key = nullptr;
    void* data = nullptr;
    uint32_t next = 0;
    for (int32_t at; (at = rte_hash_iterate(hash_, &key, &data, &next)) >= 0;) visit(entry(places_[static_cast<uint32_t>(at)]));
}

void Neighbours::take_used(const std::function<void(const Entry&)>& visit) {
    const void* key = nullptr;
    void* data = nullptr;
    uint32_t next = 0;
    for (int32_t at; (at = rte_hash_iterate(hash_, &key, &data, &next)) >= 0;) {
        Place& place = places_[static_cast<uint32_t>(at)];
        if (!place.used.load(sync::relaxed)) continue;
        place.used.store(false, sync::relaxed);  // a mark that is lost comes back with the next packet
        visit(entry(place));
    }
}

void Neighbours::find(const NeighbourKey* keys, int32_t* places, uint16_t n) const noexcept {
    const void* of[kRouteBurst];
    for (uint16_t i = 0; i < n; ++i) of[i] = &keys[i];
    rte_hash_lookup_bulk(hash_, of, n, places);
}

void Neighbours::look(int32_t at, Hop& hop) const noexcept {
    Place& place = places_[static_cast<uint32_t>(at)];
    unpack(place.word.load(sync::relaxed), hop.state, hop.mac);
    // Most packets find the mark: the line stays shared.
    if (!place.used.load(sync::relaxed)) place.used.store(true, sync::relaxed);
}

}  // namespace umbuf
