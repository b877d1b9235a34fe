// SPDX-License-Identifier: BSD-2-Clause
// packets.cc - runs umfwd under each scheme in turn and reads its reports.
#include "app/umbench/packets.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/umbench/stats.h"

namespace umbuf::bench {
namespace {

namespace fs = std::filesystem;

struct Reading {
    double mpps = 0, cycles = 0;
    uint64_t made = 0, no_mbuf = 0;
};

Result<Reading> read_report(const fs::path& file) {
    std::ifstream stream(file);
    const nlohmann::json report = nlohmann::json::parse(stream, nullptr, false);
    if (!report.is_object()) return Error{EIO, fmt::format("{} holds no report", file.string())};
    Reading reading{report.value("mpps", 0.0), report.value("cycles_per_packet", 0.0)};
    for (const nlohmann::json& s : report.value("streams", nlohmann::json::array())) {
        reading.made += s.value("made", uint64_t{0});
        reading.no_mbuf += s.value("drops", nlohmann::json::object()).value("no-mbuf", uint64_t{0});
    }
    if (reading.mpps <= 0 || reading.cycles <= 0)
        return Error{ENODATA, "its report has no packets that were forwarded"};
    if (reading.made == 0) return Error{ENODATA, "its report has no copies: nothing was shared"};
    return reading;
}

// A scheme that was not given what it asked for was not measured at that: people should know.
std::string note_of(const Reading& reading) {
    return reading.no_mbuf == 0 ? "" : fmt::format("; for {} there was no mbuf", reading.no_mbuf);
}

Result<Child> start_umfwd(const PacketsPlan& plan, const PacketsRow& what,
                          const std::vector<fs::path>& sockets, const fs::path& report,
                          unsigned cpu) {
    std::vector<std::string> vdevs;
    for (const fs::path& socket : sockets)
        vdevs.push_back(fmt::format("net_vhost{},iface={},queues=1", vdevs.size(), socket.string()));
    std::vector<std::string> args = forward_args(plan.umfwd, what.mode, plan.burst, sockets.size() == 1);
    args.push_back("--refcnt=" + what.scheme);
    args.push_back("--json=" + report.string());
    Result<Child> umfwd = launch(plan.umfwd, "dut", cpu, vdevs, args);
    if (!umfwd) return umfwd;
    for (const fs::path& socket : sockets)
        if (Status up = wait_for_socket(umfwd.value(), socket); !up) return up.error();
    if (Status sent = umfwd.value().send("start"); !sent) return sent.error();
    if (Result<Sample> up = sample(umfwd.value()); !up) return up.error();
    return umfwd;
}

Result<Reading> run_once(const PacketsPlan& plan, const PacketsRow& what) {
    const TempDir dir;
    const std::vector<unsigned> cpus = allowed_cpus();
    std::vector<fs::path> sockets{dir.path() / "vhost0"};
    if (what.mode == "tee")
        for (const char* name : {"vhost1", "vhost2"}) sockets.push_back(dir.path() / name);
    const fs::path report = dir.path() / "report.json";
    Result<Child> umfwd = start_umfwd(plan, what, sockets, report, cpus.front());
    if (!umfwd) return umfwd.error();
    Result<Child> peer = start_peer(plan.peer, sockets, cpus.back(),
                                    {fmt::format("--txpkts={}", plan.frame)});
    if (!peer) return peer.error();
    if (Status ran = run_for(umfwd.value(), plan.warm_up, plan.seconds); !ran) return ran.error();
    if (Status left = leave(peer.value()); !left) return left.error();
    if (Status left = leave(umfwd.value()); !left) return left.error();
    return read_report(report);
}

Status run_round(const PacketsPlan& plan, unsigned round, std::vector<PacketsRow>& rows,
                 const std::function<void(const std::string&)>& progress) {
    for (size_t i = 0; i < rows.size(); ++i) {
        PacketsRow& row = rows[(i + round) % rows.size()];
        const Result<Reading> read = run_once(plan, row);
        if (!read)
            return Error{read.error().code,
                         fmt::format("{} --refcnt={} in mode {}: {}", plan.umfwd.name(), row.scheme,
                                     row.mode, read.error().text)};
        const Reading& reading = read.value();
        row.mpps.push_back(reading.mpps);
        row.cycles.push_back(reading.cycles);
        progress(fmt::format("{} {} round {} of {}: {:.3f} Mpps, {:.0f} cycles/packet{}", row.mode,
                             row.scheme, round + 1, plan.rounds, reading.mpps, reading.cycles,
                             note_of(reading)));
    }
    return {};
}

std::string spread(const std::vector<double>& values, int digits) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return fmt::format("[{:.{}f}..{:.{}f}]", *low, digits, *high, digits);
}

}  // namespace

Result<std::vector<PacketsRow>> measure_packets(
    const PacketsPlan& plan, const std::function<void(const std::string&)>& progress) {
    std::vector<PacketsRow> all;
    for (const std::string& mode : plan.modes) {
        std::vector<PacketsRow> rows;
        for (const std::string& scheme : plan.schemes) rows.push_back({mode, scheme, {}, {}});
        for (unsigned round = 0; round < plan.rounds; ++round)
            if (Status ran = run_round(plan, round, rows, progress); !ran) return ran.error();
        all.insert(all.end(), rows.begin(), rows.end());
    }
    return all;
}

std::string packets_table(const PacketsPlan& plan, const std::vector<PacketsRow>& rows) {
    std::string text = fmt::format("{}, {} rounds of {} s, {}-byte packets, burst {}, {}\n", plan.umfwd.name(),
                                   plan.rounds, plan.seconds, plan.frame, plan.burst, memory_text());
    text += fmt::format("{:<6} {:<17} {:>7}  {:<17} {:>13}  {}\n", "mode", "scheme", "Mpps", "[min..max]",
                        "cycles/packet", "[min..max]");
    for (const PacketsRow& row : rows)
        text += fmt::format("{:<6} {:<17} {:>7.3f}  {:<17} {:>13.0f}  {}\n", row.mode, row.scheme,
                            median(row.mpps), spread(row.mpps, 3), median(row.cycles),
                            spread(row.cycles, 0));
    return text;
}

std::string packets_json(const std::vector<PacketsRow>& rows) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const PacketsRow& row : rows) {
        const auto [low, high] = std::minmax_element(row.mpps.begin(), row.mpps.end());
        const auto [least, most] = std::minmax_element(row.cycles.begin(), row.cycles.end());
        out.push_back({{"mode", row.mode},
                       {"scheme", row.scheme},
                       {"mpps", median(row.mpps)},
                       {"min", *low},
                       {"max", *high},
                       {"cycles_per_packet", median(row.cycles)},
                       {"cycles_min", *least},
                       {"cycles_max", *most},
                       {"rounds", row.mpps.size()}});
    }
    return out.dump(2);
}

}  // namespace umbuf::bench
