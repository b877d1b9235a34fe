// SPDX-License-Identifier: BSD-2-Clause
// buffers.cc - zones for ports and lcores, on their own nodes.
#include "app/umfwd/machine/buffers.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/gateway/handover.h"
#include "app/umfwd/gateway/pieces.h"
#include "app/umfwd/machine/pages.h"
#include "app/umfwd/route/door.h"

namespace umbuf::fwd {

namespace {

// Ports that a prompt or a command file may attach, and that then share the pools.
constexpr uint32_t kSparePorts = 2;

int main_node() { return static_cast<int>(rte_lcore_to_socket_id(rte_get_main_lcore())); }

std::vector<int> nodes_in_use(bool numa) {
    std::set<int> nodes{main_node()};
    if (numa) {
        unsigned lcore;
        RTE_LCORE_FOREACH(lcore) nodes.insert(static_cast<int>(rte_lcore_to_socket_id(lcore)));
        for (const uint16_t port : present_ports()) nodes.insert(node_of_port(port, numa));
    }
    return {nodes.begin(), nodes.end()};
}

uint64_t megabytes(uint64_t bytes) { return bytes >> 20; }

// more_memory - the zone's own error, with the sum behind it and what there is.
Error more_memory(const Error& error, const std::vector<Term>& terms, int node) {
    rte_malloc_socket_stats heap{};
    rte_malloc_get_socket_stats(node, &heap);
    return {error.code,
            fmt::format("{} [wanted: {}; EAL has {} MB in all, {} MB free on node {}]", error.text,
                        to_text(terms), megabytes(rte_eal_get_physmem_size()),
                        megabytes(heap.heap_freesz_bytes), node)};
}

uint32_t mtu_of(uint16_t port, const Settings& settings) {
    char name[RTE_ETH_NAME_MAX_LEN] = "";
    static_cast<void>(rte_eth_dev_get_name_by_port(port, name));
    if (const uint32_t wanted = mtu_wanted(settings, name); wanted != 0) return wanted;
    uint16_t mtu = RTE_ETHER_MTU;
    static_cast<void>(rte_eth_dev_get_mtu(port, &mtu));  // it fails: the usual one
    return mtu;
}

// wanted_terms - the sum that a pool's size came from; the person's own number replaces it.
std::vector<Term> wanted_terms(const Settings& settings, std::vector<Term> computed) {
    if (settings.total_num_mbufs == 0) return computed;
    return {{"--total-num-mbufs", settings.total_num_mbufs}};
}

Zone* find_zone(uint32_t room, int node, const std::string& prefix) {
    for (Zone* zone : zones())
        if (zone->kind == ZoneKind::packet && zone->size == room && zone->socket == node &&
            zone->name.starts_with(prefix))
            return zone;
    return nullptr;
}

}  // namespace

std::vector<uint16_t> present_ports() {  // RTE_ETH_FOREACH_DEV, without its narrowing
    std::vector<uint16_t> ids;
    for (uint64_t id = 0;; ++id) {
        id = rte_eth_find_next_owned_by(static_cast<uint16_t>(id), RTE_ETH_DEV_NO_OWNER);
        if (id >= RTE_MAX_ETHPORTS) return ids;
        ids.push_back(static_cast<uint16_t>(id));
    }
}

int node_of_port(uint16_t port, bool numa) {
    const int node = rte_eth_dev_socket_id(port);
    return numa && node >= 0 ? node : main_node();
}

ZoneInput Buffers::input(int node) const {
    ZoneInput in;
    for (const uint16_t port : present_ports()) {
        ++in.ports;
        if (node_of_port(port, settings_.numa) == node) ++in.rx_ports;
    }
    const bool fixed = !settings_.interactive && settings_.cmdline_files.empty();
    in.spare_ports = fixed ? 0 : kSparePorts;
    in.lcores = fixed ? settings_.nb_cores + 1 : rte_lcore_count();
    in.jumbo = data_rooms(settings_).back() > kMCLBytes || settings_.mtu > kMCLBytes ||
               std::ranges::any_of(settings_.port_mtus, [](const auto& port) { return port.second > kMCLBytes; });
    const bool routes = !fixed || any_mode(settings_, [](const Engine& engine) { return engine.routes; });
    in.cuts = any_mode(settings_, "frag") || routes;
    in.to_kernel = routes ? kToKernel : 0;
    in.from_kernel = routes ? kFromKernel : 0;
    const bool ipsec = any_mode(settings_, [](const Engine& engine) { return engine.ipsec; });
    in.handed_over = (ipsec || !fixed) && settings_.nb_cores > 1 ? settings_.nb_cores * kHandoverRing : 0;
    const bool device = settings_.esp_engine.starts_with("cryptodev");
    in.with_device = (ipsec || !fixed) && device ? settings_.nb_cores * kEspFlights * kEspBurst : 0;
    in.pieces = ipsec ? kPieces.mbufs : 0;
    if (any_mode(settings_, "sendfile") || !fixed) in.files = page_cache_pages(settings_);
    in.file_ahead = settings_.sendfile_ahead;
    in.file_payload = settings_.sendfile_payload;
    in.rxq = settings_.rxq;
    in.txq = std::max(settings_.txq, settings_.rxq);
    in.rxd = settings_.rxd;
    in.txd = settings_.txd;
    in.burst = settings_.burst;
    in.cache = settings_.mbcache;
    return in;
}

Result<std::unique_ptr<Buffers>> Buffers::create(const Settings& settings) {
    std::unique_ptr<Buffers> buffers(new Buffers(settings));
    buffers->owner_ = zones().empty();
    if (buffers->owner_) {
        const ZoneInput in = buffers->input(main_node());
        ZoneConfig config = zone_config(in);
        config.refs = settings.refcnt;
        if (settings.total_num_mbufs != 0)
            config.mbufs = config.clusters[0] = config.proxies = settings.total_num_mbufs;
        if (Status status = mbinit(config, nodes_in_use(settings.numa)); !status)
            return more_memory(status.error(), wanted_terms(settings, cluster_terms(in)), main_node());
    }
    reclaim_set_aside();
    for (const Zone* zone : zones()) buffers->expected_.push_back(zone->in_use());
    return buffers;
}

Result<Zone*> Buffers::zone_for(uint16_t port) {
    const int node = node_of_port(port, settings_.numa);
    const uint32_t room = room_for(data_rooms(settings_), mtu_of(port, settings_));
    const std::vector<Term> terms = wanted_terms(settings_, packet_terms(input(node)));
    const uint32_t n = sum(terms);
    const std::string prefix = fmt::format("um_rx{}_{}_{}", n, room, node);
    if (Zone* zone = find_zone(room, node, owner_ ? "um_rx" : prefix)) return zone;
    Result<Zone*> zone = packet_zone(prefix, n, room, node, settings_.mbcache);
    if (!zone) return more_memory(zone.error(), terms, node);
    return zone;
}

std::vector<ZoneReport> Buffers::report() const {
    std::vector<ZoneReport> list;
    reclaim_set_aside();
    for (size_t i = 0; i < zones().size(); ++i) {
        const Zone& zone = *zones()[i];
        list.push_back({.name = zone.name,
                        .size = zone.size,
                        .total = zone.pool->size,
                        .in_use = zone.in_use(),
                        .expected = i < expected_.size() ? expected_[i] : 0,
                        .denied = zone.denied()});
    }
    return list;
}

void Buffers::halt() {
    if (owner_) static_cast<void>(mbfini());  // what it would complain about was in the last report()
}

}  // namespace umbuf::fwd
