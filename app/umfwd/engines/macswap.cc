// SPDX-License-Identifier: BSD-2-Clause
// macswap.cc - mode macswap: send each frame back to who sent it, by swapping its addresses.
#include <utility>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"
#include "app/umfwd/packet/frame.h"

namespace umbuf::fwd {
namespace {

struct Step {
    explicit Step(const Stream&) noexcept {}
    Fate operator()(rte_mbuf*& p) const noexcept {
        if (const Fate fate = own_header(p, RTE_ETHER_HDR_LEN); fate != Fate::send) return fate;
        auto* ether = at<rte_ether_hdr>(p, 0);
        std::swap(ether->dst_addr, ether->src_addr);
        return Fate::send;
    }
};

}  // namespace

const Engine macswap_engine = {
    .name = "macswap",
    .summary = "swap the Ethernet addresses",
    .shares = true,  // a header made private may come from another pool
    .sources = false,
    .begin = nullptr,
    .burst = forward_burst<Step>,
    .end = nullptr,
};

}  // namespace umbuf::fwd
