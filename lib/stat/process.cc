// SPDX-License-Identifier: BSD-2-Clause
// process.cc - from /proc.
#include "lib/stat/process.h"

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace umbuf::stat {

uint64_t started_ticks(uint32_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    const std::string all((std::istreambuf_iterator<char>(in)), {});
    const size_t name_ends = all.rfind(')');  // a program's name may hold anything
    if (name_ends == std::string::npos) return 0;
    std::istringstream rest(all.substr(name_ends + 1));
    std::string word;
    for (int field = 3; field <= 21; ++field) rest >> word;
    uint64_t ticks = 0;
    rest >> ticks;
    return ticks;
}

}  // namespace umbuf::stat
