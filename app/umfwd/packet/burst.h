// SPDX-License-Identifier: BSD-2-Clause
// burst.h - the loop under most modes: receive, one step per packet, three doors, transmit.
//
// Ownership. rx hands us n packets; each leaves by exactly one door: the transmit queue took it,
// the engine kept it, or it dies here under a name. Nothing blocks, nothing allocates from the
// heap, and each counter is written once per burst, except those of the rare deaths.
//
//      B1  rx + made == tx + sum(drops) + what the engine keeps, between any two bursts.
//      B2  own_header() before a write: bytes that somebody else can see are never written.
#pragma once
#include <algorithm>
#include <cstdint>

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "app/umfwd/packet/stream.h"
#include "lib/base/sync.h"
#include "lib/mbuf/mbuf.h"

namespace umbuf::fwd {

// Fate - which door a packet takes after its step. Every smaller value is a Drop.
enum class Fate : uint8_t { send = kDrops, kept };
[[nodiscard]] constexpr Fate dead(Drop why) noexcept {
    return static_cast<Fate>(why);
}

// How many packets ahead the header is fetched. A header that arrives from another core takes a few
// steps' time to come; further ahead buys nothing with steps as short as ours.
inline constexpr uint16_t kAhead = 4;

// A pile of dead packets, freed together. A null packet is one that a verb has consumed already.
struct Grave {
    rte_mbuf* packets[kMaxBurst];
    uint16_t n = 0;
    void add(rte_mbuf* p) noexcept { packets[n++] = p; }
    void bury() noexcept {
        if (n != 0) rte_pktmbuf_free_bulk(packets, n);
    }
};

// receive - up to a burst, with its statistics. The caller owns what it gets.
[[nodiscard]] inline uint16_t receive(Stream& stream, rte_mbuf** burst) noexcept {
    const uint16_t n = stream.rx_port->rx_burst(stream.rx_queue, burst, stream.burst);
    stream.stats.rx_bursts[n].add(1);
    if (n != 0) stream.stats.rx.add(n);
    return n;
}

// count_dead - what a port freed instead of sending.
inline void count_dead(Stream& stream, const Sent& sent) noexcept {
    if (sent.closed > 0) stream.stats.drop(Drop::tx_closed, sent.closed);
    if (sent.chain > 0) stream.stats.drop(Drop::tx_chain, sent.chain);
    if (sent.pages > 0) stream.stats.drop(Drop::tx_unmapped, sent.pages);
}

// transmit - the whole burst out of `port`. Consumes all: a full queue is congestion, and keeping
// the rest for later would only make latency grow without bound. Returns how many were sent.
inline uint16_t transmit(Stream& stream, Port& port, rte_mbuf** burst, uint16_t n) noexcept {
    if (n == 0) return 0;
    const Sent sent = port.tx_burst(stream.tx_queue, burst, n);
    stream.stats.tx.add(sent.alive());
    if (__builtin_expect(sent.alive() == n, 1)) return n;
    count_dead(stream, sent);
    if (const unsigned left = n - unsigned{sent.taken}; left > 0) {
        stream.stats.drop(Drop::tx_full, left);
        rte_pktmbuf_free_bulk(burst + sent.taken, left);
    }
    return sent.alive();
}

// sink - the whole burst dies under one name.
inline void sink(Stream& stream, rte_mbuf** burst, uint16_t n, Drop why) noexcept {
    if (n == 0) return;
    stream.stats.drop(why, n);
    rte_pktmbuf_free_bulk(burst, n);
}

inline void prefetch_header(const rte_mbuf* p) noexcept {
    rte_prefetch0(rte_pktmbuf_mtod(p, const void*));
}

Fate slow_own_header(rte_mbuf*& p, uint32_t n) noexcept;

// own_header - make the first n bytes contiguous and ours alone, so that they may be written.
// Fate::send: go on; p may be another first mbuf now. Otherwise the packet's end: it is shorter
// than n (malformed), or could not be made private (read_only; p is then null, and freed). A packet
// in its own buffer that nobody else counts is the common case: no call.
[[nodiscard]] inline Fate own_header(rte_mbuf*& p, uint32_t n) noexcept {
    constexpr uint64_t kNotOwn = RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
    if ((p->ol_flags & kNotOwn) == 0 && p->data_len >= n &&
        sync::load_of(p->refcnt, sync::acquire) == 1)  // pairs with the last other holder's release
        return Fate::send;
    rte_mbuf* slow = p;  // a copy, so that the caller's p need not live in memory
    const Fate fate = slow_own_header(slow, n);
    p = slow;
    return fate;
}

// forward_burst - one turn of a mode. Step is made once per burst from the stream, so what it needs
// sits in registers; `Fate step(rte_mbuf*& p)` is inlined.
template <class Step>
uint32_t forward_burst(Stream& stream) noexcept {
    rte_mbuf* burst[kMaxBurst];  // what goes out is packed into the front of what came in
    Grave grave;
    const uint16_t n = receive(stream, burst);
    if (n == 0) return 0;
    Step step(stream);
    uint16_t out = 0;
    for (uint16_t i = 0; i < std::min(kAhead, n); ++i)
        prefetch_header(burst[i]);
    for (uint16_t i = 0; i < n; ++i) {
        if (i + kAhead < n) prefetch_header(burst[i + kAhead]);
        rte_mbuf* p = burst[i];
        const Fate fate = step(p);
        if (fate == Fate::send) {
            burst[out++] = p;
        } else if (fate != Fate::kept) {
            stream.stats.drop(static_cast<Drop>(fate), 1);
            grave.add(p);
        }
    }
    transmit(stream, *stream.tx_port, burst, out);
    grave.bury();
    return n;
}

}  // namespace umbuf::fwd
