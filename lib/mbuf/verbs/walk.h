// SPDX-License-Identifier: BSD-2-Clause
// walk.h - the verbs that look at a chain, or at the room around its data.
//
// None of them fails for want of memory, changes a byte, or moves ownership.
#pragma once
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// m_length - bytes in the chain, counted. `last`, if not null, gets the last mbuf. FreeBSD.
[[nodiscard]] uint32_t m_length(const Mbuf* m, const Mbuf** last = nullptr) noexcept;
// m_last - the chain's last mbuf. FreeBSD, DragonFly.
[[nodiscard]] Mbuf* m_last(Mbuf* m) noexcept;
// m_getptr - the mbuf that holds byte `loc`, and in *off where. The end of the chain is a place, too:
// the last mbuf, behind its data. Null: beyond. OpenBSD, FreeBSD, NetBSD.
[[nodiscard]] Mbuf* m_getptr(Mbuf* m, uint32_t loc, uint32_t* off) noexcept;
// m_apply - call f on each piece of [off, off+len), until it says something else than 0. Returns
// that; or EBUSY, EIO, EOPNOTSUPP (window.h), and f was not called. Pieces of pages are windows: to be
// read, and gone when f returns. The range must be inside the chain. All BSDs.
using apply_fn = int (*)(void* arg, void* data, unsigned len);
int m_apply(Mbuf* m, uint32_t off, uint32_t len, apply_fn f, void* arg) noexcept;

// m_leadingspace, m_trailingspace - writable bytes before and after the data; 0 when not writable.
// All BSDs (M_LEADINGSPACE); FreeBSD's counts room in read-only storage as well.
[[nodiscard]] uint32_t m_leadingspace(const Mbuf* m) noexcept;
[[nodiscard]] uint32_t m_trailingspace(const Mbuf* m) noexcept;
// m_align - place m's data, of which there is none yet, so that len bytes end at the end of the room,
// aligned to 8 bytes: the next prepend finds space. m is writable. OpenBSD, FreeBSD.
void m_align(Mbuf* m, uint32_t len) noexcept;

}  // namespace umbuf
