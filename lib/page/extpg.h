// SPDX-License-Identifier: BSD-2-Clause
// extpg.h - mbufs whose bytes are in unmapped pages (M_EXTPG), made, looked at, and mapped again.
//
// FreeBSD's mbuf of this kind lists up to five pages, wherever they are. A driver of DPDK's takes one
// address and one length per mbuf, so here an mbuf shows a piece of *one* page, which is a run of up to
// 16 frames (page.h); its first offset and last length follow from where the piece lies. A payload over
// two pages is two mbufs.
//
// E1  An unmapped mbuf is never the first of a packet: headers are written and read where they lie.
// E2  It has no headroom and no tailroom: DPDK's prepend and append fail on it.
// E3  It holds its page by its own record like any storage (lib/mbuf/ext.h), so every verb that shares,
//     splits and frees, and every driver that frees, is right about it without knowing of it.
//
// Thread: the mbuf's owner.
#pragma once
#include <cstddef>
#include <cstdint>

#include "lib/mbuf/mbuf.h"
#include "lib/page/page.h"

namespace umbuf {

// mb_use_ext_pgs - may who makes new mbufs make unmapped ones? Asked by producers, once per packet; what
// there is already stays as it is. FreeBSD: kern.ipc.mb_use_ext_pgs.
inline constinit sync::atomic<bool> mb_use_ext_pgs{true};  // [a] relaxed: a hint, nothing hangs on it

// mb_alloc_ext_pgs - an mbuf with len bytes, at most a page of the class, in a fresh page. Cache pages
// are not ready (M_NOTREADY) until their filler says so. `owner` is a string that lives for ever. Null:
// no mbuf or page (rte_errno ENOBUFS), or len is 0 or larger than the page or 65,535 (EMSGSIZE). FreeBSD.
[[nodiscard]] Mbuf* mb_alloc_ext_pgs(PageClass cls, uint32_t len, int how, const char* owner) noexcept;

// The frames that an unmapped mbuf shows (FreeBSD: m_epg_npgs, m_epg_1st_off, m_epg_last_len). m is
// unmapped and has a byte.
[[nodiscard]] uint32_t m_epg_npgs(const Mbuf* m) noexcept;
[[nodiscard]] uint32_t m_epg_1st_off(const Mbuf* m) noexcept;
[[nodiscard]] uint32_t m_epg_last_len(const Mbuf* m) noexcept;
// m_epg_pagelen - bytes that it shows in its frame i. FreeBSD.
[[nodiscard]] uint32_t m_epg_pagelen(const Mbuf* m, uint32_t i) noexcept;

// m_has_unmapped - is any mbuf of the chain unmapped?
[[nodiscard]] inline bool m_has_unmapped(const Mbuf* m) noexcept {
    if (__builtin_expect(ghost::size == 0, 1)) return false;
    for (; m != nullptr; m = m->next())
        if (m_unmapped(m)) return true;
    return false;
}
// m_notready - 0: all that the chain shows is there; EBUSY: something has not arrived; EIO: it never will.
// A device's pages are always there. Clears M_NOTREADY where it finds so. FreeBSD: M_NOTREADY, sbready().
[[nodiscard]] int m_notready(Mbuf* m) noexcept;

// MappedFor - why a chain was mapped: the conversions are counted by reason.
enum class MappedFor : uint8_t { nic, checksum, crypto, capture, caller, count };
[[nodiscard]] const char* name_of(MappedFor why) noexcept;

// mb_unmapped_to_ext - every mbuf of the chain becomes one whose mtod() can be followed to be *read*:
// its data pointer moves to the read-only window; nothing is copied, and the page is held as before. In
// a strict arena, where no window stands, the bytes are copied into clusters. 0; EBUSY, EIO, EOPNOTSUPP,
// ENOBUFS: the chain is as it was. FreeBSD, where it frees the chain when it fails, and copies headers.
[[nodiscard]] int mb_unmapped_to_ext(Mbuf** mp, int how, MappedFor why) noexcept;
// mb_mapped_again - the reverse for windows: they become unmapped mbufs again. For paths that map for one
// reader and send for another. The first mbuf of a packet stays mapped (E1).
void mb_mapped_again(Mbuf* m) noexcept;
// mb_unmapped_copy - the chain's unmapped bytes, copied into clusters: for who cannot use windows, such
// as a device that another process reads. As mb_unmapped_to_ext otherwise; charged to `budget`.
[[nodiscard]] int mb_unmapped_copy(Mbuf** mp, int how, CopiedFor budget) noexcept;

// mb_mapped_to_unmapped - a copy of the chain's bytes in anonymous pages, no packet. Null: rte_errno says
// why; m is unchanged. FreeBSD, which frees m.
[[nodiscard]] Mbuf* mb_mapped_to_unmapped(const Mbuf* m, int how, const char* owner) noexcept;

// mb_unmapped_compress - the bytes of a small unmapped mbuf (kMLen at most) move into the mbuf, and its
// page is let go: a few bytes shall not pin one. 0; EBUSY: others hold the page, or its content has not
// arrived; EMSGSIZE: too many bytes; EIO, EOPNOTSUPP. m is then as it was. FreeBSD.
[[nodiscard]] int mb_unmapped_compress(Mbuf* m) noexcept;

// mb_free_notready - free a chain of which some mbufs may not be ready; their pages go home when the
// filler lets them go, too. FreeBSD (its count of pages is the chain's own here).
void mb_free_notready(Mbuf* m) noexcept;

// SglEntry - a piece of a chain as a device takes it.
struct SglEntry {
    rte_iova_t iova;   // RTE_BAD_IOVA: no device can
    std::byte* base;   // mtod(); in the ghost range: not to be followed
    uint32_t len;
};
// m_sgl - [off, off + len) of the chain as pieces, in order, at most `most` of them. Returns how many
// there are, which may be more than were written. The range is inside the chain. FreeBSD:
// sglist_append_mbuf().
[[nodiscard]] uint32_t m_sgl(const Mbuf* m, uint32_t off, uint32_t len, SglEntry* to, uint32_t most) noexcept;

// m_snap - the first len bytes, fewer if the chain has fewer, for a capture. Returns how many were copied;
// bytes that cannot be read are zero in the copy, and *hidden is how many those are.
[[nodiscard]] uint32_t m_snap(const Mbuf* m, uint32_t len, void* to, uint32_t* hidden) noexcept;

// Conversions since the program started.
struct ConversionCounters {
    uint64_t mapped[static_cast<size_t>(MappedFor::count)];  // mbufs, by reason
    uint64_t copied;                                          // mbufs that were copied instead
    uint64_t compressed;
};
[[nodiscard]] ConversionCounters conversion_counters() noexcept;

}  // namespace umbuf
