// SPDX-License-Identifier: BSD-2-Clause
// mirror.cc - rtnetlink in, RouteTable out.
#include "app/umfwd/route/mirror.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace umbuf::fwd {

namespace {

constexpr int kNewsRoom = 4 << 20;  // bytes of news that may wait
constexpr int kNewsAtOnce = 512;    // messages before what they say is committed, and the TAPs have their turn
constexpr int kTries = 5;           // dumps that a change interrupted

Error refused(const char* what, int e) { return {EIO, fmt::format("rtnetlink: {}: {}", what, nl_geterror(e))}; }

// address_of - false: neither IPv4 nor IPv6. A default route's has no bytes.
bool address_of(nl_addr* from, int family, IpAddress& to) {
    to = {.v6 = family == AF_INET6};
    if (family != AF_INET && family != AF_INET6) return false;
    if (from == nullptr) return true;
    const auto n = static_cast<size_t>(nl_addr_get_len(from));
    if (n > 0) std::memcpy(to.bytes.data(), nl_addr_get_binary_addr(from), std::min<size_t>(n, to.v6 ? 16 : 4));
    return true;
}

bool is_multicast(const IpAddress& a) { return a.v6 ? a.bytes[0] == 0xff : a.bytes[0] >> 4 == 0xe; }

// is_looked_up - not what a router treats before it asks its table (ip_route.cc).
bool is_looked_up(const Prefix& p) {
    const bool link_local = p.address.v6 && p.length >= 10 && p.address.bytes[0] == 0xfe && (p.address.bytes[1] & 0xc0) == 0x80;
    return !link_local && !(p.length >= 4 && is_multicast(p.address));
}

NeighbourState state_of(int nud) {
    if ((nud & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)) != 0) return NeighbourState::reachable;
    if ((nud & NUD_FAILED) != 0) return NeighbourState::failed;
    return (nud & NUD_INCOMPLETE) != 0 ? NeighbourState::pending : NeighbourState::unknown;
}

}  // namespace

Result<std::unique_ptr<Mirror>> Mirror::open(RouteTable& table) {
    std::unique_ptr<Mirror> mirror(new Mirror(table));
    mirror->news_ = nl_socket_alloc();
    mirror->asks_ = nl_socket_alloc();
    mirror->tells_ = nl_socket_alloc();
    if (mirror->news_ == nullptr || mirror->asks_ == nullptr || mirror->tells_ == nullptr) return refused("no socket", -NLE_NOMEM);
    for (nl_sock* socket : {mirror->news_, mirror->asks_, mirror->tells_}) {
        if (const int e = nl_connect(socket, NETLINK_ROUTE); e != 0) return refused("cannot connect", e);
        nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, &Mirror::on_news, mirror.get());
    }
    nl_socket_disable_seq_check(mirror->news_);
    nl_socket_set_buffer_size(mirror->news_, kNewsRoom, 0);
    nl_socket_set_nonblocking(mirror->news_);
    const int e = nl_socket_add_memberships(mirror->news_, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE,
                                            RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE, 0);
    if (e != 0) return refused("cannot be told of changes", e);
    return mirror;
}

Mirror::~Mirror() {
    nl_socket_free(news_);
    nl_socket_free(asks_);
    nl_socket_free(tells_);
}

void Mirror::add_link(int ifindex, uint16_t port) {
    links_[ifindex] = {port, 0, true};  // the dump says the MTU, before it comes to routes
    due_ = true;
}

void Mirror::remove_link(int ifindex) {
    links_.erase(ifindex);
    due_ = true;
}

int Mirror::fd() const noexcept { return nl_socket_get_fd(news_); }

const Mirror::Link* Mirror::link_of(int ifindex) const {
    const auto found = links_.find(ifindex);
    return found == links_.end() ? nullptr : &found->second;
}

int Mirror::on_news(nl_msg* message, void* mirror) {
    static_cast<Mirror*>(mirror)->news(nlmsg_hdr(message));
    return NL_OK;
}

void Mirror::news(nlmsghdr* header) {
    switch (header->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: return link_news(header);
    case RTM_NEWROUTE:
    case RTM_DELROUTE: return route_news(header);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: return neighbour_news(header);
    case RTM_DELADDR: due_ = true; return;
    default: return;
    }
}

// A route's MTU is made from its link's, and a link that goes down takes its routes along without a word.
void Mirror::link_news(nlmsghdr* header) {
    const auto* info = static_cast<const ifinfomsg*>(nlmsg_data(header));
    const auto found = links_.find(info->ifi_index);
    if (found == links_.end()) return;
    Link is = found->second;
    is.up = header->nlmsg_type == RTM_NEWLINK && (info->ifi_flags & IFF_UP) != 0 && (info->ifi_flags & IFF_RUNNING) != 0;
    if (nlattr* mtu = nlmsg_find_attr(header, sizeof(ifinfomsg), IFLA_MTU); mtu != nullptr) is.mtu = nla_get_u32(mtu);
    due_ = due_ || is.up != found->second.up || is.mtu != found->second.mtu;
    found->second = is;
}

