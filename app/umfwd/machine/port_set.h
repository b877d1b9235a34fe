// SPDX-License-Identifier: BSD-2-Clause
// port_set.h - the ports of a forwarder: who is there, what was counted, what happened to them.
//
// A port that is detached while streams still send to it leaves the set, but its Port object stays,
// closed, in the graveyard: its stub keeps counting and freeing until the streams are gone (bury).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/umfwd/machine/buffers.h"
#include "app/umfwd/machine/port_stats.h"
#include "app/umfwd/report.h"
#include "app/umfwd/settings.h"
#include "drivers/net/fault.h"
#include "drivers/net/port.h"

namespace umbuf::fwd {

struct SumWish {
    uint64_t rx = 0, tx = 0;  // RTE_ETH_{RX,TX}_OFFLOAD_*
    bool software = false;    // the device offers sums that are better made here
};
// sums_for - the checksum offloads to ask a device for: all that it has, where mode csum runs or may
// come to run, unless they are none in truth (Quirks::soft_sums).
[[nodiscard]] SumWish sums_for(const Settings& settings, const rte_eth_dev_info& info);

class PortSet {  // Control thread. `quiesce` as in port.h.
  public:
    PortSet(const Settings& settings, Buffers& buffers);
    ~PortSet();
    PortSet(const PortSet&) = delete;
    PortSet& operator=(const PortSet&) = delete;

    // add - configure the device with this number, and wrap it when faults are asked for.
    Result<Port*> add(uint16_t id);
    // attach - have EAL probe a device; its ports are added. Error: what EAL said. The first port.
    Result<Port*> attach(const std::string& devargs);
    [[nodiscard]] std::vector<Port*> list() const;  // by number
    [[nodiscard]] Port* find(uint16_t id) const;

    void say_notes(uint16_t id);  // the port's notes that have not been printed
    // remove - from whatever phase to closed; `detach`: unplug the device, and with it its other
    // ports. The objects go to the graveyard, also when the device refused, but not when it was busy
    // (EBUSY).
    [[nodiscard]] Status remove(uint16_t id, bool detach, const Port::Quiesce& quiesce);
    void bury();  // no stream knows the dead any more
    // flush - free what the port received while nobody read, if it is not an endless source.
    void flush(Port& port);
    // clear - the device's own counters to 0 (`extended`: those that only the driver knows). What
    // they said stays in counts(): forwarding statistics are not cleared by it.
    [[nodiscard]] Status clear(uint16_t id, bool extended);
    // halt - all to configured, then all to closed; then `look`, before they are forgotten. What failed, in
    // sentences.
    std::vector<std::string> halt(const std::function<void()>& look = {});

    // poll_events - what drivers reported since the last call; `removed` gets ports that are gone.
    void poll_events(const std::function<void(Port&)>& removed);
    // watch_links - a virtio-user port that keeps the socket takes its new peer on EAL's interrupt
    // thread (drivers/net/interrupt_thread.h), and with packed rings makes its queues anew there; who is
    // inside its paths has a millisecond to leave. So that nobody is, the paths are closed while the link
    // is down. To be called now and then: a peer that comes sooner is left to that millisecond.
    // `forwards`: are the paths of this port to be open? Commands may have changed that meanwhile.
    void watch_links(const std::function<bool(const Port*)>& forwards, const Port::Quiesce& quiesce);
    // sample - what the ports have counted, to where others read it.
    void sample();
    // counts - of all ports, the dead included, as raw numbers for report.h's since().
    [[nodiscard]] std::vector<PortForward> counts();

  private:
    struct Slot {
        std::unique_ptr<Port> port;
        std::unique_ptr<FaultPort> faults;  // after `port`: it goes first
        uint32_t generation = 0;
        size_t said = 0;  // notes that were printed
        bool shut = false;  // by watch_links()
        uint64_t flushed = 0;
        PortNic nic;      // as last asked
        PortNic cleared;  // what it had counted when it was cleared
        stat::Box<PortStats> stats;  // until it is closed
    };
    [[nodiscard]] Slot* slot(uint16_t id);
    [[nodiscard]] Result<PortConfig> config_for(uint16_t id);
    static bool ask_device(Slot& slot);
    static PortForward counts_of(Slot& slot);

    const Settings& settings_;
    Buffers& buffers_;
    std::vector<Slot> slots_, graveyard_;
    uint32_t generations_ = 0;
};

}  // namespace umbuf::fwd
