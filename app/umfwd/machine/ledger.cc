// SPDX-License-Identifier: BSD-2-Clause
// ledger.cc - owners are asked one after the other, and nobody gets more than is left.
#include "app/umfwd/machine/ledger.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "drivers/net/holdings.h"

namespace umbuf::fwd {

using stat::Kind;

namespace {
constexpr char kHelp[] = "of the zone that this owner holds";
}
const stat::Field Ledger::kOwners[8] = {
    {"ledger", "elements", Kind::gauge, 1, kHelp, "owner=pool"},
    {"ledger", "elements", Kind::gauge, 1, kHelp, "owner=lcore_caches"},
    {"ledger", "elements", Kind::gauge, 1, kHelp, "owner=crypto"},
    {"ledger", "elements", Kind::gauge, 1, kHelp, "owner=reassembly"},
    {"ledger", "elements", Kind::gauge, 1, kHelp, "owner=file_cache"},
    {"ledger", "elements", Kind::gauge, 1, kHelp, "owner=streams"},
    {"ledger", "elements", Kind::gauge, 1, kHelp, "owner=set_aside"},
    {"ledger", "elements", Kind::gauge, 1, kHelp, "owner=elsewhere"},
};
const stat::Field Ledger::kPortOwners[2] = {
    {"ledger", "elements", Kind::gauge, 1, kHelp, "owner=port_rx"},
    {"ledger", "elements", Kind::gauge, 1, kHelp, "owner=port_tx"},
};

// Share - a zone's elements, given out to its owners.
class Ledger::Share {
  public:
    Share(Ledger& ledger, const Zone& zone) : ledger_(ledger), zone_(zone), left_(zone.pool->size) {}
    [[nodiscard]] uint64_t left() const noexcept { return left_; }
    void give(sync::Counter& to, const std::string& owner, uint64_t n) {
        n = std::min(n, left_);
        left_ -= n;
        to.set(n);
        if (n > 0) ledger_.lines_.push_back({zone_.name, owner, n});
    }
    // A port that never held any has no entry.
    void give_port(uint16_t port, bool tx, uint64_t n) {
        auto at = ledger_.ports_.find({&zone_, port});
        if (at == ledger_.ports_.end()) {
            if (n == 0) return;
            stat::Box<PortOwners> box(kPortOwners, fmt::format("zone={},port={}", zone_.name, port));
            at = ledger_.ports_.emplace(Key{&zone_, port}, std::move(box)).first;
        }
        give(tx ? at->second->tx : at->second->rx, fmt::format("{} {}", tx ? "port_tx" : "port_rx", port), n);
    }

  private:
    Ledger& ledger_;
    const Zone& zone_;
    uint64_t left_;
};

void Ledger::forget_the_gone(const std::vector<Port*>& ports) {
    const auto no_zone = [](const Zone* zone) { return std::ranges::find(zones(), zone) == zones().end(); };
    const auto no_port = [&ports](uint16_t id) {
        return std::ranges::none_of(ports, [id](const Port* port) { return port->id() == id; });
    };
    std::erase_if(owners_, [&](const auto& each) { return no_zone(each.first); });
    std::erase_if(ports_, [&](const auto& each) { return no_zone(each.first.first) || no_port(each.first.second); });
}

namespace {

struct PortHolds {
    const Port* port;
    Holdings sent, waiting;
};

// held_by - what one port has; `round` knows what others were seen to have.
Holdings held_by(const Port& port, void (*ask)(const Port&, Holdings&), Holdings& round) {
    round.of.clear();
    round.unknown = 0;
    ask(port, round);
    return {round.of, {}, round.unknown};
}

template <class Map>
uint64_t elements(const Map& of, const Zone& zone) {
    const auto at = of.find(zone.pool);
    return at == of.end() ? 0 : at->second;
}

}  // namespace

void Ledger::take(const std::vector<Port*>& ports, const std::vector<StreamHolds>& streams, const EngineHolds& engines,
                  uint32_t file_pages) {
    forget_the_gone(ports);
    lines_.clear();
    Holdings round;
    std::vector<PortHolds> of_ports;
    for (const Port* port : ports) of_ports.push_back({port, held_by(*port, sent_by, round), {}});
    for (PortHolds& p : of_ports) p.waiting = held_by(*p.port, waiting_at, round);
    uint64_t mbufs_held = 0, set_aside = mbuf_traps().set_aside_now, holders = file_pages;
    for (const StreamHolds& s : streams) mbufs_held += s.mbufs;
    for (const Zone* zone : zones()) {
        auto at = owners_.find(zone);
        if (at == owners_.end()) at = owners_.emplace(zone, stat::Box<Owners>(kOwners, "zone=" + zone->name)).first;
        Owners& o = *at->second;
        Share share(*this, *zone);
        const ZoneLevel level = zone_level(*zone);
        share.give(o.pool, "pool", level.pool);
        share.give(o.lcore_caches, "lcore_caches", level.caches);
        for (PortHolds& p : of_ports) {
            share.give_port(p.port->id(), false, elements(p.waiting.of, *zone) + (p.port->config().rx_zone == zone ? p.port->posted() : 0));
            // Descriptors do not say whose mbufs they have: received ones, most likely.
            const uint64_t unknown = zone->kind == ZoneKind::packet ? std::exchange(p.sent.unknown, 0) : 0;
            share.give_port(p.port->id(), true, elements(p.sent.of, *zone) + unknown);
        }
        share.give(o.crypto, "crypto", elements(engines.crypto, *zone));
        share.give(o.reassembly, "reassembly", elements(engines.reassembly, *zone));
        const bool headers = zone->kind == ZoneKind::mbuf;
        const bool file_zone = zone->kind == ZoneKind::page && zone->name == "um_page_cache";
        share.give(o.file_cache, "file_cache", headers ? std::exchange(holders, 0) : file_zone ? file_pages : 0);
        uint64_t kept = headers ? std::exchange(mbufs_held, 0) : 0;
        for (const StreamHolds& s : streams) kept += s.packets_of == zone ? s.packets : 0;
        share.give(o.streams, "streams", kept);
        share.give(o.set_aside, "set_aside", headers ? std::exchange(set_aside, 0) : 0);
        share.give(o.elsewhere, "elsewhere", share.left());
    }
}

std::string to_text(const std::vector<Ledger::Line>& lines) {
    std::string text = fmt::format("{:<24} {:<16} {:>10}\n", "Zone", "Owner", "Elements");
    const std::string* before = nullptr;
    for (const Ledger::Line& line : lines) {
        const bool same = before != nullptr && *before == line.zone;
        text += fmt::format("{:<24} {:<16} {:>10}\n", same ? "" : line.zone, line.owner, line.elements);
        before = &line.zone;
    }
    return text;
}

}  // namespace umbuf::fwd
