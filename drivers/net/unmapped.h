// SPDX-License-Identifier: BSD-2-Clause
// unmapped.h - the transmit shim: how a packet that shows unmapped pages leaves by a port.
//
// Every path out of the program ends here, so no caller has to ask what a device can do. FreeBSD asked
// in ip_output(), and each path around it was a bug (docs/decisions/0015).
//
//      as is      the pages themselves: a device that reads by DMA, or another process that has mapped
//                 them (virtio-user's vhost), or whoever is handed the mbuf
//      windows    the driver reads with the CPU, in this process: the mbufs' data pointers move to the
//                 read-only aliases; nothing is copied. Wrong for another process, which does not know
//                 the aliases
//      copies     right for all
//
// U1  No page leaves whose content has not arrived: what lies there is old, and another's.
// U2  Who reads a packet in this process while it leaves (the driver, a callback of the queue such as
//     rte_pdump's, the copy that makes a chain flat) gets one that can be read.
//     A window, in turn, is an address of this process alone: for other readers it becomes a page again.
// U3  As is only where it is known, proven by a self-test (page_proof.h) or believed (PortConfig).
// U4  What cannot be sent dies under a name (Sent::pages) and is counted here by its reason.
//
// Threads: choose() and the like are the control thread's, while the port's paths are closed; prepare()
// is for the lcores; counts() for anyone.
#pragma once
#include <cstdint>
#include <string>

#include <rte_mbuf.h>

#include "drivers/net/quirks.h"
#include "lib/base/result.h"
#include "lib/base/sync.h"

namespace umbuf {

enum class PageWay : uint8_t { as_is, windows, copies };
[[nodiscard]] const char* name_of(PageWay way) noexcept;

// Packets that showed pages, by what became of them.
struct PageCounts {
    uint64_t as_is, windows, copies;  // handed to the device
    uint64_t captured;                // of windows and copies: only because the queue is captured
    uint64_t uncaptured;              // of as_is: sent past the capture, which could not have read them
    uint64_t not_ready, failed;       // dead: content that has not arrived (U1), and that never will
    uint64_t hidden;                  // dead: pages that the CPU cannot see, and the device does not take
    uint64_t no_memory;               // dead: no mbuf to copy into
    [[nodiscard]] uint64_t dead() const noexcept { return not_ready + failed + hidden + no_memory; }
};

// PageTally - the counts of one burst, on its stack.
struct PageTally {
    uint16_t as_is = 0, windows = 0, copies = 0, captured = 0, uncaptured = 0;
    uint16_t not_ready = 0, failed = 0, hidden = 0, no_memory = 0;
    bool any = false;
    int error = 0;  // why the last one cannot be sent; counted when it dies (died)
};

// PageRule - what is known of a device before it is tried.
struct PageRule {
    PageWay way;
    PageWay captured;     // while callbacks read what leaves, if `way` is as_is
    std::string because;  // the rest of a sentence for people
};

// page_rule - for a driver and its device arguments ("path=/tmp/s,queues=1"). `believed`: somebody says
// that it sends pages as they are. Error: it is known that it does not.
[[nodiscard]] Result<PageRule> page_rule(const Quirks& quirks, const std::string& devargs, bool believed);

// devarg - the value of a key in device arguments; empty: not there.
[[nodiscard]] std::string devarg(const std::string& devargs, const std::string& key);

class PageShim {
  public:
    void use(PageWay way, PageWay captured) noexcept {
        way_ = way;
        captured_ = captured;
    }
    [[nodiscard]] PageWay way() const noexcept { return way_; }
    [[nodiscard]] PageWay way_captured() const noexcept { return captured_; }

    enum class Fate : uint8_t { send, send_uncaptured, dead };
    // prepare - a packet of several mbufs, made fit for the device. `captured`: callbacks will read it.
    // Dead: it is as it was, the caller's, and tally.error says why.
    [[nodiscard]] Fate prepare(rte_mbuf* packet, bool captured, PageTally& tally) const noexcept;
    // not_taken - the device left this one, which prepare() had counted, with the caller. Copies stay: when
    // the packet comes again it shows no pages any more.
    void not_taken(const rte_mbuf* packet, PageTally& tally) const noexcept;
    // died - count a death by tally.error (EBUSY, EIO, EOPNOTSUPP, ENOBUFS).
    static void died(PageTally& tally) noexcept;
    void count(const PageTally& tally) noexcept {
        if (__builtin_expect(tally.any, 0)) add(tally);
    }
    [[nodiscard]] PageCounts counts() const noexcept;
    // set_counts - after a self-test, whose packets are nobody's.
    void set_counts(const PageCounts& counts) noexcept;

  private:
    void add(const PageTally& tally) noexcept;
    // Locks:  c control thread, before the paths open   a atomic
    PageWay way_ = PageWay::copies;       // [c]
    PageWay captured_ = PageWay::copies;  // [c]
    sync::Counter as_is_, windows_, copies_, captured_count_, uncaptured_;  // [a] add_shared: any lcore
    sync::Counter not_ready_, failed_, hidden_, no_memory_;                 // [a]
};

// page_readable - a packet, made readable for a capture, by windows or copies; false: it cannot be.
[[nodiscard]] bool page_readable(rte_mbuf* packet) noexcept;

// ---- the door to the device

// tx_callbacks - who reads or changes what leaves by this queue (rte_eth_add_tx_callback); null: nobody.
[[nodiscard]] void* tx_callbacks(uint16_t port, uint16_t queue) noexcept;
// tx_through - rte_eth_tx_burst() with these callbacks. Loaded once and used here: a capture that begins
// between the look and the burst sees the next burst, not pages that nobody made readable (U2).
[[nodiscard]] uint16_t tx_through(uint16_t port, uint16_t queue, void* callbacks, rte_mbuf** burst, uint16_t n) noexcept;
// rx_callbacks, rx_past - the same for what arrives: who reads it, and a burst that they have not read.
[[nodiscard]] void* rx_callbacks(uint16_t port, uint16_t queue) noexcept;
[[nodiscard]] uint16_t rx_past(uint16_t port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept;

}  // namespace umbuf
