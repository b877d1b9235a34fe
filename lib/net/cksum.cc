// SPDX-License-Identifier: BSD-2-Clause
// cksum.cc - sums of pieces, put together.
#include "lib/net/cksum.h"

#include <rte_byteorder.h>
#include <rte_hash_crc.h>
#include <rte_ip.h>

#include "lib/mbuf/verbs/walk.h"

namespace umbuf {
namespace {

struct Sum {
    uint16_t sum = 0;
    bool odd = false;  // an odd number of bytes so far
};

int add_piece(void* arg, void* data, unsigned n) {
    Sum& s = *static_cast<Sum*>(arg);
    uint16_t part = rte_raw_cksum(data, n);
    // Bytes change places in their words when an odd number came before (RFC 1071 2.B).
    if (s.odd) part = rte_bswap16(part);
    s.sum = add_sums(s.sum, part);
    s.odd ^= n % 2 != 0;
    return 0;
}

int crc_piece(void* arg, void* data, unsigned n) {
    uint32_t& crc = *static_cast<uint32_t*>(arg);
    crc = rte_hash_crc(data, n, crc);
    return 0;
}

// m_apply changes nothing in a chain; its callbacks could.
Mbuf* only_read(const Mbuf* m) noexcept { return const_cast<Mbuf*>(m); }

}  // namespace

int in_sum(const Mbuf* m, uint32_t off, uint32_t len, uint16_t* sum) noexcept {
    Sum s;
    if (const int error = m_apply(only_read(m), off, len, add_piece, &s); error != 0) return error;
    *sum = s.sum;
    return 0;
}

int in_cksum(const Mbuf* m, uint32_t off, uint32_t len, uint16_t* cksum) noexcept {
    uint16_t sum = 0;
    if (const int error = in_sum(m, off, len, &sum); error != 0) return error;
    *cksum = static_cast<uint16_t>(~sum);
    return 0;
}

uint16_t in_pseudo(const void* addresses, uint32_t size, uint8_t proto, uint32_t len) noexcept {
    const uint32_t length = rte_cpu_to_be_32(len);
    const uint16_t rest = add_sums(rte_cpu_to_be_16(proto), add_sums(length & 0xffff, length >> 16));
    return add_sums(rte_raw_cksum(addresses, size), rest);
}

int crc32c(const Mbuf* m, uint32_t off, uint32_t len, uint32_t* crc) noexcept {
    uint32_t state = UINT32_MAX;
    if (const int error = m_apply(only_read(m), off, len, crc_piece, &state); error != 0) return error;
    *crc = ~state;
    return 0;
}

}  // namespace umbuf
