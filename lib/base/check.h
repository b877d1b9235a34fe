// SPDX-License-Identifier: BSD-2-Clause
// check.h - what must hold; when it does not, the program dies at once and says why.
//
// UM_ASSERT stays on in every build: a broken invariant that is survived is found again as a
// corrupted packet. The price is one predicted branch, and the checks on the data plane are chosen
// so that they test a line that is already in the cache.
#pragma once
#include <cstdarg>

namespace umbuf {

// die - print where, what and a backtrace to standard error, then abort(). Any thread.
[[noreturn]] void die(const char* file, int line, const char* condition, const char* format = nullptr,
                      ...) noexcept __attribute__((cold, format(printf, 4, 5)));
// die_about - the same, and the hooks are told which object was found broken.
[[noreturn]] void die_about(const void* object, const char* file, int line, const char* condition,
                            const char* format, ...) noexcept __attribute__((cold, format(printf, 5, 6)));

// Death - what a hook is told.
struct Death {
    const char* file;
    int line;
    const char* condition;
    const void* object;  // of die_about; null: not known
};
// on_die - a hook may add to the last words, on standard error. It runs on the thread that dies, after
// the words and the backtrace; it may allocate, and if it dies itself no hook runs again. Up to eight
// hooks, each once, in the order of their coming. Control thread.
using DeathHook = void (*)(const Death& death) noexcept;
void on_die(DeathHook hook) noexcept;

}  // namespace umbuf

// The model builds bring their own UM_ASSERT, which fails one interleaving, not the process.
#ifndef UM_ASSERT
#define UM_ASSERT(condition) \
    (__builtin_expect(!!(condition), 1) ? static_cast<void>(0) : ::umbuf::die(__FILE__, __LINE__, #condition))
#endif
// UM_ASSERT_ABOUT - names the broken object, for those who know its past (lib/mbuf/trace.h).
#ifndef UM_ASSERT_ABOUT
#ifdef UM_MODEL
#define UM_ASSERT_ABOUT(condition, object, ...) UM_ASSERT_MSG(condition, __VA_ARGS__)
#else
#define UM_ASSERT_ABOUT(condition, object, ...)            \
    (__builtin_expect(!!(condition), 1) ? static_cast<void>(0) \
                                        : ::umbuf::die_about(object, __FILE__, __LINE__, #condition, __VA_ARGS__))
#endif
#endif
#ifndef UM_ASSERT_MSG
#define UM_ASSERT_MSG(condition, ...) \
    (__builtin_expect(!!(condition), 1) ? static_cast<void>(0) \
                                        : ::umbuf::die(__FILE__, __LINE__, #condition, __VA_ARGS__))
#endif
