// SPDX-License-Identifier: BSD-2-Clause
// port_set.cc - ports come, go and are counted.
#include "app/umfwd/machine/port_set.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/machine/links.h"
#include "app/umfwd/packet/mac_text.h"
#include "app/umfwd/say.h"
#include "app/umfwd/machine/topology.h"
#include "drivers/net/eal.h"
#include "drivers/net/quirks.h"

namespace umbuf::fwd {

namespace {

// The callback runs on EAL's interrupt thread, or on one of a driver's: it leaves a mark and goes.
struct Marks {
    sync::atomic<bool> link{false}, removed{false};
};
Marks marks[RTE_MAX_ETHPORTS];  // [a] by port number, so that no lifetime is involved

int on_event(uint16_t port, rte_eth_event_type event, void*, void*) {
    if (port >= RTE_MAX_ETHPORTS) return 0;
    sync::atomic<bool>& mark = event == RTE_ETH_EVENT_INTR_RMV ? marks[port].removed : marks[port].link;
    mark.store(true, sync::release);
    return 0;
}

constexpr rte_eth_event_type kEvents[] = {RTE_ETH_EVENT_INTR_LSC, RTE_ETH_EVENT_INTR_RMV};

bool names(const std::vector<uint16_t>& ports, uint16_t id) { return std::ranges::find(ports, id) != ports.end(); }

const rte_device* device_of(const Port& port) {
    rte_eth_dev_info info{};
    const bool known = port.phase() != PortPhase::closed && rte_eth_dev_info_get(port.id(), &info) == 0;
    return known ? info.device : nullptr;
}

// FAST_FREE means: every packet from one pool, none of them shared. A prompt may change the mode
// later, so only a run whose mode is fixed can allow it.
bool may_share(const Settings& settings) {
    const bool one_pool = settings.mbuf_sizes.size() <= 1 && rte_socket_count() == 1 &&
                          settings.tx_first == 0 && settings.faults.empty();
    return settings.interactive || !settings.cmdline_files.empty() || !one_pool || has_pages(settings) || settings.links > 0 ||
           any_mode(settings, [](const Engine& engine) { return engine.shares || engine.sources; });
}

// probe - rte_dev_probe(), and what DPDK logged meanwhile. When it works, the log goes where logs go.
std::pair<int, std::string> probe(const std::string& devargs) {
    char* text = nullptr;
    size_t size = 0;
    std::FILE* usual = rte_log_get_stream();
    std::FILE* caught = open_memstream(&text, &size);
    if (caught != nullptr) rte_openlog_stream(caught);
    const int e = rte_dev_probe(devargs.c_str());
    if (caught == nullptr) return {e, ""};
    rte_openlog_stream(usual);
    std::fclose(caught);
    const std::string said(text, size);
    std::free(text);
    if (e >= 0 && !said.empty()) {
        std::fwrite(said.data(), 1, said.size(), usual);
        std::fflush(usual);
    }
    return {e, said};
}

// EAL knows a virtual device's driver by how its name begins.
std::string why_not_probed(const std::string& name, const std::string& devargs, const std::string& said) {
    if (said.find("failed to parse device") != std::string::npos)
        return fmt::format("no driver of this DPDK takes devices named '{}', and it is no PCI address; "
                           "check the spelling", name);
    return why_no_device(devargs, said);
}

}  // namespace

SumWish sums_for(const Settings& settings, const rte_eth_dev_info& info) {
    constexpr uint64_t kRx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
                             RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
    constexpr uint64_t kTx = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
                             RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
    const bool may = any_mode(settings, "csum") || settings.interactive || !settings.cmdline_files.empty();
    const SumWish wish{.rx = info.rx_offload_capa & kRx, .tx = info.tx_offload_capa & kTx};
    if (!may || (wish.rx | wish.tx) == 0) return {};
    const char* driver = info.driver_name == nullptr ? "" : info.driver_name;
    return quirks_of(driver).soft_sums ? SumWish{.software = true} : wish;
}

PortSet::PortSet(const Settings& settings, Buffers& buffers) : settings_(settings), buffers_(buffers) {
    for (const rte_eth_event_type event : kEvents)
        rte_eth_dev_callback_register(RTE_ETH_ALL, event, on_event, nullptr);
}

PortSet::~PortSet() {
    for (const rte_eth_event_type event : kEvents)
        rte_eth_dev_callback_unregister(RTE_ETH_ALL, event, on_event, nullptr);
}

PortSet::Slot* PortSet::slot(uint16_t id) {
    for (Slot& slot : slots_)
        if (slot.port->id() == id) return &slot;
    return nullptr;
}

Port* PortSet::find(uint16_t id) const {
    for (const Slot& slot : slots_)
        if (slot.port->id() == id) return slot.port.get();
    return nullptr;
}

std::vector<Port*> PortSet::list() const {
    std::vector<Port*> ports;
    for (const Slot& slot : slots_) ports.push_back(slot.port.get());
    return ports;
}

Result<PortConfig> PortSet::config_for(uint16_t id) {
    Result<Zone*> zone = buffers_.zone_for(id);
    if (!zone) return zone.error();
    PortConfig config;
    config.rxq = settings_.rxq;
    config.txq = queues_wanted(settings_);
    config.rxd = settings_.rxd;
    config.txd = settings_.txd;
    char name[RTE_ETH_NAME_MAX_LEN] = "";
    static_cast<void>(rte_eth_dev_get_name_by_port(id, name));
    config.mtu = mtu_wanted(settings_, name);
    config.rx_zone = zone.value();
    config.shared_mbufs = may_share(settings_);
    config.unmapped = has_pages(settings_) && (is_link(name) || names(settings_.unmapped_ports, id));  // a link hands over what it is given
    config.rss_hf = settings_.rss_hf;
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(id, &info) != 0) return config;  // configure() says why
    const SumWish sums = sums_for(settings_, info);
    config.rx_offloads = sums.rx;
    config.tx_offloads = sums.tx;
    if (sums.software && any_mode(settings_, "csum"))
        say(fmt::format("port {} ({}): checksums are made in software: what the device offers leaves "
                        "them unfinished for its peer, or is the driver's own software\n",
                        id, info.driver_name));
    return config;
}

