// SPDX-License-Identifier: BSD-2-Clause
// forwarder.cc - the order in which everything starts and stops.
//
// Phases, and who may be inside a port in each (P: ports' paths, L: lanes):
//
//      stopped     P closed             L none        control thread only
//      start       P closed             L at the gate
//                  P transmit open      L at the gate tx_first sends from the control thread
//                  P receive open       L turning     packets flow
//      stop        P receive closed     L quiesced    nothing new comes in
//                  P transmit open      L joined      what an engine holds was sent or is kept
//                  P closed             L none        engines end, and free what they kept
//
// H1  a path is closed, and the lanes have passed a quiescent state, before its device is stopped.
// H2  a Port object lives until the streams that name it are gone (the graveyard).
#include "app/umfwd/machine/forwarder.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <unistd.h>

#include "app/umfwd/conf/conf.h"
#include "app/umfwd/machine/buffers.h"
#include "app/umfwd/engines/engine.h"
#include "app/umfwd/engines/recvfile.h"
#include "app/umfwd/engines/sendfile.h"
#include "app/umfwd/engines/seqgen.h"
#include "app/umfwd/gateway/gateway.h"
#include "app/umfwd/machine/lane.h"
#include "app/umfwd/machine/links.h"
#include "app/umfwd/packet/mac_text.h"
#include "app/umfwd/machine/on_node.h"
#include "app/umfwd/machine/pages.h"
#include "app/umfwd/machine/port_set.h"
#include "app/umfwd/route/router.h"
#include "app/umfwd/say.h"
#include "app/umfwd/machine/topology.h"
#include "drivers/net/page_proof.h"
#include "lib/mbuf/copies.h"
#include "lib/mbuf/window.h"
#include "lib/page/extpg.h"
#include "lib/page/page_stats.h"
#include "lib/stat/segment.h"

