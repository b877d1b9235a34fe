// SPDX-License-Identifier: BSD-2-Clause
// router.cc - the router's parts, made and shown.
#include "app/umfwd/route/router.h"

#include <arpa/inet.h>

#include <algorithm>

#include <fmt/format.h>
#include <rte_lcore.h>

#include "app/umfwd/conf/conf.h"
#include "app/umfwd/packet/mac_text.h"
#include "app/umfwd/route/static_routes.h"
#include "app/umfwd/route/tell_kernel.h"

namespace umbuf::fwd {

namespace {

std::string text(const IpAddress& a) {
    char is[INET6_ADDRSTRLEN];
    return inet_ntop(a.v6 ? AF_INET6 : AF_INET, a.bytes.data(), is, sizeof is);
}

const char* text(NeighbourState state) {
    switch (state) {
    case NeighbourState::reachable: return "reachable";
    case NeighbourState::pending: return "pending";
    case NeighbourState::failed: return "failed";
    case NeighbourState::unknown: break;
    }
    return "unknown";
}

uint16_t mtu_of(uint16_t port) {
    uint16_t mtu = 0;
    return rte_eth_dev_get_mtu(port, &mtu) != 0 || mtu == 0 ? uint16_t{RTE_ETHER_MTU} : mtu;
}

}  // namespace

Result<std::unique_ptr<Router>> Router::make(const Settings& settings, rte_rcu_qsbr* readers) {
    std::unique_ptr<Router> router(new Router(settings));
    const int socket = static_cast<int>(rte_socket_id());
    Result<std::unique_ptr<RouteTable>> table = RouteTable::make({.routes = settings.routes, .neighbours = 16384, .socket = socket}, readers);
    if (!table) return table.error();
    router->table_ = std::move(table).value();
    Result<std::unique_ptr<KernelDoor>> door = KernelDoor::make(socket);
    if (!door) return door.error();
    router->door_ = std::move(door).value();
    if (settings.tap.empty()) return router;
    Result<std::unique_ptr<KernelSide>> kernel = KernelSide::start(*router->table_, *router->door_, settings.tap_netns);
    if (!kernel) return kernel.error();
    router->kernel_ = std::move(kernel).value();
    return router;
}

Router::~Router() { kernel_.reset(); }  // before the door and the table that it uses

std::string Router::name_of(uint16_t port) const { return tap_ + std::to_string(port); }

Status Router::use_ports(const std::vector<Port*>& ports) {
    for (auto twin = twins_.begin(); twin != twins_.end();) {
        const auto same = [&twin](const Port* p) { return p->id() == twin->first && p->name() == twin->second.device; };
        if (std::any_of(ports.begin(), ports.end(), same)) {
            ++twin;
            continue;
        }
        if (kernel_ != nullptr) kernel_->remove_port(twin->first);
        twin = twins_.erase(twin);
    }
    std::map<std::string, uint16_t> fresh;
    for (const Port* port : ports) {
        if (twins_.contains(port->id())) continue;
        if (Status added = door_->add_port(port->id()); !added) return added;
        if (kernel_ != nullptr)
            if (Status added = kernel_->add_port(port->id(), name_of(port->id()), port->mac(), mtu_of(port->id())); !added) return added;
        twins_[port->id()] = {port->name(), true};
        fresh[port->name()] = port->id();
    }
    return configure(fresh);
}

// configure - once for each TAP: what was changed in the kernel since is not changed back by a stop and a start.
Status Router::configure(const std::map<std::string, uint16_t>& fresh) {
    if (conf_ == nullptr) return {};
    if (kernel_ == nullptr) return configure_table(fresh);
    std::map<std::string, std::string> taps;
    for (const ConfPort& port : conf_->ports)
        if (const auto at = fresh.find(port.device_name()); at != fresh.end()) taps[port.name] = name_of(at->second);
    Status told;
    kernel_->do_now([&] {
        told = tell_kernel(*conf_, taps);
        kernel_->follow();
    });
    return told;
}

// configure_table - without a kernel, what the file says is all that there is.
Status Router::configure_table(const std::map<std::string, uint16_t>& fresh) {
    std::map<std::string, StaticPort> ports;
    for (const ConfPort& port : conf_->ports)
        if (const auto at = fresh.find(port.device_name()); at != fresh.end()) ports[port.name] = {at->second, mtu_of(at->second)};
    return set_static_routes(*conf_, ports, *table_);
}

void Router::watch_links(const std::vector<Port*>& ports) {
    for (auto& [id, twin] : twins_) {
        const uint16_t number = id;
        const auto port = std::find_if(ports.begin(), ports.end(), [number](const Port* p) { return p->id() == number; });
        const bool up = port != ports.end() && (*port)->phase() >= PortPhase::started && (*port)->phase() != PortPhase::closed && (*port)->link_up();
        if (up == twin.up) continue;
        twin.up = up;
        if (kernel_ != nullptr) kernel_->carrier(id, up);
    }
}

std::vector<std::string> Router::notes() {
    std::vector<std::string> notes;
    if (kernel_ == nullptr) return notes;
    kernel_->do_now([&notes] {
        if (!sysctl_is("ipv6/conf/all/forwarding", '1'))
            notes.emplace_back("net.ipv6.conf.all.forwarding is off: the kernel resolves no IPv6 neighbours for packets that pass, and "
                               "answers none of their errors.");
    });
    return notes;
}

// with_table - where nobody changes it meanwhile.
void Router::with_table(const std::function<void()>& look) {
    if (kernel_ != nullptr) kernel_->do_now(look);
    else look();
}

std::string Router::routes_text() {
    std::string out;
    with_table([&] {
        for (const auto& [prefix, route] : table_->routes()) {
            out += fmt::format("{}/{} ", text(prefix.address), prefix.length);
            switch (route.kind) {
            case RouteKind::forward:
                if (route.gatewayed) out += fmt::format("via {} ", text(route.gateway));
                out += fmt::format("port {} mtu {}\n", route.port, route.mtu);
                break;
            case RouteKind::local: out += "kernel\n"; break;
            case RouteKind::elsewhere: out += "kernel, by another interface\n"; break;
            case RouteKind::blackhole: out += "blackhole\n"; break;
            case RouteKind::unreachable: out += "unreachable\n"; break;
            case RouteKind::none: break;
            }
        }
    });
    return out.empty() ? "no routes\n" : out;
}

std::string Router::neighbours_text() {
    std::vector<std::string> lines;
    with_table([&] {
        table_->neighbours().each([&lines](const Neighbours::Entry& entry) {
            IpAddress address{.v6 = entry.key.v6 != 0};
            std::copy(std::begin(entry.key.address), std::end(entry.key.address), address.bytes.begin());
            const std::string mac = entry.state == NeighbourState::reachable ? mac_text(entry.mac) + " " : "";
            lines.push_back(fmt::format("{} port {} {}{}\n", text(address), entry.key.port, mac, text(entry.state)));
        });
    });
    std::sort(lines.begin(), lines.end());
    std::string out;
    for (const std::string& line : lines) out += line;
    return out.empty() ? "no neighbours\n" : out;
}

std::string Router::kernel_text() {
    if (kernel_ == nullptr) return "no kernel side (--tap is empty)\n";
    std::string out;
    kernel_->do_now([&] {
        for (const auto& [port, twin] : twins_)
            out += fmt::format("port {}: {} carrier {}\n", port, kernel_->tap_name(port), twin.up ? "up" : "down");
        const MirrorCounts& m = kernel_->mirror().counts();
        out += fmt::format("mirror: {} dumps, {} times behind, {} refused{}{}\n", m.dumps, m.lost, m.refused, m.refused > 0 ? ": " : "", m.refusal);
    });
    const KernelCounts& c = kernel_->counts();
    out += fmt::format("to the kernel: {} given, {} refused, {} unreadable\n", c.given.read(), c.refused.read(), c.unreadable.read());
    if (c.sent.read() + c.unsent.read() > 0) out += fmt::format("by the kernel: {} sent, {} not\n", c.sent.read(), c.unsent.read());
    out += fmt::format("from the kernel: {} taken, {} unwanted, {} without a buffer\n", c.taken.read(), c.unwanted.read(), c.no_mbuf.read());
    return out;
}

}  // namespace umbuf::fwd
