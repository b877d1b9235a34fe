// SPDX-License-Identifier: BSD-2-Clause
// pass.cc - bursts, sorted and sent on.
#include "app/umfwd/gateway/pass.h"

#include <algorithm>
#include <utility>

#include <rte_cycles.h>
#include <rte_random.h>

#include "app/umfwd/gateway/pieces.h"
#include "app/umfwd/packet/frame.h"
#include "lib/ipsec/fit.h"
#include "lib/ipsec/selector.h"
#include "lib/ipsec/too_big.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::fwd {
namespace {

Mbuf** mbufs(rte_mbuf** packets) noexcept { return reinterpret_cast<Mbuf**>(packets); }

Drop drop_of(const EspFate& fate) noexcept {
    switch (fate.why) {
    case Xfrm::in_no_policy:
    case Xfrm::in_blocked:
    case Xfrm::in_template:
    case Xfrm::out_blocked: return Drop::policy;
    case Xfrm::in_no_states:
    case Xfrm::in_state:
    case Xfrm::out_no_states:
    case Xfrm::out_bundle:
    case Xfrm::out_state: return Drop::no_sa;
    case Xfrm::in_header:
    case Xfrm::out_header: return Drop::malformed;
    case Xfrm::in_buffer: return Drop::no_mbuf;
    case Xfrm::in_error: return fate.error == EAGAIN ? Drop::lane_full : Drop::esp;
    case Xfrm::out_too_big: return Drop::too_big;
    case Xfrm::out_error:
        switch (fate.error) {
        case ENOBUFS: return Drop::no_mbuf;
        case EMSGSIZE: return Drop::too_big;
        case EAGAIN: return Drop::lane_full;
        default: return Drop::esp;
        }
    default: return Drop::esp;
    }
}

constexpr uint64_t kInbound = uint64_t{1} << 32;  // of what a device is given, besides the SA's id
constexpr uint16_t kIpv4Type = 0x0800, kIpv6Type = 0x86dd, kArpType = 0x0806;

// strip, dress - a frame without its Ethernet header, and with it again: nobody wrote where it was.
bool strip(rte_mbuf* p) noexcept {
    if (p->data_len <= RTE_ETHER_HDR_LEN) return false;
    rte_pktmbuf_adj(p, RTE_ETHER_HDR_LEN);
    return true;
}
void dress(rte_mbuf* p) noexcept {
    p->data_off = static_cast<uint16_t>(p->data_off - RTE_ETHER_HDR_LEN);
    p->data_len = static_cast<uint16_t>(p->data_len + RTE_ETHER_HDR_LEN);
    p->pkt_len += RTE_ETHER_HDR_LEN;
}

// take_next - the first packet of a list, which is one no more.
rte_mbuf* take_next(Mbuf*& list) noexcept {
    Mbuf* m = list;
    list = m->nextpkt;
    m->nextpkt = nullptr;
    return &m->rte;
}

// may_be_esp - is it worth a closer look? `p` begins with a whole IP header.
bool may_be_esp(const rte_mbuf* p, bool v6) noexcept {
    if (v6) return true;  // behind what headers, esp_wire() finds out
    const uint8_t proto = *rte_pktmbuf_mtod_offset(p, const uint8_t*, 9);
    return proto == kProtoEsp || proto == kProtoUdp;
}

}  // namespace

Pass::Pass(Stream& stream, Gateway& gateway, GatewayLane& lane, const RouteTable& table)
    : gateway_(gateway), db_(gateway.db()), lane_(lane), esp_(*lane.esp), table_(table), inside_(gateway.inside(stream.rx_port->id())),
      port_(stream.rx_port->id()), number_(stream.lane), alone_(gateway.lanes() == 1), waits_(gateway.engine().submit != nullptr), stats_(stream.stats), posts_(alone_ ? 0 : gateway.lanes()),
      reassembly_(std::move(Reassembly::make(kPieces, rte_rand()).value())), answers_(stream.settings->punt_rate, rte_get_tsc_hz()),
      news_(answers_) {
    lane.links.table = &table;
    esp_.links = &lane.links;
}

void Pass::clock(uint64_t now_s) noexcept {
    if (esp_.now_s == now_s && expired_s_ == now_s) return;
    esp_.now_s = expired_s_ = now_s;
    reassembly_->expire(now_s);
    count_fragments();
}

