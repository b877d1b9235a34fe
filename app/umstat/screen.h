// SPDX-License-Identifier: BSD-2-Clause
// screen.h - umstat -f: the whole terminal, like systat and top.
#pragma once
#include <optional>
#include <string>

#include "app/umstat/options.h"
#include "app/umstat/source.h"
#include "lib/base/result.h"

namespace umbuf::umstat {

// is_screen - standard output is a terminal that can be painted on.
[[nodiscard]] bool is_screen();

// follow - until q, a signal or -q. The terminal is then as it was before. Error: as run().
[[nodiscard]] Status follow(const Options& options, Source& source);

// What a picture is made of.
struct Picture {
    stat::Sample now, since;     // since: what happened in the last `seconds`
    double seconds = 0;
    std::optional<View> view;    // none: the overview
    unsigned rows = 24, columns = 80;
    bool colours = false;
    Options options;
    std::string path;
};
// picture_text - at most so many rows and columns, each row with its end. Without colours: without any
// escape sequence.
[[nodiscard]] std::string picture_text(const Picture& picture);

}  // namespace umbuf::umstat
