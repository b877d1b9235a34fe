// SPDX-License-Identifier: BSD-2-Clause
// ip_route.cc - checks, lookups, judgement: three passes over a burst.
#include "app/umfwd/route/ip_route.h"

#include <algorithm>
#include <cstring>

#include <rte_ip.h>

#include "app/umfwd/packet/frame.h"
#include "lib/ipsec/ip.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::fwd {
namespace {

// Places in the headers (RFC 791 3.1, RFC 8200 3).
constexpr uint32_t kTotalLength = 2, kFragment = 6, kTtl = 8, kSrc4 = 12, kDst4 = 16;
constexpr uint32_t kPayloadLength = 4, kNextHeader = 6, kHopLimit = 7, kSrc6 = 8, kDst6 = 24;
constexpr uint16_t kDf = 0x4000;

constexpr IpFate to_kernel(Drop why) noexcept { return {IpWay::kernel, why, {}}; }

// end - how a packet ends that the tables are not asked about.
void end(Looked& looked, IpWay way, Drop why) noexcept {
    looked.way = way;
    looked.why = why;
}
void die(Looked& looked, Drop why) noexcept { end(looked, IpWay::dead, why); }

const std::byte* bytes_of(const rte_mbuf* p) noexcept { return rte_pktmbuf_mtod(p, const std::byte*); }

// contiguous - the first n bytes in the first mbuf.
bool contiguous(rte_mbuf*& p, uint32_t n, Looked& looked) noexcept {
    if (__builtin_expect(p->data_len >= n, 1)) return true;
    const Fate made = own_header(p, n);
    if (made == Fate::send) return true;
    die(looked, static_cast<Drop>(made));
    return false;
}

// trim - what stands behind the IP packet is padding.
void trim(rte_mbuf* p, uint32_t length) noexcept {
    const uint32_t more = p->pkt_len - length;
    if (__builtin_expect(more == 0, 1)) return;
    if (p->nb_segs == 1) {
        p->pkt_len = length;
        p->data_len = static_cast<uint16_t>(length);
        return;
    }
    Mbuf* m = Mbuf::of(p);
    m_adj(m, -static_cast<int32_t>(more));
    for (Mbuf* s = m; s->next() != nullptr;) {
        if (s->next()->len() != 0) {
            s = s->next();
            continue;
        }
        s->set_next(m_free(s->next()));
        --p->nb_segs;
    }
}

// sum_is_right - of a header of `n` bytes, a multiple of four (RFC 1071): words of four at a time, in any order of bytes.
bool sum_is_right(const std::byte* header, uint32_t n) noexcept {
    uint64_t sum = 0;
    for (uint32_t at = 0; at < n; at += 4) {
        uint32_t word;
        std::memcpy(&word, header + at, sizeof word);
        sum += word;
    }
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return sum == UINT16_MAX;
}

bool multicast4(uint32_t a) noexcept { return a >> 28 == 0xe; }
bool this_net4(uint32_t a) noexcept { return a >> 24 == 0 || a >> 24 == 127; }

// check4 - true: the tables are to be asked. RFC 1812 5.2.2, 5.3.7.
bool check4(rte_mbuf*& p, Looked& ask, uint32_t& to) noexcept {
    die(ask, Drop::malformed);
    if (!contiguous(p, kIpv4Header, ask)) return false;
    const uint32_t header = (static_cast<uint32_t>(bytes_of(p)[0]) & 15) * 4;
    if (header < kIpv4Header || !contiguous(p, header, ask)) return false;
    const std::byte* at = bytes_of(p);
    ask.length = load16(at + kTotalLength);
    if (ask.length < header || ask.length > p->pkt_len || !sum_is_right(at, header)) return false;
    trim(p, ask.length);
    const uint32_t from = load32(at + kSrc4);
    to = load32(at + kDst4);
    die(ask, Drop::martian);
    if (multicast4(from) || from == UINT32_MAX || this_net4(from) || this_net4(to)) return false;
    end(ask, IpWay::kernel, Drop::to_kernel);
    if (multicast4(to) || to == UINT32_MAX) return false;
    ask.ttl = static_cast<uint8_t>(at[kTtl]);
    ask.may_cut = (load16(at + kFragment) & kDf) == 0;
    ask.options = header > kIpv4Header;
    ask.link_local = from >> 16 == 0xa9fe || to >> 16 == 0xa9fe;  // RFC 3927 7
    return true;
}

bool link_local6(const uint8_t* a) noexcept { return a[0] == 0xfe && (a[1] & 0xc0) == 0x80; }
// loop6 - the unspecified address, or the loopback.
bool loop6(const uint8_t* a) noexcept {
    static constexpr uint8_t kZero[15] = {};
    return std::memcmp(a, kZero, sizeof kZero) == 0 && a[15] <= 1;
}

// check6 - the same for IPv6 (RFC 8200, RFC 4291 2.5).
bool check6(rte_mbuf*& p, Looked& ask, uint8_t (&to)[16]) noexcept {
    die(ask, Drop::malformed);
    if (!contiguous(p, kIpv6Header, ask)) return false;
    const std::byte* at = bytes_of(p);
    const uint32_t length = kIpv6Header + load16(at + kPayloadLength);
    if (length > p->pkt_len || length > UINT16_MAX) return false;
    trim(p, length);
    uint8_t from[16];
    std::memcpy(from, at + kSrc6, sizeof from);
    std::memcpy(to, at + kDst6, sizeof to);
    end(ask, IpWay::kernel, Drop::to_kernel);
    if (to[0] == 0xff && from[0] != 0xff) return false;  // also from the unspecified address: RFC 4862 5.4
    die(ask, Drop::martian);
    if (from[0] == 0xff || loop6(from) || loop6(to)) return false;
    end(ask, IpWay::kernel, Drop::to_kernel);
    if (link_local6(to)) return false;
    ask.length = static_cast<uint16_t>(length);
    ask.ttl = static_cast<uint8_t>(at[kHopLimit]);
    ask.may_cut = false;
    ask.options = static_cast<uint8_t>(at[kNextHeader]) == IPPROTO_HOPOPTS;
    ask.link_local = link_local6(from);
    return true;
}

// Asked - the packets of one family that the tables are asked about.
template <class To>
struct Asked {
    uint16_t n = 0;
    uint16_t whose[kRouteBurst];
    To to[kRouteBurst];
    Hop hops[kRouteBurst];
    void answer(Looked* looked) const noexcept {
        for (uint16_t k = 0; k < n; ++k) {
            looked[whose[k]].asked = true;
            looked[whose[k]].hop = hops[k];
        }
    }
};

// ask - the tables, for all that want to.
void ask(const RouteTable& table, Asked<uint32_t>& v4, Asked<uint8_t[16]>& v6, Looked* looked) noexcept {
    if (v4.n > 0) table.lookup4(v4.to, v4.hops, v4.n);
    if (v6.n > 0) table.lookup6(v6.to, v6.hops, v6.n);
    v4.answer(looked);
    v6.answer(looked);
}

void look_up_some(const RouteTable& table, rte_mbuf** packets, Looked* looked, uint16_t n) noexcept {
    Asked<uint32_t> v4;
    Asked<uint8_t[16]> v6;
    for (uint16_t i = 0; i < n; ++i) {
        Looked& of = looked[i];
        of.asked = false;
        die(of, Drop::malformed);
        if (!contiguous(packets[i], 1, of)) continue;
        const uint32_t version = static_cast<uint32_t>(*bytes_of(packets[i])) >> 4;
        of.v6 = version == 6;
        if (version == 4 && check4(packets[i], of, v4.to[v4.n])) v4.whose[v4.n++] = i;
        if (version == 6 && check6(packets[i], of, v6.to[v6.n])) v6.whose[v6.n++] = i;
    }
    ask(table, v4, v6, looked);
}

void look_up_own_some(const RouteTable& table, rte_mbuf** packets, Looked* looked, uint16_t n) noexcept {
    Asked<uint32_t> v4;
    Asked<uint8_t[16]> v6;
    for (uint16_t i = 0; i < n; ++i) {
        const std::byte* at = bytes_of(packets[i]);
        Looked& of = looked[i];
        of = {};
        of.v6 = static_cast<uint32_t>(at[0]) >> 4 == 6;
        of.length = static_cast<uint16_t>(packets[i]->pkt_len);
        if (of.v6) {
            of.ttl = static_cast<uint8_t>(at[kHopLimit]);
            std::memcpy(v6.to[v6.n], at + kDst6, sizeof v6.to[0]);
            v6.whose[v6.n++] = i;
        } else {
            of.ttl = static_cast<uint8_t>(at[kTtl]);
            of.may_cut = (load16(at + kFragment) & kDf) == 0;
            v4.to[v4.n] = load32(at + kDst4);
            v4.whose[v4.n++] = i;
        }
    }
    ask(table, v4, v6, looked);
}

// no_way - true: the packet is not for a next hop, and *fate says where it ends.
bool no_way(const Looked& looked, IpFate* fate) noexcept {
    if (!looked.asked) return *fate = {looked.way, looked.why, {}}, true;
    switch (looked.hop.kind) {
    case RouteKind::forward: return false;
    case RouteKind::local:
    case RouteKind::elsewhere: return *fate = to_kernel(Drop::to_kernel), true;
    case RouteKind::blackhole: return *fate = {IpWay::dead, Drop::blackhole, {}}, true;
    case RouteKind::none:
    case RouteKind::unreachable: break;
    }
    return *fate = to_kernel(Drop::no_route), true;
}

IpFate by_the_hop(const Looked& looked) noexcept {
    const Hop& hop = looked.hop;
    if (hop.state != NeighbourState::reachable) return to_kernel(Drop::no_neighbour);
    if (looked.length <= hop.mtu) return {IpWay::forward, Drop::malformed, hop};
    return looked.may_cut ? IpFate{IpWay::cut, Drop::malformed, hop} : to_kernel(Drop::too_big);
}

}  // namespace

