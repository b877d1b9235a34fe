// SPDX-License-Identifier: BSD-2-Clause
// router.h - what all routing lanes share: the table, the door to the kernel, and who keeps both.
//
// It lives from the first start of a mode that routes until the halt, so that addresses and routes of the TAPs
// outlive a stop. Thread: control, where nothing else is said.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/umfwd/route/door.h"
#include "app/umfwd/route/kernel_side.h"
#include "app/umfwd/settings.h"
#include "drivers/net/port.h"
#include "lib/base/result.h"
#include "lib/route/route_table.h"

namespace umbuf::fwd {

class Router {
  public:
    // make - `readers` is what the lanes report to, and lives longer. With settings.tap empty there is no kernel side:
    // the table has what the configuration says of the ports, and else is the caller's to fill. Error: memory, rights, the namespace.
    static Result<std::unique_ptr<Router>> make(const Settings& settings, rte_rcu_qsbr* readers);
    ~Router();  // no lane runs
    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;

    [[nodiscard]] RouteTable& table() noexcept { return *table_; }  // lanes: its readers' part
    [[nodiscard]] KernelDoor& door() noexcept { return *door_; }    // lanes, too

    // use_ports - each has a TAP from now on, and no other has; a new one gets what the configuration has for it. No
    // lane runs.
    [[nodiscard]] Status use_ports(const std::vector<Port*>& ports);
    // watch_links - the TAPs' carriers follow the ports' links; one that is not in the list is down.
    void watch_links(const std::vector<Port*>& ports);
    // notes - for the person who starts it: what the kernel will not do as it is set.
    [[nodiscard]] std::vector<std::string> notes();

    // ---- show route, show neigh, show kernel
    [[nodiscard]] std::string routes_text();
    [[nodiscard]] std::string neighbours_text();
    [[nodiscard]] std::string kernel_text();

  private:
    struct Twin {
        std::string device;  // the port's name: a number may come back as another device
        bool up = true;
    };
    explicit Router(const Settings& settings) : tap_(settings.tap), conf_(settings.conf) {}
    [[nodiscard]] Status configure(const std::map<std::string, uint16_t>& fresh);
    [[nodiscard]] Status configure_table(const std::map<std::string, uint16_t>& fresh);
    void with_table(const std::function<void()>& look);
    [[nodiscard]] std::string name_of(uint16_t port) const;

    const std::string tap_;               // [I]
    const std::shared_ptr<const Conf> conf_;  // [I] null: none
    std::unique_ptr<RouteTable> table_;   // [I]
    std::unique_ptr<KernelDoor> door_;    // [I]
    std::unique_ptr<KernelSide> kernel_;  // [I] null: none
    std::map<uint16_t, Twin> twins_;      // [c]
};

}  // namespace umbuf::fwd
