// SPDX-License-Identifier: BSD-2-Clause
// esp_input.cc - an ESP packet becomes the packet that was sent.
#include <algorithm>
#include <cstring>

#include "lib/ipsec/esp.h"
#include "lib/ipsec/esp_batch.h"
#include "lib/ipsec/esp_in_place.h"
#include "lib/ipsec/nat.h"
#include "lib/mbuf/verbs.h"

namespace umbuf {
namespace {

using esp::Plan;

void count(EspLane& lane, Sa* sa, Xfrm why) noexcept {
    lane.counters.count(why);
    if (sa != nullptr) sa->counters.refused.count(why);
}

Plan refuse(EspLane& lane, Sa* sa, EspFate& fate, Xfrm why, int error = 0) noexcept {
    fate = {why, error};
    count(lane, sa, why);
    return Plan::refused;
}

Xfrm no_esp(EspWireKind kind) noexcept {
    return kind == EspWireKind::none ? Xfrm::in_mismatch : Xfrm::in_header;
}

// text_of - how long the ciphertext is; 0: not as long as any packet of this algorithm (RFC 4303, 2.4).
uint32_t text_of(const EspWire& wire, const Algorithm& algorithm) noexcept {
    const uint32_t bytes = wire.end - wire.at, around = 8u + algorithm.cipher->iv + algorithm.icv();
    if (bytes <= around) return 0;
    const uint32_t text = bytes - around;
    return text % std::max<uint32_t>(4, algorithm.cipher->block) == 0 ? text : 0;
}

bool list_pieces(EspLane::Batch& batch, const Mbuf* source, const EspWork& work, uint32_t at) noexcept {
    return batch.add_chain(source, at, work.text) && batch.add_rooms(work.out, work.lead, work.text);
}

// plan_in_place - the mbuf shows the cipher's text alone from here on, as a fresh one would.
Plan plan_in_place(EspLane::Batch& batch, Mbuf* m, EspWork& work, Job& job, uint32_t at) noexcept {
    esp::over(work, job, m->data() + at, work.text);
    work.was_off = m->rte.data_off;
    work.was_len = m->rte.data_len;
    esp::move_front(m, static_cast<int32_t>(at), work.text);
    work.out = m;
    work.in_place = true;
    work.lead = 0;
    ++batch.n;
    return Plan::planned;
}

// put_back - a packet that is refused is as it was (E-2): the same cipher under the same nonce makes the same
// ciphertext. Its other bytes were not touched.
void put_back(EspLane& lane, EspWork& work, Job& job) noexcept {
    job.encrypt = true;
    lane.engine.run(lane.crypto(), &job, 1);
    work.out->rte.data_off = work.was_off;
    work.out->set_len(work.was_len);
    work.out->rte.pkt_len = work.was_len;
}

Plan plan(EspLane& lane, Sa* sa, Mbuf* source, EspFate& fate) noexcept {
    EspLane::Batch& batch = lane.batch();
    EspWork& work = batch.work[batch.n];
    Job& job = batch.jobs[batch.n];
    if (sa == nullptr) return refuse(lane, sa, fate, Xfrm::in_no_states);
    if (const int error = esp::readable(source); error != 0) return refuse(lane, sa, fate, Xfrm::in_error, error);
    const SaTerms& terms = sa->terms;
    EspWire wire;
    esp::wire_of(source, terms.udp ? terms.udp_dst : uint16_t{0}, wire);
    if (wire.kind != EspWireKind::esp) return refuse(lane, sa, fate, no_esp(wire.kind));
    if (wire.udp != terms.udp) return refuse(lane, sa, fate, Xfrm::in_mismatch);
    if (wire.spi != terms.spi) return refuse(lane, sa, fate, Xfrm::in_no_states);
    const uint32_t text = text_of(wire, terms.algorithm);
    if (text == 0) return refuse(lane, sa, fate, Xfrm::in_header);

    const uint32_t head = 8u + terms.algorithm.cipher->iv;
    job.key = sa->key();
    job.len = text;
    job.encrypt = job.failed = job.done = false;
    job.extended = terms.esn;
    const bool whole = source->len() >= wire.end && !m_unmapped(source);
    job.whole = whole ? source->data() + wire.at : nullptr;
    esp::peek(source, wire.at, head, job.head.spi);
    work.begin(*sa);
    if (terms.mode == SaMode::transport) work.ip = wire.ip;
    work.tos = wire.ip.tos;
    work.text = text;
    work.udp = wire.udp;
    const uint32_t low = load32(job.head.seq);
    work.seq = terms.esn ? sa->window.infer(low) : low;
    store32(job.seq_high, static_cast<uint32_t>(work.seq >> 32));
    if (!sa->window.check(work.seq)) {
        sa->counters.replayed.add(1);
        return refuse(lane, sa, fate, Xfrm::in_seq);
    }
    if (sa->expired(text, lane.now_s)) return refuse(lane, sa, fate, Xfrm::in_expired);

    esp::peek(source, wire.at + head + text, terms.algorithm.icv(), job.icv);
    if (esp::over_it(lane, *sa) && esp::ours(source, kEspRoom, wire.end)) return plan_in_place(batch, source, work, job, wire.at + head);
    work.lead = terms.mode == SaMode::transport ? wire.ip.header : 0;
    const EspLane::Batch::Mark mark = batch.mark();
    work.out = esp::fresh(work.lead + text);
    if (work.out == nullptr) return refuse(lane, sa, fate, Xfrm::in_buffer, ENOBUFS);
    bool listed = list_pieces(batch, source, work, wire.at + head);
    if (!listed) {
        batch.back_to(mark);
        if (batch.n > 0) {
            m_freem(work.out);
            return Plan::full;
        }
        work.copy = m_dup(const_cast<Mbuf*>(source), M_NOWAIT);
        listed = work.copy != nullptr && list_pieces(batch, work.copy, work, wire.at + head);
    }
    if (!listed) {
        batch.back_to(mark);
        m_freem(work.out);
        m_freem(work.copy);
        return refuse(lane, sa, fate, Xfrm::in_buffer, ENOBUFS);
    }
    esp::peek(source, 0, work.lead, work.out->data());
    job.source = batch.pieces_since(mark);
    job.to = batch.rooms_since(mark);
    ++batch.n;
    return Plan::planned;
}

// Trailer - the end of what was decrypted.
struct Trailer {
    uint32_t pad;
    uint8_t next;
};

// read_trailer - false: the padding is not what a sender writes (RFC 4303, 2.4).
[[gnu::always_inline]] inline bool read_trailer(const EspWork& work, Trailer* trailer) noexcept {
    std::byte end[2];
    esp::peek(work.out, work.lead + work.text - 2, 2, end);
    trailer->pad = static_cast<uint32_t>(end[0]);
    trailer->next = static_cast<uint8_t>(end[1]);
    if (trailer->pad + 2 > work.text) return false;
    const uint32_t at = work.lead + work.text - 2 - trailer->pad;
    std::byte copy[255];
    const std::byte* pad = work.out->data() + at;  // fresh, or private: mapped
    if (__builtin_expect(work.out->next() != nullptr, 0)) {
        esp::peek(work.out, at, trailer->pad, copy);
        pad = copy;
    }
    for (uint32_t i = 0; i < trailer->pad; ++i)
        if (pad[i] != static_cast<std::byte>(i + 1)) return false;
    return true;
}

// open_tunnel - the inner packet: a whole one of the version that was announced; what is behind it is
// padding for traffic flow confidentiality (RFC 4303, 2.7).
[[gnu::always_inline]] inline Xfrm open_tunnel(EspWork& work, const Trailer& trailer, uint32_t payload, uint32_t* length) noexcept {
    if (trailer.next != kProtoIpv4 && trailer.next != kProtoIpv6) return Xfrm::in_mode;
    std::byte* inner = work.out->data();
    // The usual one in short: no options, and nothing that the outer header has to say (RFC 6040).
    const bool unmarked = (work.tos & 3) == 0 && !work.sa->quick.decap_dscp;
    if (unmarked && trailer.next == kProtoIpv4 && payload >= kIpv4Header && *inner == std::byte{0x45}) {
        *length = load16(inner + 2);
        return *length >= kIpv4Header && *length <= payload ? Xfrm::ok : Xfrm::in_header;
    }
    IpView ip;
    if (!parse_ip(inner, std::min({work.out->len(), payload, kPeek}), payload, &ip)) return Xfrm::in_header;
    if (ip.v6 != (trailer.next == kProtoIpv6)) return Xfrm::in_mode;
    *length = ip.length;
    return leave_tunnel(inner, work.sa->terms.outer, work.tos) ? Xfrm::ok : Xfrm::in_ecn;
}

// open_transport - the packet's own header says again what it said before ESP.
Xfrm open_transport(EspWork& work, const Trailer& trailer, uint32_t payload, uint32_t* length) noexcept {
    std::byte* header = work.out->data();
    *length = work.lead + payload;
    header[work.ip.proto_at] = std::byte{trailer.next};
    if (work.ip.v6) {
        store16(header + 4, *length - kIpv6Header);
        return Xfrm::ok;
    }
    store16(header + 2, *length);
    ipv4_checksum(header, work.lead);
    return Xfrm::ok;
}

// cut_to - the packet's first bytes.
void cut_to(Mbuf* m, uint32_t length) noexcept {
    if (__builtin_expect(m->next() != nullptr, 0)) return m_adj(m, -static_cast<int32_t>(m->pkt_len() - length));
    m->set_len(length);
    m->rte.pkt_len = length;
}

// believe - the packet was authentic: what is it? Its bytes in work.out, cut to its length.
[[gnu::always_inline]] inline Xfrm believe(EspWork& work) noexcept {
    Trailer trailer{};
    if (!read_trailer(work, &trailer)) {
        work.sa->counters.bad_padding.add(1);
        return Xfrm::in_proto;
    }
    if (trailer.next == kProtoNone) return Xfrm::in_dummy;
    const uint32_t payload = work.text - 2 - trailer.pad;
    uint32_t length = 0;
    const bool tunnel = work.in_place || work.sa->terms.mode == SaMode::tunnel;
    const Xfrm opened = tunnel ? open_tunnel(work, trailer, payload, &length) : open_transport(work, trailer, payload, &length);
    if (opened != Xfrm::ok) return opened;
    cut_to(work.out, length);
    if (work.udp && !tunnel) {
        work.ip.length = length;
        mend_checksum(work.out, work.ip, trailer.next, work.sa->terms.oa);
    }
    return opened;
}

[[gnu::always_inline]] inline Xfrm judge(const EspLane& lane, EspWork& work, const Job& job) noexcept {
    Sa& sa = *work.sa;
    if (!job.authentic) {
        sa.counters.bad_icv.add(1);
        return Xfrm::in_proto;
    }
    if (!sa.window.check(work.seq)) {  // E-4: its twin was in this burst
        sa.counters.replayed.add(1);
        return Xfrm::in_seq;
    }
    if (sa.expired(work.text, lane.now_s)) return Xfrm::in_expired;  // by those before it in this burst
    sa.window.mark(work.seq);
    sa.counters.packets.add(1);
    sa.counters.bytes.add(work.text);
    return believe(work);
}

// do_quickly - all of it in one run, for the usual packet of the usual SA (SaQuick): ESP in IPv4 without options,
// in one mbuf of its own. declined: nothing is changed.
enum class Quick : uint8_t { declined, good, refused };
[[gnu::always_inline]] inline Quick do_quickly(EspLane& lane, Sa* sa, Mbuf* m, EspFate& fate) noexcept {
    constexpr uint32_t kHead = 16, kAt = kIpv4Header + kHead, kIcv = 16;
    rte_mbuf& r = m->rte;
    if (sa == nullptr) return Quick::declined;
    const SaQuick& q = sa->quick;
    if (!q.usable || !esp::direct(r) || r.data_len < kAt + 4 + kIcv) return Quick::declined;
    const std::byte* const data = m->data();
    const uint64_t outer = load64(data);
    const uint32_t length = static_cast<uint16_t>(outer >> 32), text = length - kAt - kIcv;
    if (outer >> 56 != 0x45 || length > r.data_len || length < kAt + 4 + kIcv || text % 4 != 0) return Quick::declined;
    if ((outer & 0x3fff) != 0 || data[9] != std::byte{kProtoEsp} || r.data_off + kAt < kEspRoom) return Quick::declined;
    const uint64_t front = load64(data + kIpv4Header);
    if (front >> 32 != q.spi) return Quick::declined;
    const uint64_t seq = q.esn ? sa->window.infer(static_cast<uint32_t>(front)) : static_cast<uint32_t>(front);
    if (!sa->window.check(seq)) return Quick::declined;

    Job& job = lane.batch().quick;
    std::memcpy(job.head.spi, data + kIpv4Header, 8);
    std::memcpy(job.head.iv, data + kIpv4Header + 8, 8);
    store32(job.seq_high, static_cast<uint32_t>(seq >> 32));
    std::memcpy(job.icv, data + kAt + text, kIcv);
    job.encrypt = false;
    EspWork& work = lane.batch().work[lane.batch().n];
    work.begin(*sa);
    work.seq = seq;
    work.tos = static_cast<uint8_t>(outer >> 48);
    work.text = text;
    work.lead = 0;
    work.out = m;
    work.in_place = true;
    work.was_off = r.data_off;
    work.was_len = r.data_len;
    esp::move_front(m, static_cast<int32_t>(kAt), text);
    esp::run_at_once(lane, *sa, job, m->data(), text);
    if (const Xfrm why = judge(lane, work, job); why != Xfrm::ok) {
        put_back(lane, work, job);
        fate = {why, 0};
        count(lane, sa, why);
        return Quick::refused;
    }
    esp::succeed(m);
    return Quick::good;
}

// finish - true: packets[] has the new packet.
bool finish(EspLane& lane, EspWork& work, Job& job, Mbuf** packets, EspFate* fates) noexcept {
    m_freem(work.copy);
    const Xfrm why = __builtin_expect(job.failed, 0) ? Xfrm::in_error
                     : __builtin_expect(work.differs, 0) ? Xfrm::in_differs
                                                         : judge(lane, work, job);
    if (why != Xfrm::ok) {
        if (work.in_place) put_back(lane, work, job);
        else m_freem(work.out);
        fates[work.index] = {why, job.failed ? EIO : 0};
        count(lane, work.sa, why);
        return false;
    }
    if (work.in_place) {
        esp::succeed(work.out);
        return true;
    }
    esp::succeed(work.out, packets[work.index]);
    packets[work.index] = work.out;
    return true;
}

uint16_t run_and_finish(EspLane& lane, Mbuf** packets, EspFate* fates) noexcept {
    EspLane::Batch& batch = lane.batch();
    lane.engine.run(lane.crypto(), batch.jobs.data(), batch.n);
    const uint16_t n = batch.n;
    uint16_t good = 0;
    if (lane.cross != nullptr)
        for (uint16_t i = 0; i < n; ++i) esp::cross_check(lane, batch.work[i], batch.jobs[i], packets[batch.work[i].index]);
    // Windows close before the mbufs go that they look at.
    batch.clear();
    for (uint16_t i = 0; i < n; ++i) good = static_cast<uint16_t>(good + finish(lane, batch.work[i], batch.jobs[i], packets, fates));
    return good;
}

}  // namespace

namespace esp {

Plan plan_input(EspLane& lane, Sa* sa, Mbuf* source, EspFate& fate) noexcept { return plan(lane, sa, source, fate); }

bool finish_input(EspLane& lane, EspWork& work, Job& job, Mbuf** packet, EspFate* fate) noexcept {
    work.index = 0;
    return finish(lane, work, job, packet, fate);
}

}  // namespace esp

uint16_t esp_input(EspLane& lane, Sa* const* sas, Mbuf** packets, EspFate* fates, uint16_t n) noexcept {
    EspLane::Batch& batch = lane.own_batch();
    lane.plan_in(batch);
    uint16_t good = 0;
    const bool quickly = lane.cross == nullptr;  // what is written over is nobody else's to look at
    const auto flush = [&] { good = static_cast<uint16_t>(good + run_and_finish(lane, packets, fates)); };
    for (uint16_t i = 0; i < n; ++i) {
        fates[i] = {};
        esp::fetch_early(sas, packets, i, n);
        UM_ASSERT(sas[i] == nullptr || sas[i]->engine == &lane.engine);
        if (const Quick did = quickly ? do_quickly(lane, sas[i], packets[i], fates[i]) : Quick::declined; did != Quick::declined) {
            good = static_cast<uint16_t>(good + (did == Quick::good));
            continue;
        }
        Plan planned = plan(lane, sas[i], packets[i], fates[i]);
        if (planned == Plan::full) {
            flush();
            planned = plan(lane, sas[i], packets[i], fates[i]);
        }
        if (planned != Plan::planned) continue;
        batch.work[batch.n - 1].index = i;
        if (batch.full()) flush();
    }
    if (batch.n > 0) flush();
    lane.counters.packets[static_cast<size_t>(Xfrm::ok)].add(good);
    return good;
}

}  // namespace umbuf
