// SPDX-License-Identifier: BSD-2-Clause
// verify.cc - the checks of verify.h, in its order.
#include "lib/mbuf/verify.h"

#include <algorithm>

#include "lib/mbuf/ext.h"
#include "lib/mbuf/tag.h"
#include "lib/mbuf/window.h"
#include "lib/mbuf/zone.h"

namespace umbuf {
namespace {

using Fault = std::optional<std::string>;

std::string at(uint32_t i, const char* rule, const std::string& what) {
    return std::string(rule) + ": mbuf " + std::to_string(i) + " of the chain: " + what;
}

Fault check_home(const Mbuf* m, uint32_t i) {  // V1
    const auto& all = zones();
    if (std::none_of(all.begin(), all.end(), [m](const Zone* z) { return z->pool == m->rte.pool; }))
        return at(i, "V1", "it is from no zone");
    if (sync::load_of(m->rte.refcnt, sync::acquire) == 0) return at(i, "V1", "its refcnt is 0");
    return {};
}

Fault check_bounds(const Mbuf* m, uint32_t i) {  // V2
    if (uint32_t{m->rte.data_off} + m->len() <= m->rte.buf_len) return {};
    return at(i, "V2", "data at " + std::to_string(m->rte.data_off) + " + " +
                           std::to_string(m->len()) + " bytes in a buffer of " +
                           std::to_string(m->rte.buf_len));
}

Fault check_storage(const Mbuf* m, uint32_t i) {  // V5
    if ((m->rte.ol_flags & RTE_MBUF_F_EXTERNAL) == 0 || m->foreign()) return {};
    if (sync::load_of(m->shinfo.refcnt, sync::acquire) == 0)
        return at(i, "V5", "external storage, but its record is parked");
    const ExtControl* control = ext_control(m);
    if (control == nullptr) return at(i, "V5", "external storage without a control");
    const std::byte* buffer = static_cast<const std::byte*>(m->rte.buf_addr);
    if (m->ext_type == ExtType::page) buffer = ghost::of(buffer);
    if (buffer < control->base || buffer + m->rte.buf_len > control->base + control->size)
        return at(i, "V5", "its window is outside the storage");
    return {};
}

Fault check_flags(const Mbuf* m, uint32_t i) {  // V6
    const bool external = (m->rte.ol_flags & RTE_MBUF_F_EXTERNAL) != 0 || is_packet(m);
    if (m->foreign() || external == ((m->flags() & M_EXT) != 0)) return {};
    return at(i, "V6", external ? "external storage without M_EXT" : "M_EXT without external storage");
}

Fault check_page(const Mbuf* m, uint32_t i) {  // V9
    if (m->foreign() || m_unmapped(m) == ((m->flags() & M_EXTPG) != 0)) return {};
    return at(i, "V9", m_unmapped(m) ? "it lies in an unmapped page, without M_EXTPG" : "M_EXTPG, but it is mapped");
}

Fault check_alive(const Mbuf* m, uint32_t i) {  // V7
    if (m->foreign() || is_packet(m) || m->m_type != MT_FREE) return {};
    return at(i, "V7", "it was freed");
}

bool is_tag(const MTag* t) {
    const auto& all = zones();
    const rte_mempool* home = rte_mempool_from_obj(const_cast<MTag*>(t));
    return std::any_of(all.begin(), all.end(), [home](const Zone* z) {
        return z->kind == ZoneKind::tag && z->pool == home;
    });
}

Fault check_tags(const Mbuf* m, uint32_t i) {  // V8
    uint32_t n = 0;
    for (const MTag* t = m_tag_first(m); t != nullptr; t = m_tag_next(m, t)) {
        if (!m->has_pkthdr() || i > 0) return at(i, "V8", "it has a tag, and no packet header");
        if (!is_tag(t) || t->m_tag_len > kTagLen) return at(i, "V8", "its tag is none");
        if (++n > UINT16_MAX) return at(i, "V8", "its tags do not end");
    }
    return {};
}

Fault check_totals(const Mbuf* m, uint32_t n, uint64_t length) {  // V4
    if (m->rte.nb_segs != n)
        return at(0, "V4", "nb_segs " + std::to_string(m->rte.nb_segs) + ", but the chain has " +
                               std::to_string(n));
    if (m->pkt_len() != length)
        return at(0, "V4", "pkt_len " + std::to_string(m->pkt_len()) + ", but the chain has " +
                               std::to_string(length) + " bytes");
    return {};
}

}  // namespace

std::optional<std::string> m_sanity(const Mbuf* m) {
    constexpr uint32_t kLongest = 65535;  // nb_segs has 16 bits
    uint32_t n = 0;
    uint64_t length = 0;
    for (const Mbuf* s = m; s != nullptr; s = s->next(), ++n) {
        if (n == kLongest) return at(n, "V3", "the chain does not end");
        for (const auto check : {check_home, check_alive, check_bounds, check_storage, check_flags, check_page, check_tags})
            if (Fault fault = check(s, n)) return fault;
        if (n == 0 && s->private_valid() && s->has_pkthdr() && m_unmapped(s))
            return at(n, "V10", "it is unmapped, and the first of a packet");
        if (n > 0 && s->private_valid() && s->has_pkthdr())
            return at(n, "V4", "M_PKTHDR inside a chain");
        length += s->len();
    }
    return m->has_pkthdr() ? check_totals(m, n, length) : Fault{};
}

void verify(const Mbuf* m) {
    const Fault fault = m_sanity(m);
    UM_ASSERT_MSG(!fault, "%s", fault ? fault->c_str() : "");
}

}  // namespace umbuf
