// SPDX-License-Identifier: BSD-2-Clause
// free.cc - the end of an mbuf, and of the secrets in it.
#include "lib/mbuf/verbs/free.h"

#include <cstring>

#include "lib/mbuf/ext.h"
#include "lib/mbuf/tag.h"
#include "lib/mbuf/verbs/inline_room.h"
#include "lib/mbuf/mbuf_list.h"

namespace umbuf {
namespace {

// An mbuf of the mbuf zone.
void free_header(Mbuf* m) noexcept {
    UM_ASSERT_MSG(m->m_type != MT_FREE, "mbuf %p is freed a second time", static_cast<void*>(m));
    if (__builtin_expect(m->tags != nullptr, 0)) m_tag_delete_chain(m);
    // A DPDK clone of inline bytes still reads them: then the mark stays, for fresh() to find.
    if (__builtin_expect((m->m_flags & (M_ZEROIZE | M_EXT)) == M_ZEROIZE, 0) &&
        sync::load_of(m->rte.refcnt, sync::acquire) == 1)
        inline_room::zero(m);
    m->m_type = MT_FREE;  // before somebody else can take it
    rte_pktmbuf_free_seg(&m->rte);
}

// A received packet. Its cluster stays with it, so whoever lowers the count to 0 returns both, and
// that may be the last of its copies (ext.h). A zero request is made before our own drop: the drop
// publishes it, and the last one, whoever it is, looks.
void free_received(Mbuf* m) noexcept {
    ExtControl* control = packet_control(m);
    if (m->private_valid()) {
        m_tag_delete_chain(m);
        uint32_t none = 0;
        if ((m->m_flags & M_ZEROIZE) != 0) Refs::zeroize(control->refs, none);
    }
    // DPDK's own test for 1 is relaxed; acquire, as in ext.cc when the group undoes its pin.
    (void)sync::load_of(m->rte.refcnt, sync::acquire);
    rte_mbuf* last = rte_pktmbuf_prefree_seg(&m->rte);
    if (last == nullptr) return;
    if (Refs::zero_wanted(control->refs)) explicit_bzero(control->base, control->size);
    rte_mbuf_raw_free(last);
}

}  // namespace

Mbuf* m_free(Mbuf* m) noexcept {
    Mbuf* next = m->next();
    if (__builtin_expect(m->foreign(), 0))
        rte_pktmbuf_free_seg(&m->rte);
    else if (is_packet(m))
        free_received(m);
    else
        free_header(m);
    return next;
}

void m_freem(Mbuf* m) noexcept {
    while (m != nullptr) m = m_free(m);
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
