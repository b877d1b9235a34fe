// SPDX-License-Identifier: BSD-2-Clause
// holdings.h - the mbufs that a device has, to send or received, as far as one can ask.
//
//      net_ring          a ring of pointers: each mbuf is looked at, and its storage
//      most NICs         how many transmit descriptors are not done (rte_eth_tx_descriptor_status)
//      others            cannot be asked: none
//
// What is looked at moves meanwhile, and nobody waits: pointers are of pools, which stay, so a mbuf that
// has left is at worst counted where it was.
#pragma once
#include <cstdint>
#include <map>
#include <set>

#include <rte_mempool.h>
#include <rte_ring.h>

#include "drivers/net/port.h"

namespace umbuf {

// Holdings - elements by pool. `seen` belongs to one round over all ports: a ring that two ports share, and
// storage that several mbufs show, count once.
struct Holdings {
    std::map<const rte_mempool*, uint32_t> of;
    std::set<const void*> seen;
    uint32_t unknown = 0;  // mbufs of pools that cannot be told
};
// sent_by - add what this port was given to send, and has not freed. Control thread.
void sent_by(const Port& port, Holdings& to);
// waiting_at - add what waits in the receive rings of a net_ring port, and in no transmit ring that was seen.
// Other devices' received packets are among those that they took at the start (Port::posted).
void waiting_at(const Port& port, Holdings& to);

}  // namespace umbuf
