// SPDX-License-Identifier: BSD-2-Clause
// frag.cc - mode frag: IPv4 packets longer than --frag-size are cut into fragments (RFC 791 2.3).
//
// A fragment is an mbuf with Ethernet and IP header, made here, and behind it a view of its part of
// the payload. All fragments share the packet's cluster, which the last of the drivers to finish
// gives back; the packet itself is freed. Packets that are short, have DF or are not IPv4 pass
// unchanged, in their place. All fragments of a packet are made, or it dies as no-mbuf.
//
// One view is made of the packet, the others are cut off that view's end. To enter the group of a
// received packet takes a locked instruction under any scheme, to share from a member takes none
// under some. And it is always the first view that gives: under scheme weighted, one that was given
// to has little left to give itself.
#include <netinet/ip.h>

#include <algorithm>
#include <cstring>

#include "app/umfwd/engines/engines.h"
#include "app/umfwd/packet/burst.h"
#include "app/umfwd/packet/frame.h"
#include "app/umfwd/settings.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::fwd {
namespace {

constexpr uint32_t kUnit = RTE_IPV4_HDR_OFFSET_UNITS;  // offsets count in these: 8 bytes
constexpr uint32_t kMostData = UINT16_MAX;  // no datagram is longer; more would not fit the offset

struct Head {  // Ethernet header with tags, IP header with options
    alignas(4) std::byte bytes[kMLen];
    uint32_t l2 = 0, l3 = 0;

    [[nodiscard]] uint32_t size() const noexcept { return l2 + l3; }
    rte_ipv4_hdr* ip() noexcept { return reinterpret_cast<rte_ipv4_hdr*>(bytes + l2); }
};

struct Cut {
    Head first, later;    // of the first fragment, and of those behind it: fewer options
    uint32_t place = 0;   // the packet's own fragment field: it may be a fragment already
    uint32_t length = 0;  // of its payload
    uint32_t step = 0;    // payload of each fragment but the last
};

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

// plan - is this packet to be cut, and how? Fate::kept: as `cut` says. The packet is only read.
Fate plan(const rte_mbuf* p, uint32_t most, Cut& cut) noexcept {
    if (p->pkt_len <= RTE_ETHER_HDR_LEN + most) return Fate::send;
    const Frame frame = parse(p);
    if (frame.l3 != L3::ipv4) return Fate::send;
    cut.first.l2 = frame.l2_len;
    cut.first.l3 = frame.l3_len;
    m_copydata(Mbuf::of(p), 0, cut.first.size(), cut.first.bytes);
    const rte_ipv4_hdr* ip = cut.first.ip();
    const uint32_t total = rte_be_to_cpu_16(ip->total_length);
    cut.place = rte_be_to_cpu_16(ip->fragment_offset);
    if (total <= most || (cut.place & RTE_IPV4_HDR_DF_FLAG) != 0) return Fate::send;
    cut.length = total - cut.first.l3;
    cut.step = (most - cut.first.l3) / kUnit * kUnit;
    const uint32_t before = (cut.place & RTE_IPV4_HDR_OFFSET_MASK) * kUnit;
    // A wrong sum must not leave as a right one.
    const bool right = rte_raw_cksum(ip, cut.first.l3) == UINT16_MAX;
    if (!right || before + cut.length > kMostData || !without_lone_options(cut.first, cut.later))
        return dead(Drop::malformed);
    return Fate::kept;
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
    rte_ipv4_hdr* ip = head.ip();
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(head.l3 + n));
    ip->fragment_offset = rte_cpu_to_be_16(static_cast<uint16_t>((cut.place + at / kUnit) | more));
    ip->hdr_checksum = 0;
    ip->hdr_checksum = static_cast<uint16_t>(~rte_raw_cksum(ip, head.l3));
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

// fragments_of - in order, a list by nextpkt. The packet stays the caller's. Null: out of mbufs, and
// nothing was made.
Mbuf* fragments_of(rte_mbuf* p, Cut& cut) noexcept {
    Mbuf* payload = m_copym(Mbuf::of(p), cut.first.size(), cut.length, M_NOWAIT);
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

// Out - what leaves by the transmit port, in its order. One burst may become many.
class Out {
  public:
    explicit Out(Stream& stream) noexcept : stream_(stream) {}
    void add(rte_mbuf* p) noexcept {
        if (n_ == kMaxBurst) flush();
        packets_[n_++] = p;
    }
    void flush() noexcept {
        transmit(stream_, *stream_.tx_port, packets_, n_);
        n_ = 0;
    }

  private:
    Stream& stream_;
    uint16_t n_ = 0;
    rte_mbuf* packets_[kMaxBurst];
};

// replace - the packet's fragments go in its place, and it dies uncounted: n of one are n - 1 made.
Fate replace(Stream& stream, rte_mbuf* p, Cut& cut, Out& out) noexcept {
    Mbuf* m = fragments_of(p, cut);
    if (m == nullptr) return dead(Drop::no_mbuf);
    stream.stats.made.add((cut.length - 1) / cut.step);
    while (m != nullptr) {
        Mbuf* next = m->nextpkt;
        m->nextpkt = nullptr;
        out.add(&m->rte);
        m = next;
    }
    return Fate::kept;
}

uint32_t burst(Stream& stream) noexcept {
    rte_mbuf* packets[kMaxBurst];
    const uint16_t n = receive(stream, packets);
    if (n == 0) return 0;
    const uint32_t most = stream.settings->frag_size;
    Out out(stream);
    Grave grave;
    Cut cut;
    for (uint16_t i = 0; i < std::min(kAhead, n); ++i)
        prefetch_header(packets[i]);
    for (uint16_t i = 0; i < n; ++i) {
        if (i + kAhead < n) prefetch_header(packets[i + kAhead]);
        rte_mbuf* p = packets[i];
        Fate fate = plan(p, most, cut);
        if (fate == Fate::kept) fate = replace(stream, p, cut, out);
        if (fate == Fate::send) {
            out.add(p);
        } else {
            if (fate != Fate::kept) stream.stats.drop(static_cast<Drop>(fate), 1);
            grave.add(p);
        }
    }
    out.flush();
    grave.bury();
    return n;
}

}  // namespace

const Engine frag_engine = {
    .name = "frag",
    .summary = "cut IPv4 packets longer than --frag-size into fragments that share their buffer",
    .shares = true,
    .sources = false,
    .begin = nullptr,
    .burst = burst,
    .end = nullptr,
};

}  // namespace umbuf::fwd
