// SPDX-License-Identifier: BSD-2-Clause
// port_stats.h - a port's numbers, sampled: what the device counted, and what was lost at its door.
#pragma once
#include <span>

#include "app/umfwd/report.h"
#include "drivers/net/port.h"
#include "lib/stat/segment.h"

namespace umbuf::fwd {

struct PortStats {  // in the order of its fields
    sync::Counter up, open, mtu;
    sync::Counter rx_packets, rx_bytes, rx_missed, rx_errors, rx_nombuf;
    sync::Counter tx_packets, tx_bytes, tx_errors;
    sync::Counter tx_closed, tx_chain, tx_unmapped, flattened;
    sync::Counter pages_as_is, pages_windows, pages_copied;
    sync::Counter drained, flushed;
    sync::Counter faults[7];
};

// port_stats - for this port, whose numbers they are until they are destroyed.
[[nodiscard]] stat::Box<PortStats> port_stats(const Port& port);
// set - from what was counted, and from what the port says of itself.
void set(PortStats& stats, const PortForward& counts, const Port& port);

}  // namespace umbuf::fwd
