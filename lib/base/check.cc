// SPDX-License-Identifier: BSD-2-Clause
// check.cc - the last words of a program whose invariant broke.
#include "lib/base/check.h"

#include <execinfo.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "lib/base/sync.h"

namespace umbuf {
namespace {

std::array<DeathHook, 8> hooks;
sync::atomic<uint32_t> n_hooks{0};
constinit thread_local bool dying = false;

[[noreturn]] void die_with(const Death& death, const char* format, va_list args) noexcept {
    std::fprintf(stderr, "umbuf: %s:%d: broken invariant: %s\n", death.file, death.line, death.condition);
    if (format != nullptr) {
        std::fputs("umbuf:   ", stderr);
        std::vfprintf(stderr, format, args);
        std::fputc('\n', stderr);
    }
    void* frames[32];
    const int n = backtrace(frames, 32);
    std::fflush(stderr);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    if (!dying) {
        dying = true;
        for (uint32_t i = 0; i < n_hooks.load(sync::acquire); ++i) hooks[i](death);
        std::fflush(stderr);
    }
    std::abort();
}

}  // namespace

void die(const char* file, int line, const char* condition, const char* format, ...) noexcept {
    va_list args;
    va_start(args, format);
    die_with({file, line, condition, nullptr}, format, args);
}

void die_about(const void* object, const char* file, int line, const char* condition, const char* format,
               ...) noexcept {
    va_list args;
    va_start(args, format);
    die_with({file, line, condition, object}, format, args);
}

void on_die(DeathHook hook) noexcept {
    const uint32_t n = n_hooks.load(sync::relaxed);
    for (uint32_t i = 0; i < n; ++i)
        if (hooks[i] == hook) return;
    UM_ASSERT(n < hooks.size());
    hooks[n] = hook;
    n_hooks.store(n + 1, sync::release);  // pairs with the acquire in die_with()
}

}  // namespace umbuf
