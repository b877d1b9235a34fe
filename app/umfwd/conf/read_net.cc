// SPDX-License-Identifier: BSD-2-Clause
// read_net.cc - [[port]], [[route]] and [[neighbour]].
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <rte_ether.h>

#include "app/umfwd/conf/read.h"
#include "app/umfwd/conf/words.h"

namespace umbuf::fwd {
namespace {

constexpr uint32_t kLeastMtu = 68, kMostMtu = 9728 - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN;

std::string port_names(const Conf& conf) {
    std::string names;
    for (const ConfPort& port : conf.ports) names += (names.empty() ? "" : ", ") + port.name;
    return names.empty() ? "a [[port]] of this name, and there is none" : "one of the ports: " + names;
}

bool read_port_name(Keys& keys, const Conf& conf, std::string& port) {
    return keys.word("port", port_names(conf), [&](const std::string& said) { return port = said, conf.port_named(said) != nullptr; });
}

bool holds(const IpPrefix& network, const IpAddress& address) {
    if (network.address.v6 != address.v6) return false;
    return prefix(network.address, network.bits).from == prefix(address, network.bits).from;
}

// port_towards - the port on whose network the address is; null: none, or more than one.
const ConfPort* port_towards(const Conf& conf, const IpAddress& address) {
    const ConfPort* found = nullptr;
    for (const ConfPort& port : conf.ports)
        for (const IpPrefix& own : port.addresses) {
            if (!holds(own, address)) continue;
            if (found != nullptr && found != &port) return nullptr;
            found = &port;
        }
    return found;
}

}  // namespace

void read_port(Keys& keys, Conf& conf) {
    ConfPort port;
    port.at = keys.place();
    if (!keys.text("name", port.name) && !keys.has("name")) keys.missing("name", "what this file calls the port, such as \"wan\"");
    if (!keys.text("device", port.device) && !keys.has("device"))
        keys.missing("device", "what is written behind --vdev or -a, such as \"net_af_packet0,iface=eth0\" or \"0000:00:04.0\"");
    keys.number("mtu", port.mtu, kLeastMtu, kMostMtu);
    keys.choice("side", port.inside, {{"outside", false}, {"inside", true}});
    keys.words("addresses", "an address with its network, such as \"192.0.2.1/24\", or a list of them", [&](const std::string& said) {
        IpPrefix address;
        if (!to_prefix(said, &address)) return false;
        port.addresses.push_back(address);
        return true;
    });
    conf.ports.push_back(std::move(port));
}

void read_route(Keys& keys, Conf& conf) {
    ConfRoute route;
    route.at = keys.place();
    const bool to = keys.word("to", "a network, such as \"10.2.0.0/16\"; \"0.0.0.0/0\" or \"::/0\" is the default route", [&](const std::string& said) {
        return to_prefix(said, &route.to) && is_network(route.to);
    });
    if (!to && !keys.has("to")) keys.missing("to", "a network, such as \"10.2.0.0/16\"");
    IpAddress via;
    const bool family = keys.word("via", "an address of the network's family, such as \"192.0.2.254\"", [&](const std::string& said) {
        return to_address(said, &via) && (!to || via.v6 == route.to.address.v6);
    });
    if (family) route.via = via;
    if (!read_port_name(keys, conf, route.port) && !keys.has("port")) {
        const ConfPort* towards = family ? port_towards(conf, via) : nullptr;
        if (towards != nullptr) route.port = towards->name;
        else if (family || !keys.has("via")) keys.missing("port", "the name of a port, unless via is in the network of just one");
    }
    if (to) conf.routes.push_back(std::move(route));
}

void read_neighbour(Keys& keys, Conf& conf) {
    ConfNeighbour neighbour;
    neighbour.at = keys.place();
    const auto address = [&](const std::string& said) { return to_address(said, &neighbour.address); };
    const bool known = keys.word("address", "an IP address", address);
    if (!keys.has("address")) keys.missing("address", "an IP address");
    const auto mac = [&](const std::string& said) { return to_mac(said, &neighbour.mac) && rte_is_unicast_ether_addr(&neighbour.mac); };
    if (!keys.word("mac", "the address of one station, such as \"02:00:00:00:00:01\"", mac) && !keys.has("mac"))
        keys.missing("mac", "an Ethernet address");
    if (!read_port_name(keys, conf, neighbour.port) && !keys.has("port")) {
        const ConfPort* towards = known ? port_towards(conf, neighbour.address) : nullptr;
        if (towards != nullptr) neighbour.port = towards->name;
        else if (known) keys.missing("port", "the name of a port, unless the address is in the network of just one");
    }
    conf.neighbours.push_back(std::move(neighbour));
}

void check_ports(const Conf& conf, Problems& problems) {
    for (size_t i = 0; i < conf.ports.size(); ++i)
        for (size_t j = 0; j < i; ++j) {
            const ConfPort &port = conf.ports[i], &before = conf.ports[j];
            if (!port.name.empty() && port.name == before.name)
                problems.add(port.at, fmt::format("port.name = \"{}\": expected another name: the port of line {} has it", port.name, before.at.line));
            if (!port.device.empty() && port.device_name() == before.device_name())
                problems.add(port.at, fmt::format("port.device = \"{}\": expected another device: the port of line {} has it", port.device_name(), before.at.line));
            for (const IpPrefix& own : port.addresses)
                if (std::ranges::any_of(before.addresses, [&](const IpPrefix& p) { return p.address == own.address; }))
                    problems.add(port.at, fmt::format("port.addresses: {}: expected another address: the port of line {} has it",
                                                      address_text(own.address), before.at.line));
        }
    for (size_t i = 0; i < conf.routes.size(); ++i)
        for (size_t j = 0; j < i; ++j)
            if (conf.routes[i].to == conf.routes[j].to)
                problems.add(conf.routes[i].at, fmt::format("route.to = \"{}/{}\": expected one route to a network: line {} has another",
                                                            address_text(conf.routes[i].to.address), conf.routes[i].to.bits, conf.routes[j].at.line));
}

}  // namespace umbuf::fwd
