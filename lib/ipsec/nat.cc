// SPDX-License-Identifier: BSD-2-Clause
// nat.cc - one checksum, corrected, dropped or made anew.
#include "lib/ipsec/nat.h"

#include <cstring>

#include "lib/ipsec/selector.h"
#include "lib/net/cksum.h"

namespace umbuf {
namespace {

// Where the checksum is, behind the IP header; 0: this protocol has none that covers addresses, or none
// that RFC 3948 speaks of.
uint32_t checksum_at(uint8_t proto) noexcept {
    switch (proto) {
        case kProtoTcp: return 16;
        case kProtoUdp: return 6;
        case kProtoIcmpv6: return 2;  // it has a pseudo header, too (RFC 4443, 2.3)
        default: return 0;
    }
}

const std::byte* addresses_of(const std::byte* header, bool v6) noexcept { return header + (v6 ? 8 : 12); }

uint16_t sum_of(const IpAddress& src, const IpAddress& dst) noexcept {
    const uint32_t size = src.v6 ? 16 : 4;
    std::byte both[32];
    std::memcpy(both, src.bytes.data(), size);
    std::memcpy(both + size, dst.bytes.data(), size);
    return in_pseudo(both, 2 * size, 0, 0);
}

uint16_t sum_of(const std::byte* header, bool v6) noexcept { return in_pseudo(addresses_of(header, v6), v6 ? 32 : 8, 0, 0); }

// corrected - RFC 1624, equation 3: ~(~HC + ~m + m').
uint16_t corrected(uint16_t field, uint16_t was, uint16_t is) noexcept {
    return static_cast<uint16_t>(~add_sums(add_sums(static_cast<uint16_t>(~field), static_cast<uint16_t>(~was)), is));
}

uint16_t made_anew(const Mbuf* m, const IpView& ip, uint8_t proto, uint16_t field) noexcept {
    const uint32_t len = ip.length - ip.header;
    uint16_t sum = 0;
    (void)in_sum(m, ip.header, len, &sum);  // mapped
    sum = add_sums(sum, static_cast<uint16_t>(~field));  // as if the field were 0
    return static_cast<uint16_t>(~add_sums(sum, in_pseudo(addresses_of(m->data(), ip.v6), ip.v6 ? 32 : 8, proto, len)));
}

}  // namespace

void mend_checksum(Mbuf* m, const IpView& ip, uint8_t proto, const NatOa& oa) noexcept {
    const uint32_t at = ip.header + checksum_at(proto);
    if (at == ip.header || at + 2 > ip.length || at + 2 > m->len()) return;
    std::byte* to = m->data() + at;
    uint16_t field = 0;
    std::memcpy(&field, to, sizeof(field));
    if (proto == kProtoUdp && field == 0) return;  // the sender made none
    const bool known = oa.known && oa.src.v6 == ip.v6 && oa.dst.v6 == ip.v6;
    const uint16_t was = known ? sum_of(oa.src, oa.dst) : uint16_t{0}, is = sum_of(m->data(), ip.v6);
    if (known && was == is) return;  // no NAT: not even 0xffff becomes 0
    uint16_t mended = 0;
    if (known)
        mended = corrected(field, was, is);
    else if (proto != kProtoUdp || ip.v6)
        mended = made_anew(m, ip, proto, field);
    const bool none = proto == kProtoUdp && !known && !ip.v6;
    if (mended == 0 && proto == kProtoUdp && !none) mended = 0xffff;
    std::memcpy(to, &mended, sizeof(mended));
}

}  // namespace umbuf
