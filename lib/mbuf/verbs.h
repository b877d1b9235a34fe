// SPDX-License-Identifier: BSD-2-Clause
// verbs.h - the m_* family: make, copy, cut, join and read chains of mbufs.
//
// Who may call: any thread, on chains that it owns. An mbuf has one owner at a time; its storage may
// have many, and only storage with one owner is written (m_writable).
// Lengths are bytes. `how` is M_NOWAIT or M_WAITOK, and no verb waits (mbuf.h).
// In a packet (first mbuf has M_PKTHDR) every verb keeps pkt_len and nb_segs right. BSD leaves some
// of that to the caller; drivers here read nb_segs, so the verb does it (docs/decisions/0003). A
// packet has at most 65,535 mbufs (nb_segs): m_prepend and m_copyback fail there, m_cat dies.
// Foreign bytes (mbuf.h) are copied where ours would be shared; one foreign mbuf of more than 16 KB
// is more than a cluster holds, and copying it fails.
// What is said under "fails" is proven by tests/unit/alloc_failure_test.cc, one allocation at a time.
#pragma once
#include <cstdint>

#include "lib/mbuf/ext.h"
#include "lib/mbuf/mbuf.h"
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

// ---- free ----------------------------------------------------------------------------------------
// m_free - free one mbuf, drop its view of its storage. Returns m_next. All BSDs.
Mbuf* m_free(Mbuf* m) noexcept;
// m_freem - free the chain. Null is fine. All BSDs.
void m_freem(Mbuf* m) noexcept;

// ---- copy ----------------------------------------------------------------------------------------
// m_copym - a chain that shows [off, off+len) of m's; M_COPYALL: to the end. Storage with M_EXT is
// shared, bytes inside an mbuf are copied. The copy is read-only where it shares. With off 0 and m a
// packet, the copy is a packet with m's header fields. Fails: null, m unchanged. The range must be
// inside the chain (M_COPYALL always is). All BSDs.
[[nodiscard]] Mbuf* m_copym(Mbuf* m, uint32_t off, uint32_t len, int how) noexcept;
// m_copypacket - all of a packet, shared. Fails: null, m unchanged. FreeBSD, NetBSD, DragonFly.
[[nodiscard]] Mbuf* m_copypacket(Mbuf* m, int how) noexcept;
// m_copydata - copy [off, off+len) out to `to`. The range must be inside the chain. All BSDs.
void m_copydata(const Mbuf* m, uint32_t off, uint32_t len, void* to) noexcept;
// m_copyback - write len bytes at off, extending the chain when it ends before. 0; EROFS: a byte of
// the range is shared or read-only, and nothing was written; ENOBUFS: the part that could be had is
// written, and pkt_len says how far (OpenBSD). m must be a packet.
[[nodiscard]] int m_copyback(Mbuf* m, uint32_t off, uint32_t len, const void* from, int how) noexcept;

// ---- grow and shrink -----------------------------------------------------------------------------
// m_prepend - len bytes before the data: in m's own headroom if it is writable, else in a new first
// mbuf, which then has the packet header. len <= kMLen. Fails: null and m is freed. All BSDs.
[[nodiscard]] Mbuf* m_prepend(Mbuf* m, uint32_t len, int how) noexcept;
// m_adj - trim: n > 0 bytes from the front, n < 0 from the end. More than there is trims all. Never
// touches a reference; emptied mbufs stay in the chain, as in BSD. All BSDs.
void m_adj(Mbuf* m, int32_t n) noexcept;
// m_cat - n's chain after m's. n is consumed: bytes move when they fit into writable tailroom, else
// the mbufs are linked. If m is a packet, its pkt_len and nb_segs grow (BSD leaves that to you).
void m_cat(Mbuf* m, Mbuf* n) noexcept;
// m_split - cut at len0: m keeps the first len0 bytes, the rest is returned, and the cluster that
// was cut is shared. If m is a packet, so is the rest. Fails: null, m is as before. len0 beyond the
// end is a failure. All BSDs.
[[nodiscard]] Mbuf* m_split(Mbuf* m, uint32_t len0, int how) noexcept;
// m_pullup - make the first len bytes contiguous and, where bytes had to move, private. len up to
// 16k. Fails (too short a chain, too long a len, no memory): null and m is freed. All BSDs.
[[nodiscard]] Mbuf* m_pullup(Mbuf* m, uint32_t len, int how = M_NOWAIT) noexcept;

// ---- ask -----------------------------------------------------------------------------------------
// m_length - bytes in the chain, counted. `last`, if not null, gets the last mbuf. FreeBSD.
[[nodiscard]] uint32_t m_length(const Mbuf* m, const Mbuf** last = nullptr) noexcept;
// m_leadingspace, m_trailingspace - writable bytes before and after the data; 0 when not writable.
[[nodiscard]] uint32_t m_leadingspace(const Mbuf* m) noexcept;
[[nodiscard]] uint32_t m_trailingspace(const Mbuf* m) noexcept;

// adopt_chain - a driver delivered a packet of several segments: note that only the first is
// M_PKTHDR. Ports do this; needed once, before a verb sees the chain.
void adopt_chain(Mbuf* m) noexcept;

}  // namespace umbuf