// next_hop - the first that is alive and leaves by a TAP. False: none does.
bool Mirror::next_hop(rtnl_route* from, Route& route) const {
    for (int i = 0; i < rtnl_route_get_nnexthops(from); ++i) {
        rtnl_nexthop* hop = rtnl_route_nexthop_n(from, i);
        const Link* link = link_of(rtnl_route_nh_get_ifindex(hop));
        if (link == nullptr || (rtnl_route_nh_get_flags(hop) & RTNH_F_DEAD) != 0) continue;
        uint32_t mtu = 0;
        static_cast<void>(rtnl_route_get_metric(from, RTAX_MTU, &mtu));
        const uint32_t most = std::min({link->mtu, mtu == 0 ? UINT16_MAX : mtu, uint32_t{UINT16_MAX}});
        route = {.kind = RouteKind::forward, .port = link->port, .mtu = static_cast<uint16_t>(most)};
        nl_addr* gateway = rtnl_route_nh_get_gateway(hop);
        if (gateway == nullptr) gateway = rtnl_route_nh_get_via(hop);
        route.gatewayed = gateway != nullptr && address_of(gateway, nl_addr_get_family(gateway), route.gateway);
        return true;
    }
    return false;
}

// translate - false: a route that is not for us to know.
bool Mirror::translate(rtnl_route* from, Key& key, Route& route, bool& several) const {
    const uint32_t table = rtnl_route_get_table(from);
    if (table != RT_TABLE_LOCAL && table != RT_TABLE_MAIN) return false;
    nl_addr* to = rtnl_route_get_dst(from);
    IpAddress address;
    if (!address_of(to, rtnl_route_get_family(from), address)) return false;
    const auto length = static_cast<uint8_t>(to == nullptr ? 0 : nl_addr_get_prefixlen(to));
    key = {prefix_of(address, length), static_cast<uint8_t>(table == RT_TABLE_MAIN), rtnl_route_get_priority(from), rtnl_route_get_tos(from)};
    several = rtnl_route_get_nnexthops(from) > 1;
    if (!is_looked_up(key.prefix) || key.tos != 0) return false;
    route = {.kind = RouteKind::local};
    switch (rtnl_route_get_type(from)) {
    case RTN_LOCAL:
        if (rtnl_route_get_nnexthops(from) > 0)
            if (const Link* link = link_of(rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(from, 0))); link != nullptr) {
                route.port = link->port;
                route.own = length == (address.v6 ? 128 : 32);
            }
        return true;
    case RTN_ANYCAST:
    case RTN_BROADCAST: return true;
    case RTN_UNICAST:
        if (!next_hop(from, route)) route.kind = RouteKind::elsewhere;
        return true;
    case RTN_BLACKHOLE: route.kind = RouteKind::blackhole; return true;
    case RTN_UNREACHABLE:
    case RTN_PROHIBIT: route.kind = RouteKind::unreachable; return true;
    default: return false;
    }
}

// The kernel tells of a replacement by a flag, and of further routes with the same key, IPv4's only, by their order.
void Mirror::route_news(nlmsghdr* header) {
    rtnl_route* parsed = nullptr;
    if (rtnl_route_parse(header, &parsed) != 0) return;
    Key key;
    Route route;
    bool several = false;
    const bool known = (static_cast<const rtmsg*>(nlmsg_data(header))->rtm_flags & RTM_F_CLONED) == 0 && translate(parsed, key, route, several);
    rtnl_route_put(parsed);
    if (!known) return;
    Seen& seen = seen_[key];
    std::vector<Route>& routes = seen.routes;
    const auto same = std::find(routes.begin(), routes.end(), route);
    if (header->nlmsg_type == RTM_DELROUTE) {
        due_ = due_ || seen.several || several || same == routes.end();
        if (same != routes.end()) routes.erase(same);
    } else if (routes.empty() || (header->nlmsg_flags & NLM_F_REPLACE) != 0) {
        due_ = due_ || routes.size() > 1;
        routes.assign(1, route);
        seen.several = several;
    } else if (same == routes.end()) {
        due_ = due_ || dumped_ == nullptr;  // in a dump they come in the order that counts
        routes.push_back(route);
        seen.several = seen.several || several;
    }
    if (routes.empty()) seen_.erase(key);
    if (dumped_ == nullptr) apply(key.prefix);
}

// apply - the best of what is known of a prefix goes into the table.
void Mirror::apply(const Prefix& prefix) {
    const auto best = seen_.lower_bound(Key{prefix, 0, 0, 0});
    if (best == seen_.end() || best->first.prefix != prefix) {
        static_cast<void>(table_.remove(prefix));  // ENOENT: it was never there
        return;
    }
    const Status set = table_.set(prefix, best->second.routes.front());
    if (set) return;
    ++counts_.refused;
    counts_.refusal = set.error().text;
}

