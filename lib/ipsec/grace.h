// SPDX-License-Identifier: BSD-2-Clause
// grace.h - when nobody can still look at what a table no longer has (rte_rcu_qsbr).
//
// Readers are lcores that say, once per burst and outside of all tables, that they hold nothing. What was
// taken out of a table may go when each of them has said so since. Who owns the lcores owns the variable
// that they report to, and registers them; this is the writer's side of it.
//
// Thread: control, which is no reader itself: it would wait for its own report.
#pragma once
#include <sched.h>

#include <cstdint>

#include <rte_rcu_qsbr.h>

namespace umbuf {

class Grace {
  public:
    // `readers` lives longer than this.
    explicit Grace(rte_rcu_qsbr* readers) noexcept : readers_(readers) {}
    // start - from now on it counts: what was unpublished before is free to go when passed() says so.
    [[nodiscard]] uint64_t start() noexcept { return rte_rcu_qsbr_start(readers_); }
    [[nodiscard]] bool passed(uint64_t token) const noexcept { return rte_rcu_qsbr_check(readers_, token, false) == 1; }
    // wait - yields: there may be fewer processors than lcores.
    void wait(uint64_t token) const noexcept {
        while (!passed(token)) sched_yield();
    }

  private:
    rte_rcu_qsbr* readers_;
};

}  // namespace umbuf
