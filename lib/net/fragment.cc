// SPDX-License-Identifier: BSD-2-Clause
// fragment.cc - heads for fragments, and views of the payload behind them.
#include "lib/net/fragment.h"

#include <netinet/ip.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/mbuf/verbs.h"

namespace umbuf {
namespace {

constexpr uint32_t kUnit = RTE_IPV4_HDR_OFFSET_UNITS;  // offsets count in these: 8 bytes
constexpr uint32_t kIpv6Header = 40, kFragmentHeader = 8;
constexpr uint32_t kMostData = UINT16_MAX;  // no datagram is longer; more would not fit the offset

// without_lone_options - the head of later fragments has only those options whose copied flag is set
// (RFC 791 3.1). False: an option does not fit the header.
bool without_lone_options(const Head& first, Head& later) noexcept {
    const auto byte = [&first](uint32_t i) { return static_cast<uint8_t>(first.bytes[i]); };
    const uint32_t options = first.l2 + uint32_t{sizeof(rte_ipv4_hdr)}, end = first.size();
    std::memcpy(later.bytes, first.bytes, options);
    uint32_t to = options;
    for (uint32_t at = options; at < end && byte(at) != IPOPT_EOL;) {
        const uint32_t n = byte(at) == IPOPT_NOP ? 1U : at + 1 < end ? byte(at + 1) : 0U;
        if (n > end - at || (n < 2 && byte(at) != IPOPT_NOP)) return false;
        if (IPOPT_COPIED(byte(at)) != 0) {
            std::memcpy(later.bytes + to, first.bytes + at, n);
            to += n;
        }
        at += n;
    }
    while (to % 4 != options % 4)
        later.bytes[to++] = std::byte{IPOPT_EOL};
    later.l2 = first.l2;
    later.l3 = to - first.l2;
    later.ip()->version_ihl = static_cast<uint8_t>(IPVERSION << 4 | later.l3 / 4);
    return true;
}

// say_place - in the header of a fragment of n bytes of payload, which go on `at` bytes into the packet's.
void say_place4(Head& head, uint32_t place, uint32_t n) noexcept {
    rte_ipv4_hdr* ip = head.ip();
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(head.l3 + n));
    ip->fragment_offset = rte_cpu_to_be_16(static_cast<uint16_t>(place));
    ip->hdr_checksum = 0;
    ip->hdr_checksum = static_cast<uint16_t>(~rte_raw_cksum(ip, head.l3));
}
void say_place6(Head& head, uint32_t at, bool more, uint32_t n) noexcept {
    const rte_be16_t length = rte_cpu_to_be_16(static_cast<uint16_t>(head.l3 - kIpv6Header + n));
    const rte_be16_t place = rte_cpu_to_be_16(static_cast<uint16_t>(at | (more ? 1u : 0u)));
    std::memcpy(head.bytes + head.l2 + 4, &length, sizeof length);
    std::memcpy(head.bytes + head.size() - 6, &place, sizeof place);
}

// fragment - a packet of the payload that begins at `at`, which it consumes. Null: out of mbufs.
Mbuf* fragment(Cut& cut, Mbuf* payload, uint32_t at, uint16_t port) noexcept {
    Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
    if (m == nullptr) {
        m_freem(payload);
        return nullptr;
    }
    Head& head = at == 0 ? cut.first : cut.later;
    const uint32_t n = std::min(cut.step, cut.length - at);
    const uint32_t more = at + n < cut.length ? RTE_IPV4_HDR_MF_FLAG : 0;
    if (cut.v6)
        say_place6(head, at, more != 0, n);
    else
        say_place4(head, (cut.place + at / kUnit) | more, n);
    // Against the end of its space: no room is left into which m_cat would copy a short payload.
    m->rte.data_off = static_cast<uint16_t>(kMLen - head.size());
    m->rte.port = port;
    m->set_len(head.size());
    std::memcpy(m->data(), head.bytes, head.size());
    m_cat(m, payload);
    return m;
}

void free_list(Mbuf* m) noexcept {
    while (m != nullptr) {
        Mbuf* next = m->nextpkt;
        m_freem(m);
        m = next;
    }
}

// plan_cut4 - of the header that stands in cut.first.
CutPlan plan_cut4(Cut& cut, uint32_t most) noexcept {
    const rte_ipv4_hdr* ip = cut.first.ip();
    const uint32_t total = rte_be_to_cpu_16(ip->total_length);
    cut.v6 = false;
    cut.place = rte_be_to_cpu_16(ip->fragment_offset);
    if (total <= most || (cut.place & RTE_IPV4_HDR_DF_FLAG) != 0) return CutPlan::whole;
    cut.skip = cut.first.size();
    cut.length = total - cut.first.l3;
    cut.step = (most - cut.first.l3) / kUnit * kUnit;
    const uint32_t before = (cut.place & RTE_IPV4_HDR_OFFSET_MASK) * kUnit;
    // A wrong sum must not leave as a right one.
    const bool right = rte_raw_cksum(ip, cut.first.l3) == UINT16_MAX;
    if (!right || before + cut.length > kMostData || !without_lone_options(cut.first, cut.later)) return CutPlan::malformed;
    return CutPlan::pieces;
}

// plan_cut6 - the fragment header goes behind cut.first, and is said to be there (RFC 8200 4.5).
CutPlan plan_cut6(Cut& cut, const OwnHeader& header, uint32_t packet, uint32_t most) noexcept {
    Head& head = cut.first;
    const uint32_t total = kIpv6Header + (static_cast<uint32_t>(head.bytes[4]) << 8 | static_cast<uint32_t>(head.bytes[5]));
    if (total <= most) return CutPlan::whole;
    cut.v6 = true;
    cut.skip = header.bytes;
    if (total > packet || total < header.bytes || most < header.bytes + kFragmentHeader + kUnit) return CutPlan::malformed;
    cut.length = total - header.bytes;
    cut.step = (most - header.bytes - kFragmentHeader) / kUnit * kUnit;
    const rte_be32_t id = rte_cpu_to_be_32(header.id);
    std::byte* const at = head.bytes + header.bytes;
    std::memset(at, 0, kFragmentHeader);
    at[0] = std::exchange(head.bytes[header.proto_at], std::byte{IPPROTO_FRAGMENT});
    std::memcpy(at + 4, &id, sizeof id);
    head.l3 = header.bytes + kFragmentHeader;
    cut.later = head;
    return CutPlan::pieces;
}

}  // namespace

