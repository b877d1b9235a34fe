// SPDX-License-Identifier: BSD-2-Clause
// esp_held.cc - a count for each pool, found by asking one after the other: there are few.
#include "lib/ipsec/esp_held.h"

#include "lib/mbuf/ext.h"
#include "lib/mbuf/zone_get.h"

namespace umbuf {

void EspHeld::change(const rte_mempool* pool, int64_t by) noexcept {
    for (Place& place : places_) {
        const rte_mempool* its = place.pool.load(sync::relaxed);
        if (its != nullptr && its != pool) continue;
        place.n.set(place.n.read() + static_cast<uint64_t>(by));
        if (its == nullptr) place.pool.store(pool, sync::release);
        return;
    }
}

void EspHeld::change(const Mbuf* m, int64_t by) noexcept {
    for (; m != nullptr; m = m->next()) {
        change(m->rte.pool, by);
        if (!m->private_valid()) continue;
        const ExtControl* storage = m->ctl.load(sync::relaxed);
        if (storage != nullptr && storage->type == ExtType::cluster) change(zone::cluster_pool(storage->zone), by);
    }
}

}  // namespace umbuf
