// SPDX-License-Identifier: BSD-2-Clause
// sendfile.cc - mode sendfile: a file's contents as UDP payload, from the pages that the disk read into.
//
//      disk --> page cache --view--> this stream --window--> packet --> ReadyQueue --> port
//               (all streams)        pages in order          head + 1 or 2 unmapped mbufs
//
// Each stream sends the whole file, --sendfile-loops times, and then is idle. It has a view of the next
// --sendfile-ahead pages, which the cache reads meanwhile, and makes packets of them whether they have
// arrived or not: the queue lets them out in order, as far as they have. Nothing waits here; a turn that
// finds nothing to do ends.
//
// S1  A packet is made once, and leaves once, in the order of the file: a full port gets the rest later.
// S2  No byte of the payload is touched, unless --ext-pgs is off (packets are then copies, in clusters),
//     --sendfile-checksum is on, or the port cannot send unmapped mbufs.
// S3  With --ext-pgs off, also from one packet to the next, the same bytes leave in the same packets.
// S4  A page that cannot be read ends the stream: what is before it leaves, nothing behind it does.
// S5  With --sendfile-window, no more of the file is under way than that; an answer (mode recvfile) says how far the
//     receiver has come. What was lost on the way has no answer: when none comes for a while, it is written off.
//
// Locks:  I immutable after begin   s the stream's lcore   c control thread   a atomic
#include "app/umfwd/engines/sendfile.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <rte_cycles.h>

#include "app/umfwd/engines/engines.h"
#include "app/umfwd/packet/burst.h"
#include "app/umfwd/packet/frame.h"
#include "app/umfwd/say.h"
#include "app/umfwd/settings.h"
#include "lib/mbuf/verbs.h"
#include "lib/mbuf/window.h"
#include "lib/net/cksum.h"
#include "lib/page/page_cache.h"
#include "lib/page/ready_queue.h"

namespace umbuf::fwd {
namespace {

constexpr uint32_t kRoom = RTE_PKTMBUF_HEADROOM;  // before a copied frame, for drivers that prepend
constexpr uint32_t kUnknownRing = 1024;           // when a driver does not tell its ring's size

// Source - the file in pages, for all streams of a run.
struct Source {
    std::unique_ptr<InputFile> file;
    std::unique_ptr<FileReader> reader;
    std::unique_ptr<PageCache> cache;
    uint32_t pages = 0;   // of the cache
    uint64_t wanted = 0;  // by streams that began: what they may hold at once
    [[nodiscard]] uint64_t file_pages() const { return (file->size() + cache->unit() - 1) / cache->unit(); }
};
std::weak_ptr<Source> current;  // [c]

// Views - the next pages of the file, in order; the first begins at the stream's place in the file.
class Views {
  public:
    ~Views() { clear(); }
    [[nodiscard]] uint32_t size() const noexcept { return n_; }
    [[nodiscard]] Mbuf* at(uint32_t i) const noexcept { return views_[(first_ + i) % kMostAhead]; }
    void push(Mbuf* view) noexcept { views_[(first_ + n_++) % kMostAhead] = view; }
    void pop() noexcept {
        m_free(at(0));
        first_ = (first_ + 1) % kMostAhead;
        --n_;
    }
    void clear() noexcept {
        while (n_ > 0) pop();
    }

