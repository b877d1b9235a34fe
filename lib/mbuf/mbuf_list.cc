// SPDX-License-Identifier: BSD-2-Clause
// mbuf_list.cc - packets in a row.
#include "lib/mbuf/mbuf_list.h"

#include "lib/mbuf/verbs/free.h"

namespace umbuf {

void ml_init(MbufList* ml) noexcept { *ml = {}; }

void ml_enqueue(MbufList* ml, Mbuf* m) noexcept {
    m_set_nextpkt(m, nullptr);
    (ml->ml_head == nullptr ? ml->ml_head : ml->ml_tail->nextpkt) = m;
    ml->ml_tail = m;
    ++ml->ml_len;
}

Mbuf* ml_dequeue(MbufList* ml) noexcept {
    Mbuf* m = ml->ml_head;
    if (m == nullptr) return nullptr;
    ml->ml_head = m->nextpkt;
    --ml->ml_len;
    m->nextpkt = nullptr;
    return m;
}

void ml_enlist(MbufList* to, MbufList* from) noexcept {
    if (from->ml_head == nullptr) return;
    (to->ml_head == nullptr ? to->ml_head : to->ml_tail->nextpkt) = from->ml_head;
    to->ml_tail = from->ml_tail;
    to->ml_len += from->ml_len;
    ml_init(from);
}

Mbuf* ml_dechain(MbufList* ml) noexcept {
    Mbuf* m = ml->ml_head;
    ml_init(ml);
    return m;
}

uint32_t ml_purge(MbufList* ml) noexcept {
    const uint32_t n = ml->ml_len;
    while (Mbuf* m = ml_dequeue(ml)) m_freem(m);
    return n;
}

uint32_t ml_hdatalen(const MbufList* ml) noexcept {
    return ml->ml_head == nullptr ? 0 : ml->ml_head->pkt_len();
}

}  // namespace umbuf
