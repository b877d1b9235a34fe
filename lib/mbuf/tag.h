// SPDX-License-Identifier: BSD-2-Clause
// tag.h - notes that travel with a packet (mbuf_tags(9)): who made them, what kind, some bytes.
//
// Only the first mbuf of a packet has tags. m_dup_pkthdr, m_copym from the start, m_dup and m_split
// copy them; m_move_pkthdr, m_prepend, m_pullup and their like move them; m_free, m_demote and
// whatever else ends a packet header frees them.
//
// A driver knows nothing of tags. So a packet loses them before a driver gets it: m_strip(). Where
// that was forgotten, the tags of a packet that a driver freed hang on its header until the header is
// taken again (m_get, or the first change to a received packet's flags), or until mbfini(); they are
// freed there, and counted: mbuf_traps().lost_tags.
//
// Tags are elements of a zone of their own, of one size: kTagLen bytes behind each. A longer tag
// cannot be had; kTagLen is where to change that.
// Thread: the packet's owner. A loose tag belongs to whoever got it.
#pragma once
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

inline constexpr uint32_t kTagLen = 112;  // with MTag, two cache lines

struct MTag {
    MTag* m_tag_link;       // [o] the next tag of the packet
    uint32_t m_tag_cookie;  // [o] whose module; 0: the kinds that everybody knows (MTAG_ABI_COMPAT)
    uint16_t m_tag_id;      // [o] kind, in the module's own numbering
    uint16_t m_tag_len;     // [o] bytes in use behind this header
    // data - the tag's bytes, aligned for anything up to 16 bytes.
    [[nodiscard]] void* data() noexcept { return this + 1; }
    [[nodiscard]] const void* data() const noexcept { return this + 1; }
};
static_assert(sizeof(MTag) == 16);

// m_tag_alloc - a loose tag with room for len bytes, not zeroed. The caller's, until it is prepended
// or freed. Fails: null, when the zone is empty or len > kTagLen. FreeBSD.
[[nodiscard]] MTag* m_tag_alloc(uint32_t cookie, uint16_t id, uint32_t len, int how) noexcept;
// m_tag_get - the same with cookie 0. All BSDs.
[[nodiscard]] MTag* m_tag_get(uint16_t id, uint32_t len, int how) noexcept;
// m_tag_free - give a loose tag back. All BSDs.
void m_tag_free(MTag* t) noexcept;

// m_tag_prepend - t becomes m's first tag, and m's. m is a packet, and not a foreign mbuf: that has
// no place for tags (mbuf.h). All BSDs.
void m_tag_prepend(Mbuf* m, MTag* t) noexcept;
// m_tag_unlink - take t off m; it is loose again, the caller's. All BSDs.
void m_tag_unlink(Mbuf* m, MTag* t) noexcept;
// m_tag_delete - take t off m and free it. All BSDs.
void m_tag_delete(Mbuf* m, MTag* t) noexcept;
// m_tag_delete_chain - free t and those behind it; null: all of m's. FreeBSD, NetBSD; OpenBSD has no t.
void m_tag_delete_chain(Mbuf* m, MTag* t = nullptr) noexcept;

// m_tag_first, m_tag_next - walk m's tags; null at the end. All BSDs.
[[nodiscard]] MTag* m_tag_first(const Mbuf* m) noexcept;
[[nodiscard]] MTag* m_tag_next(const Mbuf* m, const MTag* t) noexcept;
// m_tag_locate - m's next tag of that cookie and id, after t, or from the first when t is null.
// FreeBSD.
[[nodiscard]] MTag* m_tag_locate(const Mbuf* m, uint32_t cookie, uint16_t id, const MTag* t) noexcept;
// m_tag_find - the same with cookie 0. All BSDs (NetBSD has no t).
[[nodiscard]] MTag* m_tag_find(const Mbuf* m, uint16_t id, const MTag* t = nullptr) noexcept;

// m_tag_copy - a loose copy of t. Fails: null. All BSDs.
[[nodiscard]] MTag* m_tag_copy(const MTag* t, int how) noexcept;
// m_tag_copy_chain - `to` loses its tags and gets copies of from's, in order. 0; ENOMEM: `to` has
// none then, and from is untouched. A foreign `to` can take none: ENOMEM if from has any. OpenBSD's
// answer; FreeBSD's and NetBSD's says 1 and 0.
[[nodiscard]] int m_tag_copy_chain(Mbuf* to, const Mbuf* from, int how) noexcept;

// m_strip - before a packet goes to a driver: free its tags, forget its place in a list.
void m_strip(Mbuf* m) noexcept;

}  // namespace umbuf