  private:
    std::array<Mbuf*, kMostAhead> views_{};
    uint32_t first_ = 0, n_ = 0;
};

struct FileStats {
    sync::Counter calls, packets, bytes, copied, ahead, waits, no_mbuf;
    sync::Counter gave_up;  // 0 or 1
    sync::Counter told;
};
constexpr stat::Field kFields[] = {
    {"sendfile_calls", "calls", stat::Kind::counter, 1, "sendings of the whole file that were begun"},
    {"sendfile_packets", "packets", stat::Kind::counter, 1, "with bytes of the file, taken by the port"},
    {"sendfile_bytes", "bytes", stat::Kind::counter, 1, "of the file, taken by the port"},
    {"copied_packets", "packets", stat::Kind::counter, 1, "that were copied as a whole", "reason=ext-pgs-off"},
    {"sendfile_ahead", "pages", stat::Kind::counter, 1, "asked for before they were needed"},
    {"sendfile_waits", "packets", stat::Kind::counter, 1, "whose page had not arrived"},
    {"sendfile_no_mbuf", "tries", stat::Kind::counter, 1, "to make a packet that found no mbuf"},
    {"sendfile_given_up", "streams", stat::Kind::gauge, 1, "1: the file could not be read on"},
    {"sendfile_told", "bytes", stat::Kind::counter, 1, "that the receiver has, or that were written off"},
};

struct State : EngineState {
    std::shared_ptr<Source> source;                 // [I]
    bool tells = false;                             // [I] the source's numbers, too
    bool checksum = false;                          // [I]
    std::array<std::byte, kUdpFrameHeader> frame{}; // [I] of the longest packet; lengths and sums are set
    uint32_t payload = 0;                           // [I]
    uint32_t ahead = 0;                             // [I] pages
    uint32_t depth = 0;                             // [I] packets that may wait
    uint64_t rounds = 0;                            // [I]
    uint64_t pages = 0;                             // [I] of the file
    uint64_t patience = 0;                          // [I] TSC cycles until a page is asked for again
    uint64_t window = 0;                            // [I] bytes under way; 0: any
    uint64_t write_off = 0;                         // [I] TSC cycles without an answer
    rte_be16_t answers_from = 0;                    // [I] UDP port
    sync::atomic<bool> finish{false}, finished{false};  // [a]
    // reading
    Views views;                                    // [s]
    uint64_t asked = 0;                             // [s] pages, in all rounds
    uint64_t ask_at = 0;                            // [s] not before this
    // making
    uint64_t round = 0, offset = 0;                 // [s] of the next packet
    uint32_t used = 0;                              // [s] bytes of the first view that are in packets
    bool copy_waits = false;                        // [s] for the first view; and was counted:
    uint64_t copies_waited = 0;                     // [s]
    ReadyQueue queue;                               // [s]
    // sending
    uint16_t n_pending = 0;                         // [s] ready, but the port had no room yet
    rte_mbuf* pending[kMaxBurst];                   // [s]
    uint32_t queued_mbufs = 0;                      // [s]
    uint64_t told_at = 0;                           // [s] TSC of the last answer, or of when none was due
    // comparing
    uint64_t compared = 0, changed = 0;             // [c] pages
    stat::Box<FileStats> stats;                     // [s] to write
};

// ---- begin, on the control thread ------------------------------------------------------------------

Result<std::shared_ptr<Source>> open_source(const Settings& settings) {
    if (std::shared_ptr<Source> there = current.lock()) return there;
    const PageCounters counters = page_counters();
    auto source = std::make_shared<Source>();
    source->pages = counters.total[static_cast<size_t>(PageClass::cache)];
    if (source->pages == 0)
        return Error{ENODEV, "mode sendfile reads files into unmapped pages, and there are none: start umfwd with "
                             "--page-cache=MB, such as --page-cache=64"};
    Result<std::unique_ptr<InputFile>> file = InputFile::open(settings.sendfile);
    if (!file) return Error{file.error().code, "--sendfile=" + file.error().text};
    source->file = std::move(file).value();
    if (source->file->size() == 0)
        return Error{ENODATA, fmt::format("--sendfile={}: is empty: there is nothing to send", settings.sendfile)};
    Result<std::unique_ptr<FileReader>> reader = FileReader::open(source->pages);
    if (!reader) return reader.error();
    source->reader = std::move(reader).value();
    for (const std::string& note : source->reader->notes()) say("Note: " + note + "\n");
    Result<std::unique_ptr<PageCache>> cache = PageCache::open(*source->reader, source->pages);
    if (!cache) return cache.error();
    source->cache = std::move(cache).value();
    current = source;
    return source;
}

uint32_t ring_size(const Stream& stream) {
    rte_eth_txq_info info{};
    if (rte_eth_tx_queue_info_get(stream.tx_port->id(), stream.tx_queue, &info) == 0 && info.nb_desc != 0)
        return info.nb_desc;
    return stream.tx_port->config().txd != 0 ? stream.tx_port->config().txd : kUnknownRing;
}

// A driver frees what it sent when it needs the room, so packets of a whole ring may hold pages for as
// long as nothing more is sent. With fewer pages than that, nothing more would ever be.
Status check_pages(const State& state, const Stream& stream) {
    Source& source = *state.source;
    const uint64_t unit = source.cache->unit();
    const uint64_t in_packets = (uint64_t{ring_size(stream)} + state.depth) * state.payload;
    source.wanted += (in_packets + unit - 1) / unit + state.ahead + 2;
    const uint64_t wanted = std::min(source.wanted, state.pages);
    if (wanted <= source.pages) return {};
    const uint64_t megabytes = (wanted * page_counters().bytes[0] + (1U << 20) - 1) >> 20;
    return Error{ENOBUFS, fmt::format("--page-cache: {} pages, and this many streams, with their ports' rings full, may "
                                      "hold {} at once: give --page-cache={} or more",
                                      source.pages, wanted, megabytes)};
}

Status check_length(const Stream& stream, uint32_t payload) {
    uint16_t mtu = 0;
    if (rte_eth_dev_get_mtu(stream.tx_port->id(), &mtu) != 0) return {};
    const uint32_t length = kFileHead - RTE_ETHER_HDR_LEN + payload;
    if (length <= mtu) return {};
    return Error{EMSGSIZE, fmt::format("--sendfile-payload={}: makes IPv4 packets of {} bytes, and the MTU of port {} is "
                                       "{}: give --sendfile-payload={} or less, or a larger --max-pkt-len",
                                       payload, length, stream.tx_port->id(), mtu, payload - (length - mtu))};
}

Status begin(Stream& stream) {
    const Settings& settings = *stream.settings;
    auto state = std::make_unique<State>();
    state->stats = stat::Box<FileStats>(kFields, stream.labels);
    state->payload = settings.sendfile_payload;
    if (Status fits = check_length(stream, state->payload); !fits) return fits;
    Result<Template> frame = Template::make(stream, {kUdpFrameHeader});
    if (!frame) return frame.error();
    std::memcpy(state->frame.data(), frame.value().bytes.data(), kUdpFrameHeader);
    if (settings.sendfile_ip_dst != 0) {
        auto* ip = reinterpret_cast<rte_ipv4_hdr*>(state->frame.data() + sizeof(rte_ether_hdr));
        ip->src_addr = rte_cpu_to_be_32(settings.sendfile_ip_src);
        ip->dst_addr = rte_cpu_to_be_32(settings.sendfile_ip_dst);
    }
    state->window = uint64_t{settings.sendfile_window} * state->payload;
    state->write_off = rte_get_tsc_hz() / 10;
    state->answers_from = rte_cpu_to_be_16(settings.tx_udp_dst);
    state->tells = current.expired();
    Result<std::shared_ptr<Source>> source = open_source(settings);
    if (!source) return source.error();
    state->source = std::move(source).value();
    state->checksum = settings.sendfile_checksum;
    state->depth = 2U * stream.burst;
    state->rounds = settings.sendfile_loops == 0 ? UINT64_MAX : settings.sendfile_loops;
    state->pages = state->source->file_pages();
    state->ahead = settings.sendfile_ahead;
    state->patience = rte_get_tsc_hz() / 50000;
    if (Status enough = check_pages(*state, stream); !enough) return enough;
    stream.state = std::move(state);
    return {};
}

// ---- reading ---------------------------------------------------------------------------------------

// ask_ahead - views of the pages to come. Where there is none to be had now, not at once again: each
// question looks at all pages.
void ask_ahead(State& state) noexcept {
    if (state.views.size() >= state.ahead || state.asked / state.pages >= state.rounds) return;
    if (state.ask_at != 0 && rte_rdtsc() < state.ask_at) return;
    state.ask_at = 0;
    while (state.views.size() < state.ahead && state.asked / state.pages < state.rounds) {
        Mbuf* view = state.source->cache->get(*state.source->file, state.asked % state.pages);
        if (view == nullptr) {
            state.ask_at = rte_rdtsc() + state.patience;
            return;
        }
        state.views.push(view);
        if (state.asked++ % state.pages == 0) state.stats->calls.add(1);
        state.stats->ahead.add(1);
    }
}

// ---- making ----------------------------------------------------------------------------------------

uint32_t next_length(const State& state) noexcept {
    return static_cast<uint32_t>(std::min<uint64_t>(state.payload, state.source->file->size() - state.offset));
}

// in_views - are the next n bytes of the file in the views that there are?
bool in_views(const State& state, uint32_t n) noexcept {
    uint64_t there = 0;
    for (uint32_t i = 0; i < state.views.size() && there < n + uint64_t{state.used}; ++i)
        there += state.views.at(i)->len();
    return there >= n + uint64_t{state.used};
}

// write_head - all before the file's bytes, of which n follow.
void write_head(const State& state, std::byte* to, uint32_t n) noexcept {
    std::memcpy(to, state.frame.data(), kUdpFrameHeader);
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(to + sizeof(rte_ether_hdr));
    auto* udp = reinterpret_cast<rte_udp_hdr*>(ip + 1);
    auto* header = reinterpret_cast<FileHeader*>(udp + 1);
    const uint32_t udp_length = sizeof(rte_udp_hdr) + sizeof(FileHeader) + n;
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(sizeof(rte_ipv4_hdr) + udp_length));
    ip->hdr_checksum = 0;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    udp->dgram_len = rte_cpu_to_be_16(static_cast<uint16_t>(udp_length));
    udp->dgram_cksum = 0;  // none (RFC 768)
    const bool last = state.offset + n == state.source->file->size();
    header->offset = rte_cpu_to_be_64(state.offset);
    header->length = rte_cpu_to_be_32(n);
    header->flags = rte_cpu_to_be_32(static_cast<uint32_t>(state.round) << 8 | (last ? kFileLast : 0));
}

// each_piece - f(view, offset, length) for the next n bytes, which are in views; until it says false.
template <class F>
bool each_piece(const State& state, uint32_t n, F f) noexcept {
    uint32_t off = state.used;
    for (uint32_t i = 0; n > 0; ++i, off = 0) {
        Mbuf* view = state.views.at(i);
        const uint32_t here = std::min(n, view->len() - off);
        if (here > 0 && !f(view, off, here)) return false;
        n -= here;
    }
    return true;
}

// made_unmapped - a head, behind which the file's bytes are shown where they are. Null: out of mbufs.
Mbuf* made_unmapped(const State& state, uint32_t n) noexcept {
    Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
    if (m == nullptr) return nullptr;
    m->rte.data_off = kMLen - kFileHead;
    m->set_len(kFileHead);
    m->rte.pkt_len = kFileHead;
    write_head(state, m->data(), n);
    const bool whole = each_piece(state, n, [m](Mbuf* view, uint32_t off, uint32_t len) {
        Mbuf* piece = m_copym(view, off, len, M_NOWAIT);
        if (piece != nullptr) m_cat(m, piece);
        return piece != nullptr;
    });
    if (whole) return m;
    m_freem(m);
    return nullptr;
}

// made_copied - the same frame in one cluster. The views are readable. Null: out of clusters.
Mbuf* made_copied(const State& state, uint32_t n) noexcept {
    Mbuf* m = m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, copied_file_room(n));
    if (m == nullptr) return nullptr;
    m->rte.data_off = kRoom;
    m->set_len(kFileHead + n);
    m->rte.pkt_len = kFileHead + n;
    write_head(state, m->data(), n);
    std::byte* to = m->data() + kFileHead;
    each_piece(state, n, [&to](const Mbuf* view, uint32_t off, uint32_t len) {
        const ReadWindow in(view, off, len, CopiedFor::ext_pgs_off);
        std::memcpy(to, in.bytes(), len);
        to += len;
        return true;
    });
    return m;
}

