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
#include "app/umbench/esp/esp.h"
#include "app/umbench/forward.h"
#include "app/umbench/packets.h"
#include "app/umbench/page.h"
#include "app/umbench/readers.h"
#include "app/umbench/refcount/refcount.h"
#include "app/umbench/refcount/workload.h"
#include "app/umbench/stats.h"
#include "app/umbench/windows.h"
#include "drivers/crypto/engines.h"
#include "lib/ipsec/algorithm.h"
#include "lib/mbuf/refs.h"

namespace umbuf::bench {
namespace {

namespace fs = std::filesystem;

struct Options {
    ReadersPlan readers_plan;
    std::string as_readers;  // the path to read; empty: measure
    Plan plan;
    RefPlan ref_plan;
    PacketsPlan packets_plan;
    PagePlan page_plan;
    EspPlan esp_plan;
    bool complete = false;
    std::string json_file;
    bool self = false;
    std::string umfwd, testpmd = "dpdk-testpmd";
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

Status find_umfwd(Options& options) {
    if (options.umfwd.empty()) options.umfwd = beside_us("umfwd");
    if (is_program(options.umfwd)) return {};
    return Error{ENOENT, fmt::format("{} is not there; build it with scripts/build, or name it with "
                                     "--umfwd", options.umfwd)};
}

Status find_programs(Options& options) {
    if (Status found = find_umfwd(options); !found) return found;
    if (!is_program(options.testpmd))
        return Error{ENOENT, fmt::format("{} is not in PATH; install it (Debian: apt-get install dpdk-dev), "
                                         "or name it with --testpmd", options.testpmd)};
    options.plan.a.path = options.umfwd;
    options.plan.b.path = options.self ? options.umfwd : options.testpmd;
    options.plan.peer.path = options.testpmd;
    options.packets_plan.umfwd.path = options.umfwd;
    options.packets_plan.peer.path = options.testpmd;
    options.page_plan.umfwd.path = options.umfwd;
    options.page_plan.peer.path = options.testpmd;
    return {};
}

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

Status write_text(const std::string& file, const std::string& text) {
    if (file == "-") {
        fmt::print("{}\n", text);
        return {};
    }
    std::ofstream stream(file);
    stream << text << '\n';
    stream.flush();
    if (stream) return {};
    return Error{EIO, fmt::format("{} cannot be written", file)};
}

Status write_json(const std::string& file, const std::vector<Row>& rows) {
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
    return write_text(file, out.dump(2));
}

Status stats(Options& options) {
    ReadersPlan& plan = options.readers_plan;
    if (!options.as_readers.empty())
        return be_readers(options.as_readers, plan.readers.empty() ? 1 : plan.readers[0], plan.hertz, allowed_cpus().back());
    if (Status found = find_umfwd(options); !found) return found;
    plan.umfwd.path = options.umfwd;
    plan.self = beside_us("umbench");
    Result<std::vector<ReadersRow>> rows = measure_readers(plan, [](const std::string& line) {
        fmt::print(stderr, "umbench: {}\n", line);
    });
    if (!rows) return rows.error();
    fmt::print("{}", readers_table(plan, rows.value()));
    return options.json_file.empty() ? Status{} : write_text(options.json_file, readers_json(rows.value()));
}

void add_stats(CLI::App& app, Options& options) {
    CLI::App* s = app.add_subcommand("stats", "umfwd while its statistics are read, beside the same while they are not");
    ReadersPlan& plan = options.readers_plan;
    s->add_option("--json", options.json_file, "also write the medians there; - is standard output");
    s->add_option("--readers", plan.readers, "how many at once")
        ->capture_default_str()->delimiter(',')->check(CLI::Range(0, 1000));
    s->add_option("--hertz", plan.hertz, "samples a second, of each reader")
        ->capture_default_str()->check(CLI::Range(1, 100000));
    s->add_option("--rounds", plan.rounds, "how often each number of readers is tried")
        ->capture_default_str()->check(CLI::Range(1, 1000));
    s->add_option("--seconds", plan.seconds, "measured per part of a round")
        ->capture_default_str()->check(CLI::Range(0.1, 3600.0));
    s->add_option("--vdev", plan.vdev, "null, ring")->capture_default_str()->check(CLI::IsMember({"null", "ring"}));
    s->add_option("--mode", plan.mode, "a forwarding mode")
        ->capture_default_str()->check(CLI::IsMember({"io", "mac", "macswap"}));
    s->add_option("--burst", plan.burst, "packets per burst")
        ->capture_default_str()->check(CLI::Range(1, 512));
    s->add_option("--umfwd", options.umfwd, "the program to measure (default: umfwd beside umbench)");
    s->add_option("--as-readers", options.as_readers, "")->group("");  // what we start beside it
}

Status forward(Options& options) {
    if (Status found = find_programs(options); !found) return found;
    Result<std::vector<Row>> rows = compare(options.plan, [](const std::string& line) {
        fmt::print(stderr, "umbench: {}\n", line);
    });
    if (!rows) return rows.error();
    print_table(options, rows.value());
    return options.json_file.empty() ? Status{} : write_json(options.json_file, rows.value());
}

void add_forward(CLI::App& app, Options& options) {
    CLI::App* f = app.add_subcommand("forward", "umfwd and dpdk-testpmd in turn on the same devices");
    Plan& plan = options.plan;
    plan.vdevs = {"null", "ring", "virtio"};
    plan.modes = {"io", "mac", "macswap"};
    f->add_option("--json", options.json_file, "also write the medians there; - is standard output");
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
    f->add_option("--umfwd", options.umfwd, "the program to measure (default: umfwd beside umbench)");
    f->add_option("--testpmd", options.testpmd, "the baseline, and the peer for virtio")
        ->capture_default_str();
}

Status refcount(const Options& options) {
    Result<std::vector<RefRow>> rows = compare_schemes(options.ref_plan, [](const std::string& line) {
        fmt::print(stderr, "umbench: {}\n", line);
    });
    if (!rows) return rows.error();
    fmt::print("{}", refcount_table(rows.value()));
    return options.json_file.empty() ? Status{} : write_text(options.json_file, refcount_json(rows.value()));
}

void add_refcount(CLI::App& app, Options& options) {
    CLI::App* r = app.add_subcommand("refcount", "what a shared buffer costs under each scheme, beside DPDK's clones");
    RefPlan& plan = options.ref_plan;
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
}

Status packets(Options& options) {
    if (Status found = find_programs(options); !found) return found;
    const PacketsPlan& plan = options.packets_plan;
    Result<std::vector<PacketsRow>> rows = measure_packets(plan, [](const std::string& line) {
        fmt::print(stderr, "umbench: {}\n", line);
    });
    if (!rows) return rows.error();
    fmt::print("{}", packets_table(plan, rows.value()));
    return options.json_file.empty() ? Status{} : write_text(options.json_file, packets_json(rows.value()));
}

void add_packets(CLI::App& app, Options& options) {
    CLI::App* p = app.add_subcommand("packets", "umfwd's modes that share buffers, under each count scheme");
    PacketsPlan& plan = options.packets_plan;
    plan.modes = {"tee", "frag"};
    plan.schemes.assign(refs_names().begin(), refs_names().end());
    p->add_option("--json", options.json_file, "also write the medians there; - is standard output");
    p->add_option("--rounds", plan.rounds, "runs per mode and scheme")
        ->capture_default_str()->check(CLI::Range(1, 1000));
    p->add_option("--seconds", plan.seconds, "measured per run")
        ->capture_default_str()->check(CLI::Range(0.1, 3600.0));
    p->add_option("--mode", plan.modes, "tee, frag")
        ->capture_default_str()->delimiter(',')->check(CLI::IsMember({"tee", "frag"}));
    p->add_option("--scheme", plan.schemes, "some schemes only (default: all)")
        ->delimiter(',')->check(CLI::IsMember(plan.schemes));
    p->add_option("--burst", plan.burst, "packets per burst")
        ->capture_default_str()->check(CLI::Range(1, 512));
    p->add_option("--umfwd", options.umfwd, "the program to measure (default: umfwd beside umbench)");
    p->add_option("--testpmd", options.testpmd, "the generator")->capture_default_str();
}

Status page(Options& options) {
    if (Status found = find_programs(options); !found) return found;
    const PagePlan& plan = options.page_plan;
    Result<std::vector<PageRow>> rows = measure_pages(plan, [](const std::string& line) {
        fmt::print(stderr, "umbench: {}\n", line);
    });
    if (!rows) return rows.error();
    Result<std::vector<WindowRow>> windows = measure_windows(plan.pairs);
    if (!windows) return windows.error();
    fmt::print("{}\n{}", page_table(plan, rows.value()), windows_table(windows.value()));
    return options.json_file.empty() ? Status{} : write_text(options.json_file, page_json(rows.value()));
}

void add_page(CLI::App& app, Options& options) {
    CLI::App* p = app.add_subcommand("page", "a file's pages sent as they are, beside copies of them; and what a window costs");
    PagePlan& plan = options.page_plan;
    p->add_option("--json", options.json_file, "also write the medians there; - is standard output");
    p->add_option("--pairs", plan.pairs, "runs with and without unmapped mbufs, per port and payload")
        ->capture_default_str()->check(CLI::Range(1, 1000));
    p->add_option("--seconds", plan.seconds, "measured per run")
        ->capture_default_str()->check(CLI::Range(0.1, 3600.0));
    p->add_option("--port", plan.ports, "null, virtio")
        ->capture_default_str()->delimiter(',')->check(CLI::IsMember({"null", "virtio"}));
    p->add_option("--payload", plan.payloads, "bytes of the file in each packet")
        ->capture_default_str()->delimiter(',')->check(CLI::Range(16, 9000));
    p->add_option("--burst", plan.burst, "packets per burst")
        ->capture_default_str()->check(CLI::Range(1, 512));
    p->add_option("--umfwd", options.umfwd, "the program to measure (default: umfwd beside umbench)");
    p->add_option("--testpmd", options.testpmd, "the receiver")->capture_default_str();
}

// Beside the default: the longer key, and one algorithm of each other kind.
const std::vector<std::string> kCompleteAlgorithms = {"aes-gcm-128", "aes-gcm-256", "chacha20-poly1305",
                                                      "aes-ctr-128+hmac-sha256", "aes-cbc-128+hmac-sha1"};

Status esp(Options& options) {
    if (options.complete) options.esp_plan.algorithms = kCompleteAlgorithms;
    const Result<EspReport> report = measure_esp(options.esp_plan, [](const std::string& line) {
        fmt::print(stderr, "umbench: {}\n", line);
    });
    if (!report) return report.error();
    fmt::print("{}", esp_table(report.value()));
    return options.json_file.empty() ? Status{} : write_text(options.json_file, esp_json(report.value().rows));
}

std::string check_engine(const std::string& name) {
    const Status known = check_esp_engine(name);
    return known ? "" : known.error().text;
}

std::string check_algorithm(const std::string& name) {
    const Result<Algorithm> found = find_algorithm(name);
    return found ? "" : found.error().text;
}

void add_esp(CLI::App& app, Options& options) {
    CLI::App* e = app.add_subcommand("esp", "what ESP costs a packet, beside librte_ipsec, beside unsharing first, beside the cipher");
    EspPlan& plan = options.esp_plan;
    e->add_option("--json", options.json_file, "also write the medians there; - is standard output");
    e->add_option("--rounds", plan.rounds, "runs of each way, per case")
        ->capture_default_str()->check(CLI::Range(1, 1000));
    e->add_option("--engines,--engine", plan.engines, "all cases with each (default: ipsec-mb, and some with crypto devices)")
        ->delimiter(',')->check(CLI::Validator(check_engine, "NAME"));
    CLI::Option* algorithm = e->add_option("--algorithm", plan.algorithms, "which, by the names of docs/ipsec.md");
    algorithm->capture_default_str()->delimiter(',')->check(CLI::Validator(check_algorithm, "NAME"));
    e->add_flag("--complete", options.complete, "an algorithm of each kind")->excludes(algorithm);
    e->add_option("--direction", plan.directions, "encrypt, decrypt")
        ->capture_default_str()->delimiter(',')->check(CLI::IsMember({"encrypt", "decrypt"}));
    e->add_option("--size", plan.sizes, "bytes of a packet in the clear")
        ->capture_default_str()->delimiter(',')->check(CLI::Range(64, 1800));
    e->add_option("--sas", plan.sas, "SAs that the packets take turns in")
        ->capture_default_str()->delimiter(',')->check(CLI::Range(1, 10000));
    e->add_option("--source", plan.sources, "private, shared, unmapped")
        ->capture_default_str()->delimiter(',')->check(CLI::IsMember({"private", "shared", "unmapped"}));
    e->add_option("--working-set", plan.working_sets, "inside, beyond (L2)")
        ->capture_default_str()->delimiter(',')->check(CLI::IsMember({"inside", "beyond"}));
    e->add_option("--packets", plan.packets, "in a working set beyond L2; 0: four times L2")
        ->capture_default_str()->check(CLI::Range(0, 16000));
}

int run(int argc, char** argv) {
    CLI::App app{"umbench: benchmarks of umbuf, each beside its baseline"};
    app.require_subcommand(1);
    Options options;
    add_stats(app, options);
    add_forward(app, options);
    add_refcount(app, options);
    add_packets(app, options);
    add_page(app, options);
    add_esp(app, options);
    CLI11_PARSE(app, argc, argv);
    const bool in_process = app.got_subcommand("refcount") || app.got_subcommand("esp") || !options.as_readers.empty();
    if (!in_process) catch_interrupts();  // children must be ended; alone, a signal may just end us
    const Status done = app.got_subcommand("refcount") ? refcount(options)
                        : app.got_subcommand("esp")     ? esp(options)
                        : app.got_subcommand("stats")   ? stats(options)
                        : app.got_subcommand("packets") ? packets(options)
                        : app.got_subcommand("page")    ? page(options)
                                                        : forward(options);
    if (done) return 0;
    fmt::print(stderr, "umbench: {}\n", done.error().text);
    return done.error().code == EINTR ? 130 : 1;
}

}  // namespace
}  // namespace umbuf::bench

int main(int argc, char** argv) { return umbuf::bench::run(argc, argv); }
