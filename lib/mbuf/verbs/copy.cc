// SPDX-License-Identifier: BSD-2-Clause
// copy.cc - m_copym, m_copydata, m_copyback, and the copying of packet headers.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/mbuf/header.h"
#include "lib/mbuf/verbs.h"
#include "lib/mbuf/zone_get.h"

namespace umbuf {

namespace header {

void copy(Mbuf* to, const Mbuf* from) noexcept {
    constexpr uint64_t kHowAttached = RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
    rte_mbuf& t = to->rte;
    const rte_mbuf& f = from->rte;
    t.ol_flags = (f.ol_flags & ~kHowAttached) | (t.ol_flags & kHowAttached) | Mbuf::valid_flag_;
    t.port = f.port;
    t.packet_type = f.packet_type;
    t.vlan_tci = f.vlan_tci;
    t.vlan_tci_outer = f.vlan_tci_outer;
    t.tx_offload = f.tx_offload;
    t.hash = f.hash;
    rte_mbuf_dynfield_copy(&t, &f);
    to->m_flags |= (from->flags() & kCopiedFlags) | M_PKTHDR;
}

void demote(Mbuf* m) noexcept {
    m->clear_flags(M_PKTHDR);
    m->rte.nb_segs = 1;
}

void recount(Mbuf* m) noexcept {
    uint32_t n = 0;
    uint32_t length = 0;
    for (const Mbuf* s = m; s != nullptr; s = s->next()) {
        ++n;
        length += s->len();
    }
    UM_ASSERT(n <= UINT16_MAX);
    m->rte.nb_segs = static_cast<uint16_t>(n);
    m->rte.pkt_len = length;
}

}  // namespace header

namespace {

// One mbuf that shows [off, off + n) of m: shared where there is storage to share, else copied.
Mbuf* copy_segment(Mbuf* m, uint32_t off, uint32_t n, int how) noexcept {
    Mbuf* copy = m_get(how, MT_DATA);
    if (copy == nullptr) return nullptr;
    int error = 0;
    if (!m->foreign() && (m->flags() & M_EXT) != 0) {
        error = ext_share(m, copy, off, n);
    } else {
        if (n > kMLen) error = m_clget(copy, how, n);
        if (error == 0) std::memcpy(copy->data(), m->data() + off, n);
    }
    if (error != 0) {
        m_free(copy);
        return nullptr;
    }
    copy->set_len(n);
    return copy;
}

// The mbuf that holds byte `off` of the chain; off becomes the offset inside it.
template <class M>
M* seek(M* m, uint32_t& off) noexcept {
    while (m != nullptr && off >= m->len()) {
        off -= m->len();
        m = m->next();
    }
    return m;
}

// May all existing bytes of [off, off + len) be written?
bool range_writable(const Mbuf* m, uint32_t off, uint32_t len) noexcept {
    for (m = seek(m, off); m != nullptr && len > 0; m = m->next()) {
        if (m->len() > off && !m_writable(m)) return false;
        len -= std::min(len, m->len() - off);
        off = 0;
    }
    return true;
}

// Grow the chain to `want` bytes of zeroes at its end. Returns the length reached.
uint32_t extend(Mbuf* m, uint32_t length, uint32_t want, int how) noexcept {
    Mbuf* last = m;
    while (last->next() != nullptr) last = last->next();
    while (length < want) {
        const uint32_t n = std::min(want - length, m_trailingspace(last));
        std::memset(last->data() + last->len(), 0, n);
        last->set_len(last->len() + n);
        length += n;
        if (length == want || m->rte.nb_segs == UINT16_MAX) break;
        const uint32_t left = want - length;
        Mbuf* more = left > kMLen ? m_getjcl(how, MT_DATA, 0, std::min(left, kClusterSizes[3]))
                                  : m_get(how, MT_DATA);
        if (more == nullptr) break;
        last->set_next(more);
        last = more;
        ++m->rte.nb_segs;
    }
    return length;
}

}  // namespace

Mbuf* m_copym(Mbuf* m, uint32_t off, uint32_t len, int how) noexcept {
    Mbuf* const from = off == 0 && m->has_pkthdr() ? m : nullptr;
    Mbuf* top = nullptr;
    Mbuf* last = nullptr;
    uint32_t segments = 0;
    uint32_t copied = 0;
    for (m = seek(m, off); m != nullptr && copied < len; m = m->next(), off = 0) {
        const uint32_t n = std::min(len - copied, m->len() - off);
        if (n == 0) continue;
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
    header::copy(top, from);
    top->rte.pkt_len = copied;
    top->rte.nb_segs = static_cast<uint16_t>(std::max(segments, 1U));
    return top;
}

Mbuf* m_copypacket(Mbuf* m, int how) noexcept {
    UM_ASSERT(m->has_pkthdr());
    return m_copym(m, 0, M_COPYALL, how);
}

void m_copydata(const Mbuf* m, uint32_t off, uint32_t len, void* to) noexcept {
    std::byte* out = static_cast<std::byte*>(to);
    for (m = seek(m, off); len > 0; m = m->next(), off = 0) {
        UM_ASSERT_MSG(m != nullptr, "m_copydata: the range ends beyond the chain");
        const uint32_t n = std::min(len, m->len() - off);
        std::memcpy(out, m->data() + off, n);
        out += n;
        len -= n;
    }
}

int m_copyback(Mbuf* m, uint32_t off, uint32_t len, const void* from, int how) noexcept {
    UM_ASSERT(m->has_pkthdr());
    if (!range_writable(m, off, len)) {
        zone::note_refused_write();
        return EROFS;
    }
    const uint32_t want = off + len;
    if (m->pkt_len() < want) m->rte.pkt_len = extend(m, m->pkt_len(), want, how);
    const uint32_t reached = std::min(want, m->pkt_len());
    const std::byte* in = static_cast<const std::byte*>(from);
    uint32_t left = reached > off ? reached - off : 0;
    for (Mbuf* s = seek(m, off); left > 0; s = s->next(), off = 0) {
        const uint32_t n = std::min(left, s->len() - off);
        std::memcpy(s->data() + off, in, n);
        in += n;
        left -= n;
    }
    return reached == want ? 0 : ENOBUFS;
}

}  // namespace umbuf
