// SPDX-License-Identifier: BSD-2-Clause
// setup.cc - Port::configure: what a port asks of its device, and what it gets.
//
// Needs are checked against rte_eth_dev_info before the driver is asked, because a driver's refusal
// is a number and ours is a sentence. Wishes are cut down to what the device reports, with a note.
#include <algorithm>
#include <cerrno>
#include <string>

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_errno.h>

#include "drivers/net/external_memory.h"
#include "drivers/net/offloads.h"
#include "drivers/net/port.h"
#include "lib/page/arena.h"

namespace umbuf {

namespace {

constexpr uint64_t kFastFree = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
constexpr uint64_t kMultiSegs = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
constexpr uint64_t kScatter = RTE_ETH_RX_OFFLOAD_SCATTER;

// overhead_of - bytes of a frame around its MTU, counted as rte_ethdev counts them.
uint32_t overhead_of(const rte_eth_dev_info& info) {
    if (info.max_mtu != UINT16_MAX && info.max_rx_pktlen > info.max_mtu)
        return info.max_rx_pktlen - info.max_mtu;
    return RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
}

uint32_t largest_mtu(const rte_eth_dev_info& info) {
    const uint32_t frame = info.max_rx_pktlen == 0 ? UINT32_MAX : info.max_rx_pktlen;
    const uint32_t by_frame = frame - std::min(frame, overhead_of(info));
    const uint32_t by_mtu = info.max_mtu == 0 ? UINT16_MAX : info.max_mtu;
    return std::min({by_frame, by_mtu, uint32_t{UINT16_MAX}});
}

uint32_t room_of(const Zone& zone) {
    const uint32_t room = rte_pktmbuf_data_room_size(zone.pool);
    return room - std::min<uint32_t>(room, RTE_PKTMBUF_HEADROOM);
}

}  // namespace

// One configuration in the making. The steps are in the order of configure().
struct PortSetup {
    std::unique_ptr<Port> port{new Port};
    rte_eth_dev_info info{};
    rte_eth_conf conf{};
    uint32_t mtu = 0;   // what the device is told; 0: nothing
    uint32_t room = 0;  // data bytes of one receive mbuf
    uint16_t rxd = 0, txd = 0;

    [[nodiscard]] const PortConfig& want() const { return port->config_; }
    template <class... Args>
    void note(fmt::format_string<Args...> format, Args&&... args) {
        port->note(fmt::format(format, std::forward<Args>(args)...));
    }
    template <class... Args>
    Error error(int code, fmt::format_string<Args...> format, Args&&... args) const {
        return {code, fmt::format("port {} ({}, {}): {}", port->id_, port->name_, port->driver_,
                                  fmt::format(format, std::forward<Args>(args)...))};
    }