// can_copy - have the next n bytes arrived? If they never will, the queue ends behind what is in it.
bool can_copy(State& state, uint32_t n) noexcept {
    int error = 0;
    each_piece(state, n, [&error](Mbuf* view, uint32_t, uint32_t) { return (error = m_notready(view)) == 0; });
    if (error == EBUSY && !std::exchange(state.copy_waits, true)) ++state.copies_waited;
    if (error == 0) state.copy_waits = false;
    // A packet in the queue that waits for an earlier page leaves, or fails, first.
    if (error == EIO && state.queue.size() == 0) (void)state.queue.abort(EIO);
    return error == 0;
}

// go_on - the next n bytes are in a packet.
void go_on(State& state, uint32_t n) noexcept {
    state.offset += n;
    state.used += n;
    while (state.views.size() > 0 && state.used >= state.views.at(0)->len()) {
        state.used -= state.views.at(0)->len();
        state.views.pop();
    }
    if (state.offset < state.source->file->size()) return;
    state.offset = 0;
    ++state.round;
}

bool make_one(State& state) noexcept {
    const uint32_t n = next_length(state);
    if (!in_views(state, n)) return false;
    const bool unmapped = mb_use_ext_pgs.load(sync::relaxed);
    if (!unmapped && !can_copy(state, n)) return false;
    Mbuf* m = unmapped ? made_unmapped(state, n) : made_copied(state, n);
    if (m == nullptr) {
        state.stats->no_mbuf.add(1);
        return false;
    }
    if (!unmapped) state.stats->copied.add(1);
    state.queued_mbufs += m->rte.nb_segs;
    state.queue.push(m);
    go_on(state, n);
    return true;
}

