// SPDX-License-Identifier: BSD-2-Clause
// port.h - an Ethernet device, from the first look at it to the last packet out of it.
//
// A Port wraps one ethdev of any driver. It asks for nothing that it can do without, and keeps a
// note, one line each, of what it turned off and why.
//
// Phases, each asserted by the next (design.md, lifetimes):
//
//      configured -> started -> tx open -> rx open          start: left to right
//      configured <- started <- tx open <- rx open          halt: the exact reverse
//
// The two paths, receive and transmit, each hold a function pointer. Null means "the device itself"
// and costs one predicted test per burst; anything else is a stub or a wrapper:
//      closed transmit   counts and frees: a packet sent to a stopped port dies under a name
//      closed receive    returns nothing
//      scatter receive   marks the later mbufs of a chain (adopt_chain)
//      page receive      a ring hands over what was sent, pages too: made readable for a capture
//      guarded transmit  flattens chains that the device cannot send: slow_tx
//      page transmit     while there is an arena of unmapped pages: page_tx (unmapped.h)
//      faults            drivers/net/fault.h
// A path is closed by storing the stub and then waiting until every forwarding lcore has passed a
// quiescent state (Quiesce): from then on nobody is inside the device, and it may be stopped.
//
// Threads: configure, start, stop, open and close are for the control thread; rx_burst and tx_burst
// for the one lcore that owns the queue; counters for anyone. Where the driver has a mind of its
// own (Quirks::by_interrupt), configure, start, stop and close have EAL's interrupt thread do it.
// While that one waits for a silent peer they change nothing and say EBUSY: the caller may try
// again.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <rte_ethdev.h>

#include "drivers/net/quirks.h"
#include "drivers/net/unmapped.h"
#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/mbuf/mbuf.h"
#include "lib/mbuf/zone.h"

namespace umbuf {

enum class PortPhase : uint8_t { configured, started, tx_open, rx_open, closed };
[[nodiscard]] const char* name_of(PortPhase phase) noexcept;

// What the forwarder wants of a port. A port that cannot give a *wish* says so in a note; one that
// cannot give a *need* is refused with a sentence.
struct PortConfig {
    uint16_t rxq = 1, txq = 1;  // need: queues
    uint16_t rxd = 0, txd = 0;  // wish: descriptors; 0: the driver's own default
    uint32_t mtu = 0;           // need, unless 0: keep the device's
    Zone* rx_zone = nullptr;    // need: a packet zone on the port's node
    bool shared_mbufs = true;   // shared or external mbufs may be sent: FAST_FREE stays off
    bool multi_seg = true;      // wish: receive (scatter) and send chains
    bool promiscuous = true;    // wish
    bool unmapped = false;      // need: unmapped pages are sent as they are; nobody proves it
    uint64_t rss_hf = 0;        // wish: RTE_ETH_RSS_*; used with rxq > 1
    uint64_t rx_offloads = 0;   // wish: RTE_ETH_RX_OFFLOAD_*, for instance checksums
    uint64_t tx_offloads = 0;   // wish: RTE_ETH_TX_OFFLOAD_*
};

// Sent - what became of a burst that was given to a port. Four small numbers, in one register.
struct Sent {
    uint16_t taken = 0;   // from the front; not the caller's any more
    uint16_t closed = 0;  // of the taken: freed, because the port is closed
    uint16_t chain = 0;   // of the taken: freed, chains that the device cannot send
    uint16_t pages = 0;   // of the taken: freed, unmapped pages that cannot be sent

