// SPDX-License-Identifier: BSD-2-Clause
// mac.cc - mode mac: forward to the next hop. Destination becomes the peer (--eth-peer), source the
// transmit port's own address.
#include <cstring>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"

namespace umbuf::fwd {
namespace {

class Step {
  public:
    explicit Step(const Stream& stream) noexcept {
        std::memcpy(addresses_, &stream.peer, RTE_ETHER_ADDR_LEN);
        std::memcpy(addresses_ + RTE_ETHER_ADDR_LEN, &stream.tx_port->mac(), RTE_ETHER_ADDR_LEN);
    }
    Fate operator()(rte_mbuf*& p) const noexcept {
        if (const Fate fate = own_header(p, RTE_ETHER_HDR_LEN); fate != Fate::send) return fate;
        std::memcpy(rte_pktmbuf_mtod(p, void*), addresses_, sizeof(addresses_));
        return Fate::send;
    }

  private:
    std::byte addresses_[2 * RTE_ETHER_ADDR_LEN];  // as in the frame: destination, source
};

}  // namespace

const Engine mac_engine = {
    .name = "mac",
    .summary = "set the Ethernet addresses: to the peer, from the transmit port",
    .shares = true,  // a header made private may come from another pool
    .sources = false,
    .begin = nullptr,
    .burst = forward_burst<Step>,
    .end = nullptr,
};

}  // namespace umbuf::fwd
