// SPDX-License-Identifier: BSD-2-Clause
// commands.cc - the table of commands, in testpmd's words where testpmd has the command.
//
// A command changes something through the Forwarder and prints a line about it, or prints what
// show.h made. What goes wrong is returned, never printed here: who reads the lines decides what an
// error ends.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_memzone.h>
#include <rte_ring.h>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/machine/forwarder.h"
#include "app/umfwd/prompt/prompt.h"
#include "app/umfwd/prompt/sa_commands.h"
#include "app/umfwd/prompt/show.h"
#include "app/umfwd/machine/topology.h"
#include "app/umfwd/route/router.h"
#include "drivers/crypto/engines.h"
#include "lib/mbuf/trace.h"

namespace umbuf::fwd {
namespace {

// ---- helpers

Status print(Session& session, const std::string& text) {
    session.print(text);
    return {};
}
Status print(Session& session, Result<std::string> text) {
    if (!text) return text.error();
    return print(session, text.value());
}

Result<std::vector<Port*>> chosen_ports(const Session& session, const Args& args) {
    const std::vector<Port*> all = session.forwarder->ports();
    if (args.is_all("port")) return all;
    const auto wanted = static_cast<uint16_t>(args.number("port"));
    std::vector<uint16_t> ids;
    for (Port* port : all) {
        if (port->id() == wanted) return std::vector<Port*>{port};
        ids.push_back(port->id());
    }
    const std::string there = ids.empty() ? "none" : fmt::format("{}", fmt::join(ids, ", "));
    return Error{ENODEV,
                 fmt::format("port {}: there is no such port; there are: {}", wanted, there)};
}

// on_each - all chosen ports get their turn, also after one failed; the first error is the answer.
template <class Do>
Status on_each(const Session& session, const Args& args, const Do& act) {
    Result<std::vector<Port*>> ports = chosen_ports(session, args);
    if (!ports) return ports.error();
    Status first;
    for (Port* port : ports.value()) {
        Status done = act(*port);
        if (first && !done) first = std::move(done);
    }
    return first;
}

// in_our_words - the settings' sentences speak of options; who typed a command reads about it.
Error in_our_words(Error error) {
    struct Renamed {
        std::string_view option, command;
    };
    static constexpr Renamed kNames[] = {
        {.option = "--nb-cores", .command = "set nbcore"},
        {.option = "--nb-ports", .command = "set nbport"},
        {.option = "--portlist", .command = "set portlist"},
        {.option = "--corelist", .command = "set corelist"},
        {.option = "--txpkts", .command = "set txpkts"},
        {.option = "--port-topology", .command = "set topology"},
        {.option = "--burst", .command = "set burst"},
        {.option = "--forward-mode", .command = "set fwd"},
    };
    for (const auto& [option, command] : kNames) {
        if (!error.text.starts_with(option)) continue;
        error.text.replace(0, option.size(), command);
        if (error.text[command.size()] == '=') error.text[command.size()] = ' ';
    }
    return error;
}

Status change(Session& session, const std::function<void(Settings&)>& edit,
              const std::string& text) {
    Status done = session.forwarder->change(edit);
    if (!done) return in_our_words(done.error());
    return print(session, text);
}

// change_places - ports and lcores: what is not there is refused now, not at the next start.
Status change_places(Session& session, const std::function<void(Settings&)>& edit,
                     const std::string& text) {
    const Forwarder& forwarder = *session.forwarder;
    if (!forwarder.running()) {
        Settings edited = forwarder.settings();
        edit(edited);
        std::vector<uint16_t> ports;
        for (const Port* port : forwarder.ports())
            ports.push_back(port->id());
        if (Result<std::string> cores = show::config_cores(edited); !cores)
            return in_our_words(cores.error());
        if (auto chosen = choose_ports(edited, ports); !chosen)
            return in_our_words(chosen.error());
    }
    return change(session, edit, text);
}

// as_option - a value in the form of its command line option: one parser, one set of sentences.
Result<Settings> as_option(const char* option, const std::string& value) {
    std::string program = "umfwd", argument = fmt::format("{}={}", option, value);
    char* argv[] = {program.data(), argument.data(), nullptr};
    Result<ParsedArgs> parsed = parse_args(2, argv);
    if (!parsed) return in_our_words(parsed.error());
    return parsed.value().settings;
}

const PortNic* nic_of(const Report& report, uint16_t port) {
    for (const PortForward& p : report.ports)
        if (p.port == port) return &p.nic;
    return nullptr;
}

// ---- forwarding

Status start(Session& session, const Args& args) {
    uint32_t bursts = 0;
    if (args.given("tx_first")) bursts = 1;
    if (args.given("n")) bursts = static_cast<uint32_t>(args.number("n"));
    Status done = session.forwarder->start(bursts);
    if (!done) return done;
    return print(session, session.forwarder->config_text());
}

Status stop(Session& session, const Args&) {
    Status done = session.forwarder->stop();
    if (!done) return done;
    return print(session, "Telling cores to stop...\nWaiting for lcores to finish...\n" +
                              to_text(session.forwarder->report()) + "\nDone.\n");
}

Status quit(Session& session, const Args&) {
    session.quit = true;
    return {};
}

Status load(Session& session, const Args& args) {
    return session.load(args.text("file"));
}

// is_in - does `help part` list this command? testpmd's sections are known by the first words of
// their commands, anything else is looked for in the text.
bool is_in(std::string_view part, std::string_view grammar) {
    struct Section {
        std::string_view name;
        std::vector<std::string_view> firsts;
    };
    static const Section kSections[] = {
        {.name = "control", .firsts = {"start", "stop", "quit", "help", "load"}},
        {.name = "display", .firsts = {"show", "clear", "dump_", "trace"}},
        {.name = "config", .firsts = {"set", "port config"}},
        {.name = "ports", .firsts = {"port "}},
        {.name = "devices", .firsts = {"show device", "port attach", "port detach"}},
    };
    if (part == "all") return true;
    for (const auto& [section, firsts] : kSections)
        if (section == part)
            return std::ranges::any_of(
                firsts, [grammar](std::string_view first) { return grammar.starts_with(first); });
    return grammar.find(part) != std::string_view::npos;
}

Status help(Session& session, const Args& args) {
    const std::string part = args.given("part") ? args.text("part") : "";
    std::string text;
    for (const Command& command : commands())
        if (is_in(part, command.grammar))
            text += fmt::format("{}\n    {}\n", command.grammar, command.help);
    if (text.empty())
        return Error{ENOENT,
                     fmt::format("help {}: no command has this in it; \"help\" lists all", part)};
    return print(session, "\n" + text + "\nTab completes a word, '?' shows what may follow.\n");
}

// ---- show

Status show_port(Session& session, const Args& args) {
    const std::string& what = args.word(0);
    if (what == "summary") {
        Result<std::vector<Port*>> ports = chosen_ports(session, args);
        if (!ports) return ports.error();
        return print(session, show::port_summary(ports.value()));
    }
    const Report report = what == "stats" ? session.forwarder->report() : Report();
    return on_each(session, args, [&](Port& port) -> Status {
        if (what == "info") return print(session, show::port_info(port));
        if (what == "xstats") return print(session, show::port_xstats(port.id()));
        const PortNic* nic = nic_of(report, port.id());
        if (nic == nullptr)
            return Error{ENODATA, fmt::format("port {}: its device has no counters", port.id())};
        return print(session, show::port_stats(port.id(), *nic, session.shown[port.id()],
                                               rte_get_tsc_cycles(), rte_get_tsc_hz()));
    });
}

Status show_fwd(Session& session, const Args&) {
    return print(session, to_text(session.forwarder->report()));
}

Status show_config(Session& session, const Args& args) {
    const Forwarder& forwarder = *session.forwarder;
    const Settings& settings = forwarder.settings();
    if (args.word(0) == "rxtx")
        return print(session, show::config_rxtx(settings, forwarder.ports()));
    if (args.word(0) == "cores") return print(session, show::config_cores(settings));
    if (args.word(0) == "pages") return print(session, show::config_pages(settings));
    if (args.word(0) == "txpkts")
        return print(session, fmt::format("Number of segments: {}\nSegment sizes: {}\n",
                                          settings.txpkts.size(), fmt::join(settings.txpkts, ",")));
    return print(session, forwarder.config_text());
}

Status show_queue(Session& session, const Args& args) {
    const auto queue = static_cast<uint16_t>(args.number("queue"));
    const bool rx = args.word(0) == "rxq";
    return on_each(session, args, [&](const Port& port) {
        return print(session, rx ? show::rx_queue(port, queue) : show::tx_queue(port, queue));
    });
}

Status show_mbuf(Session& session, const Args&) {
    return print(session, show::mbufs(session.forwarder->report().zones));
}

// show_routing - show route, show neigh, show kernel.
Status show_routing(Session& session, const Args& args) {
    Router* router = session.forwarder->router();
    if (router == nullptr) return Error{ENOENT, "nothing has been routed yet: set fwd route, start"};
    if (args.word(0) == "route") return print(session, router->routes_text());
    if (args.word(0) == "neigh") return print(session, router->neighbours_text());
    return print(session, router->kernel_text());
}

Status show_owners(Session& session, const Args&) {
    return print(session, to_text(session.forwarder->owners()));
}

Status show_device(Session& session, const Args& args) {
    const std::string& name = args.text("name");
    std::string text;
    for (const Port* port : session.forwarder->ports())
        if (name == "all" || name == port->name()) text += show::device_info(*port);
    if (text.empty() && name != "all")
        return Error{ENODEV,
                     fmt::format("device {}: no port belongs to it; \"show port summary all\" "
                                 "lists their names",
                                 name)};
    return print(session, text);
}

// ---- clear

Status clear_port(Session& session, const Args& args) {
    const bool extended = args.word(0) == "xstats";
    return on_each(session, args, [&](const Port& port) -> Status {
        if (Status status = session.forwarder->port_clear(port.id(), extended); !status)
            return status;
        session.shown.erase(port.id());
        return print(session, fmt::format("\n  NIC {}statistics for port {} cleared\n",
                                          extended ? "extended " : "", port.id()));
    });
}

Status clear_fwd(Session& session, const Args&) {
    session.forwarder->clear_stats();
    return {};
}

// ---- set

Status set_fwd(Session& session, const Args& args) {
    const std::string mode = args.word(0);
    return change(
        session, [&](Settings& s) { s.mode = mode; },
        fmt::format("Set {} packet forwarding mode\n", mode));
}

Status set_burst(Session& session, const Args& args) {
    const auto n = static_cast<uint16_t>(args.number("n"));
    return change(
        session, [&](Settings& s) { s.burst = n; },
        fmt::format("Number of packets per burst set to {}\n", n));
}

Status set_nbcore(Session& session, const Args& args) {
    const auto n = static_cast<uint32_t>(args.number("n"));
    return change_places(
        session, [&](Settings& s) { s.nb_cores = n; },
        fmt::format("Number of forwarding cores set to {}\n", n));
}

Status set_nbport(Session& session, const Args& args) {
    const auto n = static_cast<uint16_t>(args.number("n"));
    return change_places(
        session, [&](Settings& s) { s.nb_ports = n; },
        fmt::format("Number of forwarding ports set to {}\n", n));
}

Status set_portlist(Session& session, const Args& args) {
    Result<Settings> wanted = as_option("--portlist", args.text("list"));
    if (!wanted) return wanted.error();
    return change_places(
        session,
        [&](Settings& s) {
            s.port_list = wanted.value().port_list;
            s.nb_ports = 0;
        },
        fmt::format("Forwarding ports set to {}\n", fmt::join(wanted.value().port_list, ",")));
}

Status set_corelist(Session& session, const Args& args) {
    Result<Settings> wanted = as_option("--corelist", args.text("list"));
    if (!wanted) return wanted.error();
    return change_places(
        session,
        [&](Settings& s) {
            s.core_list = wanted.value().core_list;
            s.nb_cores = wanted.value().nb_cores;
        },
        fmt::format("Forwarding lcores set to {}\n", fmt::join(wanted.value().core_list, ",")));
}

Status set_txpkts(Session& session, const Args& args) {
    Result<Settings> wanted = as_option("--txpkts", args.text("lengths"));
    if (!wanted) return wanted.error();
    return change(
        session, [&](Settings& s) { s.txpkts = wanted.value().txpkts; },
        fmt::format("Segment lengths set to {}\n", fmt::join(wanted.value().txpkts, ",")));
}

Status set_topology(Session& session, const Args& args) {
    Result<Settings> wanted = as_option("--port-topology", args.word(0));
    if (!wanted) return wanted.error();
    return change(
        session, [&](Settings& s) { s.topology = wanted.value().topology; },
        fmt::format("Port topology set to {}\n", args.word(0)));
}

Status set_flush_rx(Session& session, const Args& args) {
    const bool on = args.word(0) == "on";
    return change(
        session, [&](Settings& s) { s.flush_rx = on; },
        fmt::format("Flush of waiting packets at a restart: {}\n", args.word(0)));
}

Status set_ext_pgs(Session& session, const Args& args) {
    session.forwarder->use_ext_pgs(args.word(0) == "on");
    return print(session, fmt::format("New mbufs may be unmapped: {}\n", args.word(0)));
}

Status set_eth_peer(Session& session, const Args& args) {
    rte_ether_addr mac;
    UM_ASSERT(rte_ether_unformat_addr(args.text("mac").c_str(), &mac) == 0);  // the grammar's type
    return on_each(session, args, [&](const Port& port) {
        return change(
            session, [&](Settings& s) { s.peers[port.id()] = mac; },
            fmt::format("Peer of port {} set to {}\n", port.id(), args.text("mac")));
    });
}

Status set_promisc(Session& session, const Args& args) {
    const bool on = args.word(0) == "on";
    return on_each(session, args, [&](const Port& port) -> Status {
        const int e =
            on ? rte_eth_promiscuous_enable(port.id()) : rte_eth_promiscuous_disable(port.id());
        if (e == 0) return {};
        return Error{-e, fmt::format("Error during {} promiscuous mode for port {}: {}",
                                     on ? "enabling" : "disabling", port.id(), rte_strerror(-e))};
    });
}

Status set_allmulti(Session& session, const Args& args) {
    const bool on = args.word(0) == "on";
    return on_each(session, args, [&](const Port& port) -> Status {
        const int e =
            on ? rte_eth_allmulticast_enable(port.id()) : rte_eth_allmulticast_disable(port.id());
        if (e == 0) return {};
        return Error{-e, fmt::format("Error during {} all-multicast mode for port {}: {}",
                                     on ? "enabling" : "disabling", port.id(), rte_strerror(-e))};
    });
}

Status set_record(Session& session, const Args& args) {
    if (args.word(1) == "off")
        return Error{ENOTSUP, fmt::format("set {} off: it is part of every report and cannot be "
                                          "switched off",
                                          args.word(0))};
    return print(session, fmt::format("{} is always on\n", args.word(0)));
}

Status set_log(Session&, const Args& args) {
    const std::string& type = args.text("type");
    const auto level = static_cast<uint32_t>(args.number("level"));
    if (level < 1 || level > RTE_LOG_MAX)
        return Error{EINVAL, fmt::format("set log {} {}: expected a level from 1 (emergency) to {} "
                                         "(debug)",
                                         type, level, static_cast<unsigned>(RTE_LOG_MAX))};
    if (type == "global") {
        rte_log_set_global_level(level);
        return {};
    }
    if (rte_log_set_level_pattern(type.c_str(), level) < 0)
        return Error{EINVAL,
                     fmt::format("set log {}: expected \"global\" or the name of a log, such "
                                 "as pmd.net.virtio.*",
                                 type)};
    return {};
}

// ---- port

Status turn(Forwarder& forwarder, const std::string& what, uint16_t port) {
    if (what == "start") return forwarder.port_start(port);
    if (what == "stop") return forwarder.port_stop(port);
    if (what == "reset") {
        Status stopped = forwarder.port_stop(port);
        if (!stopped && stopped.error().code != EALREADY) return stopped;
        return forwarder.port_start(port);
    }
    return forwarder.port_close(port);
}

Status port_start_stop(Session& session, const Args& args) {
    Forwarder& forwarder = *session.forwarder;
    const std::string& what = args.word(0);
    session.print(what == "start"   ? "Starting ports...\n"
                  : what == "stop"  ? "Stopping ports...\n"
                  : what == "reset" ? "Resetting ports...\n"
                                    : "Closing ports...\n");
    Status done = on_each(session, args, [&](const Port& port) -> Status {
        Status turned = turn(forwarder, what, port.id());
        // Of all ports, one that is there already is what was asked for.
        if (turned || !args.is_all("port") || turned.error().code != EALREADY) return turned;
        return print(session, turned.error().text + "\n");
    });
    if (!done) return done;
    return print(session, "Done\n");
}

Status port_attach(Session& session, const Args& args) {
    session.print("Attaching a new port...\n");
    Result<uint16_t> port = session.forwarder->port_attach(args.text("devargs"));
    if (!port) return port.error();
    return print(session, fmt::format("Port {} is attached. Now total ports is {}\nDone\n",
                                      port.value(), session.forwarder->ports().size()));
}

Status port_detach(Session& session, const Args& args) {
    session.print("Removing a device...\n");
    const auto id = static_cast<uint16_t>(args.number("port"));
    Status done = session.forwarder->port_detach(id);
    if (!done) return done;
    session.shown.erase(id);  // the number may come back as another device
    return print(session, fmt::format("Port {} is closed\nDevice is detached\n"
                                      "Now total ports is {}\nDone\n",
                                      id, session.forwarder->ports().size()));
}

// frame_fits - a longer frame than one receive buffer needs a port that makes chains, and that was
// decided when the port was configured.
Status frame_fits(const Port& port, uint32_t mtu) {
    const uint32_t frame = mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
    const Zone* zone = port.config().rx_zone;
    if (zone == nullptr || frame <= zone->size || (port.rx_offloads() & RTE_ETH_RX_OFFLOAD_SCATTER))
        return {};
    return Error{EINVAL,
                 fmt::format("port {}: MTU {} makes frames of {} bytes, its buffers have {}; "
                             "start umfwd with --max-pkt-len={}",
                             port.id(), mtu, frame, zone->size, frame)};
}

Status port_config_mtu(Session& session, const Args& args) {
    const auto mtu = static_cast<uint16_t>(args.number("mtu"));
    return on_each(session, args, [&](const Port& port) -> Status {
        // Lanes may be inside the device, which must not be changed under them.
        if (session.forwarder->running() && port.phase() != PortPhase::configured)
            return Error{EBUSY, fmt::format("port {}: its MTU cannot change while packets are "
                                            "forwarded; 'stop' or 'port stop {}' first",
                                            port.id(), port.id())};
        Status fits = frame_fits(port, mtu);
        if (!fits) return fits;
        const int e = rte_eth_dev_set_mtu(port.id(), mtu);
        if (e == 0) return {};
        return Error{-e, fmt::format("port {} ({}): the driver refused MTU {}: {}{}", port.id(),
                                     port.driver(), mtu, rte_strerror(-e),
                                     e == -EBUSY ? "; \"port stop\" it first" : "")};
    });
}

// ---- dump

// dumped - what a function of DPDK writes to a FILE.
template <class Write>
Status dumped(Session& session, const Write& write) {
    char* text = nullptr;
    size_t size = 0;
    FILE* file = open_memstream(&text, &size);
    if (file == nullptr) return Error{errno, "dump: no memory for the text"};
    write(file);
    fclose(file);
    const std::string copy(text, size);
    free(text);
    return print(session, copy);
}

Error no_object(const char* kind, const std::string& name) {
    return {ENOENT,
            fmt::format("dump_{0} {1}: there is no {0} of this name; \"dump_{0}\" lists all", kind,
                        name)};
}

Status dump_mempool(Session& session, const Args& args) {
    if (!args.given("name")) return dumped(session, rte_mempool_list_dump);
    rte_mempool* pool = rte_mempool_lookup(args.text("name").c_str());
    if (pool == nullptr) return no_object("mempool", args.text("name"));
    return dumped(session, [pool](FILE* file) { rte_mempool_dump(file, pool); });
}

Status dump_ring(Session& session, const Args& args) {
    if (!args.given("name")) return dumped(session, rte_ring_list_dump);
    const rte_ring* ring = rte_ring_lookup(args.text("name").c_str());
    if (ring == nullptr) return no_object("ring", args.text("name"));
    return dumped(session, [ring](FILE* file) { rte_ring_dump(file, ring); });
}

Status dump_memzone(Session& session, const Args&) {
    return dumped(session, rte_memzone_dump);
}
Status dump_lcores(Session& session, const Args&) {
    return dumped(session, rte_lcore_dump);
}
Status dump_physmem(Session& session, const Args&) {
    return dumped(session, rte_dump_physmem_layout);
}
Status dump_socket_mem(Session& session, const Args&) {
    return dumped(session, [](FILE* file) { rte_malloc_dump_stats(file, nullptr); });
}

// ---- trace

Status trace_refcnt(Session& session, const Args& args) {
    const std::string& what = args.word(0);
    if (what == "on")
        if (Status on = trace::start(); !on) return on;
    if (what == "off") trace::stop();
    if (what == "clear") trace::clear();
    const trace::State now = trace::state();
    return print(session, fmt::format("References are {}traced: {} events of {} threads, {} more are overwritten\n",
                                      now.on ? "" : "not ", now.events, now.threads, now.overwritten));
}

Status write_file(const std::string& path, const std::string& text) {
    std::ofstream out(path);
    out << text;
    out.close();
    if (out) return {};
    return Error{errno, fmt::format("file {}: cannot be written: {}", path, std::strerror(errno))};
}

// A terminal is not for all that the rings can hold; a file, or the life of one storage, is.
Status trace_refcnt_dump(Session& session, const Args& args) {
    constexpr uint64_t kForAPerson = 32;
    const bool to_file = args.given("path"), of_one = args.given("address");
    trace::Filter filter;
    if (of_one) filter.storage = reinterpret_cast<const void*>(args.number("address"));
    filter.last = args.given("n") ? args.number("n") : to_file || of_one ? 0 : kForAPerson;
    const std::string text = trace::dump(filter);
    return to_file ? write_file(args.text("path"), text) : print(session, text);
}

// selftest_esp - one line for each algorithm and engine; the first that is wrong is the answer.
Status selftest_esp(Session& session, const Args&) {
    std::string text;
    Status first;
    for (EspVerdict& v : selftest_all()) {
        const bool has = v.status.ok() || v.status.error().code != EOPNOTSUPP;
        text += fmt::format("{:<28} {:<26} {}\n", v.engine, v.algorithm, !has ? "not there" : v.status.ok() ? "ok" : v.status.error().text);
        if (has && first && !v.status) first = std::move(v.status);
    }
    session.print(text);
    return first;
}

// set_fwd_grammar - the modes that there are, so that they complete and a wrong one is answered
// with the list.
const char* set_fwd_grammar() {
    static const std::string grammar = [] {
        std::vector<std::string> names;
        for (const Engine* engine : engines())
            names.emplace_back(engine->name);
        return fmt::format("set fwd ({})", fmt::join(names, "|"));
    }();
    return grammar.c_str();
}

std::vector<Command> table() {
    std::vector<Command> all = {
        {"start [tx_first [<n:count>]]", "start forwarding; tx_first: send n bursts (1) first",
         &start},
        {"stop", "stop forwarding and print what happened", &stop},
        {"quit", "stop, halt in order and end", &quit},
        {"help [<part:str>]", "all commands, or those with this in them", &help},
        {"load <file:str>", "run the commands in a file", &load},

        {"show port (info|stats|xstats|summary) <port:u16|all>", "a port, its counters",
         &show_port},
        {"show fwd stats all", "what was forwarded, and what was not and why", &show_fwd},
        {"show config (fwd|rxtx|cores|txpkts|pages)", "streams, queues, lcores, made packets, pages",
         &show_config},
        {"show (rxq|txq) info <port:u16> <queue:u16>", "how a queue is set up", &show_queue},
        {"show (route|neigh|kernel)", "mode route: routes, neighbours, the kernel's side", &show_routing},
        {"show mbuf", "zones: in use, total, denied; what the traps caught", &show_mbuf},
        {"show mbuf owners", "who holds the elements of each zone", &show_owners},
        {"show device info <name:str>", "the device of a port, by name, or all", &show_device},

        {"clear port (stats|xstats) <port:u16|all>", "set the device's counters to 0", &clear_port},
        {"clear fwd stats all", "set the forwarding counters to 0", &clear_fwd},

        {set_fwd_grammar(), "forwarding mode", &set_fwd},
        {"set burst <n:count>", "packets per burst, 1-512", &set_burst},
        {"set nbcore <n:count>", "lcores that forward", &set_nbcore},
        {"set nbport <n:count>", "forward between the first n ports", &set_nbport},
        {"set portlist <list:str>", "ports that forward, such as 0,2-3", &set_portlist},
        {"set corelist <list:str>", "lcores that forward, such as 1,3", &set_corelist},
        {"set topology (paired|chained|loop)", "which port feeds which", &set_topology},
        {"set txpkts <lengths:str>", "segment lengths of made packets, such as 64,128",
         &set_txpkts},
        {"set eth-peer <port:u16> <mac:mac>", "who is at the other end of a port", &set_eth_peer},
        {"set promisc <port:u16|all> (on|off)", "receive what is not for us", &set_promisc},
        {"set allmulti <port:u16|all> (on|off)", "receive every multicast", &set_allmulti},
        {"set (record-core-cycles|record-burst-stats) (on|off)", "always on", &set_record},
        {"set flush_rx (on|off)", "drop what arrived while stopped", &set_flush_rx},
        {"set ext-pgs (on|off)", "may new mbufs be unmapped; also while forwarding", &set_ext_pgs},
        {"set log <type:str> <level:u32>", "log level, 1-8, of \"global\" or a log", &set_log},

        {"port (start|stop|close|reset) <port:u16|all>", "also while forwarding", &port_start_stop},
        {"port attach <devargs:str>", "add a device, as after --vdev or -a", &port_attach},
        {"port detach <port:u16>", "close a port and remove its device", &port_detach},
        {"port config mtu <port:u16|all> <mtu:u16>", "largest packet without header",
         &port_config_mtu},

        {"trace refcnt (on|off|clear)", "write down where references are taken and dropped", &trace_refcnt},
        {"trace refcnt dump [last <n:count> [file <path:str>]]", "the last events (32), what is still held",
         &trace_refcnt_dump},
        {"trace refcnt dump cluster <address:u64> [last <n:count> [file <path:str>]]",
         "the life of one storage, by its address in another dump", &trace_refcnt_dump},
        {"trace refcnt dump cluster <address:u64> file <path:str>", "the same into a file",
         &trace_refcnt_dump},
        {"trace refcnt dump file <path:str>", "all events into a file", &trace_refcnt_dump},

        {"selftest esp", "published examples of each algorithm, on each engine that is here", &selftest_esp},

        {"dump_mempool [<name:str>]", "DPDK's view of one pool or all", &dump_mempool},
        {"dump_ring [<name:str>]", "DPDK's view of one ring or all", &dump_ring},
        {"dump_memzone", "DPDK's memory zones", &dump_memzone},
        {"dump_lcores", "DPDK's lcores", &dump_lcores},
        {"dump_physmem", "DPDK's memory segments", &dump_physmem},
        {"dump_socket_mem", "DPDK's heaps", &dump_socket_mem},
    };
    const std::span<const Command> of_sas = sa_commands();
    all.insert(all.end(), of_sas.begin(), of_sas.end());
    return all;
}

}  // namespace

std::span<const Command> commands() noexcept {
    static const std::vector<Command> all = table();
    return all;
}

}  // namespace umbuf::fwd
