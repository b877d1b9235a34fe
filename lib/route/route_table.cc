// SPDX-License-Identifier: BSD-2-Clause
// route_table.cc - next hops behind numbers, and the burst through all tables.
#include "lib/route/route_table.h"

#include <cstring>
#include <utility>

namespace umbuf {

Result<std::unique_ptr<RouteTable>> RouteTable::make(const RouteConfig& config, rte_rcu_qsbr* readers) {
    std::unique_ptr<RouteTable> table(new RouteTable(readers));
    Result<std::unique_ptr<Fib>> fib = Fib::make({config.routes, config.socket});
    if (!fib) return fib.error();
    table->fib_ = std::move(fib).value();
    Result<std::unique_ptr<Neighbours>> neighbours = Neighbours::make(config.neighbours, config.socket);
    if (!neighbours) return neighbours.error();
    table->neighbours_ = std::move(neighbours).value();
    const uint32_t most = table->fib_->most();
    table->hops_ = std::make_unique<NextHop[]>(most + 1);
    for (uint32_t number = most; number > 0; --number) table->free_.push_back(number);
    return table;
}

// take - the number of this route's next hop, for one prefix more.
Result<uint32_t> RouteTable::take(const Route& route) {
    if (const auto found = uses_.find(route); found != uses_.end()) {
        ++found->second.routes;
        return found->second.number;
    }
    if (free_.empty()) return Error{ENOSPC, "there are more next hops than the forwarding tables have numbers for"};
    NextHop hop{{route.kind, NeighbourState::unknown, route.port, route.mtu, {}}, -1};
    if (route.gatewayed) {
        hop.gateway = neighbours_->hold(neighbour_key(route.port, route.gateway));
        if (hop.gateway < 0) return Error{ENOSPC, "there is no room for one more gateway"};
    }
    const uint32_t number = free_.back();
    free_.pop_back();
    hops_[number] = hop;
    uses_[route] = {number, 1};
    return number;
}

void RouteTable::give(const Route& route) {
    const auto found = uses_.find(route);
    UM_ASSERT(found != uses_.end());
    if (--found->second.routes > 0) return;
    unused_.push_back(found->second.number);
    uses_.erase(found);
}

Status RouteTable::set(const Prefix& prefix, const Route& route) {
    UM_ASSERT(route.kind != RouteKind::none);
    const auto had = routes_.find(prefix);
    if (had != routes_.end() && had->second == route) return {};
    const Result<uint32_t> number = take(route);
    if (!number) return number.error();
    if (Status added = fib_->add(prefix, number.value()); !added) {
        give(route);
        return added;
    }
    own_changed_ = own_changed_ || route.own || (had != routes_.end() && had->second.own);
    if (had != routes_.end()) give(had->second);
    routes_[prefix] = route;
    return {};
}

Status RouteTable::remove(const Prefix& prefix) {
    const auto had = routes_.find(prefix);
    if (had == routes_.end()) return Error{ENOENT, "there is no such route"};
    fib_->remove(prefix);
    own_changed_ = own_changed_ || had->second.own;
    give(had->second);
    routes_.erase(had);
    return {};
}

Status RouteTable::set_neighbour(uint16_t port, const IpAddress& address, NeighbourState state, const rte_ether_addr& mac) {
    if (neighbours_->set(neighbour_key(port, address), state, mac)) return {};
    return Error{ENOSPC, "there is no room for one more neighbour"};
}

void RouteTable::forget_neighbour(uint16_t port, const IpAddress& address) { neighbours_->forget(neighbour_key(port, address)); }

// One wait for all: numbers, neighbours' places and the side that was in use are free behind it. A gateway's
// place is let go of only then: until now a reader could have come to it by the number.
void RouteTable::commit() {
    if (!fib_->changed() && unused_.empty() && !neighbours_->removed()) return;
    fib_->publish();
    if (std::exchange(own_changed_, false)) collect_own();
    grace_.wait(grace_.start());
    fib_->catch_up();
    neighbours_->release();
    for (const uint32_t number : unused_) {
        if (const int32_t place = hops_[number].gateway; place >= 0) neighbours_->drop(place);
        hops_[number] = {};
        free_.push_back(number);
    }
    unused_.clear();
}

// collect_own - into the side that no reader sees, which then changes places with the other. All lower prefixes come
// first.
void RouteTable::collect_own() {
    const uint32_t fresh = 1 - own_active_.load(sync::relaxed);
    own_[fresh] = {};
    for (const auto& [prefix, route] : routes_) {
        if (!route.own || own_[fresh].known[route.port][prefix.address.v6]) continue;
        own_[fresh].address[route.port][prefix.address.v6] = prefix.address;
        own_[fresh].known[route.port][prefix.address.v6] = true;
    }
    own_active_.store(fresh, sync::release);  // pairs with the acquire in own_address()
}

bool RouteTable::own_address(uint16_t port, bool v6, IpAddress* address) const noexcept {
    const Own& own = own_[own_active_.load(sync::acquire)];
    if (port >= RTE_MAX_ETHPORTS || !own.known[port][v6]) return false;
    *address = own.address[port][v6];
    return true;
}

namespace {

void fill(NeighbourKey& key, const uint32_t& to) noexcept {
    key.v6 = 0;
    std::memset(key.address, 0, sizeof key.address);
    store32(reinterpret_cast<std::byte*>(key.address), to);
}

void fill(NeighbourKey& key, const uint8_t (&to)[16]) noexcept {
    key.v6 = 1;
    std::memcpy(key.address, to, sizeof key.address);
}

bool same(const uint32_t& a, const uint32_t& b) noexcept { return a == b; }
bool same(const uint8_t (&a)[16], const uint8_t (&b)[16]) noexcept { return std::memcmp(a, b, sizeof a) == 0; }

}  // namespace

// resolve - packets to one destination come in runs, ESP's above all: such a run asks once.
template <class To>
void RouteTable::resolve(const To* to, const uint64_t* numbers, Hop* hops, uint16_t n) const noexcept {
    NeighbourKey keys[kRouteBurst];
    int32_t places[kRouteBurst];
    uint16_t whose[kRouteBurst], asked = 0, again[kRouteBurst], repeated = 0;
    for (uint16_t i = 0; i < n; ++i) {
        const NextHop& next = hops_[numbers[i]];
        hops[i] = next.hop;
        if (next.hop.kind != RouteKind::forward) continue;
        if (i > 0 && numbers[i] == numbers[i - 1] && same(to[i], to[i - 1])) {
            again[repeated++] = i;
            continue;
        }
        if (next.gateway >= 0) {
            neighbours_->look(next.gateway, hops[i]);
            continue;
        }
        keys[asked].port = next.hop.port;
        fill(keys[asked], to[i]);
        whose[asked++] = i;
    }
    if (asked > 0) neighbours_->find(keys, places, asked);
    for (uint16_t k = 0; k < asked; ++k)
        if (places[k] >= 0) neighbours_->look(places[k], hops[whose[k]]);
    for (uint16_t k = 0; k < repeated; ++k) hops[again[k]] = hops[again[k] - 1];
}

void RouteTable::lookup4(const uint32_t* to, Hop* hops, uint16_t n) const noexcept {
    uint64_t numbers[kRouteBurst];
    fib_->lookup4(to, numbers, n);
    resolve(to, numbers, hops, n);
}

void RouteTable::lookup6(const uint8_t (*to)[16], Hop* hops, uint16_t n) const noexcept {
    uint64_t numbers[kRouteBurst];
    fib_->lookup6(to, numbers, n);
    resolve(to, numbers, hops, n);
}

}  // namespace umbuf
