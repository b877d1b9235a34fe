// SPDX-License-Identifier: BSD-2-Clause
// topology.cc - the plan of streams and lcores.
#include "app/umfwd/machine/topology.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rte_lcore.h>

#include "app/umfwd/engines/engine.h"

namespace umbuf::fwd {

namespace {

bool is_tee(const Engine& engine) { return std::string_view(engine.name) == "tee"; }

// fans_out - packets leave by every port, so that each lcore has a transmit queue of its own on each.
bool fans_out(const Engine& engine) { return is_tee(engine) || engine.routes; }

// answers - an answer goes back to who asked, whatever the topology, as in testpmd.
bool answers(const Engine& engine) { return std::string_view(engine.name) == "icmpecho"; }

// Group - ports that forward between themselves, in one mode.
struct Group {
    const Engine* engine;
    std::vector<uint16_t> ports;
    bool named;  // by a --port-mode
};

// groups_of - the ports that no --port-mode names are the first one; there may be none of them.
Result<std::vector<Group>> groups_of(const Settings& settings, const std::vector<uint16_t>& ports) {
    std::vector<Group> groups{{find_engine(settings.mode), {}, false}};
    std::set<uint16_t> left(ports.begin(), ports.end());
    for (const PortMode& own : settings.port_modes) {
        for (const uint16_t port : own.ports)
            if (left.erase(port) == 0)
                return Error{ENODEV, fmt::format("--port-mode={}:{}: port {} is not there, not started or not in the list; the ports "
                                                 "that are: {}", fmt::join(own.ports, ","), own.mode, port, fmt::join(ports, ", "))};
        groups.push_back({find_engine(own.mode), own.ports, true});
    }
    for (const uint16_t port : ports)
        if (left.contains(port)) groups.front().ports.push_back(port);
    for (const Group& group : groups) UM_ASSERT(group.engine != nullptr);
    std::erase_if(groups, [](const Group& group) { return group.ports.empty(); });
    return groups;
}

const Group& group_of(const std::vector<Group>& groups, uint16_t port) {
    return *std::ranges::find_if(groups, [port](const Group& g) { return std::ranges::find(g.ports, port) != g.ports.end(); });
}

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
    const uint32_t by_lane = any_mode(settings, fans_out) ? settings.nb_cores : 1;
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

namespace {

// stream_of - what is received by one queue of ports[i] of a group.
PlannedStream stream_of(const Settings& settings, const Group& group, size_t i, uint16_t queue, size_t lane) {
    const std::vector<uint16_t>& ports = group.ports;
    const Engine& engine = *group.engine;
    size_t to = partner(settings.topology, i, ports.size());
    if (is_tee(engine) && to == i) to = (i + 1) % ports.size();
    if (answers(engine)) to = i;
    PlannedStream stream{.rx_port = ports[i],
                         .rx_queue = queue,
                         .tx_port = ports[to],
                         .tx_queue = fans_out(engine) ? static_cast<uint16_t>(lane) : queue,
                         .lane = lane,
                         .tee = {},
                         .engine = &engine};
    if (is_tee(engine)) stream.tee = copy_ports(ports, stream);
    if (engine.routes) stream.tee = other_ports(ports, stream);
    return stream;
}

// note - what may be a surprise about a group.
void note(const Settings& settings, const Group& group, std::vector<std::string>& notes) {
    const size_t n = group.ports.size();
    const Engine& engine = *group.engine;
    if (settings.topology == Topology::paired && n % 2 != 0 && !fans_out(engine) && !answers(engine) && !(group.named && n == 1))
        notes.push_back(fmt::format("Warning! port-topology=paired and odd forward ports number, the last port (port {}) "
                                    "will pair with itself.", group.ports.back()));
    if (is_tee(engine) && n < 3)
        notes.push_back(fmt::format("mode tee between {} ports makes no copies; it takes three.", n));
}

}  // namespace

Result<Plan> plan_streams(const Settings& settings, const std::vector<uint16_t>& ports,
                          const std::vector<unsigned>& lcores, uint16_t txq) {
    UM_ASSERT(!ports.empty() && !lcores.empty());
    const Result<std::vector<Group>> made = groups_of(settings, ports);
    if (!made) return made.error();
    const std::vector<Group>& groups = made.value();
    const size_t n = ports.size() * settings.rxq;
    const size_t lanes = std::min(n, lcores.size());
    for (const Group& group : groups)
        if (const size_t need = fans_out(*group.engine) ? lanes : settings.rxq; txq < need)
            return Error{EINVAL,
                         fmt::format("mode {} needs {} transmit queues on each port, one for each lcore or "
                                     "receive queue, and they have {}: start again with --txq={}",
                                     group.engine->name, need, txq, need)};
    Plan plan;
    plan.ports = ports;
    plan.lcores.assign(lcores.begin(), lcores.begin() + static_cast<ptrdiff_t>(lanes));
    const std::vector<size_t> lane_of = deal(n, lanes);
    for (uint16_t queue = 0; queue < settings.rxq; ++queue) {
        for (const uint16_t port : ports) {  // T1
            const Group& group = group_of(groups, port);
            const auto i = static_cast<size_t>(std::ranges::find(group.ports, port) - group.ports.begin());
            plan.streams.push_back(stream_of(settings, group, i, queue, lane_of[plan.streams.size()]));
        }
    }
    for (const Group& group : groups) note(settings, group, plan.notes);
    if (lanes < lcores.size())
        plan.notes.push_back(fmt::format("{} lcores for {} streams: {} stay unused.", lcores.size(), n,
                                         lcores.size() - lanes));
    assert_queues_unshared(plan);
    return plan;
}

}  // namespace umbuf::fwd
