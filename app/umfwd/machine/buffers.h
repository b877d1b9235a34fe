// SPDX-License-Identifier: BSD-2-Clause
// buffers.h - the zones of a forwarder: made from its settings, counted, and given back.
#pragma once
#include <memory>
#include <vector>

#include "app/umfwd/report.h"
#include "app/umfwd/settings.h"
#include "app/umfwd/machine/zones_plan.h"
#include "lib/base/result.h"
#include "lib/mbuf/zone.h"

namespace umbuf::fwd {

// present_ports - the numbers of the ports that EAL has and nobody else owns (bonding, for one).
[[nodiscard]] std::vector<uint16_t> present_ports();

// node_of_port - where a port's buffers belong; a device without a node gets the main lcore's.
[[nodiscard]] int node_of_port(uint16_t port, bool numa);

class Buffers {  // Control thread.
  public:
    // create - the common zones on every node that has a port or an lcore. A process that has made
    // its zones already keeps them: then only what changes from now on is judged. Error: what was
    // wanted, what EAL has, and the option to change.
    static Result<std::unique_ptr<Buffers>> create(const Settings& settings);

    // zone_for - the packet zone for this port: on its node, with room for its MTU if there is one.
    // Made when first asked for.
    Result<Zone*> zone_for(uint16_t port);

    [[nodiscard]] std::vector<ZoneReport> report() const;
    // halt - with every port and the pages closed: the zones go, if they were made here and are balanced.
    void halt();

  private:
    explicit Buffers(const Settings& settings) : settings_(settings) {}
    [[nodiscard]] ZoneInput input(int node) const;

    const Settings settings_;         // [I]
    bool owner_ = false;              // [I] made the common zones, so gives them back
    std::vector<uint32_t> expected_;  // [I] in use when we began, in the order of zones()
};

}  // namespace umbuf::fwd
