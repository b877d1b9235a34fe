// SPDX-License-Identifier: BSD-2-Clause
// forwarder.h - the whole machine: zones, ports, streams and lcores, started and halted in order.
//
// The one object that the prompt, the batch files and main() command. All its functions are for the
// control thread; the lcores only read what start() gave them.
//
// Start: zones -> pages -> ports configured -> ports started -> streams -> lcores -> transmit open -> receive
// open. Halt is the exact reverse (docs/design.md, lifetimes). A port may be stopped, detached or
// lose its peer while the lcores run: its paths close, the lcores pass a quiescent state
// (rte_rcu_qsbr), then the device stops. The streams that send to it meet the stub, which counts.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "app/umfwd/report.h"
#include "app/umfwd/machine/ledger.h"
#include "app/umfwd/settings.h"
#include "drivers/net/port.h"
#include "lib/base/result.h"

namespace umbuf::fwd {

class Forwarder {
  public:
    // create - zones made, every wanted port configured and started. After rte_eal_init.
    static Result<std::unique_ptr<Forwarder>> create(const Settings& settings);
    ~Forwarder();

    // ---- forwarding
    [[nodiscard]] Status start(uint32_t tx_first = 0);  // EALREADY when it runs
    [[nodiscard]] Status stop();                        // EALREADY when it does not
    [[nodiscard]] bool running() const noexcept;

    // ---- ports, also while forwarding
    [[nodiscard]] Status port_start(uint16_t port);
    [[nodiscard]] Status port_stop(uint16_t port);
    [[nodiscard]] Status port_close(uint16_t port);
    // port_attach - devargs as after --vdev or -a. Returns the new port's number. Configured, not started.
    Result<uint16_t> port_attach(const std::string& devargs);
    [[nodiscard]] Status port_detach(uint16_t port);
    // port_clear - the device's own counters to 0; the forwarding statistics keep what they said.
    [[nodiscard]] Status port_clear(uint16_t port, bool extended);
    [[nodiscard]] std::vector<Port*> ports() const;     // by number; detached ones are gone
    [[nodiscard]] Port* find_port(uint16_t port) const; // null: no such port

    // ---- settings that the prompt changes; refused with EBUSY while forwarding
    [[nodiscard]] const Settings& settings() const noexcept;
    [[nodiscard]] Status change(const std::function<void(Settings&)>& edit);
    // use_ext_pgs - may new mbufs be unmapped? Also while forwarding (FreeBSD: kern.ipc.mb_use_ext_pgs).
    void use_ext_pgs(bool on);

    // ---- what happened
    [[nodiscard]] Report report() const;                // consistent when stopped, a sample when not
    [[nodiscard]] std::string config_text() const;      // show config fwd: streams by lcore, as testpmd
    void clear_stats();
    [[nodiscard]] Router* router() const noexcept;      // null: no mode that routes was started yet
    [[nodiscard]] Gateway* gateway() const noexcept;    // null: no mode with policies was started yet
    // owners - who holds what of each zone, now.
    [[nodiscard]] std::vector<Ledger::Line> owners();
    // poll - control-thread housekeeping: link and removal events to print, headers to reclaim, and ten times a
    // second what nobody counts, sampled to where others read it.
    void poll();
    void sample();  // at once

    // halt - stop, stop ports, close them, free the zones. The final report; pools_balanced is in it. The
    // segment of statistics gets its last numbers, and is closed.
    Report halt();

  private:
    struct State;
    explicit Forwarder(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace umbuf::fwd