Result<Port*> PortSet::add(uint16_t id) {
    UM_ASSERT(find(id) == nullptr);
    const Result<PortConfig> config = config_for(id);
    if (!config) return config.error();
    say(fmt::format("Configuring Port {} (socket {})\n", id, node_of_port(id, settings_.numa)));
    Result<std::unique_ptr<Port>> port = Port::configure(id, Result<PortConfig>(config).value());
    if (!port) return port.error();
    Slot slot{.port = std::move(port).value(), .faults = nullptr, .generation = ++generations_,
              .said = 0, .shut = false, .flushed = 0, .nic = {}, .cleared = {}, .stats = {}};
    slot.stats = port_stats(*slot.port);
    if (!settings_.faults.empty() && (settings_.fault_ports.empty() || names(settings_.fault_ports, id))) {
        Result<FaultPlan> plan = FaultPlan::parse(settings_.faults);
        if (!plan) return plan.error();
        slot.faults = std::make_unique<FaultPort>(*slot.port, plan.value());
        say(fmt::format("Port {}: faults {}\n", id, plan.value().text()));
    }
    say(fmt::format("Port {}: {}\n", id, mac_text(slot.port->mac())));
    marks[id].link.store(false, sync::relaxed);
    marks[id].removed.store(false, sync::relaxed);
    slots_.push_back(std::move(slot));
    std::sort(slots_.begin(), slots_.end(),
              [](const Slot& a, const Slot& b) { return a.port->id() < b.port->id(); });
    say_notes(id);
    return find(id);
}

