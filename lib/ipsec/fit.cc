// SPDX-License-Identifier: BSD-2-Clause
// fit.cc - who is cut, and where.
#include "lib/ipsec/fit.h"

#include <algorithm>

#include "lib/ipsec/esp_batch.h"
#include "lib/mbuf/verbs.h"
#include "lib/net/fragment.h"

namespace umbuf {
namespace {

constexpr uint32_t kLeastPiece = 68;  // any link takes it (RFC 791, 3.2)

bool look(const Mbuf* m, IpView* ip, std::byte* scratch, const std::byte** at) noexcept {
    if (esp::readable(m) != 0) return false;
    const uint32_t have = esp::front_of(m, scratch, at);
    return parse_ip(*at, have, m->pkt_len(), ip);
}

// df_outside - will the packet that leaves have DF, or what counts as it?
bool df_outside(const SaTerms& terms, const IpView& ip) noexcept {
    if (terms.mode == SaMode::transport || terms.outer.df == DfRule::copy) return ip.dont_fragment;
    return terms.outer.df == DfRule::set;
}

bool left_to_the_device(const Mbuf* m) noexcept { return (m->rte.ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IP_CKSUM)) != 0; }

Fit too_big(EspLane& lane, Sa& sa, uint32_t most) noexcept {
    lane.counters.count(Xfrm::out_too_big);
    sa.counters.refused.count(Xfrm::out_too_big);
    return {FitWay::too_big, static_cast<uint16_t>(most)};
}

Mbuf* pieces(Mbuf* packet, CutPlan plan, Cut& cut) noexcept {
    Mbuf* list = plan == CutPlan::pieces ? fragments_of(&packet->rte, cut) : nullptr;
    if (list != nullptr) m_freem(packet);
    return list;
}

}  // namespace

Fit fit_slowly(EspLane& lane, Sa& sa, const Mbuf* packet) noexcept {
    std::byte scratch[kPeek];
    const std::byte* at = nullptr;
    IpView ip{};
    if (!look(packet, &ip, scratch, &at)) return {};  // ESP says what is wrong with it
    const SaTerms& terms = sa.terms;
    const uint32_t header = terms.mode == SaMode::transport ? ip.header : 0, mtu = sa.path.mtu();
    if (outer_length(terms, ip.length, header) <= mtu) return {};
    const uint32_t inner = std::min<uint32_t>(inner_mtu(terms, mtu, header), UINT16_MAX);
    if (ip.v6 && ip.length <= kLeastMtu6) return {};
    if (!df_outside(terms, ip) && (terms.fragment == FragmentRule::after || ip.dont_fragment)) return {};
    if (ip.dont_fragment) return too_big(lane, sa, std::max(inner, ip.v6 ? kLeastMtu6 : kLeastPiece));
    // A checksum that nobody has made yet is of the whole packet.
    if (terms.mode == SaMode::transport || inner < kLeastPiece || left_to_the_device(packet)) return {};
    return {FitWay::before, static_cast<uint16_t>(inner)};
}

Mbuf* cut_before(Mbuf* packet, uint32_t most) noexcept {
    std::byte scratch[kPeek];
    const std::byte* at = nullptr;
    IpView ip{};
    if (!look(packet, &ip, scratch, &at) || ip.v6) return nullptr;
    Cut cut;
    const CutPlan plan = plan_cut(&packet->rte, 0, ip.header, most, cut);
    return pieces(packet, plan, cut);
}

Mbuf* cut_after(EspLane& lane, Sa& sa, Mbuf* packet, uint32_t most) noexcept {
    std::byte scratch[kPeek];
    const std::byte* at = nullptr;
    IpView ip{};
    if (!look(packet, &ip, scratch, &at)) return nullptr;
    OwnHeader header{.v6 = ip.v6, .bytes = ip.header, .proto_at = ip.proto_at, .id = 0};
    if (ip.v6) {
        std::byte id[4];
        lane.random.take(id, sizeof id);  // RFC 7739
        header.id = load32(id);
    } else {
        header.id = load16(at + 4);
        if (header.id == 0) header.id = sa.next_id++;  // of an atomic packet (RFC 6864, 4.1)
    }
    Cut cut;
    const CutPlan plan = plan_own_cut(&packet->rte, header, most, cut);
    return pieces(packet, plan, cut);
}

}  // namespace umbuf
