// SPDX-License-Identifier: BSD-2-Clause
// extpg.cc - mbufs of pages.
#include "lib/page/extpg.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include <rte_errno.h>

#include "lib/mbuf/verbs.h"
#include "lib/page/arena.h"
#include "lib/stat/segment.h"

namespace umbuf {
namespace {

using stat::Kind;

struct Counters {  // add_shared
    sync::Counter mapped[static_cast<size_t>(MappedFor::count)];
    sync::Counter copied, compressed;
};
constexpr char kMapped[] = "unmapped mbufs that became windows";
constexpr stat::Field kFields[] = {
    {"conversion_mapped", "mbufs", Kind::counter, 1, kMapped, "reason=nic"},
    {"conversion_mapped", "mbufs", Kind::counter, 1, kMapped, "reason=checksum"},
    {"conversion_mapped", "mbufs", Kind::counter, 1, kMapped, "reason=crypto"},
    {"conversion_mapped", "mbufs", Kind::counter, 1, kMapped, "reason=capture"},
    {"conversion_mapped", "mbufs", Kind::counter, 1, kMapped, "reason=caller"},
    {"conversion_copied", "mbufs", Kind::counter, 1, "unmapped mbufs that were copied into clusters"},
    {"conversion_compressed", "mbufs", Kind::counter, 1, "whose few bytes moved into the mbuf"},
};
stat::Global<Counters> g(kFields);

// all_readable - can every unmapped mbuf of the chain be read? A refusal if not.
int all_readable(const Mbuf* m) noexcept {
    for (; m != nullptr; m = m->next())
        if (const int error = m_readable(m); error != 0) return refused(error);
    return 0;
}

// copies_of - of the chain's unmapped mbufs, in order, as a list by m_next. False: no memory.
bool copies_of(const Mbuf* m, int how, CopiedFor budget, Mbuf** copies) noexcept {
    Mbuf* last = nullptr;
    for (*copies = nullptr; m != nullptr; m = m->next()) {
        if (!m_unmapped(m)) continue;
        // A cluster takes 16 KB; what is larger becomes several.
        for (uint32_t off = 0; off < m->len() || off == 0;) {
            const uint32_t n = std::min(m->len() - off, kClusterSizes[kClusterZones - 1]);
            Mbuf* copy = m_get2(std::max(n, 1U), how, MT_DATA, 0);
            if (copy == nullptr) {
                m_freem(*copies);
                return false;
            }
            {
                const ReadWindow in(m, off, n, budget);
                std::memcpy(copy->data(), in.bytes(), n);
            }
            copy->set_len(n);
            if ((m->flags() & M_ZEROIZE) != 0) copy->set_flags(M_ZEROIZE);
            (last == nullptr ? *copies = copy : (last->set_next(copy), copy));
            last = copy;
            off += n;
            if (off == m->len()) break;
        }
    }
    return true;
}

// put_in - the copies take the places of the unmapped mbufs.
void put_in(Mbuf** mp, Mbuf* copies) noexcept {
    Mbuf* before = nullptr;
    for (Mbuf* m = *mp; m != nullptr; m = before->next()) {
        if (!m_unmapped(m)) {
            before = m;
            continue;
        }
        UM_ASSERT_MSG(before != nullptr || m->foreign() || !m->has_pkthdr(), "mbuf %p: the first mbuf of a packet is unmapped (E1)", static_cast<void*>(m));
        Mbuf* const first = copies;
        Mbuf* end = copies;
        for (uint32_t left = m->len() - std::min(m->len(), end->len()); left > 0; left -= end->len()) end = end->next();
        copies = end->next();
        (before == nullptr ? *mp = first : (before->set_next(first), first));
        end->set_next(m_free(m));
        before = end;
        g->copied.add_shared(1);
    }
}

void window_on(Mbuf* m) noexcept {
    const uintptr_t distance = ghost::alias - ghost::base;
    m->rte.buf_addr = static_cast<std::byte*>(m->rte.buf_addr) + distance;  // the IOVA stays: same page
    m->clear_flags(M_EXTPG | M_NOTREADY);
}

}  // namespace

const char* name_of(MappedFor why) noexcept {
    static constexpr const char* kNames[] = {"nic", "checksum", "crypto", "capture", "caller"};
    static_assert(std::size(kNames) == static_cast<size_t>(MappedFor::count));
    return kNames[static_cast<size_t>(why)];
}

Mbuf* mb_alloc_ext_pgs(PageClass cls, uint32_t len, int how, const char* owner) noexcept {
    Page* page = page_take(cls, owner);
    if (page == nullptr) return nullptr;
    if (len == 0 || len > page->ctl.size || len > UINT16_MAX) {
        page_put(page);
        rte_errno = EMSGSIZE;
        return nullptr;
    }
    Mbuf* m = m_get(how, MT_DATA);
    if (m == nullptr) {
        page_put(page);
        return nullptr;
    }
    if (const int error = m_extpg(m, &page->ctl, 0, len); error != 0) {
        page_put(page);
        m_free(m);
        rte_errno = error;
        return nullptr;
    }
    return m;
}

uint32_t m_epg_1st_off(const Mbuf* m) noexcept {
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(m->data()) % kFrame);
}
uint32_t m_epg_npgs(const Mbuf* m) noexcept { return (m_epg_1st_off(m) + m->len() + kFrame - 1) / kFrame; }
uint32_t m_epg_pagelen(const Mbuf* m, uint32_t i) noexcept {
    const uint32_t begin = i == 0 ? m_epg_1st_off(m) : 0;
    const uint32_t end = std::min((i + 1) * kFrame, m_epg_1st_off(m) + m->len()) - i * kFrame;
    return end - begin;
}
uint32_t m_epg_last_len(const Mbuf* m) noexcept { return m_epg_pagelen(m, m_epg_npgs(m) - 1); }

