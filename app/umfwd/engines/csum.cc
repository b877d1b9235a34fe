// SPDX-License-Identifier: BSD-2-Clause
// csum.cc - mode csum: forward like mode mac, with IPv4, UDP and TCP checksums made right.
//
// A checksum is made by the transmit port where that offload is on (port_set.h says where it is asked
// for: on devices with hardware for it), else here. What came in wrong
// is counted (Bad-ipcsum, Bad-l4csum): by the receiving device's word where it gave one, else by
// our own sum. The one case not counted: the device said nothing and the transmit port makes the
// checksum, so that nobody here has reason to read the data.
//
// Left alone: UDP checksum 0 (the sender chose none), fragments (a part does not have the sum),
// IPv6 with routing segments left (the sum is for the final address), packets that do not parse.
#include <cstring>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"
#include "app/umfwd/packet/frame.h"

namespace umbuf::fwd {
namespace {

enum class Sum : uint8_t { good, bad, partial };  // partial: right to be wrong, the sender offloads

constexpr uint16_t kMaxOffloadL3 = 511;  // rte_mbuf's l3_len has 9 bits

bool port_has(const Stream& stream, uint64_t offload) noexcept {
    return (stream.tx_port->tx_offloads() & offload) != 0;
}

class Step {
  public:
    explicit Step(Stream& stream) noexcept
        : stats_(stream.stats),
          us_(stream.tx_port->mac()),
          peer_(stream.peer),
          ip_offload_(port_has(stream, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM)),
          udp_offload_(port_has(stream, RTE_ETH_TX_OFFLOAD_UDP_CKSUM)),
          tcp_offload_(port_has(stream, RTE_ETH_TX_OFFLOAD_TCP_CKSUM)) {}

    Fate operator()(rte_mbuf*& p) noexcept {
        if (const Fate fate = own_header(p, RTE_ETHER_HDR_LEN); fate != Fate::send) return fate;
        auto* ether = at<rte_ether_hdr>(p, 0);
        ether->dst_addr = peer_;
        ether->src_addr = us_;
        p->ol_flags &= ~kOffloadFlags;  // a software port hands over what another port's user asked
        const Frame frame = parse(p);
        Fate fate = Fate::send;
        if (frame.l3 == L3::ipv4) fate = fix_ip(p, frame);
        if (fate == Fate::send && has_l4_sum(p, frame)) fate = fix_l4(p, frame);
        return fate;
    }

  private:
    static constexpr uint64_t kOffloadFlags =
        RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6;

    static bool has_l4_sum(const rte_mbuf* p, const Frame& frame) noexcept {
        if (frame.fragment || frame.routed || !is_readable(p)) return false;
        if (frame.l4 != L4::udp) return frame.l4 == L4::tcp;
        uint16_t copy;
        const void* sum = bytes_at(
            p, frame.l4_off() + uint32_t{l4_checksum_offset(L4::udp)}, sizeof(copy), &copy);
        std::memcpy(&copy, sum, sizeof(copy));
        return copy != 0;
    }

    Fate fix_ip(rte_mbuf*& p, const Frame& frame) noexcept {
        const bool offload = ip_offload_ && frame.l3_len <= kMaxOffloadL3;
        const Sum was = ip_state(p, frame, offload);
        if (was == Sum::bad) stats_.bad_ip_csum.add(1);
        if (was == Sum::good && !offload) return Fate::send;
        const Fate fate = own_header(p, frame.l4_off());
        if (fate != Fate::send) return fate;
        auto* ip = at<rte_ipv4_hdr>(p, frame.l2_len);
        ip->hdr_checksum = 0;
        if (offload)
            ask_port(p, frame, RTE_MBUF_F_TX_IP_CKSUM);
        else
            ip->hdr_checksum = rte_ipv4_cksum(ip);
        return Fate::send;
    }

    Fate fix_l4(rte_mbuf*& p, const Frame& frame) noexcept {
        const bool udp = frame.l4 == L4::udp;
        const bool offload = (udp ? udp_offload_ : tcp_offload_) && frame.l3_len <= kMaxOffloadL3;
        const Sum was = l4_state(p, frame, offload);
        if (was == Sum::bad) stats_.bad_l4_csum.add(1);
        if (was == Sum::good && !offload) return Fate::send;
        const uint32_t field = frame.l4_off() + uint32_t{l4_checksum_offset(frame.l4)};
        const Fate fate = own_header(p, field + uint32_t{sizeof(uint16_t)});
        if (fate != Fate::send) return fate;
        auto* sum = at<unaligned_uint16_t>(p, field);
        if (offload) {
            *sum = pseudo_sum(p, frame);
            ask_port(p, frame, udp ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM);
            return Fate::send;
        }
        *sum = 0;
        *sum = static_cast<uint16_t>(~l4_sum(p, frame));
        if (udp && *sum == 0) *sum = 0xffff;  // RFC 768: 0 would mean "none"
        return Fate::send;
    }

    static void ask_port(rte_mbuf* p, const Frame& frame, uint64_t what) noexcept {
        p->l2_len = frame.l2_len & 0x7f;
        p->l3_len = frame.l3_len & 0x1ff;
        p->ol_flags |= what | (frame.l3 == L3::ipv4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
    }

    static Sum ip_state(const rte_mbuf* p, const Frame& frame, bool offload) noexcept {
        switch (p->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) {
            case RTE_MBUF_F_RX_IP_CKSUM_GOOD: return Sum::good;
            case RTE_MBUF_F_RX_IP_CKSUM_BAD: return Sum::bad;
            case RTE_MBUF_F_RX_IP_CKSUM_NONE: return Sum::partial;
            default: break;
        }
        if (offload) return Sum::good;
        return data_sum(p, frame.l2_len, frame.l3_len) == 0xffff ? Sum::good : Sum::bad;
    }

    static Sum l4_state(const rte_mbuf* p, const Frame& frame, bool offload) noexcept {
        switch (p->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
            case RTE_MBUF_F_RX_L4_CKSUM_GOOD: return Sum::good;
            case RTE_MBUF_F_RX_L4_CKSUM_BAD: return Sum::bad;
            case RTE_MBUF_F_RX_L4_CKSUM_NONE: return Sum::partial;
            default: break;
        }
        if (offload) return Sum::good;
        return l4_sum(p, frame) == 0xffff ? Sum::good : Sum::bad;
    }

    StreamStats& stats_;
    rte_ether_addr us_, peer_;
    bool ip_offload_, udp_offload_, tcp_offload_;
};

}  // namespace

const Engine csum_engine = {
    .name = "csum",
    .summary = "mode mac, with IPv4, UDP and TCP checksums made right and wrong ones counted",
    .shares = true,  // a header made private may come from another pool
    .sources = false,
    .begin = nullptr,
    .burst = forward_burst<Step>,
    .end = nullptr,
};

}  // namespace umbuf::fwd
