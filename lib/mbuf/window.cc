// SPDX-License-Identifier: BSD-2-Clause
// window.cc - windows, opened; refusals, counted.
#include "lib/mbuf/window.h"

#include <cerrno>
#include <iterator>

#include <rte_errno.h>
#include <rte_lcore.h>

#include "lib/mbuf/refs.h"
#include "lib/mbuf/zone_get.h"
#include "lib/stat/segment.h"

namespace umbuf {
namespace {

using stat::Kind;

// What others read. The refusals are counted here (add_shared), the rest is set by windows_sample().
struct Counters {
    sync::Counter not_ready, failed, impossible;
    sync::Counter bytes[static_cast<size_t>(CopiedFor::count)];
    sync::Counter times[static_cast<size_t>(CopiedFor::count)];
};

// What was copied, or read: each lcore counts by itself, because it counts per packet. Other threads share
// the last place.
struct alignas(64) Copied {
    sync::Counter bytes[static_cast<size_t>(CopiedFor::count)];
    sync::Counter times[static_cast<size_t>(CopiedFor::count)];
};
Copied copied[RTE_MAX_LCORE + 1];

void note_copied(size_t why, uint32_t bytes) noexcept {
    const unsigned lcore = rte_lcore_id();
    if (__builtin_expect(lcore < RTE_MAX_LCORE, 1)) {
        copied[lcore].bytes[why].add(bytes);
        copied[lcore].times[why].add(1);
    } else {
        copied[RTE_MAX_LCORE].bytes[why].add_shared(bytes);
        copied[RTE_MAX_LCORE].times[why].add_shared(1);
    }
}

constexpr char kRefused[] = "to touch bytes", kBytes[] = "that the CPU read out of pages", kTimes[] = "of bytes of pages, in pieces";
constexpr stat::Field kFields[] = {
    {"refused", "requests", Kind::counter, 1, kRefused, "reason=not-ready"},
    {"refused", "requests", Kind::counter, 1, kRefused, "reason=failed"},
    {"refused", "requests", Kind::counter, 1, kRefused, "reason=impossible"},
    {"copied_bytes", "bytes", Kind::counter, 1, kBytes, "reason=verb"},
    {"copied_bytes", "bytes", Kind::counter, 1, kBytes, "reason=ext-pgs-off"},
    {"copied_bytes", "bytes", Kind::counter, 1, kBytes, "reason=nic"},
    {"copied_bytes", "bytes", Kind::counter, 1, kBytes, "reason=capture"},
    {"copied_bytes", "bytes", Kind::counter, 1, kBytes, "reason=read"},
    {"copied_times", "copies", Kind::counter, 1, kTimes, "reason=verb"},
    {"copied_times", "copies", Kind::counter, 1, kTimes, "reason=ext-pgs-off"},
    {"copied_times", "copies", Kind::counter, 1, kTimes, "reason=nic"},
    {"copied_times", "copies", Kind::counter, 1, kTimes, "reason=capture"},
    {"copied_times", "copies", Kind::counter, 1, kTimes, "reason=read"},
};
stat::Global<Counters> g(kFields);

bool is_page(const Mbuf* m) noexcept { return m->private_valid() && m->ext_type == ExtType::page; }

}  // namespace

const char* name_of(CopiedFor why) noexcept {
    static constexpr const char* kNames[] = {"verb", "ext-pgs-off", "nic", "capture", "read"};
    static_assert(std::size(kNames) == static_cast<size_t>(CopiedFor::count));
    return kNames[static_cast<size_t>(why)];
}

void ReadWindow::open(CopiedFor why) noexcept {
    bytes_ = page_ops->open(bytes_, len_);
    note_copied(static_cast<size_t>(why), len_);
}

bool m_changeable(const Mbuf* m) noexcept {
    if (!is_page(m)) return !m_unmapped(m) && m_writable(m);
    if (m->foreign() || !page_ops->anonymous(ext_control(m))) return false;
    if (page_ops->readable(ghost::of(m->data())) != 0) return false;
    if (sync::load_of(m->rte.refcnt, sync::acquire) != 1) return false;
    if (sync::load_of(m->shinfo.refcnt, sync::acquire) != 1) return false;  // a DPDK clone sees them
    return refs_in_use().exclusive(const_cast<Mbuf*>(m));
}

int refused(int error) noexcept {
    switch (error) {
    case EBUSY: g->not_ready.add_shared(1); break;
    case EIO: g->failed.add_shared(1); break;
    case EROFS: zone::note_refused_write(); break;
    default: g->impossible.add_shared(1); break;
    }
    rte_errno = error;
    return error;
}

WindowCounters window_counters() noexcept {
    WindowCounters c{g->not_ready.read(), g->failed.read(), g->impossible.read(), {}, {}};
    for (const Copied& by : copied)
        for (size_t i = 0; i < static_cast<size_t>(CopiedFor::count); ++i) {
            c.copied_bytes[i] += by.bytes[i].read();
            c.copied_times[i] += by.times[i].read();
        }
    return c;
}

void windows_sample() noexcept {
    const WindowCounters now = window_counters();
    for (size_t i = 0; i < static_cast<size_t>(CopiedFor::count); ++i) {
        g->bytes[i].set(now.copied_bytes[i]);
        g->times[i].set(now.copied_times[i]);
    }
}

}  // namespace umbuf