// ---- sending ---------------------------------------------------------------------------------------

// write_checksum - of UDP, over all of a ready packet (RFC 768). Its head is contiguous and ours.
void write_checksum(Mbuf* m) noexcept {
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(m->data() + sizeof(rte_ether_hdr));
    auto* udp = reinterpret_cast<rte_udp_hdr*>(ip + 1);
    constexpr uint32_t kAt = sizeof(rte_ether_hdr) + sizeof(rte_ipv4_hdr);
    const uint32_t length = m->pkt_len() - kAt;
    uint16_t sum = 0;
    if (in_sum(m, kAt, length, &sum) != 0) return;
    const auto cksum = static_cast<uint16_t>(~add_sums(sum, in_pseudo(&ip->src_addr, 8, IPPROTO_UDP, length)));
    udp->dgram_cksum = cksum == 0 ? UINT16_MAX : cksum;
}

// room - how many packets may follow those that are pending: S5, and a burst.
uint32_t room(const Stream& stream, const State& state) noexcept {
    const uint32_t burst = uint32_t{stream.burst} - state.n_pending;
    if (state.window == 0) return burst;
    const uint64_t under_way = state.stats->bytes.read() - state.stats->told.read() + uint64_t{state.n_pending} * state.payload;
    return under_way >= state.window ? 0 : static_cast<uint32_t>(std::min<uint64_t>(burst, (state.window - under_way) / state.payload));
}

