// SPDX-License-Identifier: BSD-2-Clause
// get.cc - m_get and its kin.
#include <cstring>

#include "lib/mbuf/quick.h"
#include "lib/mbuf/verbs/chain.h"
#include "lib/mbuf/verbs/fresh.h"
#include "lib/mbuf/verbs/inline_room.h"
#include "lib/mbuf/zone_get.h"

namespace umbuf {

void fresh::clean(Mbuf* m) noexcept {
    if (m->tags != nullptr) m->drop_lost_tags();
    if ((m->m_flags & M_ZEROIZE) != 0) inline_room::zero(m);
}
Mbuf* m_get(int, MType type) noexcept { return fresh::take(0, type); }

Mbuf* m_gethdr(int, MType type) noexcept { return fresh::take(M_PKTHDR, type); }

Mbuf* m_getcl(int how, MType type, uint32_t flags) noexcept {
    return m_getjcl(how, type, flags, kMCLBytes);
}

Mbuf* m_getjcl(int how, MType type, uint32_t flags, uint32_t size) noexcept {
    if (__builtin_expect(size <= kMCLBytes, 1))
        if (Mbuf* m = quick::fresh_cluster(flags & M_PKTHDR, type, 0); m != nullptr) return m;
    Mbuf* m = fresh::take(flags & M_PKTHDR, type);
    if (m == nullptr || m_clget(m, how, size) == 0) return m;
    m_free(m);
    return nullptr;
}

Mbuf* m_getclr(int how, MType type) noexcept {
    Mbuf* m = m_get(how, type);
    if (m != nullptr) std::memset(m->data(), 0, kMLen);
    return m;
}

Mbuf* m_get2(uint32_t size, int how, MType type, uint32_t flags) noexcept {
    if (size > kMLen) return m_getjcl(how, type, flags, size);
    return fresh::take(flags & M_PKTHDR, type);
}

Mbuf* m_getm2(Mbuf* m, uint32_t len, int how, MType type, uint32_t flags) noexcept {
    if (m != nullptr) flags &= ~uint32_t{M_PKTHDR};
    Mbuf* top = nullptr;
    Mbuf* last = nullptr;
    uint32_t n = 0;
    do {
        const uint32_t size = std::min(len, chain::kPage);
        Mbuf* more = m_get2(size, how, type, n == 0 ? flags : 0);
        if (more == nullptr) return chain::free_and_fail(top);
        (top == nullptr ? top = more : (last->set_next(more), more));
        last = more;
        len -= std::min(len, chain::tailroom(more));
        ++n;
    } while (len > 0);
    if ((flags & M_EOR) != 0) last->set_flags(M_EOR);
    Mbuf* const head = m == nullptr ? top : m;
    if (m != nullptr) {
        if (m->has_pkthdr() && m->rte.nb_segs + n > UINT16_MAX) return chain::free_and_fail(top);
        chain::last(m)->set_next(top);
    }
    if (head->has_pkthdr()) head->rte.nb_segs = static_cast<uint16_t>(head->rte.nb_segs + n - (m == nullptr ? 1 : 0));
    return head;
}

Mbuf* m_getm(Mbuf* m, uint32_t len, int how, MType type) noexcept {
    return m_getm2(m, len, how, type, M_PKTHDR);
}

void* m_cljget(Mbuf* m, int how, uint32_t size) noexcept {
    return m_clget(m, how, size) == 0 ? m->data() : nullptr;
}

}  // namespace umbuf
