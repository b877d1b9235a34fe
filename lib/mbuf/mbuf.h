// SPDX-License-Identifier: BSD-2-Clause
// mbuf.h - the Mbuf: what BSD calls an mbuf, laid over what DPDK calls an rte_mbuf.
//
// A driver sees the rte_mbuf; nothing is converted at its door. BSD's fields are DPDK's:
//
//      BSD              DPDK                  kept right by
//      m_next           next                  every verb
//      m_len            data_len              every verb
//      m_data           buf_addr + data_off   every verb
//      m_pkthdr.len     pkt_len               every verb, in the first mbuf
//      (none)           nb_segs               every verb, in the first mbuf
//      m_pkthdr.rcvif   port                  the driver
//
// What BSD has and DPDK has not lives in the 64 bytes behind it, the private area:
//
//      0                     128                  192
//      +---------------------+--------------------+----------------+-------
//      | rte_mbuf            | Mbuf's private part | packet zone:   | data ...
//      |                     | flags, ext record   | control line   |
//      +---------------------+--------------------+----------------+-------
//
// The private part is not written when a driver receives a packet, so receiving costs nothing. One
// ol_flags bit (registered at mbinit, like any DPDK dynamic flag) says that it is valid; a driver
// sets ol_flags afresh for each packet and so clears it. While it is clear, the mbuf is what a
// received packet is: M_PKTHDR and M_EXT, no tags.
//
// A *foreign* mbuf is one that DPDK code attached to its data (rte_pktmbuf_clone). It inherits
// ol_flags, our bit included, but not the private part, which is then never valid: such an mbuf
// always says M_PKTHDR, M_EXT and M_RDONLY, and its flags cannot be changed.
#pragma once
#include <cstddef>
#include <cstdint>

#include <rte_mbuf.h>

#include "lib/base/check.h"
#include "lib/base/sync.h"

namespace umbuf {

struct ExtControl;
struct MTag;

// The first six have FreeBSD's values (sys/mbuf.h).
enum MFlags : uint32_t {
    M_EXT = 0x00000001,     // storage outside the mbuf: a cluster, a packet's own, or foreign
    M_PKTHDR = 0x00000002,  // first mbuf of a packet
    M_EOR = 0x00000004,     // end of record
    M_RDONLY = 0x00000008,  // the storage may not be written; a property of the storage
    M_BCAST = 0x00000010,
    M_MCAST = 0x00000020,
    M_EXTPG = 0x00000100,     // unmapped: mtod() faults, the bytes are reached by windows (window.h)
    M_NOTREADY = 0x00000200,  // was made before its page was filled; ask m_readable()
    M_ZEROIZE = 0x00000400,   // zero the storage when it is freed
};

// How to wait. The data plane never waits: M_WAITOK asks for nothing more than M_NOWAIT here, and
// is accepted so that BSD code reads unchanged.
enum MHow : int { M_NOWAIT = 1, M_WAITOK = 2 };
// BSD's mbuf types that have a use outside a socket layer.
enum MType : uint8_t { MT_FREE = 0, MT_DATA = 1, MT_HEADER = MT_DATA, MT_CONTROL = 14 };
enum class ExtType : uint8_t { none, cluster, packet, foreign, page };

// Locks:  d the driver, while it has it   o the one owner of this mbuf   I immutable once attached
//         a atomic   s the scheme says: it may be anybody's who holds the same storage
struct alignas(64) Mbuf {
    rte_mbuf rte;  // [d][o]

    // ---- the private area. `shinfo` is what a driver's free runs into; its callback is ours.
    rte_mbuf_ext_shared_info shinfo;  // [a] count 1 while this mbuf holds storage, 0 when parked
    sync::atomic<ExtControl*> ctl;    // [a] whose storage; null: parked, the header may be reused
    alignas(8) std::byte view[8];     // [s] the scheme's (lib/ref/scheme.h); all 0: never shared
    uint32_t m_flags;                 // [o] MFlags; read it by flags()
    ExtType ext_type;                 // [I]
    uint8_t ext_zone;                 // [I] the cluster zone's number, for an unshared free
    MType m_type;                     // [o] read it by type()
    uint8_t unused_;
    MTag* tags;                       // [o] of a first mbuf, else null; read it by m_tag_first()
    Mbuf* nextpkt;                    // [o] the next packet of a list, written by lists alone