// fill_pending - what has arrived, as far as there is room.
void fill_pending(const Stream& stream, State& state) noexcept {
    Mbuf* ready[kMaxBurst];
    const uint32_t n = state.queue.pop(ready, room(stream, state));
    for (uint32_t i = 0; i < n; ++i) {
        state.queued_mbufs -= ready[i]->rte.nb_segs;
        if (state.checksum) write_checksum(ready[i]);
        state.pending[state.n_pending++] = &ready[i]->rte;
    }
}

// send - what the port does not take now stays pending (S1).
uint32_t send(Stream& stream, State& state) noexcept {
    if (state.n_pending == 0) return 0;
    uint64_t bytes = 0, left = 0;
    for (uint16_t i = 0; i < state.n_pending; ++i) bytes += state.pending[i]->pkt_len - kFileHead;
    const Sent sent = stream.tx_port->tx_burst(stream.tx_queue, state.pending, state.n_pending);
    stream.stats.made.add(sent.taken);  // counted when they leave, so that B1 holds without the rest
    stream.stats.tx.add(sent.alive());
    count_dead(stream, sent);
    state.n_pending = static_cast<uint16_t>(state.n_pending - sent.taken);
    std::memmove(state.pending, state.pending + sent.taken, state.n_pending * sizeof(rte_mbuf*));
    for (uint16_t i = 0; i < state.n_pending; ++i) left += state.pending[i]->pkt_len - kFileHead;
    state.stats->packets.add(sent.taken);
    state.stats->bytes.add(bytes - left);
    return sent.taken;
}

