// SPDX-License-Identifier: BSD-2-Clause
// lane.h - one lcore at work: its streams in turn, until it is told to stop.
//
// A lane passes a quiescent state once per turn: then it is inside no port's path and no engine's
// table. Quiescence is the promise on which ports are stopped and memory is reclaimed (epoch rule
// Q1: what was unreachable before Lanes::quiesce() is untouched after it).
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include <rte_rcu_qsbr.h>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/machine/meter.h"
#include "app/umfwd/machine/on_node.h"
#include "app/umfwd/packet/stream.h"
#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/stat/segment.h"

namespace umbuf::fwd {

// LaneStats - `packets` has one writer, the lane. Cycles are the meter's, as the control thread saw them.
struct LaneStats {
    sync::Counter packets, busy, idle;
};

// Locks:  I immutable while it runs   a atomic   l the lane's lcore
struct alignas(64) Lane {
    unsigned lcore = 0;              // [I]
    int socket = 0;                  // [I] NUMA node
    bool polite = false;             // [I] shares its CPU with another lcore: yields when idle
    rte_rcu_qsbr* epoch = nullptr;   // [I]
    std::vector<Stream*> streams;    // [I]
    alignas(64) sync::atomic<bool> stop{false};  // [a] set by the control thread
    sync::atomic<bool> go{false};                // [a] set by the control thread
    sync::atomic<bool> online{false};            // [a] set by the lane: quiesce() counts on it
    alignas(64) CycleMeter meter;    // [l] written, [a] read
    stat::Box<LaneStats> stats;      // [l] packets; the rest is sampled

    void run() noexcept;  // the lcore's life, until `stop`
    void sample() noexcept;  // the meter, into stats. Control thread

  private:
    void wait_at_gate() noexcept;
    [[nodiscard]] uint32_t turn() noexcept;
    void idle_turn(uint32_t* idle_turns) noexcept;
};

// Epoch - what all lanes report to, from the first run to the last: tables outlive runs.
struct FreeEpoch {
    void operator()(rte_rcu_qsbr* epoch) const noexcept;
};
using Epoch = std::unique_ptr<rte_rcu_qsbr, FreeEpoch>;
[[nodiscard]] Result<Epoch> make_epoch();

// Lanes - the lcores of a run, together. Control thread.
class Lanes {
  public:
    // create - `epoch` lives longer; the lanes of one run at a time report to it.
    static std::unique_ptr<Lanes> create(rte_rcu_qsbr* epoch);
    ~Lanes();
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;

    // add - a lane for this lcore, not running. Returns it to be given its streams; null: no memory.
    [[nodiscard]] Lane* add(unsigned lcore);
    // launch - all of them, up to the gate. Returns when each is there, or the error of the first
    // that was not free.
    [[nodiscard]] Status launch();
    // go - open the gate: the lanes begin their turns. All paths are open by then, so that no
    // generator sends into a stub.
    void go() const noexcept;
    // quiesce - returns when every running lane has finished the turn that it is in. No lane: at once.
    void quiesce() const;
    // join - stop them all and wait until they are gone. Their numbers stay readable.
    void join();
    void clear();  // forget them; none runs
    [[nodiscard]] bool running() const noexcept { return running_; }
    [[nodiscard]] const std::vector<NodePtr<Lane>>& list() const noexcept { return lanes_; }

  private:
    explicit Lanes(rte_rcu_qsbr* epoch) : epoch_(epoch) {}
    rte_rcu_qsbr* epoch_;                       // [I]
    std::vector<NodePtr<Lane>> lanes_;          // [c]
    bool running_ = false;                      // [c]
};

// shares_cpu - may this lcore be scheduled on a CPU that another lcore of EAL may use, too?
[[nodiscard]] bool shares_cpu(unsigned lcore);

}  // namespace umbuf::fwd
