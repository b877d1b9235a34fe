// SPDX-License-Identifier: BSD-2-Clause
// verbs.h - the m_* family: make, copy, cut, join and read chains of mbufs.
//
// This page has the verbs that every BSD programmer knows; the others are with their kind:
//      verbs/free.h     m_free m_freem m_freemp m_purge m_zero; what M_ZEROIZE promises
//      verbs/pkthdr.h   m_dup_pkthdr m_move_pkthdr m_copy_pkthdr m_inithdr m_demote m_fixhdr m_chtype ...
//      verbs/deep.h     m_dup m_dup_data m_dup_pkt m_unshare m_makewritable m_copyback_cow
//      verbs/contig.h   m_pullup m_ensure_contig m_copyup m_pulldown m_makespace
//      verbs/shape.h    m_defrag m_collapse m_fragment
//      verbs/walk.h     m_length m_last m_getptr m_apply m_leadingspace m_trailingspace m_align
//      verbs/io.h       m_append m_devget m_uiotombuf m_mbuftouio
//      tag.h, mbuf_list.h, mbuf_queue.h   m_tag_*, ml_*, mq_*
// docs/verbs.md has them all in one table, with whose behaviour each follows.
//
// Who may call: any thread, on chains that it owns. An mbuf has one owner at a time; its storage may
// have many, and only storage with one owner is written (m_writable).
// Lengths are bytes. `how` is M_NOWAIT or M_WAITOK, and no verb waits (mbuf.h).
// In a packet (first mbuf has M_PKTHDR) every verb keeps pkt_len and nb_segs right. BSD leaves some
// of that to the caller; drivers here read nb_segs, so the verb does it (docs/decisions/0003). A
// packet has at most 65,535 mbufs (nb_segs): m_prepend and m_copyback fail there, m_cat dies.
// Foreign bytes (mbuf.h) are copied where ours would be shared; one foreign mbuf of more than 16 KB
// is more than a cluster holds, and copying it fails.
// Unmapped mbufs (window.h) are shared, split, linked and copied like others. Verbs that read bytes do so
// through windows, those that make bytes contiguous refuse; docs/unmapped.md has the table.
// A verb that fails leaves the reason in rte_errno: ENOBUFS, or what it refused (W3).
// What is said under "fails" is proven by tests/unit/alloc_failure_test.cc, one allocation at a time.
#pragma once
#include <cstdint>

#include "lib/mbuf/ext.h"
#include "lib/mbuf/mbuf.h"
#include "lib/mbuf/tag.h"
#include "lib/mbuf/verbs/contig.h"
#include "lib/mbuf/verbs/deep.h"
#include "lib/mbuf/verbs/free.h"
#include "lib/mbuf/verbs/io.h"
#include "lib/mbuf/verbs/pkthdr.h"
#include "lib/mbuf/verbs/shape.h"
#include "lib/mbuf/verbs/walk.h"
#include "lib/mbuf/zone.h"

