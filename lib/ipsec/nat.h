// SPDX-License-Identifier: BSD-2-Clause
// nat.h - checksums of a transport-mode packet whose addresses a NAT changed on the way (RFC 3948, 3.1.2).
//
// The sender made the inner TCP or UDP checksum over its own addresses, and ESP hid it from the NAT. The
// receiver has three ways, all of the RFC's: where the original addresses are known (NAT-OA, RFC 3947,
// 5.2), the checksum is corrected by the difference, so that one that was wrong stays wrong; else UDP over
// IPv4 is told that it has none, and all others get a new one, which ESP's own check has vouched for.
#pragma once
#include "lib/ipsec/ip.h"
#include "lib/ipsec/sa.h"
#include "lib/mbuf/mbuf.h"

namespace umbuf {

// mend_checksum - of a whole, private, mapped packet, its first 128 bytes in one mbuf, of which `ip` is the
// header as it is now and `proto` what follows. Packets too short for a checksum have none.
void mend_checksum(Mbuf* m, const IpView& ip, uint8_t proto, const NatOa& oa) noexcept;

}  // namespace umbuf
