// SPDX-License-Identifier: BSD-2-Clause
// main.cc - the program umstat: a forwarder's numbers, read without its noticing.
//
// Status 0: they were read, whatever they say. Status 1: there is no such forwarder, or not the right to
// look, or the command line is wrong; with one sentence on standard error.
#include <cstdio>

#include "app/umstat/options.h"
#include "app/umstat/prometheus.h"
#include "app/umstat/run.h"
#include "app/umstat/screen.h"
#include "app/umstat/source.h"

namespace umbuf::umstat {
namespace {

Status look(const Options& options) {
    const Result<std::string> path = path_for(options);
    if (!path) return path.error();
    if (!options.prometheus.empty()) return serve(options.prometheus, path.value());
    Result<Source> source = Source::open(path.value());
    if (!source) return source.error();
    if (options.follow && is_screen()) return follow(options, source.value());
    Options plain = options;
    if (options.follow && options.every_s <= 0) plain.every_s = 1;  // no terminal: one below the other
    return run(plain, source.value());
}

int umstat(int argc, char** argv) {
    const Result<Parsed> parsed = parse(argc, argv);
    if (parsed && parsed.value().exit_now) return 0;
    const Status done = parsed ? look(parsed.value().options) : Status(parsed.error());
    if (done) return 0;
    std::fprintf(stderr, "umstat: %s\n", done.error().text.c_str());
    return 1;
}

}  // namespace
}  // namespace umbuf::umstat

int main(int argc, char** argv) { return umbuf::umstat::umstat(argc, argv); }
