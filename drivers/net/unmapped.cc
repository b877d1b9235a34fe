// SPDX-License-Identifier: BSD-2-Clause
// unmapped.cc - pages leave as they are, through windows, or as copies.
#include "drivers/net/unmapped.h"

#include <sys/stat.h>

#include <cerrno>

#include <rte_ethdev.h>

#include "lib/page/arena.h"
#include "lib/page/extpg.h"

namespace umbuf {

const char* name_of(PageWay way) noexcept {
    switch (way) {
        case PageWay::as_is: return "as-is";
        case PageWay::windows: return "windows";
        case PageWay::copies: return "copies";
    }
    return "?";
}

// ---- what is known of drivers

std::string devarg(const std::string& devargs, const std::string& key) {
    for (size_t at = 0; at < devargs.size();) {
        const size_t end = std::min(devargs.find(',', at), devargs.size());
        const std::string pair = devargs.substr(at, end - at);
        if (pair.starts_with(key + "=")) return pair.substr(key.size() + 1);
        at = end + 1;
    }
    return "";
}

namespace {

// A character device is the kernel's vhost-net or a vDPA device; a socket, or none yet (server=1), is
// another process. As the driver tells them apart (DPDK 22.11, virtio_user_backend_type).
bool is_vhost_user(const std::string& path) {
    struct ::stat file {};
    return ::stat(path.c_str(), &file) != 0 || !S_ISCHR(file.st_mode);
}

// In a strict arena no window outlives its use, and a driver's use has no end that we see.
PageRule by_windows(std::string because) {
    if (arena_is_strict()) return {PageWay::copies, PageWay::copies, "no window stands in a strict arena"};
    return {PageWay::windows, PageWay::windows, std::move(because)};
}

PageRule virtio_user_rule(const std::string& devargs) {
    const std::string path = devarg(devargs, "path");
    if (is_vhost_user(path))
        return {PageWay::as_is, PageWay::copies, "the vhost-user process reads them by its own mapping"};
    return {PageWay::copies, PageWay::copies, path + " is no vhost-user socket: the kernel does not read what the CPU may not"};
}

PageRule known_rule(const Quirks& quirks, const std::string& devargs) {
    switch (quirks.pages) {
        case Quirks::by_cpu:
            // memif's zero-copy hands over offsets from EAL's memory, where the aliases are not.
            if (devarg(devargs, "zero-copy") == "yes")
                return {PageWay::copies, PageWay::copies, "zero-copy knows EAL's addresses only"};
            return by_windows("the driver reads them with the CPU");
        case Quirks::by_nobody: return by_windows("nobody reads them");
        case Quirks::handed_on: return by_windows("who is handed them may read them");
        case Quirks::by_peer: return virtio_user_rule(devargs);
        case Quirks::unknown: break;
    }
    return {PageWay::copies, PageWay::copies, "who reads them behind this driver is not known"};
}

}  // namespace

Result<PageRule> page_rule(const Quirks& quirks, const std::string& devargs, bool believed) {
    PageRule rule = known_rule(quirks, devargs);
    if (!believed || rule.way == PageWay::as_is) return rule;
    if (quirks.pages == Quirks::by_cpu || quirks.pages == Quirks::by_peer)
        return Error{EOPNOTSUPP, "it cannot be believed to send unmapped pages as they are: " + rule.because};
    const PageWay read_here = quirks.pages == Quirks::unknown ? PageWay::copies : rule.way;
    return PageRule{PageWay::as_is, read_here, "this was said of the port"};
}

// ---- a packet

void PageShim::died(PageTally& tally) noexcept {
    tally.any = true;
    switch (tally.error) {
        case EBUSY: ++tally.not_ready; break;
        case EIO: ++tally.failed; break;
        case EOPNOTSUPP: ++tally.hidden; break;
        default: ++tally.no_memory; break;
    }
}

namespace {

// shows_pages - by their own addresses, or through windows that somebody opened before.
bool shows_pages(const Mbuf* rest) noexcept {
    for (; rest != nullptr; rest = rest->next())
        if (m_unmapped(rest) || ghost::alias_has(rest->rte.buf_addr)) return true;
    return false;
}

// content - has all of it arrived? 0, EBUSY, EIO. A producer clears the mark when it has looked, so the
// page itself is asked only for those that nobody has looked at.
int content(Mbuf* rest) noexcept {
    for (; rest != nullptr; rest = rest->next()) {
        if (!m_unmapped(rest) || (rest->private_valid() && (rest->m_flags & M_NOTREADY) == 0)) continue;
        const int error = m_readable(rest);
        if (error == EBUSY || error == EIO) return error;
    }
    return 0;
}

}  // namespace

PageShim::Fate PageShim::prepare(rte_mbuf* packet, bool captured, PageTally& tally) const noexcept {
    Mbuf* first = Mbuf::of(packet);
    if (!shows_pages(first->next())) return Fate::send;  // never the first: E1
    tally.any = true;
    if (way_ != PageWay::windows) mb_mapped_again(first->next());  // U2
    const bool as_is = way_ == PageWay::as_is;
    if (as_is && (tally.error = content(first->next())) != 0) return Fate::dead;
    if (as_is && !captured) return ++tally.as_is, Fate::send;
    const bool windows = (as_is ? captured_ : way_) == PageWay::windows;
    tally.error =
        windows ? mb_unmapped_to_ext(&first, M_NOWAIT, as_is ? MappedFor::capture : MappedFor::nic)
                : mb_unmapped_copy(&first, M_NOWAIT, as_is ? CopiedFor::capture : CopiedFor::nic);
    if (tally.error != 0 && as_is) {  // a capture must not cost a packet
        ++tally.as_is, ++tally.uncaptured;
        return Fate::send_uncaptured;
    }
    if (tally.error != 0) return Fate::dead;
    ++(windows ? tally.windows : tally.copies);
    if (as_is) ++tally.captured;
    return Fate::send;
}

void PageShim::not_taken(const rte_mbuf* packet, PageTally& tally) const noexcept {
    const Mbuf* rest = Mbuf::of(packet)->next();
    if (rest == nullptr || !shows_pages(rest)) return;
    if (m_has_unmapped(rest)) {
        --tally.as_is;
        return;
    }
    --tally.windows;
    if (way_ == PageWay::as_is) --tally.captured;
}

bool page_readable(rte_mbuf* packet) noexcept {
    if (packet->nb_segs == 1) return true;
    Mbuf* first = Mbuf::of(packet);
    const int error = arena_is_strict() ? mb_unmapped_copy(&first, M_NOWAIT, CopiedFor::capture)
                                        : mb_unmapped_to_ext(&first, M_NOWAIT, MappedFor::capture);
    return error == 0;
}

void PageShim::add(const PageTally& t) noexcept {
    const auto put = [](sync::Counter& counter, uint16_t n) {
        if (n > 0) counter.add_shared(n);
    };
    put(as_is_, t.as_is);
    put(windows_, t.windows);
    put(copies_, t.copies);
    put(captured_count_, t.captured);
    put(uncaptured_, t.uncaptured);
    put(not_ready_, t.not_ready);
    put(failed_, t.failed);
    put(hidden_, t.hidden);
    put(no_memory_, t.no_memory);
}

PageCounts PageShim::counts() const noexcept {
    return {as_is_.read(),     windows_.read(), copies_.read(), captured_count_.read(), uncaptured_.read(),
            not_ready_.read(), failed_.read(),  hidden_.read(), no_memory_.read()};
}

void PageShim::set_counts(const PageCounts& n) noexcept {
    as_is_.set(n.as_is);
    windows_.set(n.windows);
    copies_.set(n.copies);
    captured_count_.set(n.captured);
    uncaptured_.set(n.uncaptured);
    not_ready_.set(n.not_ready);
    failed_.set(n.failed);
    hidden_.set(n.hidden);
    no_memory_.set(n.no_memory);
}

// ---- the door

void* tx_callbacks(uint16_t port, uint16_t queue) noexcept {
    // Relaxed, as rte_eth_tx_burst() does: what the callback is made of depends on the pointer.
    return sync::load_of(rte_eth_fp_ops[port].txq.clbk[queue], sync::relaxed);
}

uint16_t tx_through(uint16_t port, uint16_t queue, void* callbacks, rte_mbuf** burst, uint16_t n) noexcept {
    if (callbacks != nullptr) n = rte_eth_call_tx_callbacks(port, queue, burst, n, callbacks);
    const auto& device = rte_eth_fp_ops[port];
    return device.tx_pkt_burst(device.txq.data[queue], burst, n);
}

void* rx_callbacks(uint16_t port, uint16_t queue) noexcept {
    return sync::load_of(rte_eth_fp_ops[port].rxq.clbk[queue], sync::relaxed);
}

uint16_t rx_past(uint16_t port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
    const auto& device = rte_eth_fp_ops[port];
    return device.rx_pkt_burst(device.rxq.data[queue], burst, n);
}

}  // namespace umbuf
