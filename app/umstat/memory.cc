// SPDX-License-Identifier: BSD-2-Clause
// memory.cc - umstat -m.
//
// The words of the first part are those that scripts look for in netstat -m of FreeBSD (usr.bin/netstat,
// mbuf.c), the words of the second OpenBSD's.
#include <fmt/format.h>

#include <array>
#include <iterator>

#include "app/umstat/pick.h"
#include "app/umstat/views.h"
#include "app/umstat/zones.h"

namespace umbuf::umstat {
namespace {

using Out = std::string;
template <class... Args>
void line(Out& out, fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
    out += '\n';
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
    const Use mbufs = sums.mbufs.use + sums.packets.use, clusters = sums.clusters.use + sums.packets.use;
    line(out, "{}/{}/{} mbufs in use (current/cache/total)", mbufs.current, mbufs.cached(), mbufs.total);
    line(out, "{}/{}/{}/{} mbuf clusters in use (current/cache/total/max)", clusters.current, clusters.cached(),
         clusters.total, plus(sums.clusters.limit, sums.packets.limit));
    line(out, "{}/{} mbuf+clusters out of packet secondary zone in use (current/cache)", sums.packets.use.current,
         sums.packets.use.cached());
    static constexpr const char* kSizes[] = {"4k (page size)", "9k", "16k"};
    for (size_t i = 0; i < 3; ++i)
        line(out, "{}/{}/{}/{} {} jumbo clusters in use (current/cache/total/max)", sums.jumbo[i].use.current,
             sums.jumbo[i].use.cached(), sums.jumbo[i].use.total, sums.jumbo[i].limit, kSizes[i]);
    const uint64_t used = sums.all.bytes, cached = sums.all.cached_bytes;
    line(out, "{}K/{}K/{}K bytes allocated to network (current/cache/total)", used / 1024, cached / 1024,
         used / 1024 + cached / 1024);
    line(out, "{}/{}/{} requests for mbufs denied (mbufs/clusters/mbuf+clusters)", sums.mbufs.denied,
         sums.clusters.denied, sums.packets.denied);
    line(out, "{}/{}/{} requests for mbufs delayed (mbufs/clusters/mbuf+clusters)", sums.mbufs.delayed,
         sums.clusters.delayed, sums.packets.delayed);
    line(out, "{}/{}/{} requests for jumbo clusters delayed (4k/9k/16k)", sums.jumbo[0].delayed, sums.jumbo[1].delayed,
         sums.jumbo[2].delayed);
    line(out, "{}/{}/{} requests for jumbo clusters denied (4k/9k/16k)", sums.jumbo[0].denied, sums.jumbo[1].denied,
         sums.jumbo[2].denied);
    const uint64_t limit = sum(sample, "window_limit");
    const Use windows = use_of(sum(sample, "window_now"), sum(sample, "window_peak"), limit == 0 ? UINT64_MAX : limit);
    line(out, "{}/{}/{} sfbufs in use (current/peak/max)", windows.current, windows.peak,
         limit == 0 ? "-" : std::to_string(limit));
}

// FreeBSD's struct sfstat. Two of its lines have nothing here to count, and stay 0.
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
    for (const auto& [name, words] : kLines) line(out, "{} {}", *name == '\0' ? 0 : sum(sample, name), words);
}

void openbsd_lines(Out& out, const std::vector<ZoneNow>& zones, const Sums& sums) {
    out += "zones:\n";
    for (const ZoneNow& zone : zones)
        line(out, "\t{}/{}/{} {} {} byte elements in use (current/peak/max)", zone.use.current, zone.use.peak, zone.limit,
             zone.name, zone.size);
    const uint64_t bytes = plus(sums.all.bytes, sums.all.cached_bytes);
    line(out, "\t{} Kbytes allocated to network ({}% in use)", bytes / 1024, percent(sums.all.bytes, bytes));
}

void page_lines(Out& out, const stat::Sample& sample) {
    const Shares classes = by_label(sample, "page_limit", "class");
    if (!classes.empty()) out += "unmapped pages:\n";
    for (const auto& [name, limit] : classes) {
        const std::string label = "class=" + name;
        const Use use = use_of(sum(sample, "page_in_use", label), sum(sample, "page_peak", label), limit);
        line(out, "\t{}/{}/{} {} pages of {} bytes in use (current/peak/max)", use.current, use.peak, use.total, name,
             largest(sample, "page_size", label));
        line(out, "\t{}/{}/{} {} pages not ready, failed, requests denied", sum(sample, "page_filling", label),
             sum(sample, "page_failed", label), sum(sample, "page_denied", label), name);
        line(out, "\t{}/{} references to {} pages (sum/largest)", sum(sample, "page_references", label),
             largest(sample, "page_references_largest", label), name);
    }
}

// reasons - "1/2 words (nic/verb)".
void reasons(Out& out, const stat::Sample& sample, const char* name, const char* words) {
    const Slashed both = slashed(by_label(sample, name, "reason"));
    line(out, "\t{} {}{}", both.numbers, words, both.names.empty() ? "" : " (" + both.names + ")");
}

void copy_lines(Out& out, const stat::Sample& sample) {
    out += "unmapped mbufs:\n";
    reasons(out, sample, "conversion_mapped", "conversions to mapped");
    line(out, "\t{} copied into clusters", sum(sample, "conversion_copied"));
    line(out, "\t{} compressed into mbufs", sum(sample, "conversion_compressed"));
    reasons(out, sample, "copied_bytes", "bytes copied");
    reasons(out, sample, "copied_times", "copies");
    reasons(out, sample, "copied_packets", "packets copied whole");
}

void reference_lines(Out& out, const stat::Sample& sample) {
    out += "references:\n";
    reasons(out, sample, "refused", "requests refused");
    line(out, "\t{} writes refused", sum(sample, "refused", "reason=read-only"));
    line(out, "\t{} shares refused", sum(sample, "ref_refused"));
    line(out, "\t{}/{} held-back weights (given back/most at once)", sum(sample, "ref_held_back"),
         largest(sample, "ref_held_back_peak"));
    line(out, "\t{}/{} foreign clones set aside (now/ever)", sum(sample, "foreign_set_aside"), sum(sample, "foreign_clones"));
    line(out, "\t{} counts saturated", sum(sample, "ref_stuck"));
    line(out, "\t{} tags lost", sum(sample, "lost_tags"));
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
