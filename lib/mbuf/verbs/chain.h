// SPDX-License-Identifier: BSD-2-Clause
// chain.h - the moves that several verbs are made of: for lib/mbuf's own files only.
//
// None of them keeps a packet's totals; the verb does. Bytes that are copied out of an mbuf with
// M_ZEROIZE take the flag along, so that no copy of a secret outlives the promise to zero it.
#pragma once
#include <algorithm>
#include <cstring>

#include "lib/mbuf/verbs.h"
#include "lib/mbuf/window.h"

namespace umbuf::chain {

inline constexpr uint32_t kBiggest = kClusterSizes[kClusterZones - 1];
inline constexpr uint32_t kPage = kClusterSizes[1];  // what FreeBSD's m_getm2 takes for long data

// seek - the mbuf that holds byte `off` of the chain, or null; off becomes the offset inside it.
template <class M>
[[nodiscard]] M* seek(M* m, uint32_t& off) noexcept {
    while (m != nullptr && off >= m->len()) {
        off -= m->len();
        m = m->next();
    }
    return m;
}

template <class M>
[[nodiscard]] M* last(M* m) noexcept {
    while (m->next() != nullptr) m = m->next();
    return m;
}

// count - mbufs in the chain; null has none.
[[nodiscard]] uint32_t count(const Mbuf* m) noexcept;

// free_and_fail - what verbs that consume their chain say when they fail.
[[nodiscard]] inline Mbuf* free_and_fail(Mbuf* m) noexcept {
    m_freem(m);
    return nullptr;
}

// room - a new mbuf with room for n bytes, or for `most` if that is less. `flags`: M_PKTHDR or 0.
// Null: no memory.
[[nodiscard]] Mbuf* room(uint32_t n, uint32_t most, int how, uint32_t flags = 0) noexcept;

// tailroom - of an mbuf whose storage is known to be the caller's alone.
[[nodiscard]] inline uint32_t tailroom(const Mbuf* m) noexcept {
    return uint32_t{m->rte.buf_len} - m->rte.data_off - m->len();
}

// inherit_zeroize - `to` is about to get bytes of from's.
inline void inherit_zeroize(Mbuf* to, const Mbuf* from) noexcept {
    if (__builtin_expect((from->flags() & M_ZEROIZE) != 0, 0)) to->set_flags(M_ZEROIZE);
}

// put - n bytes of from's, from `off` on, behind to's own; there is tailroom, and from is readable.
inline void put(Mbuf* to, const Mbuf* from, uint32_t off, uint32_t n) noexcept {
    if (n == 0) return;
    inherit_zeroize(to, from);
    const ReadWindow in(from, off, n);
    std::memcpy(to->data() + to->len(), in.bytes(), n);
    to->set_len(to->len() + n);
}

// drop_front - n bytes less at m's front; it has them.
inline void drop_front(Mbuf* m, uint32_t n) noexcept {
    m->rte.data_off = static_cast<uint16_t>(m->rte.data_off + n);
    m->set_len(m->len() - n);
}

// reachable - can all bytes of [off, off + len) be read, by windows if need be? A refusal if not (W3).
[[nodiscard]] int look_for_unreachable(const Mbuf* m, uint32_t off, uint32_t len) noexcept;
[[nodiscard]] inline int reachable(const Mbuf* m, uint32_t off = 0, uint32_t len = M_COPYALL) noexcept {
    return __builtin_expect(ghost::size == 0, 1) ? 0 : look_for_unreachable(m, off, len);
}
// mapped - the same for a verb that does not go into unmapped mbufs.
[[nodiscard]] int look_for_unmapped(const Mbuf* m, uint32_t off, uint32_t len) noexcept;
[[nodiscard]] inline int mapped(const Mbuf* m, uint32_t off, uint32_t len) noexcept {
    return __builtin_expect(ghost::size == 0, 1) ? 0 : look_for_unmapped(m, off, len);
}

// gather - move n bytes from the front of the chain at `from` to the end of m's own; mbufs that
// become empty are freed. Returns what is left of the chain.
[[nodiscard]] Mbuf* gather(Mbuf* m, Mbuf* from, uint32_t n) noexcept;

// rest_of - an mbuf that shows m's bytes from `at` on, shared where that can be; m is not changed.
// Null: no memory.
[[nodiscard]] Mbuf* rest_of(Mbuf* m, uint32_t at, uint32_t flags, int how) noexcept;

// cut - m ends at `at`, because rest_of(m, at) shows the rest: m's window ends there, too (ext.h).
void cut(Mbuf* m, uint32_t at) noexcept;

// deep - a private copy of [off, off+len), in mbufs of at most `most` bytes, no packet. The range is
// inside the chain. Null: no memory, nothing kept.
[[nodiscard]] Mbuf* deep(const Mbuf* m, uint32_t off, uint32_t len, uint32_t most, int how) noexcept;

// write - len bytes over the chain's own from `off` on. The range is inside it, and changeable.
void write(Mbuf* m, uint32_t off, uint32_t len, const void* from) noexcept;

}  // namespace umbuf::chain
