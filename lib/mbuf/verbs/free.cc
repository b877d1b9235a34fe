// SPDX-License-Identifier: BSD-2-Clause
// free.cc - the end of an mbuf, and of the secrets in it.
#include "lib/mbuf/verbs/free.h"

#include <cstring>

#include "lib/mbuf/ext_ops.h"
#include "lib/mbuf/tag.h"
#include "lib/mbuf/verbs/inline_room.h"
#include "lib/mbuf/mbuf_list.h"

namespace umbuf {
namespace {

// The usual end of an mbuf with storage: nobody else knows its header or its record, so DPDK's detach
// and the callback through a pointer are not needed. False: they are.
bool free_directly(Mbuf* m) noexcept {
    if (RTE_MBUF_DIRECT(&m->rte) || sync::load_of(m->rte.refcnt, sync::acquire) != 1) return false;
    if (!refs_in_use().free(m)) return false;
    m->set_next(nullptr);  // as DPDK wants it in a pool
    m->rte.nb_segs = 1;
    zone::pool_put(m->rte.pool, m);
    return true;
}

// An mbuf of the mbuf zone.
void free_header(Mbuf* m) noexcept {
    UM_ASSERT_MSG(m->m_type != MT_FREE, "mbuf %p is freed a second time", static_cast<void*>(m));
    if (__builtin_expect(m->tags != nullptr, 0)) m_tag_delete_chain(m);
    // A DPDK clone of inline bytes still reads them: then the mark stays, for fresh() to find.
    if (__builtin_expect((m->m_flags & (M_ZEROIZE | M_EXT)) == M_ZEROIZE, 0) &&
        sync::load_of(m->rte.refcnt, sync::acquire) == 1)
        inline_room::zero(m);
    m->m_type = MT_FREE;  // before somebody else can take it
    if (!free_directly(m)) rte_pktmbuf_free_seg(&m->rte);
}

// A received packet. Its cluster stays with it, so whoever lowers the count to 0 returns both, and
// that may be the last of its copies (ext.h). A zero request is made before our own drop: the drop
// publishes it, and the last one, whoever it is, looks.
void free_received(Mbuf* m) noexcept {
    const bool zero = m->private_valid() && (m->m_flags & M_ZEROIZE) != 0;
    if (m->private_valid() && m->tags != nullptr) m_tag_delete_chain(m);
    ExtControl* control = packet_control(m);
    if (zero) control->zero_pending.store(1, sync::relaxed);
    if (!ext::unpin(m)) return;
    ext::zero_if_wanted(control);
    rte_mbuf_raw_free(&m->rte);
}

}  // namespace

void m_free_slowly(Mbuf* m) noexcept {
    if (__builtin_expect(m->foreign(), 0))
        rte_pktmbuf_free_seg(&m->rte);
    else if (is_packet(m))
        free_received(m);
    else
        free_header(m);
}

Mbuf* m_free(Mbuf* m) noexcept {
    Mbuf* next = m->next();
    if (!refs_in_use().free_quickly(m)) m_free_slowly(m);
    return next;
}

void m_freem(Mbuf* m) noexcept {
    if (m != nullptr) refs_in_use().freem(m);
}

void m_freemp(Mbuf** mp) noexcept {
    Mbuf* m = *mp;
    *mp = nullptr;
    m_freem(m);
}

void m_purge(Mbuf* m) noexcept {
    while (m != nullptr) {
        Mbuf* next = m_nextpkt(m);
        m_freem(m);
        m = next;
    }
}

void m_zero(Mbuf* m) noexcept {
    if (!m_writable(m)) return m->set_flags(M_ZEROIZE);
    if ((m->flags() & M_EXT) == 0) return inline_room::zero(m);
    const ExtControl* control = ext_control(m);
    explicit_bzero(control->base, control->size);
}

}  // namespace umbuf