// position - what an answer says of the whole: its round has 24 bits, and is not ahead of ours.
uint64_t position(const State& state, const FileHeader& header) noexcept {
    const uint64_t size = state.source->file->size();
    const uint64_t back = (state.round - (rte_be_to_cpu_32(header.flags) >> 8)) & 0xffffff;
    return (state.round - back) * size + rte_be_to_cpu_64(header.offset) + rte_be_to_cpu_32(header.length);
}

// is_answer - to what this stream sends? Then its header.
bool is_answer(const State& state, const rte_mbuf* p, FileHeader& header) noexcept {
    const Frame frame = parse(p);
    if (frame.l4 != L4::udp || frame.fragment || frame.l4_len < sizeof(rte_udp_hdr) + sizeof header || !is_readable(p)) return false;
    rte_udp_hdr udp;
    const void* there = bytes_at(p, frame.l4_off(), sizeof udp, &udp);
    if (there != &udp) std::memcpy(&udp, there, sizeof udp);
    there = bytes_at(p, frame.l4_off() + uint32_t{sizeof udp}, sizeof header, &header);
    if (there != &header) std::memcpy(&header, there, sizeof header);
    return udp.src_port == state.answers_from && (header.flags & rte_cpu_to_be_32(kFileTold)) != 0;
}

// hear - the receiver's answers (S5). Returns how many packets there were.
uint32_t hear(Stream& stream, State& state) noexcept {
    rte_mbuf* packets[kMaxBurst];
    const uint16_t n = receive(stream, packets);
    const uint64_t sent = state.stats->bytes.read();
    for (uint16_t i = 0; i < n; ++i) {
        FileHeader header;
        const bool answer = is_answer(state, packets[i], header);
        stream.stats.drop(answer ? Drop::file_told : Drop::not_handled, 1);
        if (!answer) continue;
        const uint64_t now = position(state, header);
        if (now <= sent && now > state.stats->told.read()) state.stats->told.set(now);
    }
    if (n > 0) rte_pktmbuf_free_bulk(packets, n);
    const uint64_t now = rte_rdtsc();
    if (n > 0 || state.stats->told.read() == sent) state.told_at = now;
    else if (now - state.told_at > state.write_off) state.stats->told.set(sent);
    return n;
}

// give_up - the queue has ended: nothing more is made (S4).
void give_up(Stream& stream, State& state) noexcept {
    if (state.stats->gave_up.read() != 0) return;
    state.stats->gave_up.set(1);
    state.queued_mbufs = 0;
    state.views.clear();
    stream.stats.made.add(state.queue.aborted());
    stream.stats.drop(Drop::io_error, state.queue.aborted());
}

// tell_held - the mbufs that stay with us until the next turn; each view is one.
void tell_held(Stream& stream, const State& state) noexcept {
    uint32_t pending = 0;
    for (uint16_t i = 0; i < state.n_pending; ++i) pending += state.pending[i]->nb_segs;
    stream.stats.held_mbufs.set(state.views.size() + state.queued_mbufs + pending);
}