void Pass::give_up() noexcept {
    stats_.drop(Drop::drained, reassembly_->held_fragments());
    reassembly_.reset();
}

void Pass::refuse(rte_mbuf* p, const EspFate& fate, Departure& out) noexcept { out.die(p, drop_of(fate)); }

bool Pass::exempted(Exempt as) noexcept {
    switch (as) {
    case Exempt::no: return false;
    case Exempt::discovery: lane_.counts->discovery.add(1); break;
    case Exempt::ike: lane_.counts->ike.add(1); break;
    case Exempt::ready: lane_.counts->ready.add(1); break;
    }
    return true;
}

// ---- what came in by the port

void Pass::arrived(rte_mbuf** packets, uint16_t n, Departure& out) noexcept {
    for (uint32_t from = 0; from < n; from += kPassBurst) {
        const uint16_t some = static_cast<uint16_t>(std::min<uint32_t>(kPassBurst, n - from));
        look_up(table_, packets + from, looked_.data(), some);
        sort_out(packets + from, looked_.data(), some, out);
        if (plain_.n > 0) admit(out);
        if (closed_.n > 0) open(out);
        if (onward_.n > 0) onward(out);
    }
}

void Pass::sort_out(rte_mbuf** packets, const Looked* looked, uint16_t n, Departure& out) noexcept {
    Pack& transit = inside_ ? onward_ : plain_;
    for (uint16_t i = 0; i < n; ++i) {
        const Looked& at = looked[i];
        if (__builtin_expect(at.asked && at.hop.kind != RouteKind::local, 1)) transit.add(packets[i], at);
        else if (!at.asked && at.way == IpWay::dead) out.die(packets[i], at.why);
        else ours(packets[i], at, out);
    }
}

// ours - a packet for this machine: to an address of its own, or to one that is never forwarded.
void Pass::ours(rte_mbuf* p, const Looked& first, Departure& out) noexcept {
    Looked looked = first;
    if (looked.asked && may_be_esp(p, looked.v6)) {
        EspWire wire = esp_wire(Mbuf::of(p), db_.udp_port);
        if (__builtin_expect(wire.ip.fragment, 0) && is_piece(p, wire.ip)) {
            p = put_together(p);
            if (p == nullptr) return;
            looked.length = static_cast<uint16_t>(std::min<uint32_t>(p->pkt_len, UINT16_MAX));
            wire = esp_wire(Mbuf::of(p), db_.udp_port);
        }
        if (wire.kind == EspWireKind::esp) return closed_.add(p, looked);
        if (wire.kind == EspWireKind::keepalive) return out.die(p, Drop::keepalive);
        const bool esp_in_pieces = wire.kind == EspWireKind::malformed && wire.ip.proto == kProtoEsp;
        if (esp_in_pieces) {
            esp_.counters.count(Xfrm::in_header);
            return out.die(p, Drop::malformed);
        }
    }
    if (!inside_ && looked.asked) listen(p, looked.v6);
    if (inside_ || exempted(exempt_in(p, looked.asked, db_.udp_port))) return to_kernel(p, out);
    plain_.add(p, looked);
}

// is_piece - a fragment of what may be ESP. From inside, UDP's are the kernel's to put together.
bool Pass::is_piece(const rte_mbuf* p, const IpView& ip) const noexcept {
    uint8_t proto = ip.proto;
    if (ip.v6) {
        const auto* next = static_cast<const uint8_t*>(bytes_at(p, ip.header, 1, &proto));
        if (next == nullptr) return false;
        proto = *next;
    }
    return proto == kProtoEsp || (proto == kProtoUdp && db_.udp_port != 0 && !inside_);
}

// put_together - null: more is to come, or it is dead. It is counted.
rte_mbuf* Pass::put_together(rte_mbuf* p) noexcept {
    Mbuf* whole = reassembly_->add(Mbuf::of(p), esp_.now_s);
    count_fragments();
    return whole == nullptr ? nullptr : &whole->rte;
}

void Pass::count_fragments() noexcept {
    const ReassemblyCounters& c = reassembly_->counters;
    const uint64_t merged = c.merged.read();
    const uint64_t lost = c.twice.read() + c.overlapping.read() + c.malformed.read() + c.no_room.read() + c.timed_out.read();
    if (merged != merged_) stats_.drop(Drop::merged, merged - std::exchange(merged_, merged));
    if (lost != lost_) stats_.drop(Drop::fragment, lost - std::exchange(lost_, lost));
}

