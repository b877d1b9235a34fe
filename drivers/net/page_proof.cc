// SPDX-License-Identifier: BSD-2-Clause
// page_proof.cc - two packets go round, one of ordinary memory, one of pages.
#include "drivers/net/page_proof.h"

#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>

#include <fmt/format.h>
#include <rte_cycles.h>

#include "lib/mbuf/verbs.h"
#include "lib/page/arena.h"
#include "lib/page/extpg.h"

namespace umbuf {

namespace {

constexpr uint32_t kPayload = 1013, kOffset = 3;  // odd, so that a rounded address shows
constexpr const char* kOwner = "self-test of a port";
using Payload = std::array<std::byte, kPayload>;

// Each probe differs from all others, so that one that comes late is not taken for the next.
Payload next_payload() {
    static uint64_t serial = rte_rdtsc();
    uint64_t x = serial += 0x9e3779b97f4a7c15;
    Payload bytes;
    for (std::byte& b : bytes) {
        x = x * 6364136223846793005 + 1442695040888963407;
        b = static_cast<std::byte>(x >> 56);
    }
    return bytes;
}

// head - an Ethernet header for experiments (IEEE 802, EtherType 0x88b5), in an mbuf of its own.
Mbuf* head(const Port& from, const Port& to) {
    Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
    if (m == nullptr) return nullptr;
    auto* ether = mtod<rte_ether_hdr*>(m);
    ether->dst_addr = to.mac();
    ether->src_addr = from.mac();
    ether->ether_type = RTE_BE16(0x88b5);
    m->set_len(sizeof *ether);
    m->rte.pkt_len = m->len();
    return m;
}

Mbuf* mapped(const Payload& bytes) {
    Mbuf* m = m_getcl(M_NOWAIT, MT_DATA, 0);
    if (m == nullptr) return nullptr;
    std::memcpy(m->data(), bytes.data(), bytes.size());
    m->set_len(kPayload);
    return m;
}

// unmapped - in a page of ours, or one of the page cache's where there are no others.
Mbuf* unmapped(const Payload& bytes) {
    if (Mbuf* m = mb_alloc_ext_pgs(PageClass::anonymous, kOffset + kPayload, M_NOWAIT, kOwner); m != nullptr) {
        {
            const WriteWindow out(m, kOffset, kPayload);
            std::memcpy(out.bytes(), bytes.data(), kPayload);
        }
        m_adj(m, kOffset);
        return m;
    }
    Mbuf* m = mb_alloc_ext_pgs(PageClass::cache, kOffset + kPayload, M_NOWAIT, kOwner);
    if (m == nullptr) return nullptr;
    Result<FillWindow> window = FillWindow::open();
    if (!window) {
        page_failed(page_of(m));
        m_freem(m);
        return nullptr;
    }
    const FillWindow fill = std::move(window).value();
    std::memcpy(fill.at(page_of(m)) + kOffset, bytes.data(), kPayload);
    page_ready(page_of(m));
    m_adj(m, kOffset);
    return m;
}

bool is_own_ring(const Port& port, const std::string& devargs) {
    // Rings that a program gave (rte_eth_from_rings) or that have a name have other ends.
    return port.driver() == "net_ring" && devargs.empty();
}

bool are_joined(const std::string& driver_a, const std::string& a, const std::string& driver_b, const std::string& b) {
    if (driver_a == "net_virtio_user" && driver_b == "net_vhost")
        return !devarg(a, "path").empty() && devarg(a, "path") == devarg(b, "iface");
    if (driver_a == "net_memif" && driver_b == "net_memif") {
        const bool roles = (devarg(a, "role") == "server") != (devarg(b, "role") == "server");
        return roles && devarg(a, "id") == devarg(b, "id") && devarg(a, "socket") == devarg(b, "socket");
    }
    return false;
}

}  // namespace

// One port and where its packets come out.
struct PageProof {
    Port& from;
    Port& to;
    enum class Outcome : uint8_t { right, wrong, nothing, untested };

