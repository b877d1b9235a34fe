// SPDX-License-Identifier: BSD-2-Clause
// io.cc - mode io: what comes in goes out, untouched. The fastest mode, and the default.
//
// No packet is looked at, not even its length: what is measured is the two ports.
#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"

namespace umbuf::fwd {
namespace {

uint32_t burst(Stream& stream) noexcept {
    rte_mbuf* packets[kMaxBurst];
    const uint16_t n = receive(stream, packets);
    transmit(stream, *stream.tx_port, packets, n);
    return n;
}

}  // namespace

const Engine io_engine = {
    .name = "io",
    .summary = "forward unchanged",
    .shares = false,
    .sources = false,
    .begin = nullptr,
    .burst = burst,
    .end = nullptr,
};

}  // namespace umbuf::fwd
