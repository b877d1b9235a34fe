// SPDX-License-Identifier: BSD-2-Clause
// handover.cc - rings of packets with what is to be done.
#include "app/umfwd/gateway/handover.h"

#include <string>

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "lib/mbuf/compat.h"

namespace umbuf::fwd {

// Producers may share a processor: with the usual ring one that lost it would hold up all others.
Result<std::unique_ptr<Handover>> Handover::make(int socket) {
    static uint32_t made = 0;  // control thread
    rte_ring* ring = compat::ring_create_elem(fmt::format("um_handover_{}", made++).c_str(), sizeof(Handed), kHandoverRing, socket,
                                              RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
    if (ring == nullptr) return Error{ENOMEM, fmt::format("no memory for the rings between lcores: {}; give EAL more: -m MB", rte_strerror(rte_errno))};
    return std::unique_ptr<Handover>(new Handover(ring));
}

Handover::~Handover() {
    Handed one;
    while (take(&one, 1) == 1) rte_pktmbuf_free(one.packet());
    rte_ring_free(ring_);
}

uint16_t Handover::put(const Handed* list, uint16_t n) noexcept {
    return static_cast<uint16_t>(rte_ring_enqueue_burst_elem(ring_, list, sizeof(Handed), n, nullptr));
}

uint16_t Handover::take(Handed* list, uint16_t n) noexcept {
    if (__builtin_expect(rte_ring_empty(ring_), 1)) return 0;
    return static_cast<uint16_t>(rte_ring_sc_dequeue_burst_elem(ring_, list, sizeof(Handed), n, nullptr));
}

}  // namespace umbuf::fwd
