// SPDX-License-Identifier: BSD-2-Clause
// fib.h - prefixes to numbers, IPv4 and IPv6, as rte_fib and rte_fib6 look them up.
//
// Every table is there twice. Readers use one side; what changes is written to the other, which is then
// published as a whole; when nobody can still be in the first side, the changes are made there, too
// (docs/decisions/0040: rte_fib gives its inner tables to the next route at once, readers or not).
//
// And rte_fib (22.11) has two faults, for which a side is made anew from the list of routes that is kept here. It
// miscounts its inner tables, until it says that it is full when it is not. And when a prefix that ends where the
// addresses end is written behind a longer one that does, it writes over every other.
//
//      F1  a lookup sees all changes of a publish(), or none.
//      F2  nobody reads a side while it is written.
//
// Threads: one control thread changes; lookups by any lcore that reports to the grace period's variable.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/route/route.h"

struct rte_fib;
struct rte_fib6;

namespace umbuf {

struct FibConfig {
    uint32_t routes = 16384;  // of each family. More than that many double the tables' memory
    int socket = 0;
};

class Fib {
  public:
    // make - both families, without a route. Error: no memory, and how much was wanted.
    [[nodiscard]] static Result<std::unique_ptr<Fib>> make(const FibConfig& config);
    ~Fib();
    Fib(const Fib&) = delete;
    Fib& operator=(const Fib&) = delete;

    // add - `number` (1 to most()) for this prefix, whatever it had. Seen from publish() on. Error: the tables are
    // full, and nothing changed.
    [[nodiscard]] Status add(const Prefix& prefix, uint32_t number);
    // remove - the prefix is there.
    void remove(const Prefix& prefix);
    [[nodiscard]] bool changed() const noexcept { return !log_.empty(); }
    // publish - lookups that begin from now on see the changes.
    void publish() noexcept;
    // catch_up - when nobody can be in the other side any more: between the two, nothing is changed.
    void catch_up();
    [[nodiscard]] uint32_t most() const noexcept { return most_; }

    // lookup4, lookup6 - the numbers of n addresses, 0: no route. IPv4 in host order. A reader.
    void lookup4(const uint32_t* addresses, uint64_t* numbers, uint16_t n) const noexcept;
    void lookup6(const uint8_t (*addresses)[16], uint64_t* numbers, uint16_t n) const noexcept;

  private:
    struct Side {
        rte_fib* v4 = nullptr;
        rte_fib6* v6 = nullptr;
    };
    struct Change {
        Prefix prefix;
        uint32_t number;    // 0: remove
        bool anew = false;  // is not written: the side is made anew
    };
    explicit Fib(const FibConfig& config) noexcept : config_(config) {}
    [[nodiscard]] int make_table(Side& side, bool v6);
    [[nodiscard]] static int write(Side& side, const Change& change) noexcept;
    [[nodiscard]] int make_anew(Side& side, bool v6);
    [[nodiscard]] bool must_be_anew(const Prefix& prefix) const;
    [[nodiscard]] int change_idle(Change& change);
    [[nodiscard]] Side& idle() noexcept { return sides_[1 - active_.load(sync::relaxed)]; }

    // Locks:  I immutable   c control thread   a atomic
    Side sides_[2];                    // [I], and what they point to: F2
    sync::atomic<uint32_t> active_{0}; // [a]
    const FibConfig config_;           // [I]
    std::map<Prefix, uint32_t> all_;   // [c] as the idle side has it
    bool full_[2] = {};                // [c] by family: it was made anew, and yet did not take a route
    std::vector<Change> log_;          // [c] what the side that is idle after publish() has not seen
    uint32_t most_ = 0;                // [I]
};

}  // namespace umbuf
