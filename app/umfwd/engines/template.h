// SPDX-License-Identifier: BSD-2-Clause
// template.h - a UDP packet that is made once, on the control thread, and stamped into fresh mbufs
// again and again: what the generator modes send.
//
// Ethernet from the transmit port to the peer, IPv4 and UDP as --tx-ip and --tx-udp say, payload of
// zeroes, all checksums right. The mbufs are from the transmit port's packet zone: what is sent is
// then like what is received, in its own buffer, and nothing is shared.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "app/umfwd/packet/stream.h"
#include "lib/base/result.h"

namespace umbuf::fwd {

struct Template {
    std::vector<uint16_t> segments;  // data bytes of each mbuf of a packet
    std::vector<std::byte> bytes;    // the whole frame
    Zone* zone = nullptr;            // where its mbufs come from

    // make - for a stream. Error: which segment does not fit what, and the remedy.
    [[nodiscard]] static Result<Template> make(const Stream& stream,
                                               const std::vector<uint16_t>& segments);
    // stamp - n packets, all or none: returns n or 0 (the zone is empty, counted as denied). The
    // stream's lcore. n <= kMaxBurst.
    [[nodiscard]] uint16_t stamp(rte_mbuf** burst, uint16_t n) const noexcept;
};

// Ethernet, IPv4 and UDP headers: all in the first segment.
inline constexpr uint16_t kUdpFrameHeader = 14 + 20 + 8;

}  // namespace umbuf::fwd
