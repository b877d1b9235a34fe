// SPDX-License-Identifier: BSD-2-Clause
// ipsec_stats.cc - the names of ESP's numbers.
#include "lib/ipsec/ipsec_stats.h"

namespace umbuf {
namespace {

using stat::Kind;

constexpr char kFate[] = "what became of a lane's packets", kSaFate[] = "of this SA that were not let through";

constexpr stat::Field kLane[] = {
#define X(id, text) {"esp_packets", "packets", Kind::counter, 1, kFate, "why=" text},
    UM_XFRM(X)
#undef X
};

constexpr stat::Field kSa[] = {
    {"sa_packets", "packets", Kind::counter, 1, "that were let through"},
    {"sa_bytes", "bytes", Kind::counter, 1, "that the cipher saw of them"},
    {"sa_replayed", "packets", Kind::counter, 1, "refused: seen before, or too old"},
    {"sa_bad_icv", "packets", Kind::counter, 1, "refused: not authentic"},
    {"sa_bad_padding", "packets", Kind::counter, 1, "refused: authentic, and badly padded"},
    {"sa_soft_expired", "limits", Kind::gauge, 1, "1: a soft limit was reached"},
#define X(id, text) {"sa_refused", "packets", Kind::counter, 1, kSaFate, "why=" text},
    UM_XFRM(X)
#undef X
};

}  // namespace

void LaneCounters::list(const std::string& labels) {
    box_ = stat::Box<XfrmCounters>(kLane, labels);
    for (size_t i = 0; i < kXfrms; ++i) box_->packets[i].set(packets[i].read());
    packets.at_ = &*box_;
}

std::span<const stat::Field> sa_fields() noexcept { return kSa; }

}  // namespace umbuf
