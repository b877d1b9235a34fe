// SPDX-License-Identifier: BSD-2-Clause
// mirror.h - the kernel's routes and neighbours, as far as they concern the ports' TAPs, in a RouteTable.
//
// All is read at the start (a dump), then kept by the kernel's news (rtnetlink(7)). What the kernel does not tell, or
// not clearly, is met by another dump: lost news (ENOBUFS), a TAP that went up or down or changed its MTU, an address
// that was removed (its routes go silently), several next hops.
//
// Tables local and main, as without policy routing; of equal prefixes, local wins, then the lower metric. Of several
// next hops the first that is alive and leaves by a TAP is taken. A route that leaves by no TAP, and every address of
// the machine, is the kernel's.
//
// Thread: one, in the kernel's network namespace.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lib/base/result.h"
#include "lib/route/route_table.h"

struct nl_msg;
struct nl_sock;
struct nlmsghdr;
struct rtnl_route;

namespace umbuf::fwd {

struct MirrorCounts {
    uint64_t dumps = 0;    // all read again, the first time included
    uint64_t lost = 0;     // times that the kernel dropped news
    uint64_t refused = 0;  // routes and neighbours that the table had no room for
    std::string refusal;   // the last one
};

class Mirror {
  public:
    // open - `table` lives longer, and nobody else changes it. Error: what the kernel refused.
    static Result<std::unique_ptr<Mirror>> open(RouteTable& table);
    ~Mirror();
    Mirror(const Mirror&) = delete;
    Mirror& operator=(const Mirror&) = delete;

    // add_link - this interface is this port's twin: its MTU is the port's.
    void add_link(int ifindex, uint16_t port);
    void remove_link(int ifindex);
    [[nodiscard]] int fd() const noexcept;  // readable: there is news
    // follow - what news there is, a dump if one is due, and all of it committed.
    void follow();
    // keep_alive - neighbours that packets go to, and of which the kernel is no longer sure: it asks them.
    void keep_alive();
    [[nodiscard]] const MirrorCounts& counts() const noexcept { return counts_; }

  private:
    struct Link {
        uint16_t port;
        uint32_t mtu;
        bool up;
    };
    // Key - what makes two of the kernel's routes the same one.
    struct Key {
        Prefix prefix;
        uint8_t rank;     // 0: table local, 1: main
        uint32_t metric;
        uint8_t tos;
        bool operator<(const Key& b) const noexcept {
            return std::tie(prefix, rank, metric, tos) < std::tie(b.prefix, b.rank, b.metric, b.tos);
        }
    };
    struct Seen {
        std::vector<Route> routes;  // the first is in force
        bool several = false;       // next hops
    };
    using Neighbour = std::pair<uint16_t, IpAddress>;
    struct NeighbourOrder {
        bool operator()(const Neighbour& a, const Neighbour& b) const noexcept {
            return std::tie(a.first, a.second.v6, a.second.bytes) < std::tie(b.first, b.second.v6, b.second.bytes);
        }
    };

    explicit Mirror(RouteTable& table) : table_(table) {}
    static int on_news(nl_msg* message, void* mirror);
    void news(nlmsghdr* header);
    void link_news(nlmsghdr* header);
    void route_news(nlmsghdr* header);
    void neighbour_news(nlmsghdr* header);
    [[nodiscard]] bool translate(rtnl_route* from, Key& key, Route& route, bool& several) const;
    [[nodiscard]] bool next_hop(rtnl_route* from, Route& route) const;
    [[nodiscard]] const Link* link_of(int ifindex) const;
    void apply(const Prefix& prefix);
    void dump();
    [[nodiscard]] int ask(int type, int family);

    // Locks: all [c], the mirror's thread
    RouteTable& table_;
    nl_sock* news_ = nullptr;
    nl_sock* asks_ = nullptr;
    nl_sock* tells_ = nullptr;  // never read: what the kernel answers there is not asked for
    std::map<int, Link> links_;                 // by interface
    std::map<Key, Seen> seen_;
    std::map<Neighbour, int, NeighbourOrder> nud_;  // the kernel's states
    std::set<Neighbour, NeighbourOrder>* dumped_ = nullptr;  // in a dump: those that it has
    bool due_ = true;                           // a dump
    MirrorCounts counts_;
};

}  // namespace umbuf::fwd
