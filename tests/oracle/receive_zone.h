// SPDX-License-Identifier: BSD-2-Clause
// receive_zone.h - the zone that tests receive into: made when it is first asked for, and again after
// mbfini().
#pragma once
#include <algorithm>

#include "lib/mbuf/zone.h"

namespace umbuf::test {

inline Zone* receive_zone() {
    static constexpr const char* kName = "um_rx_test";
    const auto& all = zones();
    const auto found = std::find_if(all.begin(), all.end(), [](const Zone* z) { return z->name == kName; });
    return found != all.end() ? *found : packet_zone(kName, 2047, 2048, 0, 64).value();
}

}  // namespace umbuf::test
