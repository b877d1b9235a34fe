// SPDX-License-Identifier: BSD-2-Clause
// offloads.h - which transmit offloads a port uses, as a function of what is known.
//
// Apart from the port, so that it can be tested for devices that are not here.
#pragma once
#include <algorithm>
#include <cstdint>

#include <rte_ethdev.h>

#include "drivers/net/quirks.h"

namespace umbuf {

struct TxWish {
    uint64_t offloads;  // RTE_ETH_TX_OFFLOAD_* besides the two below
    bool multi_seg;
    bool shared_mbufs;
};

// fast_free_meets_pages - would it be on, or be left to chance, where mbufs show unmapped pages? Even a
// port that nobody said may share must be asked again then.
[[nodiscard]] inline bool fast_free_meets_pages(uint64_t capa, const TxWish& wish) noexcept {
    constexpr uint64_t kFastFree = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    return (capa & kFastFree) != 0 && (!wish.shared_mbufs || (wish.offloads & kFastFree) != 0);
}

struct TxChoice {
    uint64_t offloads;     // to configure
    uint32_t chain_segs;   // a chain is sent as it is up to this many mbufs ...
    uint32_t chain_bytes;  // ... and this many bytes; else it is copied flat
    [[nodiscard]] bool guarded() const noexcept {
        return chain_segs < UINT16_MAX || chain_bytes < kNoLimit;
    }
};

// choose_tx - MBUF_FAST_FREE lets a driver return mbufs to the first one's pool without a look at
// their counts, so one shared mbuf, or one of another pool, is enough to corrupt memory: on only when
// there can be none. Flattening makes mbufs of another pool.
[[nodiscard]] inline TxChoice choose_tx(const TxWish& wish, uint64_t capa,
                                        const rte_eth_desc_lim& limits,
                                        const Quirks& quirks) noexcept {
    constexpr uint64_t kFastFree = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    constexpr uint64_t kMultiSegs = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    TxChoice choice{wish.offloads & capa & ~(kFastFree | kMultiSegs), 1, 0};
    const auto with_fast_free = [&] {
        if (!wish.shared_mbufs && !choice.guarded()) choice.offloads |= capa & kFastFree;
        return choice;
    };
    if (!wish.multi_seg) return with_fast_free();
    if ((capa & kMultiSegs) != 0) {
        // 0 is what a driver says that fills the limits in by halves: no limit of its own.
        const auto limit = [](uint16_t n) { return n == 0 ? uint16_t{UINT16_MAX} : n; };
        choice.offloads |= kMultiSegs;
        choice.chain_segs = std::min(limit(limits.nb_seg_max), limit(limits.nb_mtu_seg_max));
        choice.chain_bytes = kNoLimit;
    } else if (quirks.chain_bytes != 0) {
        choice.chain_segs = UINT16_MAX;
        choice.chain_bytes = quirks.chain_bytes;
    }
    return with_fast_free();
}

}  // namespace umbuf
