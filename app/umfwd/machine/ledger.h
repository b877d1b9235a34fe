// SPDX-License-Identifier: BSD-2-Clause
// ledger.h - who holds the elements of each zone now, as far as somebody can be named.
//
// A sample, taken while packets move: who moves one from one owner to another asks nobody. It always adds
// up, because what no owner has told of is `elsewhere`: packets in an lcore's hands, while there is traffic;
// nothing, when all is quiet; a leak, when all is closed.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "app/umfwd/packet/stream.h"
#include "drivers/net/port.h"
#include "lib/mbuf/zone.h"
#include "lib/stat/segment.h"

namespace umbuf::fwd {

// StreamHolds - what a stream's engine keeps between bursts, besides what it says itself (EngineHolds).
struct StreamHolds {
    uint64_t mbufs, packets;
    const Zone* packets_of;
};

class Ledger {  // Control thread.
  public:
    struct Line {
        std::string zone, owner;  // "port_tx 1": with its port
        uint64_t elements;
    };
    // take - a new sample of all zones. `file_pages`: in the cache of files, each with its holder.
    void take(const std::vector<Port*>& ports, const std::vector<StreamHolds>& streams, const EngineHolds& engines,
              uint32_t file_pages);
    // lines - of the last sample: all of a zone together, those that hold nothing left out.
    [[nodiscard]] const std::vector<Line>& lines() const noexcept { return lines_; }

  private:
    struct Owners {  // of a zone's elements
        sync::Counter pool, lcore_caches, crypto, reassembly, file_cache, streams, set_aside, elsewhere;
    };
    struct PortOwners {
        sync::Counter rx, tx;
    };
    using Key = std::pair<const Zone*, uint16_t>;  // and a port
    class Share;
    void forget_the_gone(const std::vector<Port*>& ports);
    static const stat::Field kOwners[8], kPortOwners[2];

    std::map<const Zone*, stat::Box<Owners>> owners_;
    std::map<Key, stat::Box<PortOwners>> ports_;
    std::vector<Line> lines_;
};

[[nodiscard]] std::string to_text(const std::vector<Ledger::Line>& lines);

}  // namespace umbuf::fwd
