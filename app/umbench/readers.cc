// SPDX-License-Identifier: BSD-2-Clause
// readers.cc - one forwarder, and readers that come and go.
#include "app/umbench/readers.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/umbench/stats.h"
#include "lib/base/sync.h"
#include "lib/stat/reader.h"
#include "lib/stat/segment.h"

namespace umbuf::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr const char* kCopy = ".copy";  // of the file that is watched, beside it

unsigned forwarders_cpu() { return allowed_cpus().back(); }

// ---- the readers' process

struct Work {
    sync::Counter samples, longest_us;
    sync::atomic<bool> ends{false};
};

void read_at(stat::Reader reader, unsigned hertz, Work& work) {
    const auto period = std::chrono::nanoseconds(1'000'000'000 / std::max(1U, hertz));
    auto due = Clock::now();
    stat::Sample sample;
    while (!work.ends.load(sync::relaxed)) {
        const auto began = Clock::now();
        if (!reader.sample(sample)) return;
        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
        work.samples.add(1);
        work.longest_us.set(std::max(work.longest_us.read(), static_cast<uint64_t>(took.count())));
        due = std::max(due + period, began);  // one that is late does not run after what it missed
        std::this_thread::sleep_until(due);
    }
}

void stay_off(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const unsigned one : allowed_cpus())
        if (one != cpu) CPU_SET(one, &set);
    if (CPU_COUNT(&set) > 0) sched_setaffinity(0, sizeof set, &set);
}

// ---- the forwarder's

std::optional<uint64_t> parse_number(std::string_view text) {
    const size_t is = text.find("= "), end = text.find(';', is == std::string_view::npos ? 0 : is);
    if (is == std::string_view::npos || end == std::string_view::npos) return std::nullopt;
    uint64_t value = 0;
    const auto [stopped, error] = std::from_chars(text.data() + is + 2, text.data() + end, value);
    if (error != std::errc{}) return std::nullopt;
    return value;
}

struct Part {
    double mpps = 0, samples_hz = 0, longest_ms = 0;
};

// on_cpu_ns - how long each thread of a process has been on a processor (proc(5), schedstat).
std::map<std::string, uint64_t> on_cpu_ns(uint32_t pid) {
    std::map<std::string, uint64_t> all;
    std::error_code error;
    for (std::filesystem::directory_iterator at(fmt::format("/proc/{}/task", pid), error), end; !error && at != end; at.increment(error)) {
        uint64_t ns = 0;
        if (std::ifstream(at->path() / "schedstat") >> ns) all[at->path().filename()] = ns;
    }
    return all;
}

// busiest_s - of the thread that had most of it since.
double busiest_s(uint32_t pid, const std::map<std::string, uint64_t>& before) {
    uint64_t most = 0;
    for (const auto& [thread, ns] : on_cpu_ns(pid))
        if (const auto was = before.find(thread); was != before.end()) most = std::max(most, ns - was->second);
    return static_cast<double>(most) / 1e9;
}

// watch - how many packets the forwarder sends, by its own count.
Result<double> watch(Child& umfwd, stat::Reader& reader, double seconds) {
    stat::Sample before, after;
    if (Status read = reader.sample(before); !read) return read.error();
    const std::map<std::string, uint64_t> threads = on_cpu_ns(before.pid);
    if (Status waited = umfwd.wait(seconds); !waited) return waited.error();
    if (Status read = reader.sample(after); !read) return read.error();
    const uint64_t packets = after.sum("stream_tx") - before.sum("stream_tx");
    const double took = busiest_s(before.pid, threads);
    if (packets == 0 || took <= 0) return Error{ENODATA, fmt::format("no packet was forwarded in {} s", seconds)};
    return static_cast<double>(packets) / took / 1e6;
}

