// SPDX-License-Identifier: BSD-2-Clause
// options.h - what a person asks umstat for, in netstat's letters.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace umbuf::umstat {

// View - one thing to show. In the order in which several are shown.
enum class View : uint8_t { memory, interfaces, protocols, drops, owners, trace };
inline constexpr size_t kViews = 6;

struct Options {
    std::vector<View> views;       // -m -i -s -d -o -t; empty: none was asked for
    double every_s = 0;            // -w; 0: once
    uint64_t count = 0;            // -q: end after so many; 0: never
    std::string interface;         // -I: only this one; empty: all
    bool all = false;              // -a: every event of a trace
    bool follow = false;           // -f
    bool json = false;             // --json
    std::string prometheus;        // --prometheus; empty: no server
    bool prefix_given = false;     // --file-prefix, which may be empty
    std::string prefix;
    std::string path;              // --path; empty: by prefix
};

struct Parsed {
    Options options;
    bool exit_now = false;  // --help or --version was printed
};

// parse - the command line, whose words may change places. Error: which word, and what it can be.
[[nodiscard]] Result<Parsed> parse(int argc, char** argv);

}  // namespace umbuf::umstat
