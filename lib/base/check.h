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

}  // namespace umbuf

// The model builds bring their own UM_ASSERT, which fails one interleaving, not the process.
#ifndef UM_ASSERT
#define UM_ASSERT(condition) \
    (__builtin_expect(!!(condition), 1) ? static_cast<void>(0) : ::umbuf::die(__FILE__, __LINE__, #condition))
#endif
#ifndef UM_ASSERT_MSG
#define UM_ASSERT_MSG(condition, ...) \
    (__builtin_expect(!!(condition), 1) ? static_cast<void>(0) \
                                        : ::umbuf::die(__FILE__, __LINE__, #condition, __VA_ARGS__))
#endif
