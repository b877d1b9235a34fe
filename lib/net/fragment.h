// SPDX-License-Identifier: BSD-2-Clause
// fragment.h - an IP packet cut into fragments that share its buffer (RFC 791 2.3, RFC 8200 4.5).
//
// A fragment is an mbuf with link and IP header, made here, and behind it a view of its part of the payload. All
// fragments share the packet's cluster, which the last of the drivers to finish gives back.
//
// One view is made of the packet, the others are cut off that view's end. To enter the group of a received packet
// takes a locked instruction under any scheme, to share from a member takes none under some. And it is always the
// first view that gives: under scheme weighted, one that was given to has little left to give itself.
#pragma once
#include <cstdint>

#include <rte_ip.h>

#include "lib/mbuf/mbuf.h"
#include "lib/mbuf/zone.h"

namespace umbuf {

struct Head {  // Ethernet header with tags; IP header with options, or with extension headers and the fragment header
    alignas(4) std::byte bytes[kMLen];
    uint32_t l2 = 0, l3 = 0;

    [[nodiscard]] uint32_t size() const noexcept { return l2 + l3; }
    rte_ipv4_hdr* ip() noexcept { return reinterpret_cast<rte_ipv4_hdr*>(bytes + l2); }
};

struct Cut {
    Head first, later;    // of the first fragment, and of those behind it: fewer options
    bool v6 = false;
    uint32_t place = 0;   // IPv4: the packet's own fragment field: it may be a fragment already
    uint32_t skip = 0;    // bytes of the packet before its payload
    uint32_t length = 0;  // of its payload
    uint32_t step = 0;    // payload of each fragment but the last
};

enum class CutPlan : uint8_t {
    whole,      // it is short enough, or has DF
    pieces,     // as `cut` says
    malformed,  // it cannot be cut right
};
// plan_cut - is the packet to be cut, so that no IPv4 packet is longer than `most`, and how? Its IPv4 header, of
// l3 bytes, stands behind l2 bytes, both contiguous or not. The packet is only read. most >= 68.
[[nodiscard]] CutPlan plan_cut(const rte_mbuf* p, uint32_t l2, uint32_t l3, uint32_t most, Cut& cut) noexcept;
// OwnHeader - of a packet that this machine made, and may cut whatever its DF says.
struct OwnHeader {
    bool v6;
    uint32_t bytes;     // IPv6: the headers that stand before the fragment header
    uint32_t proto_at;  // IPv6: where it is said what follows them
    uint32_t id;        // of the packet, 16 bits for IPv4: not used before while its fragments could be about
};
// plan_own_cut - the same for such a packet, which begins with its IP header and is no fragment.
[[nodiscard]] CutPlan plan_own_cut(const rte_mbuf* p, const OwnHeader& header, uint32_t most, Cut& cut) noexcept;

[[nodiscard]] inline uint32_t pieces_of(const Cut& cut) noexcept { return (cut.length - 1) / cut.step + 1; }
// fragments_of - in order, a list by nextpkt. The packet stays the caller's. Null: out of mbufs, and nothing was
// made. The lane that owns the packet.
[[nodiscard]] Mbuf* fragments_of(rte_mbuf* p, Cut& cut) noexcept;

}  // namespace umbuf
