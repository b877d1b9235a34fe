// SPDX-License-Identifier: BSD-2-Clause
// run.cc - once, or again and again (-w).
#include "app/umstat/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <vector>

#include "app/umstat/interval.h"
#include "app/umstat/json.h"
#include "app/umstat/life.h"
#include "app/umstat/views.h"

namespace umbuf::umstat {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kLinesPerHead = 20;  // as netstat -w

uint64_t monotonic_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_nsec);
}

Status print(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return {};
    return Error{EIO, fmt::format("standard output takes no more: {}", std::strerror(errno))};
}

// Printer - what one sample becomes, in the light of the one before it.
class Printer {
  public:
    Printer(const Options& options, const Source& source) : options_(options), source_(source) {
        lines_ = options.every_s > 0 && views().size() == 1 && views()[0] == View::interfaces;
    }
    [[nodiscard]] Status print_one(const stat::Sample& now);

  private:
    [[nodiscard]] std::vector<View> views() const {
        if (!options_.views.empty()) return options_.views;
        return {options_.every_s > 0 ? View::interfaces : View::memory};
    }
    [[nodiscard]] std::string warnings(const stat::Sample& now);
    [[nodiscard]] std::string line(const stat::Sample& now);
    [[nodiscard]] std::string blocks(const stat::Sample& now);

    const Options& options_;
    const Source& source_;
    bool lines_;              // netstat -w: a line for each interval
    stat::Sample before_;
    bool first_ = true;
    std::string said_;        // of which state
    uint64_t printed_ = 0;
};

// warnings - how the forwarder is, when it is not well, and again when that has changed.
std::string Printer::warnings(const stat::Sample& now) {
    const std::string state = name_of(now.life) + std::to_string(now.generation);
    if (!first_ && state == said_) return {};
    said_ = state;
    const std::string text = warning_lines(now);
    return text.empty() && !first_ ? life_line(now) + "\n" : text;
}

std::string Printer::line(const stat::Sample& now) {
    if (first_) return {};
    std::string text = printed_++ % kLinesPerHead == 0 ? traffic_head(options_.interface) : "";
    return text + traffic_line(traffic_of(interval(before_, now), options_.interface));
}

std::string Printer::blocks(const stat::Sample& now) {
    std::string text;
    if (options_.every_s > 0)
        text = first_ ? fmt::format("--- {}, since the start\n", clock_text(now.taken_ns))
                      : fmt::format("--- {}, in {:.3f} s\n", clock_text(now.taken_ns), seconds_between(before_, now));
    const stat::Sample& shown = first_ ? now : interval(before_, now);
    const std::vector<View> all = views();
    for (size_t i = 0; i < all.size(); ++i) text += (i == 0 ? "" : "\n") + text_of(all[i], shown, options_, source_.path());
    return text;
}

Status Printer::print_one(const stat::Sample& now) {
    std::string text;
    if (options_.json) text = sample_json(now) + "\n";
    else {
        text = warnings(now);
        text += lines_ ? line(now) : blocks(now);
    }
    before_ = now;
    first_ = false;
    return print(text);
}

}  // namespace

Ticker::Ticker(double seconds)
    : period_ns_(static_cast<uint64_t>(seconds * 1e9)), due_ns_(monotonic_ns() + period_ns_) {}

int Ticker::left_ms() const {
    const uint64_t now = monotonic_ns();
    return now >= due_ns_ ? 0 : static_cast<int>(std::min<uint64_t>((due_ns_ - now) / 1'000'000 + 1, 1'000'000));
}

void Ticker::wait() {
    const timespec until{static_cast<time_t>(due_ns_ / kSecond), static_cast<long>(due_ns_ % kSecond)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
}

void Ticker::next() { due_ns_ = std::max(due_ns_ + period_ns_, monotonic_ns()); }

Status run(const Options& options, Source& source) {
    Printer printer(options, source);
    stat::Sample sample;
    if (Status first = source.sample(sample); !first) return first;
    if (!options.interface.empty() && !has_interface(sample, options.interface))
        return Error{ENODEV, fmt::format("there is no interface {} here; umstat -i has all", options.interface)};
    if (Status printed = printer.print_one(sample); !printed || options.every_s <= 0) return printed;
    const bool first_counts = options.json || !options.views.empty();
    Ticker ticker(options.every_s);
    for (uint64_t done = first_counts ? 1 : 0; options.count == 0 || done < options.count; ++done) {
        ticker.wait();
        ticker.next();
        if (Status next = source.sample(sample); !next) return next;
        if (Status printed = printer.print_one(sample); !printed) return printed;
    }
    return {};
}

}  // namespace umbuf::umstat
