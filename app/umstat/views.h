// SPDX-License-Identifier: BSD-2-Clause
// views.h - what umstat prints for people: one text for each letter of the command line.
//
// Each takes a sample, or an interval (interval.h), whose counters are what happened in it. None can
// fail: what a forwarder does not count is 0, or has no line.
#pragma once
#include <string>

#include "app/umstat/options.h"
#include "lib/stat/reader.h"

namespace umbuf::umstat {

// memory_text - netstat -m: FreeBSD's lines, with the meanings of docs/statistics.md; the zones as
// OpenBSD prints pools; then what neither has.
[[nodiscard]] std::string memory_text(const stat::Sample& sample);
// interfaces_text - netstat -i -b -d. `only`: of this interface, by its name or number.
[[nodiscard]] std::string interfaces_text(const stat::Sample& sample, const std::string& only = {});
// protocols_text - netstat -s; ESP in the words of /proc/net/xfrm_stat.
[[nodiscard]] std::string protocols_text(const stat::Sample& sample);
// drops_text - each reason that there was, the most frequent first.
[[nodiscard]] std::string drops_text(const stat::Sample& sample);
// owners_text - who holds the elements of each zone.
[[nodiscard]] std::string owners_text(const stat::Sample& sample);

// trace_text - of the reference trace that lies beside the statistics at `path`: the last events, or all.
[[nodiscard]] std::string trace_text(const std::string& path, bool all);

// text_of - the one that a letter asks for. path: where the sample comes from.
[[nodiscard]] std::string text_of(View view, const stat::Sample& sample, const Options& options, const std::string& path);

// Traffic - of one interface or of all, for the lines of netstat -w.
struct Traffic {
    uint64_t in_packets = 0, in_errors = 0, in_drops = 0, in_bytes = 0;
    uint64_t out_packets = 0, out_errors = 0, out_bytes = 0, out_drops = 0;
};
[[nodiscard]] Traffic traffic_of(const stat::Sample& sample, const std::string& only = {});
// traffic_head, traffic_line - netstat -w's: per interval, not per second, as there.
[[nodiscard]] std::string traffic_head(const std::string& only);
[[nodiscard]] std::string traffic_line(const Traffic& traffic);
// has_interface - is there one of this name or number?
[[nodiscard]] bool has_interface(const stat::Sample& sample, const std::string& only);

}  // namespace umbuf::umstat
