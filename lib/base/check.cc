// SPDX-License-Identifier: BSD-2-Clause
// check.cc - the last words of a program whose invariant broke.
#include "lib/base/check.h"

#include <execinfo.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace umbuf {

void die(const char* file, int line, const char* condition, const char* format, ...) noexcept {
    std::fprintf(stderr, "umbuf: %s:%d: broken invariant: %s\n", file, line, condition);
    if (format != nullptr) {
        va_list args;
        va_start(args, format);
        std::fputs("umbuf:   ", stderr);
        std::vfprintf(stderr, format, args);
        std::fputc('\n', stderr);
        va_end(args);
    }
    void* frames[32];
    const int n = backtrace(frames, 32);
    std::fflush(stderr);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    std::abort();
}

}  // namespace umbuf
