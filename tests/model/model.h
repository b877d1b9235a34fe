// SPDX-License-Identifier: BSD-2-Clause
// model.h - the frame of a model: relacy under the shipped headers, and a main() that names suites.
//
// relacy runs a suite's threads in every order that a scheduler could choose, and lets every atomic
// load return every value that the C++ memory model allows. Plain memory that the suites touch is
// rl::var: two unordered accesses, one of them a write, are reported as a race.
//
// Include this first: it must set the seam (lib/base/sync.h) before any of our headers is seen, and
// the standard headers must come before relacy, which redefines new, free and errno.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
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

// explore - all interleavings of one suite. False: one of them went wrong; its history was printed.
template <class S>
bool explore(const char* name) {
    using Scheduler = rl::full_search_scheduler<S::params::thread_count>;
    static Page text, state, quiet;
    rl::test_params params;
    params.search_type = rl::fair_full_search_scheduler_type;
    params.output_stream = &text;
    params.progress_stream = &quiet;
    const bool ok = rl::run_test<S, Scheduler>(params, state, false) == S::params::expected_result;
    std::printf("%s %s: %llu executions\n", ok ? "ok  " : "FAIL", name,
                static_cast<unsigned long long>(params.stop_iteration));
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