uint32_t burst(Stream& stream) noexcept {
    auto& state = static_cast<State&>(*stream.state);
    const uint32_t heard = state.window != 0 ? hear(stream, state) : 0;
    const bool finish = state.finish.load(sync::relaxed);
    if (state.queue.error() == 0) {
        if (!finish) {
            ask_ahead(state);
            while (state.queue.size() < state.depth && state.round < state.rounds && make_one(state)) {}
        }
        fill_pending(stream, state);
    }
    state.stats->waits.set(state.queue.waits() + state.copies_waited);
    if (state.queue.error() != 0) give_up(stream, state);
    const uint32_t sent = send(stream, state);
    tell_held(stream, state);
    const bool answered = state.window == 0 || state.stats->told.read() == state.stats->bytes.read();
    if (finish && state.queue.size() == 0 && state.n_pending == 0 && answered) state.finished.store(true, sync::relaxed);
    return heard + sent;
}

// compare - is what lies in the cache what the file has? Not counted as a look: nobody sends it.
void compare(State& state) {
    Source& source = *state.source;
    std::vector<std::byte> there(source.cache->unit());
    for (uint64_t i = 0; i < source.file_pages(); ++i) {
        Mbuf* view = source.cache->peek(*source.file, i);
        if (view == nullptr) continue;
        const auto at = static_cast<off_t>(i * source.cache->unit());
        if (m_readable(view) == 0 && pread(source.file->fd(), there.data(), view->len(), at) == static_cast<ssize_t>(view->len())) {
            const std::byte* window = page_ops->open(view->data(), view->len());
            ++state.compared;
            if (std::memcmp(window, there.data(), view->len()) != 0) ++state.changed;
            page_ops->close(window, view->len());
        }
        m_free(view);
    }
}

void end(Stream& stream) {
    auto& state = static_cast<State&>(*stream.state);
    const uint64_t queued = state.queue.abort(ECANCELED);
    stream.stats.made.add(queued + state.n_pending);
    stream.stats.drop(Drop::drained, queued);
    sink(stream, state.pending, state.n_pending, Drop::drained);
    state.n_pending = 0;
    state.views.clear();
    stream.stats.held_mbufs.set(0);
    if (state.tells && stream.settings->sendfile_compare) compare(state);
}

}  // namespace

uint32_t file_cache_pages() {
    const std::shared_ptr<Source> source = current.lock();
    return source == nullptr ? 0 : source->cache->counters().pages;
}

void finish_file(Stream& stream) {
    if (auto* state = dynamic_cast<State*>(stream.state.get()); state != nullptr) state->finish.store(true, sync::relaxed);
}

bool file_finished(const Stream& stream) {
    const auto* state = dynamic_cast<const State*>(stream.state.get());
    return state == nullptr || state->finished.load(sync::relaxed) || state->stats->gave_up.read() != 0;
}

uint64_t file_told(const Stream& stream) {
    const auto* state = dynamic_cast<const State*>(stream.state.get());
    return state == nullptr ? 0 : state->stats->told.read();
}

FileReport file_report(const Stream& stream) {
    const auto* state = dynamic_cast<const State*>(stream.state.get());
    if (state == nullptr) return {};
    FileReport r{.used = true,
                 .bytes = state->stats->bytes.read(),
                 .packets = state->stats->packets.read(),
                 .copied_packets = state->stats->copied.read(),
                 .no_mbuf = state->stats->no_mbuf.read(),
                 .waits = state->stats->waits.read()};
    r.given_up = state->stats->gave_up.read();
    r.told = state->stats->told.read();  // after the bytes: never fewer than were told of then
    r.pages_compared = state->compared;
    r.pages_changed = state->changed;
    if (!state->tells) return r;
    const CacheCounters cache = state->source->cache->counters();
    const ReaderCounters reader = state->source->reader->counters();
    r.pages_read = cache.misses;
    r.hits = cache.hits;
    r.evictions = cache.evictions;
    r.no_page = cache.no_page;
    r.reads = reader.reads;
    r.read_bytes = reader.bytes;
    r.short_reads = reader.short_reads;
    r.truncated = reader.truncated;
    r.errors = reader.errors;
    return r;
}

const Engine sendfile_engine = {
    .name = "sendfile",
    .summary = "send a file (--sendfile) as UDP payload, from the pages that it was read into",
    .shares = true,
    .sources = true,
    .begin = begin,
    .burst = burst,
    .end = end,
};

}  // namespace umbuf::fwd
