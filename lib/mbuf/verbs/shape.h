// SPDX-License-Identifier: BSD-2-Clause
// shape.h - the verbs that change how many mbufs hold a packet's bytes, and not the bytes.
//
// For devices that take so many segments and no more, and for tests that want many. Thread: the
// packet's owner.
#pragma once
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// m_defrag - the packet in as few mbufs as can be: one, up to 16k. Returns a new packet, with m's
// header and tags, and m is freed; a packet of one mbuf is returned as it is. Fails: null, m
// unchanged, still the caller's. FreeBSD, NetBSD, DragonFly; OpenBSD's works in place and returns an
// errno, which needs storage that changes its mbuf (docs/verbs.md).
[[nodiscard]] Mbuf* m_defrag(Mbuf* m, int how) noexcept;
// m_collapse - at most `most` mbufs: bytes that fit behind those before them are moved there, then
// neighbours are merged into clusters, the smallest that do. The first mbuf stays the first. Returns
// m. Fails (no memory, or 16k clusters do not do): null; m may have fewer mbufs than before, all its
// bytes, and is still the caller's. FreeBSD.
[[nodiscard]] Mbuf* m_collapse(Mbuf* m, int how, uint32_t most) noexcept;
// m_fragment - mbufs of `length` bytes, but for the last. Returns a new packet, with m's header and
// tags, and m is freed; or m unchanged, when there is no memory, `length` is 0 or more than 16k, or
// they would be more than 65,535. FreeBSD, whose first mbuf is left as it is.
[[nodiscard]] Mbuf* m_fragment(Mbuf* m, int how, uint32_t length) noexcept;

}  // namespace umbuf
