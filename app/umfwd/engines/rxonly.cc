// SPDX-License-Identifier: BSD-2-Clause
// rxonly.cc - mode rxonly: receive, count and free. Every packet dies as rx-sink, which is its job.
#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"

namespace umbuf::fwd {
namespace {

uint32_t burst(Stream& stream) noexcept {
    rte_mbuf* packets[kMaxBurst];
    const uint16_t n = receive(stream, packets);
    sink(stream, packets, n, Drop::rx_sink);
    return n;
}

}  // namespace

const Engine rxonly_engine = {
    .name = "rxonly",
    .summary = "receive and free",
    .shares = false,
    .sources = false,
    .begin = nullptr,
    .burst = burst,
    .end = nullptr,
};

}  // namespace umbuf::fwd