void PortSet::say_notes(uint16_t id) {
    Slot* slot = this->slot(id);
    const std::vector<std::string>& notes = slot->port->notes();
    for (; slot->said < notes.size(); ++slot->said) say(notes[slot->said] + "\n");
}

Result<Port*> PortSet::attach(const std::string& devargs) {
    const std::string name = devargs.substr(0, devargs.find(','));
    uint16_t taken = 0;
    if (rte_eth_dev_get_port_by_name(name.c_str(), &taken) == 0)
        return Error{EEXIST, fmt::format("cannot attach '{}': port {} has this name; give the new one "
                                         "another", devargs, taken)};
    const std::vector<uint16_t> before = present_ports();
    if (const auto [e, said] = probe(devargs); e < 0)
        return Error{-e, fmt::format("cannot attach '{}': {}", devargs, why_not_probed(name, devargs, said))};
    Port* first = nullptr;
    for (const uint16_t id : present_ports()) {
        if (std::find(before.begin(), before.end(), id) != before.end()) continue;
        Result<Port*> port = add(id);
        if (!port) return port.error();
        if (first == nullptr) first = port.value();
    }
    if (first == nullptr)
        return Error{ENODEV, fmt::format("'{}' was probed, but no Ethernet port came of it: it is not a "
                                         "network device, or was there already", devargs)};
    return first;
}

Status PortSet::remove(uint16_t id, bool detach, const Port::Quiesce& quiesce) {
    const rte_device* device = device_of(*find(id));
    std::vector<uint16_t> ids{id};
    if (detach && device != nullptr)
        for (const Slot& other : slots_)
            if (other.port->id() != id && device_of(*other.port) == device)
                ids.push_back(other.port->id());
    Status first;
    for (const uint16_t each : ids) {
        Slot* slot = this->slot(each);
        ask_device(*slot);
        Status status = slot->port->halt(quiesce);
        // The last one unplugs the device: its ports must be closed by then.
        if (status) status = slot->port->close(detach && each == ids.back());
        // Not refused for good: it stays, with closed paths.
        if (!status && status.error().code == EBUSY) return status;
        if (!status && first) first = status;
        slot->stats = {};
        graveyard_.push_back(std::move(*slot));
        slots_.erase(slots_.begin() + (slot - slots_.data()));
        if (each != id) say(fmt::format("Port {} is closed, too: the same device\n", each));
    }
    return first;
}

void PortSet::bury() { graveyard_.clear(); }

void PortSet::flush(Port& port) {
    constexpr uint16_t kBurst = 64;
    constexpr uint32_t kMost = 1u << 16;  // a peer may send as fast as we read
    if (quirks_of(port.driver()).endless) return;
    Slot* slot = this->slot(port.id());
    rte_mbuf* burst[kBurst];
    for (uint16_t queue = 0; queue < port.config().rxq; ++queue)
        for (uint32_t sum = 0; sum < kMost;) {
            const uint16_t n = port.device_rx(queue, burst, kBurst);
            if (n == 0) break;
            rte_pktmbuf_free_bulk(burst, n);
            slot->flushed += n;
            sum += n;
        }
}

std::vector<std::string> PortSet::halt(const std::function<void()>& look) {
    std::vector<std::string> problems;
    const auto each = [this, &problems](const auto& step) {
        for (Slot& slot : slots_)
            if (Status status = step(slot); !status) problems.push_back(status.error().text);
    };
    each([](Slot& slot) {
        ask_device(slot);
        return slot.port->halt({});
    });
    // Only when all are stopped: a software port's packets may lie in another one's ring.
    each([](Slot& slot) {
        return slot.port->phase() == PortPhase::configured ? slot.port->close() : Status{};
    });
    for (const Slot& slot : slots_) say(fmt::format("Port {} is closed\n", slot.port->id()));
    if (look) look();
    slots_.clear();
    bury();
    return problems;
}

