// SPDX-License-Identifier: BSD-2-Clause
// port.cc - a port's phases and its paths. What it asks of its device is in setup.cc.
#include "drivers/net/port.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_errno.h>

#include "drivers/net/external_memory.h"
#include "drivers/net/interrupt_thread.h"
#include "lib/mbuf/copies.h"
#include "lib/mbuf/verbs.h"
#include "lib/page/extpg.h"

namespace umbuf {

const char* name_of(PortPhase phase) noexcept {
    switch (phase) {
        case PortPhase::configured: return "configured";
        case PortPhase::started: return "started";
        case PortPhase::tx_open: return "tx-open";
        case PortPhase::rx_open: return "rx-open";
        case PortPhase::closed: return "closed";
    }
    return "?";
}

// ---- the paths ----------------------------------------------------------------------------------

uint16_t Port::closed_rx(Port&, uint16_t, rte_mbuf**, uint16_t) noexcept {
    return 0;
}

Sent Port::closed_tx(Port& port, uint16_t, rte_mbuf** burst, uint16_t n) noexcept {
    rte_pktmbuf_free_bulk(burst, n);
    port.closed_drops_.add_shared(n);
    return {.taken = n, .closed = n};
}

uint16_t Port::scatter_rx(Port& port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
    const uint16_t got = rte_eth_rx_burst(port.id_, queue, burst, n);
    for (uint16_t i = 0; i < got; ++i)
        if (__builtin_expect(burst[i]->nb_segs > 1, 0)) adopt_chain(Mbuf::of(burst[i]));
    return got;
}

namespace {

// chain_readable - 0, or why some byte of the chain cannot be read. Not counted.
int chain_readable(const Mbuf* m) noexcept {
    for (; m != nullptr; m = m->next())
        if (const int error = m_readable(m); error != 0) return error;
    return 0;
}

}  // namespace

bool Port::sendable(const rte_mbuf* m) const noexcept {
    return m->nb_segs == 1 || (m->nb_segs <= chain_segs_ && m->pkt_len <= chain_bytes_);
}

// flatten - the chain's bytes in one mbuf of the receive zone, the chain freed; null, and the chain
// untouched, when it does not fit, the zone is empty, or bytes of it cannot be read. The first mbuf is
// copied with the packet's properties, the others through windows: they may be unmapped.
rte_mbuf* Port::flatten(rte_mbuf* chain) noexcept {
    rte_mempool* pool = config_.rx_zone->pool;
    if (chain->pkt_len + RTE_PKTMBUF_HEADROOM > rte_pktmbuf_data_room_size(pool)) return nullptr;
    if (chain_readable(Mbuf::of(chain)) != 0) return nullptr;
    rte_mbuf* flat = rte_pktmbuf_copy(chain, pool, 0, chain->data_len);
    if (flat == nullptr) return nullptr;
    // The copy took the chain's flags; its private part is nobody's yet.
    flat->ol_flags &= ~Mbuf::valid_flag_;
    for (Mbuf* m = Mbuf::of(chain)->next(); m != nullptr; m = m->next()) {
        const ReadWindow in(m, 0, m->len(), CopiedFor::nic);
        std::memcpy(rte_pktmbuf_append(flat, m->rte.data_len), in.bytes(), m->len());
    }
    note_moved(MovedFor::flat, flat->pkt_len);
    rte_pktmbuf_free(chain);
    flattened_.add_shared(1);
    return flat;
}

// in_runs - runs of packets that the device can take go to it at once. One that cannot be sent at all
// ends a run and dies, but only when all before it were taken: what is taken is taken from the front.
// So does one that is sent past a capture: alone, in its place.
//      Door choose(rte_mbuf*&)              how it goes; may replace it
//      uint16_t send(burst, n, uncaptured)  how many were taken
//      void left(const rte_mbuf*, Door)     it was chosen, and stays with the caller
//      void died(Door)                      the one that was chosen last
template <class Way>
Sent Port::in_runs(rte_mbuf** burst, uint16_t n, Way&& way) noexcept {
    Sent sent;
    uint16_t& done = sent.taken;
    while (done < n) {
        uint16_t end = done;
        Door door = Door::device;
        for (; end < n; ++end)
            if (door = way.choose(burst[end]); __builtin_expect(door != Door::device, 0)) break;
        const auto run = static_cast<uint16_t>(end - done);
        done = static_cast<uint16_t>(done + (run == 0 ? run : way.send(burst + done, run, false)));
        bool full = done < end;
        if (!full && door == Door::uncaptured) {
            full = way.send(burst + done, 1, true) == 0;
            if (!full) ++done;
        } else if (!full && door != Door::device) {
            rte_pktmbuf_free(burst[done++]);
            ++(door == Door::chain ? sent.chain : sent.pages);
            way.died(door);
        }
        if (!full) continue;
        for (uint16_t i = done; i < end; ++i) way.left(burst[i], Door::device);
        if (end < n) way.left(burst[end], door);
        break;
    }
    return sent;
}

// chain_door - a chain that cannot be sent is replaced by its flat copy.
Port::Door Port::chain_door(rte_mbuf*& m) noexcept {
    if (__builtin_expect(sendable(m), 1)) return Door::device;
    return flat_door(m);
}

Port::Door Port::flat_door(rte_mbuf*& m) noexcept {
    rte_mbuf* flat = flatten(m);
    if (flat == nullptr) return Door::chain;
    m = flat;
    return Door::device;
}

struct Port::ChainWay {
    Port& port;
    uint16_t queue;
    Door choose(rte_mbuf*& m) const noexcept { return port.chain_door(m); }
    uint16_t send(rte_mbuf** run, uint16_t n, bool) const noexcept { return rte_eth_tx_burst(port.id_, queue, run, n); }
    void left(const rte_mbuf*, Door) const noexcept {}
    void died(Door) const noexcept {}
};

Sent Port::slow_tx(Port& port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
    const Sent sent = in_runs(burst, n, ChainWay{port, queue});
    if (sent.chain > 0) port.chain_drops_.add_shared(sent.chain);
    return sent;
}

// page_door - the pages of a chain are made fit for the device. Flattening reads them where they are, so
// it comes first for a chain that needs it; copies of large pages are more mbufs, so it may come after.
Port::Door Port::page_door(rte_mbuf*& m, bool lone_window, bool captured, PageTally& tally) noexcept {
    if (lone_window || !sendable(m)) {
        const bool pages = m_has_unmapped(Mbuf::of(m));
        if (pages && (tally.error = chain_readable(Mbuf::of(m))) != 0) return Door::pages;
        const Door door = flat_door(m);
        if ((pages || lone_window) && door == Door::device) tally.any = true, ++tally.copies;
        return door;
    }
    switch (pages_.prepare(m, captured, tally)) {
        case PageShim::Fate::dead: return Door::pages;
        case PageShim::Fate::send_uncaptured: return Door::uncaptured;
        case PageShim::Fate::send: break;
    }
    return chain_door(m);
}

struct Port::PageWays {
    Port& port;
    uint16_t queue;
    void* callbacks;
    PageTally& tally;
    // Pages are never first (E1), so most packets need one look. A window may be first, and only a reader in
    // this process can follow it.
    bool read_here = port.pages_.way() == PageWay::windows;
    Door choose(rte_mbuf*& m) const noexcept {
        const bool lone_window = !read_here && ghost::alias_has(m->buf_addr);
        if (__builtin_expect(m->nb_segs == 1 && !lone_window, 1)) return Door::device;
        return port.page_door(m, lone_window, callbacks != nullptr, tally);
    }
    uint16_t send(rte_mbuf** run, uint16_t n, bool uncaptured) const noexcept {
        return tx_through(port.id_, queue, uncaptured ? nullptr : callbacks, run, n);
    }
    void left(const rte_mbuf* m, Door door) const noexcept {
        if (door == Door::uncaptured) --tally.uncaptured;
        if (door == Door::uncaptured || door == Door::device) port.pages_.not_taken(m, tally);
    }
    void died(Door door) const noexcept {
        if (door == Door::pages) PageShim::died(tally);
    }
};

Sent Port::page_tx(Port& port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
    PageTally tally;
    const Sent sent = in_runs(burst, n, PageWays{port, queue, tx_callbacks(port.id_, queue), tally});
    port.pages_.count(tally);
    if (sent.chain > 0) port.chain_drops_.add_shared(sent.chain);
    return sent;
}

// page_rx - callbacks of the queue read what arrives (rte_pdump's, for one), in windows or copies. What
// cannot be read goes past them: a capture must not cost a packet.
uint16_t Port::page_rx(Port& port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
    void* const callbacks = rx_callbacks(port.id_, queue);
    const uint16_t got = rx_past(port.id_, queue, burst, n);
    if (__builtin_expect(callbacks == nullptr, 1)) return got;
    uint16_t out = 0;
    for (uint16_t i = 0; i < got;) {
        uint16_t end = i;
        while (end < got && page_readable(burst[end])) ++end;
        const auto run = static_cast<uint16_t>(end - i);
        const uint16_t kept = run == 0 ? run : rte_eth_call_rx_callbacks(port.id_, queue, burst + i, run, run, callbacks);
        std::copy_n(burst + i, kept, burst + out);
        out = static_cast<uint16_t>(out + kept);
        if (end < got) burst[out++] = burst[end++];
        i = end;
    }
    return out;
}

uint16_t Port::device_rx(uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
    const RxPath path = own_rx();
    return path != nullptr ? path(*this, queue, burst, n) : rte_eth_rx_burst(id_, queue, burst, n);
}

Port::RxPath Port::own_rx() const noexcept {
    return rx_paged_ ? &Port::page_rx : scatter_ ? &Port::scatter_rx : nullptr;
}

Sent Port::device_tx(uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
    if (paged_) return page_tx(*this, queue, burst, n);
    if (guarded_) return slow_tx(*this, queue, burst, n);
    return {.taken = rte_eth_tx_burst(id_, queue, burst, n)};
}

void Port::choose_paths() noexcept {
    open_rx_ = wrapper_rx_ != nullptr ? wrapper_rx_ : own_rx();
    open_tx_ = wrapper_tx_ != nullptr ? wrapper_tx_
               : paged_               ? &Port::page_tx
               : guarded_             ? &Port::slow_tx
                                      : nullptr;
}

void Port::wrap(RxPath rx, TxPath tx, void* context) {
    wrapper_rx_ = rx;
    wrapper_tx_ = tx;
    wrapper_context_ = context;
    choose_paths();
    // Open and quiet: the lcores pick the wrapper up with their next burst, and its context with
    // it.
    if (phase_ == PortPhase::rx_open) rx_path_.store(open_rx_, sync::release);
    if (phase_ == PortPhase::rx_open || phase_ == PortPhase::tx_open)
        tx_path_.store(open_tx_, sync::release);
}

// ---- the phases ---------------------------------------------------------------------------------

Status Port::start() {
    UM_ASSERT_MSG(phase_ == PortPhase::configured, "port %u is %s", id_, name_of(phase_));
    if (loses_external_memory(quirks_, devargs_))  // which may have come since configure()
        return Error{EOPNOTSUPP, fmt::format("port {} ({}, {}): {}", id_, name_, driver_, kExternalMemory)};
    if (Status s = start_device(); !s.ok()) return s;
    phase_ = PortPhase::started;
    use_pages(page_rule_.way, page_rule_.because);
    return {};
}

void Port::use_pages(PageWay way, const std::string& because) {
    if (!paged_) return;
    pages_.use(way, way == PageWay::copies ? PageWay::copies : page_rule_.captured);
    pages_because_ = because;
}

void Port::open_tx() {
    UM_ASSERT_MSG(phase_ == PortPhase::started, "port %u is %s", id_, name_of(phase_));
    tx_path_.store(open_tx_, sync::release);  // pairs with the acquire in tx_burst()
    phase_ = PortPhase::tx_open;
}

void Port::open_rx() {
    UM_ASSERT_MSG(phase_ == PortPhase::tx_open, "port %u is %s", id_, name_of(phase_));
    rx_path_.store(open_rx_, sync::release);  // pairs with the acquire in rx_burst()
    phase_ = PortPhase::rx_open;
}

void Port::close_rx(const Quiesce& quiesce) {
    UM_ASSERT_MSG(phase_ == PortPhase::rx_open, "port %u is %s", id_, name_of(phase_));
    rx_path_.store(&Port::closed_rx, sync::release);
    if (quiesce) quiesce();
    phase_ = PortPhase::tx_open;
}

void Port::close_tx(const Quiesce& quiesce) {
    UM_ASSERT_MSG(phase_ == PortPhase::tx_open, "port %u is %s", id_, name_of(phase_));
    tx_path_.store(&Port::closed_tx, sync::release);
    if (quiesce) quiesce();
    phase_ = PortPhase::started;
    reclaim_sent();
}

Status Port::stop() {
    UM_ASSERT_MSG(phase_ == PortPhase::started, "port %u is %s", id_, name_of(phase_));
    reclaim_sent();
    drain();
    if (!quirks_.one_start)
        if (Status s = stop_device(); !s.ok()) return s;
    phase_ = PortPhase::configured;
    return {};
}

Status Port::close(bool detach) {
    UM_ASSERT_MSG(phase_ == PortPhase::configured, "port %u is %s", id_, name_of(phase_));
    if (!ours()) {  // unplugged behind our back: nothing is left to close
        phase_ = PortPhase::closed;
        return {};
    }
    // Only net_ring takes packets in while it is stopped, and a stopped device must not be polled.
    // And what a virtio-user device had EAL watch while it was set up, only a stop takes back.
    const bool stop_is_due = driver_ == "net_ring" || (quirks_.by_interrupt && !device_ran_);
    if (stop_is_due && !device_running_ && present())
        if (Status s = start_device(); !s.ok()) return s;
    drain();
    if (Status s = stop_device(); !s.ok()) return s;
    rte_eth_dev_info info{};
    const bool have_info = rte_eth_dev_info_get(id_, &info) == 0;
    if (Status s = with_device("close", [this] { return rte_eth_dev_close(id_); }); !s.ok())
        return s;
    phase_ = PortPhase::closed;
    if (!detach) return {};
    const int e = have_info ? rte_dev_remove(info.device) : -ENODEV;
    return e == 0 ? Status{} : device_error(e, "detach");
}

Status Port::halt(const Quiesce& quiesce) {
    if (phase_ == PortPhase::rx_open) close_rx(quiesce);
    if (phase_ == PortPhase::tx_open) close_tx(quiesce);
    if (phase_ == PortPhase::started) return stop();
    return {};
}

Port::~Port() {
    if (phase_ == PortPhase::closed) return;
    // Nobody can act on an error here; what could be undone is undone.
    if (halt({}).ok()) static_cast<void>(close().ok());
}

// ---- the device ---------------------------------------------------------------------------------

// ours - is the device still known to EAL, and is its number not another one's by now?
bool Port::ours() const noexcept {
    uint16_t id = RTE_MAX_ETHPORTS;
    return rte_eth_dev_get_port_by_name(name_.c_str(), &id) == 0 && id == id_;
}

bool Port::present() const noexcept {
    return ours() && rte_eth_dev_is_removed(id_) == 0;
}

bool Port::link_up() const noexcept {
    if (phase_ == PortPhase::closed || !ours()) return false;
    rte_eth_link link{};
    return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

// with_device - do what changes the device where nobody else does.
Status Port::with_device(const char* what, const std::function<int()>& work) {
    int e = 0;
    if (!quirks_.by_interrupt)
        e = work();
    else if (!on_interrupt_thread([&] { e = work(); }))
        return Error{EBUSY,
                     fmt::format("port {} ({}, {}): cannot {} the device now: its peer has "
                                 "connected and says nothing, and the driver waits for it; end "
                                 "the peer and try again",
                                 id_, name_, driver_, what)};
    return e == 0 ? Status{} : device_error(e, what);
}

Status Port::start_device() {
    if (device_running_) {  // Quirks::one_start: what came while we were closed is too old
        drain();
        return {};
    }
    const uint32_t held = config_.rx_zone == nullptr ? 0 : config_.rx_zone->in_use();
    if (Status s = with_device("start", [this] { return rte_eth_dev_start(id_); }); !s.ok()) {
        Error error = s.error();
        // Its client connects when it starts, and says "not permitted" when there is nobody.
        if (driver_ == "net_memif") error.text += "; is the other side (role=server) running?";
        return error;
    }
    device_running_ = device_ran_ = true;
    note_posted(held);
    adapt_to_scatter();
    if (!config_.promiscuous) return {};
    if (const int e = rte_eth_promiscuous_enable(id_); e != 0)
        note(fmt::format("not promiscuous: {}; the device filters by its own rules",
                         rte_strerror(-e)));
    return {};
}

// note_posted - what the device took of its zone as it started is what it keeps in receive descriptors: one
// that goes to the stack is replaced by another. Other ports' traffic blurs the difference a little.
void Port::note_posted(uint32_t held_before) noexcept {
    const bool takes = quirks_.pages != Quirks::handed_on && quirks_.pages != Quirks::by_nobody;
    const uint32_t held = config_.rx_zone == nullptr ? 0 : config_.rx_zone->in_use();
    posted_ += takes && held > held_before ? held - held_before : 0;
}

// adapt_to_scatter - some drivers scatter without being asked, where tags or the MTU do not fit an
// mbuf; they know it once they run.
void Port::adapt_to_scatter() {
    rte_eth_rxq_info queue{};
    if (scatter_ || quirks_.chains != Quirks::by_scatter ||
        rte_eth_rx_queue_info_get(id_, 0, &queue) != 0 || queue.scattered_rx == 0)
        return;
    scatter_ = true;
    choose_paths();
}

Status Port::stop_device() {
    if (!device_running_) return {};
    const uint32_t held = config_.rx_zone == nullptr ? 0 : config_.rx_zone->in_use();
    const Status stopped =
        with_device("stop", [this] { return ours() ? rte_eth_dev_stop(id_) : 0; });
    if (!stopped.ok() && present()) return stopped;
    if (!present()) note("the device is gone: it was stopped as far as it still could be");
    device_running_ = false;
    const uint32_t now = config_.rx_zone == nullptr ? 0 : config_.rx_zone->in_use();
    posted_ -= std::min(posted_, held > now ? held - now : 0);
    return {};
}

// reclaim_sent - have the device give back what it has sent. Best effort: many drivers cannot be
// asked, and a peer that does not read keeps what it has; the device frees those when it is closed.
void Port::reclaim_sent() {
    if (!device_running_ || !present()) return;
    for (uint16_t q = 0; q < config_.txq; ++q)
        for (int tries = 0; tries < 64; ++tries)
            if (rte_eth_tx_done_cleanup(id_, q, 0) <= 0) break;
}

// drain - free what waits in the receive queues. Bounded, because a peer may send faster than we
// read: what comes after is the device's to drop.
void Port::drain() {
    UM_ASSERT_MSG(phase_ == PortPhase::started || phase_ == PortPhase::configured, "port %u is %s",
                  id_, name_of(phase_));
    if (quirks_.endless || !device_running_ || !present()) return;
    constexpr uint16_t kBurst = 64;
    constexpr uint32_t kMost = 1u << 17;
    rte_mbuf* burst[kBurst];
    for (uint16_t q = 0; q < config_.rxq; ++q) {
        for (uint32_t sum = 0; sum < kMost;) {
            const uint16_t got = rte_eth_rx_burst(id_, q, burst, kBurst);
            if (got == 0) break;
            rte_pktmbuf_free_bulk(burst, got);
            drained_.add(got);
            sum += got;
        }
    }
}

void Port::note(std::string text) {
    text = fmt::format("port {} ({}): {}", id_, driver_, text);
    if (std::find(notes_.begin(), notes_.end(), text) == notes_.end())
        notes_.push_back(std::move(text));
}

Error Port::device_error(int code, const char* what) const {
    const int positive = code < 0 ? -code : code;
    return {positive, fmt::format("port {} ({}, {}): the driver refused to {} the device: {}", id_,
                                  name_, driver_, what, rte_strerror(positive))};
}

}  // namespace umbuf
