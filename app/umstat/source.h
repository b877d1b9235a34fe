// SPDX-License-Identifier: BSD-2-Clause
// source.h - whose numbers: the one forwarder among those that have some here.
#pragma once
#include <string>
#include <vector>

#include "app/umstat/options.h"
#include "lib/base/result.h"
#include "lib/stat/reader.h"

namespace umbuf::umstat {

inline constexpr const char* kFolder = "/dev/shm";  // where stat::path_of() puts them

// Found - a file of statistics, and a word about its writer.
struct Found {
    std::string prefix, path;
    std::string state;  // "running, pid 12"; or why it cannot be read
};
// found_in - all of a folder, by name. Whatever is no segment is left out; one that may not be read is in.
[[nodiscard]] std::vector<Found> found_in(const std::string& folder);

// path_for - the file that the options ask for. Without a name: the only one there is. Error: there is
// none, or there are several, and which.
[[nodiscard]] Result<std::string> path_for(const Options& options, const std::string& folder = kFolder);

// Source - the samples of one path, whichever program writes there.
class Source {
  public:
    // open - Error: what is there instead, and the remedy.
    [[nodiscard]] static Result<Source> open(const std::string& path);
    // sample - now. After a restart of the forwarder, the new one's. Error: as open(), or the file was
    // cut off.
    [[nodiscard]] Status sample(stat::Sample& to);
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

  private:
    Source(std::string path, stat::Reader reader) : path_(std::move(path)), reader_(std::move(reader)) {}
    std::string path_;
    stat::Reader reader_;
};

}  // namespace umbuf::umstat
