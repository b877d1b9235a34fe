// SPDX-License-Identifier: BSD-2-Clause
// esp_in_place.h - ESP where a packet lies, for the packets that are ours alone: for ESP's own files.
//
// A received packet that nobody shares need not be copied by the cipher: it is written over. That is asked of
// the packet's only mbuf, by m_writable(), at the moment when its job is made, and by nothing else: not of a
// flag that a helper may lose on the way (CVE-2026-43284, -43500, -46300, -43503). Who is alone stays alone
// until the packet is given back: only its owner shares an mbuf, and ESP is its owner. Pages are never
// writable so, nor are copies, DPDK's clones, or windows.
//
// I1  Nothing is written before nothing can fail any more (output), or it is written back (input: what a
//     cipher of our kind made of ciphertext it makes ciphertext of again), so E-2 holds.
// I2  A packet that is in flight (esp_flight.cc) is not written over: its SA may go before it is done.
// I3  Nothing is written but the packet's own bytes, and the head- and tailroom that its mbuf says it has.
#pragma once
#include "lib/ipsec/esp_batch.h"
#include "lib/mbuf/ext.h"

namespace umbuf::esp {

// over_it - may this lane write over a packet of this SA's at all? Not while a second engine is to see what
// the first one saw (cross_check.h), nor in flight (I2).
[[nodiscard]] inline bool over_it(EspLane& lane, const Sa& sa) noexcept {
    return sa.in_place && lane.cross == nullptr && &lane.batch() == &lane.own_batch();
}
// ours - one mbuf, ours alone, with room for so many bytes before its data (and kEspRoom beyond), and for
// `end` bytes from its data on.
[[nodiscard]] inline bool ours(const Mbuf* m, uint32_t before, uint32_t end) noexcept {
    if (m->next() != nullptr || m->rte.data_off < before || uint32_t{m->rte.buf_len} - m->rte.data_off < end) return false;
    return m_writable(m);
}
// direct - one mbuf with its own bytes in it, nobody else's: what m_writable() says of most received packets,
// and no more than that is asked. Not: ask that.
[[gnu::always_inline]] inline bool direct(const rte_mbuf& r) noexcept {
    return r.next == nullptr && (r.ol_flags & (RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT)) == 0 &&
           sync::load_of(r.refcnt, sync::acquire) == 1;
}
// move_front - the data begins n bytes later (below 0: earlier), and is `len` bytes long. The only mbuf of a packet.
inline void move_front(Mbuf* m, int32_t n, uint32_t len) noexcept {
    m->rte.data_off = static_cast<uint16_t>(m->rte.data_off + n);
    m->set_len(len);
    m->rte.pkt_len = len;
}
// run_at_once - the lane's job for such a packet, over [at, at + len), by this SA's key. Head and number are in it.
[[gnu::always_inline]] inline Job& run_at_once(EspLane& lane, const Sa& sa, Job& job, std::byte* at, uint32_t len) noexcept {
    EspLane::Batch& batch = lane.batch();
    batch.quick_piece = {at, len};
    batch.quick_room = {at, len};
    job.key = sa.key();
    job.len = len;
    job.extended = sa.quick.esn;
    lane.engine.run(lane.crypto(), &job, 1);
    return job;
}
// over - [at, at + len) is the job's only piece and its only room.
inline void over(EspWork& work, Job& job, std::byte* at, uint32_t len) noexcept {
    work.piece = {at, len};
    work.room = {at, len};
    job.source = {&work.piece, 1};
    job.to = {&work.room, 1};
}

}  // namespace umbuf::esp
