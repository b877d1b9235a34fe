// SPDX-License-Identifier: BSD-2-Clause
// reassembly.cc - a table of packets that are not whole, the oldest first to go.
#include "lib/ipsec/reassembly.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <rte_ip.h>
#include <rte_jhash.h>

#include "lib/ipsec/esp_batch.h"
#include "lib/mbuf/verbs.h"

namespace umbuf {
namespace {

constexpr uint32_t kFragmentHeader = 8, kUnit = 8;
constexpr uint8_t kNotEct = 1 << 0, kCe = 1 << 3;  // bits of Packet::ecn

}  // namespace

Reassembly::Reassembly(const ReassemblyLimits& limits, uint64_t seed)
    : limits_(limits), seed_(seed), packets_(limits.packets), fragments_(limits.fragments),
      buckets_(std::bit_ceil(size_t{limits.packets} * 2), kNone) {
    for (uint32_t i = limits.packets; i-- > 0;) packets_[i].chain = std::exchange(free_packet_, i);
    for (uint32_t i = limits.fragments; i-- > 0;) fragments_[i].next = std::exchange(free_fragment_, i);
}

Result<std::unique_ptr<Reassembly>> Reassembly::make(const ReassemblyLimits& limits, uint64_t seed) {
    if (limits.packets == 0 || limits.fragments < 2 || limits.mbufs < 2) return Error{EINVAL, "reassembly: room for a packet of two fragments, at least"};
    return std::unique_ptr<Reassembly>(new Reassembly(limits, seed));
}

Reassembly::~Reassembly() {
    while (oldest_ != kNone) drop(oldest_, counters.timed_out);
}

// look - what a fragment says. The last one only may be of any length, and no packet is longer than 65,535 bytes.
Reassembly::Look Reassembly::look(const Mbuf* m, Seen& seen) noexcept {
    std::byte scratch[kPeek];
    const std::byte* at = nullptr;
    IpView ip;
    if (esp::readable(m) != 0) return Look::malformed;
    const uint32_t have = esp::front_of(m, scratch, &at);
    if (!parse_ip(at, have, m->pkt_len(), &ip)) return Look::malformed;
    if (!ip.fragment) return Look::no_fragment;
    seen.key = {};
    seen.key.v6 = ip.v6;
    std::memcpy(seen.key.addresses.data(), at + (ip.v6 ? 8 : 12), ip.v6 ? 32 : 8);
    seen.header = seen.skip = ip.header;
    seen.length = ip.length;
    seen.ecn = static_cast<uint8_t>(1 << (ip.tos & 3));
    uint32_t place = load16(at + 6);
    if (ip.v6) {
        seen.skip += kFragmentHeader;
        if (seen.skip > have || seen.skip > ip.length) return Look::malformed;
        place = load16(at + ip.header + 2);
        seen.key.id = load32(at + ip.header + 4);
        seen.more = (place & 1) != 0;
        seen.from = place & 0xfff8;
    } else {
        if (rte_raw_cksum(at, ip.header) != UINT16_MAX) return Look::malformed;  // ours will be right
        seen.key.id = load16(at + 4);
        seen.key.proto = ip.proto;
        seen.more = (place & 0x2000) != 0;
        seen.from = (place & 0x1fff) * kUnit;
    }
    const uint32_t n = ip.length - seen.skip, fixed = ip.v6 ? kIpv6Header : 0;
    seen.to = seen.from + n;
    const bool can_be = n > 0 && (!seen.more || n % kUnit == 0) && seen.header - fixed + seen.to <= UINT16_MAX;
    return can_be ? Look::fragment : Look::malformed;
}

// ---- the table

uint32_t& Reassembly::bucket_of(const Key& key) noexcept {
    const uint32_t hash = rte_jhash(&key, sizeof key, static_cast<uint32_t>(seed_)) ^ static_cast<uint32_t>(seed_ >> 32);
    return buckets_[hash & (buckets_.size() - 1)];
}

uint32_t Reassembly::find(const Key& key) noexcept {
    uint32_t at = bucket_of(key);
    while (at != kNone && packets_[at].key != key) at = packets_[at].chain;
    return at;
}

uint32_t Reassembly::begin(const Key& key, uint64_t now_s) noexcept {
    if (free_packet_ == kNone) drop(oldest_, counters.no_room);
    const uint32_t i = free_packet_;
    Packet& p = packets_[i];
    free_packet_ = p.chain;
    p = {};
    p.key = key;
    p.since_s = now_s;
    p.first = p.last = p.younger = kNone;
    uint32_t& bucket = bucket_of(key);
    p.chain = std::exchange(bucket, i);
    p.older = std::exchange(youngest_, i);
    (p.older == kNone ? oldest_ : packets_[p.older].younger) = i;
    ++n_packets_;
    return i;
}

// forget - its fragments are somebody else's.
void Reassembly::forget(uint32_t packet) noexcept {
    Packet& p = packets_[packet];
    uint32_t* at = &bucket_of(p.key);
    while (*at != packet) at = &packets_[*at].chain;
    *at = p.chain;
    (p.older == kNone ? oldest_ : packets_[p.older].younger) = p.younger;
    (p.younger == kNone ? youngest_ : packets_[p.younger].older) = p.older;
    p.chain = std::exchange(free_packet_, packet);
    --n_packets_;
}

void Reassembly::count_held(const Mbuf* m, bool in) noexcept {
    const uint32_t n = m->rte.nb_segs;
    n_mbufs_ = in ? n_mbufs_ + n : n_mbufs_ - n;
    n_fragments_ = in ? n_fragments_ + 1 : n_fragments_ - 1;
    in ? held.take(m) : held.give(m);
}

void Reassembly::drop_fragments(Packet& p, sync::Counter& why) noexcept {
    for (uint32_t i = p.first; i != kNone;) {
        Fragment& f = fragments_[i];
        count_held(f.m, false);
        refuse(f.m, why);
        const uint32_t next = f.next;
        f.next = std::exchange(free_fragment_, i);
        i = next;
    }
    p.first = p.last = kNone;
    p.n = p.have = 0;
}

void Reassembly::drop(uint32_t packet, sync::Counter& why) noexcept {
    drop_fragments(packets_[packet], why);
    forget(packet);
}

void Reassembly::refuse(Mbuf* m, sync::Counter& why) noexcept {
    why.add(1);
    m_freem(m);
}

void Reassembly::expire(uint64_t now_s) noexcept {
    while (oldest_ != kNone && now_s - packets_[oldest_].since_s >= limits_.seconds) drop(oldest_, counters.timed_out);
}

// make_room - for one more fragment of this packet, of so many mbufs (G2). False: all that could go has gone.
bool Reassembly::make_room(uint32_t packet, uint32_t mbufs) noexcept {
    if (packets_[packet].n == kMostFragments) return false;
    while (free_fragment_ == kNone || n_mbufs_ + mbufs > limits_.mbufs) {
        const uint32_t goes = oldest_ != packet ? oldest_ : packets_[oldest_].younger;
        if (goes == kNone) return false;
        drop(goes, counters.no_room);
    }
    return true;
}

// ---- one packet

// put - into its place between its neighbours (G1).
Reassembly::Put Reassembly::put(Packet& p, Mbuf* m, const Seen& seen) noexcept {
    if (p.total != 0 && (seen.to > p.total || (!seen.more && seen.to != p.total))) return Put::overlaps;
    uint32_t before = kNone, after = p.first;
    if (p.last != kNone && fragments_[p.last].from < seen.from) {
        before = p.last;  // they come in their order, as a rule
        after = kNone;
    }
    while (after != kNone && fragments_[after].from < seen.from) {
        before = after;
        after = fragments_[after].next;
    }
    if (after != kNone && fragments_[after].from == seen.from && fragments_[after].to == seen.to) return Put::twice;
    if (before != kNone && fragments_[before].to > seen.from) return Put::overlaps;
    if (after != kNone && (fragments_[after].from < seen.to || !seen.more)) return Put::overlaps;
    const uint32_t i = free_fragment_;
    free_fragment_ = fragments_[i].next;
    fragments_[i] = {m, seen.from, seen.to, after};
    (before == kNone ? p.first : fragments_[before].next) = i;
    if (after == kNone) p.last = i;
    if (!seen.more) p.total = seen.to;
    if (seen.from == 0) p.header = seen.header;
    p.have += seen.to - seen.from;
    p.ecn |= seen.ecn;
    ++p.n;
    count_held(m, true);
    return Put::placed;
}

// write_whole - the first fragment's header becomes the packet's, in bytes of its own. Null: no mbuf, and it is freed.
Mbuf* Reassembly::write_whole(Mbuf* first, const Packet& p) noexcept {
    std::byte header[kPeek];
    const uint32_t n = p.header;
    std::byte next{};
    if (m_copydata(first, 0, n, header) != 0 || (p.key.v6 && m_copydata(first, n, 1, &next) != 0)) {
        m_freem(first);  // pages that could be read when it came
        return nullptr;
    }
    m_adj(first, static_cast<int32_t>(n + (p.key.v6 ? kFragmentHeader : 0)));
    Mbuf* m = m_prepend(first, n, M_NOWAIT);
    if (m == nullptr) return nullptr;
    if (p.key.v6) {
        uint32_t proto_at = 6;
        for (uint32_t at = kIpv6Header; at < n; at += (static_cast<uint32_t>(header[at + 1]) + 1) * 8) proto_at = at;
        header[proto_at] = next;
        store16(header + 4, n - kIpv6Header + p.total);
        if ((p.ecn & kCe) != 0) header[1] |= std::byte{0x30};
    } else {
        store16(header + 2, n + p.total);
        store16(header + 6, 0);
        if ((p.ecn & kCe) != 0) header[1] |= std::byte{3};
        ipv4_checksum(header, n);
    }
    std::memcpy(m->data(), header, n);
    return m;
}

// join - the packet is whole. Null: what was congested and cannot say so, or no mbuf.
Mbuf* Reassembly::join(uint32_t packet) noexcept {
    Packet& p = packets_[packet];
    Mbuf* whole = nullptr;
    const bool too_long = p.header - (p.key.v6 ? kIpv6Header : 0) + p.total > UINT16_MAX;
    if (too_long || ((p.ecn & kCe) != 0 && (p.ecn & kNotEct) != 0)) {  // RFC 3168, 5.3
        drop(packet, counters.malformed);
        return nullptr;
    }
    const uint32_t n = p.n;
    Mbuf* last = nullptr;
    for (uint32_t i = p.first; i != kNone;) {
        Fragment& f = fragments_[i];
        count_held(f.m, false);
        Mbuf* m = f.m;
        if (last == nullptr) {
            whole = m;
        } else {
            m_adj(m, static_cast<int32_t>(m->pkt_len() - (f.to - f.from)));
            m_removehdr(m);
            while (m->len() == 0) m = m_free(m);
            last->set_next(m);
        }
        last = m_last(m);
        const uint32_t next = f.next;
        f.next = std::exchange(free_fragment_, i);
        i = next;
    }
    m_calchdrlen(whole);
    whole = write_whole(whole, p);
    forget(packet);
    if (whole == nullptr) {
        counters.no_room.add(n);
        return nullptr;
    }
    counters.merged.add(n - 1);
    counters.whole.add(1);
    return whole;
}

Mbuf* Reassembly::add(Mbuf* m, uint64_t now_s) noexcept {
    Seen seen;
    const Look looked = look(m, seen);
    if (looked == Look::no_fragment) return m;
    if (looked == Look::malformed) {
        refuse(m, counters.malformed);
        return nullptr;
    }
    expire(now_s);
    if (m->pkt_len() > seen.length) m_adj(m, -static_cast<int32_t>(m->pkt_len() - seen.length));  // padding
    const bool alone = seen.from == 0 && !seen.more;  // RFC 6946: of no other's packet, whatever the number
    uint32_t i = alone ? kNone : find(seen.key);
    if (i == kNone) i = begin(seen.key, now_s);
    Packet& p = packets_[i];
    if (p.refused) {
        refuse(m, counters.overlapping);
        return nullptr;
    }
    if (!make_room(i, m->rte.nb_segs)) {
        refuse(m, counters.no_room);
        drop(i, counters.no_room);
        return nullptr;
    }
    switch (put(p, m, seen)) {
    case Put::placed: break;
    case Put::twice: refuse(m, counters.twice); return nullptr;
    case Put::overlaps:
        refuse(m, counters.overlapping);
        drop_fragments(p, counters.overlapping);
        p.refused = true;
        return nullptr;
    }
    return p.total != 0 && p.have == p.total ? join(i) : nullptr;
}

}  // namespace umbuf