CutPlan plan_cut(const rte_mbuf* p, uint32_t l2, uint32_t l3, uint32_t most, Cut& cut) noexcept {
    cut.first.l2 = l2;
    cut.first.l3 = l3;
    m_copydata(Mbuf::of(p), 0, cut.first.size(), cut.first.bytes);
    return plan_cut4(cut, most);
}

CutPlan plan_own_cut(const rte_mbuf* p, const OwnHeader& header, uint32_t most, Cut& cut) noexcept {
    if (header.bytes + kFragmentHeader > kMLen || header.bytes > p->pkt_len) return CutPlan::malformed;
    cut.first.l2 = 0;
    cut.first.l3 = header.bytes;
    m_copydata(Mbuf::of(p), 0, header.bytes, cut.first.bytes);
    if (header.v6) return plan_cut6(cut, header, p->pkt_len, most);
    rte_ipv4_hdr* ip = cut.first.ip();
    ip->packet_id = rte_cpu_to_be_16(static_cast<uint16_t>(header.id));
    ip->fragment_offset = 0;
    ip->hdr_checksum = 0;
    ip->hdr_checksum = static_cast<uint16_t>(~rte_raw_cksum(ip, header.bytes));
    return plan_cut4(cut, most);
}

Mbuf* fragments_of(rte_mbuf* p, Cut& cut) noexcept {
    Mbuf* payload = m_copym(Mbuf::of(p), cut.skip, cut.length, M_NOWAIT);
    if (payload == nullptr) return nullptr;
    Mbuf* list = nullptr;
    for (uint32_t at = (cut.length - 1) / cut.step * cut.step;; at -= cut.step) {
        Mbuf* end = at == 0 ? payload : m_split(payload, at, M_NOWAIT);
        Mbuf* made = end == nullptr ? nullptr : fragment(cut, end, at, p->port);
        if (made == nullptr) {
            if (at != 0) m_freem(payload);
            free_list(list);
            return nullptr;
        }
        made->nextpkt = list;
        list = made;
        if (at == 0) return list;
    }
}

}  // namespace umbuf
