// SPDX-License-Identifier: BSD-2-Clause
// stream.cc - the names of the ways to die, and of a stream's numbers.
#include "app/umfwd/packet/stream.h"

namespace umbuf::fwd {

namespace {

using stat::Kind;

constexpr char kBad[] = "whose checksum mode csum found wrong", kHeld[] = "that the mode keeps between bursts";
constexpr stat::Field kStream[] = {
    {"stream_tx", "packets", Kind::counter, 1, "taken by the transmit port"},
#define X(id, text) {"stream_drops", "packets", Kind::counter, 1, "that died here", "reason=" text},
    UM_DROPS(X)
#undef X
    {"stream_bad_csum", "packets", Kind::counter, 1, kBad, "layer=ip"},
    {"stream_bad_csum", "packets", Kind::counter, 1, kBad, "layer=l4"},
    {"stream_made", "packets", Kind::counter, 1, "that the mode made"},
    {"stream_rx", "packets", Kind::counter, 1, "received"},
    {"stream_held", "mbufs", Kind::gauge, 1, kHeld, "kind=mbuf"},
    {"stream_held", "mbufs", Kind::gauge, 1, kHeld, "kind=packet"},
    {"stream_rx_bursts", "bursts", Kind::histogram, kMaxBurst + 1, "that had so many packets"},
};

constexpr stat::Field kWay[] = {
    {"stream_tee_tx", "packets", Kind::counter, 1, "of stream_tx, by that port"},
    {"stream_tee_dropped", "packets", Kind::counter, 1, "of the drops tx-*, at that port"},
};

}  // namespace

std::span<const stat::Field> stream_fields() noexcept { return kStream; }
std::span<const stat::Field> way_fields() noexcept { return kWay; }

const char* name_of(Drop drop) noexcept {
    switch (drop) {
#define X(id, text) \
    case Drop::id: return text;
        UM_DROPS(X)
#undef X
        case Drop::count: break;
    }
    return "unknown";
}

}  // namespace umbuf::fwd
