// SPDX-License-Identifier: BSD-2-Clause
// neighbours.h - who has which Ethernet address at which port.
//
// A neighbour's state and address are one word, so that a reader never sees half of a change. Readers leave a
// mark at who they send to, from which the control thread knows whom to keep known.
//
//      N1  a place is given away only when nobody can hold its number any more.
//
// Threads: one control thread changes; find() and look() are a reader's, as in fib.h.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/route/route.h"

struct rte_hash;

namespace umbuf {

struct NeighbourKey {
    uint8_t address[16];  // network order; IPv4: the first four, the others 0
    uint16_t port;
    uint16_t v6;
};
static_assert(sizeof(NeighbourKey) == 20);  // no padding: it is hashed as bytes
[[nodiscard]] NeighbourKey neighbour_key(uint16_t port, const IpAddress& address) noexcept;

class Neighbours {
  public:
    // make - room for `most`. Error: no memory.
    [[nodiscard]] static Result<std::unique_ptr<Neighbours>> make(uint32_t most, int socket);
    ~Neighbours();
    Neighbours(const Neighbours&) = delete;
    Neighbours& operator=(const Neighbours&) = delete;

    // ---- control
    // hold - its place, made (unknown) if there is none; a route goes to it until drop(). -1: no room.
    [[nodiscard]] int32_t hold(const NeighbourKey& key);
    void drop(int32_t place);
    // set - what is known now; seen at once. False: no room for a new one.
    bool set(const NeighbourKey& key, NeighbourState state, const rte_ether_addr& mac);
    // forget - nothing is known of it.
    void forget(const NeighbourKey& key);
    // removed - there are places to be given back when nobody can hold their numbers: release(). N1
    [[nodiscard]] bool removed() const noexcept { return !removed_.empty(); }
    void release();
    struct Entry {
        NeighbourKey key;
        NeighbourState state;
        rte_ether_addr mac;
    };
    void each(const std::function<void(const Entry&)>& visit) const;
    // take_used - those that something was sent to since it was last asked.
    void take_used(const std::function<void(const Entry&)>& visit);

    // ---- readers
    // find - places of n keys (1 to kRouteBurst), negative: there is none.
    void find(const NeighbourKey* keys, int32_t* places, uint16_t n) const noexcept;
    // look - state and address of a place, which is marked as used.
    void look(int32_t place, Hop& hop) const noexcept;

  private:
    struct Place {
        sync::atomic<uint64_t> word{0};  // [a] address in the low 48 bits, state in the high 8
        sync::atomic<bool> used{false};  // [a]
        bool known = false;              // [c] the kernel has it
        uint32_t holders = 0;            // [c] routes that go to it
        NeighbourKey key{};              // [c]
    };
    Neighbours() = default;
    [[nodiscard]] int32_t place_of(const NeighbourKey& key) const noexcept;
    [[nodiscard]] int32_t make_place(const NeighbourKey& key);
    void remove_if_idle(int32_t place);
    [[nodiscard]] Entry entry(const Place& place) const noexcept;

    rte_hash* hash_ = nullptr;         // [I]
    std::unique_ptr<Place[]> places_;  // [I]
    uint32_t n_places_ = 0;            // [I]
    std::vector<int32_t> removed_;     // [c]
};

}  // namespace umbuf