    static bool is_closed(const Port& port) { return port.paged_ && port.phase_ == PortPhase::started; }
    static Port* end_of(const Port& port, const std::vector<Port*>& ports);
    // round - send it, and look at what comes out. Consumes m.
    [[nodiscard]] Outcome round(Mbuf* payload, const Payload& bytes);
    [[nodiscard]] std::optional<Outcome> look(const Payload& bytes);
    void prove();
    void judge(PageWay way, Outcome outcome);
};

Port* PageProof::end_of(const Port& port, const std::vector<Port*>& ports) {
    for (Port* other : ports) {
        const bool own = other == &port && is_own_ring(port, port.devargs_);
        const bool joined = are_joined(port.driver_, port.devargs_, other->driver_, other->devargs_) ||
                            are_joined(other->driver_, other->devargs_, port.driver_, port.devargs_);
        if (own || (other != &port && joined)) return other;
    }
    return nullptr;
}

// look - is it among what has arrived? Nothing: not yet.
std::optional<PageProof::Outcome> PageProof::look(const Payload& bytes) {
    constexpr uint32_t kAll = sizeof(rte_ether_hdr) + kPayload;
    rte_mbuf* burst[32];
    std::optional<Outcome> outcome;
    for (uint16_t queue = 0; queue < to.config_.rxq; ++queue) {
        const uint16_t n = to.device_rx(queue, burst, 32);
        for (uint16_t i = 0; i < n; ++i) {
            Mbuf* m = Mbuf::of(burst[i]);
            std::byte got[kAll];
            const bool ours = m->pkt_len() == kAll && m_copydata(m, 0, kAll, got) == 0 &&
                              reinterpret_cast<const rte_ether_hdr*>(got)->ether_type == RTE_BE16(0x88b5);
            m_freem(m);
            if (!ours) {
                to.drained_.add(1);
                continue;
            }
            const bool same = std::memcmp(got + sizeof(rte_ether_hdr), bytes.data(), kPayload) == 0;
            outcome = same ? Outcome::right : Outcome::wrong;
        }
    }
    return outcome;
}

PageProof::Outcome PageProof::round(Mbuf* payload, const Payload& bytes) {
    Mbuf* packet = payload == nullptr ? nullptr : head(from, to);
    if (packet == nullptr) return m_freem(payload), Outcome::untested;
    m_cat(packet, payload);
    m_calchdrlen(packet);
    rte_mbuf* burst = &packet->rte;
    const uint64_t begin = rte_rdtsc();
    bool taken = false;
    while (rte_rdtsc() - begin < rte_get_tsc_hz()) {
        if (!taken) {
            const Sent sent = from.device_tx(0, &burst, 1);
            if (sent.dead() > 0) return Outcome::untested;
            taken = sent.taken == 1;
        }
        if (const std::optional<Outcome> outcome = look(bytes); outcome) {
            if (!taken) rte_pktmbuf_free(burst);
            return *outcome;
        }
        usleep(100);
    }
    if (!taken) rte_pktmbuf_free(burst);
    return taken ? Outcome::nothing : Outcome::untested;
}

void PageProof::judge(PageWay way, Outcome outcome) {
    switch (outcome) {
        case Outcome::right:
            from.use_pages(way, fmt::format("the self-test came out right at port {}", to.id_));
            return;
        case Outcome::untested: return;
        case Outcome::nothing:
        case Outcome::wrong:
            from.use_pages(PageWay::copies,
                           fmt::format("the self-test's page was sent to port {} {}, and {}", to.id_,
                                       way == PageWay::as_is ? "as it is" : "through a window",
                                       outcome == Outcome::nothing ? "nothing arrived: a black hole"
                                                                   : "other bytes arrived"));
            from.note("unmapped pages leave as copies: " + from.pages_because_);
            return;
    }
}

void PageProof::prove() {
    const Payload plain = next_payload(), paged = next_payload();
    if (round(mapped(plain), plain) != Outcome::right) return;  // the loop does not carry (yet)
    const PageWay way = from.quirks_.pages == Quirks::handed_on ? PageWay::as_is : from.pages_.way();
    from.use_pages(way, from.pages_because_);
    const PageCounts before = from.pages_.counts();
    const Outcome outcome = round(unmapped(paged), paged);
    from.pages_.set_counts(before);
    if (outcome == Outcome::untested) from.use_pages(from.page_rule_.way, from.page_rule_.because);
    judge(way, outcome);
    from.reclaim_sent();
}

void prove_pages(const std::vector<Port*>& ports) {
    for (Port* port : ports) {
        if (!PageProof::is_closed(*port)) continue;
        Port* end = PageProof::end_of(*port, ports);
        if (end != nullptr && PageProof::is_closed(*end)) PageProof{*port, *end}.prove();
    }
}

}  // namespace umbuf
