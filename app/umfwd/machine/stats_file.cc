// SPDX-License-Identifier: BSD-2-Clause
// stats_file.cc - where it is, and who may read it.
#include "app/umfwd/machine/stats_file.h"

#include <grp.h>

#include <charconv>
#include <filesystem>

#include <fmt/format.h>
#include <rte_eal.h>

#include "app/umfwd/say.h"
#include "lib/stat/segment.h"

namespace umbuf::fwd {

namespace {

// Room for some 300 streams of 20 numbers and a histogram each, 100 ports and all zones: 4.6 MB.
constexpr uint32_t kEntries = 8192, kCellBytes = 2u << 20;

// eal_prefix - --file-prefix, or EAL's own default: its folder is named so.
std::string eal_prefix() { return std::filesystem::path(rte_eal_get_runtime_dir()).filename().string(); }

Status open(const Settings& settings) {
    stat::Plan plan;
    plan.prefix = eal_prefix();
    plan.path = settings.stats_file.empty() ? stat::path_of(plan.prefix) : settings.stats_file;
    plan.program = "umfwd";
    plan.version = UMBUF_VERSION;
    plan.entries = kEntries;
    plan.cell_bytes = kCellBytes;
    plan.globals = true;
    if (!settings.stats_group.empty()) {
        const Result<int> group = stats_group(settings.stats_group);
        if (!group) return group.error();
        plan.group = group.value();
    }
    if (Status opened = stat::open(plan); !opened) return opened;
    std::error_code ignored;
    std::filesystem::remove(plan.path + ".trace", ignored);  // an earlier program's; ours comes when somebody traces
    return {};
}

}  // namespace

Result<int> stats_group(const std::string& name) {
    int number = -1;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc{} && end == name.data() + name.size() && number >= 0) return number;
    const group* known = getgrnam(name.c_str());
    if (known == nullptr) return Error{EINVAL, fmt::format("--stats-group={}: there is no group of this name", name)};
    return static_cast<int>(known->gr_gid);
}

StatsFile::StatsFile(const Settings& settings) {
    if (settings.stats_file == "none") return;
    if (const Status opened = open(settings); !opened)
        say(fmt::format("Note: {}; going on without, nobody can look at the numbers from outside\n", opened.error().text));
}

StatsFile::~StatsFile() { stat::close(); }

}  // namespace umbuf::fwd
