// SPDX-License-Identifier: BSD-2-Clause
// tag.cc - the tags of a packet: a list that is walked, because packets have few.
#include "lib/mbuf/tag.h"

#include <cerrno>
#include <cstring>

#include "lib/mbuf/zone_get.h"

namespace umbuf {
namespace {

uint32_t free_list(MTag* t) noexcept {
    uint32_t n = 0;
    while (t != nullptr) {
        MTag* next = t->m_tag_link;
        m_tag_free(t);
        t = next;
        ++n;
    }
    return n;
}

// The link that points to t: the mbuf's own, or another tag's. Dies if t is not there.
MTag** link_to(Mbuf* m, const MTag* t) noexcept {
    UM_ASSERT(m->private_valid());
    MTag** link = &m->tags;
    while (*link != t) {
        UM_ASSERT_MSG(*link != nullptr, "tag %p is not one of mbuf %p's", static_cast<const void*>(t),
                      static_cast<void*>(m));
        link = &(*link)->m_tag_link;
    }
    return link;
}

}  // namespace

MTag* m_tag_alloc(uint32_t cookie, uint16_t id, uint32_t len, int) noexcept {
    if (len > kTagLen) return nullptr;
    MTag* t = static_cast<MTag*>(zone::get(*zone::here().tags));
    if (t == nullptr) return nullptr;
    t->m_tag_link = nullptr;
    t->m_tag_cookie = cookie;
    t->m_tag_id = id;
    t->m_tag_len = static_cast<uint16_t>(len);
    return t;
}

MTag* m_tag_get(uint16_t id, uint32_t len, int how) noexcept { return m_tag_alloc(0, id, len, how); }

void m_tag_free(MTag* t) noexcept { rte_mempool_put(rte_mempool_from_obj(t), t); }

void m_tag_prepend(Mbuf* m, MTag* t) noexcept {
    m->make_valid();
    UM_ASSERT_MSG(m->private_valid(), "mbuf %p is foreign: it has no place for tags",
                  static_cast<void*>(m));
    UM_ASSERT(m->has_pkthdr());
    t->m_tag_link = m->tags;
    m->tags = t;
}

void m_tag_unlink(Mbuf* m, MTag* t) noexcept {
    *link_to(m, t) = t->m_tag_link;
    t->m_tag_link = nullptr;
}

void m_tag_delete(Mbuf* m, MTag* t) noexcept {
    m_tag_unlink(m, t);
    m_tag_free(t);
}

void m_tag_delete_chain(Mbuf* m, MTag* t) noexcept {
    if (m_tag_first(m) == nullptr) return;
    MTag** link = t == nullptr ? &m->tags : link_to(m, t);
    MTag* rest = *link;
    *link = nullptr;
    free_list(rest);
}

MTag* m_tag_first(const Mbuf* m) noexcept { return m->private_valid() ? m->tags : nullptr; }

MTag* m_tag_next(const Mbuf*, const MTag* t) noexcept { return t->m_tag_link; }

MTag* m_tag_locate(const Mbuf* m, uint32_t cookie, uint16_t id, const MTag* t) noexcept {
    MTag* p = t == nullptr ? m_tag_first(m) : t->m_tag_link;
    while (p != nullptr && (p->m_tag_cookie != cookie || p->m_tag_id != id)) p = p->m_tag_link;
    return p;
}

MTag* m_tag_find(const Mbuf* m, uint16_t id, const MTag* t) noexcept {
    return m_tag_locate(m, 0, id, t);
}

MTag* m_tag_copy(const MTag* t, int how) noexcept {
    MTag* copy = m_tag_alloc(t->m_tag_cookie, t->m_tag_id, t->m_tag_len, how);
    if (copy != nullptr) std::memcpy(copy->data(), t->data(), t->m_tag_len);
    return copy;
}

int m_tag_copy_chain(Mbuf* to, const Mbuf* from, int how) noexcept {
    m_tag_delete_chain(to);
    const MTag* t = m_tag_first(from);
    if (t == nullptr) return 0;  // the usual packet, and `to` is not even written
    to->make_valid();
    if (!to->private_valid()) return ENOMEM;
    MTag** end = &to->tags;
    for (; t != nullptr; t = t->m_tag_link) {
        MTag* copy = m_tag_copy(t, how);
        if (copy == nullptr) {
            m_tag_delete_chain(to);
            return ENOMEM;
        }
        *end = copy;
        end = &copy->m_tag_link;
    }
    return 0;
}

void m_strip(Mbuf* m) noexcept {
    m_tag_delete_chain(m);
    if (m->private_valid()) m->nextpkt = nullptr;
}

void Mbuf::drop_lost_tags() noexcept {
    MTag* lost = tags;
    tags = nullptr;
    zone::note_lost_tags(free_list(lost));
}

}  // namespace umbuf