// listen - does a router say that our ESP packets are too big? Whoever keeps the SAs hears it (RFC 4301, 8.2.1); the
// message goes its way.
void Pass::listen(const rte_mbuf* p, bool v6) noexcept {
    const uint8_t proto = *rte_pktmbuf_mtod_offset(p, const uint8_t*, v6 ? 6 : 9);
    TooBig said;
    if (proto != (v6 ? kProtoIcmpv6 : kProtoIcmp) || !news_.take(rte_rdtsc())) return;
    if (!read_too_big(Mbuf::of(p), db_.udp_port, &said)) return;
    lane_.counts->heard.add(1);
    gateway_.path_news().tell(said);
}

// admit - plaintext from outside: only what a policy bypasses.
void Pass::admit(Departure& out) noexcept {
    std::fill_n(sas_.begin(), plain_.n, nullptr);
    ipsec_admit(db_, esp_, mbufs(plain_.packets.data()), sas_.data(), fates_.data(), plain_.n);
    uint64_t bypassed = 0;
    for (uint16_t i = 0; i < plain_.n; ++i) {
        rte_mbuf* p = plain_.packets[i];
        const Looked& at = plain_.looked[i];
        if (fates_[i].way == IpsecWay::refused) {
            refuse(p, fates_[i].esp, out);
            continue;
        }
        ++bypassed;
        if (at.asked && at.hop.kind != RouteKind::local) onward_.add(p, at);
        else to_kernel(p, out);
    }
    lane_.counts->bypassed.add(bypassed);
    plain_.n = 0;
}

// open - ESP for us. What comes out is looked at as if it had just come, but for the policies of plaintext.
void Pass::open(Departure& out) noexcept {
    const uint16_t n = closed_.n;
    std::array<SadQuery, kPassBurst> queries;
    Mbuf** packets = mbufs(closed_.packets.data());
    for (uint16_t i = 0; i < n; ++i) queries[i] = ipsec_query(packets[i], esp_wire(packets[i], db_.udp_port));
    db_.sad().lookup(queries.data(), sas_.data(), n);
    closed_.n = 0;
    open_all(packets, alone_ ? n : keep_mine(packets, n), out);
}

// open_all - by sas_. `packets` are overwritten.
void Pass::open_all(Mbuf** packets, uint16_t n, Departure& out) noexcept {
    if (waits_) return begin_open(packets, n, out);
    esp_input(esp_, sas_.data(), packets, esp_fates_.data(), n);
    uint16_t good = 0;
    for (uint16_t i = 0; i < n; ++i) {
        if (!esp_fates_[i].ok()) {
            refuse(&packets[i]->rte, esp_fates_[i], out);
            continue;
        }
        packets[good] = packets[i];
        sas_[good++] = sas_[i];
    }
    if (good > 0) authentic(packets, good, out);
}

// authentic - what came out of the SAs in sas_. `packets` are overwritten.
void Pass::authentic(Mbuf** packets, uint16_t n, Departure& out) noexcept {
    ipsec_admit(db_, esp_, packets, sas_.data(), fates_.data(), n);
    uint16_t in = 0;
    for (uint16_t i = 0; i < n; ++i) {
        if (fates_[i].way == IpsecWay::refused) refuse(&packets[i]->rte, fates_[i].esp, out);
        else packets[in++] = packets[i];
    }
    lane_.counts->opened.add(in);
    opened(reinterpret_cast<rte_mbuf**>(packets), in, out);
}

void Pass::opened(rte_mbuf** packets, uint16_t n, Departure& out) noexcept {
    look_up(table_, packets, looked_.data(), n);
    for (uint16_t i = 0; i < n; ++i) {
        const Looked& at = looked_[i];
        if (at.asked && at.hop.kind != RouteKind::local) onward_.add(packets[i], at);
        else if (!at.asked && at.way == IpWay::dead) out.die(packets[i], at.why);
        else to_kernel(packets[i], out);
    }
}

