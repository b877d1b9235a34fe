// SPDX-License-Identifier: BSD-2-Clause
// verify.h - is this chain whole? For tests, for fault reports, and by hand in gdb.
//
// Invariants of a chain (numbered as the checks cite them):
//   V1  every mbuf is from one of our zones, and its rte refcnt is >= 1.
//   V2  data lies inside the buffer: data_off + data_len <= buf_len.
//   V3  the chain ends: no mbuf twice.
//   V4  in a packet's first mbuf nb_segs is the number of mbufs, pkt_len the sum of their data_len;
//       no later mbuf has M_PKTHDR.
//   V5  external storage that a verb attached is held by this mbuf's own record, alive, and its
//       window is inside the storage. (What DPDK attached is DPDK's to check.)
//   V6  the private flags agree with the rte_mbuf's: M_EXT if and only if external or packet zone.
//   V7  no mbuf is marked MT_FREE: a verb freed it, and somebody still has it.
//   V8  only the first mbuf of a packet has tags, each an element of the tag zone, and the list ends.
//   V9  M_EXTPG if and only if the bytes lie in an unmapped page.
//   V10 the first mbuf of a packet is not unmapped (E1, lib/page/extpg.h).
#pragma once
#include <optional>
#include <string>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// m_sanity - what is wrong with the chain, or nothing. Quiet chains only (the owner calls).
// FreeBSD: m_sanity; NetBSD: m_verify_packet.
[[nodiscard]] std::optional<std::string> m_sanity(const Mbuf* m);

// verify - m_sanity, and die with the diagnosis when the chain is not whole.
void verify(const Mbuf* m);

}  // namespace umbuf
