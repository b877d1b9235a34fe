// SPDX-License-Identifier: BSD-2-Clause
// options.cc - the command line, by CLI11.
#include "app/umstat/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace umbuf::umstat {
namespace {

constexpr double kLongest_s = 86400, kShortest_s = 0.001;

struct Letter {
    const char* name;
    View view;
    const char* help;
};
constexpr Letter kLetters[kViews] = {
    {"-m", View::memory, "memory: mbufs, clusters, pages, references, copies (netstat -m, and more)"},
    {"-i", View::interfaces, "interfaces (netstat -i)"},
    {"-s", View::protocols, "protocols (netstat -s)"},
    {"-d", View::drops, "packets that died, by reason"},
    {"-o", View::owners, "who holds how many mbufs and clusters"},
    {"-t", View::trace, "where references were taken and dropped (umfwd --trace-refcnt)"},
};

// contradiction - why these options cannot be had together; empty: they can.
std::string contradiction(const Options& o) {
    if (!o.path.empty() && o.prefix_given) return "--path and --file-prefix both name a forwarder: give one of them";
    if (!o.prometheus.empty() && (o.json || o.follow || o.every_s > 0))
        return "--prometheus serves until it is ended, and prints nothing: it goes without -f, -w and --json";
    if (o.json && o.follow) return "-f is for people and --json for programs: give one of them (-w repeats --json)";
    if (o.json && !o.views.empty()) return "--json has everything: it goes without -m, -i, -s, -d, -o and -t";
    if (o.count > 0 && o.every_s <= 0 && !o.follow) return "-q says how often -w or -f repeats: give one of them";
    return {};
}

}  // namespace

Result<Parsed> parse(int argc, const char* const* argv) {
    CLI::App app{"umstat: what a forwarder counts, from outside, and without its noticing"};
    Parsed parsed;
    Options& o = parsed.options;
    bool asked[kViews] = {};
    for (const Letter& letter : kLetters) app.add_flag(letter.name, asked[static_cast<size_t>(letter.view)], letter.help);
    app.add_option("-w", o.every_s, "repeat each so many seconds, with what was counted since the last time")
        ->check(CLI::Range(kShortest_s, kLongest_s));
    app.add_option("-q", o.count, "end after so many repetitions")->check(CLI::PositiveNumber);
    app.add_option("-I", o.interface, "this interface only (-i, -w)");
    app.add_flag("-f", o.follow, "follow on the whole screen; q ends it");
    app.add_flag("--json", o.json, "everything, one object; with -w one on each line");
    app.add_option("--prometheus", o.prometheus, "serve Prometheus at ADDRESS:PORT; loopback without an address");
    CLI::Option* prefix = app.add_option("--file-prefix", o.prefix, "the forwarder with this --file-prefix");
    app.add_option("--path", o.path, "the forwarder whose statistics are in this file");
    app.set_version_flag("--version", "umstat " UMBUF_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() != 0) return Error{EINVAL, std::string(error.what()) + " (umstat --help has the options)"};
        app.exit(error);
        parsed.exit_now = true;
        return parsed;
    }
    o.prefix_given = prefix->count() > 0;
    for (size_t i = 0; i < kViews; ++i)
        if (asked[i]) o.views.push_back(static_cast<View>(i));
    if (const std::string wrong = contradiction(o); !wrong.empty()) return Error{EINVAL, wrong};
    return parsed;
}

}  // namespace umbuf::umstat