void Pass::to_group(rte_mbuf** packets, uint16_t n, Departure& out) noexcept {
    for (uint16_t i = 0; i < n; ++i) {
        rte_mbuf* p = packets[i];
        if (!strip(p)) {
            out.die(p, Drop::malformed);
            continue;
        }
        bool passes = exempted(exempt_in(p, false, db_.udp_port));
        if (!passes) {
            Mbuf* m = Mbuf::of(p);
            Sa* none = nullptr;
            IpsecFate fate;
            ipsec_admit(db_, esp_, &m, &none, &fate, 1);
            passes = fate.way == IpsecWay::bypass;
            if (passes) lane_.counts->bypassed.add(1);
            else refuse(p, fate.esp, out);
        }
        if (!passes) continue;
        dress(p);
        out.punt({.packet = p}, Drop::to_kernel);
    }
}

// ---- on the way out

// onward - packets in transit. Who leaves inside crosses nothing.
void Pass::onward(Departure& out) noexcept {
    uint16_t asked = 0;
    for (uint16_t i = 0; i < onward_.n; ++i) {
        const Looked& at = onward_.looked[i];
        rte_mbuf* p = onward_.packets[i];
        if (at.hop.kind == RouteKind::forward && gateway_.inside(at.hop.port)) {
            out.pass_on(p, at);
            continue;
        }
        onward_.packets[asked] = p;
        onward_.looked[asked++] = at;
    }
    onward_.n = 0;
    if (asked == 0) return;
    ipsec_choose(db_, esp_, mbufs(onward_.packets.data()), fates_.data(), sas_.data(), children_.data(), asked);
    uint64_t bypassed = 0;
    for (uint16_t i = 0; i < asked; ++i) {
        rte_mbuf* p = onward_.packets[i];
        const Looked& at = onward_.looked[i];
        if (__builtin_expect(fates_[i].way == IpsecWay::esp, 1)) {
            cross(p, at, sas_[i], children_[i], out);
        } else if (fates_[i].way == IpsecWay::bypass) {
            out.pass_on(p, at);
            ++bypassed;
        } else {
            refuse(p, fates_[i].esp, out);
        }
    }
    if (bypassed > 0) lane_.counts->bypassed.add(bypassed);
    if (protect_.n > 0) protect(out);
}

// cross - a packet that a policy protects: forwarded, and so one hop less to live, before it is (RFC 4301, 5.1.2).
void Pass::cross(rte_mbuf* p, const Looked& looked, Sa* sa, ChildId child, Departure& out) noexcept {
    if (const Drop why = unfit(looked); why != Drop::count) return out.punt({.packet = p, .ip = true}, why);
    if (const Fate aged = age(p); aged != Fate::send) return out.die(p, static_cast<Drop>(aged));
    if (alone_ || mine(p, child)) wrap(p, sa, out);
}

// wrap - one more to protect, if it is not too long for the SA's way: then its pieces, or its sender is told.
void Pass::wrap(rte_mbuf* p, Sa* sa, Departure& out) noexcept {
    const Fit is = fit(esp_, *sa, Mbuf::of(p));
    if (__builtin_expect(is.way == FitWay::before, 0)) return wrap_pieces(p, is.most, sa, out);
    if (__builtin_expect(is.way == FitWay::too_big, 0)) return tell_too_big(p, is.most, out);
    if (protect_.n == kPassBurst) protect(out);
    protect_.add(p, sa);
}

// wrap_pieces - n pieces of one packet are n - 1 made.
void Pass::wrap_pieces(rte_mbuf* p, uint32_t most, Sa* sa, Departure& out) noexcept {
    Mbuf* list = cut_before(Mbuf::of(p), most);
    if (list == nullptr) return out.die(p, Drop::no_mbuf);
    uint64_t n = 0;
    for (; list != nullptr; ++n) {
        if (protect_.n == kPassBurst) protect(out);
        protect_.add(take_next(list), sa);
    }
    stats_.made.add(n - 1);
}

// tell_too_big - who sent the packet, by an address of ours where it came in; never more than --punt-rate a second. The
// kernel, which makes all other errors, does not know what ESP takes.
void Pass::tell_too_big(rte_mbuf* p, uint32_t mtu, Departure& out) noexcept {
    const bool v6 = *rte_pktmbuf_mtod(p, const uint8_t*) >> 4 == 6;
    IpAddress us;
    Mbuf* answer = nullptr;
    if (table_.own_address(p->port, v6, &us) && answers_.take(rte_rdtsc())) answer = make_too_big(Mbuf::of(p), mtu, us);
    out.die(p, Drop::too_big);
    if (answer == nullptr) return;
    stats_.made.add(1);
    lane_.counts->told.add(1);
    send_own(&answer->rte, out);
}

