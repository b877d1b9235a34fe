// SPDX-License-Identifier: BSD-2-Clause
// source.cc - looks into /dev/shm, and asks nobody.
#include "app/umstat/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "lib/stat/segment.h"

namespace umbuf::umstat {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kBefore = "umbuf.";  // as stat::path_of() has it

// remedy - what to do about it, for an Error of the reader's.
std::string remedy(const Error& error, const std::string& path) {
    switch (error.code) {
    case ENOENT: return "no forwarder has its statistics there: is one running, with this --file-prefix, and without --stats-file?";
    case EACCES: return fmt::format("it is its group's to read: join that group (ls -l {}), or be root", path);
    default: return "this is not, or not any more, a forwarder's file of statistics: remove it, or name another by --path";
    }
}

}  // namespace

std::vector<Found> found_in(const std::string& folder) {
    std::vector<Found> all;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename().string();
        if (name.compare(0, kBefore.size(), kBefore) != 0) continue;
        Found found{name.substr(kBefore.size()), at->path().string(), {}};
        Result<stat::Reader> reader = stat::Reader::open(found.path);
        if (!reader && reader.error().code == EINVAL) continue;
        stat::Sample sample;
        if (!reader) found.state = std::strerror(reader.error().code);
        else if (reader.value().sample(sample)) found.state = fmt::format("{}, pid {}", name_of(sample.life), sample.pid);
        all.push_back(std::move(found));
    }
    std::sort(all.begin(), all.end(), [](const Found& a, const Found& b) { return a.prefix < b.prefix; });
    return all;
}

Result<std::string> path_for(const Options& options, const std::string& folder) {
    if (!options.path.empty()) return options.path;
    if (options.prefix_given) return stat::path_of(options.prefix);
    const std::vector<Found> all = found_in(folder);
    if (all.size() == 1) return all[0].path;
    if (all.empty())
        return Error{ENOENT, fmt::format("there is no forwarder's file {}/{}*: start umfwd, or name its file by --path",
                                         folder, kBefore)};
    std::string text = "there are several forwarders; which one? Say --file-prefix with one of:";
    for (const Found& found : all) text += fmt::format("\n  {:<24} {}", found.prefix, found.state);
    return Error{EINVAL, text};
}

Result<Source> Source::open(const std::string& path) {
    Result<stat::Reader> reader = stat::Reader::open(path);
    if (reader) return Source(path, std::move(reader).value());
    return Error{reader.error().code, fmt::format("{}; {}", reader.error().text, remedy(reader.error(), path))};
}

Status Source::sample(stat::Sample& to) {
    if (reader_.replaced()) {
        // One that is just being put there, or is none, leaves us the old one.
        if (Result<stat::Reader> next = stat::Reader::open(path_); next) reader_ = std::move(next).value();
    }
    return reader_.sample(to);
}

}  // namespace umbuf::umstat
