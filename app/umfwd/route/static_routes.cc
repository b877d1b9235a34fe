// SPDX-License-Identifier: BSD-2-Clause
// static_routes.cc - in the order of precedence: of equal prefixes, the one that is written last is in force.
#include "app/umfwd/route/static_routes.h"

#include <fmt/format.h>

#include "app/umfwd/conf/words.h"

namespace umbuf::fwd {
namespace {

class Setter {
  public:
    Setter(const Conf& conf, const std::map<std::string, StaticPort>& ports, RouteTable& table) : conf_(conf), ports_(ports), table_(table) {}

    Status set() {
        for (const ConfPort& port : conf_.ports)
            if (const StaticPort* to = find(port.name))
                for (const IpPrefix& own : port.addresses)
                    if (Status done = route(port.at, own, {.kind = RouteKind::forward, .port = to->id, .mtu = to->mtu}); !done) return done;
        for (const ConfRoute& r : conf_.routes)
            if (const StaticPort* to = find(r.port)) {
                Route way{.kind = RouteKind::forward, .gatewayed = r.via.has_value(), .port = to->id, .mtu = to->mtu};
                if (r.via) way.gateway = *r.via;
                if (Status done = route(r.at, r.to, way); !done) return done;
            }
        // Our own addresses win over whatever else is said about them, as the kernel's table "local" does.
        for (const ConfPort& port : conf_.ports)
            if (const StaticPort* at = find(port.name))
                for (const IpPrefix& own : port.addresses)
                    if (Status done = route(port.at, {own.address, own.address.v6 ? 128U : 32U}, {.kind = RouteKind::local, .port = at->id, .own = true}); !done)
                        return done;
        for (const ConfNeighbour& n : conf_.neighbours)
            if (const StaticPort* at = find(n.port))
                if (Status done = table_.set_neighbour(at->id, n.address, NeighbourState::reachable, n.mac); !done)
                    return no_room(n.at, fmt::format("neighbour.address = \"{}\"", address_text(n.address)), done);
        return {};
    }

  private:
    [[nodiscard]] const StaticPort* find(const std::string& name) const {
        const auto at = ports_.find(name);
        return at == ports_.end() ? nullptr : &at->second;
    }
    Status route(Place at, const IpPrefix& to, const Route& way) {
        const Status done = table_.set(prefix_of(to.address, static_cast<uint8_t>(to.bits)), way);
        return done ? done : no_room(at, fmt::format("{}/{}", address_text(to.address), to.bits), done);
    }
    [[nodiscard]] Status no_room(Place at, const std::string& what, const Status& why) const {
        return Error{why.error().code, fmt::format("{}:{}: {}: {}", conf_.file, at.line, what, why.error().text)};
    }
    const Conf& conf_;
    const std::map<std::string, StaticPort>& ports_;
    RouteTable& table_;
};

}  // namespace

Status set_static_routes(const Conf& conf, const std::map<std::string, StaticPort>& ports, RouteTable& table) {
    const Status done = Setter(conf, ports, table).set();
    table.commit();
    return done;
}

}  // namespace umbuf::fwd