// send_own - a packet that was made here: routed, and where it leaves outside, only as a policy says (X2).
void Pass::send_own(rte_mbuf* p, Departure& out) noexcept {
    Looked looked;
    look_up(table_, &p, &looked, 1);
    if (looked.asked && looked.hop.kind == RouteKind::local) return out.die(p, Drop::too_big);  // no frame tells a kernel what it sent itself
    IpFate fate = judge_own(looked);
    const bool crosses = !(looked.asked && looked.hop.kind == RouteKind::forward && gateway_.inside(looked.hop.port));
    if (!crosses) return out.carry_out_own(&p, &fate, 1);
    Mbuf* m = Mbuf::of(p);
    IpsecFate chosen;
    Sa* sa = nullptr;
    ChildId child;
    ipsec_choose(db_, esp_, &m, &chosen, &sa, &child, 1);
    if (chosen.way == IpsecWay::bypass) return out.carry_out_own(&p, &fate, 1);
    if (chosen.way != IpsecWay::esp) return refuse(p, chosen.esp, out);
    if (!alone_ && !mine(p, child)) return;
    if (protect_.n == kPassBurst) protect(out);
    protect_.add(p, sa);
}

void Pass::protect(Departure& out) noexcept {
    const uint16_t n = protect_.n;
    protect_.n = 0;
    if (waits_) return begin_protect(n, out);
    esp_output(esp_, protect_.sas.data(), protect_.packets.data(), esp_fates_.data(), n);
    uint16_t good = 0;
    for (uint16_t i = 0; i < n; ++i) {
        if (__builtin_expect(!esp_fates_[i].ok(), 0)) {
            refuse(&protect_.packets[i]->rte, esp_fates_[i], out);
            continue;
        }
        protect_.packets[good] = protect_.packets[i];
        protect_.sas[good++] = protect_.sas[i];
    }
    wrapped(protect_.packets.data(), protect_.sas.data(), good, out);
}

// wrapped - ESP packets, of these SAs: to be sent, in pieces where their way wants it.
void Pass::wrapped(Mbuf** packets, Sa* const* sas, uint16_t n, Departure& out) noexcept {
    std::array<rte_mbuf*, kPassBurst> outer;
    uint16_t ready = 0;
    const auto leave = [&](rte_mbuf* p) {
        if (ready == kPassBurst) send_outer(outer.data(), std::exchange(ready, uint16_t{0}), out);
        outer[ready++] = p;
    };
    for (uint16_t i = 0; i < n; ++i) {
        rte_mbuf* p = &packets[i]->rte;
        const uint32_t most = sas[i]->path.mtu();
        if (__builtin_expect(most == 0 || p->pkt_len <= most, 1)) {
            leave(p);
            continue;
        }
        Mbuf* list = cut_after(esp_, *sas[i], packets[i], most);
        if (list == nullptr) {
            out.die(p, Drop::no_mbuf);
            continue;
        }
        leave(take_next(list));
        for (; list != nullptr; leave(take_next(list))) stats_.made.add(1);
    }
    lane_.counts->protect.add(n);
    send_outer(outer.data(), ready, out);
}

// send_outer - ESP packets of our own, routed by their outer headers.
void Pass::send_outer(rte_mbuf** packets, uint16_t n, Departure& out) noexcept {
    if (n == 0) return;
    look_up_own(table_, packets, looked_.data(), n);
    for (uint16_t i = 0; i < n; ++i) {
        if (__builtin_expect(is_plain_sailing(looked_[i]), 1)) {
            out.pass_on_own(packets[i], looked_[i]);
            continue;
        }
        IpFate fate = judge_own(looked_[i]);
        // The kernel finds neighbours, and sends by interfaces that are no ports. An answer it would send to us, who
        // are the source: what has no way, or is too long for it, ends here.
        const bool for_the_kernel = fate.why == Drop::no_neighbour || fate.why == Drop::to_kernel;
        if (fate.way == IpWay::kernel && !for_the_kernel) fate.way = IpWay::dead;
        out.carry_out_own(&packets[i], &fate, 1);
    }
}

// ---- what the kernel sends (X2)