void PortSet::poll_events(const std::function<void(Port&)>& removed) {
    for (Port* port : list()) {
        Marks& mark = marks[port->id()];
        if (mark.link.exchange(false, sync::acq_rel))
            say(fmt::format("\nPort {}: link state change event\n", port->id()));
        if (mark.removed.exchange(false, sync::acq_rel)) {
            say(fmt::format("\nPort {}: device removal event\n", port->id()));
            removed(*port);
        }
    }
}

void PortSet::watch_links(const std::function<bool(const Port*)>& forwards, const Port::Quiesce& quiesce) {
    for (Slot& slot : slots_) {
        Port& port = *slot.port;
        if (port.driver() != "net_virtio_user") continue;
        if (!port.link_up()) {
            if (port.phase() != PortPhase::rx_open) continue;
            port.close_rx(quiesce);
            port.close_tx(quiesce);
            slot.shut = true;
        } else if (std::exchange(slot.shut, false) && port.phase() == PortPhase::started && forwards(&port)) {
            port.open_tx();
            port.open_rx();
        }
    }
}

bool PortSet::ask_device(Slot& slot) {
    rte_eth_stats stats{};
    if (slot.port->phase() == PortPhase::closed || rte_eth_stats_get(slot.port->id(), &stats) != 0)
        return false;
    slot.nic = {.rx_packets = stats.ipackets,
                .rx_missed = stats.imissed,
                .rx_bytes = stats.ibytes,
                .rx_errors = stats.ierrors,
                .rx_nombuf = stats.rx_nombuf,
                .tx_packets = stats.opackets,
                .tx_errors = stats.oerrors,
                .tx_bytes = stats.obytes};
    return true;
}

// Drivers may clear all counters with the extended ones; that shows in what they say right after.
Status PortSet::clear(uint16_t id, bool extended) {
    Slot* slot = this->slot(id);
    UM_ASSERT(slot != nullptr);
    ask_device(*slot);
    const PortNic before = slot->nic;
    if (const int e = extended ? rte_eth_xstats_reset(id) : rte_eth_stats_reset(id); e != 0)
        return Error{e < 0 ? -e : e, fmt::format("port {} ({}): its counters cannot be cleared: {}", id,
                                                 slot->port->driver(), rte_strerror(e < 0 ? -e : e))};
    if (!ask_device(*slot)) return {};
#define X(field) \
    if (slot->nic.field < before.field) slot->cleared.field += before.field;
    UM_NIC_COUNTS(X)
#undef X
    return {};
}

PortForward PortSet::counts_of(Slot& slot) {
    ask_device(slot);
    PortForward counts;
    counts.port = slot.port->id();
    counts.generation = slot.generation;
    counts.gone = slot.port->phase() == PortPhase::closed;
    counts.rx_dropped = slot.cleared.rx_missed + slot.nic.rx_missed;
    counts.rx_error = slot.cleared.rx_errors + slot.nic.rx_errors;
    counts.rx_nombufs = slot.cleared.rx_nombuf + slot.nic.rx_nombuf;
    counts.tx_closed = slot.port->closed_drops();
    counts.tx_chain = slot.port->chain_drops();
    const PageCounts pages = slot.port->pages().counts();
    counts.tx_unmapped = pages.dead();
    counts.pages_as_is = pages.as_is;
    counts.pages_windows = pages.windows;
    counts.pages_copied = pages.copies;
    counts.pages_captured = pages.captured;
    counts.flushed = slot.flushed;
    if (slot.faults) counts.faults = slot.faults->counts();
    counts.nic = slot.nic;
    return counts;
}

void PortSet::sample() {
    for (Slot& slot : slots_) set(*slot.stats, counts_of(slot), *slot.port);
}

// A number may be there twice, when it was detached and attached again: the living one comes first.
std::vector<PortForward> PortSet::counts() {
    std::vector<PortForward> list;
    for (Slot& slot : slots_) list.push_back(counts_of(slot));
    for (Slot& slot : graveyard_) list.push_back(counts_of(slot));
    return list;
}

}  // namespace umbuf::fwd