// one_part - `path`: what they read.
Result<Part> one_part(const ReadersPlan& plan, unsigned readers, Child& umfwd, stat::Reader& reader, const std::string& path) {
    Part part;
    if (readers == 0) {
        if (Status settled = umfwd.wait(plan.warm_up); !settled) return settled.error();
        Result<double> mpps = watch(umfwd, reader, plan.seconds);
        if (!mpps) return mpps.error();
        part.mpps = mpps.value();
        return part;
    }
    Result<Child> others = Child::spawn({plan.self, "stats", "--as-readers", path, "--readers", std::to_string(readers), "--hertz",
                                         std::to_string(plan.hertz)});
    if (!others) return others.error();
    Result<uint64_t> up = others.value().ask("samples", kAnswer_s, parse_number);
    if (!up) return up.error();
    if (Status settled = umfwd.wait(plan.warm_up); !settled) return settled.error();
    Result<uint64_t> first = others.value().ask("samples", kAnswer_s, parse_number);
    if (!first) return first.error();
    const auto began = Clock::now();
    Result<double> mpps = watch(umfwd, reader, plan.seconds);
    if (!mpps) return mpps.error();
    Result<uint64_t> last = others.value().ask("samples", kAnswer_s, parse_number);
    if (!last) return last.error();
    const double took = std::chrono::duration<double>(Clock::now() - began).count();
    Result<uint64_t> longest = others.value().ask("longest", kAnswer_s, parse_number);
    if (!longest) return longest.error();
    part.mpps = mpps.value();
    part.samples_hz = static_cast<double>(last.value() - first.value()) / took;
    part.longest_ms = static_cast<double>(longest.value()) / 1000;
    return part;
}

Status one_round(const ReadersPlan& plan, std::vector<ReadersRow>& rows, unsigned round, Child& umfwd, stat::Reader& reader,
                 const std::string& path) {
    for (size_t turn = 0; turn < rows.size(); ++turn) {
        ReadersRow& row = rows[(turn + round) % rows.size()];
        Result<Part> part = one_part(plan, row.readers, umfwd, reader, row.of_copy ? path + kCopy : path);
        if (!part) return Error{part.error().code, fmt::format("{} readers: {}", row.readers, part.error().text)};
        row.mpps.push_back(part.value().mpps);
        row.samples_hz.push_back(part.value().samples_hz);
        row.longest_ms = std::max(row.longest_ms, part.value().longest_ms);
    }
    for (size_t i = 0; i < rows.size(); ++i) {
        rows[i].ratios.push_back(rows[i].mpps.back() / rows[0].mpps.back());
        if (i > 0 && !rows[i].of_copy) rows[i].to_copy.push_back(rows[i].mpps.back() / rows[i - 1].mpps.back());
    }
    return {};
}

// find_reader - its file appears while it starts.
Result<stat::Reader> find_reader(Child& umfwd, const std::string& path) {
    for (double waited = 0;; waited += 0.05) {
        Result<stat::Reader> reader = stat::Reader::open(path);
        if (reader || waited >= kAnswer_s) return reader;
        if (Status still = umfwd.wait(0.05); !still) return still.error();
    }
}

std::vector<ReadersRow> rows_of(const ReadersPlan& plan) {
    std::vector<ReadersRow> rows(1);  // the first is without readers
    for (const unsigned n : plan.readers)
        for (const bool copy : {true, false})
            if (n != 0) {
                ReadersRow& row = rows.emplace_back();
                row.readers = n;
                row.of_copy = copy;
            }
    return rows;
}

}  // namespace

Status be_readers(const std::string& path, unsigned readers, unsigned hertz, unsigned not_on_cpu) {
    stay_off(not_on_cpu);
    std::vector<Work> work(readers);
    std::vector<std::thread> threads;
    for (Work& one : work) {
        Result<stat::Reader> reader = stat::Reader::open(path);
        if (!reader) return reader.error();
        threads.emplace_back(read_at, std::move(reader).value(), hertz, std::ref(one));
    }
    for (std::string line; std::getline(std::cin, line);) {
        uint64_t samples = 0, longest = 0;
        for (const Work& one : work) {
            samples += one.samples.read();
            longest = std::max(longest, one.longest_us.read());
        }
        fmt::print("{} = {};\n", line, line == "samples" ? samples : longest);
        std::fflush(stdout);
    }
    for (Work& one : work) one.ends.store(true, sync::relaxed);
    for (std::thread& thread : threads) thread.join();
    return {};
}

