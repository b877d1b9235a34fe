// SPDX-License-Identifier: BSD-2-Clause
// sad.h - the SAs there are: found by what a packet says, or by an id that outlives them (RFC 4301, 4.4.2).
//
//      inbound     SPI, or SPI and destination, or SPI, destination and source; the longest key wins (RFC
//                  4301, 4.1). rte_ipsec_sad
//      any         (id, generation), for completions and for whoever kept it across time
//
// rte_ipsec_sad has no readers without locks. With RTE_IPSEC_SAD_FLAG_RW_CONCURRENCY its tables take a
// reader-writer lock, where a lane would spin for a control thread that lost its CPU; and a lookup asks
// three tables one after the other, so that it could see half of a change. Hence two sides, without the
// flag: readers look at one, a change is made to the other, then they change places, and the first is
// brought up to date when its readers have left.
//
//      lanes --> side A     change: B, publish B, grace, A
//                side B
//
// D1  A reader sees each change whole or not at all, and never waits.
// D2  Who is removed is not found from then on. It is freed, its key wiped, when every reader has passed a
//     quiescent state (grace.h) and no work that was begun with it is in flight (begin_work).
// D3  An id is not used again before its last SA is freed, and then with another generation: resolve()
//     never takes one SA for another (A3; R29, R31 of the reference).
//
// Threads: control changes. Readers: lcores registered with the variable that Grace was made of, online,
// who keep a Sa* no longer than to their next quiescent state.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/ipsec/child.h"
#include "lib/ipsec/esp.h"
#include "lib/ipsec/grace.h"
#include "lib/ipsec/ip.h"
#include "lib/ipsec/sa.h"

struct rte_ipsec_sad;

namespace umbuf {

struct SaId {
    uint32_t id = UINT32_MAX;
    uint32_t generation = 0;
    bool operator==(const SaId&) const = default;
};
[[nodiscard]] inline SaId id_of(const Sa& sa) noexcept { return {sa.terms.id, sa.terms.generation}; }

// SadKey - what an inbound SA is found by.
enum class SadKey : uint8_t { spi, spi_dst, spi_dst_src };

// SadQuery - what an ESP packet says of its SA.
struct SadQuery {
    uint32_t spi;
    IpAddress dst, src;  // both of one family
};

// NewSa - what add and replace want. `terms.id` and `generation` are the database's to fill in; `terms.dst`
// and `src` are looked at for the key in transport mode, too.
struct NewSa {
    SaTerms terms;
    SadKey found_by = SadKey::spi_dst;  // inbound
    ChildId child;                      // whose policies it serves
    std::span<const std::byte> key;     // copied; the caller wipes his
    const Engine* engine = nullptr;
    uint64_t now_s = 0;
};

class Sad final : public SaResolver {
  public:
    // make - for `capacity` SAs of all kinds. Error: no memory.
    [[nodiscard]] static Result<std::unique_ptr<Sad>> make(uint32_t capacity, Grace& grace, int socket);
    // No reader is left, and no work in flight: asserted.
    ~Sad();
    Sad(const Sad&) = delete;
    Sad& operator=(const Sad&) = delete;

    // ---- control
    // add_in, add_out - Error: EEXIST, an inbound SA has this key; ENOSPC; or what Sa::make() says.
    [[nodiscard]] Result<SaId> add_in(const NewSa& sa);
    [[nodiscard]] Result<SaId> add_out(const NewSa& sa);
    // replace_in - the old one goes and the new one comes in one step (D1). On error the old one stays.
    [[nodiscard]] Result<SaId> replace_in(SaId old, const NewSa& sa);
    // remove - Error: ENOENT.
    [[nodiscard]] Status remove(SaId id);
    // collect - free what can go (D2). Returns how many are still held. To be called now and then.
    uint32_t collect();
    // sas - all that are found, in the order of their ids. Theirs to look at until the next remove().
    [[nodiscard]] std::vector<Sa*> sas() const;
    [[nodiscard]] bool inbound(SaId id) const noexcept;
    // busy - is work in flight that was begun with it? No: only readers that still have it can begin more.
    [[nodiscard]] bool busy(SaId id) const noexcept;

    // ---- readers
    // lookup - sas[i] for queries[i], null: there is none. Any n.
    void lookup(const SadQuery* queries, Sa** sas, uint16_t n) const noexcept;
    // resolve - null: it has gone (D3).
    [[nodiscard]] Sa* resolve(uint32_t id, uint32_t generation) const noexcept;
    [[nodiscard]] Sa* resolve(uint32_t id, uint32_t generation) noexcept override;
    [[nodiscard]] ChildId child_of(const Sa& sa) const noexcept { return slots_[sa.terms.id].child; }
    // begin_work, end_work - n jobs use the SA's key across quiescent states, until they are done. Begin: a
    // reader that has the SA. End: any lane, by the id that it kept, whether the SA was removed or not.
    void begin_work(uint32_t id, uint32_t n) noexcept { slots_[id].begun.fetch_add(n, sync::relaxed); }
    void end_work(uint32_t id, uint32_t n) noexcept { slots_[id].done.fetch_add(n, sync::release); }  // pairs with held()

  private:
    // Slot - a place for an SA.
    struct alignas(64) Slot {
        sync::atomic<Sa*> sa{nullptr};            // [a] null: not to be found
        sync::atomic<uint64_t> begun{0}, done{0};  // [a] jobs
        ChildId child;                            // [I] while there is an SA
        uint32_t generation = 0;                  // [c] of the last SA
        SadKey found_by = SadKey::spi;            // [c]
        bool in = false;                          // [c]
    };
    // Side - one set of tables.
    struct Side {
        rte_ipsec_sad* of[2] = {};  // IPv4, IPv6
    };
    using KeyBytes = std::array<uint8_t, 38>;
    struct Edit {
        bool put;  // else take out
        SadQuery key;
        SadKey kind;
        Sa* sa;
    };
    struct Dead {
        std::unique_ptr<Sa> sa;
        uint64_t token;
    };

    Sad(uint32_t capacity, Grace& grace) : capacity_(capacity), grace_(grace), slots_(new Slot[capacity]) {}
    [[nodiscard]] Status open(int socket);
    [[nodiscard]] Result<std::unique_ptr<Sa>> prepare(const NewSa& sa);
    [[nodiscard]] bool has(SaId id) const noexcept;
    [[nodiscard]] static KeyBytes bytes_of(const Edit& edit) noexcept;
    [[nodiscard]] static Edit edit_of(const Slot& slot, Sa* sa, bool put) noexcept;
    [[nodiscard]] static int apply(Side& side, const Edit& edit) noexcept;
    void place(std::unique_ptr<Sa> sa, const NewSa& from, bool in);
    void retire(uint32_t id);
    [[nodiscard]] Status change(std::span<const Edit> edits);
    void settle();
    [[nodiscard]] static bool in_flight(const Slot& slot) noexcept;
    [[nodiscard]] bool held(const Dead& dead) const noexcept;

    const uint32_t capacity_;
    Grace& grace_;
    std::unique_ptr<Slot[]> slots_;
    Side sides_[2];
    sync::atomic<const Side*> active_{nullptr};  // [a]
    // All [c].
    std::vector<Edit> owed_;  // to the side that is not active, when owed_token_ has passed
    uint64_t owed_token_ = 0;
    std::set<KeyBytes> keys_;
    std::vector<uint32_t> free_;  // slots
    std::vector<Dead> dead_;
};

}  // namespace umbuf
