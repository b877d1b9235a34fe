// SPDX-License-Identifier: BSD-2-Clause
// icmpecho.cc - mode icmpecho: answer ARP requests and pings (IPv4), for whatever address is asked.
//
// Point `ping` at any address behind the port and it answers; VLAN tags stay as they are. The
// answer is the request, turned round in its own buffer. All else is dropped as not-handled.
//
// Not answered, because an answer would harm:
//      ARP for the sender's own address, or from 0.0.0.0: that is a host that asks whether its
//      address is free (RFC 5227), and we would take it away;
//      pings to a multicast or broadcast address: the reply's source would not be a host's (RFC
//      1122).
// A request with a wrong ICMP checksum gets an equally wrong reply, which its sender will discard.
#include <utility>

#include <rte_byteorder.h>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"
#include "app/umfwd/packet/frame.h"

namespace umbuf::fwd {
namespace {

class Step {
  public:
    explicit Step(const Stream& stream) noexcept : us_(stream.tx_port->mac()) {}
    Fate operator()(rte_mbuf*& p) const noexcept {
        const Frame frame = parse(p);
        if (frame.error != nullptr) return dead(Drop::malformed);
        if (frame.l3 == L3::arp) return answer_arp(p, frame);
        if (frame.l4 == L4::icmp && !frame.fragment) return answer_echo(p, frame);
        return dead(Drop::not_handled);
    }

  private:
    Fate answer_arp(rte_mbuf*& p, const Frame& frame) const noexcept {
        const uint32_t n = frame.l2_len + uint32_t{sizeof(rte_arp_hdr)};
        if (const Fate fate = own_header(p, n); fate != Fate::send) return fate;
        auto* arp = at<rte_arp_hdr>(p, frame.l2_len);
        rte_arp_ipv4& who = arp->arp_data;
        const bool ours = arp->arp_hardware == rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) &&
                          arp->arp_protocol == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) &&
                          arp->arp_hlen == RTE_ETHER_ADDR_LEN && arp->arp_plen == 4 &&
                          arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST);
        if (!ours || who.arp_sip == 0 || who.arp_sip == who.arp_tip) return dead(Drop::not_handled);
        arp->arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
        who.arp_tha = who.arp_sha;
        who.arp_sha = us_;
        const rte_be32_t asked = who.arp_tip;
        who.arp_tip = who.arp_sip;
        who.arp_sip = asked;
        turn_round(p);
        return Fate::send;
    }

    Fate answer_echo(rte_mbuf*& p, const Frame& frame) const noexcept {
        const uint32_t n = frame.l4_off() + uint32_t{sizeof(rte_icmp_hdr)};
        if (const Fate fate = own_header(p, n); fate != Fate::send) return fate;
        auto* ip = at<rte_ipv4_hdr>(p, frame.l2_len);
        auto* icmp = at<rte_icmp_hdr>(p, frame.l4_off());
        if (icmp->icmp_type != kIcmpEchoRequest || icmp->icmp_code != 0)
            return dead(Drop::not_handled);
        if (rte_be_to_cpu_32(ip->dst_addr) >= RTE_IPV4(224, 0, 0, 0))
            return dead(Drop::not_handled);
        const rte_be32_t asked = ip->dst_addr;
        ip->dst_addr = ip->src_addr;
        ip->src_addr = asked;
        icmp->icmp_type = kIcmpEchoReply;
        icmp->icmp_cksum = sum_adjust(icmp->icmp_cksum, rte_cpu_to_be_16(kIcmpEchoRequest << 8),
                                      rte_cpu_to_be_16(kIcmpEchoReply << 8));
        turn_round(p);
        return Fate::send;
    }

    // The request may have been sent to everybody; the answer is from us.
    void turn_round(rte_mbuf* p) const noexcept {
        auto* ether = at<rte_ether_hdr>(p, 0);
        ether->dst_addr = ether->src_addr;
        ether->src_addr = us_;
    }

    rte_ether_addr us_;
};

}  // namespace

const Engine icmpecho_engine = {
    .name = "icmpecho",
    .summary = "answer ARP requests and pings",
    .shares = true,  // a header made private may come from another pool
    .sources = false,
    .begin = nullptr,
    .burst = forward_burst<Step>,
    .end = nullptr,
};

}  // namespace umbuf::fwd
