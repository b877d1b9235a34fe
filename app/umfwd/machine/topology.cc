// SPDX-License-Identifier: BSD-2-Clause
// topology.cc - the plan of streams and lcores.
#include "app/umfwd/machine/topology.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rte_lcore.h>

#include "app/umfwd/engines/engine.h"

namespace umbuf::fwd {

namespace {

bool is_tee(const Settings& settings) { return settings.mode == "tee"; }

bool routes(const Settings& settings) {
    const Engine* engine = find_engine(settings.mode);
    return engine != nullptr && engine->routes;
}

// fans_out - packets leave by every port, so that each lcore has a transmit queue of its own on each.
bool fans_out(const Settings& settings) { return is_tee(settings) || routes(settings); }

// An answer goes back to who asked, whatever the topology, as in testpmd.
bool answers(const Settings& settings) { return settings.mode == "icmpecho"; }

size_t partner(Topology topology, size_t i, size_t n) {
    switch (topology) {
    case Topology::paired: return (i ^ 1) < n ? i ^ 1 : i;
    case Topology::chained: return (i + 1) % n;
    case Topology::loop: return i;
    }
    return i;
}

// copy_ports - where a tee's copies go: not back, and not where the packet itself goes.
std::vector<uint16_t> copy_ports(const std::vector<uint16_t>& ports, const PlannedStream& stream) {
    std::vector<uint16_t> list;
    std::copy_if(ports.begin(), ports.end(), std::back_inserter(list), [&stream](uint16_t port) {
        return port != stream.rx_port && port != stream.tx_port;
    });
    return list;
}

// other_ports - where else a routed packet may go: back, too.
std::vector<uint16_t> other_ports(const std::vector<uint16_t>& ports, const PlannedStream& stream) {
    std::vector<uint16_t> list;
    std::copy_if(ports.begin(), ports.end(), std::back_inserter(list), [&stream](uint16_t port) { return port != stream.tx_port; });
    return list;
}

// deal - n streams to `lanes` lcores in runs, like testpmd: the last lanes take the remainder.
std::vector<size_t> deal(size_t n, size_t lanes) {
    const size_t each = n / lanes, longer = n % lanes;
    std::vector<size_t> lane_of;
    for (size_t lane = 0; lane < lanes; ++lane)
        lane_of.insert(lane_of.end(), each + (lane >= lanes - longer ? 1 : 0), lane);
    return lane_of;
}

std::string how_to_get_more() {
    return "give EAL more, the first of them only controls: -l 0-2, or --lcores '0@0,1@0,2@1' to put "
           "several on one CPU";
}

void assert_queues_unshared(const Plan& plan) {  // T2
    std::map<std::pair<uint16_t, uint16_t>, size_t> owner;
    const auto claim = [&owner](uint16_t port, const PlannedStream& s) {
        const auto [at, fresh] = owner.try_emplace({port, s.tx_queue}, s.lane);
        UM_ASSERT_MSG(fresh || at->second == s.lane, "transmit queue %u of port %u has two lcores",
                      s.tx_queue, port);
    };
    for (const PlannedStream& stream : plan.streams) {
        claim(stream.tx_port, stream);
        for (const uint16_t port : stream.tee) claim(port, stream);
    }
}

}  // namespace

uint16_t queues_wanted(const Settings& settings) {
    const uint32_t by_lane = fans_out(settings) ? settings.nb_cores : 1;
    return static_cast<uint16_t>(
        std::max({uint32_t{settings.txq}, uint32_t{settings.rxq}, by_lane}));
}

Result<std::vector<uint16_t>> choose_ports(const Settings& settings,
                                           const std::vector<uint16_t>& usable) {
    if (usable.empty())
        return Error{ENODEV, "no port can forward: give EAL a device (-a 0000:00:04.0, --vdev "
                             "net_null0), or 'port attach' and 'port start' one"};
    std::vector<uint16_t> chosen = usable;
    if (!settings.port_list.empty()) {
        for (const uint16_t port : settings.port_list)
            if (std::find(usable.begin(), usable.end(), port) == usable.end())
                return Error{ENODEV, fmt::format("--portlist: port {} is not there or not started; the "
                                                 "ports that are: {}",
                                                 port, fmt::join(usable, ", "))};
        chosen = settings.port_list;
    }
    if (settings.nb_ports > chosen.size())
        return Error{ENODEV, fmt::format("--nb-ports={}: only {} can forward", settings.nb_ports,
                                         chosen.size())};
    if (settings.nb_ports > 0) chosen.resize(settings.nb_ports);
    return chosen;
}

std::vector<unsigned> worker_lcores() {
    std::vector<unsigned> workers;
    unsigned lcore;
    RTE_LCORE_FOREACH_WORKER(lcore) workers.push_back(lcore);
    return workers;
}

Result<std::vector<unsigned>> choose_lcores(const Settings& settings,
                                            const std::vector<unsigned>& workers) {
    std::vector<unsigned> chosen = workers;
    if (!settings.core_list.empty()) {
        for (const unsigned lcore : settings.core_list)
            if (std::find(workers.begin(), workers.end(), lcore) == workers.end())
                return Error{EINVAL, fmt::format("--corelist: lcore {} does not exist or is the main "
                                                 "one; {}",
                                                 lcore, how_to_get_more())};
        chosen = settings.core_list;
    }
    if (settings.nb_cores > chosen.size())
        return Error{EINVAL, fmt::format("--nb-cores={}: EAL has only {} lcores that may forward; {}",
                                         settings.nb_cores, chosen.size(), how_to_get_more())};
    chosen.resize(settings.nb_cores);
    return chosen;
}

Result<Plan> plan_streams(const Settings& settings, const std::vector<uint16_t>& ports,
                          const std::vector<unsigned>& lcores, uint16_t txq) {
    UM_ASSERT(!ports.empty() && !lcores.empty());
    const size_t n = ports.size() * settings.rxq;
    const size_t lanes = std::min(n, lcores.size());
    const size_t need = fans_out(settings) ? lanes : settings.rxq;
    if (txq < need)
        return Error{EINVAL,
                     fmt::format("mode {} needs {} transmit queues on each port, one for each lcore or "
                                 "receive queue, and they have {}: start again with --txq={}",
                                 settings.mode, need, txq, need)};
    Plan plan;
    plan.ports = ports;
    plan.lcores.assign(lcores.begin(), lcores.begin() + static_cast<ptrdiff_t>(lanes));
    const std::vector<size_t> lane_of = deal(n, lanes);
    for (uint16_t queue = 0; queue < settings.rxq; ++queue) {
        for (size_t i = 0; i < ports.size(); ++i) {  // T1
            const size_t lane = lane_of[plan.streams.size()];
            size_t to = partner(settings.topology, i, ports.size());
            if (is_tee(settings) && to == i) to = (i + 1) % ports.size();
            if (answers(settings)) to = i;
            PlannedStream stream{.rx_port = ports[i],
                                 .rx_queue = queue,
                                 .tx_port = ports[to],
                                 .tx_queue = fans_out(settings) ? static_cast<uint16_t>(lane) : queue,
                                 .lane = lane,
                                 .tee = {}};
            if (is_tee(settings)) stream.tee = copy_ports(ports, stream);
            if (routes(settings)) stream.tee = other_ports(ports, stream);
            plan.streams.push_back(std::move(stream));
        }
    }
    if (settings.topology == Topology::paired && ports.size() % 2 != 0 && !fans_out(settings) &&
        !answers(settings))
        plan.notes.push_back(fmt::format(
            "Warning! port-topology=paired and odd forward ports number, the last port (port {}) "
            "will pair with itself.", ports.back()));
    if (is_tee(settings) && ports.size() < 3)
        plan.notes.push_back(fmt::format("mode tee between {} ports makes no copies; it takes three.",
                                         ports.size()));
    if (lanes < lcores.size())
        plan.notes.push_back(fmt::format("{} lcores for {} streams: {} stay unused.", lcores.size(), n,
                                         lcores.size() - lanes));
    assert_queues_unshared(plan);
    return plan;
}

}  // namespace umbuf::fwd
