// SPDX-License-Identifier: BSD-2-Clause
// static_routes.h - the addresses, routes and neighbours of a configuration, where there is no kernel to keep them.
//
// What the kernel would make of them (tell_kernel.h, mirror.h) is put into the table itself. Neighbours are only
// those of the file: nobody asks for others.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "app/umfwd/conf/conf.h"
#include "lib/base/result.h"
#include "lib/route/route_table.h"

namespace umbuf::fwd {

// StaticPort - what a port of the file is here.
struct StaticPort {
    uint16_t id = 0;
    uint16_t mtu = 0;  // bytes of an IP packet
};

// set_static_routes - of the ports in `ports`, by ConfPort::name; the table is then committed. Error: FILE:LINE: what
// there was no room for; what came before it stays. Control thread, which is the table's.
[[nodiscard]] Status set_static_routes(const Conf& conf, const std::map<std::string, StaticPort>& ports, RouteTable& table);

}  // namespace umbuf::fwd
