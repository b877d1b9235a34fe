// SPDX-License-Identifier: BSD-2-Clause
// tell_kernel.cc - rtnetlink: addresses first, without which the kernel knows no way to a gateway.
#include "app/umfwd/route/tell_kernel.h"

#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include <fmt/format.h>

#include "app/umfwd/conf/words.h"

namespace umbuf::fwd {
namespace {

constexpr int kPut = NLM_F_CREATE | NLM_F_REPLACE;

// Owned - an object of libnl, put back by its own function.
template <class T, auto kPutBack>
struct PutBack {
    void operator()(T* object) const { kPutBack(object); }
};
template <class T, auto kPutBack>
using Owned = std::unique_ptr<T, PutBack<T, kPutBack>>;
using Address = Owned<nl_addr, nl_addr_put>;

int family_of(const IpAddress& a) { return a.v6 ? AF_INET6 : AF_INET; }

Address address_of(const IpAddress& a, uint32_t bits) {
    Address address(nl_addr_build(family_of(a), a.bytes.data(), a.v6 ? 16 : 4));
    nl_addr_set_prefixlen(address.get(), static_cast<int>(bits));
    return address;
}
Address address_of(const IpAddress& a) { return address_of(a, a.v6 ? 128 : 32); }

class Teller {
  public:
    Teller(const Conf& conf, const std::map<std::string, std::string>& taps) : conf_(conf), taps_(taps) {}

    Status tell() {
        if (const int e = nl_connect(socket_.get(), NETLINK_ROUTE); e != 0) return Error{EIO, fmt::format("rtnetlink: {}", nl_geterror(e))};
        for (const ConfPort& port : conf_.ports)
            for (const IpPrefix& own : port.addresses)
                if (Status told = each(port.at, port.name, fmt::format("port.addresses = \"{}/{}\"", address_text(own.address), own.bits),
                                       [&](int link) { return add_address(own, link); });
                    !told)
                    return told;
        for (const ConfNeighbour& n : conf_.neighbours)
            if (Status told = each(n.at, n.port, fmt::format("neighbour.address = \"{}\"", address_text(n.address)), [&](int link) { return add_neighbour(n, link); }); !told)
                return told;
        for (const ConfRoute& r : conf_.routes)
            if (Status told = each(r.at, r.port, fmt::format("route.to = \"{}/{}\"", address_text(r.to.address), r.to.bits), [&](int link) { return add_route(r, link); }); !told)
                return told;
        return {};
    }

  private:
    // each - if the port has a twin here, tell of it.
    template <class Tell>
    Status each(Place at, const std::string& port, const std::string& what, Tell tell) {
        const auto tap = taps_.find(port);
        if (tap == taps_.end()) return {};
        const unsigned link = if_nametoindex(tap->second.c_str());
        const int e = link == 0 ? -NLE_NODEV : tell(static_cast<int>(link));
        if (e >= 0) return {};
        return Error{EIO, fmt::format("{}:{}: {}: {} does not take it: {}", conf_.file, at.line, what, tap->second, nl_geterror(e))};
    }

    int add_address(const IpPrefix& own, int link) {
        const Owned<rtnl_addr, rtnl_addr_put> address(rtnl_addr_alloc());
        rtnl_addr_set_ifindex(address.get(), link);
        if (const int e = rtnl_addr_set_local(address.get(), address_of(own.address, own.bits).get()); e != 0) return e;
        return rtnl_addr_add(socket_.get(), address.get(), kPut);
    }

    int add_neighbour(const ConfNeighbour& n, int link) {
        const Owned<rtnl_neigh, rtnl_neigh_put> neighbour(rtnl_neigh_alloc());
        rtnl_neigh_set_ifindex(neighbour.get(), link);
        rtnl_neigh_set_state(neighbour.get(), NUD_PERMANENT);
        rtnl_neigh_set_dst(neighbour.get(), address_of(n.address).get());
        const Address mac(nl_addr_build(AF_LLC, n.mac.addr_bytes, RTE_ETHER_ADDR_LEN));
        rtnl_neigh_set_lladdr(neighbour.get(), mac.get());
        return rtnl_neigh_add(socket_.get(), neighbour.get(), kPut);
    }

    int add_route(const ConfRoute& r, int link) {
        const Owned<rtnl_route, rtnl_route_put> route(rtnl_route_alloc());
        rtnl_route_set_family(route.get(), static_cast<uint8_t>(family_of(r.to.address)));
        rtnl_route_set_table(route.get(), RT_TABLE_MAIN);
        rtnl_route_set_protocol(route.get(), RTPROT_STATIC);
        rtnl_route_set_scope(route.get(), r.via || r.to.address.v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK);
        if (const int e = rtnl_route_set_dst(route.get(), address_of(r.to.address, r.to.bits).get()); e != 0) return e;
        rtnl_nexthop* hop = rtnl_route_nh_alloc();
        rtnl_route_nh_set_ifindex(hop, link);
        if (r.via) {
            rtnl_route_nh_set_gateway(hop, address_of(*r.via).get());
            if (!is_near(r)) rtnl_route_nh_set_flags(hop, RTNH_F_ONLINK);
        }
        rtnl_route_add_nexthop(route.get(), hop);  // the route's from now on
        return rtnl_route_add(socket_.get(), route.get(), kPut);
    }

    // is_near - the gateway is in a network of the port's own. Of another the file says all the same that it is on the
    // link, and the kernel has to be told that it is meant.
    [[nodiscard]] bool is_near(const ConfRoute& r) const {
        const ConfPort* port = conf_.port_named(r.port);
        return port != nullptr && std::ranges::any_of(port->addresses, [&](const IpPrefix& own) {
                   return own.address.v6 == r.via->v6 && prefix(own.address, own.bits).from == prefix(*r.via, own.bits).from;
               });
    }

    const Conf& conf_;
    const std::map<std::string, std::string>& taps_;
    const Owned<nl_sock, nl_socket_free> socket_{nl_socket_alloc()};
};

}  // namespace

Status tell_kernel(const Conf& conf, const std::map<std::string, std::string>& taps) { return Teller(conf, taps).tell(); }

}  // namespace umbuf::fwd
