// SPDX-License-Identifier: BSD-2-Clause
// esp_batch.h - packets on their way through an engine: for ESP's own files.
//
// A packet is planned (looked at, its new mbufs made, its pieces listed), the engine is run over all that
// are planned, and each is finished. A plan that fails leaves nothing behind; what is planned is finished
// or dropped. Windows on unmapped mbufs stay open from the plan until the engine has done the packet.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "lib/ipsec/esp.h"
#include "lib/mbuf/window.h"

namespace umbuf {

// Work - one planned packet.
struct EspWork {
    uint16_t index;      // in the caller's arrays
    Sa* sa;
    Mbuf* out;           // the new packet, ours until it is finished; in place: the caller's
    Mbuf* copy;          // of the source, where it has too many pieces; null as a rule
    uint64_t seq;
    uint32_t lead;       // bytes of `out` before the cipher's
    uint32_t text;       // the cipher's
    uint8_t tos;         // input: of the outer header
    uint8_t icv;         // output: its bytes
    bool udp;
    bool in_place;       // `out` is the packet itself (esp_in_place.h)
    uint16_t was_off;    // input, in place: where its data began
    uint16_t was_len;    // and how much there was
    Piece piece;         // in place: what is read
    Room room;           // and written
    IpView ip;           // output: of what goes out first; input: of the packet that came
    std::array<std::byte, kMaxAlign + 2> tail;  // output: padding, its length, next header
    std::array<std::byte, kPeek> front;         // output: headers that had to be changed, as they are sent
    // Of a packet that is in flight (esp_flight.cc):
    Mbuf* source;
    uint64_t tag;
    uint32_t id, generation;     // of the SA; `sa` is not followed from a call to the next
    uint32_t windows_from, windows_to;
    bool encrypt;
    bool waits;                  // it was planned by an earlier call, and the engine has not taken it yet
    bool gone;                   // its SA was, when the engine could have taken it
    bool differs;                // a second engine has another result (cross_check.h)

    // begin - for a packet of this SA. What a plan always writes is left as it is.
    void begin(Sa& of) noexcept {
        sa = &of;
        out = copy = nullptr;
        in_place = waits = gone = differs = false;
    }
};

struct EspLane::Batch {
    static constexpr uint32_t kPieces = 512, kWindows = 256, kRooms = 6 * kEspBurst;

    // Window - a place for one, opened when it is needed.
    union Window {
        Window() {}
        ~Window() {}
        ReadWindow open;
    };

    std::array<EspWork, kEspBurst> work;
    std::array<Job, kEspBurst> jobs;
    // quick - the job of a packet that is done at once, in place (esp_in_place.h).
    Job quick{};
    Piece quick_piece{};
    Room quick_room{};
    std::array<Piece, kPieces> pieces;
    std::array<Window, kWindows> windows;
    std::array<Room, kRooms> rooms;
    uint16_t n = 0;  // planned
    uint32_t n_pieces = 0, n_windows = 0, n_rooms = 0;

    // Mark - how far the lists went, to go back to when a plan fails.
    struct Mark {
        uint32_t pieces, windows, rooms;
    };
    [[nodiscard]] Mark mark() const noexcept { return {n_pieces, n_windows, n_rooms}; }
    void back_to(const Mark& was) noexcept;

