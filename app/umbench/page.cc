// SPDX-License-Identifier: BSD-2-Clause
// page.cc - runs umfwd with and without unmapped mbufs in turn, and reads its reports.
#include "app/umbench/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/umbench/stats.h"

namespace umbuf::bench {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFileMb = 16;    // less than the page cache
constexpr unsigned kHeaders = 64;  // of a packet, at most

struct Reading {
    double mpps = 0, cycles = 0;
};

Result<Reading> read_report(const fs::path& file) {
    std::ifstream stream(file);
    const nlohmann::json report = nlohmann::json::parse(stream, nullptr, false);
    if (!report.is_object()) return Error{EIO, fmt::format("{} holds no report", file.string())};
    const Reading reading{report.value("mpps", 0.0), report.value("cycles_per_packet", 0.0)};
    if (reading.mpps <= 0) return Error{ENODATA, "its report has no packets that were sent"};
    return reading;
}

Status make_file(const fs::path& path) {
    std::ofstream out(path, std::ios::binary);
    std::string block(size_t{1} << 20, '\0');
    for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<char>(i * 131 + (i >> 8));
    for (size_t i = 0; i < kFileMb; ++i) out.write(block.data(), static_cast<std::streamsize>(block.size()));
    out.close();
    if (out) return {};
    return Error{EIO, fmt::format("{} cannot be written: {} MB are needed", path.string(), kFileMb)};
}

// The peer listens, and throws away what comes.
Result<Child> start_sink(const PagePlan& plan, const fs::path& socket, unsigned cpu) {
    std::vector<std::string> args = forward_args(plan.peer, "rxonly", 32, true);
    Result<Child> peer = launch(plan.peer, "peer", cpu, {fmt::format("net_vhost0,iface={},queues=1", socket.string())}, args);
    if (!peer) return peer;
    if (Status up = wait_for_socket(peer.value(), socket); !up) return up.error();
    if (Status sent = peer.value().send("start"); !sent) return sent.error();
    return peer;
}

Result<Child> start_sender(const PagePlan& plan, const PageRow& what, bool unmapped, const std::string& vdev,
                           const fs::path& dir, unsigned cpu) {
    std::vector<std::string> args = forward_args(plan.umfwd, "sendfile", plan.burst, true);
    args.push_back("--sendfile=" + (dir / "file").string());
    args.push_back(fmt::format("--sendfile-payload={}", what.payload));
    args.push_back("--sendfile-loops=0");
    args.push_back(fmt::format("--max-pkt-len={}", std::max(1518U, what.payload + kHeaders)));
    args.push_back(fmt::format("--page-cache={}", 2 * kFileMb));
    args.push_back(fmt::format("--ext-pgs={}", unmapped ? "on" : "off"));
    args.push_back("--json=" + (dir / "report.json").string());
    Result<Child> umfwd = launch(plan.umfwd, "dut", cpu, {vdev}, args);
    if (!umfwd) return umfwd;
    if (Status sent = umfwd.value().send("start"); !sent) return sent.error();
    if (Result<Sample> up = sample(umfwd.value()); !up) return up.error();
    return umfwd;
}

Result<Reading> run_once(const PagePlan& plan, const PageRow& what, bool unmapped) {
    const TempDir dir;
    if (Status made = make_file(dir.path() / "file"); !made) return made.error();
    const std::vector<unsigned> cpus = allowed_cpus();
    const bool virtio = what.port == "virtio";
    const fs::path socket = dir.path() / "vhost0";
    std::vector<Child> peers;
    if (virtio) {
        Result<Child> peer = start_sink(plan, socket, cpus.back());
        if (!peer) return peer.error();
        peers.push_back(std::move(peer).value());
    }
    const std::string vdev =
        virtio ? fmt::format("net_virtio_user0,path={},queues=1,queue_size=1024", socket.string()) : "net_null0";
    Result<Child> umfwd = start_sender(plan, what, unmapped, vdev, dir.path(), cpus.front());
    if (!umfwd) return umfwd.error();
    if (Status ran = run_for(umfwd.value(), plan.warm_up, plan.seconds); !ran) return ran.error();
    if (Status left = leave(umfwd.value()); !left) return left.error();
    for (Child& peer : peers)
        if (Status left = leave(peer); !left) return left.error();
    return read_report(dir.path() / "report.json");
}

Status run_pair(const PagePlan& plan, PageRow& row, unsigned pair) {
    for (unsigned turn = 0; turn < 2; ++turn) {
        const bool unmapped = (turn + pair) % 2 == 0;
        const Result<Reading> read = run_once(plan, row, unmapped);
        if (!read)
            return Error{read.error().code, fmt::format("{} --ext-pgs={} on {}, {} bytes: {}", plan.umfwd.name(),
                                                        unmapped ? "on" : "off", row.port, row.payload, read.error().text)};
        (unmapped ? row.unmapped_mpps : row.copied_mpps).push_back(read.value().mpps);
        (unmapped ? row.unmapped_cycles : row.copied_cycles).push_back(read.value().cycles);
    }
    row.ratios.push_back(row.unmapped_mpps.back() / row.copied_mpps.back());
    return {};
}

}  // namespace