namespace umbuf {

inline constexpr uint32_t M_COPYALL = 1000000000;  // BSD: "to the end"

// ---- make ----------------------------------------------------------------------------------------
// m_get - an mbuf with room for kMLen bytes, no data. Fails: null. All BSDs.
[[nodiscard]] Mbuf* m_get(int how, MType type) noexcept;
// m_gethdr - the same, first of a packet. Fails: null.
[[nodiscard]] Mbuf* m_gethdr(int how, MType type) noexcept;
// m_getcl - an mbuf with a 2k cluster; `flags` M_PKTHDR or 0. Fails: null. FreeBSD, NetBSD.
[[nodiscard]] Mbuf* m_getcl(int how, MType type, uint32_t flags) noexcept;
// m_getjcl - the same with a cluster of `size` bytes, rounded up to a zone. Fails: null. FreeBSD.
[[nodiscard]] Mbuf* m_getjcl(int how, MType type, uint32_t flags, uint32_t size) noexcept;

// m_getclr - an mbuf whose kMLen bytes are zero. Fails: null. OpenBSD, NetBSD, DragonFly.
[[nodiscard]] Mbuf* m_getclr(int how, MType type) noexcept;
// m_get2 - an mbuf with room for `size` bytes in one piece, 16k at most (FreeBSD: 4k); `flags`
// M_PKTHDR or 0. Fails: null. FreeBSD.
[[nodiscard]] Mbuf* m_get2(uint32_t size, int how, MType type, uint32_t flags) noexcept;
// m_getm2 - empty mbufs with room for len bytes behind m's chain, or, with m null, as a new one.
// `flags`: M_PKTHDR for the first (if m is null), M_EOR for the last. Returns the chain's first mbuf.
// Fails: null, m is as before. FreeBSD.
[[nodiscard]] Mbuf* m_getm2(Mbuf* m, uint32_t len, int how, MType type, uint32_t flags) noexcept;
// m_getm - the same with M_PKTHDR. FreeBSD, DragonFly.
[[nodiscard]] Mbuf* m_getm(Mbuf* m, uint32_t len, int how, MType type) noexcept;
// m_cljget - m_clget, and where the cluster is. Null: none, m is as before. FreeBSD, whose m may be
// null; a cluster without an mbuf cannot be had here.
[[nodiscard]] void* m_cljget(Mbuf* m, int how, uint32_t size) noexcept;

// ---- copy ----------------------------------------------------------------------------------------
// m_copym - a chain that shows [off, off+len) of m's; M_COPYALL: to the end. Storage with M_EXT is
// shared, bytes inside an mbuf are copied. The copy is read-only where it shares. With off 0 and m a
// packet, the copy is a packet with m's header fields and copies of its tags, and begins with an empty mbuf
// where an unmapped one would be its first. Fails: null, m unchanged. The range must be
// inside the chain (M_COPYALL always is). All BSDs.
[[nodiscard]] Mbuf* m_copym(Mbuf* m, uint32_t off, uint32_t len, int how) noexcept;
// m_copypacket - all of a packet, shared. Fails: null, m unchanged. FreeBSD, NetBSD, DragonFly.
[[nodiscard]] Mbuf* m_copypacket(Mbuf* m, int how) noexcept;
// m_copydata - copy [off, off+len) out to `to`. The range must be inside the chain. 0; else nothing was
// copied, because bytes cannot be read (window.h, W3), which nobody need ask for who sends no pages.
// All BSDs, whose return nothing.
int m_copydata(const Mbuf* m, uint32_t off, uint32_t len, void* to) noexcept;
// m_copyback - write len bytes at off, extending the chain when it ends before. 0; EROFS: a byte of
// the range is shared or read-only, and nothing was written; ENOBUFS: the part that could be had is
// written, and pkt_len says how far (OpenBSD); EOPNOTSUPP: a byte of the range is in an unmapped mbuf
// (m_copyback_cow() writes those), and nothing was written. m must be a packet.
[[nodiscard]] int m_copyback(Mbuf* m, uint32_t off, uint32_t len, const void* from, int how) noexcept;

// ---- grow and shrink -----------------------------------------------------------------------------
// m_prepend - len bytes before the data: in m's own headroom if it is writable, else in a new first
// mbuf, which then has the packet header. len <= kMLen. Fails: null and m is freed. All BSDs.
[[nodiscard]] Mbuf* m_prepend(Mbuf* m, uint32_t len, int how) noexcept;
// m_adj - trim: n > 0 bytes from the front, n < 0 from the end. More than there is trims all. Never
// touches a reference; emptied mbufs stay in the chain, as in BSD. All BSDs.
void m_adj(Mbuf* m, int32_t n) noexcept;
// m_cat - n's chain after m's. n is consumed: bytes move when they fit into writable tailroom, else, and
// if they are unmapped, the mbufs are linked. If m is a packet, its pkt_len and nb_segs grow (BSD leaves that to you).
void m_cat(Mbuf* m, Mbuf* n) noexcept;
// m_catpkt - m_cat of two packets. n's header and tags are freed. FreeBSD.
void m_catpkt(Mbuf* m, Mbuf* n) noexcept;
// m_add - link n's chain after m's without moving a byte; returns m, or n when m is null. NetBSD.
Mbuf* m_add(Mbuf* m, Mbuf* n) noexcept;
// m_split - cut at len0: m keeps the first len0 bytes, the rest is returned, and the cluster that
// was cut is shared. If m is a packet, so is the rest, with copies of its tags (OpenBSD). Fails: null,
// m is as before. len0 beyond the end is a failure. Where the rest of a packet would begin with an unmapped
// mbuf, it begins with an empty one before it (E1, lib/page/extpg.h). All BSDs.
[[nodiscard]] Mbuf* m_split(Mbuf* m, uint32_t len0, int how) noexcept;

// ---- from a driver ---------------------------------------------------------------------------------
// adopt_chain - a driver delivered a packet of several segments: note that only the first is
// M_PKTHDR. Ports do this; needed once, before a verb sees the chain.
void adopt_chain(Mbuf* m) noexcept;

}  // namespace umbuf