void Mirror::neighbour_news(nlmsghdr* header) {
    rtnl_neigh* parsed = nullptr;
    if (rtnl_neigh_parse(header, &parsed) != 0) return;
    const Link* link = link_of(rtnl_neigh_get_ifindex(parsed));
    IpAddress address;
    const bool known = link != nullptr && address_of(rtnl_neigh_get_dst(parsed), rtnl_neigh_get_family(parsed), address) && !is_multicast(address);
    const int nud = rtnl_neigh_get_state(parsed);
    rte_ether_addr mac{};
    nl_addr* lladdr = rtnl_neigh_get_lladdr(parsed);
    const bool has_mac = lladdr != nullptr && nl_addr_get_len(lladdr) == sizeof mac;
    if (has_mac) std::memcpy(&mac, nl_addr_get_binary_addr(lladdr), sizeof mac);
    rtnl_neigh_put(parsed);
    if (!known) return;
    const Neighbour neighbour{link->port, address};
    NeighbourState state = state_of(nud);
    if (state == NeighbourState::reachable && !has_mac) state = NeighbourState::unknown;
    if (header->nlmsg_type == RTM_DELNEIGH || nud <= 0) {
        nud_.erase(neighbour);
        return table_.forget_neighbour(link->port, address);
    }
    nud_[neighbour] = nud;
    if (dumped_ != nullptr) dumped_->insert(neighbour);
    if (const Status set = table_.set_neighbour(link->port, address, state, mac); !set) {
        ++counts_.refused;
        counts_.refusal = set.error().text;
    }
}

// ---- all at once

int Mirror::ask(int type, int family) {
    int e = 0;
    for (int i = 0; i < kTries; ++i) {
        rtgenmsg all{};
        all.rtgen_family = static_cast<unsigned char>(family);
        e = nl_send_simple(asks_, type, NLM_F_DUMP, &all, sizeof all);
        if (e >= 0) e = nl_recvmsgs_default(asks_);
        if (e != -NLE_DUMP_INTR) break;
    }
    return e;
}

// dump - news that waits is older than the dump, and does no harm: what it adds, later news takes away again.
void Mirror::dump() {
    due_ = false;
    ++counts_.dumps;
    const std::map<Key, Seen> before = std::exchange(seen_, {});
    std::set<Neighbour, NeighbourOrder> there;
    dumped_ = &there;
    int failed = ask(RTM_GETLINK, AF_UNSPEC);
    due_ = false;  // the links' MTUs are known before the routes are made
    for (const int family : {AF_INET, AF_INET6}) {
        failed = std::min(failed, ask(RTM_GETROUTE, family));
        failed = std::min(failed, ask(RTM_GETNEIGH, family));
    }
    dumped_ = nullptr;
    if (failed < 0) {
        seen_ = before;
        due_ = true;  // again with the next news, or at the next keep_alive()
        return;
    }
    const std::map<Prefix, Route> had = table_.routes();
    for (const auto& [prefix, route] : had)
        if (const auto best = seen_.lower_bound(Key{prefix, 0, 0, 0}); best == seen_.end() || best->first.prefix != prefix) apply(prefix);
    const Prefix* last = nullptr;
    for (const auto& [key, seen] : seen_) {
        if (last == nullptr || *last != key.prefix) apply(key.prefix);
        last = &key.prefix;
    }
    for (auto at = nud_.begin(); at != nud_.end();) {
        if (there.contains(at->first)) {
            ++at;
            continue;
        }
        table_.forget_neighbour(at->first.first, at->first.second);
        at = nud_.erase(at);
    }
}

void Mirror::follow() {
    for (int i = 0; i < kNewsAtOnce; ++i) {
        const int e = nl_recvmsgs_default(news_);
        if (e == 0) continue;
        if (e != -NLE_NOMEM) break;  // there is none now
        ++counts_.lost;
        due_ = true;
    }
    if (due_) dump();
    table_.commit();
}

// The kernel forgets whom it does not send to itself. NTF_USE has it ask again, as if it had.
void Mirror::keep_alive() {
    table_.neighbours().take_used([this](const Neighbours::Entry& entry) {
        IpAddress address{.v6 = entry.key.v6 != 0};
        std::memcpy(address.bytes.data(), entry.key.address, sizeof entry.key.address);
        const auto known = nud_.find({entry.key.port, address});
        if (known == nud_.end() || (known->second & NUD_STALE) == 0) return;
        const auto link = std::find_if(links_.begin(), links_.end(), [&entry](const auto& l) { return l.second.port == entry.key.port; });
        if (link == links_.end()) return;
        nl_msg* message = nlmsg_alloc_simple(RTM_NEWNEIGH, NLM_F_REQUEST);
        if (message == nullptr) return;
        ndmsg use{};
        use.ndm_family = address.v6 ? AF_INET6 : AF_INET;
        use.ndm_ifindex = link->first;
        use.ndm_flags = NTF_USE;
        if (nlmsg_append(message, &use, sizeof use, NLMSG_ALIGNTO) == 0 && nla_put(message, NDA_DST, address.v6 ? 16 : 4, address.bytes.data()) == 0) {
            nl_complete_msg(tells_, message);
            nlmsg_hdr(message)->nlmsg_flags &= static_cast<uint16_t>(~NLM_F_ACK);
            static_cast<void>(nl_send(tells_, message));
        }
        nlmsg_free(message);
    });
}

}  // namespace umbuf::fwd
