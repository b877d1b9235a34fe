// SPDX-License-Identifier: BSD-2-Clause
// tee.cc - mode tee: every packet goes to the stream's transmit port and to each further port.
//
// The further ones are sent copies made by m_copypacket: a header each, one cluster for all, which
// the last of the drivers to finish gives back. A copy that cannot be made is counted as no-mbuf.
//
// Each copy is made of the copy before, not of the received packet: to enter the group of a received
// packet takes a locked instruction under any scheme, to share from a member takes none under some.
#include <algorithm>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::fwd {
namespace {

// copy_all - a copy of each packet, made of its latest copy where there is one; null: out of mbufs.
void copy_all(rte_mbuf* const* packets, Mbuf* const* latest, uint16_t n, Mbuf** copies) noexcept {
    for (uint16_t i = 0; i < n; ++i)
        copies[i] = m_copypacket(latest[i] != nullptr ? latest[i] : Mbuf::of(packets[i]), M_NOWAIT);
}

void send_copies(Stream& stream, Way& way, Mbuf* const* copies, uint16_t n) noexcept {
    rte_mbuf* out[kMaxBurst];
    uint16_t made = 0;
    for (uint16_t i = 0; i < n; ++i)
        if (copies[i] != nullptr) out[made++] = &copies[i]->rte;
    stream.stats.made.add(n);  // the ones that failed too: B1 counts them as born and dead
    if (made < n) stream.stats.drop(Drop::no_mbuf, static_cast<uint64_t>(n - made));
    const uint16_t sent = transmit(stream, *way.port, out, made);
    way.stats->tx.add(sent);
    way.stats->dropped.add(static_cast<uint64_t>(made - sent));
}

uint32_t burst(Stream& stream) noexcept {
    rte_mbuf* packets[kMaxBurst];
    const uint16_t n = receive(stream, packets);
    if (n == 0) return 0;
    Mbuf* copies[2][kMaxBurst];
    std::fill_n(copies[1], n, nullptr);  // nobody has a copy yet
    const size_t ways = stream.tee.size();
    // What is sent is the driver's: the next way's copies are made of this one's before it leaves,
    // and the originals go last.
    if (ways > 0) copy_all(packets, copies[1], n, copies[0]);
    for (size_t way = 0; way < ways; ++way) {
        if (way + 1 < ways) copy_all(packets, copies[way % 2], n, copies[(way + 1) % 2]);
        send_copies(stream, stream.tee[way], copies[way % 2], n);
    }
    transmit(stream, *stream.tx_port, packets, n);
    return n;
}

}  // namespace

const Engine tee_engine = {
    .name = "tee",
    .summary = "send each packet to every port, as copies that share its buffer",
    .shares = true,
    .sources = false,
    .begin = nullptr,
    .burst = burst,
    .end = nullptr,
};

}  // namespace umbuf::fwd
