// SPDX-License-Identifier: BSD-2-Clause
// ext.cc - external storage: attached, detached, freed; the counting in between is ext_ops.h's.
#include "lib/mbuf/ext.h"

#include <cerrno>
#include <cstring>

#include <rte_errno.h>

#include "lib/mbuf/ext_ops.h"
#include "lib/mbuf/trace.h"
#include "lib/mbuf/window.h"

namespace umbuf {

namespace ext {

void detach(Mbuf* m) noexcept {
    const uint64_t flags = m->rte.ol_flags;
    rte_mbuf_ext_refcnt_set(&m->shinfo, 2);  // so that DPDK resets the mbuf and calls nobody
    rte_pktmbuf_detach(&m->rte);
    rte_mbuf_ext_refcnt_set(&m->shinfo, 0);
    // DPDK forgets all flags; ours says that the private part is valid, others are the packet's.
    m->rte.ol_flags = flags & ~uint64_t{RTE_MBUF_F_EXTERNAL};
    m->rte.data_off = 0;
    m->ext_type = ExtType::packet;
}

namespace {

void zero_bytes(ExtControl* control) noexcept {
    if (!control->read_only) explicit_bzero(control->base, control->size);
}

// The last member of a packet's group left. Whoever lowers the header's count to 0, we or the driver
// that frees it, returns the mbuf. While the header lives its bytes are in use: a zero request waits.
void unpin_packet(Mbuf* packet, ExtControl* control, bool zero) noexcept {
    if (zero) control->zero_pending.store(1, sync::relaxed);
    if (!unpin(packet)) return;
    zero_if_wanted(control);
    rte_mbuf_raw_free(&packet->rte);
}

void free_cluster(ExtControl* control, uint8_t zone, bool zero) noexcept {
    if (zero) zero_bytes(control);
    zone::pool_put(zone::cluster_pool(zone), control);
}

void free_foreign(ExtControl* control, bool zero) noexcept {
    if (zero) zero_bytes(control);
    const ext_free free = control->free;
    std::byte* const base = control->base;
    const uint32_t size = control->size;
    void* const arg = control->arg;
    rte_mempool_put(rte_mempool_from_obj(control), control);
    free(base, size, arg);
}

}  // namespace

uint64_t page_offset(const ExtControl* page, const std::byte* window) noexcept {
    return static_cast<uint64_t>(ghost::of(window) - page->base);
}

void mark_page(Mbuf* m) noexcept {
    if (!m_unmapped(m)) return;
    m->m_flags |= M_EXTPG | (m_readable(m) == EBUSY ? uint32_t{M_NOTREADY} : 0U);
}

void zero_if_wanted(ExtControl* control) noexcept {
    if (control->zero_pending.load(sync::relaxed) == 0) return;
    control->zero_pending.store(0, sync::relaxed);
    zero_bytes(control);
}

bool unpin(Mbuf* header) noexcept {
    // DPDK's own test for 1 is a relaxed load. Acquire here, so that on a weakly ordered CPU what
    // the header's owner did to the bytes happens before the next user's writes.
    (void)sync::load_of(header->rte.refcnt, sync::acquire);
    return rte_pktmbuf_prefree_seg(&header->rte) != nullptr;
}

void free_storage(ExtControl* control, bool zero) noexcept {
    if (trace::on()) trace::record(trace::Kind::last, control, nullptr);
    switch (control->type) {
    case ExtType::cluster: return free_cluster(control, control->zone, zero);
    case ExtType::foreign: return free_foreign(control, zero);
    case ExtType::packet: return unpin_packet(static_cast<Mbuf*>(control->arg), control, zero);
    case ExtType::page: return page_ops->last(control, zero);
    case ExtType::none: UM_ASSERT_MSG(false, "control %p: no storage", static_cast<void*>(control));
    }
}

void free_unshared(ExtControl* control, ExtType type, uint8_t zone, bool zero) noexcept {
    if (type != ExtType::cluster) return free_storage(control, zero);
    if (trace::on()) trace::record(trace::Kind::last, control, nullptr);
    free_cluster(control, zone, zero);
}

}  // namespace ext

int ext_share(Mbuf* m, Mbuf* copy, uint32_t offset, uint32_t length) noexcept {
    UM_ASSERT(!m->foreign() && offset + length <= m->len());
    if (zone::fault_fires()) return rte_errno = ENOBUFS;
    return refs_in_use().share(m, copy, offset, length);
}

namespace {

// The address that a device may use for [buf, buf + size), if it is one run for the device.
rte_iova_t iova_of(const void* buf, uint32_t size) noexcept {
    const rte_memseg* segment = rte_mem_virt2memseg(buf, nullptr);
    if (segment == nullptr) return RTE_BAD_IOVA;
    const auto offset = static_cast<uint64_t>(static_cast<const char*>(buf) -
                                              static_cast<const char*>(segment->addr));
    const bool one_run = rte_eal_iova_mode() == RTE_IOVA_VA || offset + size <= segment->len;
    if (!one_run || segment->iova == RTE_BAD_IOVA) return RTE_BAD_IOVA;
    return segment->iova + offset;
}

// A clone that DPDK made of m's own bytes pins m, and its end returns m without our hook: m must hold
// no storage by then. The followers of a leader that left them pin it, too, by one (ref::Leader); its
// view says so.
bool room_is_cloned(const Mbuf* m) noexcept {
    const uint16_t pins = sync::load_of(m->rte.refcnt, sync::acquire);
    if (__builtin_expect(pins == 1, 1)) return false;
    return pins != 2 || sync::load_of(*reinterpret_cast<const uint64_t*>(m->view), sync::relaxed) == 0;
}

}  // namespace

int m_clget(Mbuf* m, int, uint32_t size) noexcept {
    UM_ASSERT((m->flags() & M_EXT) == 0 && m->len() == 0);
    if (room_is_cloned(m)) return rte_errno = EBUSY;
    uint8_t i = 0;
    while (i < kClusterZones && kClusterSizes[i] < size) ++i;
    if (i == kClusterZones) return rte_errno = EMSGSIZE;
    ExtControl* control = static_cast<ExtControl*>(zone::get(*zone::here().clusters[i]));
    if (control == nullptr) return ENOBUFS;
    ext::attach(m, control, control->base, control->size);
    if (trace::on()) trace::record(trace::Kind::attach, control, m);
    return 0;
}

int m_extadd(Mbuf* m, void* buf, uint32_t size, ext_free free, void* arg, uint32_t flags) noexcept {
    UM_ASSERT((m->flags() & M_EXT) == 0 && m->len() == 0 && free != nullptr);
    if (size == 0 || size > UINT16_MAX) return EMSGSIZE;
    if (room_is_cloned(m)) return EBUSY;
    ExtControl* control = static_cast<ExtControl*>(zone::get(*zone::here().controls));
    if (control == nullptr) return ENOBUFS;
    control->type = ExtType::foreign;
    control->read_only = (flags & M_RDONLY) != 0;
    control->zone = 0;
    control->size = size;
    control->base = static_cast<std::byte*>(buf);
    control->iova = iova_of(buf, size);
    control->free = free;
    control->arg = arg;
    ext::attach(m, control, control->base, size);
    if (trace::on()) trace::record(trace::Kind::attach, control, m);
    return 0;
}

int m_extpg(Mbuf* m, ExtControl* page, uint32_t off, uint32_t len) noexcept {
    UM_ASSERT((m->flags() & M_EXT) == 0 && m->len() == 0 && page->type == ExtType::page);
    UM_ASSERT(len > 0 && len <= UINT16_MAX && off < page->size && len <= page->size - off);
    if (room_is_cloned(m)) return EBUSY;
    ext::attach(m, page, page->base + off, len);
    m->set_len(len);
    if (trace::on()) trace::record(trace::Kind::attach, page, m);
    return 0;
}

bool m_extfree(Mbuf* m) noexcept {
    const bool own_room_is_seen = m->rte.priv_size == kPacketPrivate &&
                                  sync::load_of(m->rte.refcnt, sync::acquire) != 1;
    if (own_room_is_seen) return false;
    if (RTE_MBUF_DIRECT(&m->rte)) {
        m->rte.data_off = 0;
        m->set_len(0);
        return true;
    }
    if (!m->foreign()) return refs_in_use().extfree(m);
    rte_pktmbuf_detach(&m->rte);  // DPDK's to count
    m->rte.data_off = 0;
    m->set_len(0);
    return true;
}

bool m_writable(const Mbuf* m) noexcept {
    if (m->foreign() || sync::load_of(m->rte.refcnt, sync::acquire) != 1) return false;
    if ((m->rte.ol_flags & RTE_MBUF_F_EXTERNAL) == 0) return true;  // its own bytes
    if (sync::load_of(m->shinfo.refcnt, sync::acquire) != 1) return false;  // a DPDK clone sees them
    if (m->ext_type != ExtType::cluster) {  // an unshared cluster's control is not loaded
        const ExtControl* control = ext_control(m);
        if (control->read_only || control->type == ExtType::page) return false;
        // The group's members hold one rte count; a second one is the received header, still alive.
        if (control->type == ExtType::packet &&
            sync::load_of(static_cast<const Mbuf*>(control->arg)->rte.refcnt, sync::acquire) != 1)
            return false;
    }
    // Who finds itself alone is unshared again: what the scheme keeps in m changes, m's bytes do not.
    return refs_in_use().exclusive(const_cast<Mbuf*>(m));
}

}  // namespace umbuf
