// SPDX-License-Identifier: BSD-2-Clause
// program.cc - the one source that is compiled for each test program: the others' objects are shared.
#include "tests/unit/program.h"

#ifndef UM_EAL
#define UM_EAL ""
#endif
#ifndef UM_MBUFS
#define UM_MBUFS 0
#endif
#ifndef UM_SOURCE_ROOT  // of programs whose cases read no sources
#define UM_SOURCE_ROOT "."
#endif

namespace umbuf::test {

const char* const eal_words = UM_EAL;
const uint32_t most_mbufs = UM_MBUFS;
const std::string source_root = UM_SOURCE_ROOT;

}  // namespace umbuf::test
