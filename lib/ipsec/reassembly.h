// SPDX-License-Identifier: BSD-2-Clause
// reassembly.h - IP packets put together from their fragments (RFC 791 3.2, RFC 8200 4.5).
//
// The fragments' mbufs are linked, one behind the other: no payload is read or copied, so they may be shared, or in
// pages. Of the first fragment the header is made private before it is written.
//
//      G1  What overlaps is no packet of ours: all of it is dropped, and what comes of it later (RFC 5722, RFC 8200
//          4.5; for IPv4, too). A fragment that came twice is not an overlap: the second is dropped.
//      G2  Held are at most so many packets, fragments and mbufs. Where there is no room, the packet goes that has
//          waited longest: who floods us with beginnings must be faster than an honest packet's pieces are.
//      G3  given = whole + held + merged + dropped, fragment by fragment.
//
// Not DPDK's rte_ip_frag: docs/decisions/0051.
//
// Thread: one lane.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/ipsec/esp_held.h"
#include "lib/ipsec/ip.h"
#include "lib/mbuf/mbuf.h"

namespace umbuf {

struct ReassemblyLimits {
    uint32_t packets = 512;     // that are not whole yet
    uint32_t fragments = 4096;  // of all of them, and 512 of one
    uint32_t mbufs = 8192;      // of all of them
    uint64_t seconds = 30;      // from the first fragment that came. RFC 8200 allows 60
};

// One writer, any readers. Fragments, but `whole`.
struct ReassemblyCounters {
    sync::Counter whole;        // packets
    sync::Counter merged;       // into a packet, behind its first
    sync::Counter twice;        // the same one again
    sync::Counter overlapping;  // G1
    sync::Counter malformed;    // lengths and places that cannot be (RFC 8200 4.5), or ECN fields (RFC 3168 5.3)
    sync::Counter no_room;      // G2, or no mbuf for a header
    sync::Counter timed_out;
};

class Reassembly {
  public:
    static constexpr uint32_t kMostFragments = 512;  // of one packet: 65,535 bytes in pieces of 128

    // make - `seed`: what nobody outside knows, so that nobody can make all packets look alike. Control thread.
    [[nodiscard]] static Result<std::unique_ptr<Reassembly>> make(const ReassemblyLimits& limits, uint64_t seed);
    // What is held is freed.
    ~Reassembly();
    Reassembly(const Reassembly&) = delete;
    Reassembly& operator=(const Reassembly&) = delete;

    // add - a packet that begins with its IP header; a fragment as a rule, but any is right. It is consumed. Not null:
    // a packet that is no fragment, or not any more; its first mbuf's port, hash and fields are those of its first
    // fragment. Null: it waits, or is dropped and counted. Clock: seconds, any that does not go back.
    [[nodiscard]] Mbuf* add(Mbuf* m, uint64_t now_s) noexcept;
    // expire - drop what has waited too long. To be called now and then, a second apart or so.
    void expire(uint64_t now_s) noexcept;

    // What is held: packets that are not whole, their fragments, all mbufs of those.
    [[nodiscard]] uint32_t held_packets() const noexcept { return n_packets_; }
    [[nodiscard]] uint32_t held_fragments() const noexcept { return n_fragments_; }
    [[nodiscard]] uint32_t held_mbufs() const noexcept { return n_mbufs_; }

    ReassemblyCounters counters;  // [l]
    EspHeld held;                 // [l] by pool; any thread reads

  private:
    static constexpr uint32_t kNone = UINT32_MAX;
    // Key - what fragments of one packet have in common. IPv6 does not ask for the protocol, which is harmless: a
    // sender gives all of them the same.
    struct Key {
        std::array<uint8_t, 32> addresses{};
        uint32_t id = 0;
        uint8_t proto = 0;
        bool v6 = false;
        uint8_t unused[2] = {};
        bool operator==(const Key&) const = default;
    };
    static_assert(sizeof(Key) == 40, "hashed byte by byte");
    // Fragment - a place for one, in its packet's list, which is in the order of the bytes.
    struct Fragment {
        Mbuf* m;
        uint32_t from, to;  // bytes of the packet's payload
        uint32_t next;
    };
    struct Packet {
        Key key;
        uint64_t since_s;
        uint32_t first, last;      // fragments
        uint32_t n;                // fragments
        uint32_t have, total;      // bytes of payload; total 0: the last fragment is not here yet
        uint8_t ecn;               // a bit for each field that was seen
        bool refused;              // G1: it only stands for what may still come
        uint32_t header;           // of the first fragment, once it is here
        uint32_t chain;            // the next with this hash, or the next free place
        uint32_t older, younger;   // by age
    };
    // Seen - what a fragment says of itself.
    struct Seen {
        Key key;
        uint32_t header;     // bytes before its part of the payload: without IPv6's fragment header
        uint32_t skip;       // and with it
        uint32_t from, to;   // the part
        uint32_t length;     // of the fragment, without padding
        bool more;
        uint8_t ecn;
    };

    Reassembly(const ReassemblyLimits& limits, uint64_t seed);
    enum class Look : uint8_t { no_fragment, fragment, malformed };
    [[nodiscard]] static Look look(const Mbuf* m, Seen& seen) noexcept;
    [[nodiscard]] uint32_t& bucket_of(const Key& key) noexcept;
    [[nodiscard]] uint32_t find(const Key& key) noexcept;
    [[nodiscard]] uint32_t begin(const Key& key, uint64_t now_s) noexcept;
    void forget(uint32_t packet) noexcept;
    void drop_fragments(Packet& packet, sync::Counter& why) noexcept;
    void drop(uint32_t packet, sync::Counter& why) noexcept;
    void refuse(Mbuf* m, sync::Counter& why) noexcept;
    [[nodiscard]] bool make_room(uint32_t packet, uint32_t mbufs) noexcept;
    enum class Put : uint8_t { placed, twice, overlaps };
    [[nodiscard]] Put put(Packet& packet, Mbuf* m, const Seen& seen) noexcept;
    [[nodiscard]] Mbuf* join(uint32_t packet) noexcept;
    [[nodiscard]] Mbuf* write_whole(Mbuf* first, const Packet& packet) noexcept;
    void count_held(const Mbuf* m, bool in) noexcept;

    // All [l].
    const ReassemblyLimits limits_;  // [I]
    const uint64_t seed_;            // [I]
    std::vector<Packet> packets_;
    std::vector<Fragment> fragments_;
    std::vector<uint32_t> buckets_;
    uint32_t free_packet_ = kNone, free_fragment_ = kNone;
    uint32_t oldest_ = kNone, youngest_ = kNone;
    uint32_t n_packets_ = 0, n_fragments_ = 0, n_mbufs_ = 0;
};

}  // namespace umbuf
