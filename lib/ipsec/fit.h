// SPDX-License-Identifier: BSD-2-Clause
// fit.h - packets that would be too long for an SA's way once they are protected (RFC 4301, 7 and 8).
//
//      packet     SA's rule, and DF                          what is done
//      IPv4       no DF outside, and `after` or DF inside    ESP, then the outer packet is cut
//                 else no DF inside, tunnel                  cut, then ESP for each piece
//                 else                                       too big: its sender is told
//      IPv6       no DF outside, or 1280 bytes at most       ESP, then the outer packet is cut
//                 else                                       too big; never less than 1280 is told (RFC 2473, 7.1)
//
// Who protects packets asks fit() before ESP, and after it whether the result is longer than sa.path.mtu(). Both on
// the SA's lane. Nothing is asked of a lane that does not know the routes (EspLane::links).
#pragma once
#include <cstdint>

#include "lib/ipsec/esp.h"

namespace umbuf {

enum class FitWay : uint8_t {
    fits,     // as it is; or the outer packet is to be cut
    before,   // to be cut into pieces of `most` bytes
    too_big,  // and counted as such, in the lane and in the SA: `most` is what its sender may send
};
struct Fit {
    FitWay way = FitWay::fits;
    uint16_t most = 0;
};
[[nodiscard]] Fit fit_slowly(EspLane& lane, Sa& sa, const Mbuf* packet) noexcept;
// fit - the packet begins with its IP header, and is only read.
[[nodiscard]] inline Fit fit(EspLane& lane, Sa& sa, const Mbuf* packet) noexcept {
    if (lane.links == nullptr) return {};
    if (__builtin_expect(packet->pkt_len() <= sa.path.inner(sa.terms, *lane.links, lane.now_s), 1)) return {};
    return fit_slowly(lane, sa, packet);
}

// cut_before - an IPv4 packet without DF in pieces, as fit() said. A list by nextpkt, in order; the packet is consumed.
// Null: no mbuf, or its header is wrong, and it is the caller's.
[[nodiscard]] Mbuf* cut_before(Mbuf* packet, uint32_t most) noexcept;
// cut_after - the same for what ESP made by this SA, of either family, whatever its DF.
[[nodiscard]] Mbuf* cut_after(EspLane& lane, Sa& sa, Mbuf* packet, uint32_t most) noexcept;

}  // namespace umbuf
