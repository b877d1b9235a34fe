// SPDX-License-Identifier: BSD-2-Clause
// program.h - what one test program has and another has not: a few words of tests/unit/meson.build.
#pragma once
#include <cstdint>
#include <string>

namespace umbuf::test {

extern const char* const eal_words;  // more of them for EAL
// leave_eal - the program ends without cleaning EAL up: after memif, DPDK 22.11's interrupt thread still walks handles in
// the memory that cleaning up unmaps. Set by the test that uses it.
inline bool leave_eal = false;
extern const uint32_t most_mbufs;    // in the mbuf zone; 0: as many as usual
extern const std::string source_root;  // where this tree lies

}  // namespace umbuf::test
