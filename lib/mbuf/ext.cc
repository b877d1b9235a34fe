// SPDX-License-Identifier: BSD-2-Clause
// ext.cc - how a reference to external storage is taken and dropped, and who frees it.
#include "lib/mbuf/ext.h"

#include <cerrno>
#include <cstring>

#include "lib/mbuf/zone_get.h"

namespace umbuf {
namespace {

// Attach m to [window, window + length): its own record, count 1, and the view's weight.
void attach(Mbuf* m, ExtControl* control, uint32_t weight, std::byte* window, uint32_t length) noexcept {
    m->ext_type = control->type;
    m->ext_zone = control->zone;
    m->weight = weight;
    m->ctl.store(control, sync::relaxed);
    rte_mbuf_ext_refcnt_set(&m->shinfo, 1);
    const rte_iova_t iova =
        control->iova == RTE_BAD_IOVA
            ? RTE_BAD_IOVA
            : control->iova + static_cast<rte_iova_t>(window - control->base);
    rte_pktmbuf_attach_extbuf(&m->rte, window, iova, static_cast<uint16_t>(length), &m->shinfo);
    m->m_flags |= M_EXT | (control->read_only ? uint32_t{M_RDONLY} : 0U);
}

void zero(ExtControl* control) noexcept {
    if (!control->read_only) explicit_bzero(control->base, control->size);
}

// A copy of a received packet joins its group; the first member pins the header (ext.h). The owner
// of the header is the only one who can join, so nobody pins between our join and our pin.
void join_packet(Mbuf* packet, ExtControl* control, uint32_t& weight) noexcept {
    if (Refs::join(control->refs, weight)) rte_mbuf_refcnt_update(&packet->rte, 1);
}

// The last member of a group left: undo the pin. Whoever lowers the count to 0, we or the driver
// that frees the header, returns the mbuf.
void unpin_packet(Mbuf* packet, ExtControl* control) noexcept {
    // DPDK's own test for 1 is a relaxed load. Acquire here, so that on a weakly ordered CPU what
    // the header's owner did to the bytes happens before the next user's writes.
    (void)sync::load_of(packet->rte.refcnt, sync::acquire);
    rte_mbuf* last = rte_pktmbuf_prefree_seg(&packet->rte);
    if (last == nullptr) return;
    if (Refs::zero_wanted(control->refs)) zero(control);
    rte_mbuf_raw_free(last);
}

void release_cluster(ExtControl* control, uint8_t zone, uint32_t weight, bool zeroize) noexcept {
    // Weight 0: never shared, and the control line is not loaded at all.
    if (weight != 0) {
        if (!Refs::release(control->refs, weight)) return;
        zeroize = Refs::zero_wanted(control->refs);
    }
    if (zeroize) zero(control);
    rte_mempool_put(zone::cluster_pool(zone), control);
}

void release_foreign(ExtControl* control, uint32_t weight, bool zeroize) noexcept {
    if (!Refs::release(control->refs, weight)) return;
    if (weight != 0) zeroize = Refs::zero_wanted(control->refs);
    if (zeroize) zero(control);
    const ExtControl storage{.refs = {}, .type = control->type, .read_only = false, .zone = 0,
                             .size = control->size, .base = control->base, .iova = 0,
                             .free = control->free, .arg = control->arg};
    rte_mempool_put(rte_mempool_from_obj(control), control);
    storage.free(storage.base, storage.size, storage.arg);
}

}  // namespace

int ext_share(Mbuf* m, Mbuf* copy, uint32_t offset, uint32_t length) noexcept {
    UM_ASSERT(!m->foreign() && offset + length <= m->len());
    if (zone::fault_fires()) return ENOBUFS;
    ExtControl* control = ext_control(m);
    uint32_t weight = 0;
    if (is_packet(m)) {
        join_packet(m, control, weight);
    } else if (const int error = Refs::share(control->refs, m->weight, weight); error != 0) {
        return error;
    }
    attach(copy, control, weight, m->data() + offset, length);
    return 0;
}

void ext_release(Mbuf* m) noexcept {
    // DPDK may have found the record's count at 1 by a relaxed load, and then lowered it by a store.
    // The fence orders what the other holder of the record wrote, the weight included, before us;
    // it pairs with that holder's atomic subtraction in rte_mbuf_ext_refcnt_update().
    sync::fence_acquire();
    ExtControl* control = m->ctl.load(sync::relaxed);
    UM_ASSERT_MSG(control != nullptr, "mbuf %p: its reference was dropped before", static_cast<void*>(m));
    const ExtType type = m->ext_type;
    const uint8_t zone = m->ext_zone;
    uint32_t weight = m->weight;
    const bool zeroize = (m->m_flags & M_ZEROIZE) != 0;
    if (zeroize && weight != 0) Refs::zeroize(control->refs, weight);
    // Parked: from here on the header may be taken for something else. Pairs with the acquire loads
    // of get_header() and reclaim_set_aside().
    m->ctl.store(nullptr, sync::release);
    switch (type) {
    case ExtType::cluster: return release_cluster(control, zone, weight, zeroize);
    case ExtType::foreign: return release_foreign(control, weight, zeroize);
    case ExtType::packet:
        if (Refs::leave(control->refs, weight))
            unpin_packet(static_cast<Mbuf*>(control->arg), control);
        return;
    case ExtType::none: UM_ASSERT_MSG(false, "mbuf %p: no storage", static_cast<void*>(m));
    }
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

}  // namespace

int m_clget(Mbuf* m, int, uint32_t size) noexcept {
    UM_ASSERT((m->flags() & M_EXT) == 0 && m->len() == 0);
    uint8_t i = 0;
    while (i < kClusterZones && kClusterSizes[i] < size) ++i;
    if (i == kClusterZones) return EMSGSIZE;
    ExtControl* control = static_cast<ExtControl*>(zone::get(*zone::here().clusters[i]));
    if (control == nullptr) return ENOBUFS;
    attach(m, control, 0, control->base, control->size);
    return 0;
}

int m_extadd(Mbuf* m, void* buf, uint32_t size, ext_free free, void* arg, uint32_t flags) noexcept {
    UM_ASSERT((m->flags() & M_EXT) == 0 && m->len() == 0 && free != nullptr);
    if (size == 0 || size > UINT16_MAX) return EMSGSIZE;
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
    attach(m, control, 0, control->base, size);
    return 0;
}

bool m_writable(const Mbuf* m) noexcept {
    if (m->foreign() || sync::load_of(m->rte.refcnt, sync::acquire) != 1) return false;
    if ((m->rte.ol_flags & RTE_MBUF_F_EXTERNAL) == 0) return true;  // its own bytes
    if (sync::load_of(m->shinfo.refcnt, sync::acquire) != 1) return false;  // a DPDK clone sees them
    if (m->ext_type == ExtType::cluster && m->weight == 0) return true;     // control not loaded
    const ExtControl* control = ext_control(m);
    if (control->read_only) return false;
    // The group's members hold one rte count; a second one is the received header, still alive.
    if (control->type == ExtType::packet &&
        sync::load_of(static_cast<const Mbuf*>(control->arg)->rte.refcnt, sync::acquire) != 1)
        return false;
    return Refs::exclusive(control->refs, m->weight);
}

}  // namespace umbuf
