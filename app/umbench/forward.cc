// SPDX-License-Identifier: BSD-2-Clause
// forward.cc - starts the forwarders in turn and reads their counters.
#include "app/umbench/forward.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "app/umbench/child.h"
#include "app/umbench/stats.h"

namespace umbuf::bench {
namespace {

namespace fs = std::filesystem;
constexpr unsigned kMemoryMb = 512;       // per program
constexpr unsigned kTxFirst = 8;          // bursts that go round in the ring set-up
constexpr double kAnswer_s = 20;          // a program may start slowly on a busy machine

// A folder of our own for sockets, removed with everything in it.
class TempDir {
  public:
    TempDir() {
        std::string name = (fs::temp_directory_path() / "umbench-XXXXXX").string();
        if (mkdtemp(name.data()) != nullptr) path_ = name;
    }
    ~TempDir() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    [[nodiscard]] const fs::path& path() const noexcept { return path_; }

  private:
    fs::path path_;
};

std::vector<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> cpus;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        for (unsigned i = 0; i < CPU_SETSIZE; ++i)
            if (CPU_ISSET(i, &set)) cpus.push_back(i);
    return cpus.empty() ? std::vector<unsigned>{0} : cpus;
}

// Free 2 MB pages for a program and its peer, somebody's reservation: we reserve none.
bool hugepages_free() {
    std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    unsigned pages = 0;
    return (file >> pages) && pages >= 2 * kMemoryMb / 2;
}

// The EAL half of a command line: the same for every program but for its file prefix and processor.
// The first lcore takes commands and floats; the second forwards, and stays on one processor.
std::vector<std::string> eal_args(const std::string& role, unsigned cpu) {
    std::vector<std::string> args;
    std::string anywhere;
    for (const unsigned c : allowed_cpus()) anywhere += (anywhere.empty() ? "" : ",") + std::to_string(c);
    args.push_back(fmt::format("--lcores=0@({}),1@{}", anywhere, cpu));
    if (hugepages_free())
        args.insert(args.end(), {"--in-memory", "--single-file-segments"});
    else
        args.insert(args.end(), {"--no-huge", "--no-shconf"});
    args.insert(args.end(), {"-m", std::to_string(kMemoryMb), "--no-pci", "--no-telemetry",
                             fmt::format("--file-prefix=umbench-{}-{}", getpid(), role)});
    return args;
}

// What a forwarder is told after "--", in words that both programs know.
std::vector<std::string> forward_args(const Program& program, const std::string& mode, unsigned burst,
                                      bool loop) {
    std::vector<std::string> args{"--", "-i", "--nb-cores=1", "--total-num-mbufs=16384",
                                  "--rxd=1024", "--txd=1024", fmt::format("--burst={}", burst),
                                  fmt::format("--forward-mode={}", mode),
                                  fmt::format("--port-topology={}", loop ? "loop" : "paired")};
    if (program.is_testpmd()) args.push_back("--disable-link-check");  // else it waits 9 s for a peer
    return args;
}

Result<Child> launch(const Program& program, const std::string& role, unsigned cpu,
                     const std::vector<std::string>& vdevs, const std::vector<std::string>& forward) {
    std::vector<std::string> argv{program.path};
    const std::vector<std::string> eal = eal_args(role, cpu);
    argv.insert(argv.end(), eal.begin(), eal.end());
    for (const std::string& vdev : vdevs) argv.push_back("--vdev=" + vdev);
    argv.insert(argv.end(), forward.begin(), forward.end());
    return Child::spawn(argv);
}

// The accumulated TX-packets in an answer to `show fwd stats all`, once it is there to its last digit.
std::optional<uint64_t> parse_tx(std::string_view text) {
    const size_t block = text.find("Accumulated forward statistics for all ports");
    if (block == std::string_view::npos) return std::nullopt;
    constexpr std::string_view kWord = "TX-packets:";
    const size_t word = text.find(kWord, block);
    if (word == std::string_view::npos) return std::nullopt;
    const size_t first = text.find_first_not_of(' ', word + kWord.size());
    if (first == std::string_view::npos) return std::nullopt;
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data() + first, text.data() + text.size(), value);
    if (error != std::errc{} || end == text.data() + text.size()) return std::nullopt;
    return value;
}

struct Sample {
    uint64_t packets;
    std::chrono::steady_clock::time_point when;
};

Result<Sample> sample(Child& child) {
    Result<uint64_t> packets = child.ask("show fwd stats all", kAnswer_s, parse_tx);
    if (!packets) return packets.error();
    return Sample{packets.value(), std::chrono::steady_clock::now()};
}

// Mpps over the plan's seconds, after the warm-up. Packets must flow at once, or something is wrong.
Result<double> measure(Child& child, const Plan& plan) {
    if (Status warm = child.wait(plan.warm_up); !warm) return warm.error();
    Result<Sample> first = sample(child);
    if (!first) return first.error();
    if (Status waited = child.wait(plan.seconds); !waited) return waited.error();
    Result<Sample> last = sample(child);
    if (!last) return last.error();
    if (last.value().packets <= first.value().packets)
        return Error{ENODATA, fmt::format("no packet was forwarded in {} s", plan.seconds)};
    const double seconds =
        std::chrono::duration<double>(last.value().when - first.value().when).count();
    return static_cast<double>(last.value().packets - first.value().packets) / seconds / 1e6;
}

