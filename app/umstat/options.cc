// SPDX-License-Identifier: BSD-2-Clause
// options.cc - the command line, by getopt_long(3).
#include "app/umstat/options.h"

#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace umbuf::umstat {
namespace {

constexpr const char* kHelp =
    "usage: umstat [-misdota] [-w seconds [-q count]] [-I interface] [-f] [options]\n"
    "What a forwarder counts, from outside, and without its noticing. Without a letter: -m; with -w alone: -i.\n"
    "  -m                        memory: mbufs, clusters, pages, references, copies (netstat -m, and more)\n"
    "  -i                        interfaces (netstat -i)\n"
    "  -s                        protocols (netstat -s)\n"
    "  -d                        packets that died, by reason\n"
    "  -o                        who holds how many elements of each zone\n"
    "  -t                        where references were taken and dropped (umfwd --trace-refcnt)\n"
    "  -a                        with -t: all that is kept, not only the last 32\n"
    "  -w seconds                repeat, with what was counted since the last time\n"
    "  -q count                  end after so many repetitions\n"
    "  -I interface              this interface only, by its name or number (-i, -w)\n"
    "  -f                        follow on the whole terminal; q ends it\n"
    "  --json                    everything, as one object; with -w one on each line\n"
    "  --prometheus address:port serve Prometheus there; a port alone is loopback's\n"
    "  --file-prefix name        the forwarder with this --file-prefix\n"
    "  --path file               the forwarder whose statistics are in this file\n"
    "  --help, --version         print and end\n";

enum Long : int { kJson = 1000, kPrometheus, kPrefix, kPath, kHelpAsked, kVersionAsked };
constexpr option kLong[] = {{"json", no_argument, nullptr, kJson},
                            {"prometheus", required_argument, nullptr, kPrometheus},
                            {"file-prefix", required_argument, nullptr, kPrefix},
                            {"path", required_argument, nullptr, kPath},
                            {"help", no_argument, nullptr, kHelpAsked},
                            {"version", no_argument, nullptr, kVersionAsked},
                            {nullptr, 0, nullptr, 0}};
constexpr std::string_view kLetters = "misdot";  // in the order of View

constexpr double kShortest_s = 0.001, kLongest_s = 86400;

Error refused(const std::string& what) { return {EINVAL, what + " (umstat --help has the options)"}; }

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

Status take_seconds(Options& o, const char* text) {
    char* end = nullptr;
    o.every_s = std::strtod(text, &end);
    if (end != text && *end == '\0' && o.every_s >= kShortest_s && o.every_s <= kLongest_s) return {};
    return refused(std::string("-w ") + text + ": it is seconds, from 0.001 to 86400");
}

Status take_count(Options& o, const char* text) {
    char* end = nullptr;
    o.count = std::strtoull(text, &end, 10);
    if (end != text && *end == '\0' && *text != '-' && o.count > 0) return {};
    return refused(std::string("-q ") + text + ": it is a number of repetitions, from 1");
}

Status take(Options& o, int c, const char* word) {
    switch (c) {
    case 'w': return take_seconds(o, optarg);
    case 'q': return take_count(o, optarg);
    case 'I': o.interface = optarg; return {};
    case 'a': o.all = true; return {};
    case 'f': o.follow = true; return {};
    case kJson: o.json = true; return {};
    case kPrometheus: o.prometheus = optarg; return {};
    case kPrefix: o.prefix_given = true, o.prefix = optarg; return {};
    case kPath: o.path = optarg; return {};
    case ':': return refused(std::string(word) + " needs a value");
    default: return refused(std::string(word) + " is no option");
    }
}

}  // namespace

Result<Parsed> parse(int argc, char** argv) {
    Parsed parsed;
    bool asked[kViews] = {};
    optind = 0;  // anew
    for (;;) {
        const char* const word = argv[optind == 0 ? 1 : optind];
        const int c = getopt_long(argc, argv, ":misdotaw:q:I:f", kLong, nullptr);
        if (c == -1) break;
        if (c == kHelpAsked || c == kVersionAsked) {
            std::fputs(c == kHelpAsked ? kHelp : "umstat " UMBUF_VERSION "\n", stdout);
            parsed.exit_now = true;
            return parsed;
        }
        const size_t letter = c < 256 ? kLetters.find(static_cast<char>(c)) : std::string_view::npos;
        if (letter != std::string_view::npos) asked[letter] = true;
        else if (Status taken = take(parsed.options, c, word); !taken) return taken.error();
    }
    if (optind < argc) return refused(std::string(argv[optind]) + " is no option");
    for (size_t i = 0; i < kViews; ++i)
        if (asked[i]) parsed.options.views.push_back(static_cast<View>(i));
    if (const std::string wrong = contradiction(parsed.options); !wrong.empty()) return Error{EINVAL, wrong};
    return parsed;
}

}  // namespace umbuf::umstat
