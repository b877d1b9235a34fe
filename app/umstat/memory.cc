// SPDX-License-Identifier: BSD-2-Clause
// memory.cc - umstat -m.
//
// The words of the first part are those that scripts look for in netstat -m of FreeBSD (usr.bin/netstat,
// mbuf.c), the words of the second OpenBSD's.
#include <array>
#include <initializer_list>
#include <string_view>

#include "app/umstat/pick.h"
#include "app/umstat/views.h"
#include "app/umstat/zones.h"

namespace umbuf::umstat {
namespace {

using Out = std::string;

// line - netstat's way: the numbers, between strokes, and what they are.
void line(Out& out, std::initializer_list<uint64_t> numbers, std::string_view words, const char* indent = "") {
    out += indent;
    const char* between = "";
    for (const uint64_t n : numbers) {
        out += between + std::to_string(n);
        between = "/";
    }
    out.append(" ").append(words).append("\n");
}

// Sum - over zones.
struct Sum {
    Use use;
    uint64_t limit = 0, denied = 0, delayed = 0, bytes = 0, cached_bytes = 0;
    void add(const ZoneNow& zone) {
        use = use + zone.use;
        limit = plus(limit, zone.limit);
        denied = plus(denied, zone.denied);
        delayed = plus(delayed, zone.delayed);
        bytes = plus(bytes, times(zone.use.current, zone.element));
        cached_bytes = plus(cached_bytes, times(zone.use.cached(), zone.element));
    }
};

// Sums - as FreeBSD divides them. A packet of a packet zone is an mbuf and a cluster in one element.
struct Sums {
    Sum mbufs, packets, clusters, all;
    std::array<Sum, 3> jumbo;  // 4k, 9k, 16k
};

Sums sums_of(const std::vector<ZoneNow>& zones) {
    Sums sums;
    for (const ZoneNow& zone : zones) {
        if (zone.kind == "page") continue;  // what is known of pages; lines of their own
        sums.all.add(zone);
        if (zone.kind == "mbuf") sums.mbufs.add(zone);
        else if (zone.kind == "packet") sums.packets.add(zone);
        else if (zone.kind != "cluster") continue;
        else if (zone.size <= 2048) sums.clusters.add(zone);
        else sums.jumbo[zone.size <= 4096 ? 0 : zone.size <= 9216 ? 1 : 2].add(zone);
    }
    return sums;
}

void freebsd_lines(Out& out, const stat::Sample& sample, const Sums& sums) {
    const Sum &m = sums.mbufs, &p = sums.packets, &c = sums.clusters;
    const Use mbufs = m.use + p.use, clusters = c.use + p.use;
    line(out, {mbufs.current, mbufs.cached(), mbufs.total}, "mbufs in use (current/cache/total)");
    line(out, {clusters.current, clusters.cached(), clusters.total, plus(c.limit, p.limit)},
         "mbuf clusters in use (current/cache/total/max)");
    line(out, {p.use.current, p.use.cached()}, "mbuf+clusters out of packet secondary zone in use (current/cache)");
    static constexpr const char* kSizes[] = {"4k (page size)", "9k", "16k"};
    const auto& j = sums.jumbo;
    for (size_t i = 0; i < 3; ++i)
        line(out, {j[i].use.current, j[i].use.cached(), j[i].use.total, j[i].limit},
             kSizes[i] + std::string(" jumbo clusters in use (current/cache/total/max)"));
    const uint64_t used = sums.all.bytes / 1024, cached = sums.all.cached_bytes / 1024;
    out += std::to_string(used) + "K/" + std::to_string(cached) + "K/" + std::to_string(used + cached) +
           "K bytes allocated to network (current/cache/total)\n";
    line(out, {m.denied, c.denied, p.denied}, "requests for mbufs denied (mbufs/clusters/mbuf+clusters)");
    line(out, {m.delayed, c.delayed, p.delayed}, "requests for mbufs delayed (mbufs/clusters/mbuf+clusters)");
    line(out, {j[0].delayed, j[1].delayed, j[2].delayed}, "requests for jumbo clusters delayed (4k/9k/16k)");
    line(out, {j[0].denied, j[1].denied, j[2].denied}, "requests for jumbo clusters denied (4k/9k/16k)");
    const uint64_t limit = sum(sample, "window_limit");
    const Use windows = use_of(sum(sample, "window_now"), sum(sample, "window_peak"), limit == 0 ? UINT64_MAX : limit);
    if (limit == 0) line(out, {windows.current, windows.peak}, "sfbufs in use (current/peak)");
    else line(out, {windows.current, windows.peak, limit}, "sfbufs in use (current/peak/max)");
}

// FreeBSD's struct sfstat. Three of its lines have nothing here to count, and stay 0.
void sendfile_lines(Out& out, const stat::Sample& sample) {
    static constexpr struct {
        const char *name, *words;
    } kLines[] = {
        {"sendfile_calls", "sendfile syscalls"},
        {"", "sendfile syscalls completed without I/O request"},
        {"reader_reads", "requests for I/O initiated by sendfile"},
        {"cache_misses", "pages read by sendfile as part of a request"},
        {"cache_hits", "pages were valid at time of a sendfile request"},
        {"", "pages were valid and substituted to bogus page"},
        {"", "pages were requested for read ahead by applications"},
        {"sendfile_ahead", "pages were read ahead by sendfile"},
        {"sendfile_waits", "times sendfile encountered an already busy page"},
        {"window_denied", "requests for sfbufs denied"},
        {"window_delayed", "requests for sfbufs delayed"},
    };
    for (const auto& [name, words] : kLines) line(out, {*name == '\0' ? 0 : sum(sample, name)}, words);
}

void openbsd_lines(Out& out, const std::vector<ZoneNow>& zones, const Sums& sums) {
    out += "zones:\n";
    for (const ZoneNow& zone : zones)
        line(out, {zone.use.current, zone.use.peak, zone.limit},
             zone.name + (zone.size > 0 ? " " + std::to_string(zone.size) + " byte" : "") + " elements in use (current/peak/max)", "\t");
    const uint64_t bytes = plus(sums.all.bytes, sums.all.cached_bytes);
    line(out, {bytes / 1024},
         "Kbytes allocated to network (" + std::to_string(percent(sums.all.bytes, bytes)) + "% in use)", "\t");
}

void page_lines(Out& out, const stat::Sample& sample) {
    const Shares classes = by_label(sample, "page_limit", "class");
    if (!classes.empty()) out += "unmapped pages:\n";
    for (const auto& [name, limit] : classes) {
        const std::string label = "class=" + name;
        const auto of = [&](const char* what) { return sum(sample, what, label); };
        const Use use = use_of(of("page_in_use"), of("page_peak"), limit);
        line(out, {use.current, use.peak, use.total},
             name + " pages of " + std::to_string(largest(sample, "page_size", label)) + " bytes in use (current/peak/max)", "\t");
        line(out, {of("page_filling"), of("page_failed"), of("page_denied")}, name + " pages (not ready/failed/denied)", "\t");
        line(out, {of("page_references"), largest(sample, "page_references_largest", label)},
             "references to " + name + " pages (sum/largest)", "\t");
    }
}

// reasons - "1/2 words (nic/verb)".
void reasons(Out& out, const stat::Sample& sample, const char* name, const char* words) {
    const Slashed both = slashed(by_label(sample, name, "reason"));
    out += "\t" + both.numbers + " " + words + (both.names.empty() ? "" : " (" + both.names + ")") + "\n";
}

void copy_lines(Out& out, const stat::Sample& sample) {
    out += "unmapped mbufs:\n";
    reasons(out, sample, "conversion_mapped", "conversions to mapped");
    line(out, {sum(sample, "conversion_copied")}, "copied into clusters", "\t");
    line(out, {sum(sample, "conversion_compressed")}, "compressed into mbufs", "\t");
    reasons(out, sample, "copied_bytes", "bytes copied");
    reasons(out, sample, "copied_times", "copies");
    reasons(out, sample, "copied_packets", "packets copied whole");
    out += "mbufs of any kind:\n";
    reasons(out, sample, "moved_bytes", "bytes moved into other storage");
    reasons(out, sample, "moved_times", "times");
}

void reference_lines(Out& out, const stat::Sample& sample) {
    out += "references:\n";
    reasons(out, sample, "refused", "requests refused");
    line(out, {sum(sample, "refused", "reason=read-only")}, "writes refused", "\t");
    line(out, {sum(sample, "ref_refused")}, "shares refused", "\t");
    line(out, {sum(sample, "ref_held_back"), largest(sample, "ref_held_back_peak")},
         "held-back weights (given back/most at once)", "\t");
    line(out, {sum(sample, "foreign_set_aside"), sum(sample, "foreign_clones")}, "foreign clones set aside (now/ever)", "\t");
    line(out, {sum(sample, "ref_stuck")}, "counts saturated", "\t");
    line(out, {sum(sample, "lost_tags")}, "tags lost", "\t");
}

}  // namespace

std::string memory_text(const stat::Sample& sample) {
    const std::vector<ZoneNow> zones = zones_of(sample);
    const Sums sums = sums_of(zones);
    Out out;
    freebsd_lines(out, sample, sums);
    sendfile_lines(out, sample);
    openbsd_lines(out, zones, sums);
    page_lines(out, sample);
    copy_lines(out, sample);
    reference_lines(out, sample);
    return out;
}

}  // namespace umbuf::umstat
