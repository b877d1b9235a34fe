// SPDX-License-Identifier: BSD-2-Clause
// holdings.cc - transmit rings, looked at from outside.
#include "drivers/net/holdings.h"

#include <rte_ethdev.h>

#include "lib/mbuf/zone_get.h"
#include "lib/page/page.h"

namespace umbuf {
namespace {

// pool_of - where a storage belongs; null: to somebody else.
const rte_mempool* pool_of(const ExtControl* control) noexcept {
    switch (control->type) {
    case ExtType::cluster: return zone::cluster_pool(control->zone);
    case ExtType::page: return Page::of(control)->zone->pool;
    default: return nullptr;
    }
}

void add(const rte_mbuf* packet, Holdings& to) {
    const rte_mbuf* m = packet;
    for (uint32_t left = packet->nb_segs; m != nullptr && left > 0; --left, m = m->next) {
        ++to.of[m->pool];
        const Mbuf* ours = Mbuf::of(m);
        if (!ours->private_valid()) continue;
        const ExtControl* control = ours->ctl.load(sync::acquire);
        if (control == nullptr || !to.seen.insert(control).second) continue;
        if (const rte_mempool* pool = pool_of(control); pool != nullptr) ++to.of[pool];
    }
}

void look_into(const rte_ring& ring, Holdings& to) {
    if (!to.seen.insert(&ring).second) return;
    const uint32_t first = ring.cons.tail, n = rte_ring_count(&ring);
    auto* const slots = reinterpret_cast<rte_mbuf* const*>(&ring + 1);
    for (uint32_t i = 0; i < n; ++i)
        if (const rte_mbuf* packet = sync::load_of(slots[(first + i) & ring.mask], sync::relaxed); packet != nullptr)
            add(packet, to);
}

// ring_of - the queue of a net_ring device is a struct that begins with the pointer to its ring.
const rte_ring* ring_of(const rte_ethdev_qdata& queues, uint16_t queue) noexcept {
    const void* data = queues.data[queue];
    return data == nullptr ? nullptr : *static_cast<rte_ring* const*>(data);
}

// descriptors - that are not done. They lie behind those that are: the offset counts from the next to be used.
uint32_t descriptors(uint16_t port, uint16_t queue) noexcept {
    rte_eth_txq_info info{};
    if (rte_eth_tx_queue_info_get(port, queue, &info) != 0 || info.nb_desc == 0) return 0;
    const auto full = [&](uint32_t offset) {
        return rte_eth_tx_descriptor_status(port, queue, static_cast<uint16_t>(offset)) == RTE_ETH_TX_DESC_FULL;
    };
    if (rte_eth_tx_descriptor_status(port, queue, 0) < 0) return 0;
    uint32_t low = 0, high = info.nb_desc;  // the first that is full is in [low, high]
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (full(middle)) high = middle;
        else low = middle + 1;
    }
    return info.nb_desc - low;
}

}  // namespace

namespace {
bool runs(const Port& port) { return port.phase() != PortPhase::closed && port.phase() != PortPhase::configured; }
}  // namespace

void waiting_at(const Port& port, Holdings& to) {
    if (!runs(port) || port.driver() != "net_ring") return;
    for (uint16_t q = 0; q < port.config().rxq; ++q)
        if (const rte_ring* ring = ring_of(rte_eth_fp_ops[port.id()].rxq, q); ring != nullptr) look_into(*ring, to);
}

void sent_by(const Port& port, Holdings& to) {
    if (!runs(port)) return;
    for (uint16_t q = 0; q < port.config().txq; ++q) {
        if (port.driver() != "net_ring") to.unknown += descriptors(port.id(), q);
        else if (const rte_ring* ring = ring_of(rte_eth_fp_ops[port.id()].txq, q); ring != nullptr) look_into(*ring, to);
    }
}

}  // namespace umbuf