void look_up(const RouteTable& table, rte_mbuf** packets, Looked* looked, uint16_t n) noexcept {
    for (uint16_t i = 0; i < n; i = static_cast<uint16_t>(i + kRouteBurst))
        look_up_some(table, packets + i, looked + i, std::min<uint16_t>(kRouteBurst, static_cast<uint16_t>(n - i)));
}

void look_up_own(const RouteTable& table, rte_mbuf** packets, Looked* looked, uint16_t n) noexcept {
    for (uint16_t i = 0; i < n; i = static_cast<uint16_t>(i + kRouteBurst))
        look_up_own_some(table, packets + i, looked + i, std::min<uint16_t>(kRouteBurst, static_cast<uint16_t>(n - i)));
}

// judge - an error that somebody must be told of is the kernel's to tell.
IpFate judge(const Looked& looked) noexcept {
    IpFate fate;
    if (no_way(looked, &fate)) return fate;
    if (const Drop why = unfit(looked); why != Drop::count) return to_kernel(why);
    return by_the_hop(looked);
}

IpFate judge_own(const Looked& looked) noexcept {
    IpFate fate;
    return no_way(looked, &fate) ? fate : by_the_hop(looked);
}

void route_burst(const RouteTable& table, rte_mbuf** packets, IpFate* fates, uint16_t n) noexcept {
    Looked looked[kRouteBurst];
    for (uint16_t i = 0; i < n; i = static_cast<uint16_t>(i + kRouteBurst)) {
        const uint16_t some = std::min<uint16_t>(kRouteBurst, static_cast<uint16_t>(n - i));
        look_up_some(table, packets + i, looked, some);
        for (uint16_t k = 0; k < some; ++k) fates[i + k] = judge(looked[k]);
    }
}

}  // namespace umbuf::fwd
