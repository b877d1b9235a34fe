// SPDX-License-Identifier: BSD-2-Clause
// edit.cc - m_prepend, m_adj, m_cat, m_split, m_pullup and the questions they ask.
#include <algorithm>
#include <cstring>

#include "lib/mbuf/header.h"
#include "lib/mbuf/verbs.h"

namespace umbuf {
namespace {

Mbuf* fail_free(Mbuf* m) noexcept {
    m_freem(m);
    return nullptr;
}

// The new first mbuf takes the packet header over from m, which stays behind it.
void move_header(Mbuf* first, Mbuf* m) noexcept {
    header::copy(first, m);
    first->rte.pkt_len = m->pkt_len();
    first->rte.nb_segs = m->rte.nb_segs;
    header::demote(m);
}

void trim_front(Mbuf* m, uint32_t n) noexcept {
    for (; m != nullptr && n > 0; m = m->next()) {
        const uint32_t cut = std::min(n, m->len());
        m->rte.data_off = static_cast<uint16_t>(m->rte.data_off + cut);
        m->set_len(m->len() - cut);
        n -= cut;
    }
}

void trim_to(Mbuf* m, uint32_t keep) noexcept {
    for (; m != nullptr; m = m->next()) {
        m->set_len(std::min(keep, m->len()));
        keep -= m->len();
    }
}

// Make `tail` the first mbuf of its own packet, with m0's header fields: nothing to allocate.
Mbuf* promote(Mbuf* tail, const Mbuf* m0) noexcept {
    tail->make_valid();
    header::copy(tail, m0);
    return tail;
}

// An mbuf that shows m's bytes from `at` on; m is not changed. Packet or not as asked.
Mbuf* rest_of(Mbuf* m, uint32_t at, bool packet, int how) noexcept {
    const uint32_t n = m->len() - at;
    Mbuf* rest = packet ? m_gethdr(how, m->type()) : m_get(how, m->type());
    if (rest == nullptr) return nullptr;
    if (n == 0) return rest;
    const bool shares = !m->foreign() && (m->flags() & M_EXT) != 0;
    if (shares ? ext_share(m, rest, at, n) != 0 : n > kMLen && m_clget(rest, how, n) != 0)
        return fail_free(rest);
    if (!shares) std::memcpy(rest->data(), m->data() + at, n);
    rest->set_len(n);
    return rest;
}

// Move n bytes from the front of the chain at `from` to the end of m's own data; mbufs that become
// empty are freed. Returns what is left of the chain.
Mbuf* gather(Mbuf* m, Mbuf* from, uint32_t n) noexcept {
    while (n > 0) {
        const uint32_t take = std::min(n, from->len());
        std::memcpy(m->data() + m->len(), from->data(), take);
        m->set_len(m->len() + take);
        from->rte.data_off = static_cast<uint16_t>(from->rte.data_off + take);
        from->set_len(from->len() - take);
        n -= take;
        if (from->len() == 0) from = m_free(from);
    }
    return from;
}

}  // namespace

Mbuf* m_prepend(Mbuf* m, uint32_t len, int how) noexcept {
    if (m_leadingspace(m) >= len) {
        m->rte.data_off = static_cast<uint16_t>(m->rte.data_off - len);
        m->set_len(m->len() + len);
        if (m->has_pkthdr()) m->rte.pkt_len += len;
        return m;
    }
    if (len > kMLen || m->rte.nb_segs == UINT16_MAX) return fail_free(m);
    Mbuf* first = m_get(how, MT_DATA);
    if (first == nullptr) return fail_free(m);
    if (m->has_pkthdr()) {
        move_header(first, m);
        first->rte.pkt_len += len;
        ++first->rte.nb_segs;
    }
    // At the end of its space, aligned, so that the next prepend finds room.
    first->rte.data_off = static_cast<uint16_t>((kMLen - len) & ~7U);
    first->set_len(len);
    first->set_next(m);
    return first;
}

void m_adj(Mbuf* m, int32_t n) noexcept {
    const uint32_t total = m_length(m);
    const uint32_t cut = std::min(total, static_cast<uint32_t>(n < 0 ? -static_cast<int64_t>(n) : n));
    if (n >= 0)
        trim_front(m, cut);
    else
        trim_to(m, total - cut);
    if (m->has_pkthdr()) m->rte.pkt_len = total - cut;
}

void m_cat(Mbuf* m, Mbuf* n) noexcept {
    Mbuf* const head = m;
    while (m->next() != nullptr) m = m->next();
    while (n != nullptr && m_trailingspace(m) >= n->len()) {
        std::memcpy(m->data() + m->len(), n->data(), n->len());
        m->set_len(m->len() + n->len());
        Mbuf* next = n->next();
        m_free(n);
        n = next;
    }
    if (n != nullptr) {
        if (n->has_pkthdr()) header::demote(n);
        m->set_next(n);
    }
    if (head->has_pkthdr()) header::recount(head);
}

Mbuf* m_split(Mbuf* m0, uint32_t len0, int how) noexcept {
    uint32_t at = len0;
    Mbuf* m = m0;
    while (m != nullptr && at > m->len()) {
        at -= m->len();
        m = m->next();
    }
    if (m == nullptr) return nullptr;
    const bool packet = m0->has_pkthdr();
    // Everything that can fail comes first; m0 is untouched until it has succeeded.
    Mbuf* tail = m->next();
    const bool at_edge = at == m->len() && tail != nullptr;
    Mbuf* rest = tail;
    if (!at_edge) {
        rest = rest_of(m, at, packet, how);
        if (rest == nullptr) return nullptr;
        rest->set_next(tail);
    }
    m->set_len(at);
    m->set_next(nullptr);
    if (!at_edge && (m->rte.ol_flags & RTE_MBUF_F_EXTERNAL) != 0)
        m->rte.buf_len = static_cast<uint16_t>(m->rte.data_off + at);  // a window (ext.h)
    if (!packet) return rest;
    if (at_edge)
        promote(rest, m0);
    else
        header::copy(rest, m0);
    header::recount(rest);
    header::recount(m0);
    return rest;
}

Mbuf* m_pullup(Mbuf* m, uint32_t len, int how) noexcept {
    if (m->len() >= len) return m;
    if (m_length(m) < len || len > kClusterSizes[kClusterZones - 1]) return fail_free(m);
    const bool packet = m->has_pkthdr();
    if (m_trailingspace(m) >= len - m->len()) {
        m->set_next(gather(m, m->next(), len - m->len()));
        if (packet) header::recount(m);
        return m;
    }
    Mbuf* first = len > kMLen ? m_getjcl(how, MT_DATA, 0, len) : m_get(how, MT_DATA);
    if (first == nullptr) return fail_free(m);
    if (packet) move_header(first, m);
    first->set_next(gather(first, m, len));
    if (packet) header::recount(first);
    return first;
}

uint32_t m_length(const Mbuf* m, const Mbuf** last) noexcept {
    uint32_t length = 0;
    for (; m != nullptr; m = m->next()) {
        length += m->len();
        if (last != nullptr) *last = m;
    }
    return length;
}

uint32_t m_leadingspace(const Mbuf* m) noexcept { return m_writable(m) ? m->rte.data_off : 0; }

uint32_t m_trailingspace(const Mbuf* m) noexcept {
    return m_writable(m) ? static_cast<uint32_t>(m->rte.buf_len - m->rte.data_off) - m->len() : 0;
}

void adopt_chain(Mbuf* m) noexcept {
    // Drivers set ol_flags of the first mbuf only: a later one may still carry our bit from the use
    // before, so it is cleared first.
    for (m = m->next(); m != nullptr; m = m->next()) {
        m->rte.ol_flags &= ~Mbuf::valid_flag_;
        m->make_valid();
        m->clear_flags(M_PKTHDR);
    }
}

}  // namespace umbuf