    Status look(uint16_t id, const PortConfig& config);
    Status check_queues();
    Status check_zone();
    Status check_memory();
    Status check_pages();
    Status choose_mtu();
    void choose_receive();
    void choose_transmit();
    void choose_rss();
    Status configure_device();
    Status apply_mtu();
    Status setup_queues();
    Status set_up_device();
    void note_few_pages();
    void finish();
    void note_missing(uint64_t missing, const char* (*name)(uint64_t));
};

Status PortSetup::look(uint16_t id, const PortConfig& config) {
    Port& p = *port;
    p.phase_ = PortPhase::closed;  // the destructor has nothing to undo before the device is ours
    p.id_ = id;
    p.config_ = config;
    if (rte_eth_dev_is_valid_port(id) == 0)
        return Error{ENODEV,
                     fmt::format("port {}: no such port, the machine has {}; add one with --vdev "
                                 "or bind a NIC (dpdk-devbind.py --status)",
                                 id, rte_eth_dev_count_avail())};
    char name[RTE_ETH_NAME_MAX_LEN] = "";
    static_cast<void>(rte_eth_dev_get_name_by_port(id, name));
    p.name_ = name;
    if (const int e = rte_eth_dev_info_get(id, &info); e != 0)
        return error(-e, "the device does not say what it can do: {}; was it removed?",
                     rte_strerror(-e));
    p.driver_ = info.driver_name == nullptr ? "unknown" : info.driver_name;
    p.quirks_ = quirks_of(p.driver_);
    const rte_devargs* given = info.device == nullptr ? nullptr : rte_dev_devargs(info.device);
    if (given != nullptr && given->args != nullptr) p.devargs_ = given->args;
    return {};
}

Status PortSetup::check_queues() {
    const PortConfig& c = want();
    if (c.rxq == 0 || c.txq == 0)
        return error(EINVAL,
                     "{} receive and {} transmit queues were asked; at least one of each is needed",
                     c.rxq, c.txq);
    if (c.rxq > info.max_rx_queues)
        return error(EINVAL, "{} receive queues were asked and the device has {}; lower --rxq",
                     c.rxq, info.max_rx_queues);
    if (c.txq > info.max_tx_queues)
        return error(EINVAL,
                     "{} transmit queues were asked and the device has {}; lower --txq (each "
                     "forwarding lcore needs its own, so --nb-cores with it)",
                     c.txq, info.max_tx_queues);
    return {};
}

Status PortSetup::check_zone() {
    const Zone* zone = want().rx_zone;
    if (zone == nullptr)
        return error(EINVAL, "no zone to receive into was given; make one with packet_zone()");
    if (zone->kind != ZoneKind::packet)
        return error(EINVAL, "zone {} is not a packet zone, so a driver cannot receive into it",
                     zone->name);
    room = room_of(*zone);
    if (room < info.min_rx_bufsize)
        return error(EINVAL,
                     "zone {} has {} bytes for a packet's data and the device needs {}; raise "
                     "--mbuf-size to {}",
                     zone->name, room, info.min_rx_bufsize,
                     info.min_rx_bufsize + RTE_PKTMBUF_HEADROOM);
    const int device_socket = rte_eth_dev_socket_id(port->id_);
    port->socket_ = device_socket >= 0 ? device_socket : std::max(zone->socket, 0);
    if (device_socket >= 0 && zone->socket >= 0 && device_socket != zone->socket)
        note(
            "cross-node pairing: the device is on node {}, its zone {} on node {}; every packet "
            "crosses the interconnect",
            device_socket, zone->name, zone->socket);
    return {};
}

Status PortSetup::check_memory() {
    if (!loses_external_memory(port->quirks_, port->devargs_)) return {};
    return error(EOPNOTSUPP, "{}", kExternalMemory);
}

// check_pages - how unmapped pages will leave. MBUF_FAST_FREE returns mbufs without a look at what they
// hold.
Status PortSetup::check_pages() {
    Port& p = *port;
    p.paged_ = arena_is_open();
    if (!p.paged_) return {};
    p.rx_paged_ = p.quirks_.pages == Quirks::handed_on;
    if (fast_free_meets_pages(info.tx_offload_capa, {want().tx_offloads, want().multi_seg, want().shared_mbufs}))
        return error(EINVAL,
                     "MBUF_FAST_FREE cannot be on while there are unmapped pages: it returns mbufs without "
                     "letting go of what they show; set the port up for shared mbufs");
    Result<PageRule> rule = page_rule(p.quirks_, p.devargs_, want().unmapped);
    if (!rule) return error(rule.error().code, "{}", rule.error().text);
    p.page_rule_ = std::move(rule).value();
    p.use_pages(p.page_rule_.way, p.page_rule_.because);
    if (p.page_rule_.way != PageWay::as_is && p.quirks_.pages != Quirks::handed_on)
        note("unmapped pages leave {}: {}", p.page_rule_.way == PageWay::windows ? "through windows" : "as copies",
             p.page_rule_.because);
    return {};
}

Status PortSetup::choose_mtu() {
    const uint32_t most = largest_mtu(info);
    if (want().mtu == 0) {
        uint16_t now = 0;
        static_cast<void>(rte_eth_dev_get_mtu(port->id_, &now));
        mtu = std::min<uint32_t>(now, most);
        return {};
    }
    mtu = want().mtu;
    if (mtu >= info.min_mtu && mtu <= most) return {};
    if (mtu > most && mtu <= UINT16_MAX && port->quirks_.soft_mtu) {
        note(
            "MTU {} is not set: the driver reports {} at most, but takes what its medium takes; "
            "set "
            "the interface's own MTU, and the driver's frame size",
            mtu, most);
        mtu = most;
        return {};
    }
    return error(EINVAL, "MTU {} is out of the device's range, {} to {}", mtu, info.min_mtu, most);
}

void PortSetup::note_missing(uint64_t missing, const char* (*name)(uint64_t)) {
    for (uint64_t bit = 1; bit != 0; bit <<= 1)
        if ((missing & bit) != 0) note("no {}: the device does not offer it", name(bit));
}

void PortSetup::choose_receive() {
    const uint64_t wish = want().rx_offloads & ~kScatter;
    conf.rxmode.offloads = wish & info.rx_offload_capa;
    note_missing(wish & ~info.rx_offload_capa, rte_eth_dev_rx_offload_name);
    const uint32_t frame = std::max(mtu, want().mtu) + overhead_of(info);
    if (frame > room) {
        if (!want().multi_seg)
            note(
                "frames above {} bytes are not received whole: chains are turned off and an mbuf "
                "holds no more",
                room);
        else if ((info.rx_offload_capa & kScatter) != 0)
            conf.rxmode.offloads |= kScatter;
        else if (port->quirks_.chains != Quirks::always)
            note(
                "frames above {} bytes are not received: an mbuf holds no more and the device does "
                "not scatter; raise --mbuf-size to {}",
                room, frame + RTE_PKTMBUF_HEADROOM);
    }
    port->scatter_ =
        port->quirks_.chains == Quirks::always ||
        (port->quirks_.chains == Quirks::by_scatter && (conf.rxmode.offloads & kScatter) != 0);
}

void PortSetup::choose_transmit() {
    const uint64_t capa = info.tx_offload_capa;
    const TxWish wish{want().tx_offloads, want().multi_seg, want().shared_mbufs};
    const TxChoice choice = choose_tx(wish, capa, info.tx_desc_lim, port->quirks_);
    conf.txmode.offloads = choice.offloads;
    port->chain_segs_ = choice.chain_segs;
    port->chain_bytes_ = choice.chain_bytes;
    port->guarded_ = choice.guarded();

    note_missing(wish.offloads & ~(kMultiSegs | kFastFree) & ~capa, rte_eth_dev_tx_offload_name);
    if ((capa & kFastFree) != 0 && wish.shared_mbufs)
        note("MBUF_FAST_FREE is off: shared mbufs may be sent here");
    if (choice.chain_segs == 1)
        note(
            "no multi-segment transmit: {}; chains are copied flat (up to {} bytes, longer ones "
            "are "
            "dropped and counted)",
            wish.multi_seg ? "the device does not offer it" : "it was not asked for", room);
    else if (choice.guarded())
        note("chains above {} mbufs or {} bytes are copied flat: the device sends no longer ones",
             choice.chain_segs, choice.chain_bytes);
}

void PortSetup::choose_rss() {
    if (want().rxq < 2) return;
    const uint64_t hash = want().rss_hf & info.flow_type_rss_offloads;
    if (hash == want().rss_hf && hash == 0) return;
    if (hash == 0)
        note(
            "no RSS: the device hashes none of the wanted fields (wanted {:#x}, offered {:#x}); it "
            "alone decides which of the {} queues get packets",
            want().rss_hf, info.flow_type_rss_offloads, want().rxq);
    else if (hash != want().rss_hf)
        note("RSS over {:#x} only: the device does not hash {:#x}", hash, want().rss_hf & ~hash);
    if (hash == 0) return;
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = hash;
}

Status PortSetup::configure_device() {
    conf.rxmode.mtu = mtu;
    const PortConfig& c = want();
    // Events of the link and of removal, where the driver has them. virtio-user in server mode even
    // needs them: it is by this interrupt that it takes a peer that comes back, and it forgets to
    // take the interrupt back at the end unless it was asked for.
    if (info.dev_flags != nullptr) {
        conf.intr_conf.lsc = (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0 ? 1 : 0;
        conf.intr_conf.rmv = (*info.dev_flags & RTE_ETH_DEV_INTR_RMV) != 0 ? 1 : 0;
    }
    if (const int e = rte_eth_dev_configure(port->id_, c.rxq, c.txq, &conf); e != 0)
        return error(-e, "the driver refused {} receive and {} transmit queues with MTU {}: {}",
                     c.rxq, c.txq, mtu, rte_strerror(-e));
    rxd = c.rxd != 0 ? c.rxd : info.default_rxportconf.ring_size;
    txd = c.txd != 0 ? c.txd : info.default_txportconf.ring_size;
    if (rxd == 0) rxd = RTE_ETH_DEV_FALLBACK_RX_RINGSIZE;
    if (txd == 0) txd = RTE_ETH_DEV_FALLBACK_TX_RINGSIZE;
    if (const int e = rte_eth_dev_adjust_nb_rx_tx_desc(port->id_, &rxd, &txd); e != 0)
        return error(-e, "the driver knows no descriptor limits: {}", rte_strerror(-e));
    if (c.rxd != 0 && c.rxd != rxd)
        note("{} receive descriptors instead of {}: the device's limits", rxd, c.rxd);
    if (c.txd != 0 && c.txd != txd)
        note("{} transmit descriptors instead of {}: the device's limits", txd, c.txd);
    return {};
}

Status PortSetup::apply_mtu() {
    if (want().mtu == 0) return {};
    const int e = rte_eth_dev_set_mtu(port->id_, static_cast<uint16_t>(mtu));
    if (e == 0) return {};
    if (e == -ENOTSUP || port->quirks_.soft_mtu) {
        note("the driver cannot set its medium's MTU ({}); frames are taken as they come",
             rte_strerror(-e));
        return {};
    }
    return error(-e, "the driver refused MTU {}: {}; it takes {} to {}", mtu, rte_strerror(-e),
                 info.min_mtu, largest_mtu(info));
}

Status PortSetup::setup_queues() {
    const auto socket = static_cast<unsigned>(port->socket_);
    const Zone& zone = *want().rx_zone;
    rte_eth_rxconf rx = info.default_rxconf;
    rx.offloads = conf.rxmode.offloads;
    for (uint16_t q = 0; q < want().rxq; ++q)
        if (const int e = rte_eth_rx_queue_setup(port->id_, q, rxd, socket, &rx, zone.pool); e != 0)
            return error(
                -e,
                "the driver refused receive queue {} ({} descriptors, zone {} with {} bytes "
                "for a packet): {}; if its frames do not fit, raise --mbuf-size",
                q, rxd, zone.name, room, rte_strerror(-e));
    rte_eth_txconf tx = info.default_txconf;
    tx.offloads = conf.txmode.offloads;
    for (uint16_t q = 0; q < want().txq; ++q)
        if (const int e = rte_eth_tx_queue_setup(port->id_, q, txd, socket, &tx); e != 0)
            return error(-e, "the driver refused transmit queue {} ({} descriptors): {}", q, txd,
                         rte_strerror(-e));
    return {};
}

Status PortSetup::set_up_device() {
    Status done;
    const Status asked = port->with_device("configure", [&] {
        done = configure_device();
        if (done.ok()) done = apply_mtu();
        if (done.ok()) done = setup_queues();
        return 0;  // an error of theirs says more than a number
    });
    return asked.ok() ? done : asked;
}

// note_few_pages - a device that keeps what it has sent until it needs the room (virtio) can come to have
// all pages there are, and who waits for one before it sends waits for ever.
void PortSetup::note_few_pages() {
    if (!port->paged_ || port->pages_.way() != PageWay::as_is) return;
    const PageCounters pages = page_counters();
    const uint32_t kept = uint32_t{want().txq} * txd;
    for (size_t c = 0; c < kPageClasses; ++c)
        if (pages.total[c] > 0 && pages.total[c] <= kept)
            note("up to {} packets that were sent may stay in the device until it needs the room, and there are only "
                 "{} {} pages: more pages, or fewer transmit descriptors, keep senders from waiting for ever",
                 kept, pages.total[c], name_of(static_cast<PageClass>(c)));
}

void PortSetup::finish() {
    Port& p = *port;
    note_few_pages();
    p.rx_offloads_ = conf.rxmode.offloads;
    p.tx_offloads_ = conf.txmode.offloads;
    static_cast<void>(rte_eth_macaddr_get(p.id_, &p.mac_));
    if (p.quirks_.one_start)
        note(
            "a port stop leaves the device running: the driver would not come back from one as it "
            "was");
    p.choose_paths();
    p.phase_ = PortPhase::configured;
}

Result<std::unique_ptr<Port>> Port::configure(uint16_t id, const PortConfig& config) {
    PortSetup s;
    if (Status st = s.look(id, config); !st.ok()) return st.error();
    if (Status st = s.check_queues(); !st.ok()) return st.error();
    if (Status st = s.check_zone(); !st.ok()) return st.error();
    if (Status st = s.check_memory(); !st.ok()) return st.error();
    if (Status st = s.check_pages(); !st.ok()) return st.error();
    if (Status st = s.choose_mtu(); !st.ok()) return st.error();
    s.choose_receive();
    s.choose_transmit();
    s.choose_rss();
    if (Status st = s.set_up_device(); !st.ok()) return st.error();
    s.finish();
    return std::move(s.port);
}

}  // namespace umbuf
