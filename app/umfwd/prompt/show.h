// SPDX-License-Identifier: BSD-2-Clause
// show.h - what the `show` commands print, as text, in testpmd's words and columns.
//
// Numbers that the JSON report has, too, come from the same Report; the rest is asked of the device
// at this moment. Control thread.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "app/umfwd/machine/forwarder.h"
#include "app/umfwd/prompt/prompt.h"
#include "app/umfwd/report.h"
#include "lib/base/result.h"

namespace umbuf::fwd::show {

[[nodiscard]] std::string port_info(const Port& port);
[[nodiscard]] std::string port_summary(const std::vector<Port*>& ports);
// port_stats - with the rates since `shown`, which becomes now.
[[nodiscard]] std::string port_stats(uint16_t port, const PortNic& nic, ShownStats& shown,
                                     uint64_t tsc, uint64_t tsc_hz);
[[nodiscard]] Result<std::string> port_xstats(uint16_t port);
[[nodiscard]] Result<std::string> rx_queue(const Port& port, uint16_t queue);
[[nodiscard]] Result<std::string> tx_queue(const Port& port, uint16_t queue);
[[nodiscard]] std::string config_rxtx(const Settings& settings, const std::vector<Port*>& ports);
[[nodiscard]] Result<std::string> config_cores(const Settings& settings);
// config_pages - the arena of unmapped pages: how it was asked for, and what it has.
[[nodiscard]] std::string config_pages(const Settings& settings);
[[nodiscard]] std::string device_info(const Port& port);
// mbufs - the zones' levels and the traps' counters.
[[nodiscard]] std::string mbufs(const std::vector<ZoneReport>& zones);

}  // namespace umbuf::fwd::show
