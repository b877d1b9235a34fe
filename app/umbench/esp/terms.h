// SPDX-License-Identifier: BSD-2-Clause
// terms.h - the SAs of the benchmark: an IPv4 tunnel each, alike but for number and key.
#pragma once
#include <memory>
#include <vector>

#include "app/umbench/esp/esp_case.h"
#include "lib/ipsec/sa.h"

namespace umbuf::bench {

inline constexpr uint8_t kTunnelFrom[4] = {172, 16, 0, 1}, kTunnelTo[4] = {172, 16, 0, 2};
inline constexpr uint32_t kFirstSpi = 0x10000;
inline constexpr uint32_t kOuterBytes = kIpv4Header;

[[nodiscard]] inline IpAddress tunnel_end(const uint8_t (&bytes)[4]) noexcept {
    IpAddress a;
    for (size_t i = 0; i < 4; ++i) a.bytes[i] = bytes[i];
    return a;
}
[[nodiscard]] inline SaTerms terms_of(const EspCase& what, uint32_t i) {
    SaTerms t;
    t.spi = kFirstSpi + i;
    t.id = i;
    t.algorithm = what.algorithm;
    t.src = tunnel_end(kTunnelFrom);
    t.dst = tunnel_end(kTunnelTo);
    return t;
}

using OwnSas = std::vector<std::unique_ptr<Sa>>;
// make_sas - one of ours for each of the case's.
[[nodiscard]] Result<OwnSas> make_sas(const EspCase& what);

}  // namespace umbuf::bench
