// SPDX-License-Identifier: BSD-2-Clause
// json.h - a sample for programs.
#pragma once
#include <string>

#include "lib/stat/reader.h"

namespace umbuf::umstat {

// sample_json - one object on one line, without a newline:
//      {"program", "version", "prefix", "pid", "generation", "life", "started", "beat", "taken",
//       "unlisted", "skipped", "numbers": [{"name", "unit", "kind", "labels": {...}, "value" | "cells"}]}
// Times are seconds of the Unix epoch. generation is a string: it has 64 bits. Counters are what they
// are, since the forwarder's start; the last cells of a histogram that are 0 are left out.
[[nodiscard]] std::string sample_json(const stat::Sample& sample);

}  // namespace umbuf::umstat
