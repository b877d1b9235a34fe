// SPDX-License-Identifier: BSD-2-Clause
// copy.cc - m_copym, m_copydata, m_copyback.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/mbuf/copies.h"
#include "lib/mbuf/header.h"
#include "lib/mbuf/quick.h"
#include "lib/mbuf/refs.h"
#include "lib/mbuf/verbs/chain.h"
#include "lib/mbuf/verbs/fresh.h"
#include "lib/mbuf/zone_get.h"

namespace umbuf {

namespace {

// One mbuf that shows [off, off + n) of m: shared where there is storage to share, else copied.
Mbuf* copy_segment(Mbuf* m, uint32_t off, uint32_t n, int how) noexcept {
    Mbuf* copy = m_get(how, MT_DATA);
    if (copy == nullptr) return nullptr;
    int error = 0;
    if (!m->foreign() && (m->flags() & M_EXT) != 0) {
        error = ext_share(m, copy, off, n);
    } else {
        error = chain::reachable(m, off, n);
        if (error == 0 && n > kMLen) error = m_clget(copy, how, n);
        if (error == 0) chain::put(copy, m, off, n);
        if (error == 0 && m->foreign()) note_moved(MovedFor::foreign, n);
    }
    if (error != 0) {
        m_free(copy);
        return nullptr;
    }
    chain::inherit_zeroize(copy, m);
    copy->set_len(n);
    return copy;
}

// May all existing bytes of [off, off + len) be written where they are? A refusal if not.
int range_writable(const Mbuf* m, uint32_t off, uint32_t len) noexcept {
    for (m = chain::seek(m, off); m != nullptr && len > 0; m = m->next()) {
        if (m->len() > off && m_unmapped(m)) return refused(EOPNOTSUPP);
        if (m->len() > off && !m_writable(m)) return refused(EROFS);
        len -= std::min(len, m->len() - off);
        off = 0;
    }
    return 0;
}

// Grow the chain to `want` bytes of zeroes at its end. Returns the length reached.
uint32_t extend(Mbuf* m, uint32_t length, uint32_t want, int how) noexcept {
    Mbuf* last = chain::last(m);
    while (length < want) {
        const uint32_t n = std::min(want - length, m_trailingspace(last));
        std::memset(last->data() + last->len(), 0, n);
        last->set_len(last->len() + n);
        length += n;
        if (length == want || m->rte.nb_segs == UINT16_MAX) break;
        const uint32_t left = want - length;
        Mbuf* more = left > kMLen ? m_getjcl(how, MT_DATA, 0, std::min(left, chain::kBiggest))
                                  : m_get(how, MT_DATA);
        if (more == nullptr) break;
        last->set_next(more);
        last = more;
        ++m->rte.nb_segs;
    }
    return length;
}

}  // namespace

Mbuf* m_copym_slowly(Mbuf* m, uint32_t off, uint32_t len, int how) noexcept {
    Mbuf* const from = off == 0 && m->has_pkthdr() ? m : nullptr;
    Mbuf* top = nullptr;
    Mbuf* last = nullptr;
    uint32_t segments = 0;
    uint32_t copied = 0;
    for (m = chain::seek(m, off); m != nullptr && copied < len; m = m->next(), off = 0) {
        const uint32_t n = std::min(len - copied, m->len() - off);
        if (n == 0) continue;
        if (top == nullptr && from != nullptr && m_unmapped(m)) {  // from's first mbuf has no bytes
            top = last = m_get(how, MT_DATA);
            if (top == nullptr) return nullptr;
            ++segments;
        }
        Mbuf* copy = copy_segment(m, off, n, how);
        if (copy == nullptr) {
            m_freem(top);
            return nullptr;
        }
        (top == nullptr ? top = copy : (last->set_next(copy), copy));
        last = copy;
        copied += n;
        ++segments;
    }
    UM_ASSERT_MSG(copied == len || len == M_COPYALL, "m_copym: the range ends beyond the chain");
    if (top == nullptr) top = m_get(how, MT_DATA);  // of nothing: a packet of no bytes
    if (top == nullptr || from == nullptr) return top;
    if (m_tag_first(from) != nullptr && m_tag_copy_chain(top, from, how) != 0) return chain::free_and_fail(top);
    header::copy(top, from);
    top->rte.pkt_len = copied;
    top->rte.nb_segs = static_cast<uint16_t>(std::max(segments, 1U));
    return top;
}

Mbuf* m_copym(Mbuf* m, uint32_t off, uint32_t len, int how) noexcept {
    return refs_in_use().copym(m, off, len, how);
}

Mbuf* m_copypacket(Mbuf* m, int how) noexcept {
    UM_ASSERT(m->has_pkthdr());
    return m_copym(m, 0, M_COPYALL, how);
}

int m_copydata(const Mbuf* m, uint32_t off, uint32_t len, void* to) noexcept {
    if (const int error = chain::reachable(m, off, len); error != 0) return error;
    std::byte* out = static_cast<std::byte*>(to);
    for (m = chain::seek(m, off); len > 0; m = m->next(), off = 0) {
        UM_ASSERT_MSG(m != nullptr, "m_copydata: the range ends beyond the chain");
        const uint32_t n = std::min(len, m->len() - off);
        const ReadWindow in(m, off, n);
        std::memcpy(out, in.bytes(), n);
        out += n;
        len -= n;
    }
    return 0;
}

int m_copyback(Mbuf* m, uint32_t off, uint32_t len, const void* from, int how) noexcept {
    UM_ASSERT(m->has_pkthdr());
    if (const int error = range_writable(m, off, len); error != 0) return error;
    const uint32_t want = off + len;
    if (m->pkt_len() < want) m->rte.pkt_len = extend(m, m->pkt_len(), want, how);
    const uint32_t reached = std::min(want, m->pkt_len());
    if (reached > off) chain::write(m, off, reached - off, from);
    return reached == want ? 0 : ENOBUFS;
}

}  // namespace umbuf
