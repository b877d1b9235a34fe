// SPDX-License-Identifier: BSD-2-Clause
// zone.h - the pools that mbufs, clusters and controls come from, one set per NUMA node.
//
//      zone      element                                         for
//      mbuf      Mbuf + kMLen bytes                              m_get, headers of copies
//      cl2k..16k control line (64) + cluster                     m_getcl, m_clget
//      control   control line                                    m_extadd: storage that is not ours
//      proxy     a reference count                               schemes proxy and proxy+ only
//      tag       MTag + kTagLen bytes                            m_tag_get (tag.h)
//      packet    Mbuf + control line + headroom + data           what drivers receive into
//      page      what lib/page knows of a page; not its bytes     unmapped storage
//
// All are rte_mempools, so drivers and DPDK tools know them; their names start with "um_". Only the
// packet zones are for rte_pktmbuf_alloc() and rte_pktmbuf_clone(): a header of the mbuf zone is
// taken by m_get(), which looks whether its record is still in use (ext.h).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <rte_mempool.h>

#include "lib/base/result.h"
#include "lib/mbuf/mbuf.h"
#include "lib/mbuf/refs.h"
#include "lib/mbuf/zone_stats.h"

namespace umbuf {

inline constexpr uint32_t kMLen = 256;  // bytes inside an mbuf of the mbuf zone (BSD: MLEN, MHLEN)
inline constexpr uint32_t kClusterSizes[] = {2048, 4096, 9216, 16384};  // MCLBYTES, jumbo 4/9/16k
inline constexpr uint32_t kMCLBytes = kClusterSizes[0];
inline constexpr uint8_t kClusterZones = 4;

enum class ZoneKind : uint8_t { mbuf, cluster, control, proxy, packet, tag, page };

struct Zone {
    ZoneKind kind;
    uint8_t cluster;        // [I] index into kClusterSizes, for ZoneKind::cluster
    int socket;             // [I] NUMA node
    uint32_t size;          // [I] data bytes of one element
    std::string name;       // [I]
    rte_mempool* pool;      // [I]
    stat::Box<ZoneStats> stats;  // [I]

    // denied - requests refused because the pool was empty (or a fault was injected), whoever asked.
    [[nodiscard]] uint64_t denied() const noexcept { return stats->denied_verb.read() + stats->denied_driver.read(); }
    void note_denied(sync::Counter& who) noexcept;  // one of stats'

    // in_use - elements that somebody holds. Exact when all is quiet, else a moment's sample.
    [[nodiscard]] uint32_t in_use() const noexcept { return rte_mempool_in_use_count(pool); }
};

// How many elements each zone of a node has. Sized by the forwarder from its ports and lcores.
struct ZoneConfig {
    uint32_t mbufs = 4096;
    uint32_t clusters[kClusterZones] = {2048, 256, 256, 128};
    uint32_t controls = 512;
    uint32_t tags = 512;
    uint32_t proxies = 4096;  // one for each storage that is shared; schemes proxy and proxy+ only
    uint32_t cache = 128;     // elements kept per lcore and zone
    std::string refs = kDefaultRefs;  // the scheme that counts references (lib/mbuf/refs.h)
    const RefOps* ops = nullptr;      // if not null, this instead: one that is not in the list
};

// mbinit - make the zones of each node in `sockets` (rte_socket_id() values). Once, after rte_eal_init
// and before any packet_zone(), control thread. Error: no such scheme, and which there are; or which
// zone could not be had, how many bytes it needs, and the remedy.
[[nodiscard]] Status mbinit(const ZoneConfig& config, const std::vector<int>& sockets);

// packet_zone - a pool for a port to receive into: n packets of `data_room` bytes after the usual
// headroom. Control thread. The zone lives until mbfini(); n is DPDK's optimum at 2^k - 1.
[[nodiscard]] Result<Zone*> packet_zone(const std::string& name, uint32_t n, uint32_t data_room,
                                        int socket, uint32_t cache);

// page_zone - a pool of n page objects of `element` bytes each, which begin with an ExtControl and are
// the caller's to fill before the first is taken. Control thread. `size`: bytes that one stands for.
[[nodiscard]] Result<Zone*> page_zone(const std::string& name, uint32_t n, uint32_t element, uint32_t size,
                                      int socket, uint32_t cache);
// zone_close - free one zone before mbfini(): all its elements are home. Control thread.
void zone_close(Zone* zone);

// zones - all of them, in the order they were made, for reports and checks.
[[nodiscard]] const std::vector<Zone*>& zones() noexcept;

// Unbalanced - a zone that holds more or fewer elements than it should.
struct Unbalanced {
    std::string zone;
    uint32_t in_use;
    uint32_t expected;
};
// Level - where a zone's elements are: size = in_use + pool + caches.
struct ZoneLevel {
    uint32_t in_use, pool, caches;  // somebody's; free in the common pool; free in caches of lcores
};
// zone_level - a moment's sample, in which nothing is negative or more than there is. Any thread.
[[nodiscard]] ZoneLevel zone_level(const Zone& zone) noexcept;
// zones_sample - set the numbers of zones and references that nobody counts. Control thread, now and then.
void zones_sample() noexcept;

// alloc_bulk - n packets of a zone, or none (false, counted as denied to a verb). Any thread.
[[nodiscard]] bool alloc_bulk(Zone& zone, rte_mbuf** packets, unsigned n) noexcept;

// zones_unbalanced - with everything quiet: which zones differ from `expected` (in-use counts in the
// order of zones(); missing entries count as 0). Control thread.
[[nodiscard]] std::vector<Unbalanced> zones_unbalanced(const std::vector<uint32_t>& expected = {});

// mbfini - give the pools back. Every element must be home: if one is not, nothing is freed, because
// somebody still points into a zone, and the answer says which. It may be called again.
[[nodiscard]] std::vector<Unbalanced> mbfini();

// The traps' counters, for `show mbuf` and tests.
struct MbufTraps {
    uint64_t foreign_clones;     // headers set aside: a DPDK clone still used their record
    uint64_t set_aside_now;      // of those, how many still wait for the clone to go
    uint64_t refused_writes;     // a verb refused to write into shared or read-only storage
    uint64_t lost_tags;          // tags that a packet still had when a driver freed it (tag.h)
};
[[nodiscard]] MbufTraps mbuf_traps() noexcept;

// reclaim_set_aside - return the headers whose foreign clones are gone. Any thread; never waits.
// Returns how many came home. Runs by itself when a zone is empty.
uint32_t reclaim_set_aside() noexcept;

// alloc_faults_arm - fail the n-th allocation or share from now (1: the next), then the next
// `more` after it; 0 disarms. For tests, and for ports that inject faults. Any thread.
void alloc_faults_arm(uint32_t n, uint32_t more = 0) noexcept;

}  // namespace umbuf
