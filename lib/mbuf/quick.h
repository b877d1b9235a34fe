// SPDX-License-Identifier: BSD-2-Clause
// quick.h - the usual copy, the usual free, and the usual making of an mbuf with storage: each field written
// once. For lib/mbuf's own files only.
//
// The verbs' long way says what is done: fresh::take, ext_share, header::copy; m_free, with ext::go_home;
// m_clget, with ext::attach. Here it is done again in one run for the case in which nothing is unusual, because a
// copy and its free are what a shared cluster costs, whatever the scheme. What is unusual - an armed
// fault, tracing, an empty cache, tags, a header that is still in use - is declined before anything
// is changed, and goes the long way; so nothing can fail here, and nothing is counted.
//
// The source's private part tells what the control's line would: that line is written by whoever
// counts, on any lcore, and is left alone here.
#pragma once
#include "lib/mbuf/ext.h"
#include "lib/mbuf/header.h"
#include "lib/mbuf/trace.h"
#include "lib/mbuf/verbs.h"
#include "lib/mbuf/zone_get.h"

namespace umbuf::quick {

inline constexpr uint64_t kAttached = RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;

// Part - what is asked of a source: [off, off + length) of its data, with its packet header or not.
struct Part {
    uint32_t off, length;
    bool header;
};

// may_copy - m has storage of ours, or its own cluster, and the part lies in it alone. Sets
// part.header. Not: the long way has something to do, or to watch.
[[nodiscard, gnu::always_inline]] inline bool may_copy(const Mbuf* m, Part& part) noexcept {
    const rte_mbuf& r = m->rte;
    if (zone::fault_in.load(sync::relaxed) != 0 || trace::on()) return false;
    if (part.length == M_COPYALL && r.next == nullptr) part.length = r.data_len - part.off;
    if (part.length == 0 || part.off > r.data_len || part.length > r.data_len - part.off) return false;
    const uint64_t how = r.ol_flags & kAttached;
    if (how == 0 ? r.priv_size != kPacketPrivate : how != RTE_MBUF_F_EXTERNAL || r.shinfo != &m->shinfo) return false;
    if (part.off != 0) return true;
    const bool as_received = (r.ol_flags & Mbuf::valid_flag_) == 0;
    part.header = as_received || (m->m_flags & M_PKTHDR) != 0;
    return as_received || !part.header || m->tags == nullptr;
}

// take_header - of this lcore's cache, parked and clean. Null: there is none.
[[nodiscard, gnu::always_inline]] inline Mbuf* take_header() noexcept {
    rte_mempool_cache* cache = rte_mempool_default_cache(zone::here().mbufs->pool, rte_lcore_id());
    if (__builtin_expect(cache == nullptr || cache->len == 0, 0)) return nullptr;
    Mbuf* m = static_cast<Mbuf*>(cache->objs[cache->len - 1]);
    if (__builtin_expect(!zone::parked(m) || m->tags != nullptr || (m->m_flags & M_ZEROIZE) != 0, 0)) return nullptr;
    --cache->len;
    return m;
}

// copy_header - as header::copy(), onto what has no header yet.
[[gnu::always_inline]] inline void copy_header(rte_mbuf& c, const rte_mbuf& r, uint32_t length) noexcept {
    c.port = r.port;
    c.ol_flags = (r.ol_flags & ~kAttached) | Mbuf::valid_flag_ | RTE_MBUF_F_EXTERNAL;
    c.packet_type = r.packet_type;
    c.pkt_len = length;
    c.vlan_tci = r.vlan_tci;
    c.hash = r.hash;
    c.vlan_tci_outer = r.vlan_tci_outer;
    c.tx_offload = r.tx_offload;
    rte_mbuf_dynfield_copy(&c, &r);
}
// blank_header - as fresh::take() leaves it.
[[gnu::always_inline]] inline void blank_header(rte_mbuf& c) noexcept {
    c.port = RTE_MBUF_PORT_INVALID;
    c.ol_flags = Mbuf::valid_flag_ | RTE_MBUF_F_EXTERNAL;
    c.packet_type = 0;
    c.pkt_len = 0;
    c.vlan_tci = 0;
    c.vlan_tci_outer = 0;
    c.tx_offload = 0;
}

// show - copy, from take_header(), becomes that part of m; all but its view. Packet: m is a received
// packet's own header.
template <bool Packet>
[[gnu::always_inline]] inline void show(Mbuf* copy, const Mbuf* m, ExtControl* control, const Part& part) noexcept {
    rte_mbuf& c = copy->rte;
    const rte_mbuf& r = m->rte;
    const uint32_t begin = r.data_off + part.off;
    const rte_iova_t iova = rte_mbuf_iova_get(&r);
    c.buf_addr = static_cast<std::byte*>(r.buf_addr) + begin;
    rte_mbuf_iova_set(&c, iova == RTE_BAD_IOVA ? iova : iova + begin);
    c.data_off = 0;
    c.buf_len = static_cast<uint16_t>(part.length);
    c.shinfo = &copy->shinfo;
    rte_mbuf_ext_refcnt_set(&copy->shinfo, 1);
    copy->ctl.store(control, sync::relaxed);
    const bool as_received = Packet && (r.ol_flags & Mbuf::valid_flag_) == 0;
    const uint32_t had = as_received ? uint32_t{M_PKTHDR} : m->m_flags;
    if (part.header) copy_header(c, r, part.length);
    else blank_header(c);
    constexpr uint32_t kStorage = M_RDONLY | M_ZEROIZE | M_EXTPG | M_NOTREADY;  // what is true of the bytes
    copy->m_flags = M_EXT | (had & (kStorage | (part.header ? header::kCopiedFlags : 0U)));
    copy->ext_type = Packet ? ExtType::packet : m->ext_type;
    copy->ext_zone = Packet ? uint8_t{0} : m->ext_zone;
    copy->m_type = MT_DATA;
    copy->nextpkt = nullptr;
    c.data_len = static_cast<uint16_t>(part.length);
}

// fresh_cluster - an mbuf with a cluster of kClusterSizes[i], as fresh::take() and m_clget() make one. Null: one
// of them has to. What the next one will be is fetched early: it was freed long ago, as a rule.
[[nodiscard, gnu::always_inline]] inline Mbuf* fresh_cluster(uint32_t flags, MType type, uint8_t i) noexcept {
    if (__builtin_expect(zone::fault_in.load(sync::relaxed) != 0 || trace::on() || !zone::iova_is_va, 0)) return nullptr;
    Zone& zone = *zone::here().clusters[i];
    rte_mempool_cache* clusters = rte_mempool_default_cache(zone.pool, rte_lcore_id());
    if (__builtin_expect(clusters == nullptr || clusters->len < 2, 0)) return nullptr;
    Mbuf* m = take_header();
    if (__builtin_expect(m == nullptr, 0)) return nullptr;
    ExtControl* control = static_cast<ExtControl*>(clusters->objs[--clusters->len]);
    std::byte* const base = reinterpret_cast<std::byte*>(control + 1);
    if (const rte_mempool_cache* headers = rte_mempool_default_cache(m->rte.pool, rte_lcore_id()); headers->len > 0) {
        const Mbuf* next = static_cast<const Mbuf*>(headers->objs[headers->len - 1]);
        __builtin_prefetch(next);
        __builtin_prefetch(&next->rte.next);
        __builtin_prefetch(&next->shinfo);
    }
    __builtin_prefetch(static_cast<ExtControl*>(clusters->objs[clusters->len - 1]) + 1);
    rte_mbuf& r = m->rte;
    r.buf_addr = base;
    rte_mbuf_iova_set(&r, reinterpret_cast<rte_iova_t>(base));
    r.buf_len = static_cast<uint16_t>(kClusterSizes[i]);
    r.data_off = 0;
    r.data_len = 0;
    r.shinfo = &m->shinfo;
    blank_header(r);
    rte_mbuf_ext_refcnt_set(&m->shinfo, 1);
    m->ctl.store(control, sync::relaxed);
    m->m_flags = flags | M_EXT;
    m->ext_type = ExtType::cluster;
    m->ext_zone = zone::number_of(zone);
    m->m_type = type;
    m->nextpkt = nullptr;
    return m;
}

// may_free - m is of the mbuf zone, with storage, and nobody else knows its header or its record.
// Not: m was freed before, which is for the long way to tell.
[[nodiscard, gnu::always_inline]] inline bool may_free(const Mbuf* m) noexcept {
    const rte_mbuf& r = m->rte;
    return (r.ol_flags & kAttached) == RTE_MBUF_F_EXTERNAL && r.shinfo == &m->shinfo &&
           r.priv_size == kMbufPrivate && m->m_type != MT_FREE && m->tags == nullptr &&
           sync::load_of(r.refcnt, sync::acquire) == 1 && sync::load_of(m->shinfo.refcnt, sync::acquire) == 1;
}

// go_home - m, whose view was given back, to its zone: parked, marked as free, with its own room.
[[gnu::always_inline]] inline void go_home(Mbuf* m) noexcept {
    rte_mbuf& r = m->rte;
    m->ctl.store(nullptr, sync::relaxed);
    m->m_flags = 0;  // these five are one store
    m->ext_type = ExtType::none;
    m->ext_zone = 0;
    m->m_type = MT_FREE;
    m->unused_ = 0;
    rte_mbuf_ext_refcnt_set(&m->shinfo, 0);
    r.ol_flags &= ~RTE_MBUF_F_EXTERNAL;
    r.buf_addr = m + 1;
    // Where a device's addresses are ours, the line before the header need not be loaded.
    const rte_iova_t own = zone::iova_is_va ? reinterpret_cast<rte_iova_t>(m) : rte_mempool_virt2iova(m);
    rte_mbuf_iova_set(&r, own + sizeof(Mbuf));
    r.buf_len = kMLen;
    r.data_off = 0;
    r.data_len = 0;
    r.nb_segs = 1;
    m->set_next(nullptr);
    zone::pool_put(r.pool, m);
}

}  // namespace umbuf::quick

namespace umbuf {

// The verbs' long way (copy.cc, free.cc). Their names are what a trace shows of a verb.
[[nodiscard]] Mbuf* m_copym_slowly(Mbuf* m, uint32_t off, uint32_t len, int how) noexcept;
void m_free_slowly(Mbuf* m) noexcept;

}  // namespace umbuf
