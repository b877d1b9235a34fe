// SPDX-License-Identifier: BSD-2-Clause
// sa.h - a security association: what was agreed, and how far it has come (RFC 4301, 4.4.2).
//
// A1  What was agreed (SaTerms, the key) does not change while the SA lives; a rekey is another SA.
// A2  What changes (sequence, window, counters) has one writer: the lcore that the SA's packets go to.
//     Counters may be read by anybody.
// A3  An id is used again with another generation: who keeps (id, generation) across time can tell.
// A4  A key is in memory of its own (secret.h), and wiped when the SA goes.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "lib/base/result.h"
#include "lib/ipsec/algorithm.h"
#include "lib/ipsec/engine.h"
#include "lib/ipsec/ipsec_stats.h"
#include "lib/ipsec/outer.h"
#include "lib/ipsec/path.h"
#include "lib/ipsec/replay.h"
#include "lib/ipsec/secret.h"
#include "lib/ipsec/xfrm_stat.h"

namespace umbuf {

enum class SaMode : uint8_t { tunnel, transport };

// Lifetime - 0 is no limit. Bytes are those that the cipher saw, trailer included (RFC 4301, 4.4.2.1).
struct Lifetime {
    uint64_t bytes = 0, packets = 0, seconds = 0;
    bool operator==(const Lifetime&) const = default;
};

// NatOa - what a packet's addresses were before a NAT changed them (RFC 3947, 5.2).
struct NatOa {
    bool known = false;
    IpAddress src, dst;
};

struct SaTerms {
    uint32_t spi = 0;           // host order; 1 to 255 are reserved, 0 is not an SPI (RFC 4303, 2.1)
    uint32_t id = 0;            // the owner's, with `generation` (A3)
    uint32_t generation = 0;
    Algorithm algorithm;
    SaMode mode = SaMode::tunnel;
    IpAddress src, dst;         // of the tunnel; not looked at in transport mode
    bool esn = false;
    uint32_t window = kReplayDefault;  // numbers; inbound
    uint64_t seq_floor = 0;     // outbound: numbers up to this one were used before, with this key
    bool udp = false;           // RFC 3948
    uint16_t udp_src = 4500, udp_dst = 4500;
    NatOa oa;                   // inbound, transport mode in UDP
    OuterRules outer;
    FragmentRule fragment = FragmentRule::after;  // outbound
    Lifetime soft, hard;
    std::string name;           // for who reads its counters: no comma, no '='; empty: it has none
};

// What an SA has done. One writer.
struct SaCounters {
    sync::Counter packets, bytes;  // let through, and what the cipher saw of them
    sync::Counter replayed, bad_icv, bad_padding;
    sync::Counter soft_expired;    // 1: a soft limit was reached. The owner looks for it, and rekeys
    XfrmCounters refused;
};

// SaQuick - what the usual SA's packets have in common, worked out once: an IPv4 tunnel by an AEAD, in place,
// without UDP or limits (esp_output.cc, esp_input.cc: plan_quickly).
struct SaQuick {
    bool usable = false;
    bool esn = false;
    bool df_and = false, df_or = false;  // outer DF = inner DF & df_and | df_or
    uint8_t tos_and = 0, tos_or = 0;
    bool decap_dscp = false;
    uint32_t spi = 0;
    uint64_t second = 0;        // the outer header's second eight bytes, without the checksum
    uint32_t destination = 0;   // its last four
    uint64_t sum = 0;           // of what is the same in all outer headers
};

class alignas(64) Sa {
  public:
    // make - with a key of algorithm.key_bytes(), which the caller wipes. `now_s`: the clock that esp.h is
    // given, now. Error: terms that make no sense, a key of the wrong length, an engine that cannot.
    // Control thread. The text never has the key in it.
    [[nodiscard]] static Result<std::unique_ptr<Sa>> make(const SaTerms& terms, std::span<const std::byte> key,
                                                          const Engine& engine, uint64_t now_s);

    ~Sa();
    Sa(const Sa&) = delete;
    Sa& operator=(const Sa&) = delete;

    // What every packet asks comes first, and together: with many SAs it is in no cache.
    const SaQuick quick;         // [I]
    const Engine* const engine;  // [I]
    SendSequence sequence;       // [l] outbound
    ReplayWindow window;         // [l] inbound
    const bool in_place;         // [I] what is private may be encrypted and decrypted where it lies
  private:
    const bool limited_;         // [I] it has a limit
    Secret key_;                 // [I]
  public:
    uint16_t next_id = 1;        // [l] of outer IPv4 packets that may be fragmented (RFC 6864)
    SaPath path;                 // outbound
    [[nodiscard]] const std::byte* key() const noexcept { return key_.data(); }
    [[nodiscard]] uint64_t born_s() const noexcept { return born_s_; }
    // add_second - the same key for another engine, too (cross_check.h), which has to have the algorithm. Before
    // the first packet. Control thread.
    [[nodiscard]] Status add_second(const Engine& second, std::span<const std::byte> key);
    [[nodiscard]] const Engine* second() const noexcept { return second_; }  // null: none
    [[nodiscard]] const std::byte* second_key() const noexcept { return second_key_.data(); }
    const stat::Box<SaCounters> cells;  // [I]
    SaCounters& counters;        // [l] where everybody can read
    const SaTerms terms;         // [I]

    // fetch_early - what a packet of this SA will ask for.
    [[gnu::always_inline]] void fetch_early() const noexcept {
        __builtin_prefetch(this);
        __builtin_prefetch(reinterpret_cast<const std::byte*>(this) + 64);
        __builtin_prefetch(reinterpret_cast<const std::byte*>(this) + 128);
    }
    [[gnu::always_inline]] void fetch_key_early() const noexcept {
        for (size_t at = 0; at < key_.size(); at += 64) __builtin_prefetch(key_.data() + at);
    }

    // expired - does one more packet of `bytes` go past a hard limit? Notes a soft limit that is reached.
    [[nodiscard]] bool expired(uint64_t bytes, uint64_t now_s) noexcept { return limited_ && expired_slowly(bytes, now_s); }

  private:
    Sa(const SaTerms& t, const Engine& e, Secret key, uint64_t now_s);
    [[nodiscard]] bool expired_slowly(uint64_t bytes, uint64_t now_s) noexcept;
    [[nodiscard]] static std::string labels_of(const SaTerms& terms);
    [[nodiscard]] bool past(const Lifetime& limit, uint64_t bytes, uint64_t now_s) const noexcept;

    Secret second_key_;               // [I]
    const Engine* second_ = nullptr;  // [I]
    uint64_t born_s_;  // [I]
};

}  // namespace umbuf
