// SPDX-License-Identifier: BSD-2-Clause
// report.cc - the words. Plain stdio to standard error: the program may be about to die, and its
// logs may be elsewhere.
#include "drivers/mempool/checked/report.h"

#include <execinfo.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

namespace umbuf::checked {

namespace {

const char* name_of(Fault fault) noexcept {
    switch (fault) {
    case Fault::double_put: return "double put";
    case Fault::stranger: return "put of what is not an object of this pool";
    case Fault::unfit: return "put of an mbuf that is still in use";
    case Fault::late_write: return "write after free";
    case Fault::header_write: return "write after free, to the rte_mbuf";
    case Fault::overrun: return "write behind the end";
    }
    return "?";
}

const char* name_of(Moment moment) noexcept {
    switch (moment) {
    case Moment::put: return "at a put";
    case Moment::get: return "at the next get";
    case Moment::scan: return "while it waited";
    }
    return "?";
}

void say_bytes(const char* what, const std::byte* bytes, uint32_t n) noexcept {
    std::fprintf(stderr, "checked mempool:   %-8s", what);
    for (uint32_t i = 0; i < n; ++i) std::fprintf(stderr, " %02x", static_cast<unsigned>(bytes[i]));
    std::fputc('\n', stderr);
}

void say_bad_bytes(const Layout& layout, const Finding& f) noexcept {
    std::fprintf(stderr, "checked mempool:   %u bytes differ, the first at offset %u", f.bad, f.offset);
    if (f.fault == Fault::overrun)
        std::fprintf(stderr, ", %u behind the end\n", f.offset - layout.poisoned);
    else if (layout.mbufs && f.offset >= layout.kept)
        std::fprintf(stderr, ", %u in the data room\n", f.offset - layout.kept);
    else
        std::fputc('\n', stderr);
    say_bytes("expected", f.expected, f.shown);
    say_bytes("found", f.found, f.shown);
}

void say_mbuf(const void* object) noexcept {
    const rte_mbuf* m = static_cast<const rte_mbuf*>(object);
    std::fprintf(stderr,
                 "checked mempool:   refcnt %u (expected 1), nb_segs %u (1), next %p (null), pool %p, "
                 "buf_addr %p (its own: %p), ol_flags 0x%" PRIx64 "\n",
                 unsigned{rte_mbuf_refcnt_read(m)}, unsigned{m->nb_segs},
                 static_cast<const void*>(m->next), static_cast<const void*>(m->pool), m->buf_addr,
                 static_cast<const void*>(static_cast<const std::byte*>(object) + sizeof(rte_mbuf) +
                                          m->priv_size),
                 m->ol_flags);
}

void say_caller(const char* what, const Caller& by) noexcept {
    if (by.frames == 0) {
        std::fprintf(stderr, "checked mempool:   %s: DPDK, when the pool was filled\n", what);
        return;
    }
    const double us = static_cast<double>(rte_get_tsc_cycles() - by.tsc) * 1e6 /
                      static_cast<double>(rte_get_tsc_hz());
    char who[32] = "a thread that EAL does not know";
    if (by.lcore != LCORE_ID_ANY) std::snprintf(who, sizeof who, "lcore %u", by.lcore);
    std::fprintf(stderr, "checked mempool:   %s: %s, %.1f us ago (tsc %" PRIu64 "), from\n", what, who,
                 us, by.tsc);
    backtrace_symbols_fd(by.frame, by.frames, STDERR_FILENO);
}

void say_here() noexcept {
    void* frames[32];
    const int n = backtrace(frames, 32);
    std::fputs("checked mempool:   found from\n", stderr);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
}

}  // namespace

void report(const rte_mempool& pool, const Layout& layout, const void* object, const Record* record,
            uint32_t index, const Finding& finding) noexcept {
    std::fprintf(stderr, "checked mempool: pool %s: %s, found %s\n", pool.name,
                 name_of(finding.fault), name_of(finding.moment));
    if (record != nullptr)
        std::fprintf(stderr,
                     "checked mempool:   object %u of %u at %p, %u bytes, generation %" PRIu64 "\n",
                     index, pool.populated_size, object, pool.elt_size, record->generation);
    else
        std::fprintf(stderr, "checked mempool:   address %p\n", object);
    if (finding.bad > 0) say_bad_bytes(layout, finding);
    if (finding.fault == Fault::unfit) say_mbuf(object);
    if (record != nullptr) say_caller("last put by", record->put_by);
    say_here();
}

void report_end(const rte_mempool& pool, const um_checked_counts& c) noexcept {
    std::fprintf(stderr,
                 "checked mempool: pool %s ends: %" PRIu64 " puts, %" PRIu64 " gets, %" PRIu64
                 " looked at while they waited, %" PRIu64 " early; faults: %" PRIu64
                 " double puts, %" PRIu64 " strangers, %" PRIu64 " unfit, %" PRIu64
                 " late writes, %" PRIu64 " overruns\n",
                 pool.name, c.puts, c.gets, c.scanned, c.early, c.double_puts, c.strangers, c.unfit,
                 c.late_writes, c.overruns);
}

}  // namespace umbuf::checked
