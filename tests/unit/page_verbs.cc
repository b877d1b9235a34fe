// SPDX-License-Identifier: BSD-2-Clause
// page_verbs.cc - the list of all verbs. In the order of docs/verbs.md.
#include "tests/unit/page_verbs.h"

#include <cstdio>
#include <utility>

namespace umbuf::test {
namespace {

constexpr uint32_t kHead = Packet::kHead, kLen = Packet::kLen, kAll = Packet::kAll;
constexpr uint32_t kInside = kHead + 50;  // a byte of the middle mbuf

Mbuf* middle(Packet& p) {
    switch (p.where) {
    case Where::mapped: return clustered(pattern(kLen, 1));
    case Where::shared:
        p.other = clustered(pattern(kLen, 1));
        return m_copypacket(p.other, M_NOWAIT);
    case Where::anonymous: return filled(PageClass::anonymous, pattern(kLen, 1));
    case Where::cache:
    case Where::window: return filled(PageClass::cache, pattern(kLen, 1));
    case Where::device: return filled(PageClass::device, pattern(kLen, 1));
    case Where::not_ready:
    case Where::failed: break;
    }
    Mbuf* m = mb_alloc_ext_pgs(PageClass::cache, kLen, M_NOWAIT, "test");
    if (p.where == Where::failed) page_failed(page_of(m));
    return m;
}

char room[4 * kAll];

int touch(void*, void* data, unsigned n) {
    std::memcpy(room, data, n);
    return 0;
}

const std::vector<Verb> kVerbs = {
    // make and free
    {"m_getm2", [](Packet& p) { return m_getm2(p.m, 300, M_NOWAIT, MT_DATA, 0) == nullptr ? Packet::why() : 0; }},
    {"m_getm", [](Packet& p) { return m_getm(p.m, 300, M_NOWAIT, MT_DATA) == nullptr ? Packet::why() : 0; }},
    {"m_free", [](Packet& p) { p.alone(); m_free(std::exchange(p.x, nullptr)); return 0; }},
    {"m_freem", [](Packet& p) { m_freem(std::exchange(p.m, nullptr)); return 0; }},
    {"m_freemp", [](Packet& p) { m_freemp(&p.m); return 0; }},
    {"m_purge", [](Packet& p) { m_purge(std::exchange(p.m, nullptr)); return 0; }},
    {"m_zero", [](Packet& p) { m_zero(p.x); return 0; }},
    {"m_extfree", [](Packet& p) {
        const bool done = m_extfree(p.x);
        m_calchdrlen(p.m);
        return done ? 0 : EBUSY;
    }},
    {"m_mbuftouio", [](Packet& p) {
        iovec to{room, kAll};
        Uio uio{&to, 1, kAll};
        return m_mbuftouio(&uio, p.m, kAll);
    }},
    // headers
    {"m_dup_pkthdr", [](Packet& p) {
        Mbuf* to = m_gethdr(M_NOWAIT, MT_DATA);
        if (to == nullptr) return Packet::why();
        const int error = m_dup_pkthdr(to, p.m, M_NOWAIT);
        m_freem(to);
        return error;
    }},
    {"m_move_pkthdr", [](Packet& p) {
        Mbuf* to = m_gethdr(M_NOWAIT, MT_DATA);
        if (to == nullptr) return Packet::why();
        m_move_pkthdr(to, p.m);
        to->set_next(p.m);
        m_calchdrlen(p.m = to);
        return 0;
    }},
    {"m_copy_pkthdr", [](Packet& p) {
        Mbuf* to = m_gethdr(M_NOWAIT, MT_DATA);
        if (to == nullptr) return Packet::why();
        m_copy_pkthdr(to, p.m);
        m_freem(to);
        return 0;
    }},
    {"m_inithdr", [](Packet& p) { m_inithdr(p.m); return 0; }},
    {"m_pkthdr_init", [](Packet& p) { return m_pkthdr_init(p.m, M_NOWAIT); }},
    {"m_resethdr", [](Packet& p) { m_resethdr(p.m); return 0; }},
    {"m_removehdr", [](Packet& p) { m_removehdr(p.m); return 0; }},
    {"m_demote", [](Packet& p) { m_demote(p.m, false, 0); return 0; }},
    {"m_calchdrlen", [](Packet& p) { m_calchdrlen(p.m); return 0; }},
    {"m_fixhdr", [](Packet& p) { return m_fixhdr(p.m) == kAll ? 0 : EINVAL; }},
    {"m_chtype", [](Packet& p) { m_chtype(p.x, MT_CONTROL); return 0; }},
    // copy
    {"m_copym", [](Packet& p) { return p.got(m_copym(p.m, kInside, 100, M_NOWAIT)); }},
    {"m_copypacket", [](Packet& p) { return p.got(m_copypacket(p.m, M_NOWAIT)); }},
    {"m_copydata", [](Packet& p) { return m_copydata(p.m, kInside, 100, room); }},
    {"m_copydata of bytes before it", [](Packet& p) { return m_copydata(p.m, 0, kHead, room); }},
    {"m_copyback", [](Packet& p) { return m_copyback(p.m, kInside, 100, room, M_NOWAIT); }},
    {"m_copyback behind the end", [](Packet& p) { return m_copyback(p.m, kAll, 300, room, M_NOWAIT); }},
    {"m_dup", [](Packet& p) { return p.got(m_dup(p.m, M_NOWAIT)); }},
    {"m_dup of a range", [](Packet& p) { return p.got(m_dup(p.m, kInside, 100, M_NOWAIT)); }},
    {"m_dup_data", [](Packet& p) { return p.got(m_dup_data(p.m, M_NOWAIT)); }},
    {"m_dup_pkt", [](Packet& p) { return p.got(m_dup_pkt(p.m, 14, M_NOWAIT)); }},
    {"m_unshare", [](Packet& p) { return m_unshare(&p.m, M_NOWAIT); }},
    {"m_unshare of a chain", [](Packet& p) { return p.with(m_unshare(p.m, M_NOWAIT)); }},
    {"m_makewritable", [](Packet& p) { return m_makewritable(&p.m, kInside, 100, M_NOWAIT); }},
    {"m_copyback_cow", [](Packet& p) { return p.with(m_copyback_cow(p.m, kInside, 100, room, M_NOWAIT)); }},
    // grow, shrink, rearrange
    {"m_prepend", [](Packet& p) { return p.with(m_prepend(p.m, 14, M_NOWAIT)); }},
    {"m_prepend to the mbuf itself", [](Packet& p) {
        Mbuf* x = p.alone();
        return p.got(m_prepend(x, 14, M_NOWAIT));
    }},
    {"m_append", [](Packet& p) { return m_append(p.m, 300, room) == 1 ? 0 : Packet::why(); }},
    {"m_append to the mbuf itself", [](Packet& p) {
        p.made = p.alone();
        return m_append(p.made, 300, room) == 1 ? 0 : Packet::why();
    }},
    {"m_adj from the front", [](Packet& p) { m_adj(p.m, kInside); return 0; }},
    {"m_adj from the end", [](Packet& p) { m_adj(p.m, -int32_t{Packet::kTail} - 50); return 0; }},
    {"m_cat", [](Packet& p) { m_cat(p.m, p.alone()); p.linked = true; return 0; }},
    {"m_catpkt", [](Packet& p) {
        Mbuf* front = m_gethdr(M_NOWAIT, MT_DATA);
        if (front == nullptr) return Packet::why();
        m_catpkt(front, p.m);
        p.m = front;
        p.linked = true;
        return 0;
    }},
    {"m_add", [](Packet& p) { m_add(p.m, p.alone()); p.linked = true; return 0; }},
    {"m_split", [](Packet& p) { return p.got(m_split(p.m, kInside, M_NOWAIT)); }},
    {"m_split before it", [](Packet& p) { p.linked = true; return p.got(m_split(p.m, kHead, M_NOWAIT)); }},
    {"m_pullup", [](Packet& p) { return p.with(m_pullup(p.m, kInside)); }},
    {"m_pullup of bytes before it", [](Packet& p) { return p.with(m_pullup(p.m, kHead)); }},
    {"m_ensure_contig", [](Packet& p) { return m_ensure_contig(&p.m, kInside) ? 0 : Packet::why(); }},
    {"m_copyup", [](Packet& p) { return p.with(m_copyup(p.m, kInside, 2)); }},
    {"m_copyup of bytes before it", [](Packet& p) { return p.with(m_copyup(p.m, kHead, 2)); }},
    {"m_pulldown", [](Packet& p) {
        Mbuf* at = m_pulldown(p.m, kInside, 20, nullptr);
        if (at == nullptr) p.m = nullptr;
        return at == nullptr ? Packet::why() : 0;
    }},
    {"m_makespace", [](Packet& p) {
        uint32_t off = 0;
        return m_makespace(p.m, kInside, 8, &off) == nullptr ? Packet::why() : 0;
    }},
    {"m_defrag", [](Packet& p) {
        Mbuf* now = m_defrag(p.m, M_NOWAIT);
        if (now != nullptr) p.m = now;
        return now == nullptr ? Packet::why() : 0;
    }},
    {"m_collapse", [](Packet& p) { return m_collapse(p.m, M_NOWAIT, 1) == nullptr && m_collapse(p.m, M_NOWAIT, 2) == nullptr ? Packet::why() : 0; }},
    {"m_collapse of few mbufs", [](Packet& p) { return m_collapse(p.m, M_NOWAIT, 3) == nullptr ? Packet::why() : 0; }},
    {"m_fragment", [](Packet& p) {
        Mbuf* now = m_fragment(p.m, M_NOWAIT, 64);
        const bool same = now == p.m;
        p.m = now;
        return same ? Packet::why() : 0;
    }},
    // look
    {"m_length", [](Packet& p) { return m_length(p.m) == kAll ? 0 : EINVAL; }},
    {"m_last", [](Packet& p) { return m_last(p.m) == p.x->next() ? 0 : EINVAL; }},
    {"m_getptr", [](Packet& p) {
        uint32_t off = 0;
        return m_getptr(p.m, kInside, &off) == p.x && off == 50 ? 0 : EINVAL;
    }},
    {"m_apply", [](Packet& p) { return m_apply(p.m, kInside, 100, touch, nullptr); }},
    {"m_leadingspace", [](Packet& p) { p.says = std::to_string(m_leadingspace(p.x)); return 0; }},
    {"m_trailingspace", [](Packet& p) { p.says = std::to_string(m_trailingspace(p.x)); return 0; }},
    {"m_writable", [](Packet& p) { return p.yes(m_writable(p.x)); }},
    {"m_changeable", [](Packet& p) { return p.yes(m_changeable(p.x)); }},
    {"m_unmapped", [](Packet& p) { return p.yes(m_unmapped(p.x)); }},
    {"m_readable", [](Packet& p) { return m_readable(p.x); }},
    {"m_sanity", [](Packet& p) { return m_sanity(p.m).has_value() ? EINVAL : 0; }},
    // lib/page
    {"page_map to read", [](Packet& p) {
        PageMap map;
        const int error = page_map(p.x, 10, 100, PageProt::read, map);
        return error != 0 ? error : touch(nullptr, map.bytes(), 100);
    }},
    {"page_map to write", [](Packet& p) {
        PageMap map;
        const int error = page_map(p.x, 10, 100, PageProt::write, map);
        if (error == 0) std::memset(map.bytes(), 'w', 100);
        return error;
    }},
    {"m_notready", [](Packet& p) { return m_notready(p.m); }},
    {"m_has_unmapped", [](Packet& p) { return p.yes(m_has_unmapped(p.m)); }},
    {"mb_unmapped_to_ext", [](Packet& p) { return mb_unmapped_to_ext(&p.m, M_NOWAIT, MappedFor::caller); }},
    {"mb_mapped_again", [](Packet& p) { mb_mapped_again(p.m); return 0; }},
    {"mb_unmapped_copy", [](Packet& p) { return mb_unmapped_copy(&p.m, M_NOWAIT, CopiedFor::verb); }},
    {"mb_mapped_to_unmapped", [](Packet& p) { return p.got(mb_mapped_to_unmapped(p.m, M_NOWAIT, "test")); }},
    {"mb_unmapped_compress", [](Packet& p) { return mb_unmapped_compress(p.x); }, true},
    {"mb_free_notready", [](Packet& p) { mb_free_notready(std::exchange(p.m, nullptr)); return 0; }},
    {"m_epg_npgs", [](Packet& p) { p.says = std::to_string(m_epg_npgs(p.x)); return 0; }, true},
    {"m_epg_1st_off", [](Packet& p) { p.says = std::to_string(m_epg_1st_off(p.x)); return 0; }, true},
    {"m_epg_last_len", [](Packet& p) { p.says = std::to_string(m_epg_last_len(p.x)); return 0; }, true},
    {"m_epg_pagelen", [](Packet& p) { p.says = std::to_string(m_epg_pagelen(p.x, 0)); return 0; }, true},
    {"m_sgl", [](Packet& p) {
        SglEntry to[3];
        return m_sgl(p.m, 0, kAll, to, 3) == 3 ? 0 : EINVAL;
    }},
    {"m_snap", [](Packet& p) {
        uint32_t hidden = 0;
        if (m_snap(p.m, kAll, room, &hidden) != kAll) return EINVAL;
        if (hidden != 0) p.says = "works, hides " + std::to_string(hidden);
        return 0;
    }},
    // lib/net
    {"in_sum", [](Packet& p) { uint16_t sum = 0; return in_sum(p.m, kInside, 100, &sum); }},
    {"in_cksum", [](Packet& p) { uint16_t sum = 0; return in_cksum(p.m, kInside, 100, &sum); }},
    {"crc32c", [](Packet& p) { uint32_t crc = 0; return crc32c(p.m, kInside, 100, &crc); }},
};

}  // namespace

Packet::Packet(Where w) : where(w) {
    m = inlined(pattern(kHead));
    x = middle(*this);
    m_add(m, x);
    m_add(m, inlined(pattern(kTail, 2)));
    if (where != Where::window) return;
    EXPECT_EQ(mb_unmapped_to_ext(&m, M_NOWAIT, MappedFor::caller), 0);
    x = m->next();  // a strict arena copies
}

const std::vector<Verb>& verbs_over_pages() { return kVerbs; }

std::string look(const Mbuf* m) {
    std::string s = m == nullptr ? "" : std::to_string(m->pkt_len()) + "/" + std::to_string(m->rte.nb_segs);
    for (const Mbuf* n = m; n != nullptr; n = n->next()) {
        char line[120];
        std::snprintf(line, sizeof line, " %p:%p+%u,%u,%x", static_cast<const void*>(n), n->rte.buf_addr,
                      unsigned{n->rte.data_off}, n->len(), n->flags());
        s += line;
    }
    std::string bytes(m_length(m), '\0');
    uint32_t hidden = 0;
    if (m != nullptr) (void)m_snap(m, static_cast<uint32_t>(bytes.size()), bytes.data(), &hidden);
    return s + " " + bytes;
}

}  // namespace umbuf::test
