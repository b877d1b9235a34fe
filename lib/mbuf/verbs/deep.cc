// SPDX-License-Identifier: BSD-2-Clause
// deep.cc - private copies.
#include "lib/mbuf/verbs/deep.h"

#include <cerrno>

#include "lib/mbuf/header.h"
#include "lib/mbuf/verbs/chain.h"

namespace umbuf {
namespace {

// `copy`, a chain that is nobody's packet, gets m's header and right totals. Frees it on failure.
Mbuf* with_header(Mbuf* copy, const Mbuf* m, int how) noexcept {
    if (copy == nullptr) return nullptr;
    if (m_dup_pkthdr(copy, m, how) != 0) return chain::free_and_fail(copy);
    header::recount(copy);
    return copy;
}

// Put `copy` in the place of s, which is freed; `before` is the mbuf before s, or null when s is the
// first at *head: then its packet header moves, and *head is copy. Returns copy's last mbuf.
Mbuf* replace(Mbuf** head, Mbuf* before, Mbuf* s, Mbuf* copy) noexcept {
    Mbuf* const end = chain::last(copy);
    if (before != nullptr) {
        before->set_next(copy);
    } else {
        if (s->has_pkthdr()) header::move(copy, s);
        *head = copy;
    }
    end->set_next(m_free(s));
    return end;
}

// Make [from, to) of s private: s keeps what is before, a view of s what is behind. False: no memory,
// nothing is changed. `head` and `before` as in replace(). *end becomes the last private mbuf.
bool privatize(Mbuf** head, Mbuf* before, Mbuf* s, uint32_t from, uint32_t to, int how,
               Mbuf** end) noexcept {
    const bool more = to < s->len();
    Mbuf* copy = chain::deep(s, from, to - from, chain::kBiggest, how);
    if (copy == nullptr) return false;
    if (more) {
        Mbuf* rest = chain::rest_of(s, to, 0, how);
        if (rest == nullptr) {
            m_freem(copy);
            return false;
        }
        rest->set_next(s->next());
        s->set_next(rest);
    }
    if (from == 0) {
        *end = replace(head, before, s, copy);
        return true;
    }
    chain::cut(s, from);
    *end = chain::last(copy);
    (*end)->set_next(s->next());
    s->set_next(copy);
    return true;
}

}  // namespace

Mbuf* m_dup_data(const Mbuf* m, int how) noexcept {
    return chain::deep(m, 0, m_length(m), chain::kPage, how);
}

Mbuf* m_dup(const Mbuf* m, int how) noexcept {
    UM_ASSERT(m->has_pkthdr());
    return with_header(m_dup_data(m, how), m, how);
}

Mbuf* m_dup(const Mbuf* m, uint32_t off, uint32_t len, int how) noexcept {
    if (len == M_COPYALL) len = m_length(m) - std::min(off, m_length(m));
    Mbuf* copy = chain::deep(m, off, len, chain::kPage, how);
    return off == 0 && m->has_pkthdr() ? with_header(copy, m, how) : copy;
}

Mbuf* m_dup_pkt(const Mbuf* m, uint32_t adj, int how) noexcept {
    UM_ASSERT(m->has_pkthdr());
    const uint32_t len = m_length(m);
    if (len > chain::kBiggest || adj > chain::kBiggest - len) return nullptr;
    Mbuf* copy = chain::room(adj + len, chain::kBiggest, how);
    if (copy == nullptr) return nullptr;
    copy->rte.data_off = static_cast<uint16_t>(adj);
    for (const Mbuf* s = m; s != nullptr; s = s->next()) chain::put(copy, s, 0, s->len());
    return with_header(copy, m, how);
}

Mbuf* m_unshare(Mbuf* m, int how) noexcept {
    const bool packet = m->has_pkthdr();
    Mbuf* before = nullptr;
    for (Mbuf* s = m; s != nullptr; s = before->next()) {
        if (!m_writable(s)) {
            Mbuf* copy = chain::deep(s, 0, s->len(), chain::kBiggest, how);
            if (copy == nullptr) return chain::free_and_fail(m);
            before = replace(&m, before, s, copy);
        } else if (before != nullptr && chain::tailroom(before) >= s->len()) {
            chain::put(before, s, 0, s->len());
            before->set_next(m_free(s));
        } else {
            before = s;
        }
    }
    if (packet) header::recount(m);
    return m;
}

int m_makewritable(Mbuf** mp, uint32_t off, uint32_t len, int how) noexcept {
    const bool packet = (*mp)->has_pkthdr();
    int error = 0;
    Mbuf* before = nullptr;
    for (Mbuf* s = *mp; s != nullptr && len > 0; s = before->next()) {
        if (off >= s->len()) {
            off -= s->len();
            before = s;
            continue;
        }
        const uint32_t n = std::min(len, s->len() - off);
        Mbuf* end = s;
        if (!m_writable(s) && !privatize(mp, before, s, off, off + n, how, &end)) {
            error = ENOBUFS;
            break;
        }
        before = end;
        len -= n;
        off = 0;
    }
    if (packet) header::recount(*mp);
    return error;
}

Mbuf* m_copyback_cow(Mbuf* m, uint32_t off, uint32_t len, const void* from, int how) noexcept {
    UM_ASSERT_MSG(off <= m_length(m) && len <= m_length(m) - off,
                  "m_copyback_cow: the range ends beyond the chain");
    if (m_makewritable(&m, off, len, how) != 0) return chain::free_and_fail(m);
    chain::write(m, off, len, from);
    return m;
}

}  // namespace umbuf
