// SPDX-License-Identifier: BSD-2-Clause
// port_stats.cc - the names of a port's numbers, and where each comes from.
#include "app/umfwd/machine/port_stats.h"

#include <iterator>

#include <fmt/format.h>

namespace umbuf::fwd {

namespace {

using stat::Kind;

constexpr char kDropped[] = "freed at the door", kPages[] = "that showed unmapped pages, by how they left",
               kFaults[] = "injected on purpose";
constexpr stat::Field kFields[] = {
    {"port_up", "ports", Kind::gauge, 1, "1: the link is up"},
    {"port_open", "ports", Kind::gauge, 1, "1: it forwards"},
    {"port_mtu", "bytes", Kind::gauge, 1, "the longest packet without its Ethernet header"},
    {"port_rx_packets", "packets", Kind::counter, 1, "received by the device"},
    {"port_rx_bytes", "bytes", Kind::counter, 1, "received by the device"},
    {"port_rx_missed", "packets", Kind::counter, 1, "the device had no descriptor for them"},
    {"port_rx_errors", "packets", Kind::counter, 1, "received with an error"},
    {"port_rx_nombuf", "packets", Kind::counter, 1, "the driver found no mbuf for them"},
    {"port_tx_packets", "packets", Kind::counter, 1, "sent by the device"},
    {"port_tx_bytes", "bytes", Kind::counter, 1, "sent by the device"},
    {"port_tx_errors", "packets", Kind::counter, 1, "that the device failed to send"},
    {"port_tx_dropped", "packets", Kind::counter, 1, kDropped, "reason=closed"},
    {"port_tx_dropped", "packets", Kind::counter, 1, kDropped, "reason=chain"},
    {"port_tx_dropped", "packets", Kind::counter, 1, kDropped, "reason=unmapped"},
    {"port_tx_flattened", "packets", Kind::counter, 1, "chains that were copied flat for the device"},
    {"port_pages", "packets", Kind::counter, 1, kPages, "how=as-is"},
    {"port_pages", "packets", Kind::counter, 1, kPages, "how=windows"},
    {"port_pages", "packets", Kind::counter, 1, kPages, "how=copied"},
    {"port_drained", "packets", Kind::counter, 1, "that waited in receive queues when it was stopped"},
    {"port_flushed", "packets", Kind::counter, 1, "that had arrived while it was stopped"},
    {"port_faults", "faults", Kind::counter, 1, kFaults, "fault=drop"},
    {"port_faults", "faults", Kind::counter, 1, kFaults, "fault=duplicate"},
    {"port_faults", "faults", Kind::counter, 1, kFaults, "fault=reorder"},
    {"port_faults", "faults", Kind::counter, 1, kFaults, "fault=corrupt"},
    {"port_faults", "faults", Kind::counter, 1, kFaults, "fault=short_tx"},
    {"port_faults", "faults", Kind::counter, 1, kFaults, "fault=no_mbuf"},
    {"port_faults", "faults", Kind::counter, 1, kFaults, "fault=flap"},
};

// A label's value has no comma and no equals sign (docs/statistics.md).
std::string label(std::string text) {
    for (char& c : text)
        if (c == ',' || c == '=') c = '_';
    return text;
}

}  // namespace

stat::Box<PortStats> port_stats(const Port& port) {
    return {kFields, fmt::format("port={},device={},driver={}", port.id(), label(port.name()), label(port.driver()))};
}

void set(PortStats& s, const PortForward& counts, const Port& port) {
    uint16_t mtu = 0;
    s.up.set(port.link_up() ? 1 : 0);
    s.open.set(port.phase() == PortPhase::rx_open ? 1 : 0);
    if (port.phase() != PortPhase::closed && rte_eth_dev_get_mtu(port.id(), &mtu) == 0) s.mtu.set(mtu);
    s.rx_packets.set(counts.nic.rx_packets);
    s.rx_bytes.set(counts.nic.rx_bytes);
    s.rx_missed.set(counts.nic.rx_missed);
    s.rx_errors.set(counts.nic.rx_errors);
    s.rx_nombuf.set(counts.nic.rx_nombuf);
    s.tx_packets.set(counts.nic.tx_packets);
    s.tx_bytes.set(counts.nic.tx_bytes);
    s.tx_errors.set(counts.nic.tx_errors);
    s.tx_closed.set(counts.tx_closed);
    s.tx_chain.set(counts.tx_chain);
    s.tx_unmapped.set(counts.tx_unmapped);
    s.flattened.set(port.flattened());
    s.pages_as_is.set(counts.pages_as_is);
    s.pages_windows.set(counts.pages_windows);
    s.pages_copied.set(counts.pages_copied);
    s.drained.set(port.drained());
    s.flushed.set(counts.flushed);
    const FaultCounts& f = counts.faults;
    const uint64_t faults[] = {f.drop, f.duplicate, f.reorder, f.corrupt, f.short_tx, f.no_mbuf, f.flap};
    static_assert(std::size(faults) == std::size(decltype(s.faults){}));
    for (size_t i = 0; i < std::size(faults); ++i) s.faults[i].set(faults[i]);
}

}  // namespace umbuf::fwd
