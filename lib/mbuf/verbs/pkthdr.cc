// SPDX-License-Identifier: BSD-2-Clause
// pkthdr.cc - a packet's header, copied, moved, made and taken away.
#include "lib/mbuf/verbs/pkthdr.h"

#include "lib/mbuf/header.h"
#include "lib/mbuf/tag.h"

namespace umbuf {

namespace {
constexpr uint64_t kHowAttached = RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
constexpr uint32_t kStorageFlags = M_EXT | M_RDONLY | M_EXTPG | M_NOTREADY | M_ZEROIZE;
}  // namespace

namespace header {

void copy(Mbuf* to, const Mbuf* from) noexcept {
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
    if (to->private_valid()) to->m_flags |= (from->flags() & kCopiedFlags) | M_PKTHDR;
}

void move(Mbuf* to, Mbuf* from) noexcept {
    copy(to, from);
    to->rte.pkt_len = from->rte.pkt_len;
    to->rte.nb_segs = from->rte.nb_segs;
    if (m_tag_first(from) != nullptr) {
        UM_ASSERT(to->private_valid() && to->tags == nullptr);
        to->tags = from->tags;
        from->tags = nullptr;
    }
    demote(from);
}

void blank(Mbuf* m) noexcept {
    rte_mbuf& r = m->rte;
    r.ol_flags &= kHowAttached | Mbuf::valid_flag_;
    r.port = RTE_MBUF_PORT_INVALID;
    r.packet_type = 0;
    r.vlan_tci = 0;
    r.vlan_tci_outer = 0;
    r.tx_offload = 0;
    r.hash.rss = 0;
}

void demote(Mbuf* m) noexcept {
    m_tag_delete_chain(m);
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

int m_dup_pkthdr(Mbuf* to, const Mbuf* from, int how) noexcept {
    UM_ASSERT(!to->foreign() && from->has_pkthdr());
    if (const int error = m_tag_copy_chain(to, from, how); error != 0) return error;
    to->make_valid();
    header::copy(to, from);
    to->rte.pkt_len = from->rte.pkt_len;
    to->rte.nb_segs = from->rte.nb_segs;
    return 0;
}

void m_move_pkthdr(Mbuf* to, Mbuf* from) noexcept {
    UM_ASSERT(!to->foreign() && from->has_pkthdr() && to != from);
    to->make_valid();
    if (__builtin_expect(to->tags != nullptr, 0)) m_tag_delete_chain(to);
    header::move(to, from);
}

void m_copy_pkthdr(Mbuf* to, const Mbuf* from) noexcept {
    if (m_dup_pkthdr(to, from, M_NOWAIT) == 0) return;
    header::copy(to, from);
    to->rte.pkt_len = from->rte.pkt_len;
    to->rte.nb_segs = from->rte.nb_segs;
}

void m_inithdr(Mbuf* m) noexcept {
    UM_ASSERT(!m->foreign());
    m->make_valid();
    m_tag_delete_chain(m);
    header::blank(m);
    m->m_flags = (m->m_flags & kStorageFlags) | M_PKTHDR;
    header::recount(m);
}

int m_pkthdr_init(Mbuf* m, int) noexcept {
    m_inithdr(m);
    return 0;
}

void m_resethdr(Mbuf* m) noexcept {
    UM_ASSERT(m->has_pkthdr() && !m->foreign());
    m->make_valid();
    m_tag_delete_chain(m);
    header::blank(m);
    m->m_flags &= kStorageFlags | M_PKTHDR | M_EOR;
}

void m_removehdr(Mbuf* m) noexcept {
    UM_ASSERT(m->has_pkthdr());
    header::demote(m);
    header::blank(m);
}

void m_demote(Mbuf* m, bool all, uint32_t keep) noexcept {
    for (m = all ? m : m->next(); m != nullptr; m = m->next()) {
        if (m->has_pkthdr()) header::demote(m);
        m->clear_flags(~(kStorageFlags | keep | M_PKTHDR));
    }
}

void m_calchdrlen(Mbuf* m) noexcept {
    UM_ASSERT(m->has_pkthdr());
    header::recount(m);
}

uint32_t m_fixhdr(Mbuf* m) noexcept {
    m_calchdrlen(m);
    return m->pkt_len();
}

void m_chtype(Mbuf* m, MType type) noexcept {
    UM_ASSERT(type != MT_FREE);
    m->make_valid();
    if (m->private_valid()) m->m_type = type;
}

}  // namespace umbuf
