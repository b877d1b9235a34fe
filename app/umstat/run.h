// SPDX-License-Identifier: BSD-2-Clause
// run.h - samples, one after another, printed as was asked.
#pragma once
#include <string>

#include "app/umstat/options.h"
#include "app/umstat/source.h"
#include "lib/base/result.h"

namespace umbuf::umstat {

// run - until it is done: after one sample, after -q, or when somebody ends it. Error: what is wrong with
// the forwarder's file, or with standard output.
[[nodiscard]] Status run(const Options& options, Source& source);

// Ticker - a steady beat: a reader that was late does not run after what it missed.
class Ticker {
  public:
    explicit Ticker(double seconds);
    // left_ms - until the next beat; 0: it is due.
    [[nodiscard]] int left_ms() const;
    // wait - until the next beat.
    void wait();
    // next - this beat is over.
    void next();

  private:
    uint64_t period_ns_, due_ns_;  // CLOCK_MONOTONIC
};

}  // namespace umbuf::umstat
