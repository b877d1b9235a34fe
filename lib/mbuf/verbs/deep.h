// SPDX-License-Identifier: BSD-2-Clause
// deep.h - the verbs that make private, writable copies of bytes: all of them, or those that need it.
//
// m_copym shares; these do not. What they return, or say they made writable, no other mbuf sees:
// m_changeable() is true of it. The storage of new mbufs is clusters of ours; an unmapped anonymous page
// that nobody else sees stays where it is, and is written by a WriteWindow (window.h). Bytes that are to
// be copied and cannot be read (not there yet, or a device's) are a failure that says so in rte_errno:
// EBUSY, EIO, EOPNOTSUPP, where want of memory is ENOBUFS. Thread: the chain's owner.
// A packet that would get more than 65,535 mbufs (nb_segs) is a broken invariant, as in m_cat.
#pragma once
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// m_dup - a private copy of a packet, tags included, in mbufs of up to 4k. Fails: null, m unchanged.
// FreeBSD, DragonFly.
[[nodiscard]] Mbuf* m_dup(const Mbuf* m, int how) noexcept;
// m_dup - a private copy of [off, off+len), M_COPYALL: to the end; a packet if m is one and off is 0.
// The range must be inside the chain. Fails: null, m unchanged. NetBSD.
[[nodiscard]] Mbuf* m_dup(const Mbuf* m, uint32_t off, uint32_t len, int how) noexcept;
// m_dup_data - a private copy of a chain's bytes, no packet. Fails: null, m unchanged. DragonFly.
[[nodiscard]] Mbuf* m_dup_data(const Mbuf* m, int how) noexcept;
// m_dup_pkt - a private copy of a packet, tags included, in one piece, `adj` bytes behind the start of
// its room. Fails (no memory, or more than 16k with adj): null, m unchanged. OpenBSD.
[[nodiscard]] Mbuf* m_dup_pkt(const Mbuf* m, uint32_t adj, int how) noexcept;

// m_unshare - make the whole chain writable: mbufs that are not become private copies, mbufs whose
// bytes fit behind those before them are folded. Returns the chain, which may begin with another mbuf.
// Fails: null and m is freed. FreeBSD, DragonFly.
[[nodiscard]] Mbuf* m_unshare(Mbuf* m, int how) noexcept;
// m_unshare - the same on *mp, which may become another mbuf. 0; ENOBUFS, EBUSY, EIO, EOPNOTSUPP: the
// chain is as it was, mbuf for mbuf, and still the caller's.
[[nodiscard]] int m_unshare(Mbuf** mp, int how) noexcept;
// m_makewritable - make [off, off+len) of the chain at *mp writable; len M_COPYALL, or any that is too
// long, means to the end. Only the part of an mbuf that is in the range is copied, the others stay
// shared. 0, and *mp may have moved; ENOBUFS, EBUSY, EIO, EOPNOTSUPP: the chain is as it was, where
// NetBSD's may have become private in part. NetBSD.
[[nodiscard]] int m_makewritable(Mbuf** mp, uint32_t off, uint32_t len, int how) noexcept;
// m_copyback_cow - write len bytes at off, copying what is not ours alone first. Never makes the chain
// longer: the range must be inside it. Returns the chain, which may begin with another mbuf. Fails:
// null and m is freed. NetBSD.
[[nodiscard]] Mbuf* m_copyback_cow(Mbuf* m, uint32_t off, uint32_t len, const void* from,
                                   int how) noexcept;

}  // namespace umbuf
