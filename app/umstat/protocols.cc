// SPDX-License-Identifier: BSD-2-Clause
// protocols.cc - umstat -s: a line for each thing that can happen, the number first.
#include <fmt/format.h>

#include <span>

#include "app/umstat/pick.h"
#include "app/umstat/views.h"

namespace umbuf::umstat {
namespace {

struct Line {
    const char *name, *label, *words;
};

constexpr Line kForwarding[] = {
    {"stream_rx", "", "packets received"},
    {"stream_made", "", "packets made"},
    {"stream_tx", "", "packets sent"},
    {"stream_drops", "", "packets that died (umstat -d has the reasons)"},
    {"stream_bad_csum", "layer=ip", "bad IP header checksums"},
    {"stream_bad_csum", "layer=l4", "bad UDP or TCP checksums"},
    {"port_tx_flattened", "", "chains copied flat for a device"},
    {"port_pages", "how=as-is", "packets sent as unmapped pages"},
    {"port_pages", "how=windows", "packets sent through windows on pages"},
    {"port_pages", "how=copied", "packets sent as copies of pages"},
    {"port_drained", "", "packets freed out of stopped receive queues"},
    {"port_flushed", "", "packets freed that came while stopped"},
};
constexpr Line kSendfile[] = {
    {"sendfile_calls", "", "files begun"},
    {"sendfile_packets", "", "packets with bytes of a file"},
    {"sendfile_bytes", "", "bytes of files"},
    {"sendfile_waits", "", "packets that waited for their page"},
    {"sendfile_no_mbuf", "", "tries that found no mbuf"},
    {"sendfile_given_up", "", "streams given up: the file could not be read on"},
    {"cache_hits", "", "pages found in the cache"},
    {"cache_misses", "", "pages read into the cache"},
    {"cache_evictions", "", "pages that made room for others"},
    {"cache_no_page", "", "requests that found every page held"},
    {"cache_retried", "", "pages read anew"},
    {"reader_reads", "", "read requests"},
    {"reader_bytes", "", "bytes read"},
    {"reader_short", "", "short reads"},
    {"reader_truncated", "", "pages of files that had become shorter"},
    {"reader_errors", "", "pages that could not be read"},
    {"reader_direct_refused", "", "reads that the file system did not take as direct"},
};

void section(std::string& out, const stat::Sample& sample, const char* title, std::span<const Line> lines) {
    bool any = false;
    for (const Line& one : lines) any = any || has(sample, one.name);
    if (!any) return;
    out += fmt::format("{}:\n", title);
    for (const Line& one : lines)
        if (has(sample, one.name, one.label))
            out += fmt::format("\t{} {}\n", sum(sample, one.name, one.label), one.words);
}

// ok is no reason: it comes first, and in words.
void whys(std::string& out, const Shares& shares) {
    for (const auto& [why, n] : shares)
        if (why == "ok") out += fmt::format("\t{} packets let through\n", n);
    for (const auto& [why, n] : shares)
        if (why != "ok") out += fmt::format("\t{} {}\n", n, why);
}

void esp(std::string& out, const stat::Sample& sample) {
    const Shares all = by_label(sample, "esp_packets", "why");
    if (all.empty()) return;
    out += "esp:\n";
    whys(out, all);
}

void associations(std::string& out, const stat::Sample& sample) {
    static constexpr Line kLines[] = {{"sa_packets", "", "packets let through"},       {"sa_bytes", "", "bytes"},
                                      {"sa_replayed", "", "packets replayed"},         {"sa_bad_icv", "", "packets with a wrong ICV"},
                                      {"sa_bad_padding", "", "packets with wrong padding"}};
    for (const auto& [id, n] : by_label(sample, "sa_packets", "sa")) {
        stat::Sample own;
        for (const stat::Number& number : sample.numbers)
            if (number.name.compare(0, 3, "sa_") == 0 && number.label("sa") == id) own.numbers.push_back(number);
        const std::string spi = own.numbers.empty() ? "" : own.numbers[0].label("spi"), name = own.numbers.empty() ? "" : own.numbers[0].label("name");
        out += fmt::format("esp sa {}{}{}, spi {}{}:\n", id, name.empty() ? "" : " ", name, spi, sum(own, "sa_soft_expired") > 0 ? ", past a soft limit" : "");
        for (const Line& one : kLines) out += fmt::format("\t{} {}\n", sum(own, one.name), one.words);
        whys(out, by_label(own, "sa_refused", "why"));
    }
}

}  // namespace

std::string protocols_text(const stat::Sample& sample) {
    std::string out;
    section(out, sample, "forwarding", kForwarding);
    section(out, sample, "sendfile", kSendfile);
    esp(out, sample);
    associations(out, sample);
    return out.empty() ? "nothing has been forwarded yet\n" : out;
}

}  // namespace umbuf::umstat
