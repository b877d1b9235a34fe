// SPDX-License-Identifier: BSD-2-Clause
// path.cc - sizes forth and back, and what is remembered.
#include "lib/ipsec/path.h"

#include <algorithm>

#include "lib/ipsec/outer.h"
#include "lib/ipsec/sa.h"

namespace umbuf {
namespace {

constexpr uint32_t kTrailer = 2;  // the padding's length, and what is inside

// Around - what a packet is inside of, in bytes; `align`: of text.
struct Around {
    uint32_t before, behind, align;
};

Around around(const SaTerms& terms, uint32_t header) noexcept {
    const CipherKind& cipher = *terms.algorithm.cipher;
    const uint32_t outer = terms.mode == SaMode::tunnel ? outer_bytes(terms.src.v6) : header;
    return {outer + (terms.udp ? kUdpHeader : 0) + 8 + cipher.iv, terms.algorithm.icv(), std::max<uint32_t>(4, cipher.block)};
}

uint32_t in_clear(const SaTerms& terms, uint32_t header) noexcept { return terms.mode == SaMode::tunnel ? 0 : header; }

}  // namespace

uint32_t outer_length(const SaTerms& terms, uint32_t length, uint32_t header) noexcept {
    const Around a = around(terms, header);
    const uint32_t text = length - in_clear(terms, header) + kTrailer;
    return a.before + (text + a.align - 1) / a.align * a.align + a.behind;
}

uint32_t inner_mtu(const SaTerms& terms, uint32_t most, uint32_t header) noexcept {
    const Around a = around(terms, header);
    if (most < a.before + a.behind) return 0;
    const uint32_t text = (most - a.before - a.behind) / a.align * a.align;
    return text < kTrailer ? 0 : in_clear(terms, header) + text - kTrailer;
}

bool SaPath::lower(uint32_t mtu, bool v6, uint64_t now_s) noexcept {
    const uint32_t is = std::min<uint32_t>(std::max(mtu, v6 ? kLeastMtu6 : kLeastMtu4), UINT16_MAX);
    const uint32_t was = learned(now_s), seen = mtu_.load(sync::relaxed);
    if ((was != 0 && is >= was) || (seen != 0 && is >= seen)) return false;
    learned_.store((now_s + 1) << 16 | is, sync::relaxed);
    return true;
}

uint32_t SaPath::learned(uint64_t now_s) const noexcept {
    const uint64_t word = learned_.load(sync::relaxed);
    const uint64_t since = word >> 16;  // a lane's clock may be a moment behind
    if (word == 0 || now_s + 1 >= since + kPathKeptS) return 0;
    return word & 0xffff;
}

// Of transport mode's headers none is known yet: the shortest packet that could be too long is told.
void SaPath::look(const SaTerms& terms, LinkMtus& links, uint64_t now_s) noexcept {
    looked_s_ = now_s;
    seen_ = learned_.load(sync::relaxed);
    const bool somewhere = terms.dst.bytes != IpAddress{}.bytes;  // transport mode may not know
    const uint32_t link = somewhere ? links.mtu_to(terms.dst) : 0, said = learned(now_s);
    const uint32_t mtu = link == 0 || said == 0 ? std::max(link, said) : std::min(link, said);
    mtu_.store(mtu, sync::relaxed);
    inner_ = mtu == 0 ? UINT32_MAX : inner_mtu(terms, mtu, kIpv4Header);
    if (mtu != 0 && terms.mode == SaMode::transport) inner_ -= std::min<uint32_t>(inner_, kMaxAlign);
}

}  // namespace umbuf