int m_notready(Mbuf* m) noexcept {
    for (; m != nullptr; m = m->next()) {
        const int error = m_readable(m);
        if (error == EBUSY || error == EIO) return error;
        if (error == 0 && (m->flags() & M_NOTREADY) != 0) m->clear_flags(M_NOTREADY);
    }
    return 0;
}

int mb_unmapped_copy(Mbuf** mp, int how, CopiedFor budget) noexcept {
    if (!m_has_unmapped(*mp)) return 0;
    if (const int error = all_readable(*mp); error != 0) return error;
    const bool packet = (*mp)->has_pkthdr();
    Mbuf* copies = nullptr;
    if (!copies_of(*mp, how, budget, &copies)) return rte_errno;
    put_in(mp, copies);
    if (packet) m_calchdrlen(*mp);
    return 0;
}

int mb_unmapped_to_ext(Mbuf** mp, int how, MappedFor why) noexcept {
    if (!m_has_unmapped(*mp)) return 0;
    if (arena_is_strict()) return mb_unmapped_copy(mp, how, CopiedFor::verb);
    if (const int error = all_readable(*mp); error != 0) return error;
    for (Mbuf* m = *mp; m != nullptr; m = m->next()) {
        if (!m_unmapped(m)) continue;
        window_on(m);
        g->mapped[static_cast<size_t>(why)].add_shared(1);
    }
    return 0;
}

void mb_mapped_again(Mbuf* m) noexcept {
    if (ghost::alias == 0) return;
    for (m = m->has_pkthdr() ? m->next() : m; m != nullptr; m = m->next()) {
        if (!ghost::alias_has(m->rte.buf_addr)) continue;
        m->rte.buf_addr = ghost::of(m->rte.buf_addr);
        m->set_flags(M_EXTPG);
    }
}

Mbuf* mb_mapped_to_unmapped(const Mbuf* m, int how, const char* owner) noexcept {
    const uint32_t page = page_counters().bytes[static_cast<size_t>(PageClass::anonymous)];
    if (page == 0) {
        rte_errno = ENOBUFS;
        return nullptr;
    }
    Mbuf* top = nullptr;
    Mbuf* last = nullptr;
    const uint32_t total = m_length(m);
    for (uint32_t off = 0; off < total;) {
        const uint32_t n = std::min({total - off, page, uint32_t{UINT16_MAX}});
        Mbuf* copy = mb_alloc_ext_pgs(PageClass::anonymous, n, how, owner);
        int error = copy == nullptr ? rte_errno : 0;
        if (error == 0) {
            const WriteWindow out(copy, 0, n);
            error = m_copydata(m, off, n, out.bytes());
        }
        if (error != 0) {
            m_freem(copy);
            m_freem(top);
            rte_errno = error;
            return nullptr;
        }
        (top == nullptr ? top = copy : (last->set_next(copy), copy));
        last = copy;
        off += n;
    }
    return top;
}

int mb_unmapped_compress(Mbuf* m) noexcept {
    UM_ASSERT(m_unmapped(m) && !m->foreign());
    const uint32_t n = m->len();
    if (n > kMLen) return EMSGSIZE;
    if (const int error = m_readable(m); error != 0) return refused(error);
    // A page that others hold stays pinned whatever we do; FreeBSD says EBUSY, too.
    if (!refs_in_use().exclusive(m)) return EBUSY;
    std::byte bytes[kMLen];
    {
        const ReadWindow in(m, 0, n);
        std::memcpy(bytes, in.bytes(), n);
    }
    const bool zeroize = (m->flags() & M_ZEROIZE) != 0;
    if (!m_extfree(m)) return EBUSY;
    std::memcpy(m->data(), bytes, n);
    m->set_len(n);
    if (zeroize) m->set_flags(M_ZEROIZE);
    g->compressed.add_shared(1);
    return 0;
}

void mb_free_notready(Mbuf* m) noexcept { m_freem(m); }

uint32_t m_sgl(const Mbuf* m, uint32_t off, uint32_t len, SglEntry* to, uint32_t most) noexcept {
    uint32_t n = 0;
    for (; len > 0; m = m->next()) {
        UM_ASSERT_MSG(m != nullptr, "m_sgl: the range ends beyond the chain");
        if (off >= m->len()) {
            off -= m->len();
            continue;
        }
        const uint32_t here = std::min(len, m->len() - off);
        const rte_iova_t iova = rte_mbuf_iova_get(&m->rte);
        if (n < most)
            to[n] = {iova == RTE_BAD_IOVA ? RTE_BAD_IOVA : iova + m->rte.data_off + off, m->data() + off, here};
        ++n;
        len -= here;
        off = 0;
    }
    return n;
}

uint32_t m_snap(const Mbuf* m, uint32_t len, void* to, uint32_t* hidden) noexcept {
    std::byte* out = static_cast<std::byte*>(to);
    uint32_t done = 0;
    *hidden = 0;
    for (; m != nullptr && done < len; m = m->next()) {
        const uint32_t n = std::min(len - done, m->len());
        if (n == 0) continue;
        if (m_readable(m) == 0) {
            const ReadWindow in(m, 0, n, CopiedFor::capture);
            std::memcpy(out + done, in.bytes(), n);
        } else {
            std::memset(out + done, 0, n);
            *hidden += n;
        }
        done += n;
    }
    return done;
}

ConversionCounters conversion_counters() noexcept {
    ConversionCounters c{};
    for (size_t i = 0; i < static_cast<size_t>(MappedFor::count); ++i) c.mapped[i] = g->mapped[i].read();
    c.copied = g->copied.read();
    c.compressed = g->compressed.read();
    return c;
}

}  // namespace umbuf