Status leave(Child& child) {
    for (const char* line : {"stop", "quit"})
        if (Status sent = child.send(line); !sent) return sent;
    return child.wait_exit(kAnswer_s);
}

Status wait_for_socket(Child& child, const fs::path& path) {
    for (double waited = 0; waited < kAnswer_s; waited += 0.05) {
        if (fs::is_socket(path)) return {};
        if (Status still = child.wait(0.05); !still) return still;
    }
    return Error{ETIMEDOUT, fmt::format("no vhost socket {} after {} s", path.string(), kAnswer_s)};
}

// The generator at the other end of the vhost socket. It offers more than is taken, so that the
// forwarder is what is measured.
Result<Child> start_peer(const Plan& plan, const fs::path& socket, unsigned cpu) {
    const std::vector<std::string> vdevs{
        fmt::format("net_virtio_user0,path={},queues=1,queue_size=1024", socket.string())};
    Result<Child> peer =
        launch(plan.peer, "peer", cpu, vdevs, forward_args(plan.peer, "flowgen", 32, true));
    if (!peer) return peer;
    if (Status sent = peer.value().send("start"); !sent) return sent.error();
    if (Result<Sample> up = sample(peer.value()); !up) return up.error();
    return peer;
}

Result<double> run_virtio(const Plan& plan, const Program& program, const std::string& mode) {
    const TempDir dir;
    const fs::path socket = dir.path() / "vhost";
    const std::vector<unsigned> cpus = allowed_cpus();
    Result<Child> dut =
        launch(program, "dut", cpus.front(), {fmt::format("net_vhost0,iface={},queues=1", socket.string())},
               forward_args(program, mode, plan.burst, true));
    if (!dut) return dut.error();
    if (Status up = wait_for_socket(dut.value(), socket); !up) return up.error();
    if (Status sent = dut.value().send("start"); !sent) return sent.error();
    if (Result<Sample> up = sample(dut.value()); !up) return up.error();
    Result<Child> peer = start_peer(plan, socket, cpus.back());
    if (!peer) return peer.error();
    Result<double> mpps = measure(dut.value(), plan);
    if (!mpps) return mpps;
    if (Status left = leave(peer.value()); !left) return left.error();
    if (Status left = leave(dut.value()); !left) return left.error();
    return mpps;
}

Result<double> run_alone(const Plan& plan, const Program& program, const std::string& vdev,
                         const std::string& mode) {
    const std::string driver = "net_" + vdev;
    Result<Child> dut = launch(program, "dut", allowed_cpus().back(), {driver + "0", driver + "1"},
                               forward_args(program, mode, plan.burst, false));
    if (!dut) return dut.error();
    const std::string start = vdev == "ring" ? fmt::format("start tx_first {}", kTxFirst) : "start";
    if (Status sent = dut.value().send(start); !sent) return sent.error();
    if (Result<Sample> up = sample(dut.value()); !up) return up.error();
    Result<double> mpps = measure(dut.value(), plan);
    if (!mpps) return mpps;
    if (Status left = leave(dut.value()); !left) return left.error();
    return mpps;
}

Result<double> run_once(const Plan& plan, const Program& program, const std::string& vdev,
                        const std::string& mode) {
    Result<double> mpps = vdev == "virtio" ? run_virtio(plan, program, mode)
                                           : run_alone(plan, program, vdev, mode);
    if (mpps) return mpps;
    return Error{mpps.error().code,
                 fmt::format("{} on {} in mode {}: {}", program.name(), vdev, mode, mpps.error().text)};
}

Result<Row> compare_one(const Plan& plan, const std::string& vdev, const std::string& mode,
                        const std::function<void(const std::string&)>& progress) {
    Row row{vdev, mode, {}, {}, {}};
    for (unsigned pair = 0; pair < plan.pairs; ++pair) {
        double mpps[2] = {};
        for (const unsigned turn : {0U, 1U}) {
            const unsigned which = (turn + pair) % 2;  // whoever goes first alternates
            Result<double> r = run_once(plan, which == 0 ? plan.a : plan.b, vdev, mode);
            if (!r) return r.error();
            mpps[which] = r.value();
        }
        row.a_mpps.push_back(mpps[0]);
        row.b_mpps.push_back(mpps[1]);
        row.ratios.push_back(mpps[0] / mpps[1]);
        progress(fmt::format("{} {} pair {} of {}: {:.3f} and {:.3f} Mpps, ratio {:.3f}", vdev, mode,
                             pair + 1, plan.pairs, mpps[0], mpps[1], mpps[0] / mpps[1]));
    }
    return row;
}

}  // namespace

bool Program::is_testpmd() const { return name().find("testpmd") != std::string::npos; }
std::string Program::name() const { return fs::path(path).filename().string(); }

std::string memory_text() {
    return hugepages_free() ? "2 MB hugepages" : "no hugepages (4 kB pages of one memory file)";
}

Result<std::vector<Row>> compare(const Plan& plan,
                                 const std::function<void(const std::string&)>& progress) {
    std::vector<Row> rows;
    for (const std::string& vdev : plan.vdevs) {
        for (const std::string& mode : plan.modes) {
            Result<Row> row = compare_one(plan, vdev, mode, progress);
            if (!row) return row.error();
            rows.push_back(std::move(row).value());
        }
    }
    return rows;
}

}  // namespace umbuf::bench
