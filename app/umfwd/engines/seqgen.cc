// SPDX-License-Identifier: BSD-2-Clause
// seqgen.cc - mode seqgen: send numbered packets, check every byte of those that come back.
//
// For a path that returns what it is sent (a forwarder in mode macswap, 5tswap, io with crossed
// ports): says how many packets were lost, duplicated, reordered or damaged, exactly. --txpkts
// lists the lengths of whole frames, taken in turn (64 or more); --tx-count is per stream.
//
//      Ethernet, IPv4, UDP   so that any forwarder takes it; UDP checksum 0 (none): ours is
//      stronger +42  2  magic         either of these two, and the addresses, identify the packet,
//      +44  2  id            so that damage to one of them is seen as damage
//      +46  8  seq           0, 1, 2 ... for each sending stream
//      +54  6  tsc           when it was made, low 48 bits
//      +60  4  check         of id, seq and tsc: are they to be believed?
//      +64     pattern       derived from id and seq, to the end of the frame
//
// The window. At most `window` packets are under way beyond the highest number that has come back,
// and it is smaller than the rings of the path, so that a lossless path loses nothing to us. A hole
// in the numbers never blocks it, and a packet whose number is damaged is taken for the next one due.
// When nothing new comes back for a while, the packets under way are written off. A packet that comes
// after all is taken off the loss again: loss is not counted up, it is what has been sent and not seen.
//
// Who receives. A stream's packets may come back on a port, and so to a lcore, of another stream.
// The first stream that meets one becomes the receiver of that sender's packets; one flow, so one
// receive queue. A packet whose id is damaged belongs to the sender whose packets usually come there;
// if none has come yet, it is counted when the first one does. Two generators on two machines must not
// face each other directly: each would take the other's packets for its own.
//
// Locks:  I immutable after begin   s the sender's lcore   r the receiver's lcore   a atomic
#include "app/umfwd/engines/seqgen.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <rte_byteorder.h>
#include <rte_cycles.h>

#include "app/umfwd/packet/burst.h"
#include "app/umfwd/engines/engines.h"
#include "app/umfwd/engines/template.h"
#include "app/umfwd/packet/frame.h"
#include "app/umfwd/settings.h"

namespace umbuf::fwd {
namespace {

constexpr uint64_t kSeen = 1U << 20;  // numbers that the receiver remembers
constexpr uint16_t kMagic = 0x5153;
constexpr uint32_t kMostWindow = 4096;
constexpr uint32_t kUnknownRing = 512;  // when a driver does not tell its ring's size
constexpr size_t kTracks = 256;

struct __attribute__((packed)) SeqHeader {
    uint16_t magic, id;
    uint64_t seq;
    uint16_t tsc[3];
    uint32_t check;
};
constexpr uint16_t kPatternAt = kUdpFrameHeader + sizeof(SeqHeader);
static_assert(kPatternAt == 64, "the smallest frame has no pattern, and all the rest");

// mix - all bits of the result depend on all bits of x (a bijection: multiply, fold, twice).
uint64_t mix(uint64_t x) noexcept {
    x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9;
    return x ^ (x >> 32);
}

uint32_t check_of(const SeqHeader& h) noexcept {
    const uint64_t tsc = h.tsc[0] | uint64_t{h.tsc[1]} << 16 | uint64_t{h.tsc[2]} << 32;
    return static_cast<uint32_t>(mix(mix(h.seq) + (tsc | uint64_t{h.id} << 48)));
}

// pattern - bytes [from, from + n) of a packet's pattern; from is a multiple of 8.
void pattern(const SeqHeader& h, uint32_t from, std::byte* to, uint32_t n) noexcept {
    const uint64_t base = mix(h.seq ^ uint64_t{h.id} << 48);
    uint64_t word = base + (from / 8) * 0x9e3779b97f4a7c15;
    for (; n >= 8; n -= 8, to += 8, word += 0x9e3779b97f4a7c15)
        std::memcpy(to, &word, 8);
    if (n > 0) std::memcpy(to, &word, n);
}

// One sender's numbers, and what came back of them.
struct Track {
    uint16_t id = 0;                // [I]
    std::vector<uint16_t> lengths;  // [I] of frame number i: lengths[i % size]
    rte_be32_t ip[2] = {};          // [I]
    rte_be16_t udp[2] = {};         // [I]
    sync::Counter issued;           // [s] numbers given out; told before the packets are sent
    sync::Counter sent;             // [s] taken by the port
    sync::Counter written_off;      // [s] do not wait for numbers below
    alignas(64) sync::atomic<const Stream*> receiver{nullptr};  // [a] set once
    sync::Counter next;                                         // [r] highest number that came, + 1
    sync::Counter guessed;                                      // [r] unnumbered ones since it came
    sync::Counter received, corrupt, duplicate, reordered;      // [r]
    sync::Counter distinct;    // [r] numbers that came, each counted once
    sync::Counter unnumbered;  // [r] so damaged that the number is not known
    std::vector<uint64_t> seen = std::vector<uint64_t>(kSeen / 64);  // [r] a bit for each number

