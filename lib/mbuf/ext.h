// SPDX-License-Identifier: BSD-2-Clause
// ext.h - storage outside the mbuf, and how a reference to it is taken and dropped.
//
// The release hook. Drivers free mbufs with DPDK's inline code, which knows nothing of us. So each
// mbuf that holds storage is attached by its *own* rte_mbuf_ext_shared_info, count 1, whose
// callback drops this one mbuf's view under the scheme. A reference dropped inside any driver, on
// any lcore, reaches the scheme.
//
// The foreign-clone trap. rte_pktmbuf_clone() of such an mbuf makes DPDK count the clone in that
// same record - in the private area of a header that may be freed, and reused, before the clone is
// (Open vSwitch 8d3c62e4 and DPDK vhost fa5054c4 were this bug). Hence: the hook itself parks the
// record, by clearing `ctl`, as its last look at the header; whoever takes a header from the zone
// and finds it not parked sets it aside, counted, until it is.
//      DPDK lowers its count to 0 *before* it runs the callback, so that count alone says "dead"
//      too early. `ctl` is ours and says it at the right time.
//
// Received packets. A packet-zone mbuf keeps its cluster (FreeBSD's packet zone). Its copies form a
// group, which holds one count on the rte_mbuf itself as long as it has a member:
//
//      rte refcnt = 1 (the header is alive, or pinned)  + 1 (the group has members)
//
// A driver that frees the header only lowers that count; the cluster stays. The group's last leave
// lowers it too. Whichever comes second returns the mbuf to its pool. The header is not a member:
// it joins from outside (ref::Scheme::join), so a driver's free, which never sees us, is right.
//
// Windows. A copy is attached to exactly the bytes it may see, with no headroom or tailroom, so
// that DPDK's own prepend and append fail instead of scribbling on what others see. When m_split
// cuts an mbuf of a cluster, the front half's buffer is made to end at the cut, too. A received
// packet's own buffer cannot be (DPDK never sets its length again): DPDK code that writes to packets
// must ask for refcnt 1 first, as rte_vlan_insert() does; the verbs always do.
#pragma once
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// ext_free - gives foreign storage back to its owner. Runs once, on whichever thread dropped the
// last reference, a driver's included: it must not block.
using ext_free = void (*)(void* buf, uint32_t size, void* arg);

// Locks:  a atomic   I immutable while the storage is held
struct alignas(64) ExtControl {
    alignas(8) std::byte refs[8];        // [a] the scheme's control (lib/ref/scheme.h); 0: not shared
    ExtType type;                        // [I]
    bool read_only;                      // [I]
    uint8_t zone;                        // [I] cluster: number of its zone
    sync::atomic<uint8_t> zero_pending;  // [a] packet: zero it when its header comes home, too
    uint32_t size;          // [I] bytes at base
    std::byte* base;        // [I]
    rte_iova_t iova;        // [I] of base, or RTE_BAD_IOVA
    ext_free free;          // [I] foreign only
    void* arg;              // [I] foreign: the owner's. packet: the Mbuf that is married to it. page: lib/page's
};
static_assert(sizeof(ExtControl) == 64);

inline constexpr size_t kPacketPrivate = kMbufPrivate + sizeof(ExtControl);

// is_packet - is m a received packet's own header, married to its cluster (not a copy of one)?
[[nodiscard]] inline bool is_packet(const Mbuf* m) noexcept {
    return m->rte.priv_size == kPacketPrivate &&
           (m->rte.ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) == 0;
}
// packet_control - the control line of a packet-zone mbuf.
[[nodiscard]] inline ExtControl* packet_control(const Mbuf* m) noexcept {
    return reinterpret_cast<ExtControl*>(const_cast<Mbuf*>(m) + 1);
}
// ext_control - of an mbuf with M_EXT: whose storage it holds.
[[nodiscard]] inline ExtControl* ext_control(const Mbuf* m) noexcept {
    return is_packet(m) ? packet_control(m) : m->ctl.load(sync::relaxed);
}

// ext_share - copy becomes a second view of [offset, offset + length) of m's data. copy is a fresh
// header of the mbuf zone. The caller owns m, and is its only user at this moment. 0, or ENOBUFS and
// neither mbuf is changed. Not for m without M_EXT: such bytes are copied.
[[nodiscard]] int ext_share(Mbuf* m, Mbuf* copy, uint32_t offset, uint32_t length) noexcept;

// m_extpg - m, which has no storage and no data, shows [off, off + len) of `page`, of which this is
// the first reference; len is 1 to 65,535 (DPDK's buf_len). More views of it are made by the verbs that
// share. lib/page's way in; FreeBSD: mb_alloc_ext_pgs. 0, or EBUSY as below, and nothing is changed.
[[nodiscard]] int m_extpg(Mbuf* m, ExtControl* page, uint32_t off, uint32_t len) noexcept;

// m_extfree - m lets its storage go, and has its own room again: kMLen bytes, none of them used (a
// received packet's header: its own cluster). False, and nothing is changed, when others still see
// that cluster, or a clone made by DPDK still counts on m's record. FreeBSD: mb_free_ext; OpenBSD:
// m_extfree. m is the caller's.
[[nodiscard]] bool m_extfree(Mbuf* m) noexcept;

// m_clget - attach a cluster of at least `size` bytes to m, which has no storage of its own and no
// data. BSD: m_clget, m_cljget. 0, or ENOBUFS (none left), or EMSGSIZE (larger than 16k), or EBUSY (a
// clone made by DPDK reads the bytes that m had inside); m is then as it was.
[[nodiscard]] int m_clget(Mbuf* m, int how, uint32_t size) noexcept;

// m_extadd - attach foreign storage to m, which has none and no data. `flags`: M_RDONLY or 0. The
// storage is then owned by its references; free(buf, size, arg) runs after the last. size is 1 to
// 65,535 (DPDK's buf_len is 16 bits). FreeBSD: m_extadd; OpenBSD: MEXTADD. 0, or ENOBUFS (no
// control left), or EMSGSIZE, or EBUSY as above; m and buf are then as they were. Memory that is not EAL's, or is not
// contiguous for a device, gets no IOVA (RTE_BAD_IOVA): drivers that copy can send it, those that do
// DMA cannot.
[[nodiscard]] int m_extadd(Mbuf* m, void* buf, uint32_t size, ext_free free, void* arg,
                           uint32_t flags) noexcept;

// m_writable - may the owner of m write its bytes at mtod()? False while any other mbuf can see them,
// when the storage is read-only, and of every page (m_changeable() in window.h). FreeBSD: M_WRITABLE.
// OpenBSD: !M_READONLY.
[[nodiscard]] bool m_writable(const Mbuf* m) noexcept;

}  // namespace umbuf
