// SPDX-License-Identifier: BSD-2-Clause
// edit.cc - m_prepend, m_adj, m_cat and its kin, m_split.
#include <algorithm>
#include <cstring>

#include "lib/mbuf/header.h"
#include "lib/mbuf/verbs/chain.h"

namespace umbuf {
namespace {

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

// Make `tail` the first mbuf of its own packet, with m0's header fields and copies of its tags.
bool promote(Mbuf* tail, const Mbuf* m0, int how) noexcept {
    if (m_tag_copy_chain(tail, m0, how) != 0) return false;
    tail->make_valid();
    header::copy(tail, m0);
    return true;
}

// m's bytes from `at` on, to be the front of a packet: an unmapped mbuf gets an empty one before it.
Mbuf* packet_rest_of(Mbuf* m, uint32_t at, int how) noexcept {
    if (at == m->len() || !m_unmapped(m)) return chain::rest_of(m, at, M_PKTHDR, how);
    Mbuf* first = m_gethdr(how, m->type());
    Mbuf* rest = first == nullptr ? nullptr : chain::rest_of(m, at, 0, how);
    if (rest == nullptr) return chain::free_and_fail(first);
    first->set_next(rest);
    return first;
}

}  // namespace

Mbuf* m_prepend(Mbuf* m, uint32_t len, int how) noexcept {
    if (m_leadingspace(m) >= len) {
        m->rte.data_off = static_cast<uint16_t>(m->rte.data_off - len);
        m->set_len(m->len() + len);
        if (m->has_pkthdr()) m->rte.pkt_len += len;
        return m;
    }
    if (len > kMLen || m->rte.nb_segs == UINT16_MAX) return chain::free_and_fail(m);
    Mbuf* first = m_get(how, MT_DATA);
    if (first == nullptr) return chain::free_and_fail(m);
    if (m->has_pkthdr()) {
        header::move(first, m);
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
    while (n != nullptr && !m_unmapped(n) && m_trailingspace(m) >= n->len()) {
        chain::put(m, n, 0, n->len());
        n = m_free(n);
    }
    if (n != nullptr) {
        if (n->has_pkthdr()) header::demote(n);
        m->set_next(n);
    }
    if (head->has_pkthdr()) header::recount(head);
}

void m_catpkt(Mbuf* m, Mbuf* n) noexcept {
    UM_ASSERT(m->has_pkthdr() && n->has_pkthdr());
    m_cat(m, n);
}

Mbuf* m_add(Mbuf* m, Mbuf* n) noexcept {
    if (m == nullptr || n == nullptr) return m == nullptr ? n : m;
    if (n->has_pkthdr()) header::demote(n);
    chain::last(m)->set_next(n);
    if (m->has_pkthdr()) header::recount(m);
    return m;
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
    Mbuf* const tail = m->next();
    // Between two mbufs there is nothing to allocate, unless the second cannot be the first of a packet:
    // it is unmapped, or it is DPDK's and tags need a place.
    const bool at_edge = at == m->len() && tail != nullptr &&
                         !(packet && (m_unmapped(tail) || (tail->foreign() && m_tag_first(m0) != nullptr)));
    Mbuf* rest = tail;
    if (!at_edge) {
        rest = packet ? packet_rest_of(m, at, how) : chain::rest_of(m, at, 0, how);
        if (rest == nullptr) return nullptr;
    }
    if (packet && !promote(rest, m0, how)) {
        if (!at_edge) m_freem(rest);
        return nullptr;
    }
    if (!at_edge) {
        chain::last(rest)->set_next(tail);
        chain::cut(m, at);
    }
    m->set_next(nullptr);
    if (packet || rest->has_pkthdr()) header::recount(rest);  // a clone made by DPDK always is a packet
    if (packet) header::recount(m0);
    return rest;
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