    // expected_below - numbers below are not under way. Only the unnumbered ones since the last number
    // are taken for such: any number of them may be copies, and the next number tells.
    [[nodiscard]] uint64_t expected_below() const noexcept {
        const uint64_t passed = std::min(next.read() + guessed.read(), sent.read());
        return std::max(passed, written_off.read());
    }
    // back - how many have come back, each once: it only grows, and no more than were sent come. A
    // damaged one without a number may be the copy of another, so those may be too many.
    [[nodiscard]] uint64_t back() const noexcept {
        return std::min(distinct.read() + unnumbered.read(), sent.read());
    }
    [[nodiscard]] bool all_back() const noexcept { return back() >= sent.read(); }
    void note(uint64_t seq) noexcept;
    void note_unnumbered(uint64_t n) noexcept;
};

// Tracks by the low byte of their id, for the receivers.
sync::atomic<Track*> tracks[kTracks];
uint8_t runs = 0;  // control thread: the high byte, so that a leftover of the last run is known

// note - number seq came, whole or damaged.
void Track::note(uint64_t seq) noexcept {
    const uint64_t old = next.read();
    uint64_t& word = seen[seq % kSeen / 64];
    const uint64_t bit = uint64_t{1} << seq % 64;
    if (seq >= old) {
        if (seq - old >= kSeen)
            std::fill(seen.begin(), seen.end(), 0);
        else
            for (uint64_t i = old; i < seq; ++i)
                seen[i % kSeen / 64] &= ~(uint64_t{1} << i % 64);
        word |= bit;
        next.set(seq + 1);
        guessed.set(0);
        distinct.add(1);
    } else if (old - seq > kSeen || (word & bit) != 0) {  // too late to be told from a duplicate
        duplicate.add(1);
    } else {
        word |= bit;
        distinct.add(1);
        reordered.add(1);
    }
}

// note_unnumbered - n came whose numbers are not known.
void Track::note_unnumbered(uint64_t n) noexcept {
    received.add(n);
    corrupt.add(n);
    unnumbered.add(n);
    guessed.add(n);
}

struct State : EngineState {
    ~State() override {
        if (track.id != 0) tracks[track.id % kTracks].store(nullptr, sync::release);
    }
    Track track;
    Template frame;                // [I] of the longest length; shorter ones are its beginning
    std::vector<rte_ipv4_hdr> ip;  // [I] for each length
    uint32_t window = 0;           // [I]
    uint64_t patience = 0;         // [I] TSC cycles without a packet until the rest is written off
    uint64_t most = 0;             // [I] numbers to give out
    sync::atomic<bool> stop{false};        // [a] request_drain
    sync::atomic<bool> gave_up{false};     // [a] told to drain, waited, wrote the rest off
    Track* usual = nullptr;                // [r] whose packets this stream receives
    uint64_t nobodys = 0;                  // [r] damaged ones that came before any of those
    uint64_t arrived = 0, arrived_at = 0;  // [s] watch(): how many were back, and when it last grew
    uint16_t n_pending = 0;                // [s] numbered, but the port had no room yet
    rte_mbuf* pending[kMaxBurst];          // [s]
};

// ---- begin, on the control thread
// ----------------------------------------------------------------
uint32_t ring_size(const Port& port, uint16_t queue, bool rx) {
    rte_eth_rxq_info rx_info{};
    rte_eth_txq_info tx_info{};
    const int error = rx ? rte_eth_rx_queue_info_get(port.id(), queue, &rx_info)
                         : rte_eth_tx_queue_info_get(port.id(), queue, &tx_info);
    const uint32_t told = rx ? rx_info.nb_desc : tx_info.nb_desc;
    if (error == 0 && told != 0) return told;
    const uint32_t asked = rx ? port.config().rxd : port.config().txd;
    return asked != 0 ? asked : kUnknownRing;
}

// Three quarters: drivers refill their rings in batches, so the last quarter may not be there.
uint32_t window_of(const Stream& stream) {
    const uint32_t ring = std::min(ring_size(*stream.rx_port, stream.rx_queue, true),
                                   ring_size(*stream.tx_port, stream.tx_queue, false));
    return std::clamp(ring * 3 / 4, 1U, kMostWindow);
}

Status register_track(Track& track) {
    if (++runs == 0) ++runs;  // id 0 is never valid
    for (size_t i = 0; i < kTracks; ++i) {
        if (tracks[i].load(sync::relaxed) != nullptr) continue;
        track.id = static_cast<uint16_t>(runs << 8 | static_cast<int>(i));
        tracks[i].store(&track, sync::release);
        return {};
    }
    return Error{ENOSPC, fmt::format("mode seqgen: there are more than {} streams: use fewer "
                                     "queues or ports",
                                     kTracks)};
}

Status check_lengths(const Stream& stream) {
    for (const uint16_t n : stream.settings->txpkts)
        if (n < kPatternAt)
            return Error{EINVAL,
                         fmt::format("--txpkts: {}: in mode seqgen these are lengths of whole "
                                     "frames, and the shortest is {}",
                                     n, kPatternAt)};
    return {};
}

Status begin(Stream& stream) {
    const Settings& settings = *stream.settings;
    if (const Status fits = check_lengths(stream); !fits) return fits;
    if (settings.txpkts.empty()) return Error{EINVAL, "--txpkts: mode seqgen needs a frame length"};
    const uint16_t longest = *std::max_element(settings.txpkts.begin(), settings.txpkts.end());
    Result<Template> frame = Template::make(stream, {longest});
    if (!frame) return frame.error();
    auto state = std::make_unique<State>();
    state->frame = std::move(frame).value();
    state->window = window_of(stream);
    state->patience = rte_get_tsc_hz() / 10;
    state->most = settings.tx_count == 0 ? UINT64_MAX : settings.tx_count;
    Track& track = state->track;
    track.lengths = settings.txpkts;
    track.ip[0] = rte_cpu_to_be_32(settings.tx_ip_src);
    track.ip[1] = rte_cpu_to_be_32(settings.tx_ip_dst);
    track.udp[0] = rte_cpu_to_be_16(settings.tx_udp_src);
    track.udp[1] = rte_cpu_to_be_16(settings.tx_udp_dst);
    for (const uint16_t n : track.lengths) {
        rte_ipv4_hdr ip;
        std::memcpy(&ip, state->frame.bytes.data() + sizeof(rte_ether_hdr), sizeof(ip));
        ip.total_length = rte_cpu_to_be_16(static_cast<uint16_t>(n - sizeof(rte_ether_hdr)));
        ip.hdr_checksum = 0;
        ip.hdr_checksum = rte_ipv4_cksum(&ip);
        state->ip.push_back(ip);
    }
    if (const Status has_id = register_track(track); !has_id) return has_id;
    stream.state = std::move(state);
    return {};
}

// ---- send
// ----------------------------------------------------------------------------------------
void write_packet(const State& state, rte_mbuf* p, uint64_t seq, uint64_t now) noexcept {
    const size_t which = seq % state.track.lengths.size();
    const uint16_t length = state.track.lengths[which];
    auto* bytes = rte_pktmbuf_mtod(p, std::byte*);
    std::memcpy(bytes, state.frame.bytes.data(), kUdpFrameHeader);
    std::memcpy(bytes + sizeof(rte_ether_hdr), &state.ip[which], sizeof(rte_ipv4_hdr));
    auto* udp = at<rte_udp_hdr>(p, sizeof(rte_ether_hdr) + sizeof(rte_ipv4_hdr));
    udp->dgram_len = rte_cpu_to_be_16(
        static_cast<uint16_t>(length - sizeof(rte_ether_hdr) - sizeof(rte_ipv4_hdr)));
    udp->dgram_cksum = 0;
    SeqHeader h{.magic = kMagic, .id = state.track.id, .seq = seq, .tsc = {}, .check = 0};
    for (int i = 0; i < 3; ++i)
        h.tsc[i] = static_cast<uint16_t>(now >> 16 * i);
    h.check = check_of(h);
    std::memcpy(bytes + kUdpFrameHeader, &h, sizeof(h));
    pattern(h, 0, bytes + kPatternAt, static_cast<uint32_t>(length - kPatternAt));
    p->data_len = length;
    p->pkt_len = length;
}

// number_more - fill the pending packets up to a burst, as far as window and count allow.
void number_more(const Stream& stream, State& state, uint64_t now) noexcept {
    const uint64_t issued = state.track.issued.read();
    // What is written off may exceed what was received; both stay at or below what was issued.
    const uint64_t under_way = issued - state.track.expected_below();
    if (state.stop.load(sync::relaxed) || under_way >= state.window) return;
    const auto want = static_cast<uint16_t>(std::min(
        {uint64_t{stream.burst} - state.n_pending, state.window - under_way, state.most - issued}));
    rte_mbuf** more = state.pending + state.n_pending;
    if (want == 0) return;
    if (!alloc_bulk(*state.frame.zone, more, want)) return;
    for (uint16_t i = 0; i < want; ++i)
        write_packet(state, more[i], issued + i, now);
    state.n_pending = static_cast<uint16_t>(state.n_pending + want);
    state.track.issued.add(want);
}

// watch - write off what is under way when nothing has come back for too long: soon while sending,
// so that the window opens again; later when draining, because what comes after that is not seen.
// The copy of a packet that was back already is nothing: a loop in the path makes such for ever.
void watch(State& state, uint64_t now) noexcept {
    Track& track = state.track;
    const bool draining = state.stop.load(sync::relaxed);
    const bool nothing_due = draining ? state.gave_up.load(sync::relaxed) || track.all_back()
                                      : track.expected_below() >= track.sent.read();
    const uint64_t arrived = track.back();
    if (arrived != state.arrived || nothing_due) {
        state.arrived = arrived;
        state.arrived_at = now;
    } else if (now - state.arrived_at > (draining ? 4 * state.patience : state.patience)) {
        track.written_off.set(track.sent.read());
        if (draining) state.gave_up.store(true, sync::relaxed);
    }
}

// send - what the port does not take now stays pending: a full ring here is no loss of the path.
uint16_t send(Stream& stream, State& state) noexcept {
    const uint64_t now = rte_rdtsc();
    watch(state, now);
    number_more(stream, state, now);
    if (state.n_pending == 0) return 0;
    const Sent sent = stream.tx_port->tx_burst(stream.tx_queue, state.pending, state.n_pending);
    stream.stats.made.add(sent.taken);  // counted when they leave, so that B1 holds without the rest
    stream.stats.tx.add(sent.alive());
    count_dead(stream, sent);
    state.track.sent.add(sent.taken);
    state.n_pending = static_cast<uint16_t>(state.n_pending - sent.taken);
    std::memmove(state.pending, state.pending + sent.taken, state.n_pending * sizeof(rte_mbuf*));
    return sent.taken;
}

// ---- receive
// -------------------------------------------------------------------------------------
bool same_pair(uint32_t a, uint32_t b, const auto* pair) noexcept {
    return (a == pair[0] && b == pair[1]) || (a == pair[1] && b == pair[0]);
}

// pattern_right - the whole rest of the frame, compared a piece at a time.
bool pattern_right(const rte_mbuf* p, uint32_t at, const SeqHeader& h, uint32_t length) noexcept {
    constexpr uint32_t kPiece = 256;
    std::byte expected[kPiece], copy[kPiece];
    for (uint32_t done = 0; done < length; done += kPiece) {
        const uint32_t n = std::min(kPiece, length - done);
        pattern(h, done, expected, n);
        const void* there = bytes_at(p, at + done, n, copy);
        if (there == nullptr || std::memcmp(there, expected, n) != 0) return false;
    }
    return true;
}

// claim - is this stream the receiver of that track's packets? The first one to ask is.
bool claim(Stream& stream, Track& track) noexcept {
    const Stream* receiver = track.receiver.load(sync::relaxed);
    if (receiver == nullptr &&
        track.receiver.compare_exchange_strong(receiver, &stream, sync::acq_rel))
        return true;
    return receiver == &stream;
}

class Check {
  public:
    explicit Check(Stream& stream) noexcept
        : stream_(stream), state_(static_cast<State&>(*stream.state)) {}

