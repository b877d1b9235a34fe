// SPDX-License-Identifier: BSD-2-Clause
// 5tswap.cc - mode 5tswap: turn a packet round completely, so that it looks like the answer:
// Ethernet addresses, IP addresses and UDP or TCP ports are swapped.
//
// Swapping moves no bit in or out of any checksum's sum, so all checksums stay right. What is not
// understood (not IP, cut short, a later fragment) is swapped as far as it is, and forwarded.
#include <algorithm>
#include <utility>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"
#include "app/umfwd/packet/frame.h"

namespace umbuf::fwd {
namespace {

void swap_bytes(void* a, void* b, size_t n) noexcept {
    auto* bytes = static_cast<std::byte*>(a);
    std::swap_ranges(bytes, bytes + n, static_cast<std::byte*>(b));
}

// to_own - how much of the packet will be written.
uint32_t to_own(const Frame& frame) noexcept {
    if (frame.l4 == L4::udp || frame.l4 == L4::tcp) return frame.l4_off() + 4u;  // the ports
    if (frame.l3 == L3::ipv4) return frame.l2_len + uint32_t{sizeof(rte_ipv4_hdr)};
    if (frame.l3 == L3::ipv6) return frame.l2_len + uint32_t{sizeof(rte_ipv6_hdr)};
    return RTE_ETHER_HDR_LEN;
}

struct Step {
    explicit Step(const Stream&) noexcept {}
    Fate operator()(rte_mbuf*& p) const noexcept {
        const Frame frame = parse(p);
        if (const Fate fate = own_header(p, to_own(frame)); fate != Fate::send) return fate;
        auto* ether = at<rte_ether_hdr>(p, 0);
        std::swap(ether->dst_addr, ether->src_addr);
        if (frame.l3 == L3::ipv4) {
            auto* ip = at<rte_ipv4_hdr>(p, frame.l2_len);
            swap_bytes(&ip->src_addr, &ip->dst_addr, sizeof(ip->src_addr));
        } else if (frame.l3 == L3::ipv6) {
            auto* ip = at<rte_ipv6_hdr>(p, frame.l2_len);
            swap_bytes(&ip->src_addr, &ip->dst_addr, sizeof(ip->src_addr));
        }
        if (frame.l4 == L4::udp || frame.l4 == L4::tcp) {  // both begin with source, destination
            auto* ports = at<std::byte>(p, frame.l4_off());
            swap_bytes(ports, ports + 2, 2);
        }
        return Fate::send;
    }
};

}  // namespace

const Engine fivetswap_engine = {
    .name = "5tswap",
    .summary = "swap Ethernet and IP addresses and UDP or TCP ports",
    .shares = true,  // a header made private may come from another pool
    .sources = false,
    .begin = nullptr,
    .burst = forward_burst<Step>,
    .end = nullptr,
};

}  // namespace umbuf::fwd
