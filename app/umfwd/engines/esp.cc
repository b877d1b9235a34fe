// SPDX-License-Identifier: BSD-2-Clause
// esp.cc - modes esp-enc and esp-dec: every IP packet through one SA (--esp-sa), for tests and benchmarks.
//
// The Ethernet header is taken off, ESP does what it does (lib/ipsec/esp.h), and the header is put before
// what came out, with the type that fits. What is no IP packet dies as not-handled: nothing is sent in the
// clear by mistake.
//
// An engine that takes its time (--esp-engine=cryptodev:...) is handed a burst, and what it has done by the
// next turn is sent then; what it still has when forwarding stops dies as drained.
//
// One SA, one stream: two that encrypted by one key would use a nonce twice. A second one is refused. And
// one SA for as long as the program lives: its numbers and its window go on after a stop and a start.
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "app/umfwd/engines/engines.h"
#include "app/umfwd/packet/burst.h"
#include "app/umfwd/packet/frame.h"
#include "app/umfwd/say.h"
#include "app/umfwd/settings.h"
#include "drivers/crypto/cryptodev/cryptodev.h"
#include "drivers/crypto/engines.h"
#include "lib/ipsec/cross_check.h"
#include "lib/ipsec/esp.h"
#include "lib/ipsec/sa_text.h"
#include "lib/ipsec/seq_file.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::fwd {
namespace {

constexpr uint32_t kMostL2 = RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN;

uint64_t now_s() noexcept {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return static_cast<uint64_t>(t.tv_sec);
}

struct L2 {
    uint32_t len;
    std::byte bytes[kMostL2];
};

// Sender - an SA, and, of one that sends with --esp-seq-file, who remembers its numbers.
struct Sender {
    std::unique_ptr<Sa> sa;
    std::unique_ptr<SeqFile> file;
};

// kHeaders - of all packets that can be in flight, and of a burst besides.
constexpr uint16_t kHeaders = kEspFlights * kEspBurst + kMaxBurst;

struct Esp final : EngineState, SaResolver {
    std::unique_ptr<Sa> sa;
    std::unique_ptr<CrossCheck> cross;
    std::unique_ptr<EspLane> lane;  // goes first: it may have packets of the SA
    std::unique_ptr<SeqFile> file;
    std::unique_ptr<SeqKeeper> keeper;  // before what it looks at goes
    bool said = false;              // control thread: that two engines differ
    L2 headers[kHeaders];
    uint16_t free[kHeaders];  // of headers
    uint16_t n_free = 0;
    Sa* sas[kMaxBurst];
    EspFate fates[kMaxBurst];
    uint64_t tags[kMaxBurst];
    static inline int users = 0;  // control thread
    Esp() {
        ++users;
        while (n_free < kHeaders) free[n_free] = n_free, ++n_free;
    }
    ~Esp() override { --users; }
    Sa* resolve(uint32_t, uint32_t) noexcept override { return sa.get(); }
    void holds(EngineHolds& to) const override {
        lane->held.each([&to](const rte_mempool* pool, uint64_t n) { to.crypto[pool] += n; });
    }
};

// Kept - the SA of a direction between two starts. Control thread.
struct Kept {
    std::string words;
    Sender sender;
};
Kept kept[2];

// A nonce is made of the key's salt and the number. After a restart the numbers begin again.
Status check_floor(const Settings& settings, const SaTerms& terms) {
    if (settings.esp_seq_floor != UINT64_MAX || !settings.esp_seq_file.empty() || terms.algorithm.cipher->iv != 8) return {};
    return Error{EINVAL, fmt::format("--forward-mode=esp-enc: a key of {} must never see a sequence number twice, and nobody "
                                     "remembers how far this one has come: give --esp-seq-floor=0 for a key that was never "
                                     "used, else the last number that was, or --esp-seq-file",
                                     terms.algorithm.name())};
}

// open_file - of --esp-seq-file; null: there is none, or nothing is sent.
Result<std::unique_ptr<SeqFile>> open_file(const Settings& settings, const SaTerms& terms) {
    if (settings.esp_seq_file.empty()) return std::unique_ptr<SeqFile>();
    std::optional<uint64_t> floor;
    if (settings.esp_seq_floor != UINT64_MAX) floor = settings.esp_seq_floor;
    Result<std::unique_ptr<SeqFile>> file = SeqFile::open(settings.esp_seq_file, terms.spi, terms.algorithm.name(), floor);
    if (!file) return Error{file.error().code, "--esp-seq-file: " + file.error().text + " (--esp-seq-floor)"};
    return file;
}

// second_engine - who is asked besides: OpenSSL, or IPsec-MB if it is OpenSSL that does the work.
Result<const umbuf::Engine*> second_engine(const Settings& settings) {
    constexpr const char* kOpenssl = "cryptodev:crypto_openssl";
    const Result<const umbuf::Engine*> second = find_esp_engine(settings.esp_engine == kOpenssl ? "ipsec-mb" : kOpenssl);
    if (!second) return Error{second.error().code, "--cross-check: " + second.error().text};
    return second;
}

Status add_second(const Settings& settings, Sa& sa, std::span<const std::byte> key) {
    if (settings.cross_check == 0) return {};
    const Result<const umbuf::Engine*> second = second_engine(settings);
    if (!second) return second.error();
    Status done = engine_selftest(*second.value(), sa.terms.algorithm);
    if (done.ok()) done = sa.add_second(*second.value(), key);
    if (done.ok()) return {};
    return Error{done.error().code, "--cross-check: " + done.error().text};
}

Result<Sender> make_sender(const Settings& settings, const umbuf::Engine& engine, bool encrypt) {
    if (kept[encrypt].sender.sa != nullptr && kept[encrypt].words == settings.esp_sa) return std::move(kept[encrypt].sender);
    if (settings.esp_sa.empty()) return Error{EINVAL, "modes esp-enc and esp-dec need --esp-sa"};
    Result<SaText> text = parse_sa(settings.esp_sa);
    if (!text) return text.error();
    SaTerms& terms = text.value().terms;
    Sender sender;
    if (encrypt) {
        if (const Status known = check_floor(settings, terms); !known) return known.error();
        Result<std::unique_ptr<SeqFile>> file = open_file(settings, terms);
        if (!file) return file.error();
        sender.file = std::move(file.value());
        const uint64_t given = settings.esp_seq_floor == UINT64_MAX ? 0 : settings.esp_seq_floor;
        terms.seq_floor = sender.file != nullptr ? sender.file->floor() : given;
    }
    const Result<Secret> key = read_key(text.value().key_file);
    if (!key) return key.error();
    if (const Status tested = engine_selftest(engine, terms.algorithm); !tested) return tested.error();
    Result<std::unique_ptr<Sa>> sa = Sa::make(terms, key.value().bytes(), engine, now_s());
    if (!sa) return sa.error();
    if (const Status added = add_second(settings, *sa.value(), key.value().bytes()); !added) return added.error();
    sender.sa = std::move(sa.value());
    return sender;
}

Status begin(Stream& stream, bool encrypt) {
    auto state = std::make_unique<Esp>();
    if (Esp::users > 1)
        return Error{EINVAL, "modes esp-enc and esp-dec serve one stream, and there are more: give one port, "
                             "--port-topology=loop and --rxq=1"};
    const Result<const umbuf::Engine*> engine = find_esp_engine(stream.settings->esp_engine);
    if (!engine) return Error{engine.error().code, "--esp-engine: " + engine.error().text};
    Result<std::unique_ptr<EspLane>> lane = EspLane::make(*engine.value(), static_cast<int>(rte_socket_id()), state.get());
    if (!lane) return lane.error();
    lane.value()->counters.list(stream.labels);
    Result<Sender> sender = make_sender(*stream.settings, *engine.value(), encrypt);
    if (!sender) return sender.error();
    if (const uint32_t every = stream.settings->cross_check; every != 0) {
        const umbuf::Engine& second = *sender.value().sa->second();
        Result<std::unique_ptr<CrossCheck>> cross = CrossCheck::make(second, every, static_cast<int>(rte_socket_id()));
        if (!cross) return Error{cross.error().code, "--cross-check: " + cross.error().text};
        state->cross = std::move(cross.value());
        lane.value()->cross = state->cross.get();
    }
    state->lane = std::move(lane.value());
    state->sa = std::move(sender.value().sa);
    state->file = std::move(sender.value().file);
    if (state->file != nullptr) {
        if (const Status covered = state->file->cover(state->sa->sequence); !covered) return covered;
        state->keeper = std::make_unique<SeqKeeper>(*state->file, state->sa->sequence);
    }
    stream.state = std::move(state);
    return {};
}

// remember - exactly how far the key came: the lane is quiet. What the disk did not take is not lost, for the
// file says more, but somebody should know.
void remember(Esp& esp) {
    const Status covered = esp.keeper->stop(), finished = esp.file->finish(esp.sa->sequence);
    esp.keeper.reset();
    for (const Status& status : {covered, finished})
        if (!status) say("--esp-seq-file: " + status.error().text + "\n");
}

// say_difference - once: who differs about what, and where the packet is.
void say_difference(Stream& stream) {
    if (stream.state == nullptr) return;
    Esp& esp = static_cast<Esp&>(*stream.state);
    if (esp.cross == nullptr || esp.said || !esp.cross->found()) return;
    esp.said = true;
    const std::string& file = stream.settings->cross_check_file;
    const Status written = esp.cross->write(file);
    std::fprintf(stderr, "umfwd: --cross-check: %s; %s%s\n", esp.cross->describe().c_str(),
                 written.ok() ? "the packet is in " : written.error().text.c_str(), written.ok() ? file.c_str() : "");
}

template <bool kEncrypt>
void end(Stream& stream) {
    if (stream.state == nullptr) return;
    say_difference(stream);
    Esp& esp = static_cast<Esp&>(*stream.state);
    if (const uint32_t left = esp_in_flight(*esp.lane); left > 0) stream.stats.drop(Drop::drained, left);
    esp.lane.reset();
    esp.cross.reset();
    if (esp.file != nullptr) remember(esp);
    kept[kEncrypt] = {stream.settings->esp_sa, {std::move(esp.sa), std::move(esp.file)}};
    stream.state.reset();
}

// strip - the frame becomes an IP packet. False: it has none.
bool strip(rte_mbuf* p, L2& l2) noexcept {
    const Frame frame = parse(p);
    if ((frame.l3 != L3::ipv4 && frame.l3 != L3::ipv6) || frame.l2_len > kMostL2) return false;
    Mbuf* m = Mbuf::of(p);
    l2.len = frame.l2_len;
    if (m_copydata(m, 0, l2.len, l2.bytes) != 0) return false;
    m_adj(m, static_cast<int32_t>(l2.len));
    return true;
}

// dress - the header again, before a packet that came out of ESP: fresh, so its headroom is ours.
void dress(Mbuf* m, L2& l2) noexcept {
    const bool v6 = static_cast<uint8_t>(*m->data()) >> 4 == 6;
    store16(l2.bytes + l2.len - 2, v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
    std::byte* to = reinterpret_cast<std::byte*>(rte_pktmbuf_prepend(&m->rte, static_cast<uint16_t>(l2.len)));
    std::memcpy(to, l2.bytes, l2.len);
}

Drop drop_of(const EspFate& fate) noexcept {
    switch (fate.why) {
    case Xfrm::in_buffer: return Drop::no_mbuf;
    case Xfrm::out_error: return fate.error == ENOBUFS ? Drop::no_mbuf : Drop::esp;
    case Xfrm::in_header:
    case Xfrm::out_header: return Drop::malformed;
    case Xfrm::in_differs:
    case Xfrm::out_differs: return Drop::esp_differs;
    case Xfrm::in_mismatch:
    case Xfrm::in_no_states: return Drop::not_handled;
    default: return Drop::esp;
    }
}

// Out - what a turn sends and what it buries.
struct Out {
    rte_mbuf* packets[kMaxBurst];
    uint16_t n = 0;
    Grave grave;
};

// settle - a packet that came out of ESP, or did not.
void settle(Stream& stream, Esp& esp, Out& out, Mbuf* m, const EspFate& fate, uint64_t tag) noexcept {
    esp.free[esp.n_free++] = static_cast<uint16_t>(tag);
    if (fate.ok()) {
        dress(m, esp.headers[tag]);
        out.packets[out.n++] = &m->rte;
        return;
    }
    stream.stats.drop(drop_of(fate), 1);
    out.grave.add(&m->rte);
}

// strip_all - the IP packets of a burst, their L2 headers in esp.headers, whose places are esp.tags. What is
// no IP packet is buried.
uint16_t strip_all(Stream& stream, Esp& esp, rte_mbuf* const* burst, uint16_t n, Mbuf** packets, Grave& grave) noexcept {
    uint16_t ip = 0;
    for (uint16_t i = 0; i < n; ++i) {
        const uint16_t place = esp.free[esp.n_free - 1];
        if (!strip(burst[i], esp.headers[place])) {
            stream.stats.drop(Drop::not_handled, 1);
            grave.add(burst[i]);
            continue;
        }
        --esp.n_free;
        esp.tags[ip] = place;
        esp.sas[ip] = esp.sa.get();
        packets[ip++] = Mbuf::of(burst[i]);
    }
    return ip;
}

template <bool kEncrypt>
void at_once(Stream& stream, Esp& esp, Mbuf** packets, uint16_t n, Out& out) noexcept {
    if constexpr (kEncrypt)
        esp_output(*esp.lane, esp.sas, packets, esp.fates, n);
    else
        esp_input(*esp.lane, esp.sas, packets, esp.fates, n);
    for (uint16_t i = 0; i < n; ++i) settle(stream, esp, out, packets[i], esp.fates[i], esp.tags[i]);
}

// by_and_by - what was refused is buried now; what was done since the last turn goes out.
template <bool kEncrypt>
uint16_t by_and_by(Stream& stream, Esp& esp, Mbuf** packets, uint16_t n, Out& out) noexcept {
    if constexpr (kEncrypt)
        esp_submit_output(*esp.lane, esp.sas, packets, esp.tags, esp.fates, n);
    else
        esp_submit_input(*esp.lane, esp.sas, packets, esp.tags, esp.fates, n);
    for (uint16_t i = 0; i < n; ++i)
        if (!esp.fates[i].ok()) settle(stream, esp, out, packets[i], esp.fates[i], esp.tags[i]);
    // Refused and done together are no more than a grave has room for.
    EspDone done[kMaxBurst];
    const uint16_t back = esp_reap(*esp.lane, done, static_cast<uint16_t>(kMaxBurst - out.grave.n));
    for (uint16_t i = 0; i < back; ++i) settle(stream, esp, out, done[i].packet, done[i].fate, done[i].tag);
    return back;
}

template <bool kEncrypt>
uint32_t burst(Stream& stream) noexcept {
    rte_mbuf* burst[kMaxBurst];
    Esp& esp = static_cast<Esp&>(*stream.state);
    const bool waits = esp.lane->engine.submit != nullptr;
    const uint16_t n = receive(stream, burst);
    if (n == 0 && !(waits && esp_in_flight(*esp.lane) > 0)) return 0;
    Out out;
    Mbuf* packets[kMaxBurst];
    const uint16_t ip = strip_all(stream, esp, burst, n, packets, out.grave);
    esp.lane->now_s = now_s();
    uint16_t back = 0;
    if (waits)
        back = by_and_by<kEncrypt>(stream, esp, packets, ip, out);
    else
        at_once<kEncrypt>(stream, esp, packets, ip, out);
    transmit(stream, *stream.tx_port, out.packets, out.n);
    out.grave.bury();
    return uint32_t{n} + back;
}

}  // namespace

void esp_close() {
    for (Kept& one : kept) one = {};
    cryptodev_close_all();
}

const Engine esp_enc_engine = {
    .name = "esp-enc",
    .summary = "protect IP packets by the SA of --esp-sa",
    .shares = true,
    .sources = false,
    .begin = [](Stream& stream) { return begin(stream, true); },
    .burst = burst<true>,
    .end = end<true>,
    .poll = say_difference,
};

const Engine esp_dec_engine = {
    .name = "esp-dec",
    .summary = "open ESP packets of the SA of --esp-sa",
    .shares = true,
    .sources = false,
    .begin = [](Stream& stream) { return begin(stream, false); },
    .burst = burst<false>,
    .end = end<false>,
    .poll = say_difference,
};

}  // namespace umbuf::fwd