Result<std::vector<ReadersRow>> measure_readers(const ReadersPlan& plan,
                                                const std::function<void(const std::string&)>& progress) {
    const std::string driver = "net_" + plan.vdev;
    const std::string path = stat::path_of(fmt::format("umbench-{}-dut", getpid()));  // launch() gives that prefix
    Result<Child> umfwd = launch(plan.umfwd, "dut", forwarders_cpu(), {driver + "0", driver + "1"},
                                 forward_args(plan.umfwd, plan.mode, plan.burst, false));
    if (!umfwd) return umfwd.error();
    if (Status sent = umfwd.value().send(plan.vdev == "ring" ? "start tx_first 8" : "start"); !sent) return sent.error();
    if (Result<Sample> up = sample(umfwd.value()); !up) return up.error();
    Result<stat::Reader> reader = find_reader(umfwd.value(), path);
    if (!reader) return reader.error();
    std::error_code copied;
    std::filesystem::copy_file(path, path + kCopy, std::filesystem::copy_options::overwrite_existing, copied);
    if (copied) return Error{copied.value(), fmt::format("{} cannot be copied: {}", path, copied.message())};
    std::vector<ReadersRow> rows = rows_of(plan);
    for (unsigned round = 0; round < plan.rounds; ++round) {
        if (Status ran = one_round(plan, rows, round, umfwd.value(), reader.value(), path); !ran) return ran.error();
        std::string text = fmt::format("round {} of {}:", round + 1, plan.rounds);
        for (const ReadersRow& row : rows)
            text += fmt::format("  {}{} {:.3f} Mpps", row.readers, row.of_copy ? " of a copy" : "", row.mpps.back());
        progress(text);
    }
    if (Status left = leave(umfwd.value()); !left) return left.error();
    for (const std::string& file : {path, path + kCopy}) unlink(file.c_str());
    return rows;
}

std::string readers_table(const ReadersPlan& plan, const std::vector<ReadersRow>& rows) {
    std::string text = fmt::format("{} in mode {} on {}, {} rounds of {} s, readers at {} Hz, {}\n", plan.umfwd.name(), plan.mode,
                                   plan.vdev, plan.rounds, plan.seconds, plan.hertz, memory_text());
    const char* const layout = "{:>7} {:<6} {:>9} {:>8} {:<18} {:>8} {:<18} {:>10} {:>10}\n";
    text += fmt::format(fmt::runtime(layout), "readers", "of", "Mpps", "to none", "[min..max]", "to copy", "[min..max]", "samples/s",
                        "longest ms");
    for (const ReadersRow& row : rows) {
        const auto ratio = [](const std::vector<double>& all) { return all.empty() ? "" : fmt::format("{:.4f}", median(all)); };
        const auto range = [](const std::vector<double>& all) {
            if (all.empty()) return std::string();
            const auto [low, high] = std::minmax_element(all.begin(), all.end());
            return fmt::format("[{:.4f}..{:.4f}]", *low, *high);
        };
        text += fmt::format(fmt::runtime(layout), row.readers, row.readers == 0 ? "" : row.of_copy ? "a copy" : "it",
                            fmt::format("{:.3f}", median(row.mpps)), ratio(row.ratios), range(row.ratios), ratio(row.to_copy),
                            range(row.to_copy), fmt::format("{:.0f}", median(row.samples_hz)), fmt::format("{:.3f}", row.longest_ms));
    }
    return text;
}

std::string readers_json(const std::vector<ReadersRow>& rows) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const ReadersRow& row : rows) {
        nlohmann::ordered_json one{{"readers", row.readers}, {"copy", row.of_copy}, {"mpps", median(row.mpps)}};
        const auto spread = [&one](const std::string& name, const std::vector<double>& all) {
            for (const char* end : {"", "_min", "_max", "_mad"}) one[name + end] = nullptr;
            if (all.empty()) return;
            const auto [low, high] = std::minmax_element(all.begin(), all.end());
            one[name] = median(all);
            one[name + "_min"] = *low;
            one[name + "_max"] = *high;
            one[name + "_mad"] = mad(all);
        };
        spread("ratio", row.ratios);
        spread("to_copy", row.to_copy);
        one["samples_per_s"] = median(row.samples_hz);
        one["longest_ms"] = row.longest_ms;
        one["rounds"] = row.mpps.size();
        out.push_back(std::move(one));
    }
    return out.dump(2);
}

}  // namespace umbuf::bench
