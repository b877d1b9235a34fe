// SPDX-License-Identifier: BSD-2-Clause
// zone_get.h - taking elements out of zones: for lib/mbuf's own files only.
#pragma once
#include "lib/mbuf/ext.h"
#include "lib/mbuf/zone.h"

namespace umbuf::zone {

// The zones of one NUMA node.
struct Node {
    Zone* mbufs = nullptr;
    Zone* clusters[kClusterZones] = {};
    Zone* controls = nullptr;
    Zone* tags = nullptr;
};

// here - the calling thread's node; the first node for threads that EAL does not know.
[[nodiscard]] Node& here() noexcept;

// cluster_pool - by the number kept in Mbuf::ext_zone, for a free that does not load the control.
[[nodiscard]] rte_mempool* cluster_pool(uint8_t number) noexcept;
[[nodiscard]] uint8_t number_of(const Zone& cluster_zone) noexcept;

// get - one element, or null and counted as denied.
[[nodiscard]] void* get(Zone& zone) noexcept;
// get_header - a header whose record is parked; those that are not are set aside (ext.h).
[[nodiscard]] Mbuf* get_header() noexcept;

// fault_fires - is this the allocation that alloc_faults_arm() wants to fail?
[[nodiscard]] bool fault_fires() noexcept;

// note_refused_write - count a verb's refusal to write what it does not own alone.
void note_refused_write() noexcept;
// note_lost_tags - count tags that were found on a header that is taken again.
void note_lost_tags(uint32_t n) noexcept;

}  // namespace umbuf::zone