Result<std::vector<PageRow>> measure_pages(const PagePlan& plan,
                                           const std::function<void(const std::string&)>& progress) {
    std::vector<PageRow> rows;
    for (const std::string& port : plan.ports)
        for (const unsigned payload : plan.payloads) {
            PageRow& row = rows.emplace_back();
            row.port = port;
            row.payload = payload;
            for (unsigned pair = 0; pair < plan.pairs; ++pair) {
                if (Status ran = run_pair(plan, row, pair); !ran) return ran.error();
                progress(fmt::format("{} {} bytes pair {} of {}: {:.3f} Mpps unmapped, {:.3f} copied, ratio {:.2f}", port,
                                     payload, pair + 1, plan.pairs, row.unmapped_mpps.back(), row.copied_mpps.back(),
                                     row.ratios.back()));
            }
        }
    return rows;
}

std::string page_table(const PagePlan& plan, const std::vector<PageRow>& rows) {
    std::string text = fmt::format("{} in mode sendfile, {} pairs of {} s, burst {}, {}\n", plan.umfwd.name(), plan.pairs,
                                   plan.seconds, plan.burst, memory_text());
    text += fmt::format("{:<7} {:>7} {:>13} {:>11} {:>6}  {:<13} {:>15} {:>13}\n", "port", "payload", "unmapped Mpps",
                        "copied Mpps", "ratio", "[min..max]", "unmapped cycles", "copied cycles");
    for (const PageRow& row : rows) {
        const auto [low, high] = std::minmax_element(row.ratios.begin(), row.ratios.end());
        text += fmt::format("{:<7} {:>7} {:>13.3f} {:>11.3f} {:>6.2f}  {:<13} {:>15.0f} {:>13.0f}\n", row.port, row.payload,
                            median(row.unmapped_mpps), median(row.copied_mpps), median(row.ratios),
                            fmt::format("[{:.2f}..{:.2f}]", *low, *high), median(row.unmapped_cycles),
                            median(row.copied_cycles));
    }
    return text;
}

std::string page_json(const std::vector<PageRow>& rows) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const PageRow& row : rows) {
        const auto [low, high] = std::minmax_element(row.ratios.begin(), row.ratios.end());
        out.push_back({{"port", row.port},
                       {"payload", row.payload},
                       {"unmapped_mpps", median(row.unmapped_mpps)},
                       {"copied_mpps", median(row.copied_mpps)},
                       {"ratio", median(row.ratios)},
                       {"ratio_min", *low},
                       {"ratio_max", *high},
                       {"unmapped_cycles", median(row.unmapped_cycles)},
                       {"copied_cycles", median(row.copied_cycles)},
                       {"pairs", row.ratios.size()}});
    }
    return out.dump(2);
}

}  // namespace umbuf::bench
