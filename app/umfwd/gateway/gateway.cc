// SPDX-License-Identifier: BSD-2-Clause
// gateway.cc - the gateway's parts, made and kept.
#include "app/umfwd/gateway/gateway.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>
#include <rte_lcore.h>

#include "app/umfwd/conf/conf.h"
#include "drivers/crypto/engines.h"

namespace umbuf::fwd {

namespace {

using stat::Kind;

constexpr char kWhat[] = "of mode esp, by what was done with them", kFree[] = "that need no policy",
               kTooBig[] = "of ICMP: told who sent too much, or heard about our ESP";
constexpr stat::Field kCounts[] = {
    {"gateway_packets", "packets", Kind::counter, 1, kWhat, "what=protected"},
    {"gateway_packets", "packets", Kind::counter, 1, kWhat, "what=opened"},
    {"gateway_packets", "packets", Kind::counter, 1, kWhat, "what=bypassed"},
    {"gateway_exempt", "packets", Kind::counter, 1, kFree, "what=nd"},
    {"gateway_exempt", "packets", Kind::counter, 1, kFree, "what=ike"},
    {"gateway_exempt", "packets", Kind::counter, 1, kFree, "what=esp"},
    {"gateway_handed", "packets", Kind::counter, 1, "taken from other lcores, which have not their SA"},
    {"gateway_too_big", "messages", Kind::counter, 1, kTooBig, "what=told"},
    {"gateway_too_big", "messages", Kind::counter, 1, kTooBig, "what=heard"},
};

constexpr int kNewsAtOnce = 32;  // each asks every SA

}  // namespace

uint64_t ipsec_clock_s() noexcept {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return static_cast<uint64_t>(t.tv_sec);
}

Result<std::unique_ptr<Gateway>> Gateway::make(const Settings& settings, rte_rcu_qsbr* readers) {
    std::unique_ptr<Gateway> gateway(new Gateway);
    gateway->conf_ = settings.conf;
    if (settings.cross_check != 0) return Error{EOPNOTSUPP, "--cross-check is for modes esp-enc and esp-dec"};
    const Result<const umbuf::Engine*> engine = find_esp_engine(settings.esp_engine);
    if (!engine) return Error{engine.error().code, "--esp-engine: " + engine.error().text};
    const int socket = static_cast<int>(rte_socket_id());
    IpsecConfig config;
    config.socket = socket;
    if (gateway->conf_ != nullptr) config = ipsec_config(*gateway->conf_, socket);
    Result<std::unique_ptr<IpsecDb>> db = IpsecDb::make(config, *engine.value(), readers);
    if (!db) return db.error();
    gateway->db_ = std::move(db.value());
    gateway->book_ = std::make_unique<Book>(*gateway->db_);
    gateway->children_ = config.children;
    gateway->sas_ = config.sas;
    for (auto& owners : gateway->owners_) owners.reset(new sync::atomic<uint64_t>[config.children]());
    Result<std::unique_ptr<PathNews>> news = PathNews::make(socket);
    if (!news) return news.error();
    gateway->path_news_ = std::move(news.value());
    if (gateway->conf_ == nullptr) return gateway;
    if (const Status loaded = gateway->book_->load(gateway->conf_, ipsec_clock_s()); !loaded) return loaded.error();
    return gateway;
}

Gateway::~Gateway() { lanes_.clear(); }

void Gateway::use_ports(const std::vector<Port*>& ports) {
    inside_.fill(false);
    if (conf_ == nullptr) return;
    for (const Port* port : ports)
        inside_[port->id()] = std::ranges::any_of(conf_->ports, [port](const ConfPort& p) { return p.inside && p.device_name() == port->name(); });
}

std::vector<std::string> Gateway::notes() const {
    if (std::ranges::any_of(inside_, [](bool inside) { return inside; })) return {};
    return {"mode esp: every port is outside: what comes in as plaintext, for whomever, wants an inbound policy that bypasses it."};
}

Status Gateway::begin_run(const std::vector<unsigned>& lcores) {
    lanes_.clear();
    lanes_.resize(lcores.size());
    for (auto& owners : owners_)
        for (uint32_t i = 0; i < children_; ++i) owners[i].store(0, sync::relaxed);
    for (size_t i = 0; i < lcores.size(); ++i) {
        const int socket = static_cast<int>(rte_lcore_to_socket_id(lcores[i]));
        Result<std::unique_ptr<EspLane>> esp = EspLane::make(engine(), socket, engine().submit != nullptr ? &db_->sad() : nullptr);
        if (!esp) return esp.error();
        const std::string labels = fmt::format("lcore={}", lcores[i]);
        esp.value()->counters.list(labels);
        lanes_[i].esp = std::move(esp.value());
        if (engine().submit != nullptr) lanes_[i].working.assign(sas_, 0);
        if (lcores.size() > 1) {
            Result<std::unique_ptr<Handover>> ring = Handover::make(socket);
            if (!ring) return ring.error();
            lanes_[i].ring = std::move(ring.value());
        }
        lanes_[i].counts = stat::Box<GatewayCounts>(kCounts, labels);
    }
    return {};
}

// A child's id is given to another when no reader has it any more, so a generation that is not ours is an old one. The
// claim orders nothing: what an SA is was published with the SA.
uint16_t Gateway::owner(Direction direction, ChildId child, uint16_t asks) noexcept {
    if (child.id >= children_) return 0;  // no child, and so no policy's; yet one lane's
    sync::atomic<uint64_t>& at = owners_[static_cast<size_t>(direction)][child.id];
    uint64_t is = at.load(sync::relaxed);
    while (is >> 32 != child.generation)
        if (at.compare_exchange_weak(is, uint64_t{child.generation} << 32 | (asks + 1U), sync::relaxed)) return asks;
    return static_cast<uint16_t>(is - 1);
}

void Gateway::poll() {
    book_->poll(ipsec_clock_s());
    TooBig said;
    for (int i = 0; i < kNewsAtOnce && path_news_->take(&said); ++i) static_cast<void>(db_->lower_path(said, ipsec_clock_s()));
}

}  // namespace umbuf::fwd
