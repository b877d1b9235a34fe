// SPDX-License-Identifier: BSD-2-Clause
// model.h - the frame of a model: relacy under the shipped headers, and a main() that names suites.
//
// relacy runs a suite's threads in every order that a scheduler could choose. An atomic load returns
// the newest value, and in another execution the one before it, wherever the C++ memory model allows
// that (older ones it leaves out: docs/refcount-proof.md). Plain memory that the suites touch is
// rl::var: two unordered accesses, one of them a write, are reported as a race.
//
// Include this first: it must set the seam (lib/base/sync.h) before any of our headers is seen, and
// the standard headers must come before relacy, which redefines new, free and errno.
#pragma once
#include <array>
#include <bit>
#include <cerrno>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <ostream>
#include <streambuf>

#define UM_MODEL
#include <relacy/relacy.hpp>
// A broken invariant fails the interleaving that broke it, not the process.
#define UM_ASSERT(condition) RL_ASSERT(condition)
#define UM_ASSERT_MSG(condition, ...) RL_ASSERT(condition)
#define UM_TEXT2(name) #name
#define UM_TEXT(name) UM_TEXT2(name)

namespace umbuf::model {

struct Suite {
    const char* name;
    bool (*run)(const char* name);
};

// Page - a stream into fixed memory. relacy replaces operator new while a suite runs, so a stream
// that grew then could not be freed later. What does not fit is cut.
class Page : private std::streambuf, public std::ostream {
  public:
    Page() : std::ostream(static_cast<std::streambuf*>(this)) { setp(text_, text_ + sizeof(text_) - 1); }
    const char* text() noexcept {
        *pptr() = '\0';
        return text_;
    }

  private:
    char text_[1 << 18];
};

// kSwitches - for a suite that explodes: how many context switches are explored, besides those that a
// thread makes by waiting or ending. 0: all there are.
template <class S>
inline constexpr unsigned kSwitches = 0;
template <class S>
using SchedulerFor = std::conditional_t<kSwitches<S> == 0, rl::full_search_scheduler<S::params::thread_count>,
                                        rl::context_bound_scheduler<S::params::thread_count>>;

// explore - all interleavings of one suite. False: one of them went wrong; its history was printed.
template <class S>
bool explore(const char* name) {
    using Scheduler = SchedulerFor<S>;
    static Page text, state, quiet;
    rl::test_params params;
    params.search_type = rl::fair_full_search_scheduler_type;
    if (kSwitches<S> != 0) {
        params.search_type = rl::fair_context_bound_scheduler_type;
        params.context_bound = kSwitches<S>;
    }
    params.output_stream = &text;
    params.progress_stream = &quiet;
    const bool ok = rl::run_test<S, Scheduler>(params, state, false) == S::params::expected_result;
    char bound[32] = "";
    if (kSwitches<S> != 0) std::snprintf(bound, sizeof bound, ", up to %u switches", kSwitches<S>);
    std::printf("%s %s: %llu executions%s\n", ok ? "ok  " : "FAIL", name,
                static_cast<unsigned long long>(params.stop_iteration), bound);
    std::fflush(stdout);
    if (ok) return true;
    params.initial_state = state.text();  // the execution that failed, once more, with its history
    params.collect_history = true;
    rl::run_test<S, Scheduler>(params, quiet, true);
    std::puts(text.text());
    return false;
}

// run_suites - all of them, or those named on the command line. The exit status of the program.
template <size_t N>
int run_suites(const Suite (&suites)[N], int argc, char** argv) {
    unsigned failed = 0, ran = 0;
    for (const Suite& suite : suites) {
        bool wanted = argc < 2;
        for (int i = 1; i < argc; ++i) wanted |= std::strcmp(argv[i], suite.name) == 0;
        if (!wanted) continue;
        ++ran;
        failed += suite.run(suite.name) ? 0 : 1;
    }
    std::printf("%u passed, %u failed\n", ran - failed, failed);
    if (ran < static_cast<unsigned>(argc - 1)) {
        std::printf("%s: not all of the named suites exist\n", argv[0]);
        return 2;
    }
    return failed == 0 && ran > 0 ? 0 : 1;
}

}  // namespace umbuf::model