    [[nodiscard]] Drop operator()(const rte_mbuf* p) noexcept {
        const Frame frame = parse(p);
        if (frame.error != nullptr) return Drop::malformed;
        SeqHeader h;
        if (!is_ours(p, frame, h)) return Drop::not_handled;
        const bool whole = h.magic == kMagic && h.check == check_of(h);
        Track* track = track_of(h, whole);
        if (track == nullptr && !whole && h.magic == kMagic) {  // it waits until we know whose it is
            ++state_.nobodys;
            return Drop::seq_done;
        }
        if (track == nullptr || !claim(stream_, *track)) return Drop::not_handled;
        if (whole && h.seq >= track->issued.read()) return Drop::not_handled;
        state_.usual = track;
        const uint64_t unnumbered = std::exchange(state_.nobodys, 0) + (whole ? 0 : 1);
        if (unnumbered != 0) track->note_unnumbered(unnumbered);
        if (!whole) return Drop::seq_done;
        track->received.add(1);
        const uint16_t length = track->lengths[h.seq % track->lengths.size()];
        const uint32_t at = frame.l4_off() + uint32_t{sizeof(rte_udp_hdr) + sizeof(h)};
        const bool right = frame.l4_len == length - RTE_ETHER_HDR_LEN - sizeof(rte_ipv4_hdr) &&
                           pattern_right(p, at, h, static_cast<uint32_t>(length - kPatternAt));
        if (!right) track->corrupt.add(1);
        track->note(h.seq);
        return Drop::seq_done;
    }

