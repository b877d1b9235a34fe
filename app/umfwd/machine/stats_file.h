// SPDX-License-Identifier: BSD-2-Clause
// stats_file.h - the segment of statistics of a umfwd, from the first zone to the last word.
#pragma once
#include <string>

#include "app/umfwd/settings.h"
#include "lib/base/result.h"

namespace umbuf::fwd {

// StatsFile - open while it lives, where the settings want one. Made after EAL has started, before anything
// counts; at most one. The file stays behind, to be read.
class StatsFile {  // Control thread.
  public:
    // Prints one note where there can be none: everything is counted all the same, and nobody can look.
    explicit StatsFile(const Settings& settings);
    ~StatsFile();
    StatsFile(const StatsFile&) = delete;
    StatsFile& operator=(const StatsFile&) = delete;
};

// stats_group - the number of a group, given by its name or number. Error: there is none.
[[nodiscard]] Result<int> stats_group(const std::string& name);

}  // namespace umbuf::fwd
