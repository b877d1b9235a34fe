// SPDX-License-Identifier: BSD-2-Clause
// compat.h - the one place that knows which DPDK this is: 22.11 (Debian 12) to 24.11 (Debian 13).
#pragma once
#include <rte_version.h>

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0)
#error "umbuf needs DPDK 22.11 or newer"
#endif

namespace umbuf::compat {
inline constexpr bool kDpdk24 = RTE_VERSION >= RTE_VERSION_NUM(24, 11, 0, 0);
}  // namespace umbuf::compat
