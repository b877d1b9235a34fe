// SPDX-License-Identifier: BSD-2-Clause
// mac_text.h - an Ethernet address as people write it: "02:00:00:00:00:01".
#pragma once
#include <string>

#include <rte_ether.h>

namespace umbuf::fwd {

inline std::string mac_text(const rte_ether_addr& mac) {
    char text[RTE_ETHER_ADDR_FMT_SIZE];
    rte_ether_format_addr(text, sizeof text, &mac);
    return text;
}

}  // namespace umbuf::fwd
