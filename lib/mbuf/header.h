// SPDX-License-Identifier: BSD-2-Clause
// header.h - the packet header (m_pkthdr) of a first mbuf: for lib/mbuf's own files only.
#pragma once
#include "lib/mbuf/mbuf.h"

namespace umbuf::header {

// What goes along when a header is copied or moved (OpenBSD: M_COPYFLAGS).
inline constexpr uint32_t kCopiedFlags = M_PKTHDR | M_EOR | M_BCAST | M_MCAST | M_ZEROIZE;

// copy - `to` becomes the first mbuf of a packet like `from`'s: port, types, offload requests,
// VLAN, hash; not the tags. pkt_len and nb_segs are the caller's to set.
void copy(Mbuf* to, const Mbuf* from) noexcept;

// move - the same with from's tags and totals; `from` is not a first mbuf any more. `to` has no tags.
void move(Mbuf* to, Mbuf* from) noexcept;

// blank - m's header fields say nothing: no port, no types, no offload requests.
void blank(Mbuf* m) noexcept;

// demote - m is not a first mbuf any more; its tags are freed.
void demote(Mbuf* m) noexcept;

// recount - set nb_segs and pkt_len of the packet that starts at m, by walking it.
void recount(Mbuf* m) noexcept;

}  // namespace umbuf::header
