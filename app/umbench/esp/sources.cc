// SPDX-License-Identifier: BSD-2-Clause
// sources.cc - packets as a port receives them, as a tee copies them, and as a file's sender makes them.
#include "app/umbench/esp/sources.h"

#include <cstring>

#include "lib/mbuf/window.h"
#include "lib/page/extpg.h"

namespace umbuf::bench {
namespace {

constexpr uint32_t kHeadroom = 64;      // before a sender's headers

}  // namespace

Mbuf* Sources::received(std::span<const std::byte> bytes) const {
    rte_mbuf* r = rte_pktmbuf_alloc(zone_->pool);
    if (r == nullptr) return nullptr;
    std::memcpy(rte_pktmbuf_append(r, static_cast<uint16_t>(bytes.size())), bytes.data(), bytes.size());
    r->l3_len = 20;  // librte_ipsec wants to be told
    return Mbuf::of(r);
}

Mbuf* Sources::shared(std::span<const std::byte> bytes) {
    Mbuf* other = received(bytes);
    if (other == nullptr) return nullptr;
    others_.push_back(other);
    return m_copypacket(other, M_NOWAIT);
}

// One page has the payload of many packets, as a file's has. It is filled while nobody else sees it, and cut
// up when it is full.
Mbuf* Sources::unmapped(std::span<const std::byte> bytes, uint32_t head) {
    Mbuf* first = m_gethdr(M_NOWAIT, MT_DATA);
    if (first == nullptr) return nullptr;
    first->rte.data_off = kHeadroom;
    std::memcpy(first->data(), bytes.data(), head);
    first->set_len(head);
    m_calchdrlen(first);
    first->rte.l3_len = 20;
    const uint32_t len = static_cast<uint32_t>(bytes.size()) - head;
    if ((page_ != nullptr && used_ + len > kPageBytes && !cut_page()) ||
        (page_ == nullptr && (page_ = mb_alloc_ext_pgs(PageClass::anonymous, kPageBytes, M_NOWAIT, "umbench")) == nullptr)) {
        m_freem(first);
        return nullptr;
    }
    const WriteWindow out(page_, used_, len);
    std::memcpy(out.bytes(), bytes.data() + head, len);
    pieces_.push_back({first, used_, len});
    used_ += len;
    return first;
}

bool Sources::cut_page() {
    bool all = true;
    for (const Piece& piece : pieces_) {
        Mbuf* m = m_copym(page_, piece.off, piece.len, M_NOWAIT);
        all = all && m != nullptr;
        if (m == nullptr) continue;
        m_demote(m, true, 0);
        piece.packet->set_next(m);
        m_calchdrlen(piece.packet);
    }
    others_.push_back(page_);  // as the cache of a file that is sent has its pages
    page_ = nullptr;
    used_ = 0;
    pieces_.clear();
    return all;
}

Mbuf* Sources::lay(Source kind, std::span<const std::byte> bytes, uint32_t head) {
    if (kind == Source::owned) return received(bytes);
    return kind == Source::shared ? shared(bytes) : unmapped(bytes, head);
}

bool Sources::laid() { return page_ == nullptr || cut_page(); }

void Sources::forget() {
    (void)laid();
    for (Mbuf* other : others_) m_freem(other);
    others_.clear();
}

}  // namespace umbuf::bench
