// SPDX-License-Identifier: BSD-2-Clause
// tee.cc - mode tee: every packet goes to the stream's transmit port and to each further port.
//
// The further ones are sent copies made by m_copypacket: a header each, one cluster for all, which
// the last of the drivers to finish gives back. A copy that cannot be made is counted as no-mbuf.
#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::fwd {
namespace {

void send_copies(Stream& stream, Way& way, rte_mbuf* const* packets, uint16_t n) noexcept {
    rte_mbuf* copies[kMaxBurst];
    uint16_t made = 0;
    for (uint16_t i = 0; i < n; ++i)
        if (Mbuf* copy = m_copypacket(Mbuf::of(packets[i]), M_NOWAIT); copy != nullptr)
            copies[made++] = &copy->rte;
    stream.stats.made.add(n);  // the ones that failed too: B1 counts them as born and dead
    if (made < n) stream.stats.drop(Drop::no_mbuf, static_cast<uint64_t>(n - made));
    const uint16_t sent = transmit(stream, *way.port, copies, made);
    way.tx.add(sent);
    way.dropped.add(static_cast<uint64_t>(made - sent));
}

uint32_t burst(Stream& stream) noexcept {
    rte_mbuf* packets[kMaxBurst];
    const uint16_t n = receive(stream, packets);
    if (n == 0) return 0;
    // Copies first: once the original is sent, it is the driver's.
    for (Way& way : stream.tee)
        send_copies(stream, way, packets, n);
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