void Pass::from_kernel(rte_mbuf** frames, uint16_t n, Departure& out) noexcept {
    for (uint16_t i = 0; i < n; ++i) {
        rte_mbuf* p = frames[i];
        p->port = port_;
        rte_ether_hdr copy;
        const auto* ether = static_cast<const rte_ether_hdr*>(bytes_at(p, 0, sizeof copy, &copy));
        const uint16_t type = ether == nullptr ? 0 : rte_be_to_cpu_16(ether->ether_type);
        if (inside_ || type == kArpType) {
            out.frame(p, port_);
            continue;
        }
        const bool ip = type == kIpv4Type || type == kIpv6Type;
        if (!ip || !strip(p)) {
            out.die(p, Drop::not_handled);
            continue;
        }
        if (exempted(exempt_out(p, table_, db_.udp_port))) {
            dress(p);
            out.frame(p, port_);
            continue;
        }
        onward_.add(p, {});
        if (onward_.n == kPassBurst) kernel_packets(out);
    }
    if (onward_.n > 0) kernel_packets(out);
}

// kernel_packets - the kernel has routed them, and aged what was not its own.
void Pass::kernel_packets(Departure& out) noexcept {
    const uint16_t n = onward_.n;
    onward_.n = 0;
    ipsec_choose(db_, esp_, mbufs(onward_.packets.data()), fates_.data(), sas_.data(), children_.data(), n);
    for (uint16_t i = 0; i < n; ++i) {
        rte_mbuf* p = onward_.packets[i];
        if (fates_[i].way == IpsecWay::esp) {
            if (alone_ || mine(p, children_[i])) wrap(p, sas_[i], out);
        } else if (fates_[i].way == IpsecWay::bypass) {
            dress(p);
            out.frame(p, port_);
            lane_.counts->bypassed.add(1);
        } else {
            refuse(p, fates_[i].esp, out);
        }
    }
    if (protect_.n > 0) protect(out);
}

// ---- an engine that takes its time. What it is given is dead for its stream, and what comes back is made: in the
// leader's turn, whichever stream of the lane it was.

void Pass::begin_open(Mbuf** packets, uint16_t n, Departure& out) noexcept {
    std::array<uint64_t, kPassBurst> tags;
    for (uint16_t i = 0; i < n; ++i) tags[i] = kInbound | (sas_[i] == nullptr ? 0 : sas_[i]->terms.id);
    esp_submit_input(esp_, sas_.data(), packets, tags.data(), esp_fates_.data(), n);
    begun(packets, sas_.data(), n, out);
}

void Pass::begin_protect(uint16_t n, Departure& out) noexcept {
    std::array<uint64_t, kPassBurst> tags;
    for (uint16_t i = 0; i < n; ++i) tags[i] = protect_.sas[i]->terms.id;
    esp_submit_output(esp_, protect_.sas.data(), protect_.packets.data(), tags.data(), esp_fates_.data(), n);
    begun(protect_.packets.data(), protect_.sas.data(), n, out);
}

void Pass::begun(Mbuf** packets, Sa* const* sas, uint16_t n, Departure& out) noexcept {
    uint64_t taken = 0;
    for (uint16_t i = 0; i < n; ++i) {
        if (!esp_fates_[i].ok()) {
            refuse(&packets[i]->rte, esp_fates_[i], out);
            continue;
        }
        ++taken;
        ++lane_.working[sas[i]->terms.id];
        gateway_.db().sad().begin_work(sas[i]->terms.id, 1);
    }
    stats_.drop(Drop::to_device, taken);
}

// back - one packet less at work with its SA's key.
void Pass::back(const EspDone& done) noexcept {
    const auto id = static_cast<uint32_t>(done.tag);
    --lane_.working[id];
    gateway_.db().sad().end_work(id, 1);
}

uint16_t Pass::from_device(Departure& out) noexcept {
    if (!waits_ || esp_in_flight(esp_) == 0) return 0;
    std::array<EspDone, kPassBurst> done;
    const uint16_t n = esp_reap(esp_, done.data(), kPassBurst);
    stats_.made.add(n);
    std::array<Mbuf*, kPassBurst> sealed, open;
    std::array<Sa*, kPassBurst> by;
    uint16_t outward = 0, inward = 0;
    for (uint16_t i = 0; i < n; ++i) {
        back(done[i]);
        if (!done[i].fate.ok()) {
            refuse(&done[i].packet->rte, done[i].fate, out);
        } else if ((done[i].tag & kInbound) != 0) {
            sas_[inward] = done[i].sa;
            open[inward++] = done[i].packet;
        } else {
            by[outward] = done[i].sa;
            sealed[outward++] = done[i].packet;
        }
    }
    if (outward > 0) wrapped(sealed.data(), by.data(), outward, out);
    if (inward > 0) authentic(open.data(), inward, out);
    if (onward_.n > 0) onward(out);
    return n;
}

