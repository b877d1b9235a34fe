// SPDX-License-Identifier: BSD-2-Clause
// txonly.cc - mode txonly: send the same UDP packet as fast as the port takes it; receive nothing.
//
// --txpkts gives the lengths of its segments (several: a chain of mbufs), --tx-ip and --tx-udp its
// addresses, --tx-count how many each stream makes.
#include <algorithm>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"
#include "app/umfwd/engines/template.h"
#include "app/umfwd/settings.h"

namespace umbuf::fwd {
namespace {

struct State : EngineState {
    Template packet;
    uint64_t left = 0;  // packets still to make
};

Status begin(Stream& stream) {
    Result<Template> packet = Template::make(stream, stream.settings->txpkts);
    if (!packet) return packet.error();
    auto state = std::make_unique<State>();
    state->packet = std::move(packet).value();
    state->left = stream.settings->tx_count == 0 ? UINT64_MAX : stream.settings->tx_count;
    stream.state = std::move(state);
    return {};
}

uint32_t burst(Stream& stream) noexcept {
    auto& state = static_cast<State&>(*stream.state);
    rte_mbuf* packets[kMaxBurst];
    const auto want = static_cast<uint16_t>(std::min<uint64_t>(stream.burst, state.left));
    const uint16_t n = want == 0 ? want : state.packet.stamp(packets, want);
    state.left -= n;
    stream.stats.made.add(n);
    transmit(stream, *stream.tx_port, packets, n);
    return n;
}

}  // namespace

const Engine txonly_engine = {
    .name = "txonly",
    .summary = "send UDP packets (--txpkts, --tx-ip, --tx-udp, --tx-count)",
    .shares = false,
    .sources = true,
    .begin = begin,
    .burst = burst,
    .end = nullptr,
};

}  // namespace umbuf::fwd
