// SPDX-License-Identifier: BSD-2-Clause
// zones_plan.h - how many mbufs a set-up can hold at once: a sum of named terms.
//
// A pool that is too small shows up as silent receive drops long after the start, so each place
// where a packet can wait has a term of its own; nothing is rounded up "to be safe".
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "app/umfwd/settings.h"
#include "lib/base/result.h"
#include "lib/mbuf/zone.h"

namespace umbuf::fwd {

struct ZoneInput {  // what the sum is made from
    uint32_t ports = 0;         // there now, all nodes: each may hold what any other received
    uint32_t rx_ports = 0;      // of those, how many receive into this pool
    uint32_t spare_ports = 0;   // that may be attached later; one queue each
    uint32_t lcores = 2;        // that may forward, and the main one: all keep caches
    bool jumbo = false;         // packets of more than one 2k cluster are expected
    bool cuts = false;          // mode frag may run: what is sent may have a head besides its view
    uint32_t to_kernel = 0, from_kernel = 0;  // a mode that routes may run: what its door holds, the latter per port
    uint32_t handed_over = 0;   // mode esp may run on several lcores: what their rings hold
    uint32_t with_device = 0;   // mode esp with a crypto device: what can be in flight, all lcores
    uint32_t pieces = 0;        // mode esp: what a queue keeps of packets that are not whole
    uint32_t files = 0;         // mode sendfile may run: pages of its cache
    uint16_t file_ahead = 0, file_payload = 0;
    uint16_t rxq = 1, txq = 1;  // per port
    uint16_t rxd = 0, txd = 0;  // per queue; 0: the driver's default is not known yet
    uint16_t burst = 32;
    uint32_t cache = 250;
};

struct Term {
    const char* what;
    uint64_t n;
};

[[nodiscard]] std::vector<Term> packet_terms(const ZoneInput& in);   // one receive pool
[[nodiscard]] std::vector<Term> header_terms(const ZoneInput& in);   // the mbuf zone
[[nodiscard]] std::vector<Term> cluster_terms(const ZoneInput& in);  // the 2k clusters
[[nodiscard]] uint32_t sum(const std::vector<Term>& terms);
[[nodiscard]] std::string to_text(const std::vector<Term>& terms);   // "a (1024) + b (512)"

[[nodiscard]] ZoneConfig zone_config(const ZoneInput& in);
// cache_of - the per-lcore cache for a pool of n: DPDK refuses one that could swallow the pool.
[[nodiscard]] uint32_t cache_of(uint32_t wanted, uint32_t n);

// Rooms - the data rooms (bytes behind the headroom) that --mbuf-size asks for, ascending.
[[nodiscard]] std::vector<uint32_t> data_rooms(const Settings& settings);
// room_for - the smallest room that holds a frame of this MTU whole; the largest when none does.
[[nodiscard]] uint32_t room_for(const std::vector<uint32_t>& rooms, uint32_t mtu);

}  // namespace umbuf::fwd
