// SPDX-License-Identifier: BSD-2-Clause
// burst.cc - how a header becomes private when it is not yet.
#include "app/umfwd/packet/burst.h"

#include <cstring>

#include "lib/mbuf/verbs.h"

namespace umbuf::fwd {
namespace {

// unlink_empty - drop the mbufs behind the first that m_adj has emptied: devices need not cope with
// a segment of no bytes.
void unlink_empty(Mbuf* m) noexcept {
    while (m->next() != nullptr && m->next()->len() == 0) {
        m->set_next(m_free(m->next()));
        --m->rte.nb_segs;
    }
}

}  // namespace

// The header is copied out, cut off and put before the rest again: m_prepend takes the packet's own
// headroom when it may be written, else a new first mbuf. So a shared payload stays shared, and a
// short packet, whose rest is not worth a segment, is copied whole.
Fate slow_own_header(rte_mbuf*& p, uint32_t n) noexcept {
    Mbuf* m = Mbuf::of(p);
    if (m->pkt_len() < n) return dead(Drop::malformed);
    if (m->len() >= n && m_writable(m)) return Fate::send;
    if (n > kMLen) return dead(Drop::read_only);
    n = m->pkt_len() <= kMLen ? m->pkt_len() : n;
    std::byte header[kMLen];
    m_copydata(m, 0, n, header);
    m_adj(m, static_cast<int32_t>(n));
    m = m_prepend(m, n, M_NOWAIT);
    p = m == nullptr ? nullptr : &m->rte;
    if (m == nullptr) return dead(Drop::read_only);
    std::memcpy(m->data(), header, n);
    unlink_empty(m);
    return Fate::send;
}

}  // namespace umbuf::fwd
