// SPDX-License-Identifier: BSD-2-Clause
// deep.cc - private copies.
#include "lib/mbuf/verbs/deep.h"

#include <utility>

#include <rte_errno.h>

#include "lib/mbuf/copies.h"
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

// Plan - what make_private() has to do, with everything in hand that can fail to be had.
struct Plan {
    // Copies of what must be private, one behind the other. The first mbuf of each says by its nextpkt
    // in whose place it comes: fresh mbufs have none.
    Mbuf* copies = nullptr;
    // A view of the last source behind the range, or null: the range ends with it.
    Mbuf* rest = nullptr;
    uint32_t bytes = 0;  // in the copies

    void drop() noexcept {
        m_freem(copies);
        m_freem(rest);
    }
    // next_for - the copy that takes the place of s, cut off the list; null: s stays.
    [[nodiscard]] Mbuf* next_for(const Mbuf* s) noexcept {
        Mbuf* const copy = copies;
        if (copy == nullptr || copy->nextpkt != s) return nullptr;
        copy->nextpkt = nullptr;
        Mbuf* end = copy;
        while (end->next() != nullptr && end->next()->nextpkt == nullptr) end = end->next();
        copies = end->next();
        end->set_next(nullptr);
        return copy;
    }
};

// plan - nothing in the chain changes. 0, or an errno and nothing is kept. Who is alone by now stays
// alone: only its owner shares an mbuf.
int plan(Plan& p, Mbuf* m, uint32_t off, uint32_t len, int how) noexcept {
    Mbuf* last = nullptr;
    for (Mbuf* s = chain::seek(m, off); s != nullptr && len > 0; s = s->next(), off = 0) {
        const uint32_t n = std::min(len, s->len() - off);
        len -= n;
        if (n == 0 || m_changeable(s)) continue;
        Mbuf* copy = chain::deep(s, off, n, chain::kBiggest, how);
        if (copy != nullptr && off + n < s->len()) {
            p.rest = chain::rest_of(s, off + n, 0, how);
            if (p.rest == nullptr) copy = chain::free_and_fail(copy);
        }
        if (copy == nullptr) {
            p.drop();
            return rte_errno;
        }
        copy->nextpkt = s;
        p.bytes += n;
        (last == nullptr ? p.copies = copy : (last->set_next(copy), copy));
        last = chain::last(copy);
    }
    return 0;
}

// carry_out - cannot fail. s keeps what is before the range; the copy comes behind, then the rest.
void carry_out(Plan& p, Mbuf** mp, uint32_t off) noexcept {
    Mbuf* before = nullptr;  // the mbuf before s
    for (Mbuf* s = *mp; s != nullptr && p.copies != nullptr; s = before->next()) {
        const uint32_t from = std::min(off, s->len());
        off -= from;
        Mbuf* copy = p.next_for(s);
        if (copy == nullptr) {
            before = s;
            continue;
        }
        if (p.copies == nullptr && p.rest != nullptr) {
            p.rest->set_next(s->next());
            s->set_next(std::exchange(p.rest, nullptr));
        }
        if (from == 0) {
            before = replace(mp, before, s, copy);
        } else {
            chain::cut(s, from);
            before = chain::last(copy);
            before->set_next(s->next());
            s->set_next(copy);
        }
    }
}

// make_private - [off, off + len) becomes changeable. 0, or an errno and the chain is as it was.
int make_private(Mbuf** mp, uint32_t off, uint32_t len, int how) noexcept {
    Plan p;
    if (const int error = plan(p, *mp, off, len, how); error != 0) return error;
    const bool packet = (*mp)->has_pkthdr();
    note_moved(MovedFor::unshare, p.bytes);
    carry_out(p, mp, off);
    if (packet) header::recount(*mp);
    return 0;
}

// fold - bytes that fit behind those before them move there.
void fold(Mbuf* m) noexcept {
    while (m->next() != nullptr) {
        Mbuf* next = m->next();
        if (m_unmapped(next) || m_trailingspace(m) < next->len()) {
            m = next;
            continue;
        }
        chain::put(m, next, 0, next->len());
        note_moved(MovedFor::unshare, next->len());
        m->set_next(m_free(next));
    }
}

Mbuf* dup(const Mbuf* m, uint32_t off, uint32_t len, int how) noexcept {
    Mbuf* copy = chain::deep(m, off, len, chain::kPage, how);
    if (copy != nullptr) note_moved(MovedFor::dup, len);
    return copy;
}

}  // namespace

Mbuf* m_dup_data(const Mbuf* m, int how) noexcept {
    return dup(m, 0, m_length(m), how);
}

Mbuf* m_dup(const Mbuf* m, int how) noexcept {
    UM_ASSERT(m->has_pkthdr());
    return with_header(m_dup_data(m, how), m, how);
}

Mbuf* m_dup(const Mbuf* m, uint32_t off, uint32_t len, int how) noexcept {
    if (len == M_COPYALL) len = m_length(m) - std::min(off, m_length(m));
    Mbuf* copy = dup(m, off, len, how);
    return off == 0 && m->has_pkthdr() ? with_header(copy, m, how) : copy;
}

Mbuf* m_dup_pkt(const Mbuf* m, uint32_t adj, int how) noexcept {
    UM_ASSERT(m->has_pkthdr());
    const uint32_t len = m_length(m);
    if (len > chain::kBiggest || adj > chain::kBiggest - len || chain::reachable(m) != 0) return nullptr;
    Mbuf* copy = chain::room(adj + len, chain::kBiggest, how);
    if (copy == nullptr) return nullptr;
    copy->rte.data_off = static_cast<uint16_t>(adj);
    for (const Mbuf* s = m; s != nullptr; s = s->next()) chain::put(copy, s, 0, s->len());
    note_moved(MovedFor::dup, len);
    return with_header(copy, m, how);
}

int m_unshare(Mbuf** mp, int how) noexcept {
    if (const int error = make_private(mp, 0, M_COPYALL, how); error != 0) return error;
    fold(*mp);
    if ((*mp)->has_pkthdr()) header::recount(*mp);
    return 0;
}

Mbuf* m_unshare(Mbuf* m, int how) noexcept {
    return m_unshare(&m, how) == 0 ? m : chain::free_and_fail(m);
}

int m_makewritable(Mbuf** mp, uint32_t off, uint32_t len, int how) noexcept {
    return make_private(mp, off, len, how);
}

Mbuf* m_copyback_cow(Mbuf* m, uint32_t off, uint32_t len, const void* from, int how) noexcept {
    UM_ASSERT_MSG(off <= m_length(m) && len <= m_length(m) - off,
                  "m_copyback_cow: the range ends beyond the chain");
    if (m_makewritable(&m, off, len, how) != 0) return chain::free_and_fail(m);
    chain::write(m, off, len, from);
    return m;
}

}  // namespace umbuf
