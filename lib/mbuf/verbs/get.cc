// SPDX-License-Identifier: BSD-2-Clause
// get.cc - m_get and its kin, m_free.
#include "lib/mbuf/verbs.h"
#include "lib/mbuf/zone_get.h"

namespace umbuf {
namespace {

// A header from its zone has refcnt 1, nb_segs 1 and next null: DPDK keeps that in its pools.
Mbuf* fresh(uint32_t flags, MType type) noexcept {
    Mbuf* m = zone::get_header();
    if (m == nullptr) return nullptr;
    rte_mbuf& r = m->rte;
    r.port = RTE_MBUF_PORT_INVALID;
    r.ol_flags = Mbuf::valid_flag_;
    r.packet_type = 0;
    r.pkt_len = 0;
    r.data_len = 0;
    r.vlan_tci = 0;
    r.vlan_tci_outer = 0;
    r.tx_offload = 0;
    r.data_off = 0;
    m->m_flags = flags;
    m->m_type = type;
    m->tags = nullptr;
    m->nextpkt = nullptr;
    m->weight = 0;
    m->ext_type = ExtType::none;
    return m;
}

}  // namespace

Mbuf* m_get(int, MType type) noexcept { return fresh(0, type); }

Mbuf* m_gethdr(int, MType type) noexcept { return fresh(M_PKTHDR, type); }

Mbuf* m_getcl(int how, MType type, uint32_t flags) noexcept {
    return m_getjcl(how, type, flags, kMCLBytes);
}

Mbuf* m_getjcl(int how, MType type, uint32_t flags, uint32_t size) noexcept {
    Mbuf* m = fresh(flags & M_PKTHDR, type);
    if (m == nullptr || m_clget(m, how, size) == 0) return m;
    m_free(m);
    return nullptr;
}

Mbuf* m_free(Mbuf* m) noexcept {
    Mbuf* next = m->next();
    rte_pktmbuf_free_seg(&m->rte);
    return next;
}

void m_freem(Mbuf* m) noexcept {
    while (m != nullptr) m = m_free(m);
}

}  // namespace umbuf
