// SPDX-License-Identifier: BSD-2-Clause
// handover.h - packets on their way to the lane that works on their SA (G1).
//
// Each lane has a ring that all others fill and it alone empties. What one lane puts in keeps its order. A full ring
// costs its producer the packets: nobody waits.
//
//      a packet to be protected travels with its child: the SA is the current one when it is protected, so that a
//      rekey loses and reorders none; one to be opened, with its SA's id and generation (A3)
#pragma once
#include <array>
#include <cstdint>
#include <memory>

#include <rte_mbuf.h>

#include "lib/base/result.h"
#include "lib/ipsec/child.h"
#include "lib/ipsec/sad.h"

struct rte_ring;

namespace umbuf::fwd {

inline constexpr uint32_t kHandoverRing = 1024;  // packets, less one
inline constexpr uint16_t kHandoverBurst = 64;

// Handed - a packet, and what is to be done with it by which SA.
struct Handed {
    Handed() = default;
    Handed(rte_mbuf* p, ChildId child) noexcept : word(reinterpret_cast<uintptr_t>(p)), id(child.id), generation(child.generation) {}
    Handed(rte_mbuf* p, SaId sa) noexcept : word(reinterpret_cast<uintptr_t>(p) | kOpen), id(sa.id), generation(sa.generation) {}
    [[nodiscard]] rte_mbuf* packet() const noexcept { return reinterpret_cast<rte_mbuf*>(word & ~kOpen); }
    [[nodiscard]] bool to_open() const noexcept { return (word & kOpen) != 0; }
    [[nodiscard]] ChildId child() const noexcept { return {id, generation}; }

    static constexpr uintptr_t kOpen = 1;  // an mbuf's address is a multiple of 64
    uintptr_t word;
    uint32_t id, generation;
};
static_assert(sizeof(Handed) == 16);

class Handover {
  public:
    [[nodiscard]] static Result<std::unique_ptr<Handover>> make(int socket);  // Error: no memory. Control thread
    ~Handover();  // frees what is inside; nobody uses it
    Handover(const Handover&) = delete;
    Handover& operator=(const Handover&) = delete;

    // put - how many, the first ones, are taken; the others are still the caller's. Any lane.
    [[nodiscard]] uint16_t put(const Handed* list, uint16_t n) noexcept;
    // take - the oldest, n at most. The lane whose ring it is.
    [[nodiscard]] uint16_t take(Handed* list, uint16_t n) noexcept;

  private:
    explicit Handover(rte_ring* ring) : ring_(ring) {}
    rte_ring* const ring_;  // [I]
};

}  // namespace umbuf::fwd
