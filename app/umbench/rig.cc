// SPDX-License-Identifier: BSD-2-Clause
// rig.cc - command lines for umfwd and testpmd, and what they answer at their prompts.
#include "app/umbench/rig.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <fstream>

namespace umbuf::bench {

namespace fs = std::filesystem;

std::vector<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> cpus;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        for (unsigned i = 0; i < CPU_SETSIZE; ++i)
            if (CPU_ISSET(i, &set)) cpus.push_back(i);
    return cpus.empty() ? std::vector<unsigned>{0} : cpus;
}

namespace {

constexpr unsigned kMemoryMb = 512;  // per program

// Free 2 MB pages for a program and its peer, somebody's reservation: we reserve none.
bool hugepages_free() {
    std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    unsigned pages = 0;
    return (file >> pages) && pages >= 2 * kMemoryMb / 2;
}

// Numbers - the segments of statistics that our forwarders leave behind; nobody will read them.
struct Numbers {
    std::vector<std::string> prefixes;
    ~Numbers() {
        std::error_code ignored;
        for (const std::string& prefix : prefixes) fs::remove("/dev/shm/umbuf." + prefix, ignored);
    }
} numbers;

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
    const std::string prefix = fmt::format("umbench-{}-{}", getpid(), role);
    numbers.prefixes.push_back(prefix);
    args.insert(args.end(), {"-m", std::to_string(kMemoryMb), "--no-pci", "--no-telemetry", "--file-prefix=" + prefix});
    return args;
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

}  // namespace

bool Program::is_testpmd() const { return name().find("testpmd") != std::string::npos; }
std::string Program::name() const { return fs::path(path).filename().string(); }

std::string memory_text() {
    return hugepages_free() ? "2 MB hugepages" : "no hugepages (4 kB pages of one memory file)";
}

TempDir::TempDir() {
    std::string name = (fs::temp_directory_path() / "umbench-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
}

TempDir::~TempDir() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
}

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

Result<Sample> sample(Child& child) {
    Result<uint64_t> packets = child.ask("show fwd stats all", kAnswer_s, parse_tx);
    if (!packets) return packets.error();
    return Sample{packets.value(), std::chrono::steady_clock::now()};
}

Status run_for(Child& umfwd, double warm_up, double seconds) {
    if (Status warm = umfwd.wait(warm_up); !warm) return warm;
    if (Status cleared = umfwd.send("clear fwd stats all"); !cleared) return cleared;
    if (Status waited = umfwd.wait(seconds); !waited) return waited;
    return umfwd.send("stop");
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

Result<Child> start_peer(const Program& program, const std::vector<fs::path>& sockets, unsigned cpu,
                         const std::vector<std::string>& more) {
    std::vector<std::string> vdevs;
    for (const fs::path& socket : sockets)
        vdevs.push_back(fmt::format("net_virtio_user{},path={},queues=1,queue_size=1024", vdevs.size(),
                                    socket.string()));
    std::vector<std::string> forward = forward_args(program, "flowgen", 32, true);
    forward.insert(forward.end(), more.begin(), more.end());
    Result<Child> peer = launch(program, "peer", cpu, vdevs, forward);
    if (!peer) return peer;
    if (Status sent = peer.value().send("start"); !sent) return sent.error();
    if (Result<Sample> up = sample(peer.value()); !up) return up.error();
    return peer;
}

}  // namespace umbuf::bench
