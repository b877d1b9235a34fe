// SPDX-License-Identifier: BSD-2-Clause
// engine.h - a forwarding mode: what happens to the packets of a stream.
//
// A mode is one file in engines/ that ends in one `const Engine`. Most modes only decide what to do
// with one packet; they write a `step` and leave bursts, statistics and the three doors (sent, kept,
// dead) to forward_burst() in burst.h. Copy engines/macswap.cc to start a new one, and add its name
// to the table in engines.cc.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "app/umfwd/packet/stream.h"
#include "lib/base/result.h"

namespace umbuf::fwd {

struct Engine {
    const char* name;     // --forward-mode, set fwd
    const char* summary;  // one line for help
    // shares - may send shared or external mbufs: every port keeps FAST_FREE off.
    bool shares;
    // sources - makes packets without being sent any: tx_first makes no sense.
    bool sources;
    // routes - sends by any port, and has the forwarder's Router: its table, its door to the kernel.
    bool routes = false;
    // ipsec - has the forwarder's Gateway: its policies, SAs and lanes. Such a mode routes, too.
    bool ipsec = false;
    // begin - control thread, before the lcores run. Null: nothing to prepare.
    Status (*begin)(Stream& stream);
    // burst - the stream's lcore, over and over. Returns packets handled: 0 means "was idle".
    uint32_t (*burst)(Stream& stream) noexcept;
    // end - control thread, after the lcores are quiet; frees what the engine still holds and counts
    // it as Drop::drained. Null: holds nothing.
    void (*end)(Stream& stream);
    // poll - control thread, several times a second while the lcores run: what has to be said now. Null:
    // nothing ever has.
    void (*poll)(Stream& stream) = nullptr;
};

[[nodiscard]] std::span<const Engine* const> engines() noexcept;
[[nodiscard]] const Engine* find_engine(std::string_view name) noexcept;  // null: no such mode

}  // namespace umbuf::fwd