namespace umbuf::fwd {

namespace {

// A stream and where it belongs, in numbers that outlive its ports.
struct Placed {
    PlannedStream plan;
    unsigned lcore;
    NodePtr<Stream> stream;
};

// default_peer - testpmd's: a locally administered address that ends in the port's number.
rte_ether_addr default_peer(uint16_t port) {
    return {{0x02, 0, 0, 0, static_cast<uint8_t>(port >> 8), static_cast<uint8_t>(port)}};
}

rte_ether_addr peer_of(const Settings& settings, uint16_t port) {
    const auto found = settings.peers.find(port);
    return found == settings.peers.end() ? default_peer(port) : found->second;
}

Error no_port(uint16_t port) { return {ENODEV, fmt::format("there is no port {}; see 'show port summary all'", port)}; }

StreamReport numbers_of(const Placed& placed) {
    const StreamStats& stats = placed.stream->stats;
    StreamReport r{.mode = placed.stream->engine->name,
                   .rx_port = placed.plan.rx_port,
                   .rx_queue = placed.plan.rx_queue,
                   .tx_port = placed.plan.tx_port,
                   .tx_queue = placed.plan.tx_queue,
                   .lcore = placed.lcore,
                   .rx = stats.rx.read(),
                   .tx = stats.tx.read(),
                   .made = stats.made.read(),
                   .bad_ip_csum = stats.bad_ip_csum.read(),
                   .bad_l4_csum = stats.bad_l4_csum.read(),
                   .drops = {},
                   .rx_bursts = {},
                   .tee = {}};
    for (size_t i = 0; i < kDrops; ++i) r.drops[i] = stats.drops[i].read();
    for (size_t i = 0; i < placed.plan.tee.size(); ++i)
        r.tee.push_back({.port = placed.plan.tee[i],
                         .tx = placed.stream->tee[i].stats->tx.read(),
                         .dropped = placed.stream->tee[i].stats->dropped.read()});
    for (uint16_t i = 0; i <= kMaxBurst; ++i)
        if (const uint64_t n = stats.rx_bursts[i].read(); n > 0) r.rx_bursts.emplace_back(i, n);
    return r;
}

// freeze - a stopped run's numbers stand, whatever the devices count meanwhile.
void freeze(std::vector<PortForward>& ports, const std::vector<PortForward>& frozen) {
    for (PortForward& port : ports)
        for (const PortForward& then : frozen) {
            if (port.generation != then.generation) continue;
            const bool gone = port.gone;
            const PortNic nic = port.nic;
            port = then;
            port.gone = gone;
            port.nic = nic;
        }
}

// send_bursts - tx_first: what mode txonly sends, n times. The lanes are at the gate, so the queue and
// the counters are ours.
Status send_bursts(Stream& stream, uint32_t n) {
    const Engine* txonly = find_engine("txonly");
    UM_ASSERT(txonly != nullptr);
    auto sender = std::make_unique<Stream>(stream.stats);
    sender->rx_port = sender->tx_port = stream.tx_port;
    sender->rx_queue = sender->tx_queue = stream.tx_queue;
    sender->burst = stream.burst;
    sender->peer = stream.peer;
    sender->settings = stream.settings;
    if (txonly->begin != nullptr)
        if (Status status = txonly->begin(*sender); !status) return status;
    for (uint32_t i = 0; i < n; ++i) txonly->burst(*sender);
    if (txonly->end != nullptr) txonly->end(*sender);
    return {};
}

// report_nodes - who will reach across nodes: one line per port and lcore that do not match.
void report_nodes(const std::vector<Placed>& placed) {
    std::set<std::string> lines;
    for (const Placed& p : placed)
        for (const Port* port : {p.stream->rx_port, p.stream->tx_port}) {
            const int node = static_cast<int>(rte_lcore_to_socket_id(p.lcore));
            if (port->socket() != node)
                lines.insert(fmt::format("Warning: port {} is on NUMA node {}, lcore {} that serves it on "
                                         "node {}: each packet crosses.\n",
                                         port->id(), port->socket(), p.lcore, node));
        }
    for (const std::string& line : lines) say(line);
}

}  // namespace

struct ProgramStats {
    sync::Counter samples, tsc;
};
constexpr stat::Field kProgram[] = {
    {"program_samples", "samples", stat::Kind::counter, 1, "how often the sampled numbers were taken"},
    {"program_tsc", "hertz", stat::Kind::gauge, 1, "cycles a second"},
};

// A run: streams, the lanes that turn them, and what they counted. Kept after stop, for the report,
// until the next run has begun.
struct Run {
    std::string mode;                // --forward-mode
    Plan plan;
    std::unique_ptr<Lanes> lanes;    // never null
    std::vector<Placed> placed;
    Report beginning;                // what had been counted when the streams began
    Report base;                     // ... and when counting began: then, or at the last clearing
    std::vector<PortForward> frozen; // what the ports had counted when forwarding stopped
    SeqReport seq;                   // of the run that ended
    FileReport file;                 // the same
    RecvReport recv;                 // the same
    uint64_t began = 0, ended = 0;   // TSC
};

struct Forwarder::State : Run {
    explicit State(const Settings& wanted) : settings(wanted) {}

    Settings settings;
    Epoch epoch;                     // never null
    std::unique_ptr<Links> links;
    std::unique_ptr<Buffers> buffers;
    std::unique_ptr<Pages> pages;
    std::unique_ptr<Router> router;  // from the first start of a mode that routes
    std::unique_ptr<Gateway> gateway;  // from the first start of a mode with policies
    std::unique_ptr<PortSet> ports;
    std::set<uint16_t> unread;       // started ports that nobody reads since the last stop
    Report last;                     // the final one
    Ledger ledger;
    stat::Box<ProgramStats> program{kProgram, ""};
    uint64_t sampled = 0;            // TSC
    bool running = false, halted = false;

