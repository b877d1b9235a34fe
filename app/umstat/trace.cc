// SPDX-License-Identifier: BSD-2-Clause
// trace.cc - umstat -t: the reference trace, of a forwarder that lives or one that died of it.
#include <fmt/format.h>

#include <filesystem>

#include "app/umstat/views.h"
#include "lib/mbuf/trace_file.h"

namespace umbuf::umstat {

namespace {
constexpr uint64_t kLast = 32;  // as the prompt shows of itself
}

std::string trace_text(const std::string& path, bool all) {
    const std::string file = path + ".trace";
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored))
        return fmt::format("no trace: {} is not there; umfwd --trace-refcnt, or its command `trace refcnt on`, keeps one\n", file);
    const Result<std::string> text = trace::dump_file(file, {nullptr, all ? 0 : kLast});
    return text ? text.value() : text.error().text + "\n";
}

}  // namespace umbuf::umstat
