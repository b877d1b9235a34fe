// SPDX-License-Identifier: BSD-2-Clause
// walk.cc - the verbs that look.
#include "lib/mbuf/verbs/walk.h"

#include "lib/mbuf/verbs/chain.h"

namespace umbuf {

uint32_t m_length(const Mbuf* m, const Mbuf** last) noexcept {
    uint32_t length = 0;
    for (; m != nullptr; m = m->next()) {
        length += m->len();
        if (last != nullptr) *last = m;
    }
    return length;
}

Mbuf* m_last(Mbuf* m) noexcept { return chain::last(m); }

Mbuf* m_getptr(Mbuf* m, uint32_t loc, uint32_t* off) noexcept {
    for (; m != nullptr; m = m->next()) {
        if (loc < m->len() || (loc == m->len() && m->next() == nullptr)) {
            *off = loc;
            return m;
        }
        loc -= m->len();
    }
    return nullptr;
}

int m_apply(Mbuf* m, uint32_t off, uint32_t len, apply_fn f, void* arg) noexcept {
    if (const int error = chain::reachable(m, off, len); error != 0) return error;
    for (m = chain::seek(m, off); len > 0; m = m->next(), off = 0) {
        UM_ASSERT_MSG(m != nullptr, "m_apply: the range ends beyond the chain");
        const uint32_t n = std::min(len, m->len() - off);
        if (n == 0) continue;
        const ReadWindow piece(m, off, n, CopiedFor::read);
        if (const int said = f(arg, const_cast<std::byte*>(piece.bytes()), n); said != 0) return said;
        len -= n;
    }
    return 0;
}

uint32_t m_leadingspace(const Mbuf* m) noexcept { return m_writable(m) ? m->rte.data_off : 0; }

uint32_t m_trailingspace(const Mbuf* m) noexcept { return m_writable(m) ? chain::tailroom(m) : 0; }

void m_align(Mbuf* m, uint32_t len) noexcept {
    UM_ASSERT(m->len() == 0 && len <= m->rte.buf_len && m_writable(m));
    m->rte.data_off = static_cast<uint16_t>((m->rte.buf_len - len) & ~7U);
}

}  // namespace umbuf