    [[nodiscard]] Port::Quiesce quiesce() const {
        return [this] { lanes->quiesce(); };
    }
    [[nodiscard]] bool uses(const Port* port) const;
    [[nodiscard]] std::vector<Port*> used_ports() const;
    Result<Plan> make_plan() const;
    [[nodiscard]] Status begin_run(Plan made);
    [[nodiscard]] Status check_plan(const Plan& made, uint32_t tx_first) const;
    [[nodiscard]] Status check_conf(const Port& port, const Engine& engine) const;
    [[nodiscard]] std::vector<Port*> ports_that(const Plan& made, bool Engine::*does) const;
    [[nodiscard]] Status prepare_router(const Plan& made);
    [[nodiscard]] Status prepare_gateway(const Plan& made);
    [[nodiscard]] Status place();
    [[nodiscard]] Status place_one(const PlannedStream& planned, Lane& lane);
    [[nodiscard]] Run exchange(Run other) { return std::exchange(static_cast<Run&>(*this), std::move(other)); }
    void end_streams();
    [[nodiscard]] Status first_bursts(uint32_t n);
    void flush_unread();
    void drain_generators();
    void empty_links();
    void close_paths();
    [[nodiscard]] Report raw() const;
    [[nodiscard]] SeqReport sequence() const;
    [[nodiscard]] FileReport file_sent() const;
    [[nodiscard]] RecvReport file_received() const;
    void take_ledger();
    void sample();
};

// ---- making the streams -------------------------------------------------------------------------

bool Forwarder::State::uses(const Port* port) const {
    return std::any_of(placed.begin(), placed.end(), [port](const Placed& p) {
        const std::vector<Way>& tee = p.stream->tee;
        return p.stream->rx_port == port || p.stream->tx_port == port ||
               std::any_of(tee.begin(), tee.end(), [port](const Way& w) { return w.port == port; });
    });
}

std::vector<Port*> Forwarder::State::used_ports() const {
    std::vector<Port*> used;
    for (Port* port : ports->list())
        if (uses(port)) used.push_back(port);
    return used;
}

Result<Plan> Forwarder::State::make_plan() const {
    std::vector<uint16_t> usable;
    std::vector<std::string> skipped;
    uint16_t txq = UINT16_MAX;
    for (const Port* port : ports->list()) {
        if (port->phase() == PortPhase::configured) {
            skipped.push_back(fmt::format("Port {} is stopped: it takes no part.", port->id()));
            continue;
        }
        usable.push_back(port->id());
        txq = std::min(txq, port->config().txq);
    }
    Result<std::vector<uint16_t>> chosen = choose_ports(settings, usable);
    if (!chosen) return chosen.error();
    Result<std::vector<unsigned>> lcores = choose_lcores(settings, worker_lcores());
    if (!lcores) return lcores.error();
    Result<Plan> made = plan_streams(settings, chosen.value(), lcores.value(), txq);
    if (!made) return made.error();
    Plan plan_made = std::move(made).value();
    plan_made.notes.insert(plan_made.notes.end(), skipped.begin(), skipped.end());
    return plan_made;
}

// check_plan - what the modes of a plan ask of the start and of the ports.
Status Forwarder::State::check_plan(const Plan& made, uint32_t tx_first) const {
    for (const PlannedStream& stream : made.streams) {
        const Engine& engine = *stream.engine;
        if (engine.sources && tx_first > 0)
            return Error{EINVAL, fmt::format("start tx_first: mode {} makes its own packets; just 'start'", engine.name)};
        for (const uint16_t id : made.ports)
            if (engine.shares && !ports->find(id)->config().shared_mbufs)
                return Error{EINVAL, fmt::format("mode {} shares mbufs, and port {} was set up for packets that "
                                                 "nobody shares: start umfwd with --forward-mode={}",
                                                 engine.name, id, engine.name)};
        if (Status served = check_conf(*ports->find(stream.rx_port), engine); !served) return served;
    }
    return {};
}

// check_conf - a port of the file in a mode that does not look at the file's policies would let everything pass.
Status Forwarder::State::check_conf(const Port& port, const Engine& engine) const {
    if (settings.conf == nullptr) return {};
    for (const ConfPort& of_file : settings.conf->ports) {
        if (of_file.device_name() != port.name()) continue;
        if (const Status served = settings.conf->served_by(engine.name); !served)
            return Error{served.error().code, fmt::format("port {} is \"{}\" of the file: {}", port.id(), of_file.name, served.error().text)};
    }
    return {};
}

// ports_that - the ports of streams with this property of Engine's, in the plan's order.
std::vector<Port*> Forwarder::State::ports_that(const Plan& made, bool Engine::*does) const {
    std::vector<Port*> list;
    for (const uint16_t id : made.ports)
        if (std::ranges::any_of(made.streams, [id, does](const PlannedStream& s) { return s.rx_port == id && s.engine->*does; }))
            list.push_back(ports->find(id));
    return list;
}

Status Forwarder::State::place_one(const PlannedStream& planned, Lane& lane) {
    const std::string labels = fmt::format("rx_port={},rx_queue={},tx_port={},tx_queue={},lcore={}", planned.rx_port,
                                           planned.rx_queue, planned.tx_port, planned.tx_queue, lane.lcore);
    NodePtr<Stream> stream = make_on_node<Stream>(lane.socket, labels);
    if (!stream) return Error{ENOMEM, "no memory for a stream's counters; give EAL more: -m MB"};
    stream->rx_port = ports->find(planned.rx_port);
    stream->tx_port = ports->find(planned.tx_port);
    stream->rx_queue = planned.rx_queue;
    stream->tx_queue = planned.tx_queue;
    stream->lane = static_cast<uint16_t>(planned.lane);
    stream->burst = settings.burst;
    stream->peer = peer_of(settings, planned.tx_port);
    stream->settings = &settings;
    const Engine* engine = stream->engine = planned.engine;
    stream->router = engine->routes ? router.get() : nullptr;
    stream->gateway = engine->ipsec ? gateway.get() : nullptr;
    for (const uint16_t to : planned.tee) stream->tee.emplace_back(ports->find(to), fmt::format("{},to={}", labels, to));
    if (engine->begin != nullptr)
        if (Status status = engine->begin(*stream); !status) return status;
    lane.streams.push_back(stream.get());
    placed.push_back({planned, lane.lcore, std::move(stream)});
    return {};
}

// prepare_gateway - before there are TAPs: nothing is to be sent that no policy has seen.
Status Forwarder::State::prepare_gateway(const Plan& made) {
    const std::vector<Port*> of_plan = ports_that(made, &Engine::ipsec);
    if (of_plan.empty()) return {};
    const bool first = gateway == nullptr;
    if (first) {
        Result<std::unique_ptr<Gateway>> fresh = Gateway::make(settings, epoch.get());
        if (!fresh) return fresh.error();
        gateway = std::move(fresh).value();
    }
    gateway->use_ports(of_plan);
    for (const std::string& note : first ? gateway->notes() : std::vector<std::string>()) say(note + "\n");
    return gateway->begin_run(made.lcores);
}

// prepare_router - every port of the plan has its TAP before a lane runs.
Status Forwarder::State::prepare_router(const Plan& made) {
    const std::vector<Port*> of_plan = ports_that(made, &Engine::routes);
    if (of_plan.empty()) return {};
    if (router == nullptr) {
        Result<std::unique_ptr<Router>> fresh = Router::make(settings, epoch.get());
        if (!fresh) return fresh.error();
        router = std::move(fresh).value();
        for (const std::string& note : router->notes()) say(note + "\n");
    }
    return router->use_ports(of_plan);
}

// place - streams and lanes for this run's plan.
Status Forwarder::State::place() {
    for (const unsigned lcore : plan.lcores)
        if (lanes->add(lcore) == nullptr)
            return Error{ENOMEM, "no memory for an lcore's state; give EAL more: -m MB"};
    for (const PlannedStream& planned : plan.streams)
        if (Status status = place_one(planned, *lanes->list()[planned.lane]); !status) return status;
    report_nodes(placed);
    flush_unread();
    beginning = raw();
    beginning.file = file_sent();  // pages may have been copied before this run
    base = beginning;
    began = rte_rdtsc();
    return lanes->launch();
}

// begin_run - a new run up to the gate. When it fails, the last one's streams and numbers are still
// there, as if nobody had asked.
Status Forwarder::State::begin_run(Plan made) {
    Run run;
    run.mode = settings.mode;
    run.plan = std::move(made);
    run.lanes = Lanes::create(epoch.get());
    Run old = exchange(std::move(run));
    if (Status status = place(); !status) {
        end_streams();
        static_cast<void>(exchange(std::move(old)));
        return status;
    }
    old = {};
    ports->bury();  // H2
    return {};
}

// end_streams - what engines kept goes back; the counters stay.
void Forwarder::State::end_streams() {
    for (Placed& p : placed)
        if (const Engine* engine = p.stream->engine; engine->end != nullptr) engine->end(*p.stream);
}

Status Forwarder::State::first_bursts(uint32_t n) {
    for (Placed& p : placed)
        if (Status status = send_bursts(*p.stream, n); !status) return status;
    return {};
}

// What queued up while nobody read is old: its senders have given up on it, or sent it again.
void Forwarder::State::flush_unread() {
    for (Port* port : used_ports())
        if (settings.flush_rx && unread.contains(port->id())) ports->flush(*port);
    unread.clear();
}

// ---- stopping them ------------------------------------------------------------------------------

// A generator's packets are under way somewhere. Wait for them as long as any arrive, and half a
// second longer. Only its own count, each once: other people's may come for ever, and so may copies
// of one that was here already.
void Forwarder::State::drain_generators() {
    for (Placed& p : placed) {
        request_drain(*p.stream);
        finish_file(*p.stream);
    }
    lanes->quiesce();  // from here no turn is under way that has not seen the request
    const uint64_t patience = rte_get_tsc_hz() / 2;
    uint64_t moved = 0, since_tsc = rte_rdtsc();
    const auto all_drained = [this] {
        return std::all_of(placed.begin(), placed.end(),
                           [](const Placed& p) { return drained(*p.stream) && file_finished(*p.stream); });
    };
    while (!all_drained() && rte_rdtsc() - since_tsc < patience) {
        stat::beat();
        uint64_t now = 0;
        for (const Placed& p : placed) now += packets_back(*p.stream) + file_told(*p.stream);
        if (now != moved) since_tsc = rte_rdtsc();
        moved = now;
        usleep(1000);
    }
    empty_links();
}

// empty_links - what is between two ends of a link is nowhere else: let the lanes take it along. A turn takes a
// packet one link further; who is in hand while the rings are looked at is in a ring a turn later.
void Forwarder::State::empty_links() {
    constexpr uint32_t kMostHops = 4, kMostTurns = 4096;  // a ring that nobody reads never empties
    for (uint32_t turns = 0, empty = 0; empty < kMostHops && turns < kMostTurns; ++turns) {
        empty = links->waiting() == 0 ? empty + 1 : 0;
        lanes->quiesce();
    }
}

// Lanes end between receive and transmit being closed, so that no generator sends into a stub.
void Forwarder::State::close_paths() {
    const std::vector<Port*> used = used_ports();
    for (Port* port : used)
        if (port->phase() == PortPhase::rx_open) port->close_rx(quiesce());
    lanes->quiesce();  // one more whole turn: engines send what they held back
    lanes->join();
    for (Port* port : used) {
        if (port->phase() == PortPhase::tx_open) port->close_tx({});
        if (port->phase() == PortPhase::started) unread.insert(port->id());
    }
}

// ---- counting -----------------------------------------------------------------------------------

SeqReport Forwarder::State::sequence() const {
    SeqReport sum;
    for (const Placed& p : placed) add(sum, seq_report(*p.stream));
    return sum;
}

FileReport Forwarder::State::file_sent() const {
    FileReport sum;
    for (const Placed& p : placed) add(sum, file_report(*p.stream));
    if (!sum.used) return sum;
    const WindowCounters windows = window_counters();
    const auto copied = [&windows](CopiedFor why) { return windows.copied_bytes[static_cast<size_t>(why)]; };
    sum.copied_ext_pgs_off = copied(CopiedFor::ext_pgs_off);
    sum.copied_nic = copied(CopiedFor::nic);
    sum.copied_verb = copied(CopiedFor::verb);
    sum.copied_capture = copied(CopiedFor::capture);
    sum.looked_at = copied(CopiedFor::read);
    return sum;
}

RecvReport Forwarder::State::file_received() const {
    RecvReport sum;
    for (const Placed& p : placed) add(sum, recv_report(*p.stream));
    return sum;
}

namespace {

CopyReport copies_so_far() {
    const Moved verbs = moved();
    const WindowCounters windows = window_counters();
    const auto by_verb = [&verbs](MovedFor why) { return verbs.bytes[static_cast<size_t>(why)]; };
    const auto of_pages = [&windows](CopiedFor why) { return windows.copied_bytes[static_cast<size_t>(why)]; };
    return {.unshare = by_verb(MovedFor::unshare),
            .dup = by_verb(MovedFor::dup),
            .contiguous = by_verb(MovedFor::contiguous),
            .compact = by_verb(MovedFor::compact),
            .foreign = by_verb(MovedFor::foreign),
            .flat = by_verb(MovedFor::flat),
            .page_verb = of_pages(CopiedFor::verb),
            .page_ext_pgs_off = of_pages(CopiedFor::ext_pgs_off),
            .page_nic = of_pages(CopiedFor::nic),
            .page_capture = of_pages(CopiedFor::capture)};
}

}  // namespace

Report Forwarder::State::raw() const {
    Report report;
    report.mode = mode.empty() ? settings.mode : mode;
    report.tsc_hz = rte_get_tsc_hz();
    const uint64_t now = running ? rte_rdtsc() : ended;
    report.seconds = static_cast<double>(now - began) / static_cast<double>(report.tsc_hz);
    report.sample = running;
    for (const Placed& p : placed) report.streams.push_back(numbers_of(p));
    for (const auto& lane : lanes->list()) {
        const CycleMeter::Reading cycles = lane->meter.read(rte_rdtsc());
        report.lcores.push_back({.lcore = lane->lcore,
                                 .socket = lane->socket,
                                 .busy_cycles = cycles.busy,
                                 .idle_cycles = cycles.idle,
                                 .packets = lane->stats->packets.read()});
    }
    report.ports = ports->counts();
    if (!running) freeze(report.ports, frozen);
    report.seq = running ? sequence() : seq;
    report.file = running ? file_sent() : file;
    report.recv = running ? file_received() : recv;
    report.copies = copies_so_far();
    return report;
}

void Forwarder::State::take_ledger() {
    std::vector<StreamHolds> held;
    EngineHolds engines;
    for (const Placed& p : placed) {
        held.push_back({.mbufs = p.stream->stats.held_mbufs.read(),
                        .packets = p.stream->stats.held_packets.read(),
                        .packets_of = p.stream->tx_port->config().rx_zone});
        if (p.stream->state != nullptr) p.stream->state->holds(engines);
    }
    ledger.take(ports->list(), held, engines, file_cache_pages());
}

// sample - what nobody counts. Ten times a second; what needs a look at every header, once.
void Forwarder::State::sample() {
    sampled = rte_rdtsc();
    zones_sample();
    pages_sample(program->samples.read() % 10 == 0);
    ports->sample();
    for (const auto& lane : lanes->list()) lane->sample();
    take_ledger();
    program->tsc.set(rte_get_tsc_hz());
    program->samples.add(1);
    stat::beat();
}

// ---- the public face ----------------------------------------------------------------------------

Forwarder::Forwarder(std::unique_ptr<State> state) : state_(std::move(state)) {}

Forwarder::~Forwarder() {
    if (!state_->halted) static_cast<void>(halt());
}

Result<std::unique_ptr<Forwarder>> Forwarder::create(const Settings& settings) {
    if (Status status = check(settings); !status) return status.error();
    if (const auto lcores = choose_lcores(settings, worker_lcores()); !lcores) return lcores.error();
    auto state = std::make_unique<State>(settings);
    Result<std::unique_ptr<Links>> links = Links::make(settings);  // the pools' sizes count their ports
    if (!links) return links.error();
    state->links = std::move(links).value();
    Result<std::unique_ptr<Buffers>> buffers = Buffers::create(settings);
    if (!buffers) return buffers.error();
    state->buffers = std::move(buffers).value();
    Result<std::unique_ptr<Pages>> pages = Pages::create(settings);
    if (!pages) return pages.error();
    state->pages = std::move(pages).value();
    state->ports = std::make_unique<PortSet>(state->settings, *state->buffers);
    Result<Epoch> epoch = make_epoch();
    if (!epoch) return epoch.error();
    state->epoch = std::move(epoch).value();
    state->lanes = Lanes::create(state->epoch.get());
    std::unique_ptr<Forwarder> forwarder(new Forwarder(std::move(state)));
    for (const uint16_t id : present_ports())
        if (Result<Port*> port = forwarder->state_->ports->add(id); !port) return port.error();
    const std::vector<Port*> ports = forwarder->state_->ports->list();
    for (Port* port : ports)
        if (Status status = port->start(); !status) return status.error();
    prove_pages(ports);
    for (const Port* port : ports) forwarder->state_->ports->say_notes(port->id());
    forwarder->state_->sample();
    stat::say(stat::State::stopped);
    return forwarder;
}

bool Forwarder::running() const noexcept { return state_->running; }

Status Forwarder::start(uint32_t tx_first) {
    State& s = *state_;
    UM_ASSERT(!s.halted);
    if (s.running) return Error{EALREADY, "packet forwarding already started; 'stop' first"};
    if (Status status = check(s.settings); !status) return status;
    Result<Plan> plan = s.make_plan();
    if (!plan) return plan.error();
    if (Status status = s.check_plan(plan.value(), tx_first); !status) return status;
    for (const std::string& note : plan.value().notes) say(note + "\n");
    if (Status status = s.prepare_gateway(plan.value()); !status) return status;
    if (Status status = s.prepare_router(plan.value()); !status) return status;
    if (Status status = s.begin_run(std::move(plan).value()); !status) return status;
    s.running = true;
    const std::vector<Port*> used = s.used_ports();
    for (Port* port : used) port->open_tx();
    Status first = tx_first > 0 ? s.first_bursts(tx_first) : Status{};
    for (Port* port : used) port->open_rx();
    s.lanes->go();
    stat::say(stat::State::running);
    if (!first) static_cast<void>(stop());
    return first;
}

Status Forwarder::stop() {
    State& s = *state_;
    if (!s.running) return Error{EALREADY, "packet forwarding not started"};
    s.drain_generators();
    s.close_paths();
    s.ended = rte_rdtsc();
    s.frozen = s.ports->counts();
    s.running = false;
    s.end_streams();
    s.seq = s.sequence();
    s.file = s.file_sent();
    s.recv = s.file_received();
    for (Placed& p : s.placed) p.stream->state.reset();  // its tables are the next run's memory
    s.sample();
    stat::say(stat::State::stopped);
    return {};
}

// ---- ports --------------------------------------------------------------------------------------

Status Forwarder::port_start(uint16_t id) {
    State& s = *state_;
    Port* port = s.ports->find(id);
    if (port == nullptr) return no_port(id);
    if (port->phase() != PortPhase::configured)
        return Error{EALREADY, fmt::format("port {} is started already", id)};
    if (Status status = port->start(); !status) return status;
    prove_pages(s.ports->list());
    s.ports->say_notes(id);
    if (!s.running || !s.uses(port)) return {};
    port->open_tx();
    port->open_rx();
    return {};
}

Status Forwarder::port_stop(uint16_t id) {
    State& s = *state_;
    Port* port = s.ports->find(id);
    if (port == nullptr) return no_port(id);
    if (port->phase() == PortPhase::configured)
        return Error{EALREADY, fmt::format("port {} is stopped already", id)};
    s.unread.erase(id);
    return port->halt(s.quiesce());  // H1
}

Status Forwarder::port_close(uint16_t id) {
    if (state_->ports->find(id) == nullptr) return no_port(id);
    state_->unread.erase(id);
    return state_->ports->remove(id, false, state_->quiesce());
}

Status Forwarder::port_detach(uint16_t id) {
    if (state_->ports->find(id) == nullptr) return no_port(id);
    state_->unread.erase(id);
    return state_->ports->remove(id, true, state_->quiesce());
}

Status Forwarder::port_clear(uint16_t id, bool extended) {
    if (state_->ports->find(id) == nullptr) return no_port(id);
    return state_->ports->clear(id, extended);
}

Result<uint16_t> Forwarder::port_attach(const std::string& devargs) {
    Result<Port*> port = state_->ports->attach(devargs);
    if (!port) return port.error();
    return port.value()->id();
}

std::vector<Port*> Forwarder::ports() const { return state_->ports->list(); }
Port* Forwarder::find_port(uint16_t port) const { return state_->ports->find(port); }

// ---- settings -----------------------------------------------------------------------------------

const Settings& Forwarder::settings() const noexcept { return state_->settings; }

Status Forwarder::change(const std::function<void(Settings&)>& edit) {
    if (state_->running) return Error{EBUSY, "not while packets are forwarded; 'stop' first"};
    Settings edited = state_->settings;
    edit(edited);
    if (Status status = check(edited); !status) return status;
    state_->settings = std::move(edited);
    return {};
}

void Forwarder::use_ext_pgs(bool on) {
    state_->settings.ext_pgs = on;  // read by the control thread only: the lanes ask mb_use_ext_pgs
    mb_use_ext_pgs.store(on, sync::relaxed);
}

// ---- what happened ------------------------------------------------------------------------------

Report Forwarder::report() const {
    const State& s = *state_;
    if (s.halted) return s.last;
    Report report = since(s.raw(), s.base, s.beginning);
    summarize(report);
    report.zones = s.buffers->report();
    return report;
}

void Forwarder::clear_stats() {
    if (!state_->halted) state_->base = state_->raw();
}

std::string Forwarder::config_text() const {
    const State& s = *state_;
    Plan plan = s.plan;
    if (!s.running) {
        Result<Plan> next = s.make_plan();
        if (!next) return next.error().text + "\n";
        plan = std::move(next).value();
    }
    std::string text = fmt::format(
        "{} packet forwarding - ports={} - cores={} - streams={} - NUMA support {}, MP allocation mode: "
        "native\n",
        s.settings.mode, plan.ports.size(), plan.lcores.size(), plan.streams.size(),
        s.settings.numa ? "enabled" : "disabled");
    const bool own_mode = !s.settings.port_modes.empty();
    const auto node = [&s](uint16_t port) { return node_of_port(port, s.settings.numa); };
    for (size_t lane = 0; lane < plan.lcores.size(); ++lane) {
        const auto mine = std::count_if(plan.streams.begin(), plan.streams.end(),
                                        [lane](const PlannedStream& p) { return p.lane == lane; });
        text += fmt::format("Logical Core {} (socket {}) forwards packets on {} streams:\n",
                            plan.lcores[lane], rte_lcore_to_socket_id(plan.lcores[lane]), mine);
        for (const PlannedStream& p : plan.streams)
            if (p.lane == lane)
                text += fmt::format("  RX P={}/Q={} (socket {}) -> TX P={}/Q={} (socket {}) peer={}{}{}\n",
                                    p.rx_port, p.rx_queue, node(p.rx_port), p.tx_port, p.tx_queue,
                                    node(p.tx_port), mac_text(peer_of(s.settings, p.tx_port)), own_mode ? " mode=" : "",
                                    own_mode ? p.engine->name : "");
    }
    return text + "\n";
}

void Forwarder::poll() {
    State& s = *state_;
    if (s.halted) return;
    s.ports->watch_links([&s](const Port* port) { return s.running && s.uses(port); }, s.quiesce());
    s.ports->poll_events([&s](Port& port) {
        s.unread.erase(port.id());
        if (Status status = port.halt(s.quiesce()); !status) say(status.error().text + "\n");
    });
    for (const Placed& p : s.placed)
        if (const Engine* engine = p.stream->engine; s.running && engine->poll != nullptr) engine->poll(*p.stream);
    if (s.router != nullptr) s.router->watch_links(s.ports->list());
    if (s.gateway != nullptr) s.gateway->poll();
    reclaim_set_aside();
    if (rte_rdtsc() - s.sampled >= rte_get_tsc_hz() / 11) s.sample();
}

Router* Forwarder::router() const noexcept { return state_->router.get(); }
Gateway* Forwarder::gateway() const noexcept { return state_->gateway.get(); }

void Forwarder::sample() {
    if (!state_->halted) state_->sample();
}

std::vector<Ledger::Line> Forwarder::owners() {
    sample();
    return state_->ledger.lines();
}

namespace {

// name_holders - of each zone that holds more than it should.
void name_holders(std::vector<ZoneReport>& zones, const std::vector<Ledger::Line>& ledger) {
    for (ZoneReport& zone : zones) {
        if (zone.in_use == zone.expected) continue;
        for (const Ledger::Line& line : ledger)
            if (line.zone == zone.name && line.owner != "pool" && line.owner != "lcore_caches")
                zone.held_by += fmt::format("{}{} {}", zone.held_by.empty() ? "" : ", ", line.owner, line.elements);
    }
}

}  // namespace

Report Forwarder::halt() {
    State& s = *state_;
    if (s.halted) return s.last;
    if (s.running) static_cast<void>(stop());
    s.router.reset();
    Report report = this->report();
    report.problems = s.ports->halt([&s] {
        s.sample();
        stat::close();  // before those go whose numbers they are: the file keeps the last ones
    });
    s.links.reset();
    s.placed.clear();
    s.gateway.reset();
    s.lanes->clear();
    report.zones = s.buffers->report();
    name_holders(report.zones, s.ledger.lines());
    for (std::string& held : s.pages->halt()) report.problems.push_back(std::move(held));
    s.buffers->halt();
    report.final = true;
    report.pools_balanced = std::all_of(report.zones.begin(), report.zones.end(),
                                        [](const ZoneReport& z) { return z.in_use == z.expected; });
    s.last = std::move(report);
    s.halted = true;
    return s.last;
}

}  // namespace umbuf::fwd
