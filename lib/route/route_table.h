// SPDX-License-Identifier: BSD-2-Clause
// route_table.h - routes and neighbours together: a burst of destinations in, where each goes out.
//
//      destination -> Fib -> number -> next hop -> gateway's, or destination's, neighbour -> Hop
//
//      T1  a number is given to another next hop only when no table, and no reader, has it any more.
//
// Threads: one control thread changes. Neighbours change at once, routes at commit(), which waits until every
// reader has passed a quiescent state. lookup4() and lookup6(): readers (lib/ipsec/grace.h).
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/ipsec/grace.h"
#include "lib/route/fib.h"
#include "lib/route/neighbours.h"
#include "lib/route/route.h"

namespace umbuf {

struct RouteConfig {
    uint32_t routes = 16384;      // of each family
    uint32_t neighbours = 16384;  // of both
    int socket = 0;
};

class RouteTable {
  public:
    // make - `readers` lives longer. Error: no memory.
    [[nodiscard]] static Result<std::unique_ptr<RouteTable>> make(const RouteConfig& config, rte_rcu_qsbr* readers);
    RouteTable(const RouteTable&) = delete;
    RouteTable& operator=(const RouteTable&) = delete;

    // ---- control
    // set - this route for the prefix, whatever it had. Error: no room; the prefix has what it had.
    [[nodiscard]] Status set(const Prefix& prefix, const Route& route);
    // remove - ENOENT: there is none.
    [[nodiscard]] Status remove(const Prefix& prefix);
    [[nodiscard]] const std::map<Prefix, Route>& routes() const noexcept { return routes_; }
    // set_neighbour - ENOSPC: no room.
    [[nodiscard]] Status set_neighbour(uint16_t port, const IpAddress& address, NeighbourState state, const rte_ether_addr& mac);
    void forget_neighbour(uint16_t port, const IpAddress& address);
    [[nodiscard]] Neighbours& neighbours() noexcept { return *neighbours_; }
    // commit - lookups that begin after it see every change before it.
    void commit();

    // ---- readers. n <= kRouteBurst; IPv4 in host order
    void lookup4(const uint32_t* to, Hop* hops, uint16_t n) const noexcept;
    void lookup6(const uint8_t (*to)[16], Hop* hops, uint16_t n) const noexcept;
    // own_address - the first of those that this machine has at the port, for what a lane says itself. False: none.
    [[nodiscard]] bool own_address(uint16_t port, bool v6, IpAddress* address) const noexcept;

  private:
    // Own - one address for each port and family, where there is one.
    struct Own {
        IpAddress address[RTE_MAX_ETHPORTS][2];
        bool known[RTE_MAX_ETHPORTS][2] = {};
    };
    struct NextHop {
        Hop hop;               // without its neighbour
        int32_t gateway = -1;  // its place; -1: the destination itself is to be found
    };
    struct Use {
        uint32_t number;
        uint32_t routes;
    };
    explicit RouteTable(rte_rcu_qsbr* readers) : grace_(readers) {}
    [[nodiscard]] Result<uint32_t> take(const Route& route);
    void give(const Route& route);
    void collect_own();
    template <class To>
    void resolve(const To* to, const uint64_t* numbers, Hop* hops, uint16_t n) const noexcept;

    // Locks:  I immutable   c control thread   r written before readers can have its number (T1)
    Grace grace_;                            // [c]
    std::unique_ptr<Fib> fib_;               // [I]
    std::unique_ptr<Neighbours> neighbours_; // [I]
    std::unique_ptr<NextHop[]> hops_;        // [I]; elements [r]; number 0: no route
    std::map<Prefix, Route> routes_;         // [c]
    std::map<Route, Use> uses_;              // [c]
    Own own_[2];                             // the active one [r]
    sync::atomic<uint32_t> own_active_{0};   // [a]
    bool own_changed_ = false;               // [c]
    std::vector<uint32_t> free_, unused_;    // [c] numbers to give; numbers to free at the next commit
};

}  // namespace umbuf
