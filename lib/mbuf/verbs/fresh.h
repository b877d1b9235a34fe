// SPDX-License-Identifier: BSD-2-Clause
// fresh.h - an mbuf from its zone, with every field set that its next user may read. For lib/mbuf's
// own files only.
#pragma once
#include "lib/mbuf/zone_get.h"

namespace umbuf::fresh {

// clean - what the header's last user, or the driver that freed it, left undone.
void clean(Mbuf* m) noexcept __attribute__((cold));

// take - null: there is none. A header from its zone has refcnt 1, nb_segs 1 and next null: DPDK keeps
// that in its pools.
[[nodiscard]] inline Mbuf* take(uint32_t flags, MType type) noexcept {
    Mbuf* m = zone::get_header();
    if (__builtin_expect(m == nullptr, 0)) return nullptr;
    if (__builtin_expect(m->tags != nullptr || (m->m_flags & M_ZEROIZE) != 0, 0)) clean(m);
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
    m->nextpkt = nullptr;
    m->ext_type = ExtType::none;
    return m;
}

}  // namespace umbuf::fresh
