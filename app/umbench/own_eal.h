// SPDX-License-Identifier: BSD-2-Clause
// own_eal.h - EAL inside umbench itself, for what is measured without a program of its own.
#pragma once
#include "lib/base/result.h"

namespace umbuf::bench {

// start_eal - one lcore on each processor that we may use, at most `most` (0: all); 512 MB, in hugepages
// where they are free. Once per process; rte_eal_cleanup() is the caller's. Error: why EAL refused.
[[nodiscard]] Status start_eal(unsigned most);

}  // namespace umbuf::bench