  private:
    // is_ours - by its addresses, in either direction. Reads the header that it must have.
    bool is_ours(const rte_mbuf* p, const Frame& frame, SeqHeader& h) const noexcept {
        constexpr uint16_t kLeast = sizeof(rte_udp_hdr) + sizeof(SeqHeader);
        if (frame.l3 != L3::ipv4 || frame.l4 != L4::udp || frame.fragment) return false;
        if (frame.l4_len < kLeast || !is_readable(p)) return false;
        rte_be32_t ip[2];
        rte_be16_t udp[2];
        read(p, frame.l2_len + uint32_t{offsetof(rte_ipv4_hdr, src_addr)}, ip);
        read(p, frame.l4_off(), udp);
        read(p, frame.l4_off() + uint32_t{sizeof(rte_udp_hdr)}, h);
        const Track& like = state_.track;  // all streams use the same addresses
        return same_pair(ip[0], ip[1], like.ip) && same_pair(udp[0], udp[1], like.udp);
    }
    template <class T>
    static void read(const rte_mbuf* p, uint32_t off, T& to) noexcept {
        const void* from = bytes_at(p, off, sizeof(to), &to);
        if (from != &to) std::memcpy(&to, from, sizeof(to));
    }
    // track_of - whose packet this is; null: none of this run's. A damaged id is taken for that of
    // the track whose packets usually come here.
    Track* track_of(const SeqHeader& h, bool whole) const noexcept {
        Track* track = tracks[h.id % kTracks].load(sync::acquire);
        if (track != nullptr && track->id == h.id) return track;
        return !whole && h.magic == kMagic ? state_.usual : nullptr;
    }