void Pass::leave_device() noexcept {
    if (!waits_) return;
    constexpr int kPatienceMs = 1000;
    for (int i = 0; i < kPatienceMs && esp_in_flight(esp_) > 0; ++i) {
        std::array<EspDone, kPassBurst> done;
        const uint16_t n = esp_reap(esp_, done.data(), kPassBurst);
        for (uint16_t k = 0; k < n; ++k) {
            back(done[k]);
            m_freem(done[k].packet);
        }
        stats_.made.add(n);
        stats_.drop(Drop::drained, n);
        if (n == 0) rte_delay_us_sleep(1000);
    }
    const uint32_t left = esp_in_flight(esp_);
    if (left == 0) return;
    stats_.made.add(left);
    stats_.drop(Drop::drained, left);
    lane_.esp.reset();
    for (uint32_t id = 0; id < lane_.working.size(); ++id) gateway_.db().sad().end_work(id, std::exchange(lane_.working[id], 0));
}

// ---- other lanes (G1)

// mine - true: its SA is this lane's. Else it is posted to whose it is.
bool Pass::mine(rte_mbuf* p, ChildId child) noexcept {
    const uint16_t whose = gateway_.owner(Direction::out, child, number_);
    if (whose == number_) return true;
    post(whose, {p, child});
    return false;
}

// keep_mine - of the packets to open: those whose SA, in sas_, is this lane's, or nobody's. Returns how many.
uint16_t Pass::keep_mine(Mbuf** packets, uint16_t n) noexcept {
    uint16_t kept = 0;
    for (uint16_t i = 0; i < n; ++i) {
        Sa* sa = sas_[i];
        const uint16_t whose = sa == nullptr ? number_ : gateway_.owner(Direction::in, db_.sad().child_of(*sa), number_);
        if (whose != number_) {
            post(whose, {&packets[i]->rte, id_of(*sa)});
            continue;
        }
        packets[kept] = packets[i];
        sas_[kept++] = sa;
    }
    return kept;
}

void Pass::post(uint16_t lane, const Handed& handed) noexcept {
    Post& post = posts_[lane];
    if (post.n == kHandoverBurst) flush(lane);
    post.list[post.n++] = handed;
}

void Pass::flush(uint16_t lane) noexcept {
    Post& post = posts_[lane];
    const uint16_t taken = gateway_.lane(lane).ring->put(post.list.data(), post.n);
    stats_.drop(Drop::handed_over, taken);
    if (taken < post.n) stats_.drop(Drop::lane_full, uint64_t{post.n} - taken);
    for (uint16_t i = taken; i < post.n; ++i) rte_pktmbuf_free(post.list[i].packet());
    post.n = 0;
}

void Pass::hand_over() noexcept {
    for (uint16_t lane = 0; lane < posts_.size(); ++lane)
        if (posts_[lane].n > 0) flush(lane);
}

void Pass::from_lanes(const Handed* list, uint16_t n, Departure& out) noexcept {
    uint16_t closed = 0;
    std::array<Mbuf*, kHandoverBurst> packets;
    lane_.counts->handed.add(n);
    for (uint16_t i = 0; i < n; ++i) {
        rte_mbuf* p = list[i].packet();
        if (list[i].to_open()) {
            packets[closed] = Mbuf::of(p);
            sas_[closed] = db_.sad().resolve(list[i].id, list[i].generation);
            if (sas_[closed] != nullptr) {
                ++closed;
                continue;
            }
            esp_.counters.count(Xfrm::in_state);
            out.die(p, Drop::no_sa);
            continue;
        }
        IpsecFate fate;
        if (Sa* sa = ipsec_current(db_, esp_, list[i].child(), fate); sa != nullptr) wrap(p, sa, out);
        else refuse(p, fate.esp, out);
    }
    if (protect_.n > 0) protect(out);
    if (closed == 0) return;
    open_all(packets.data(), closed, out);
    if (onward_.n > 0) onward(out);
}

}  // namespace umbuf::fwd
