// SPDX-License-Identifier: BSD-2-Clause
// prometheus.cc - by prometheus-cpp, whose server's threads each ask for a sample of their own.
#include "app/umstat/prometheus.h"

#include <fmt/format.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <signal.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>

#include "app/umstat/labels.h"
#include "app/umstat/life.h"
#include "app/umstat/source.h"

namespace umbuf::umstat {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// clean - what may be in a name there.
std::string clean(std::string text) {
    for (char& c : text)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    return text;
}

bool is_by_lcore(const stat::Number& n) { return n.kind == stat::Kind::histogram && ends_with(n.name, "_lcores"); }

MetricType type_of(const stat::Number& n) {
    if (is_by_lcore(n) || n.kind == stat::Kind::counter) return MetricType::Counter;
    return n.kind == stat::Kind::histogram ? MetricType::Histogram : MetricType::Gauge;
}

std::vector<ClientMetric::Label> labels_for(const stat::Number& n) {
    std::vector<ClientMetric::Label> all;
    for (auto& [key, value] : labels_of(n)) all.push_back({clean(key), value});
    return all;
}

ClientMetric::Histogram histogram_of(const std::vector<uint64_t>& cells) {
    ClientMetric::Histogram out;
    size_t bound = 0;
    for (size_t value = 0; value < cells.size(); ++value) {
        out.sample_count += cells[value];
        out.sample_sum += static_cast<double>(value) * static_cast<double>(cells[value]);
        if (value != bound && value + 1 != cells.size()) continue;
        out.bucket.push_back({out.sample_count, static_cast<double>(value)});
        bound = bound == 0 ? 1 : 2 * bound;
    }
    return out;
}

// add - without those that have nothing yet: there are more lcores than anybody has.
void add_by_lcore(MetricFamily& to, const stat::Number& n) {
    for (size_t i = 0; i < n.cells.size(); ++i) {
        if (n.cells[i] == 0) continue;
        ClientMetric metric;
        metric.label = labels_for(n);
        metric.label.push_back({"lcore", i + 1 == n.cells.size() ? "other" : std::to_string(i)});
        metric.counter.value = static_cast<double>(n.cells[i]);
        to.metric.push_back(std::move(metric));
    }
}

void add(MetricFamily& to, const stat::Number& n) {
    if (is_by_lcore(n)) return add_by_lcore(to, n);
    ClientMetric metric;
    metric.label = labels_for(n);
    if (to.type == MetricType::Counter) metric.counter.value = static_cast<double>(n.value());
    else if (to.type == MetricType::Gauge) metric.gauge.value = static_cast<double>(n.value());
    else metric.histogram = histogram_of(n.cells);
    to.metric.push_back(std::move(metric));
}

MetricFamily gauge(const char* name, const char* help, double value, std::vector<ClientMetric::Label> labels = {}) {
    ClientMetric metric;
    metric.gauge.value = value;
    metric.label = std::move(labels);
    MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = MetricType::Gauge;
    family.metric = {std::move(metric)};
    return family;
}

// Forwarder - whoever writes at this path, if anybody does.
class Forwarder : public prometheus::Collectable {
  public:
    explicit Forwarder(std::string path) : path_(std::move(path)) {}
    std::vector<MetricFamily> Collect() const override {
        const std::lock_guard guard(lock_);
        if (!source_) {
            if (Result<Source> opened = Source::open(path_)) source_.emplace(std::move(opened).value());
        }
        stat::Sample sample;
        if (!source_ || !source_->sample(sample)) {
            source_.reset();
            return forwarder_families(nullptr);
        }
        return forwarder_families(&sample);
    }

  private:
    std::string path_;                       // [I]
    mutable std::mutex lock_;                // the rest: there are two threads, and a Reader is for one
    mutable std::optional<Source> source_;
};

}  // namespace

std::string metric_name(const stat::Number& n) {
    const std::string name = clean(n.name), unit = clean(n.unit);
    const bool said = unit.empty() || name == unit || ends_with(name, "_" + unit);
    std::string full = "umbuf_" + name + (said ? "" : "_" + unit);
    if (type_of(n) == MetricType::Counter) return full + "_total";
    for (const char* taken : {"_total", "_count", "_sum", "_bucket"})
        if (ends_with(full, taken)) return full + "_now";  // those ends mean something there
    return full;
}

