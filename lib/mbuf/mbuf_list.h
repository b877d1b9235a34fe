// SPDX-License-Identifier: BSD-2-Clause
// mbuf_list.h - packets in a row (OpenBSD: struct mbuf_list, ml_init(9)).
//
// A list owns its packets. It is for one thread; mbuf_queue.h has the one with a lock. The link is
// the first mbuf's nextpkt, so a packet is in one list at a time; a packet that leaves a list has no
// link. Nothing here fails.
#pragma once
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// m_nextpkt - the packet behind m in its list. Null at the end, and for a received packet that no
// verb has written to: its link is left over from another use. A foreign mbuf has one, too: its
// header is an element of our zones (verify's V1), and lists are all that use that word.
[[nodiscard]] inline Mbuf* m_nextpkt(const Mbuf* m) noexcept {
    return m->private_valid() || m->foreign() ? m->nextpkt : nullptr;
}
// m_set_nextpkt - link by hand what then goes to m_purge.
inline void m_set_nextpkt(Mbuf* m, Mbuf* next) noexcept {
    m->make_valid();
    m->nextpkt = next;
}

// Locks: o the list's one owner
struct MbufList {
    Mbuf* ml_head = nullptr;  // [o]
    Mbuf* ml_tail = nullptr;  // [o] meaningful while there is a head
    uint32_t ml_len = 0;      // [o] packets
};

// ml_init - an empty list. What was in it is forgotten, not freed.
void ml_init(MbufList* ml) noexcept;
// ml_enqueue - m goes to the end; the list owns it.
void ml_enqueue(MbufList* ml, Mbuf* m) noexcept;
// ml_dequeue - the first packet, the caller's. Null: empty.
[[nodiscard]] Mbuf* ml_dequeue(MbufList* ml) noexcept;
// ml_enlist - all of `from` to the end of `to`; `from` is empty then.
void ml_enlist(MbufList* to, MbufList* from) noexcept;
// ml_dechain - the packets as a chain of nextpkt, the caller's; the list is empty then.
[[nodiscard]] Mbuf* ml_dechain(MbufList* ml) noexcept;
// ml_purge - free them all. Returns how many there were.
uint32_t ml_purge(MbufList* ml) noexcept;
// ml_hdatalen - bytes in the first packet; 0 when there is none.
[[nodiscard]] uint32_t ml_hdatalen(const MbufList* ml) noexcept;
[[nodiscard]] inline uint32_t ml_len(const MbufList* ml) noexcept { return ml->ml_len; }
[[nodiscard]] inline bool ml_empty(const MbufList* ml) noexcept { return ml->ml_len == 0; }

}  // namespace umbuf
