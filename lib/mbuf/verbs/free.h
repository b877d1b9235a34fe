// SPDX-License-Identifier: BSD-2-Clause
// free.h - the verbs that end an mbuf, and what M_ZEROIZE promises.
//
// Each mbuf has one owner, who frees it once. A verb marks what it frees (MT_FREE), and dies when it
// meets the mark: freeing an mbuf of the mbuf zone twice is found at the second m_free, unless the
// mbuf was taken again in between. What a driver freed has no mark, nor has a received packet.
//
// M_ZEROIZE on an mbuf says that its bytes are secret (OpenBSD). The promise: nobody reads them after
// the last reference is gone.
//   storage that is shared (M_EXT)     zeroed by whoever drops the last reference, a driver included
//   bytes inside an mbuf               zeroed by m_free. Freed by a driver, which does not see the
//                                      flag: zeroed when the mbuf is taken again, before its new
//                                      owner sees it
//   a received packet's own cluster    zeroed by m_free, or by the last of its copies to go. If the
//                                      header is the last and a driver frees it: not zeroed, until
//                                      the next packet overwrites it. So send an m_copypacket() of
//                                      it, and m_free() it.
//   storage that is read-only          never: it is not ours to write
// The flag follows the bytes: a verb that copies them marks the copy.
#pragma once
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// m_free - free one mbuf: its view of its storage is dropped, its tags are freed. Returns m_next: the
// rest of the chain is still the caller's. All BSDs.
Mbuf* m_free(Mbuf* m) noexcept;
// m_freem - free the chain. Null is fine. All BSDs; OpenBSD's returns m_nextpkt.
void m_freem(Mbuf* m) noexcept;
// m_freemp - free the chain at *mp, and leave null there. OpenBSD.
void m_freemp(Mbuf** mp) noexcept;
// m_purge - free a list of packets, as ml_dechain() gave it. Null is fine. OpenBSD.
void m_purge(Mbuf* m) noexcept;

// m_zero - zero all of m's storage, now if m is alone with it and may write it, else when the last
// reference goes (M_ZEROIZE is set for that). One mbuf, not the chain; the data pointer and length
// stay. OpenBSD.
void m_zero(Mbuf* m) noexcept;

}  // namespace umbuf