    // add - one piece. False: no place.
    [[nodiscard]] bool add(const std::byte* at, uint32_t len) noexcept;
    // add_chain - [off, off + len) of the chain, all of it readable. False: no place; see back_to().
    [[nodiscard]] bool add_chain(const Mbuf* m, uint32_t off, uint32_t len) noexcept;
    // add_rooms - [off, off + len) of a fresh chain. The same.
    [[nodiscard]] bool add_rooms(Mbuf* m, uint32_t off, uint32_t len) noexcept;
    [[nodiscard]] std::span<const Piece> pieces_since(const Mark& was) const noexcept {
        return {pieces.data() + was.pieces, n_pieces - was.pieces};
    }
    [[nodiscard]] std::span<const Room> rooms_since(const Mark& was) const noexcept {
        return {rooms.data() + was.rooms, n_rooms - was.rooms};
    }
    Batch() {
        quick.source = {&quick_piece, 1};
        quick.to = {&quick_room, 1};
    }
    [[nodiscard]] bool full() const noexcept { return n == kEspBurst; }
    // close_windows - [from, to), before the mbufs go that they look at.
    void close_windows(uint32_t from, uint32_t to) noexcept {
        for (uint32_t i = from; i < to; ++i) windows[i].open.~ReadWindow();
    }
    // clear - all windows are closed.
    void clear() noexcept;
    // forget - the same, where the packets' windows were closed one by one.
    void forget() noexcept {
        n = 0;
        n_pieces = n_windows = n_rooms = 0;
    }
};

// Flight - a ring of batches, each filled, handed over and finished in the order of its packets.
//
//        head: the oldest that is not finished      sent: the next for the engine      fill: is being planned
//      | done  done  with the engine ... | with the engine ... waits  waits ... | planned ...     |
struct EspLane::Flight {
    struct Place {
        uint16_t batch, i;
        bool operator==(const Place&) const = default;
    };
    std::array<Batch, kEspFlights> ring;
    Place head{}, sent{};
    uint16_t fill = 0;
    uint32_t packets = 0;  // planned and not finished
};

namespace esp {

// readable - of the whole chain; 0, or the first refusal, counted (window.h, W3).
[[nodiscard]] int readable_slowly(const Mbuf* m) noexcept;
[[nodiscard]] inline int readable(const Mbuf* m) noexcept {
    if (__builtin_expect(ghost::size == 0 || (m->next() == nullptr && !m_unmapped(m)), 1)) return 0;
    return readable_slowly(m);
}
// peek - copy [off, off + len) of the chain, which is readable and has them.
void peek_slowly(const Mbuf* m, uint32_t off, uint32_t len, std::byte* to) noexcept;
inline void peek(const Mbuf* m, uint32_t off, uint32_t len, std::byte* to) noexcept {
    if (__builtin_expect(off + len > m->len() || m_unmapped(m), 0)) return peek_slowly(m, off, len, to);
    std::memcpy(to, m->data() + off, len);
}
// front_of - the chain's first bytes, kPeek at most, in one piece: where they lie if they do, else in
// `scratch`. Returns how many.
[[nodiscard]] inline uint32_t front_of(const Mbuf* m, std::byte* scratch, const std::byte** at) noexcept {
    const uint32_t want = std::min(kPeek, m->pkt_len());
    *at = m->data();
    if (__builtin_expect(m->len() >= want && !m_unmapped(m), 1)) return want;
    peek(m, 0, want, scratch);
    *at = scratch;
    return want;
}
// fetch_early - packets[i] is about to be done: what those behind it will ask for sets out. In steps, because
// where a packet's bytes lie stands in its mbuf, and where a key lies in its SA. Found by trying (umbench esp).
inline constexpr uint16_t kMbufsAhead = 8, kKeysAhead = 4, kBytesAhead = 3;  // packets
inline constexpr uint32_t kBytesEarly = 256;  // of each; the processor fetches the rest by itself
// fetch_shared - a copy is let go of when it has been read: its storage's count, and the header of a packet that it
// shares. Who looks into the second mbuf first is add_chain().
[[gnu::noinline]] inline void fetch_shared(const Mbuf* m) noexcept {
    if ((m->rte.ol_flags & RTE_MBUF_F_EXTERNAL) != 0) {
        const ExtControl* shared = m->ctl.load(sync::relaxed);
        __builtin_prefetch(shared);
        __builtin_prefetch(reinterpret_cast<const Mbuf*>(shared) - 1);
    }
    if (const Mbuf* next = m->next(); next != nullptr) {
        __builtin_prefetch(next);
        __builtin_prefetch(&next->rte.next);
        __builtin_prefetch(&next->shinfo);
    }
}
[[gnu::always_inline]] inline void fetch_early(Sa* const* sas, Mbuf* const* packets, uint16_t i, uint16_t n) noexcept {
    if (i + kMbufsAhead < n) {
        const rte_mbuf& r = packets[i + kMbufsAhead]->rte;
        __builtin_prefetch(&r);
        __builtin_prefetch(&r.next);
        if (const Sa* sa = sas[i + kMbufsAhead]; sa != sas[i] && sa != nullptr) sa->fetch_early();
    }
    if (i + kKeysAhead < n) {
        if (const Sa* sa = sas[i + kKeysAhead]; sa != sas[i] && sa != nullptr) sa->fetch_key_early();
        const Mbuf* m = packets[i + kKeysAhead];
        if ((m->rte.ol_flags & RTE_MBUF_F_EXTERNAL) != 0) __builtin_prefetch(&m->shinfo);
    }
    if (i + kBytesAhead < n) {
        const Mbuf* m = packets[i + kBytesAhead];
        if ((m->rte.ol_flags & RTE_MBUF_F_EXTERNAL) != 0 || m->rte.nb_segs > 1) fetch_shared(m);
        const std::byte* const at = m->data();
        const uint32_t len = m->len(), early = std::min(len, kBytesEarly);
        __builtin_prefetch(at - 1);
        for (uint32_t off = 0; off < early; off += 64) __builtin_prefetch(at + off);
        __builtin_prefetch(at + len);
    }
}
// wire_of - esp_wire(), into what is there.
void wire_of(const Mbuf* m, uint16_t udp_port, EspWire& wire) noexcept;
// fresh - a packet of `bytes` in new clusters, kEspHeadroom before the first. Null: no memory, nothing is
// left. The first mbuf has at least the first 16,000 of them.
[[nodiscard]] Mbuf* fresh(uint32_t bytes) noexcept;
// succeed - `to` becomes from's successor: what a packet header says goes along, but for totals,
// offload requests, and what a device found out about the old bytes. `from` is freed.
void succeed(Mbuf* to, Mbuf* from) noexcept;
// succeed - the same for a packet that was done in place.
[[gnu::always_inline]] inline void succeed(Mbuf* m) noexcept {
    constexpr uint64_t kOfTheOldBytes = RTE_MBUF_F_TX_OFFLOAD_MASK | RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK |
                                        RTE_MBUF_F_RX_OUTER_IP_CKSUM_BAD | RTE_MBUF_F_RX_OUTER_L4_CKSUM_MASK | RTE_MBUF_F_RX_LRO;
    m->rte.ol_flags &= ~kOfTheOldBytes;
    m->rte.tx_offload = 0;
    m->rte.packet_type = 0;
}

// Plan - how planning one packet ended.
enum class Plan : uint8_t { planned, refused, full };

// give_up - free all that is in flight; the engine has been closed.
void give_up(EspLane::Flight& flight) noexcept;

// cross_check - ask the lane's second engine, if it has one: of jobs that are done, their windows still open.
void cross_check(EspLane& lane, EspWork& work, const Job& job, const Mbuf* source) noexcept;

// plan_output, plan_input - into the lane's batch. Refused: *fate says why, and it is counted.
[[nodiscard]] Plan plan_output(EspLane& lane, Sa* sa, Mbuf* source, EspFate& fate) noexcept;
[[nodiscard]] Plan plan_input(EspLane& lane, Sa* sa, Mbuf* source, EspFate& fate) noexcept;
// finish_output, finish_input - the engine has done the job, the windows are closed, work.sa is there. True:
// *packet has become the new one. Else it is as it was, and *fate is counted.
[[nodiscard]] bool finish_output(EspLane& lane, EspWork& work, const Job& job, Mbuf** packet, EspFate* fate) noexcept;
[[nodiscard]] bool finish_input(EspLane& lane, EspWork& work, Job& job, Mbuf** packet, EspFate* fate) noexcept;

}  // namespace esp

}  // namespace umbuf
