// SPDX-License-Identifier: BSD-2-Clause
// departure.cc - the doors of a routing lane.
#include "app/umfwd/route/departure.h"

#include <cstring>

#include <rte_cycles.h>

#include "app/umfwd/settings.h"
#include "lib/ipsec/ip.h"
#include "lib/mbuf/verbs.h"
#include "lib/net/fragment.h"

namespace umbuf::fwd {
namespace {

bool is_v6(const rte_mbuf* p) noexcept { return *rte_pktmbuf_mtod(p, const uint8_t*) >> 4 == 6; }

// with_link_header - room for an Ethernet header before the packet, whose first mbuf is writable or fresh. Null:
// there was no mbuf for it, and the packet is freed.
rte_mbuf* with_link_header(rte_mbuf* p) noexcept {
    constexpr uint64_t kNotOwn = RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
    if (__builtin_expect((p->ol_flags & kNotOwn) == 0 && p->data_off >= RTE_ETHER_HDR_LEN, 1)) {
        rte_pktmbuf_prepend(p, RTE_ETHER_HDR_LEN);
        return p;
    }
    Mbuf* m = m_prepend(Mbuf::of(p), RTE_ETHER_HDR_LEN, M_NOWAIT);
    return m == nullptr ? nullptr : &m->rte;
}

}  // namespace

Exits::Exits(Stream& stream) {
    of_port.fill(kNone);
    list.resize(stream.tee.size() + 1);
    const auto add = [this](uint8_t at, Port* port, Way* way) {
        list[at].port = port;
        list[at].way = way;
        of_port[port->id()] = at;
    };
    for (size_t i = 0; i < stream.tee.size(); ++i) add(static_cast<uint8_t>(i + 1), stream.tee[i].port, &stream.tee[i]);
    add(0, stream.tx_port, nullptr);
    const uint64_t rate = stream.settings->punt_rate;
    errors = unresolved = Bucket(rate, rte_get_tsc_hz());
}

void Departure::carry_out(rte_mbuf** packets, const IpFate* fates, uint16_t n) noexcept {
    for (uint16_t i = 0; i < n; ++i) {
        switch (fates[i].way) {
        case IpWay::forward: forward(packets[i], fates[i].hop); break;
        case IpWay::cut: cut(packets[i], fates[i].hop); break;
        case IpWay::kernel: punt({.packet = packets[i], .ip = true}, fates[i].why); break;
        case IpWay::dead: die(packets[i], fates[i].why); break;
        }
    }
}

void Departure::forward(rte_mbuf* p, const Hop& hop) noexcept {
    if (const Fate aged = age(p); aged != Fate::send) return die(p, static_cast<Drop>(aged));
    leave(p, hop, is_v6(p));
}

void Departure::cut(rte_mbuf* p, const Hop& hop) noexcept {
    if (const Fate aged = age(p); aged != Fate::send) return die(p, static_cast<Drop>(aged));
    leave_in_pieces(p, hop);
}

void Departure::carry_out_own(rte_mbuf** packets, const IpFate* fates, uint16_t n) noexcept {
    for (uint16_t i = 0; i < n; ++i) {
        switch (fates[i].way) {
        case IpWay::forward: leave(packets[i], fates[i].hop, is_v6(packets[i])); break;
        case IpWay::cut: leave_in_pieces(packets[i], fates[i].hop); break;
        case IpWay::kernel: punt({.packet = packets[i], .ip = true, .own = true}, fates[i].why); break;
        case IpWay::dead: die(packets[i], fates[i].why); break;
        }
    }
}

void Departure::pass_on(rte_mbuf* p, const Looked& looked) noexcept {
    if (__builtin_expect(is_plain_sailing(looked) && unfit(looked) == Drop::count, 1)) return forward(p, looked.hop);
    const IpFate fate = judge(looked);
    carry_out(&p, &fate, 1);
}

void Departure::pass_on_own(rte_mbuf* p, const Looked& looked) noexcept {
    if (__builtin_expect(is_plain_sailing(looked), 1)) return leave(p, looked.hop, looked.v6);
    const IpFate fate = judge_own(looked);
    carry_out_own(&p, &fate, 1);
}

// leave_in_pieces - n pieces of one packet are n - 1 made.
void Departure::leave_in_pieces(rte_mbuf* p, const Hop& hop) noexcept {
    if (const Fate own = own_header(p, kIpv4Header); own != Fate::send) return die(p, static_cast<Drop>(own));
    Cut how;
    const CutPlan planned = plan_cut(p, 0, kIpv4Header, hop.mtu, how);
    if (planned == CutPlan::whole) return leave(p, hop, false);
    if (planned == CutPlan::malformed) return die(p, Drop::malformed);
    Mbuf* piece = fragments_of(p, how);
    if (piece == nullptr) return die(p, Drop::no_mbuf);
    stream_.stats.made.add(pieces_of(how) - 1);
    while (piece != nullptr) {
        Mbuf* next = piece->nextpkt;
        piece->nextpkt = nullptr;
        leave(&piece->rte, hop, false);
        piece = next;
    }
    rte_pktmbuf_free(p);
}

void Departure::leave(rte_mbuf* p, const Hop& hop, bool v6) noexcept {
    Exit* exit = exits_.find(hop.port);
    if (exit == nullptr) return die(p, Drop::port_down);
    p = with_link_header(p);
    if (p == nullptr) return die(nullptr, Drop::no_mbuf);
    auto* ether = rte_pktmbuf_mtod(p, rte_ether_hdr*);
    ether->dst_addr = hop.mac;
    ether->src_addr = exit->port->mac();
    ether->ether_type = rte_cpu_to_be_16(v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
    exit->packets[exit->n++] = p;
    if (exit->n == kMaxBurst) send(*exit);
}

void Departure::frame(rte_mbuf* p, uint16_t port) noexcept {
    Exit* exit = exits_.find(port);
    if (exit == nullptr) return die(p, Drop::port_down);
    exit->packets[exit->n++] = p;
    if (exit->n == kMaxBurst) send(*exit);
}

// allowed - an answer costs the kernel more than a packet costs its sender.
bool Departure::allowed(Drop why) noexcept {
    if (why == Drop::to_kernel) return true;
    return (why == Drop::no_neighbour ? exits_.unresolved : exits_.errors).take(rte_rdtsc());
}

void Departure::punt(const Punt& punt, Drop why) noexcept {
    if (!allowed(why)) return die(punt.packet, Drop::punt_limited);
    if (!door_.punt(punt)) return die(punt.packet, Drop::punt_full);
    punted_ = true;
    stream_.stats.drop(why, 1);
}

void Departure::die(rte_mbuf* p, Drop why) noexcept {
    stream_.stats.drop(why, 1);
    rte_pktmbuf_free(p);
}

void Departure::send(Exit& exit) noexcept {
    const uint16_t n = exit.n;
    exit.n = 0;
    const uint16_t sent = transmit(stream_, *exit.port, exit.packets, n);
    if (exit.way == nullptr) return;
    exit.way->stats->tx.add(sent);
    exit.way->stats->dropped.add(static_cast<uint64_t>(n - sent));
}

void Departure::flush() noexcept {
    for (Exit& exit : exits_.list)
        if (exit.n > 0) send(exit);
    if (punted_) door_.knock();
    punted_ = false;
}

}  // namespace umbuf::fwd
