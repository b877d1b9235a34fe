// SPDX-License-Identifier: BSD-2-Clause
// main.cc - umbench: benchmarks that come with their baseline.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/umbench/child.h"
#include "app/umbench/forward.h"
#include "app/umbench/packets.h"
#include "app/umbench/refcount/refcount.h"
#include "app/umbench/refcount/workload.h"
#include "app/umbench/stats.h"
#include "lib/mbuf/refs.h"

namespace umbuf::bench {
namespace {

namespace fs = std::filesystem;

// What every subcommand asks: where the programs are, and where the numbers go.
struct Common {
    std::string json_file;
    std::string umfwd, testpmd = "dpdk-testpmd";
};

struct Options : Common {
    Plan plan;
    bool self = false;
};

struct PacketsOptions : Common {
    PacketsPlan plan;
};

struct RefcountOptions {
    RefPlan plan;
    std::string json_file;
};

std::string beside_us(const char* name) {
    std::error_code error;
    const fs::path self = fs::read_symlink("/proc/self/exe", error);
    return (self.parent_path() / name).string();
}

bool is_program(const std::string& path) {
    if (path.find('/') != std::string::npos) return access(path.c_str(), X_OK) == 0;
    std::string folders = getenv("PATH") == nullptr ? "/usr/bin" : getenv("PATH");
    for (const std::string& folder : CLI::detail::split(folders, ':'))
        if (access((folder + "/" + path).c_str(), X_OK) == 0) return true;
    return false;
}

Status find_programs(Common& options) {
    if (options.umfwd.empty()) options.umfwd = beside_us("umfwd");
    if (!is_program(options.umfwd))
        return Error{ENOENT, fmt::format("{} is not there; build it with scripts/build, or name it with "
                                         "--umfwd", options.umfwd)};
    if (!is_program(options.testpmd))
        return Error{ENOENT, fmt::format("{} is not in PATH; install it (Debian: apt-get install dpdk-dev), "
                                         "or name it with --testpmd", options.testpmd)};
    return {};
}

void progress(const std::string& line) { fmt::print(stderr, "umbench: {}\n", line); }

void print_table(const Options& options, const std::vector<Row>& rows) {
    const std::string b = options.self ? "itself" : options.plan.b.name();
    fmt::print("{} and {} in turn, {} pairs of {} s, burst {}, {}\n", options.plan.a.name(), b,
               options.plan.pairs, options.plan.seconds, options.plan.burst, memory_text());
    fmt::print("{:<8} {:<8} {:>12} {:>14}   {:>6} {:<16} {:>6}\n", "vdev", "mode", "umfwd Mpps",
               b == "itself" ? "itself Mpps" : "testpmd Mpps", "ratio", "[min..max]", "MAD");
    for (const Row& row : rows) {
        const auto [low, high] = std::minmax_element(row.ratios.begin(), row.ratios.end());
        fmt::print("{:<8} {:<8} {:>12.3f} {:>14.3f}   {:>6.3f} {:<16} {:>6.3f}\n", row.vdev, row.mode,
                   median(row.a_mpps), median(row.b_mpps), median(row.ratios),
                   fmt::format("[{:.3f}..{:.3f}]", *low, *high), mad(row.ratios));
    }
}

Status write_json(const std::string& file, const nlohmann::json& out) {
    if (file == "-") {
        fmt::print("{}\n", out.dump(2));
        return {};
    }
    std::ofstream stream(file);
    stream << out.dump(2) << '\n';
    stream.flush();
    if (stream) return {};
    return Error{EIO, fmt::format("{} cannot be written", file)};
}

nlohmann::json json_of(const std::vector<Row>& rows) {
    nlohmann::json out = nlohmann::json::array();
    for (const Row& row : rows) {
        const auto [low, high] = std::minmax_element(row.ratios.begin(), row.ratios.end());
        out.push_back({{"vdev", row.vdev},
                       {"mode", row.mode},
                       {"umfwd_mpps", median(row.a_mpps)},
                       {"testpmd_mpps", median(row.b_mpps)},
                       {"ratio", median(row.ratios)},
                       {"ratio_min", *low},
                       {"ratio_max", *high},
                       {"ratio_mad", mad(row.ratios)},
                       {"pairs", row.ratios.size()}});
    }
    return out;
}

Status forward(Options& options) {
    if (Status found = find_programs(options); !found) return found;
    options.plan.a.path = options.umfwd;
    options.plan.b.path = options.self ? options.umfwd : options.testpmd;
    options.plan.peer.path = options.testpmd;
    Result<std::vector<Row>> rows = compare(options.plan, progress);
    if (!rows) return rows.error();
    print_table(options, rows.value());
    return options.json_file.empty() ? Status{} : write_json(options.json_file, json_of(rows.value()));
}

std::string spread(const std::vector<double>& values, int digits) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return fmt::format("[{:.{}f}..{:.{}f}]", *low, digits, *high, digits);
}

void print_table(const PacketsPlan& plan, const std::vector<PacketsRow>& rows) {
    fmt::print("{}, {} rounds of {} s, {}-byte packets, burst {}, {}\n", plan.umfwd.name(), plan.rounds,
               plan.seconds, plan.frame, plan.burst, memory_text());
    fmt::print("{:<8} {:<18} {:>8} {:<18} {:>12} {:<18}\n", "mode", "scheme", "Mpps", "[min..max]",
               "cycles/packet", "[min..max]");
    for (const PacketsRow& row : rows)
        fmt::print("{:<8} {:<18} {:>8.3f} {:<18} {:>13.0f} {:<18}\n", row.mode, row.scheme,
                   median(row.mpps), spread(row.mpps, 3), median(row.cycles), spread(row.cycles, 0));
}

nlohmann::json json_of(const std::vector<PacketsRow>& rows) {
    nlohmann::json out = nlohmann::json::array();
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
    return out;
}

Status packets(PacketsOptions& options) {
    if (Status found = find_programs(options); !found) return found;
    options.plan.umfwd.path = options.umfwd;
    options.plan.peer.path = options.testpmd;
    Result<std::vector<PacketsRow>> rows = measure_packets(options.plan, progress);
    if (!rows) return rows.error();
    print_table(options.plan, rows.value());
    return options.json_file.empty() ? Status{} : write_json(options.json_file, json_of(rows.value()));
}

void add_common(CLI::App* command, Common& options, const char* testpmd) {
    command->add_option("--json", options.json_file, "also write the medians there; - is standard output");
    command->add_option("--umfwd", options.umfwd, "the program to measure (default: umfwd beside umbench)");
    command->add_option("--testpmd", options.testpmd, testpmd)->capture_default_str();
}

CLI::App* add_forward(CLI::App& app, Options& options) {
    CLI::App* f = app.add_subcommand("forward", "umfwd and dpdk-testpmd in turn on the same devices");
    Plan& plan = options.plan;
    plan.vdevs = {"null", "ring", "virtio"};
    plan.modes = {"io", "mac", "macswap"};
    add_common(f, options, "the baseline, and the peer for virtio");
    f->add_option("--pairs", plan.pairs, "runs of each program, per vdev and mode")
        ->capture_default_str()->check(CLI::Range(1, 1000));
    f->add_option("--seconds", plan.seconds, "measured per run")
        ->capture_default_str()->check(CLI::Range(0.1, 3600.0));
    f->add_option("--vdev", plan.vdevs, "null, ring, virtio")
        ->capture_default_str()->delimiter(',')->check(CLI::IsMember({"null", "ring", "virtio"}));
    f->add_option("--mode", plan.modes, "forwarding modes that both programs have")
        ->capture_default_str()->delimiter(',')->check(CLI::IsMember({"io", "mac", "macswap"}));
    f->add_option("--burst", plan.burst, "packets per burst")
        ->capture_default_str()->check(CLI::Range(1, 512));
    f->add_flag("--self", options.self, "umfwd against itself: how much of a ratio is noise here?");
    return f;
}

CLI::App* add_packets(CLI::App& app, PacketsOptions& options) {
    CLI::App* p = app.add_subcommand("packets", "umfwd's modes that share buffers, under each count scheme");
    PacketsPlan& plan = options.plan;
    const std::vector<std::string> modes{"tee", "frag"};
    plan.modes = modes;
    plan.schemes.assign(refs_names().begin(), refs_names().end());
    add_common(p, options, "the generator");
    p->add_option("--rounds", plan.rounds, "runs per mode and scheme")
        ->capture_default_str()->check(CLI::Range(1, 1000));
    p->add_option("--seconds", plan.seconds, "measured per run")
        ->capture_default_str()->check(CLI::Range(0.1, 3600.0));
    p->add_option("--mode", plan.modes, "tee, frag")
        ->capture_default_str()->delimiter(',')->check(CLI::IsMember(modes));
    p->add_option("--refcnt", plan.schemes, "count schemes, as umfwd --refcnt takes them")
        ->capture_default_str()->delimiter(',')->check(CLI::IsMember(plan.schemes));
    p->add_option("--burst", plan.burst, "packets per burst")
        ->capture_default_str()->check(CLI::Range(1, 512));
    return p;
}

Status refcount(const RefcountOptions& options) {
    Result<std::vector<RefRow>> rows = compare_schemes(options.plan, progress);
    if (!rows) return rows.error();
    fmt::print("{}", refcount_table(rows.value()));
    return options.json_file.empty() ? Status{} : write_json(options.json_file, refcount_json(rows.value()));
}

CLI::App* add_refcount(CLI::App& app, RefcountOptions& options) {
    CLI::App* r = app.add_subcommand("refcount", "what a shared buffer costs under each scheme, beside DPDK's clones");
    RefPlan& plan = options.plan;
    r->add_option("--json", options.json_file, "also write the medians there; - is standard output");
    r->add_option("--rounds", plan.rounds, "runs of each scheme, per workload")
        ->capture_default_str()->check(CLI::Range(1, 1000));
    r->add_option("--ms", plan.milliseconds, "milliseconds of each run")
        ->capture_default_str()->check(CLI::Range(1.0, 60000.0));
    r->add_option("--lcores", plan.lcores, "at most so many lcores; 0: one for each processor")
        ->capture_default_str()->check(CLI::Range(0, 128));
    r->add_option("--scheme", plan.schemes, "some schemes only (default: all, and dpdk)")
        ->delimiter(',')->check(CLI::IsMember(refcount_schemes()));
    r->add_option("--workload", plan.workloads, "some workloads only (default: all)")
        ->delimiter(',')->check(CLI::IsMember(workload_names()));
    return r;
}

// ended - the exit status, with the reason said.
int ended(const Status& done) {
    if (done) return 0;
    fmt::print(stderr, "umbench: {}\n", done.error().text);
    return done.error().code == EINTR ? 130 : 1;
}

int run(int argc, char** argv) {
    CLI::App app{"umbench: benchmarks of umbuf, each beside its baseline"};
    app.require_subcommand(1);
    Options options;
    PacketsOptions packets_options;
    const CLI::App* f = add_forward(app, options);
    add_packets(app, packets_options);
    RefcountOptions refcount_options;
    const CLI::App* r = add_refcount(app, refcount_options);
    CLI11_PARSE(app, argc, argv);
    if (r->parsed()) return ended(refcount(refcount_options));  // alone: a signal may just end us
    catch_interrupts();                                         // the others have children to end
    return ended(f->parsed() ? forward(options) : packets(packets_options));
}

}  // namespace
}  // namespace umbuf::bench

int main(int argc, char** argv) { return umbuf::bench::run(argc, argv); }
