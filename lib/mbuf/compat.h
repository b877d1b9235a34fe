// SPDX-License-Identifier: BSD-2-Clause
// compat.h - the one place that knows which DPDK this is: 22.11 (Debian 12) to 24.11 (Debian 13).
#pragma once
#include <cstdint>

#include <rte_ring.h>
#include <rte_telemetry.h>
#include <rte_version.h>

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0)
#error "umbuf needs DPDK 22.11 or newer"
#endif

namespace umbuf::compat {
inline constexpr bool kDpdk24 = RTE_VERSION >= RTE_VERSION_NUM(24, 11, 0, 0);

// add_to_dict - a number to an answer of telemetry; renamed in 23.03.
inline int add_to_dict(rte_tel_data* to, const char* name, uint64_t n) {
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
    return rte_tel_data_add_dict_uint(to, name, n);
#else
    return rte_tel_data_add_dict_u64(to, name, n);
#endif
}

// ring_create_elem - rte_ring_create_elem(), by its symbol: 24.11 declares it as a function of C++.
rte_ring* ring_create_elem(const char* name, unsigned esize, unsigned count, int socket, unsigned flags) __asm__("rte_ring_create_elem");
}  // namespace umbuf::compat
