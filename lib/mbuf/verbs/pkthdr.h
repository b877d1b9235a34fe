// SPDX-License-Identifier: BSD-2-Clause
// pkthdr.h - the verbs for a packet's header: give one to an mbuf, copy it, move it, take it away.
//
// A header is what DPDK keeps in the first mbuf (port, types, offload requests, VLAN, hash, totals)
// and the tags. Thread: the owner of both mbufs. A foreign mbuf (mbuf.h) can lend its header, not
// take one: `to` is never foreign. These verbs move totals as BSD does, without looking at the
// chain: between one of them and the end of the surgery the totals may be wrong; m_calchdrlen sets
// them right.
#pragma once
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// m_dup_pkthdr - `to` becomes the first mbuf of a packet like from's, totals and tags included; tags
// that it had are freed. 0; ENOMEM: no memory for the tags, `to` has none then and no other change,
// from is untouched. OpenBSD's answer; FreeBSD's says 1 and 0.
[[nodiscard]] int m_dup_pkthdr(Mbuf* to, const Mbuf* from, int how) noexcept;
// m_move_pkthdr - the same by moving: `from` loses header and tags. Cannot fail. All BSDs
// (M_MOVE_PKTHDR). `to` keeps its data where it is.
void m_move_pkthdr(Mbuf* to, Mbuf* from) noexcept;
// m_copy_pkthdr - m_dup_pkthdr for those who can do without the tags: when there is no memory for
// them, `to` has none, and the tag zone's `denied` counts it. NetBSD.
void m_copy_pkthdr(Mbuf* to, const Mbuf* from) noexcept;

// m_inithdr - m becomes the first mbuf of a packet: blank header, no tags, totals counted. BSD also
// forgets m's bytes; here they stay. OpenBSD.
void m_inithdr(Mbuf* m) noexcept;
// m_pkthdr_init - the same as an int that is always 0. FreeBSD, where it can fail.
[[nodiscard]] int m_pkthdr_init(Mbuf* m, int how) noexcept;
// m_resethdr - a packet's header as if it had just been made here: tags and fields go, totals, bytes,
// M_EOR and M_ZEROIZE stay. OpenBSD.
void m_resethdr(Mbuf* m) noexcept;
// m_removehdr - m is no packet any more; tags are freed. OpenBSD; NetBSD: m_remove_pkthdr.
void m_removehdr(Mbuf* m) noexcept;
// m_demote - the mbufs of m's chain are no packets any more, m itself only if `all`. Of their flags
// stay `keep` and those of the storage (M_EXT, M_RDONLY, M_EXTPG, M_NOTREADY, M_ZEROIZE). FreeBSD.
void m_demote(Mbuf* m, bool all, uint32_t keep) noexcept;
// m_calchdrlen - count the totals of m's packet. OpenBSD.
void m_calchdrlen(Mbuf* m) noexcept;
// m_fixhdr - the same, and say the length. FreeBSD.
uint32_t m_fixhdr(Mbuf* m) noexcept;

// m_chtype - m's type; MT_FREE is not one to give. A foreign mbuf stays MT_DATA. FreeBSD; OpenBSD,
// NetBSD: MCHTYPE.
void m_chtype(Mbuf* m, MType type) noexcept;

}  // namespace umbuf