    [[nodiscard]] uint16_t dead() const noexcept { return static_cast<uint16_t>(closed + chain + pages); }
    [[nodiscard]] uint16_t alive() const noexcept { return static_cast<uint16_t>(taken - dead()); }
};

class Port {
  public:
    using RxPath = uint16_t (*)(Port&, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept;
    using TxPath = Sent (*)(Port&, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept;
    // Quiesce - returns once every lcore that may be inside a path has left it. Given by whoever
    // runs the lcores; with none running it is empty.
    using Quiesce = std::function<void()>;

    // configure - device `id` set up with its queues, not started. Error: what the device is, what
    // was asked, what it can do.
    static Result<std::unique_ptr<Port>> configure(uint16_t id, const PortConfig& config);
    ~Port();  // Stops and closes what is still open. No lcore may be inside a path.
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    [[nodiscard]] Status start();           // configured -> started
    void open_tx();                         // started -> tx_open
    void open_rx();                         // tx_open -> rx_open
    void close_rx(const Quiesce& quiesce);  // rx_open -> tx_open
    void close_tx(const Quiesce& quiesce);  // tx_open -> started
    [[nodiscard]] Status stop();            // started -> configured; drains and reclaims
    // drain - free and count what waits in the receive queues; both paths are closed. stop() does
    // it too. Ports that are each other's wire (virtio-user and vhost-user) lose what is between
    // them when the first stops: drain all before stopping any, and nothing is lost uncounted.
    void drain();
    // close - configured -> closed. The device is given back to EAL (and, with `detach`,
    // unplugged). A device that keeps packets while it is stopped (net_ring) is drained once more:
    // close it after the last port that sends to it has stopped.
    [[nodiscard]] Status close(bool detach = false);
    // halt - from whatever phase back to configured, in order. A device that is gone is a note, not
    // an error: there is nothing left to stop.
    [[nodiscard]] Status halt(const Quiesce& quiesce);

    // rx_burst - up to n packets. The caller owns what it gets. Whole chains, first mbuf in
    // burst[i].
    uint16_t rx_burst(uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
        const RxPath path = rx_path_.load(sync::acquire);  // pairs with the release in open_rx()
        if (__builtin_expect(path == nullptr, 1)) return rte_eth_rx_burst(id_, queue, burst, n);
        return path(*this, queue, burst, n);
    }
    // tx_burst - some are taken, from the front; the caller keeps (owns) the rest. A closed port
    // takes all and frees them. On a port that cannot send chains, a chain is replaced in burst[]
    // by its flat copy, also when it is then not taken; one that does not fit one mbuf of the
    // receive zone is taken and freed. The dead are counted by name, in the answer for the caller's
    // books and in closed_drops(), chain_drops() and pages() for the port's. With an arena, unmapped
    // mbufs in burst[] may be mapped or copied, also of packets that are then not taken.
    Sent tx_burst(uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
        const TxPath path = tx_path_.load(sync::acquire);  // pairs with the release in open_tx()
        if (__builtin_expect(path == nullptr, 1))
            return {.taken = rte_eth_tx_burst(id_, queue, burst, n)};
        return path(*this, queue, burst, n);
    }
    // pages - how unmapped pages leave by this port, and how many did.
    [[nodiscard]] const PageShim& pages() const noexcept { return pages_; }
    [[nodiscard]] bool paged() const noexcept { return paged_; }  // there is an arena
    [[nodiscard]] const std::string& pages_because() const noexcept { return pages_because_; }
    // device_rx, device_tx - the device itself, for wrappers.
    uint16_t device_rx(uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept;
    Sent device_tx(uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept;
    // wrap - put a wrapper around the device; kept over close and open. Before start(), or quiet.
    void wrap(RxPath rx, TxPath tx, void* context);
    [[nodiscard]] void* wrapper_context() const noexcept { return wrapper_context_; }

    [[nodiscard]] uint16_t id() const noexcept { return id_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }      // "0000:00:04.0"
    [[nodiscard]] const std::string& driver() const noexcept { return driver_; }  // "net_virtio"
    [[nodiscard]] int socket() const noexcept { return socket_; }                 // NUMA node, >= 0
    [[nodiscard]] PortPhase phase() const noexcept { return phase_; }
    [[nodiscard]] const PortConfig& config() const noexcept { return config_; }
    [[nodiscard]] const rte_ether_addr& mac() const noexcept { return mac_; }
    [[nodiscard]] bool link_up() const noexcept;  // asked of the device, without waiting
    [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }
    [[nodiscard]] uint64_t rx_offloads() const noexcept { return rx_offloads_; }  // what is on
    [[nodiscard]] uint64_t tx_offloads() const noexcept { return tx_offloads_; }
    [[nodiscard]] bool scatter() const noexcept { return scatter_; }  // chains arrive unmarked
    [[nodiscard]] bool guarded() const noexcept { return guarded_; }  // chains may need flattening
    [[nodiscard]] uint64_t closed_drops() const noexcept { return closed_drops_.read(); }
    // chain_drops - chains that were neither sendable nor flattenable. flattened: chains copied
    // flat.
    [[nodiscard]] uint64_t chain_drops() const noexcept { return chain_drops_.read(); }
    [[nodiscard]] uint64_t flattened() const noexcept { return flattened_.read(); }
    // posted - mbufs of the receive zone that the device keeps to receive into: what it took when it started.
    [[nodiscard]] uint32_t posted() const noexcept { return phase_ == PortPhase::closed ? 0 : posted_; }
    // drained - packets that waited in the device's receive queues when it was stopped; freed.
    [[nodiscard]] uint64_t drained() const noexcept { return drained_.read(); }

  private:
    friend struct PortSetup;  // setup.cc
    friend struct PageProof;  // page_proof.cc
    Port() = default;
    static uint16_t closed_rx(Port&, uint16_t, rte_mbuf**, uint16_t) noexcept;
    static Sent closed_tx(Port&, uint16_t, rte_mbuf**, uint16_t) noexcept;
    static uint16_t scatter_rx(Port&, uint16_t, rte_mbuf**, uint16_t) noexcept;
    static uint16_t page_rx(Port&, uint16_t, rte_mbuf**, uint16_t) noexcept;
    [[nodiscard]] RxPath own_rx() const noexcept;
    static Sent slow_tx(Port&, uint16_t, rte_mbuf**, uint16_t) noexcept;
    static Sent page_tx(Port&, uint16_t, rte_mbuf**, uint16_t) noexcept;
    enum class Door : uint8_t { device, uncaptured, chain, pages };  // the two last: dead
    [[nodiscard]] Door chain_door(rte_mbuf*& m) noexcept;
    [[nodiscard]] Door flat_door(rte_mbuf*& m) noexcept;
    [[nodiscard]] Door page_door(rte_mbuf*& m, bool lone_window, bool captured, PageTally& tally) noexcept
        __attribute__((noinline));
    struct ChainWay;
    struct PageWays;
    template <class Way>
    static Sent in_runs(rte_mbuf** burst, uint16_t n, Way&& way) noexcept;
    [[nodiscard]] bool sendable(const rte_mbuf* m) const noexcept;
    [[nodiscard]] rte_mbuf* flatten(rte_mbuf* chain) noexcept;
    void choose_paths() noexcept;
    void use_pages(PageWay way, const std::string& because);
    [[nodiscard]] bool ours() const noexcept;
    [[nodiscard]] bool present() const noexcept;
    void note(std::string text);
    void reclaim_sent();
    [[nodiscard]] Status with_device(const char* what, const std::function<int()>& work);
    [[nodiscard]] Status start_device();
    void adapt_to_scatter();
    void note_posted(uint32_t held_before) noexcept;
    [[nodiscard]] Status stop_device();
    [[nodiscard]] Error device_error(int code, const char* what) const;

    // Locks:  I immutable after configure   c control thread   a atomic
    sync::atomic<RxPath> rx_path_{&Port::closed_rx};  // [a]
    sync::atomic<TxPath> tx_path_{&Port::closed_tx};  // [a]
    uint16_t id_ = 0;                                 // [I]
    bool scatter_ = false;                            // [c] before the paths open
    bool guarded_ = false;                            // [I]
    bool rx_paged_ = false;                           // [I] pages may arrive as they were sent
    bool paged_ = false;                              // [I] there was an arena when it was configured
    bool device_running_ = false;                 // [c] may outlive `started`: Quirks::one_start
    bool device_ran_ = false;                     // [c]
    uint32_t posted_ = 0;                         // [c]
    PortPhase phase_ = PortPhase::configured;     // [c]
    RxPath open_rx_ = nullptr;                    // [c] what rx_path_ is when open
    TxPath open_tx_ = nullptr;                    // [c]
    RxPath wrapper_rx_ = nullptr;                 // [c] null: not wrapped
    TxPath wrapper_tx_ = nullptr;                 // [c]
    void* wrapper_context_ = nullptr;             // [c]
    uint32_t chain_segs_ = 0, chain_bytes_ = 0;   // [I] guarded: the chain that can be sent
    PageShim pages_;                              // its own letters
    PageRule page_rule_{PageWay::copies, PageWay::copies, ""};  // [I] paged
    std::string pages_because_;                   // [c]
    std::string devargs_;                         // [I] what the device was made with
    PortConfig config_;                           // [I]
    uint64_t rx_offloads_ = 0, tx_offloads_ = 0;  // [I]
    int socket_ = 0;                              // [I]
    rte_ether_addr mac_{};                        // [I]
    Quirks quirks_{};                             // [I]
    std::string name_, driver_;                   // [I]
    std::vector<std::string> notes_;              // [c]
    sync::Counter closed_drops_, chain_drops_, flattened_;  // [a] add_shared: any lcore
    sync::Counter drained_;                                 // [c]
};

}  // namespace umbuf
