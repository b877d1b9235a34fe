// SPDX-License-Identifier: BSD-2-Clause
// contig.cc - the verbs that make bytes contiguous.
#include "lib/mbuf/verbs/contig.h"

#include "lib/mbuf/copies.h"
#include "lib/mbuf/header.h"
#include "lib/mbuf/verbs/chain.h"

namespace umbuf {
namespace {

// A new first mbuf with the chain's first len bytes at `dstoff`; the chain has them. Null: no memory,
// and nothing is changed.
Mbuf* move_front(Mbuf* m, uint32_t len, uint32_t dstoff, int how) noexcept {
    Mbuf* first = chain::room(dstoff + len, chain::kBiggest, how);
    if (first == nullptr) return nullptr;
    first->rte.data_off = static_cast<uint16_t>(dstoff);
    const bool packet = m->has_pkthdr();
    if (packet) header::move(first, m);
    first->set_next(chain::gather(first, m, len));
    note_moved(MovedFor::contiguous, len);
    if (packet) header::recount(first);
    return first;
}

// May a packet of m's have n mbufs more? (nb_segs has 16 bits.)
bool room_for_segments(const Mbuf* m, uint32_t n) noexcept {
    return !m->has_pkthdr() || m->rte.nb_segs + n <= UINT16_MAX;
}

// Open a gap of hlen bytes at `at` inside m's own room, on the side that moves less. False: no room
// there, or not m's alone to write.
bool open_gap(Mbuf* m, uint32_t at, uint32_t hlen) noexcept {
    const uint32_t behind = m->len() - at;
    const bool lead = m_leadingspace(m) >= hlen;
    const bool trail = m_trailingspace(m) >= hlen;
    if (!lead && !trail) return false;
    std::byte* data = m->data();
    if (lead && (at < behind || !trail)) {
        m->rte.data_off = static_cast<uint16_t>(m->rte.data_off - hlen);
        std::memmove(data - hlen, data, at);
    } else {
        std::memmove(data + at + hlen, data + at, behind);
    }
    m->set_len(m->len() + hlen);
    return true;
}

}  // namespace

bool m_ensure_contig(Mbuf** mp, uint32_t len, int how) noexcept {
    Mbuf* m = *mp;
    if (m->len() >= len) return chain::mapped(m, 0, len) == 0;
    if (m_length(m) < len || len > chain::kBiggest || chain::mapped(m, 0, len) != 0) return false;
    if (m_trailingspace(m) >= len - m->len()) {
        note_moved(MovedFor::contiguous, len - m->len());
        m->set_next(chain::gather(m, m->next(), len - m->len()));
        if (m->has_pkthdr()) header::recount(m);
        return true;
    }
    Mbuf* first = move_front(m, len, 0, how);
    if (first == nullptr) return false;
    *mp = first;
    return true;
}

Mbuf* m_pullup(Mbuf* m, uint32_t len, int how) noexcept {
    if (!m_ensure_contig(&m, len, how)) return chain::free_and_fail(m);
    return m;
}

Mbuf* m_copyup(Mbuf* m, uint32_t len, uint32_t dstoff, int how) noexcept {
    if (len > chain::kBiggest || dstoff > chain::kBiggest - len || m_length(m) < len || chain::mapped(m, 0, len) != 0)
        return chain::free_and_fail(m);
    Mbuf* first = move_front(m, len, dstoff, how);
    return first != nullptr ? first : chain::free_and_fail(m);
}

Mbuf* m_pulldown(Mbuf* m, uint32_t off, uint32_t len, uint32_t* offp, int how) noexcept {
    Mbuf* before = nullptr;
    Mbuf* n = m;
    uint32_t at = off;
    for (; n != nullptr && at >= n->len(); before = n, n = n->next()) at -= n->len();
    if (n == nullptr || len > chain::kBiggest || m_length(n) - at < len || !room_for_segments(m, 2) ||
        chain::mapped(n, at, len) != 0)
        return chain::free_and_fail(m);
    const bool packet = m->has_pkthdr();
    const uint32_t here = n->len() - at;
    if ((at == 0 || offp != nullptr) && m_writable(n)) {
        if (here < len && m_trailingspace(n) >= len - here) {
            n->set_next(chain::gather(n, n->next(), len - here));
            note_moved(MovedFor::contiguous, len - here);
            if (packet) header::recount(m);
        }
        if (n->len() - at >= len) {
            if (offp != nullptr) *offp = at;
            return n;
        }
    }
    const bool inside = len < here;
    Mbuf* o = chain::room(len, chain::kBiggest, how);
    Mbuf* rest = o == nullptr ? nullptr : inside ? chain::rest_of(n, at + len, 0, how) : n->next();
    if (o == nullptr || (inside && rest == nullptr)) {
        m_freem(o);
        return chain::free_and_fail(m);
    }
    chain::put(o, n, at, std::min(len, here));
    note_moved(MovedFor::contiguous, len);
    if (inside) {
        rest->set_next(n->next());
        chain::cut(n, at);
    } else {
        n->set_len(at);
        rest = chain::gather(o, rest, len - here);
    }
    o->set_next(rest);
    n->set_next(o);
    if (at == 0 && before != nullptr) before->set_next(m_free(n));  // nothing is left in it
    if (packet) header::recount(m);
    if (offp != nullptr) *offp = 0;
    return o;
}

Mbuf* m_makespace(Mbuf* m0, uint32_t skip, uint32_t hlen, uint32_t* off, int how) noexcept {
    UM_ASSERT(m0->has_pkthdr());
    Mbuf* m = m0;
    uint32_t at = skip;
    for (; m != nullptr && at > m->len(); m = m->next()) at -= m->len();
    if (m == nullptr || hlen > chain::kBiggest || !room_for_segments(m0, 2)) return nullptr;
    if (!m_unmapped(m) && open_gap(m, at, hlen)) {
        m0->rte.pkt_len += hlen;
        *off = at;
        return m;
    }
    const bool inside = at < m->len();
    Mbuf* gap = chain::room(hlen, chain::kBiggest, how);
    Mbuf* rest = gap == nullptr ? nullptr : inside ? chain::rest_of(m, at, 0, how) : m->next();
    if (gap == nullptr || (inside && rest == nullptr)) {
        m_freem(gap);
        return nullptr;
    }
    if (inside) {
        rest->set_next(m->next());
        chain::cut(m, at);
    }
    gap->set_len(hlen);
    gap->set_next(rest);
    m->set_next(gap);
    header::recount(m0);
    *off = 0;
    return gap;
}

}  // namespace umbuf