    Stream& stream_;
    State& state_;
};

uint16_t receive_and_check(Stream& stream) noexcept {
    rte_mbuf* packets[kMaxBurst];
    const uint16_t n = receive(stream, packets);
    if (n == 0) return 0;
    Check check(stream);
    for (uint16_t i = 0; i < std::min(kAhead, n); ++i)
        prefetch_header(packets[i]);
    for (uint16_t i = 0; i < n; ++i) {
        if (i + kAhead < n) prefetch_header(packets[i + kAhead]);
        stream.stats.drop(check(packets[i]), 1);
    }
    rte_pktmbuf_free_bulk(packets, n);
    return n;
}

uint32_t burst(Stream& stream) noexcept {
    const uint32_t received = receive_and_check(stream);  // first: it opens the window
    auto& state = static_cast<State&>(*stream.state);
    const uint32_t sent = send(stream, state);
    stream.stats.held_packets.set(state.n_pending);
    return received + sent;
}

void end(Stream& stream) {
    auto& state = static_cast<State&>(*stream.state);
    stream.stats.made.add(state.n_pending);
    sink(stream, state.pending, state.n_pending, Drop::drained);
    state.n_pending = 0;
    stream.stats.held_packets.set(0);
    state.track.written_off.set(state.track.sent.read());
}

}  // namespace

void request_drain(Stream& stream) {
    if (auto* state = dynamic_cast<State*>(stream.state.get()); state != nullptr)
        state->stop.store(true, sync::relaxed);
}

bool drained(const Stream& stream) {
    const auto* state = dynamic_cast<const State*>(stream.state.get());
    if (state == nullptr) return true;
    const Track& track = state->track;
    if (!state->stop.load(sync::relaxed) || track.issued.read() != track.sent.read()) return false;
    return track.all_back() || state->gave_up.load(sync::relaxed);
}

uint64_t packets_back(const Stream& stream) {
    const auto* state = dynamic_cast<const State*>(stream.state.get());
    return state == nullptr ? 0 : state->track.back();
}

SeqReport seq_report(const Stream& stream) {
    const auto* state = dynamic_cast<const State*>(stream.state.get());
    if (state == nullptr) return {};
    const Track& track = state->track;
    const uint64_t came = track.distinct.read() + track.unnumbered.read();
    const uint64_t due = track.expected_below();
    return {.used = true,
            .sent = track.sent.read(),
            .received = track.received.read(),
            .corrupt = track.corrupt.read(),
            .duplicate = track.duplicate.read(),
            .reordered = track.reordered.read(),
            .lost = due > came ? due - came : 0};
}

const Engine seqgen_engine = {
    .name = "seqgen",
    .summary = "send numbered packets (--txpkts: frame lengths), check those that come back",
    .shares = false,
    .sources = true,
    .begin = begin,
    .burst = burst,
    .end = end,
};

}  // namespace umbuf::fwd
