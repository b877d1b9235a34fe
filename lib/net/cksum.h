// SPDX-License-Identifier: BSD-2-Clause
// cksum.h - sums over chains: the Internet checksum (RFC 1071), and SCTP's CRC32c (RFC 9260, appendix A).
//
// One sum for all chains, however they are cut, and wherever their bytes lie: unmapped mbufs are read
// through windows (lib/mbuf/window.h), and nothing is copied. FreeBSD: in_cksum.c over m_apply().
//
// Not DPDK's: rte_raw_cksum_mbuf() (22.11) loses carries where a segment ends at an odd offset, and
// follows mtod().
//
// Thread: the chain's owner. [off, off + len) is inside the chain; bytes. What can fail returns 0, or
// EBUSY, EIO, EOPNOTSUPP (window.h, W3), and the result is not written.
#pragma once
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// add_sums - of two sums, with the carry folded in.
[[nodiscard]] inline uint16_t add_sums(uint32_t a, uint32_t b) noexcept {
    const uint32_t sum = a + b;
    return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

// in_sum - the sum, not complemented, as it stands in memory (network order). 0xffff over bytes that
// have their right checksum.
[[nodiscard]] int in_sum(const Mbuf* m, uint32_t off, uint32_t len, uint16_t* sum) noexcept;
// in_cksum - its complement: what goes into the checksum field, which is 0 or outside the range. FreeBSD.
[[nodiscard]] int in_cksum(const Mbuf* m, uint32_t off, uint32_t len, uint16_t* cksum) noexcept;
// in_pseudo - the sum of a pseudo header (RFC 768, RFC 8200 8.1), not complemented: both addresses, side
// by side as in either header (8 bytes, or 32), the protocol, the length of header and data.
[[nodiscard]] uint16_t in_pseudo(const void* addresses, uint32_t size, uint8_t proto, uint32_t len) noexcept;

// crc32c - as a number; SCTP sends its lowest byte first.
[[nodiscard]] int crc32c(const Mbuf* m, uint32_t off, uint32_t len, uint32_t* crc) noexcept;

}  // namespace umbuf
