// SPDX-License-Identifier: BSD-2-Clause
// trace.cc - umstat -t: the reference trace, of a forwarder that lives or one that died of it.
#include <fmt/format.h>

#include <filesystem>

#include "app/umstat/views.h"

namespace umbuf::umstat {

std::string trace_text(const std::string& path) {
    const std::string file = path + ".trace";
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored))
        return fmt::format("no trace: {} is not there; umfwd --trace-refcnt, or its command `trace refcnt on`, keeps one\n", file);
    return fmt::format("{} is of a forwarder whose traces this umstat does not know\n", file);
}

}  // namespace umbuf::umstat