    [[nodiscard]] static Mbuf* of(rte_mbuf* r) noexcept { return reinterpret_cast<Mbuf*>(r); }
    [[nodiscard]] static const Mbuf* of(const rte_mbuf* r) noexcept {
        return reinterpret_cast<const Mbuf*>(r);
    }

    [[nodiscard]] Mbuf* next() const noexcept { return of(rte.next); }
    void set_next(Mbuf* m) noexcept { rte.next = m == nullptr ? nullptr : &m->rte; }
    [[nodiscard]] std::byte* data() const noexcept {
        return static_cast<std::byte*>(rte.buf_addr) + rte.data_off;
    }
    [[nodiscard]] uint32_t len() const noexcept { return rte.data_len; }
    void set_len(uint32_t n) noexcept { rte.data_len = static_cast<uint16_t>(n); }
    [[nodiscard]] uint32_t pkt_len() const noexcept { return rte.pkt_len; }

    // foreign - attached by DPDK code. Its bytes are not ours to share or to write; verbs copy them.
    [[nodiscard]] bool foreign() const noexcept {
        if ((rte.ol_flags & RTE_MBUF_F_INDIRECT) != 0) return true;
        return (rte.ol_flags & RTE_MBUF_F_EXTERNAL) != 0 && rte.shinfo != &shinfo;
    }
    [[nodiscard]] bool private_valid() const noexcept {
        return (rte.ol_flags & valid_flag_) != 0 && !foreign();
    }
    [[nodiscard]] uint32_t flags() const noexcept {
        if (private_valid()) return m_flags;
        return foreign() ? uint32_t{M_PKTHDR | M_EXT | M_RDONLY} : uint32_t{M_PKTHDR | M_EXT};
    }
    [[nodiscard]] MType type() const noexcept { return private_valid() ? m_type : MT_DATA; }
    [[nodiscard]] bool has_pkthdr() const noexcept { return (flags() & M_PKTHDR) != 0; }
    // make_valid - write the private part of a received packet, before its flags are changed. Does
    // nothing to a foreign mbuf: its private part may still be the record of another use.
    void make_valid() noexcept {
        if (private_valid() || foreign()) return;
        m_flags = M_PKTHDR | M_EXT;
        m_type = MT_DATA;
        ext_type = ExtType::packet;
        if (__builtin_expect(tags != nullptr, 0)) drop_lost_tags();
        nextpkt = nullptr;
        rte.ol_flags |= valid_flag_;
    }
    void set_flags(uint32_t on) noexcept {
        make_valid();
        if (private_valid()) m_flags |= on;
    }
    void clear_flags(uint32_t off) noexcept {
        make_valid();
        if (private_valid()) m_flags &= ~off;
    }

    // drop_lost_tags - free the tags that this header's last packet took into a driver (tag.h).
    void drop_lost_tags() noexcept;

    static uint64_t valid_flag_;  // [I] after mbinit
};

inline constexpr size_t kMbufPrivate = sizeof(Mbuf) - sizeof(rte_mbuf);

// The overlay is right only while DPDK's layout is the one that we think it is.
static_assert(sizeof(rte_mbuf) == 128 && alignof(Mbuf) == 64);
static_assert(offsetof(Mbuf, rte) == 0 && offsetof(Mbuf, shinfo) == 128 && kMbufPrivate == 64);
static_assert(offsetof(rte_mbuf, buf_addr) == 0 && offsetof(rte_mbuf, data_off) == 16);
static_assert(offsetof(rte_mbuf, refcnt) == 18 && offsetof(rte_mbuf, nb_segs) == 20);
static_assert(offsetof(rte_mbuf, ol_flags) == 24 && offsetof(rte_mbuf, pkt_len) == 36);
static_assert(offsetof(rte_mbuf, data_len) == 40 && offsetof(rte_mbuf, next) == 64);

// mtod - the data as a T. BSD's name. The caller knows that the bytes are there (m_pullup).
template <class T>
[[nodiscard]] inline T mtod(const Mbuf* m) noexcept {
    return reinterpret_cast<T>(m->data());
}

}  // namespace umbuf
