// SPDX-License-Identifier: BSD-2-Clause
// report.cc - the sums of a run, printed for people in testpmd's words and for programs as JSON.
#include "app/umfwd/report.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace umbuf::fwd {

namespace {

// minus - b may be newer than a: somebody cleared the device's counters in between.
uint64_t minus(uint64_t a, uint64_t b) { return a >= b ? a - b : a; }

uint64_t at(const StreamReport& s, Drop why) { return s.drops[static_cast<size_t>(why)]; }

// tx_dropped - testpmd's word: died at a transmit queue, for whatever reason.
uint64_t tx_dropped(const StreamReport& s) {
    return at(s, Drop::tx_full) + at(s, Drop::tx_closed) + at(s, Drop::tx_chain) +
           at(s, Drop::tx_unmapped);
}

uint64_t all_drops(const StreamReport& s) {
    uint64_t n = 0;
    for (const uint64_t d : s.drops) n += d;
    return n;
}

// surplus - packets that came from nowhere or went nowhere; 0 when the stream is conserved.
uint64_t surplus(const StreamReport& s) {
    const uint64_t in = s.rx + s.made, out = s.tx + all_drops(s);
    return in > out ? in - out : out - in;
}

uint64_t surplus(const std::vector<StreamReport>& streams) {
    uint64_t n = 0;
    for (const StreamReport& s : streams) n += surplus(s);
    return n;
}

// ---- the lists of counters ----------------------------------------------------------------------

template <class T>
struct Count {
    const char* name;
    uint64_t T::*field;
};

#define X(id) {#id, &PortNic::id},
constexpr Count<PortNic> kNicCounts[] = {UM_NIC_COUNTS(X)};
#undef X
#define X(id) {#id, &PortForward::id},
constexpr Count<PortForward> kPortCounts[] = {UM_PORT_COUNTS(X)};
#undef X
#define X(id) {#id, &SeqReport::id},
constexpr Count<SeqReport> kSeqCounts[] = {UM_SEQ_COUNTS(X)};
#undef X
#define X(id) {#id, &FileReport::id},
constexpr Count<FileReport> kFileCounts[] = {UM_FILE_COUNTS(X)};
#undef X
#define X(id) {#id, &RecvReport::id},
constexpr Count<RecvReport> kRecvCounts[] = {UM_RECV_COUNTS(X)};
#undef X
#define X(id) {#id, &CopyReport::id},
constexpr Count<CopyReport> kCopyCounts[] = {UM_COPY_COUNTS(X)};
#undef X
constexpr Count<FaultCounts> kFaultCounts[] = {
    {"drop", &FaultCounts::drop},           {"duplicate", &FaultCounts::duplicate},
    {"reorder", &FaultCounts::reorder},     {"corrupt", &FaultCounts::corrupt},
    {"short_tx", &FaultCounts::short_tx},   {"no_mbuf", &FaultCounts::no_mbuf},
    {"flap", &FaultCounts::flap},
};
static_assert(std::size(kFaultCounts) * sizeof(uint64_t) == sizeof(FaultCounts),
              "a fault is not in the list");

template <class T, size_t N>
void add_counts(const Count<T> (&list)[N], T& sum, const T& one) {
    for (const auto& count : list) sum.*count.field += one.*count.field;
}

template <class T, size_t N>
void sub_counts(const Count<T> (&list)[N], T& now, const T& base) {
    for (const auto& count : list) now.*count.field = minus(now.*count.field, base.*count.field);
}

// ---- sums ---------------------------------------------------------------------------------------

PortForward* port_of(Report& report, uint16_t id) {
    for (PortForward& port : report.ports)
        if (port.port == id) return &port;
    report.ports.push_back({.port = id});
    return &report.ports.back();
}

void add_sent(Report& report, uint16_t id, uint64_t sent, uint64_t dropped) {
    PortForward* port = port_of(report, id);
    port->forwards = true;
    port->tx_packets += sent;
    port->tx_dropped += dropped;
}

void add_streams(Report& report) {
    for (const StreamReport& s : report.streams) {
        PortForward* rx = port_of(report, s.rx_port);
        rx->forwards = true;
        rx->rx_packets += s.rx;
        rx->bad_ip_csum += s.bad_ip_csum;
        rx->bad_l4_csum += s.bad_l4_csum;
        uint64_t sent = s.tx, dropped = tx_dropped(s);
        for (const WayReport& way : s.tee) {  // the other ports' shares
            sent -= std::min(sent, way.tx);
            dropped -= std::min(dropped, way.dropped);
            add_sent(report, way.port, way.tx, way.dropped);
        }
        add_sent(report, s.tx_port, sent, dropped);
    }
}

void accumulate(PortForward& sum, const PortForward& port) {
    add_counts(kPortCounts, sum, port);
    add_counts(kFaultCounts, sum.faults, port.faults);
    add_counts(kNicCounts, sum.nic, port.nic);
}

// merge_gone - a port that was detached speaks through the one that has its number now.
void merge_gone(Report& report) {
    std::stable_sort(report.ports.begin(), report.ports.end(), [](const auto& a, const auto& b) {
        return std::pair(a.port, a.gone) < std::pair(b.port, b.gone);
    });
    std::vector<PortForward> merged;
    for (PortForward& port : report.ports) {
        if (!merged.empty() && merged.back().port == port.port) {
            port.nic = {};
            accumulate(merged.back(), port);
        } else {
            merged.push_back(port);
        }
    }
    std::erase_if(merged, [](const PortForward& port) { return port.gone && !port.forwards; });
    report.ports = std::move(merged);
}

// ---- text ---------------------------------------------------------------------------------------

std::string packet_lines(const PortForward& p, bool csum, bool one_port) {
    std::string text = fmt::format("  RX-packets: {:<14} RX-dropped: {:<14}RX-total: {}\n", p.rx_packets,
                                   p.rx_dropped, p.rx_total);
    if (csum && one_port)
        text += fmt::format("  Bad-ipcsum: {:<14} Bad-l4csum: {:<14}Bad-outer-l4csum: {:<14}\n"
                            "  Bad-outer-ipcsum: {:<14}\n",
                            p.bad_ip_csum, p.bad_l4_csum, 0, 0);
    if (one_port && p.rx_error + p.rx_nombufs > 0) text += fmt::format("  RX-error: {}\n", p.rx_error);
    if (p.rx_nombufs > 0 || (one_port && p.rx_error > 0))
        text += fmt::format("  RX-nombufs: {:<14}\n", p.rx_nombufs);
    return text + fmt::format("  TX-packets: {:<14} TX-dropped: {:<14}TX-total: {}\n", p.tx_packets,
                              p.tx_dropped, p.tx_total);
}

std::string stream_name(const StreamReport& s) {
    return fmt::format("RX P={}/Q={} -> TX P={}/Q={}", s.rx_port, s.rx_queue, s.tx_port, s.tx_queue);
}

std::string stream_block(const StreamReport& s, bool csum) {
    std::string text = fmt::format(
        "\n  ------- Forward Stats for RX Port={:2}/Queue={:2} -> TX Port={:2}/Queue={:2} -------\n"
        "  RX-packets: {:<14} TX-packets: {:<14} TX-dropped: {:<14}",
        s.rx_port, s.rx_queue, s.tx_port, s.tx_queue, s.rx, s.tx,
        tx_dropped(s));
    if (csum)
        text += fmt::format("  RX- bad IP checksum: {:<14}  Rx- bad L4 checksum: {:<14}", s.bad_ip_csum,
                            s.bad_l4_csum);
    return text + "\n";
}

// bursts_line - the commonest sizes first; JSON has them all.
std::string bursts_line(const StreamReport& s) {
    constexpr size_t kShown = 6;
    std::vector<std::pair<uint16_t, uint64_t>> sizes = s.rx_bursts;
    uint64_t total = 0, shown = 0;
    for (const auto& [size, n] : sizes) total += n;
    if (total == 0) return "";
    std::stable_sort(sizes.begin(), sizes.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    std::string text;
    for (size_t i = 0; i < std::min(kShown, sizes.size()); ++i) {
        shown += sizes[i].second;
        text += fmt::format("{}{:.3g}% of {} pkts", i == 0 ? "" : " + ",
                            100.0 * static_cast<double>(sizes[i].second) / static_cast<double>(total),
                            sizes[i].first);
    }
    if (shown < total)
        text += fmt::format(" + {:.3g}% of others",
                            100.0 * static_cast<double>(total - shown) / static_cast<double>(total));
    return fmt::format("    RX-bursts : {} [{}]\n", total, text);
}

std::string streams_text(const Report& report) {
    std::string text;
    for (const StreamReport& s : report.streams) {
        text += fmt::format("  {}: rx={} made={} tx={}", stream_name(s), s.rx, s.made, s.tx);
        for (size_t i = 0; i < kDrops; ++i)
            if (s.drops[i] > 0) text += fmt::format(" {}={}", name_of(static_cast<Drop>(i)), s.drops[i]);
        if (report.final && !report.conserved && surplus(s) != 0)
            text += fmt::format(" NOT CONSERVED: {} packets", surplus(s));
        text += "\n" + bursts_line(s);
    }
    return text.empty() ? text : "\nStreams, with the packets that died by reason:\n" + text;
}

std::string lcores_text(const Report& report) {
    std::string text;
    for (const LcoreReport& l : report.lcores) {
        const uint64_t all = l.busy_cycles + l.idle_cycles;
        const double busy =
            all == 0 ? 0 : 100.0 * static_cast<double>(l.busy_cycles) / static_cast<double>(all);
        text += fmt::format("  lcore {} (socket {}): packets={} busy-cycles={} idle-cycles={} busy={:.1f}%\n",
                            l.lcore, l.socket, l.packets, l.busy_cycles, l.idle_cycles, busy);
    }
    return text.empty() ? text : "\nLcores:\n" + text;
}

std::string zones_text(const Report& report) {
    std::string text;
    for (const ZoneReport& z : report.zones) {
        text += fmt::format("  {}: size={} total={} in-use={} denied={}", z.name, z.size, z.total, z.in_use,
                            z.denied);
        if (report.final && z.in_use != z.expected)
            text += fmt::format(" UNBALANCED: expected {}{}{}", z.expected, z.held_by.empty() ? "" : "; held by ", z.held_by);
        text += "\n";
    }
    return text.empty() ? text : "\nPools:\n" + text;
}

std::string drops_text(const Report& report) {
    std::string text;
    for (const auto& [reason, n] : drops_by_reason(report))
        if (n > 0) text += fmt::format("  {}: {}\n", reason, n);
    return text.empty() ? text : "\nDropped, all streams and ports:\n" + text;
}

uint64_t copied_bytes(const FileReport& f) {
    return f.copied_ext_pgs_off + f.copied_nic + f.copied_verb + f.copied_capture;
}

std::string seq_text(const SeqReport& s, uint64_t unaccounted) {
    if (!s.used) return "";
    return fmt::format("\nSequence check:\n  sent={} received={} corrupt={} duplicate={} reordered={} "
                       "lost={} unaccounted={}\n",
                       s.sent, s.received, s.corrupt, s.duplicate, s.reordered, s.lost, unaccounted);
}

std::string file_text(const FileReport& f) {
    if (!f.used) return "";
    const uint64_t copied = copied_bytes(f);
    return fmt::format("\nFile:\n  bytes={} packets={} copied bytes={} ({:.1f} per packet)\n"
                       "  pages: read={} hits={} evicted={} none={}  waits={} no-mbuf={}\n"
                       "  disk: reads={} bytes={} short={} truncated={} errors={} given up={}  looked at: {} bytes\n",
                       f.bytes, f.packets, copied,
                       f.packets == 0 ? 0.0 : static_cast<double>(copied) / static_cast<double>(f.packets),
                       f.pages_read, f.hits, f.evictions, f.no_page, f.waits, f.no_mbuf, f.reads, f.read_bytes,
                       f.short_reads, f.truncated, f.errors, f.given_up, f.looked_at);
}

std::string recv_text(const RecvReport& r) {
    if (!r.used) return "";
    return fmt::format("\nFile received:\n  packets={} bytes={} corrupt={} answers={}\n", r.packets, r.bytes, r.corrupt, r.told);
}

std::string verdict_text(const Report& report) {
    std::string text = fmt::format("\nmode={} seconds={:.3f} mpps={:.3f} cycles/packet={:.1f}\n", report.mode,
                                   report.seconds, report.mpps, report.cycles_per_packet);
    if (report.final)
        text += fmt::format("packets conserved: {}, pools balanced: {}\n", report.conserved ? "yes" : "NO",
                            report.pools_balanced ? "yes" : "NO");
    for (const std::string& problem : report.problems) text += "PROBLEM: " + problem + "\n";
    return text;
}

// ---- JSON ---------------------------------------------------------------------------------------

using Json = nlohmann::ordered_json;

template <class T, size_t N>
Json json_of(const Count<T> (&list)[N], const T& counts) {
    Json json = Json::object();
    for (const auto& count : list) json[count.name] = counts.*count.field;
    return json;
}

Json json_of(const PortForward& p) {
    Json json = json_of(kPortCounts, p);
    json["faults"] = json_of(kFaultCounts, p.faults);
    json["nic"] = json_of(kNicCounts, p.nic);
    return json;
}

Json json_of(const StreamReport& s) {
    Json drops = Json::object(), bursts = Json::object();
    for (size_t i = 0; i < kDrops; ++i) drops[name_of(static_cast<Drop>(i))] = s.drops[i];
    for (const auto& [size, n] : s.rx_bursts) bursts[std::to_string(size)] = n;
    Json tee = Json::array();
    for (const WayReport& w : s.tee)
        tee.push_back({{"port", w.port}, {"tx", w.tx}, {"dropped", w.dropped}});
    return {{"mode", s.mode}, {"rx_port", s.rx_port}, {"rx_queue", s.rx_queue}, {"tx_port", s.tx_port},
            {"tx_queue", s.tx_queue}, {"lcore", s.lcore}, {"rx", s.rx}, {"made", s.made}, {"tx", s.tx},
            {"bad_ip_csum", s.bad_ip_csum}, {"bad_l4_csum", s.bad_l4_csum},
            {"drops", drops}, {"rx_bursts", bursts}, {"tee", tee}};
}

Json json_of(const LcoreReport& l) {
    return {{"lcore", l.lcore}, {"socket", l.socket}, {"busy_cycles", l.busy_cycles},
            {"idle_cycles", l.idle_cycles}, {"packets", l.packets}};
}

Json json_of(const ZoneReport& z) {
    return {{"name", z.name}, {"size", z.size}, {"total", z.total}, {"in_use", z.in_use},
            {"expected", z.expected}, {"denied", z.denied}, {"held_by", z.held_by}};
}

template <class T>
Json list_of(const std::vector<T>& items) {
    Json list = Json::array();
    for (const T& item : items) list.push_back(json_of(item));
    return list;
}

Json ports_of(const Report& report) {
    Json list = Json::array();
    for (const PortForward& port : report.ports) {
        Json one = {{"port", port.port}, {"gone", port.gone}, {"forwards", port.forwards}};
        one.update(json_of(port));
        list.push_back(std::move(one));
    }
    return list;
}

}  // namespace

void add(SeqReport& sum, const SeqReport& one) {
    sum.used |= one.used;
    add_counts(kSeqCounts, sum, one);
}

void add(FileReport& sum, const FileReport& one) {
    sum.used |= one.used;
    add_counts(kFileCounts, sum, one);
}

void add(RecvReport& sum, const RecvReport& one) {
    sum.used |= one.used;
    add_counts(kRecvCounts, sum, one);
}

void summarize(Report& report) {
    add_streams(report);
    merge_gone(report);
    report.all = PortForward{};
    report.all.port = UINT16_MAX;
    report.all.forwards = true;
    for (PortForward& port : report.ports) {
        port.rx_total = port.rx_packets + port.rx_dropped;
        port.tx_total = port.tx_packets + port.tx_dropped;
        if (port.forwards) accumulate(report.all, port);
    }
    if (!report.surplus) report.surplus = surplus(report.streams);
    report.conserved = report.sample || *report.surplus == 0;
    const uint64_t moved = report.all.tx_packets > 0 ? report.all.tx_packets : report.all.rx_packets;
    report.mpps = report.seconds > 0 ? static_cast<double>(moved) / report.seconds / 1e6 : 0;
    uint64_t busy = 0, packets = 0;
    for (const LcoreReport& lcore : report.lcores) {
        busy += lcore.busy_cycles;
        packets += lcore.packets;
    }
    report.cycles_per_packet =
        packets > 0 ? static_cast<double>(busy) / static_cast<double>(packets) : 0;
}

Report since(Report now, const Report& base) {
    const auto sub = [](uint64_t& a, uint64_t b) { a = minus(a, b); };
    now.surplus = surplus(now.streams);
    if (now.streams.size() != base.streams.size()) return now;  // other streams: nothing to subtract
    for (size_t i = 0; i < now.streams.size(); ++i) {
        StreamReport& s = now.streams[i];
        const StreamReport& b = base.streams[i];
        sub(s.rx, b.rx);
        sub(s.tx, b.tx);
        sub(s.made, b.made);
        sub(s.bad_ip_csum, b.bad_ip_csum);
        sub(s.bad_l4_csum, b.bad_l4_csum);
        for (size_t d = 0; d < kDrops; ++d) sub(s.drops[d], b.drops[d]);
        for (size_t w = 0; w < s.tee.size() && w < b.tee.size(); ++w) {
            sub(s.tee[w].tx, b.tee[w].tx);
            sub(s.tee[w].dropped, b.tee[w].dropped);
        }
        const std::map<uint16_t, uint64_t> before(b.rx_bursts.begin(), b.rx_bursts.end());
        for (auto& [size, n] : s.rx_bursts)
            if (const auto found = before.find(size); found != before.end()) sub(n, found->second);
        std::erase_if(s.rx_bursts, [](const auto& burst) { return burst.second == 0; });
    }
    for (PortForward& p : now.ports)
        for (const PortForward& b : base.ports) {
            if (p.generation != b.generation) continue;
            const uint64_t flushed = p.flushed;
            sub_counts(kPortCounts, p, b);
            p.flushed = flushed;  // counted before the base was taken, and of interest after it
            sub_counts(kFaultCounts, p.faults, b.faults);
        }
    for (size_t i = 0; i < now.lcores.size() && i < base.lcores.size(); ++i) {
        sub(now.lcores[i].busy_cycles, base.lcores[i].busy_cycles);
        sub(now.lcores[i].idle_cycles, base.lcores[i].idle_cycles);
        sub(now.lcores[i].packets, base.lcores[i].packets);
    }
    // Loss is what was sent and not seen: it may shrink, and is nothing then.
    for (const auto& count : kSeqCounts)
        now.seq.*count.field -= std::min(now.seq.*count.field, base.seq.*count.field);
    sub_counts(kFileCounts, now.file, base.file);
    sub_counts(kRecvCounts, now.recv, base.recv);
    sub_counts(kCopyCounts, now.copies, base.copies);
    now.seconds = std::max(0.0, now.seconds - base.seconds);
    return now;
}

Report since(Report now, const Report& base, const Report& beginning) {
    Report whole = since(now, beginning);
    summarize(whole);
    Report report = since(std::move(now), base);
    if (whole.seq.used) report.unaccounted = lost_unaccounted(whole);
    return report;
}

std::vector<std::pair<std::string, uint64_t>> drops_by_reason(const Report& report) {
    std::vector<std::pair<std::string, uint64_t>> drops;
    for (size_t i = 0; i < kDrops; ++i) {
        uint64_t n = 0;
        for (const StreamReport& s : report.streams) n += s.drops[i];
        drops.emplace_back(name_of(static_cast<Drop>(i)), n);
    }
    drops.emplace_back("rx-missed", report.all.rx_dropped);
    drops.emplace_back("fault-drop", report.all.faults.drop);
    return drops;
}

// Mode seqgen sends a packet when the device took it, and asks for it at the other end. Between the
// two it may die at the device's receive side, under a fault, or in a stream after it was received.
uint64_t lost_unaccounted(const Report& report) {
    if (report.sample) return 0;  // on their way is not lost
    if (!report.seq.used) return report.surplus.value_or(0);
    if (report.unaccounted) return *report.unaccounted;
    uint64_t known = 0;
    for (const auto& [reason, n] : drops_by_reason(report))
        if (reason != name_of(Drop::tx_full) && reason != name_of(Drop::seq_done)) known += n;
    return report.seq.lost > known ? report.seq.lost - known : 0;
}

std::string forward_text(const Report& report) {
    const bool csum = report.mode == "csum" || std::ranges::any_of(report.streams, [](const StreamReport& s) { return s.mode == "csum"; });
    const std::string border(22, '-'), line(76, '-'), plus(76, '+');
    const auto forwarding = std::count_if(report.ports.begin(), report.ports.end(),
                                          [](const PortForward& p) { return p.forwards; });
    std::string text;
    if (report.streams.size() > static_cast<size_t>(forwarding))
        for (const StreamReport& s : report.streams) text += stream_block(s, csum);
    for (const PortForward& port : report.ports) {
        if (!port.forwards) continue;
        text += fmt::format("\n  {} Forward statistics for port {:<2} {}\n{}  {}\n", border, port.port,
                            border, packet_lines(port, csum, true), line);
    }
    text += "\n  +++++++++++++++ Accumulated forward statistics for all ports+++++++++++++++\n";
    text += fmt::format("{}  {}\n", packet_lines(report.all, csum, false), plus);
    uint64_t cycles = 0, packets = 0;
    for (const LcoreReport& lcore : report.lcores) {
        cycles += lcore.busy_cycles;
        packets += lcore.packets;
    }
    if (packets > 0)
        text += fmt::format("\n  CPU cycles/packet={:.2f} (total cycles={} / total {} packets={}) at {} MHz "
                            "Clock\n",
                            report.cycles_per_packet, cycles, report.mode, packets,
                            report.tsc_hz / 1000000);
    return text + file_text(report.file) + recv_text(report.recv);
}

std::string final_text(const Report& report) { return zones_text(report) + verdict_text(report); }

std::string to_text(const Report& report) {
    return forward_text(report) + streams_text(report) + drops_text(report) + lcores_text(report) +
           zones_text(report) + seq_text(report.seq, lost_unaccounted(report)) + verdict_text(report);
}

std::string to_json(const Report& report) {
    const SeqReport& seq = report.seq;
    Json drops = Json::object();
    for (const auto& [reason, n] : drops_by_reason(report)) drops[reason] = n;
    Json json = {
        {"mode", report.mode},
        {"seconds", report.seconds},
        {"mpps", report.mpps},
        {"sent", seq.used ? seq.sent : report.all.tx_packets},
        {"received", seq.used ? seq.received : report.all.rx_packets},
        {"corrupt", seq.corrupt},
        {"duplicate", seq.duplicate},
        {"reordered", seq.reordered},
        {"lost", seq.lost},
        {"lost_unaccounted", lost_unaccounted(report)},
        {"cycles_per_packet", report.cycles_per_packet},
        {"tsc_hz", report.tsc_hz},
        {"pools_balanced", report.pools_balanced},
        {"conserved", report.conserved},
        {"final", report.final},
        {"problems", report.problems},
        {"ports", ports_of(report)},
        {"all", json_of(report.all)},
        {"streams", list_of(report.streams)},
        {"lcores", list_of(report.lcores)},
        {"zones", list_of(report.zones)},
        {"drops", drops},
        {"copies", json_of(kCopyCounts, report.copies)},
    };
    if (report.recv.used) json["recvfile"] = json_of(kRecvCounts, report.recv);
    if (report.file.used) {
        json["file"] = json_of(kFileCounts, report.file);
        json["file"]["copied_bytes"] = copied_bytes(report.file);
    }
    return json.dump(2) + "\n";
}

}  // namespace umbuf::fwd
