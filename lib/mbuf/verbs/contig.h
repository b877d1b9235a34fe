// SPDX-License-Identifier: BSD-2-Clause
// contig.h - the verbs that make bytes of a chain contiguous, so that a header can be read, or written.
//
// They consume their chain when they fail, unless they say otherwise: the caller has a pointer to the
// result, or nothing to free. Bytes that move go into private storage; what other mbufs see is not
// touched. 16k in one piece is the most there is. Bytes in unmapped mbufs are refused (EOPNOTSUPP in
// rte_errno): contiguous means at mtod(), and who wants pages there says so by mb_unmapped_to_ext()
// (lib/page/extpg.h). Thread: the chain's owner.
#pragma once
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// m_pullup - make the first len bytes contiguous and, where bytes had to move, private. len up to
// 16k. Fails (too short a chain, too long a len, no memory): null and m is freed. All BSDs.
[[nodiscard]] Mbuf* m_pullup(Mbuf* m, uint32_t len, int how = M_NOWAIT) noexcept;
// m_ensure_contig - the same on *mp, which may become another mbuf. False: the chain is as it was,
// and still the caller's. NetBSD.
[[nodiscard]] bool m_ensure_contig(Mbuf** mp, uint32_t len, int how = M_NOWAIT) noexcept;
// m_copyup - the first len bytes move into a new first mbuf, dstoff bytes behind the start of its
// room, also when they were contiguous already: for alignment, or for headroom. Fails as m_pullup
// does. FreeBSD, NetBSD.
[[nodiscard]] Mbuf* m_copyup(Mbuf* m, uint32_t len, uint32_t dstoff, int how = M_NOWAIT) noexcept;
// m_pulldown - make [off, off+len) contiguous and writable. m stays the first mbuf, and what is
// before off stays where it is. Returns the mbuf with the bytes, and in *offp where they begin; with
// offp null they begin at its data. m is freed, and null returned, when the range is not inside the
// chain, when len > 16k, or for want of memory. A read-only m with off 0 becomes empty: its bytes are
// in the next mbuf. OpenBSD, FreeBSD, NetBSD, DragonFly (OpenBSD's and NetBSD's do not promise
// writable).
[[nodiscard]] Mbuf* m_pulldown(Mbuf* m, uint32_t off, uint32_t len, uint32_t* offp,
                               int how = M_NOWAIT) noexcept;
// m_makespace - hlen new bytes, not zeroed, before byte `skip` of packet m, which stays the first
// mbuf. Returns the mbuf that has them, and in *off where. They are writable; bytes that others see do
// not move. Null: skip is beyond the end, hlen > 16k, or no memory; m is then still the caller's, and,
// unlike OpenBSD's, as it was. OpenBSD.
[[nodiscard]] Mbuf* m_makespace(Mbuf* m, uint32_t skip, uint32_t hlen, uint32_t* off,
                                int how = M_NOWAIT) noexcept;

}  // namespace umbuf