std::vector<MetricFamily> families(const stat::Sample& sample) {
    std::vector<MetricFamily> all;
    std::unordered_map<std::string, size_t> places;
    std::set<std::string> seen;  // the same number twice would be no answer at all
    for (const stat::Number& n : sample.numbers) {
        const std::string name = metric_name(n);
        const auto [at, is_new] = places.emplace(name, all.size());
        if (is_new) {
            MetricFamily& family = all.emplace_back();
            family.name = name;
            family.help = n.help.empty() ? fmt::format("{}, in {}.", n.name, n.unit) : n.help;
            family.type = type_of(n);
        }
        if (all[at->second].type == type_of(n) && seen.insert(name + "{" + n.labels).second) add(all[at->second], n);
    }
    all.erase(std::remove_if(all.begin(), all.end(), [](const MetricFamily& f) { return f.metric.empty(); }), all.end());
    return all;
}

std::vector<MetricFamily> forwarder_families(const stat::Sample* s) {
    const bool up = s != nullptr && !is_over(s->life) && s->life != stat::Life::hung;
    std::vector<MetricFamily> all;
    all.push_back(gauge("umbuf_up", "1: the forwarder is alive; 0: it is not there, has ended, died or hangs.", up ? 1 : 0));
    if (s == nullptr) return all;
    all.push_back(gauge("umbuf_forwarder_info", "Who the forwarder is, and how.", 1,
                        {{"program", s->program}, {"version", s->version}, {"prefix", s->prefix},
                         {"pid", std::to_string(s->pid)}, {"life", name_of(s->life)}}));
    all.push_back(gauge("umbuf_start_time_seconds", "When the forwarder was started, since the Unix epoch.",
                        static_cast<double>(s->started_ns) / 1e9));
    all.push_back(gauge("umbuf_last_beat_time_seconds", "The forwarder's last sign of life, since the Unix epoch.",
                        static_cast<double>(s->beat_ns) / 1e9));
    all.push_back(gauge("umbuf_unlisted_groups", "Groups of numbers that found no place in the forwarder's file.", s->unlisted));
    if (is_over(s->life)) return all;
    for (MetricFamily& family : families(*s)) all.push_back(std::move(family));
    return all;
}

Result<std::string> address_of(const std::string& where) {
    const size_t colon = where.rfind(':');
    const std::string host = colon == std::string::npos || colon == 0 ? "127.0.0.1" : where.substr(0, colon);
    const std::string port = colon == std::string::npos ? where : where.substr(colon + 1);
    if (as_number(port, 65536) > 65535)
        return Error{EINVAL, fmt::format("--prometheus {}: no port; it is ADDRESS:PORT, or a port of loopback: 9464", where)};
    return host + ":" + port;
}

Status serve(const std::string& where, const std::string& path) {
    const Result<std::string> address = address_of(where);
    if (!address) return address.error();
    const Result<Source> source = Source::open(path);
    if (!source && source.error().code != ENOENT) return source.error();
    sigset_t ends;
    sigemptyset(&ends);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends, number);
    pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before the server's threads: they inherit it
    const auto forwarder = std::make_shared<Forwarder>(path);
    try {
        prometheus::Exposer exposer(address.value());
        exposer.RegisterCollectable(forwarder);
        const std::string host = address.value().substr(0, address.value().rfind(':'));
        std::printf("umstat: http://%s:%d/metrics serves %s\n", host.c_str(), exposer.GetListeningPorts().at(0), path.c_str());
        std::fflush(stdout);
        int number = 0;
        sigwait(&ends, &number);
    } catch (const std::exception& error) {
        return Error{EADDRINUSE, fmt::format("--prometheus {}: cannot listen at {}: {}; is the port taken, or the address not "
                                             "this machine's?", where, address.value(), error.what())};
    }
    return {};
}

}  // namespace umbuf::umstat
