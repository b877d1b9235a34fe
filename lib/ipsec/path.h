// SPDX-License-Identifier: BSD-2-Clause
// path.h - how long a packet may be on an SA's way (RFC 4301, 8; RFC 1191; RFC 8201).
//
//      MTU of the route to the peer  --+
//                                      +-- the lesser: the path's MTU -- less ESP's share: what a packet may be
//      what routers on the way said  --+
//
// W1  What a router says is believed if it is about a packet of the SA's (too_big.h), lower than what is known, and
//     no lower than 576 bytes, or 1280 of IPv6; it is forgotten after ten minutes.
// W2  One thread learns: the one that changes SAs. All others may read.
#pragma once
#include <cstdint>

#include "lib/base/sync.h"
#include "lib/ipsec/ip.h"

namespace umbuf {

struct SaTerms;

// FragmentRule - who cuts a packet that would be too long once it is protected.
enum class FragmentRule : uint8_t {
    before,  // it is cut, and each piece protected: IPv4 without DF in a tunnel. The peer puts nothing together
    after,   // what ESP made of it is cut, unless its own header has DF set. The peer's ports see whole packets
};

inline constexpr uint32_t kLeastMtu4 = 576, kLeastMtu6 = 1280;
inline constexpr uint64_t kPathKeptS = 600;  // RFC 1191, 6.3; RFC 8201, 4

// outer_length - of the packet that one of `length` bytes becomes. `header`: transport mode's, that stays in front.
[[nodiscard]] uint32_t outer_length(const SaTerms& terms, uint32_t length, uint32_t header = 0) noexcept;
// inner_mtu - the longest packet that becomes one of `most` bytes or less; 0: none does.
[[nodiscard]] uint32_t inner_mtu(const SaTerms& terms, uint32_t most, uint32_t header = 0) noexcept;

// LinkMtus - who knows the routes. A reader's part of them: the lane's lcore.
class LinkMtus {
  public:
    // mtu_to - of the route to this address; 0: there is none, or it is not known.
    [[nodiscard]] virtual uint32_t mtu_to(const IpAddress& to) noexcept = 0;

  protected:
    ~LinkMtus() = default;
};

// SaPath - what is known of one SA's way.
class SaPath {
  public:
    // lower - a router said so (W1, W2). False: it is not lower than what is known. `now_s`: EspLane::now_s's clock.
    bool lower(uint32_t mtu, bool v6, uint64_t now_s) noexcept;
    // learned - 0: nothing, or too long ago. Any thread.
    [[nodiscard]] uint32_t learned(uint64_t now_s) const noexcept;
    // inherit - a rekey changes nothing about the way. W2's thread, before the first packet.
    void inherit(const SaPath& from) noexcept { learned_.store(from.learned_.load(sync::relaxed), sync::relaxed); }
    // mtu - of the path, as its lane saw it last; 0: not known. Any thread.
    [[nodiscard]] uint32_t mtu() const noexcept { return mtu_.load(sync::relaxed); }

    // inner - packets of up to so many bytes fit, whatever their header is; UINT32_MAX: nothing is known. The SA's
    // lane. The routes are asked once a second.
    [[nodiscard]] uint32_t inner(const SaTerms& terms, LinkMtus& links, uint64_t now_s) noexcept {
        if (__builtin_expect(now_s != looked_s_ || learned_.load(sync::relaxed) != seen_, 0)) look(terms, links, now_s);
        return inner_;
    }

  private:
    void look(const SaTerms& terms, LinkMtus& links, uint64_t now_s) noexcept;

    // learned_: the MTU in 16 bits, behind the second when it was learned. One word, read whole: no order is needed.
    sync::atomic<uint64_t> learned_{0};  // [a]
    sync::atomic<uint32_t> mtu_{0};      // [a] written by the lane
    uint32_t inner_ = 0;                 // [l]
    uint64_t looked_s_ = UINT64_MAX;     // [l]
    uint64_t seen_ = 0;                  // [l] of learned_
};

}  // namespace umbuf
