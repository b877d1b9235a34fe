// SPDX-License-Identifier: BSD-2-Clause
// esp_held.h - what the packets in flight on a lane have of each pool, for the ledger of who holds what.
//
// A packet's mbufs and their storage: storage that several packets share is counted with each.
#pragma once
#include <array>

#include <rte_mempool.h>

#include "lib/base/sync.h"
#include "lib/mbuf/mbuf.h"

namespace umbuf {

class EspHeld {
  public:
    // take, give - a chain; null has nothing. It is given back as it was taken. The lane's lcore.
    void take(const Mbuf* m) noexcept { change(m, 1); }
    void give(const Mbuf* m) noexcept { change(m, -1); }
    // each - f(pool, elements). Any thread; a moment's sample.
    template <class F>
    void each(F&& f) const {
        for (const Place& place : places_)
            if (const rte_mempool* pool = place.pool.load(sync::acquire); pool != nullptr) f(pool, place.n.read());
    }

  private:
    struct Place {
        sync::atomic<const rte_mempool*> pool{nullptr};  // [a] null: no pool yet
        sync::Counter n;                                 // [l]
    };
    void change(const Mbuf* m, int64_t by) noexcept;
    void change(const rte_mempool* pool, int64_t by) noexcept;
    std::array<Place, 24> places_;  // what has no place is held by nobody that is named
};

}  // namespace umbuf
