// SPDX-License-Identifier: BSD-2-Clause
// esp_output.cc - a packet becomes an ESP packet.
#include <algorithm>
#include <cstring>

#include <rte_byteorder.h>

#include "lib/ipsec/esp.h"
#include "lib/ipsec/esp_batch.h"
#include "lib/ipsec/esp_in_place.h"
#include "lib/mbuf/verbs.h"
#include "lib/net/cksum.h"

namespace umbuf {
namespace {

using esp::Plan;

constexpr uint64_t kL4Mask = RTE_MBUF_F_TX_L4_MASK;

// Outline - the sizes of one packet to be, all from the whole packet's length (CVE-2022-27666).
struct Outline {
    uint32_t skip;    // bytes of the packet that stay in the clear: transport mode's header
    uint32_t outer;   // bytes before ESP
    uint32_t head;    // ESP header and IV
    uint32_t pad;
    uint32_t text;    // what the cipher sees
    uint32_t icv;
    [[nodiscard]] uint32_t lead() const noexcept { return outer + head; }
    [[nodiscard]] uint32_t bytes() const noexcept { return lead() + text + icv; }
};

[[gnu::always_inline]] inline Outline outline_of(const SaTerms& terms, const IpView& ip) noexcept {
    const CipherKind& cipher = *terms.algorithm.cipher;
    Outline o{};
    const bool tunnel = terms.mode == SaMode::tunnel;
    o.skip = tunnel ? 0 : ip.header;
    o.outer = (tunnel ? outer_bytes(terms.src.v6) : ip.header) + (terms.udp ? kUdpHeader : 0);
    o.head = 8u + cipher.iv;
    const uint32_t align = std::max<uint32_t>(4, cipher.block), payload = ip.length - o.skip;
    o.pad = -(payload + 2) & (align - 1);  // a power of two
    o.text = payload + o.pad + 2;
    o.icv = terms.algorithm.icv();
    return o;
}

// fits - into the length fields of the headers that go in front.
bool fits(const SaTerms& terms, const Outline& o, const IpView& ip) noexcept {
    const bool v6 = terms.mode == SaMode::tunnel ? terms.src.v6 : ip.v6;
    return o.bytes() - (v6 ? kIpv6Header : 0) <= UINT16_MAX;
}

// Deferred checksums: made over the source as it lies, put into a copy of the headers.
uint32_t l4_checksum_at(const Mbuf* m, const IpView& ip) noexcept {
    const uint64_t l4 = m->rte.ol_flags & kL4Mask;
    if (l4 == RTE_MBUF_F_TX_UDP_CKSUM && ip.proto == kProtoUdp) return ip.header + 6u;
    if (l4 == RTE_MBUF_F_TX_TCP_CKSUM && ip.proto == kProtoTcp) return ip.header + 16u;
    return 0;
}

uint16_t l4_checksum(const Mbuf* m, const IpView& ip, const std::byte* front, uint32_t at) noexcept {
    const uint32_t len = ip.length - ip.header;
    uint16_t sum = 0, there = 0;
    (void)in_sum(m, ip.header, len, &sum);  // readable: asked before
    std::memcpy(&there, front + at, sizeof(there));
    sum = add_sums(sum, static_cast<uint16_t>(~there));  // as if the field were 0
    const uint16_t pseudo = in_pseudo(front + (ip.v6 ? 8 : 12), ip.v6 ? 32 : 8, ip.proto, len);
    const uint16_t sum_all = static_cast<uint16_t>(~add_sums(sum, pseudo));
    return sum_all == 0 && ip.proto == kProtoUdp ? uint16_t{0xffff} : sum_all;
}

// settle_wanted - what the device was to do is done in work.front, and how many bytes of it are to be sent
// from there is in *fixed. False: it cannot be done.
bool settle_wanted(const Mbuf* m, uint64_t wanted, const IpView& ip, const std::byte* at, uint32_t have, EspWork& work,
                   uint32_t* fixed) noexcept {
    if ((wanted & (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG)) != 0) return false;  // one packet in, one out
    const uint32_t l4 = (wanted & kL4Mask) != 0 ? l4_checksum_at(m, ip) : 0;
    if ((wanted & kL4Mask) != 0 && (l4 == 0 || l4 + 2 > have || l4 + 2 > ip.length || ip.fragment)) return false;
    *fixed = std::max<uint32_t>(ip.header, l4 == 0 ? 0 : l4 + 2);
    std::memcpy(work.front.data(), at, *fixed);
    if (l4 != 0) {
        const uint16_t sum = l4_checksum(m, ip, at, l4);
        std::memcpy(work.front.data() + l4, &sum, sizeof(sum));
    }
    if (!ip.v6) ipv4_checksum(work.front.data(), ip.header);
    return true;
}
// settle_checksums - the same; *fixed 0: nothing was left to the device.
[[gnu::always_inline]] inline bool settle_checksums(const Mbuf* m, const IpView& ip, const std::byte* at, uint32_t have, EspWork& work,
                      uint32_t* fixed) noexcept {
    *fixed = 0;
    const uint64_t wanted = m->rte.ol_flags & (kL4Mask | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG);
    return __builtin_expect(wanted == 0, 1) || settle_wanted(m, wanted, ip, at, have, work, fixed);
}

// write_short_tail - 1, 2, 3, the padding's length, what the text is: pad < 4. Writes 8 bytes, some of them
// behind the trailer, where an ICV is to come.
[[gnu::always_inline]] inline void write_short_tail(std::byte* to, uint32_t pad, uint8_t next) noexcept {
    const uint32_t bits = 8 * pad;
    const uint64_t tail = (uint64_t{0x030201} & ((uint64_t{1} << bits) - 1)) | uint64_t{pad} << bits | uint64_t{next} << (bits + 8);
    const uint64_t little = rte_cpu_to_le_64(tail);
    std::memcpy(to, &little, sizeof(little));
}

void write_tail(EspWork& work, uint32_t pad, uint8_t next) noexcept {
    if (__builtin_expect(pad < 4, 1)) return write_short_tail(work.tail.data(), pad, next);
    for (uint32_t i = 0; i < pad; ++i) work.tail[i] = static_cast<std::byte>(i + 1);
    work.tail[pad] = static_cast<std::byte>(pad);
    work.tail[pad + 1] = static_cast<std::byte>(next);
}

// Transport mode: the packet's own header goes first, and says ESP now.
void write_own_header(std::byte* to, const std::byte* header, const IpView& ip, uint8_t proto, uint32_t bytes) noexcept {
    std::memcpy(to, header, ip.header);
    to[ip.proto_at] = std::byte{proto};
    if (ip.v6) {
        store16(to + 4, bytes - kIpv6Header);
        return;
    }
    store16(to + 2, bytes);
    ipv4_checksum(to, ip.header);
}

void write_udp(std::byte* to, const SaTerms& terms, uint32_t bytes) noexcept {
    store16(to, terms.udp_src);
    store16(to + 2, terms.udp_dst);
    store16(to + 4, bytes);
    store16(to + 6, 0);  // RFC 3948, 2.1; IPv6 gets its own when the ciphertext is there
}

uint16_t packet_id(Sa& sa, const IpView& ip) noexcept {
    const bool atomic = sa.terms.outer.df == DfRule::set || (sa.terms.outer.df == DfRule::copy && ip.dont_fragment);
    return atomic ? uint16_t{0} : sa.next_id++;  // RFC 6864, 4.1
}

[[gnu::always_inline]] inline void write_headers(EspWork& work, const Outline& o, const std::byte* front) noexcept {
    Sa& sa = *work.sa;
    std::byte* to = work.out->data();
    const SaTerms& terms = sa.terms;
    const uint8_t proto = terms.udp ? kProtoUdp : kProtoEsp;
    const uint32_t udp_at = o.outer - (terms.udp ? kUdpHeader : 0);
    if (terms.mode == SaMode::tunnel)
        write_outer(to, terms.outer, terms.src, terms.dst, work.ip, proto, o.bytes() - udp_at, packet_id(sa, work.ip));
    else
        write_own_header(to, front, work.ip, proto, o.bytes());
    if (terms.udp) write_udp(to + udp_at, terms, o.bytes() - udp_at);
}

// The IV of a nonce is the sequence number, upper half and all (RFC 4106, 3.1: any that never repeats); that
// of a chain of blocks is unpredictable (RFC 3602, 3).
[[gnu::always_inline]] inline void write_esp_head(Random& random, EspWork& work, Job& job, const Outline& o) noexcept {
    const SaTerms& terms = work.sa->terms;
    std::byte* to = work.out->data() + o.outer;
    const uint64_t front = uint64_t{terms.spi} << 32 | static_cast<uint32_t>(work.seq);
    store64(job.head.spi, front);
    store32(job.seq_high, static_cast<uint32_t>(work.seq >> 32));
    store64(to, front);
    if (terms.algorithm.cipher->iv == 8) {
        store64(job.head.iv, work.seq);
        store64(to + 8, work.seq);
    } else {
        random.take(job.head.iv, terms.algorithm.cipher->iv);
        std::memcpy(to + 8, job.head.iv, terms.algorithm.cipher->iv);
    }
}

// fill_in - headers and job of a packet whose pieces and rooms the job has.
[[gnu::always_inline]] inline void fill_in(EspLane& lane, EspWork& work, Job& job, const Outline& o, const std::byte* front) noexcept {
    Sa& sa = *work.sa;
    work.lead = o.lead();
    work.text = o.text;
    work.icv = static_cast<uint8_t>(o.icv);
    work.udp = sa.terms.udp;
    write_headers(work, o, front);
    // Field by field: a Job that is made elsewhere and copied here is read before it has been written.
    job.key = sa.key();
    job.whole = job.to.size() == 1 ? work.out->data() + o.outer : nullptr;
    job.len = o.text;
    job.encrypt = true;
    job.failed = job.done = false;
    job.extended = sa.terms.esn;
    write_esp_head(lane.random, work, job, o);
    // What this packet will have been counts from now on: the next of the burst looks at the limits, too.
    sa.counters.packets.add(1);
    sa.counters.bytes.add(o.text);
}

// list_pieces - the packet from `skip` on, its first `fixed` bytes out of work.front; then the trailer.
bool list_pieces(EspLane::Batch& batch, const EspWork& work, const Mbuf* source, const Outline& o, uint32_t fixed) noexcept {
    const uint32_t from = std::max(o.skip, fixed);
    if (fixed > o.skip && !batch.add(work.front.data() + o.skip, fixed - o.skip)) return false;
    return batch.add_chain(source, from, work.ip.length - from) && batch.add(work.tail.data(), o.pad + 2);
}

Plan refuse(EspLane& lane, Sa& sa, EspFate& fate, Xfrm why, int error = 0) noexcept {
    fate = {why, error};
    lane.counters.count(why);
    sa.counters.refused.count(why);
    return Plan::refused;
}

// too_scattered - a packet of more pieces than a batch has is read from a copy.
bool too_scattered(EspLane::Batch& batch, EspWork& work, const Mbuf* source, const Outline& o, uint32_t fixed) noexcept {
    work.copy = m_dup(const_cast<Mbuf*>(source), M_NOWAIT);
    return work.copy != nullptr && list_pieces(batch, work, work.copy, o, fixed);
}

// look - what is asked of a packet before anything is made for it. Fills in work.ip, work.front, *o, *fixed.
[[gnu::always_inline]] inline Xfrm look(EspLane& lane, Sa& sa, const Mbuf* source, const std::byte* front, uint32_t have, EspWork& work, Outline* o,
          uint32_t* fixed, int* error) noexcept {
    if (!parse_ip(front, have, source->pkt_len(), &work.ip)) return Xfrm::out_header;
    // A packet of protocol 59 would arrive as a dummy, and be dropped (RFC 4303, 2.6).
    if (sa.terms.mode == SaMode::transport && (work.ip.fragment || work.ip.proto == kProtoNone)) return Xfrm::out_mode;
    *o = outline_of(sa.terms, work.ip);
    *error = EMSGSIZE;
    if (!fits(sa.terms, *o, work.ip)) return Xfrm::out_error;
    *error = 0;
    if (sa.expired(o->text, lane.now_s)) return Xfrm::out_expired;
    if (settle_checksums(source, work.ip, front, have, work, fixed)) return Xfrm::ok;
    *error = refused(EOPNOTSUPP);
    return Xfrm::out_error;
}

// list - where the cipher reads and where it writes. full: the batch has no place for it now, but will
// have when it has run.
Plan list(EspLane::Batch& batch, EspWork& work, const Mbuf* source, const Outline& o, uint32_t fixed) noexcept {
    const EspLane::Batch::Mark mark = batch.mark();
    const auto rooms = [&] { return batch.add_rooms(work.out, o.lead(), o.text); };
    if (list_pieces(batch, work, source, o, fixed) && rooms()) return Plan::planned;
    batch.back_to(mark);
    if (batch.n > 0) return Plan::full;
    if (too_scattered(batch, work, source, o, fixed) && rooms()) return Plan::planned;
    batch.back_to(mark);
    return Plan::refused;
}

// drop_plan - nothing is left of it.
void drop_plan(EspLane::Batch& batch, const EspLane::Batch::Mark& mark, EspWork& work) noexcept {
    batch.back_to(mark);
    m_freem(work.out);
    m_freem(work.copy);
}

// plan_in_place - trailer and headers go around the packet. Last of all, and after the number: nothing is undone.
[[gnu::always_inline]] inline Plan plan_in_place(EspLane& lane, Sa& sa, Mbuf* m, EspWork& work, const Outline& o,
                                                        const std::byte* front, EspFate& fate) noexcept {
    if (sa.sequence.next(&work.seq) != 0) return refuse(lane, sa, fate, Xfrm::out_seq, EOVERFLOW);
    EspLane::Batch& batch = lane.batch();
    Job& job = batch.jobs[batch.n];
    esp::over(work, job, m->data(), o.text);
    // An AEAD's padding is short, and its ICV follows.
    write_short_tail(m->data() + work.ip.length, o.pad, work.ip.v6 ? kProtoIpv6 : kProtoIpv4);
    esp::move_front(m, -static_cast<int32_t>(o.lead()), o.bytes());
    work.out = m;
    work.in_place = true;
    fill_in(lane, work, job, o, front);
    ++batch.n;
    return Plan::planned;
}

Plan plan(EspLane& lane, Sa& sa, Mbuf* source, EspFate& fate) noexcept {
    EspLane::Batch& batch = lane.batch();
    EspWork& work = batch.work[batch.n];
    work.begin(sa);
    if (const int error = esp::readable(source); error != 0) return refuse(lane, sa, fate, Xfrm::out_error, error);
    std::byte scratch[kPeek];
    const std::byte* front = nullptr;
    const uint32_t have = esp::front_of(source, scratch, &front);
    Outline o{};
    uint32_t fixed = 0;
    int error = 0;
    if (const Xfrm why = look(lane, sa, source, front, have, work, &o, &fixed, &error); why != Xfrm::ok)
        return refuse(lane, sa, fate, why, error);
    const uint8_t inner = work.ip.v6 ? kProtoIpv6 : kProtoIpv4;
    write_tail(work, o.pad, sa.terms.mode == SaMode::transport ? work.ip.proto : inner);
    if (esp::over_it(lane, sa) && fixed == 0 && esp::ours(source, o.lead() + kEspRoom, o.text + o.icv))
        return plan_in_place(lane, sa, source, work, o, front, fate);

    const EspLane::Batch::Mark mark = batch.mark();
    work.out = esp::fresh(o.bytes());
    if (work.out == nullptr) return refuse(lane, sa, fate, Xfrm::out_error, ENOBUFS);
    const Plan listed = list(batch, work, source, o, fixed);
    const bool numbered = listed == Plan::planned && sa.sequence.next(&work.seq) == 0;
    if (!numbered) {
        drop_plan(batch, mark, work);
        if (listed == Plan::full) return Plan::full;
        return listed == Plan::planned ? refuse(lane, sa, fate, Xfrm::out_seq, EOVERFLOW)
                                       : refuse(lane, sa, fate, Xfrm::out_error, ENOBUFS);
    }
    Job& job = batch.jobs[batch.n];
    job.source = batch.pieces_since(mark);
    job.to = batch.rooms_since(mark);
    fill_in(lane, work, job, o, fixed > 0 ? work.front.data() : front);
    ++batch.n;
    return Plan::planned;
}

// do_quickly - all of it in one run, for the usual packet of the usual SA (SaQuick): IPv4, in one mbuf of its own,
// nothing left to the device. False: it declines, before anything is changed.
[[gnu::always_inline]] inline bool do_quickly(EspLane& lane, Sa& sa, Mbuf* m) noexcept {
    constexpr uint32_t kLead = kIpv4Header + 16, kIcv = 16;
    constexpr uint64_t kWanted = kL4Mask | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG;
    const SaQuick& q = sa.quick;
    rte_mbuf& r = m->rte;
    if (!q.usable || !esp::direct(r) || (r.ol_flags & kWanted) != 0 || r.data_len < kIpv4Header) return false;
    std::byte* const data = m->data();
    const uint64_t inner = load64(data);
    const uint32_t length = static_cast<uint16_t>(inner >> 32);
    if (inner >> 56 != 0x45 || length < kIpv4Header || length > r.data_len) return false;
    const uint32_t pad = -(length + 2) & 3, text = length + pad + 2;
    if (r.data_off < kLead + kEspRoom || uint32_t{r.buf_len} - r.data_off < text + kIcv) return false;
    uint64_t seq = 0;
    if (sa.sequence.next(&seq) != 0) return false;

    const bool df = ((inner & 0x4000) != 0 && q.df_and) || q.df_or;
    const uint64_t tos = (static_cast<uint8_t>(inner >> 48) & q.tos_and) | q.tos_or;
    // RFC 6864, 4.1: who cannot become fragments needs no number; and copies of DF mean that.
    const uint64_t id = df ? 0 : sa.next_id++;
    write_short_tail(data + length, pad, kProtoIpv4);
    std::byte* const to = data - kLead;
    put_ipv4(to, uint64_t{0x45} << 56 | tos << 48 | uint64_t{kLead + text + kIcv} << 32 | id << 16 | (df ? 0x4000u : 0u), q.second,
             q.destination, q.sum);
    const uint64_t front = uint64_t{q.spi} << 32 | static_cast<uint32_t>(seq);
    store64(to + kIpv4Header, front);
    store64(to + kIpv4Header + 8, seq);
    Job& job = lane.batch().quick;
    store64(job.head.spi, front);
    store64(job.head.iv, seq);
    store32(job.seq_high, static_cast<uint32_t>(seq >> 32));
    job.encrypt = true;
    esp::run_at_once(lane, sa, job, data, text);
    std::memcpy(data + text, job.icv, kIcv);
    esp::move_front(m, -static_cast<int32_t>(kLead), kLead + text + kIcv);
    esp::succeed(m);
    sa.counters.packets.add(1);
    sa.counters.bytes.add(text);
    return true;
}

// IPv6 has no UDP without a checksum (RFC 8200, 8.1).
void sum_udp(EspWork& work) noexcept {
    const SaTerms& terms = work.sa->terms;
    const bool v6 = terms.mode == SaMode::tunnel ? terms.src.v6 : work.ip.v6;
    if (!v6) return;
    const uint32_t at = work.lead - 8u - terms.algorithm.cipher->iv - kUdpHeader, len = work.out->pkt_len() - at;
    std::byte* header = work.out->data();
    uint16_t sum = 0;
    (void)in_sum(work.out, at, len, &sum);  // fresh and mapped
    sum = static_cast<uint16_t>(~add_sums(sum, in_pseudo(header + 8, 32, kProtoUdp, len)));
    if (sum == 0) sum = 0xffff;
    std::memcpy(header + at + 6, &sum, sizeof(sum));
}

// finish - false: the device could not do it; its number is gone, the packet is as it was.
bool finish(EspLane& lane, EspWork& work, const Job& job, Mbuf** packets, EspFate* fates) noexcept {
    m_freem(work.copy);
    if (__builtin_expect(job.failed || work.differs, 0)) {
        UM_ASSERT(!work.in_place);  // engines that may fail, or are doubted, do not write over the source (J6)
        m_freem(work.out);
        (void)refuse(lane, *work.sa, fates[work.index], job.failed ? Xfrm::out_error : Xfrm::out_differs, job.failed ? EIO : 0);
        return false;
    }
    const uint32_t icv = work.icv;
    if (work.out->next() == nullptr) {
        std::byte* to = work.out->data() + work.lead + work.text;
        icv == 16 ? std::memcpy(to, job.icv, 16) : std::memcpy(to, job.icv, icv);
    } else {
        // Fresh and our own: it cannot be refused.
        const int error = m_copyback(work.out, work.lead + work.text, icv, job.icv, M_NOWAIT);
        UM_ASSERT(error == 0);
    }
    if (work.udp) sum_udp(work);
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

Plan plan_output(EspLane& lane, Sa* sa, Mbuf* source, EspFate& fate) noexcept { return plan(lane, *sa, source, fate); }

bool finish_output(EspLane& lane, EspWork& work, const Job& job, Mbuf** packet, EspFate* fate) noexcept {
    work.index = 0;
    return finish(lane, work, job, packet, fate);
}

}  // namespace esp

uint16_t esp_output(EspLane& lane, Sa* const* sas, Mbuf** packets, EspFate* fates, uint16_t n) noexcept {
    EspLane::Batch& batch = lane.own_batch();
    lane.plan_in(batch);
    uint16_t good = 0;
    const bool quickly = lane.cross == nullptr;  // what is written over is nobody else's to look at
    const auto flush = [&] { good = static_cast<uint16_t>(good + run_and_finish(lane, packets, fates)); };
    for (uint16_t i = 0; i < n; ++i) {
        fates[i] = {};
        esp::fetch_early(sas, packets, i, n);
        UM_ASSERT(sas[i]->engine == &lane.engine);
        if (quickly && do_quickly(lane, *sas[i], packets[i])) {
            ++good;
            continue;
        }
        Plan planned = plan(lane, *sas[i], packets[i], fates[i]);
        if (planned == Plan::full) {
            flush();
            planned = plan(lane, *sas[i], packets[i], fates[i]);
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
