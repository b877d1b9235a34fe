// SPDX-License-Identifier: BSD-2-Clause
// options.cc - reading the environment. A value that makes no sense is refused: a check that is off
// by a slip of the pen is worse than none.
#include "drivers/mempool/checked/options.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace umbuf::checked {

namespace {

bool refuse(const char* name, const char* value, const char* expected) noexcept {
    std::fprintf(stderr, "checked mempool: %s=%s: expected %s\n", name, value, expected);
    return false;
}

// number - leaves `out` alone when the variable is not set.
bool number(const char* name, uint32_t& out) noexcept {
    const char* text = std::getenv(name);
    if (text == nullptr) return true;
    char* end = nullptr;
    errno = 0;
    const unsigned long long value = std::strtoull(text, &end, 10);
    const bool digits = text[0] >= '0' && text[0] <= '9' && *end == '\0';
    if (!digits || errno != 0 || value > UINT32_MAX)
        return refuse(name, text, "a number of objects, 0 or more");
    out = static_cast<uint32_t>(value);
    return true;
}

bool action(bool& abort) noexcept {
    const char* text = std::getenv("UM_CHECKED");
    abort = text == nullptr || std::strcmp(text, "abort") == 0;
    return abort || std::strcmp(text, "count") == 0 ||
           refuse("UM_CHECKED", text, "'abort' or 'count'");
}

}  // namespace

bool read_options(uint32_t n, Options& options) noexcept {
    options.quarantine = n / 4;
    if (!action(options.abort) || !number("UM_CHECKED_QUARANTINE", options.quarantine) ||
        !number("UM_CHECKED_SCAN", options.scan))
        return false;
    options.quarantine = std::min(options.quarantine, n);
    options.scan = std::min(options.scan, options.quarantine);
    return true;
}

}  // namespace umbuf::checked
