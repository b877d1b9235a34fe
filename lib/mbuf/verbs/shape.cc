// SPDX-License-Identifier: BSD-2-Clause
// shape.cc - the same bytes in another number of mbufs.
#include "lib/mbuf/verbs/shape.h"

#include "lib/mbuf/copies.h"
#include "lib/mbuf/header.h"
#include "lib/mbuf/verbs/chain.h"

namespace umbuf {
namespace {

// `copy` has all of m's bytes: it becomes the packet, and m is freed.
Mbuf* succeed(Mbuf* m, Mbuf* copy) noexcept {
    note_moved(MovedFor::compact, m_length(m));
    header::move(copy, m);
    header::recount(copy);
    m_freem(m);
    return copy;
}

// Move what fits into writable tailroom. Returns how many mbufs are left, or `most` as soon as that
// is reached.
uint32_t fold(Mbuf* m, uint32_t n, uint32_t most) noexcept {
    while (n > most && m->next() != nullptr) {
        Mbuf* next = m->next();
        if (m_trailingspace(m) < next->len()) {
            m = next;
            continue;
        }
        chain::put(m, next, 0, next->len());
        note_moved(MovedFor::compact, next->len());
        m->set_next(m_free(next));
        --n;
    }
    return n;
}

// Merge runs of two and more mbufs behind m that fit into one cluster of `size`. False: no memory.
bool merge(Mbuf* m, uint32_t& n, uint32_t most, uint32_t size, int how) noexcept {
    for (; n > most && m->next() != nullptr; m = m->next()) {
        uint32_t run = 0;
        uint32_t bytes = 0;
        for (const Mbuf* s = m->next(); s != nullptr && bytes + s->len() <= size; s = s->next()) {
            bytes += s->len();
            ++run;
        }
        if (run < 2) continue;
        Mbuf* one = chain::room(bytes, size, how);
        if (one == nullptr) return false;
        Mbuf* s = m->next();
        for (uint32_t i = 0; i < run; ++i) {
            chain::put(one, s, 0, s->len());
            s = m_free(s);
        }
        note_moved(MovedFor::compact, bytes);
        one->set_next(s);
        m->set_next(one);
        n -= run - 1;
    }
    return true;
}

}  // namespace

Mbuf* m_defrag(Mbuf* m, int how) noexcept {
    UM_ASSERT(m->has_pkthdr());
    if (m->next() == nullptr) return m;
    Mbuf* copy = chain::deep(m, 0, m_length(m), chain::kBiggest, how);
    return copy == nullptr ? nullptr : succeed(m, copy);
}

Mbuf* m_collapse(Mbuf* m, int how, uint32_t most) noexcept {
    UM_ASSERT(m->has_pkthdr());
    uint32_t n = chain::count(m);
    if (n <= most) return m;
    if (chain::reachable(m) != 0) return nullptr;
    n = fold(m, n, most);
    for (const uint32_t size : kClusterSizes)
        if (!merge(m, n, most, size, how)) break;
    header::recount(m);
    return n <= most ? m : nullptr;
}

Mbuf* m_fragment(Mbuf* m, int how, uint32_t length) noexcept {
    UM_ASSERT(m->has_pkthdr());
    const uint32_t total = m_length(m);
    if (length == 0 || length > chain::kBiggest || total / length >= UINT16_MAX) return m;
    Mbuf* copy = chain::deep(m, 0, total, length, how);
    return copy == nullptr ? m : succeed(m, copy);
}

}  // namespace umbuf
