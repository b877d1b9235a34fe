// SPDX-License-Identifier: BSD-2-Clause
// picture.cc - what umstat -f paints: rows of text, cut to the terminal.
#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "app/umstat/arithmetic.h"
#include "app/umstat/interval.h"
#include "app/umstat/labels.h"
#include "app/umstat/life.h"
#include "app/umstat/pick.h"
#include "app/umstat/screen.h"
#include "app/umstat/views.h"
#include "app/umstat/zones.h"

namespace umbuf::umstat {
namespace {

enum class Colour : uint8_t { none, bold, green, yellow, red };
const char* code_of(Colour colour) {
    switch (colour) {
    case Colour::none: return "";
    case Colour::bold: return "\x1b[1m";
    case Colour::green: return "\x1b[32m";
    case Colour::yellow: return "\x1b[33m";
    case Colour::red: return "\x1b[1;31m";
    }
    return "";
}

struct Row {
    explicit Row(std::string line, Colour of = Colour::none) : text(std::move(line)), colour(of) {}
    std::string text;
    Colour colour;
};
using Rows = std::vector<Row>;

Colour colour_of(unsigned percent_used) {
    return percent_used >= 95 ? Colour::red : percent_used >= 80 ? Colour::yellow : Colour::green;
}

// short_number - five columns: 1234, 12.3k, 1.2M, 999T.
std::string short_number(uint64_t n) {
    if (n < 10'000) return std::to_string(n);
    double value = static_cast<double>(n);
    const char* unit = "";
    for (const char* next : {"k", "M", "G", "T", "P", "E"}) {
        if (value < 999.5) break;
        value /= 1000;
        unit = next;
    }
    return value < 99.95 ? fmt::format("{:.1f}{}", value, unit) : fmt::format("{:.0f}{}", value, unit);
}

void traffic_rows(Rows& rows, const Picture& p) {
    rows.emplace_back(fmt::format("{:<20} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}", "per second", "Ipkts", "Ibytes", "Idrop", "Opkts",
                                "Obytes", "Drop"), Colour::bold);
    for (const auto& [port, ignored] : by_label(p.since, "port_rx_packets", "port")) {
        const stat::Number* any = p.since.find("port_rx_packets", "port=" + port);
        const std::string device = any != nullptr ? any->label("device") : port;
        if (!p.options.interface.empty() && p.options.interface != port && p.options.interface != device) continue;
        const Traffic t = traffic_of(p.since, port);
        const auto rate = [&](uint64_t n) { return short_number(per_second(n, p.seconds)); };
        rows.emplace_back(fmt::format("{:<20} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}", device,
                                    rate(t.in_packets), rate(t.in_bytes), rate(t.in_drops), rate(t.out_packets),
                                    rate(t.out_bytes), rate(t.out_drops)),
                        t.in_drops + t.out_drops > 0 ? Colour::yellow : Colour::none);
    }
}

std::string bar(unsigned percent_full, unsigned width) {
    const unsigned full = std::min(width, (percent_full * width + 50) / 100);
    return std::string(full, '|') + std::string(width - full, '.');
}

void zone_rows(Rows& rows, const Picture& p) {
    rows.emplace_back(fmt::format("{:<20} {:>9} {:>9} {:>9} {:>5}", "zone", "current", "peak", "max", "used"), Colour::bold);
    for (const ZoneNow& zone : zones_of(p.now)) {
        const unsigned used = percent(zone.use.current, zone.limit);
        rows.emplace_back(fmt::format("{:<20} {:>9} {:>9} {:>9} {:>4}% {}{}", zone.name, zone.use.current, zone.use.peak, zone.limit,
                                    used, bar(used, 20), zone.denied > 0 ? fmt::format(" {} denied", zone.denied) : ""),
                        colour_of(used));
    }
}

void lcore_rows(Rows& rows, const Picture& p) {
    std::string text = "lcores busy:";
    for (const auto& [lcore, busy] : by_label(p.since, "lcore_busy", "lcore")) {
        const uint64_t idle = sum(p.since, "lcore_idle", "lcore=" + lcore);
        text += fmt::format("  {} {}%", lcore, percent(busy, plus(busy, idle)));
    }
    if (text.back() != ':') rows.emplace_back(text);
}

void drop_rows(Rows& rows, const Picture& p) {
    Shares drops = by_label(p.since, "stream_drops", "reason");
    std::stable_sort(drops.begin(), drops.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    std::string text;
    for (const auto& [reason, n] : drops)
        if (n > 0 && p.seconds > 0) text += fmt::format("  {} {}", reason, short_number(per_second(n, p.seconds)));
    if (!text.empty()) rows.emplace_back("died per second:" + text, Colour::yellow);
}

void text_rows(Rows& rows, const std::string& text) {
    std::istringstream lines(text);
    for (std::string one; std::getline(lines, one);) {
        std::string spaced;
        for (const char c : one) spaced += c == '\t' ? std::string(8 - spaced.size() % 8, ' ') : std::string(1, c);
        rows.emplace_back(spaced);
    }
}

Rows rows_of(const Picture& p) {
    Rows rows;
    const bool well = p.now.life == stat::Life::running;
    rows.emplace_back(fmt::format("{}  {}", clock_text(p.now.taken_ns), life_line(p.now)), well ? Colour::bold : Colour::red);
    rows.emplace_back("q quit  a all  m memory  i interfaces  s protocols  d drops  o owners");
    rows.emplace_back("");
    if (p.view) {
        text_rows(rows, text_of(*p.view, p.since, p.options, p.path));
        return rows;
    }
    traffic_rows(rows, p);
    rows.emplace_back("");
    lcore_rows(rows, p);
    drop_rows(rows, p);
    zone_rows(rows, p);
    return rows;
}

}  // namespace

std::string picture_text(const Picture& p) {
    const Rows rows = rows_of(p);
    std::string out;
    for (size_t i = 0; i < rows.size() && i < p.rows; ++i) {
        const bool last_of_many = i + 1 == p.rows && rows.size() > p.rows;
        const std::string text = last_of_many ? fmt::format("... {} more rows", rows.size() - i) : rows[i].text;
        const bool coloured = p.colours && rows[i].colour != Colour::none;
        if (i > 0) out += '\n';
        if (coloured) out += code_of(rows[i].colour);
        out += text.substr(0, p.columns);
        if (coloured) out += "\x1b[0m";
    }
    return out;
}

}  // namespace umbuf::umstat
