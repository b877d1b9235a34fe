// SPDX-License-Identifier: BSD-2-Clause
// verdict.h - what a final report says about a run: the exit status, as a sentence.
#pragma once
#include "app/umfwd/report.h"
#include "app/umfwd/settings.h"
#include "lib/base/result.h"

namespace umbuf::fwd {

// verdict - ok, or the first thing that is wrong: a halt with problems, a pool that is not whole, a
// stream that does not add up, corrupt or duplicate packets in mode seqgen that our own --faults did
// not make. What mode seqgen misses is no reason: between two programs, one side cannot know what
// the other counted (scripts/run joins both reports and judges that).
[[nodiscard]] Status verdict(const Report& report, const Settings& settings);

}  // namespace umbuf::fwd
