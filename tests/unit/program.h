// SPDX-License-Identifier: BSD-2-Clause
// program.h - what one test program has and another has not: a few words of tests/unit/meson.build.
#pragma once
#include <cstdint>
#include <string>

namespace umbuf::test {

extern const char* const eal_words;  // more of them for EAL
extern const uint32_t most_mbufs;    // in the mbuf zone; 0: as many as usual
extern const std::string source_root;  // where this tree lies

}  // namespace umbuf::test
