// SPDX-License-Identifier: BSD-2-Clause
// chain.cc - the moves that several verbs are made of.
#include "lib/mbuf/verbs/chain.h"

#include <cerrno>

namespace umbuf::chain {

int look_for_unreachable(const Mbuf* m, uint32_t off, uint32_t len) noexcept {
    for (m = seek(m, off); m != nullptr && len > 0; m = m->next(), off = 0) {
        const uint32_t n = std::min(len, m->len() - off);
        if (n == 0) continue;
        if (const int error = m_readable(m); error != 0) return refused(error);
        len -= n;
    }
    return 0;
}

int look_for_unmapped(const Mbuf* m, uint32_t off, uint32_t len) noexcept {
    for (m = seek(m, off); m != nullptr && len > 0; m = m->next(), off = 0) {
        const uint32_t n = std::min(len, m->len() - off);
        if (n > 0 && m_unmapped(m)) return refused(EOPNOTSUPP);
        len -= n;
    }
    return 0;
}

uint32_t count(const Mbuf* m) noexcept {
    uint32_t n = 0;
    for (; m != nullptr; m = m->next()) ++n;
    return n;
}

Mbuf* room(uint32_t n, uint32_t most, int how, uint32_t flags) noexcept {
    n = std::min(n, most);
    if (n > kMLen) return m_getjcl(how, MT_DATA, flags, n);
    return (flags & M_PKTHDR) != 0 ? m_gethdr(how, MT_DATA) : m_get(how, MT_DATA);
}

Mbuf* gather(Mbuf* m, Mbuf* from, uint32_t n) noexcept {
    while (n > 0) {
        const uint32_t take = std::min(n, from->len());
        put(m, from, 0, take);
        drop_front(from, take);
        n -= take;
        if (from->len() == 0) from = m_free(from);
    }
    return from;
}

Mbuf* rest_of(Mbuf* m, uint32_t at, uint32_t flags, int how) noexcept {
    const uint32_t n = m->len() - at;
    Mbuf* rest = (flags & M_PKTHDR) != 0 ? m_gethdr(how, m->type()) : m_get(how, m->type());
    if (rest == nullptr || n == 0) return rest;
    const bool shares = !m->foreign() && (m->flags() & M_EXT) != 0;
    if (!shares && reachable(m, at, n) != 0) return free_and_fail(rest);
    if (shares ? ext_share(m, rest, at, n) != 0 : n > kMLen && m_clget(rest, how, n) != 0)
        return free_and_fail(rest);
    inherit_zeroize(rest, m);
    if (shares)
        rest->set_len(n);
    else
        put(rest, m, at, n);
    return rest;
}

void cut(Mbuf* m, uint32_t at) noexcept {
    m->set_len(at);
    if ((m->rte.ol_flags & RTE_MBUF_F_EXTERNAL) != 0)
        m->rte.buf_len = static_cast<uint16_t>(m->rte.data_off + at);
}

Mbuf* deep(const Mbuf* m, uint32_t off, uint32_t len, uint32_t most, int how) noexcept {
    if (reachable(m, off, len) != 0) return nullptr;
    Mbuf* const top = room(len, most, how);
    Mbuf* to = top;
    m = seek(m, off);
    while (to != nullptr && len > 0) {
        UM_ASSERT_MSG(m != nullptr, "a copy of bytes beyond the end of the chain");
        // A cluster may have more room than was asked of it.
        const uint32_t space = std::min(tailroom(to), most - to->len());
        const uint32_t n = std::min({len, space, m->len() - off});
        put(to, m, off, n);
        off += n;
        len -= n;
        if (off == m->len()) {
            m = m->next();
            off = 0;
        } else if (len > 0) {
            Mbuf* more = room(len, most, how);
            to->set_next(more);
            to = more;
        }
    }
    return to != nullptr ? top : free_and_fail(top);
}

void write(Mbuf* m, uint32_t off, uint32_t len, const void* from) noexcept {
    const std::byte* in = static_cast<const std::byte*>(from);
    for (m = seek(m, off); len > 0; m = m->next(), off = 0) {
        const uint32_t n = std::min(len, m->len() - off);
        const WriteWindow out(m, off, n);
        std::memcpy(out.bytes(), in, n);
        in += n;
        len -= n;
    }
}

}  // namespace umbuf::chain
