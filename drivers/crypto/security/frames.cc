// SPDX-License-Identifier: BSD-2-Clause
// frames.cc - what goes around a packet, and comes off again.
#include "drivers/crypto/security/frames.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "lib/mbuf/verbs.h"
#include "lib/mbuf/verbs/deep.h"
#include "lib/mbuf/window.h"

namespace umbuf {
namespace {

constexpr uint32_t kAround = 8 + 8, kTrailer = 2;  // ESP header and IV; the padding's length, the next header
constexpr uint64_t kToDevice = RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG;

using Scratch = std::array<std::byte, kPeek>;

EspFate refuse(Sa& sa, Xfrm why, int error = 0) noexcept {
    sa.counters.refused.count(why);
    return {why, error};
}

bool done_here(const SaTerms& terms) noexcept {
    return terms.mode == SaMode::tunnel && !terms.udp && !terms.esn && terms.algorithm.cipher->cipher == Cipher::aes_gcm;
}

int readable(const Mbuf* m) noexcept {
    for (; m != nullptr; m = m->next())
        if (const int error = m_readable(m); error != 0) return error;
    return 0;
}

// front_of - the first bytes from `at` on. Returns how many, kPeek at most.
uint32_t front_of(const Mbuf* m, uint32_t at, Scratch& to) noexcept {
    const uint32_t n = std::min(kPeek, m->pkt_len() - at);
    (void)m_copydata(m, at, n, to.data());
    return n;
}

// Frame - the two mbufs that are ours, and how they are joined to the packet.
struct Frame {
    Mbuf* head = m_gethdr(M_NOWAIT, MT_DATA);
    Mbuf* tail = m_get(M_NOWAIT, MT_DATA);
    [[nodiscard]] bool whole() const noexcept { return head != nullptr && tail != nullptr; }
    void drop() noexcept {
        m_freem(head);
        m_freem(tail);
    }
    void join(Mbuf* packet) noexcept {
        Mbuf* last = m_last(packet);
        m_move_pkthdr(head, packet);
        head->set_next(packet);
        last->set_next(tail);
        m_calchdrlen(head);
    }
    void part(Mbuf* packet) noexcept {
        Mbuf* last = packet;
        while (last->next() != tail) last = last->next();
        last->set_next(nullptr);
        head->set_next(nullptr);
        m_move_pkthdr(packet, head);
        m_calchdrlen(packet);
        drop();
    }
};

void write_head(Mbuf* head, Sa& sa, const IpView& ip, uint64_t seq, uint32_t bytes) noexcept {
    const SaTerms& terms = sa.terms;
    const uint32_t outer = outer_bytes(terms.src.v6);
    head->rte.data_off = kEspHeadroom;
    head->set_len(outer + kAround);
    std::byte* to = head->data();
    const bool atomic = terms.outer.df == DfRule::set || (terms.outer.df == DfRule::copy && ip.dont_fragment);
    write_outer(to, terms.outer, terms.src, terms.dst, ip, kProtoEsp, bytes, atomic ? uint16_t{0} : sa.next_id++);
    store32(to + outer, terms.spi);
    store32(to + outer + 4, static_cast<uint32_t>(seq));
    store64(to + outer + 8, seq);  // the IV, as with any engine (RFC 4106, 3.1)
}

void write_tail(Mbuf* tail, uint32_t pad, uint8_t next, uint32_t icv) noexcept {
    tail->set_len(pad + kTrailer + icv);
    std::byte* to = tail->data();
    for (uint32_t i = 0; i < pad; ++i) to[i] = static_cast<std::byte>(i + 1);
    to[pad] = static_cast<std::byte>(pad);
    to[pad + 1] = std::byte{next};
    std::memset(to + pad + kTrailer, 0, icv);  // the NIC's to write; never what was in this memory before
}

// Trailer - RFC 4303, 2.4.
struct Trailer {
    uint32_t pad;
    uint8_t next;
    bool right;
};
Trailer trailer_of(const Mbuf* m, uint32_t at, uint32_t text) noexcept {
    std::byte end[kTrailer], pad[255];
    (void)m_copydata(m, at + text - kTrailer, kTrailer, end);
    Trailer t{static_cast<uint32_t>(end[0]), static_cast<uint8_t>(end[1]), true};
    t.right = t.pad + kTrailer <= text;
    if (!t.right) return t;
    (void)m_copydata(m, at + text - kTrailer - t.pad, t.pad, pad);
    for (uint32_t i = 0; i < t.pad; ++i) t.right = t.right && pad[i] == static_cast<std::byte>(i + 1);
    return t;
}

// mark - the header at `at` becomes `header`, whoever else has it.
int mark(Mbuf*& m, uint32_t at, const std::byte* header, uint32_t bytes) noexcept {
    if (const int error = m_makewritable(&m, at, bytes, M_NOWAIT); error != 0) return error;
    return m_copyback(m, at, bytes, header, M_NOWAIT);
}

// open - the inner packet of an authentic one, whose text is at [at, at + text).
EspFate open(Sa& sa, Mbuf*& packet, uint8_t outer_tos, uint32_t at, uint32_t text) noexcept {
    const Trailer trailer = trailer_of(packet, at, text);
    if (!trailer.right) {
        sa.counters.bad_padding.add(1);
        return refuse(sa, Xfrm::in_proto);
    }
    if (trailer.next == kProtoNone) return refuse(sa, Xfrm::in_dummy);
    if (trailer.next != kProtoIpv4 && trailer.next != kProtoIpv6) return refuse(sa, Xfrm::in_mode);
    const uint32_t payload = text - kTrailer - trailer.pad;
    Scratch inner;
    const uint32_t have = std::min(front_of(packet, at, inner), payload);
    IpView ip{};
    if (!parse_ip(inner.data(), have, payload, &ip)) return refuse(sa, Xfrm::in_header);
    if (ip.v6 != (trailer.next == kProtoIpv6)) return refuse(sa, Xfrm::in_mode);
    const Scratch was = inner;
    if (!leave_tunnel(inner.data(), sa.terms.outer, outer_tos)) return refuse(sa, Xfrm::in_ecn);
    if (const uint32_t header = ip.v6 ? kIpv6Header : ip.header; std::memcmp(inner.data(), was.data(), header) != 0)
        if (const int error = mark(packet, at, inner.data(), header); error != 0)
            return refuse(sa, error == ENOBUFS ? Xfrm::in_buffer : Xfrm::in_error, error);
    m_adj(packet, -static_cast<int32_t>(packet->pkt_len() - at - ip.length));
    m_adj(packet, static_cast<int32_t>(at));
    // What the device found out was about the packet around it.
    packet->rte.ol_flags &= ~(RTE_MBUF_F_RX_SEC_OFFLOAD | RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK);
    packet->rte.packet_type = 0;
    return {};
}

}  // namespace

EspFate security_output(SecuritySession& session, Sa& sa, Mbuf*& packet, uint64_t now_s) noexcept {
    const SaTerms& terms = sa.terms;
    // What DPDK code cloned cannot be given back once its header has moved.
    if (!done_here(terms) || packet->foreign() || (packet->rte.ol_flags & kToDevice) != 0) return refuse(sa, Xfrm::out_error, EOPNOTSUPP);
    if (const int error = readable(packet); error != 0) return refuse(sa, Xfrm::out_error, error);
    Scratch front;
    IpView ip{};
    if (!parse_ip(front.data(), front_of(packet, 0, front), packet->pkt_len(), &ip)) return refuse(sa, Xfrm::out_header);
    if (ip.length != packet->pkt_len()) return refuse(sa, Xfrm::out_error, EOPNOTSUPP);  // what is behind it would be sent as text
    const uint32_t icv = terms.algorithm.icv(), pad = -(ip.length + kTrailer) & 3, text = ip.length + pad + kTrailer;
    const uint32_t bytes = kAround + text + icv;
    if (bytes + (terms.src.v6 ? 0 : kIpv4Header) > UINT16_MAX) return refuse(sa, Xfrm::out_error, EMSGSIZE);
    if (sa.expired(text, now_s)) return refuse(sa, Xfrm::out_expired);
    Frame frame;
    uint64_t seq = 0;
    const bool whole = frame.whole();
    if (!whole || sa.sequence.next(&seq) != 0) {
        frame.drop();
        return whole ? refuse(sa, Xfrm::out_seq, EOVERFLOW) : refuse(sa, Xfrm::out_error, ENOBUFS);
    }
    write_head(frame.head, sa, ip, seq, bytes);
    write_tail(frame.tail, pad, ip.v6 ? kProtoIpv6 : kProtoIpv4, icv);
    frame.join(packet);
    rte_mbuf& r = frame.head->rte;
    const uint64_t flags = r.ol_flags, offload = r.tx_offload;
    r.ol_flags |= session.offload_flags();
    r.tx_offload = 0;
    r.l3_len = outer_bytes(terms.src.v6) & 0x1ff;
    if (session.wants_metadata() && session.set_metadata(&r) != 0) {
        r.ol_flags = flags;
        r.tx_offload = offload;
        frame.part(packet);
        return refuse(sa, Xfrm::out_error, EIO);
    }
    sa.counters.packets.add(1);
    sa.counters.bytes.add(text);
    packet = frame.head;
    return {};
}

EspFate security_input(Sa& sa, Mbuf*& packet, uint64_t now_s) noexcept {
    const SaTerms& terms = sa.terms;
    UM_ASSERT(security_seen(packet));
    if (!done_here(terms)) return refuse(sa, Xfrm::in_error, EOPNOTSUPP);
    const EspWire wire = esp_wire(packet, 0);
    if (wire.kind != EspWireKind::esp) return refuse(sa, wire.kind == EspWireKind::none ? Xfrm::in_mismatch : Xfrm::in_header);
    if (wire.spi != terms.spi) return refuse(sa, Xfrm::in_no_states);
    const uint32_t at = wire.at + kAround, icv = terms.algorithm.icv();
    if (wire.end < at + kTrailer + icv || (wire.end - at - icv) % 4 != 0) return refuse(sa, Xfrm::in_header);
    const uint32_t text = wire.end - at - icv;
    std::byte number[4];
    (void)m_copydata(packet, wire.at + 4, sizeof(number), number);
    const uint64_t seq = load32(number);
    if (!sa.window.check(seq)) {
        sa.counters.replayed.add(1);
        return refuse(sa, Xfrm::in_seq);
    }
    if (sa.expired(text, now_s)) return refuse(sa, Xfrm::in_expired);
    if ((packet->rte.ol_flags & RTE_MBUF_F_RX_SEC_OFFLOAD_FAILED) != 0) {
        sa.counters.bad_icv.add(1);
        return refuse(sa, Xfrm::in_proto);
    }
    sa.window.mark(seq);  // E-4: it was authentic, whatever is in it
    sa.counters.packets.add(1);
    sa.counters.bytes.add(text);
    return open(sa, packet, wire.ip.tos, at, text);
}

}  // namespace umbuf
