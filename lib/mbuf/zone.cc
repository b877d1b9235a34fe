// SPDX-License-Identifier: BSD-2-Clause
// zone.cc - the pools, and the headers that wait for a foreign clone to go.
#include "lib/mbuf/zone.h"

#include <numa.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf_dyn.h>
#include <rte_mbuf_pool_ops.h>

#include "lib/mbuf/copies.h"
#include "lib/mbuf/ext_ops.h"
#include "lib/mbuf/tag.h"
#include "lib/mbuf/trace.h"
#include "lib/mbuf/window.h"
#include "lib/mbuf/zone_get.h"

namespace umbuf {

uint64_t Mbuf::valid_flag_ = 0;

namespace {

// All of it is written by mbinit, packet_zone and mbfini on the control thread, and only read, but
// for the counters, by everyone else in between.
struct Registry {
    std::vector<std::unique_ptr<Zone>> owned;
    std::vector<Zone*> list;
    zone::Node nodes[RTE_MAX_NUMA_NODES];
    int first_node = 0;
    rte_mempool* cluster_pools[256] = {};
    static_assert(RTE_MAX_NUMA_NODES * kClusterZones <= 256, "Mbuf::ext_zone has 8 bits");
    sync::atomic<Mbuf*> aside{nullptr};  // a stack: pushed one by one, taken whole
    sync::atomic<uint32_t> fault_more{0};
};
Registry g;

struct Traps {  // add_shared
    sync::Counter foreign_clones, set_aside_now, refused_writes, lost_tags;
    sync::Counter stuck;  // sampled
};
constexpr stat::Field kTraps[] = {
    {"foreign_clones", "headers", stat::Kind::counter, 1, "set aside, because a clone that DPDK made used their record"},
    {"foreign_set_aside", "headers", stat::Kind::gauge, 1, "of those, how many wait"},
    {"refused", "requests", stat::Kind::counter, 1, "to touch bytes: shared or read-only", "reason=read-only"},
    {"lost_tags", "tags", stat::Kind::counter, 1, "that a packet still had when a driver freed it"},
    {"ref_stuck", "storages", stat::Kind::counter, 1, "leaked on purpose, because the count saturated"},
};
stat::Global<Traps> traps(kTraps);

// Was the handler of drivers/mempool/checked asked for (EAL's --mbuf-pool-ops-name)? DPDK gives it
// the mbuf pools; the raw ones are ours to give. It sees what reaches it, so there are no caches.
constexpr char kChecked[] = "checked";
bool checked() { return std::string_view(rte_mbuf_best_mempool_ops()) == kChecked; }

Error no_pool(const std::string& name, uint32_t n, uint64_t element, int socket) {
    if (rte_errno == EEXIST)
        return {EEXIST, "zone " + name + ": there is a pool of that name already; each zone needs its own"};
    if (rte_errno == EINVAL && checked())
        return {EINVAL, "zone " + name + ": the mempool handler \"checked\" is not loaded (EAL's -d "
                        "librte_mempool_checked.so), or it has just refused its options"};
    return {rte_errno != 0 ? rte_errno : ENOMEM,
            "zone " + name + ": no memory for " + std::to_string(n) + " elements of " +
                std::to_string(element) + " bytes (" + std::to_string((n * element) >> 20) +
                " MB) on NUMA node " + std::to_string(socket) + ": " + rte_strerror(rte_errno) +
                "; give EAL more (-m MB with --no-huge, else more hugepages), or lower "
                "--total-num-mbufs"};
}

uint32_t fitting_cache(uint32_t cache, uint32_t n) {
    if (checked()) return 0;
    // rte_mempool wants 1.5 x cache <= n.
    return std::min({cache, n * 2 / 3, uint32_t{RTE_MEMPOOL_CACHE_MAX_SIZE}});
}

const char* name_of(ZoneKind kind) noexcept {
    switch (kind) {
    case ZoneKind::mbuf: return "mbuf";
    case ZoneKind::cluster: return "cluster";
    case ZoneKind::control: return "control";
    case ZoneKind::proxy: return "proxy";
    case ZoneKind::packet: return "packet";
    case ZoneKind::tag: return "tag";
    case ZoneKind::page: return "page";
    }
    return "?";
}

std::string labels_of(const Zone& zone) {
    return "zone=" + zone.name + ",kind=" + name_of(zone.kind) + ",size=" + std::to_string(zone.size) +
           ",node=" + std::to_string(zone.socket);
}

Zone* keep(ZoneKind kind, uint8_t cluster, int socket, uint32_t size, const std::string& name,
           rte_mempool* pool) {
    auto zone = std::make_unique<Zone>();
    zone->kind = kind;
    zone->cluster = cluster;
    zone->socket = socket;
    zone->size = size;
    zone->name = name;
    zone->pool = pool;
    zone->stats = stat::Box<ZoneStats>(zone_fields(), labels_of(*zone));
    zone->stats->limit.set(pool->size);
    zone->stats->element.set(uint64_t{pool->header_size} + pool->elt_size + pool->trailer_size);
    zone::watch(*zone);
    g.list.push_back(zone.get());
    g.owned.push_back(std::move(zone));
    return g.list.back();
}

void init_header(rte_mempool*, void*, void* element, unsigned) {
    Mbuf* m = static_cast<Mbuf*>(element);
    m->shinfo.free_cb = refs_in_use().hook;
    m->shinfo.fcb_opaque = m;
    rte_mbuf_ext_refcnt_set(&m->shinfo, 0);  // parked
    m->ctl.store(nullptr, sync::relaxed);
    std::memset(m->view, 0, sizeof m->view);
    m->m_flags = 0;
    m->tags = nullptr;
    m->nextpkt = nullptr;
    m->ext_type = ExtType::none;
    m->m_type = MT_FREE;
}

// blank - nobody shares the storage, and nothing is known of it but its type.
void blank(ExtControl* control, ExtType type) {
    std::memset(control->refs, 0, sizeof control->refs);
    control->type = type;
    control->read_only = false;
    control->zone = 0;
    control->zero_pending.store(0, sync::relaxed);
    control->free = nullptr;
    control->arg = nullptr;
}

void init_packet(rte_mempool* pool, void* arg, void* element, unsigned i) {
    init_header(pool, arg, element, i);
    Mbuf* m = static_cast<Mbuf*>(element);
    ExtControl* control = packet_control(m);
    blank(control, ExtType::packet);
    control->size = m->rte.buf_len;
    control->base = static_cast<std::byte*>(m->rte.buf_addr);
    control->iova = rte_mbuf_iova_get(&m->rte);
    control->arg = m;
}

void init_cluster(rte_mempool* pool, void* arg, void* element, unsigned) {
    const Zone* zone = static_cast<const Zone*>(arg);
    ExtControl* control = static_cast<ExtControl*>(element);
    blank(control, ExtType::cluster);
    control->zone = zone::number_of(*zone);
    control->size = zone->size;
    control->base = reinterpret_cast<std::byte*>(control + 1);
    const rte_iova_t iova = rte_mempool_virt2iova(element);
    control->iova = iova == RTE_BAD_IOVA ? RTE_BAD_IOVA : iova + sizeof(ExtControl);
    (void)pool;
}

void init_foreign(rte_mempool*, void*, void* element, unsigned) {
    blank(static_cast<ExtControl*>(element), ExtType::foreign);
}

void init_proxy(rte_mempool*, void*, void* element, unsigned) {
    new (element) ref::ProxyObject<sync::Real>;
}

Result<Zone*> make_mbuf_zone(uint32_t n, uint32_t cache, int socket) {
    const std::string name = "um_mbuf_" + std::to_string(socket);
    rte_mempool* pool = rte_pktmbuf_pool_create(name.c_str(), n, fitting_cache(cache, n),
                                                kMbufPrivate, kMLen, socket);
    if (pool == nullptr) return no_pool(name, n, sizeof(Mbuf) + kMLen, socket);
    rte_mempool_obj_iter(pool, init_header, nullptr);
    return keep(ZoneKind::mbuf, 0, socket, kMLen, name, pool);
}

// kept_at_home - so many bytes of a raw element mean something while it is at home, and the checked
// handler leaves them alone. A control line stays as init_cluster() made it. Of a proxy only its word
// does, which says that it is dead: its count is written by nobody. A page's place never changes.
uint32_t kept_at_home(ZoneKind kind, uint32_t element) {
    switch (kind) {
    case ZoneKind::proxy: return offsetof(ref::ProxyObject<sync::Real>, count);
    case ZoneKind::page: return element;
    default: return sizeof(ExtControl);
    }
}

// A pool of the checked handler. Null and rte_errno, as rte_mempool_create().
rte_mempool* checked_raw_pool(ZoneKind kind, const char* name, uint32_t n, uint32_t element, int socket) {
    rte_mempool* pool = rte_mempool_create_empty(name, n, element, 0, 0, socket, 0);
    if (pool == nullptr) return nullptr;
    int error = rte_mempool_set_ops_byname(pool, kChecked, reinterpret_cast<void*>(uintptr_t{kept_at_home(kind, element)}));
    if (error == 0) error = std::min(0, rte_mempool_populate_default(pool));
    if (error == 0) return pool;
    rte_mempool_free(pool);
    rte_errno = -error;
    return nullptr;
}

rte_mempool* raw_pool(ZoneKind kind, const char* name, uint32_t n, uint32_t element, uint32_t cache, int socket) {
    if (checked()) return checked_raw_pool(kind, name, n, element, socket);
    return rte_mempool_create(name, n, element, fitting_cache(cache, n), 0, nullptr, nullptr, nullptr,
                              nullptr, socket, 0);
}

Result<Zone*> make_raw_zone(ZoneKind kind, uint8_t cluster, uint32_t n, uint32_t cache, int socket) {
    const uint32_t size = kind == ZoneKind::cluster ? kClusterSizes[cluster] : 0;
    const std::string what = kind == ZoneKind::cluster ? "cl" + std::to_string(size / 1024) + "k"
                             : kind == ZoneKind::proxy ? "proxy"
                                                       : "control";
    const std::string name = "um_" + what + "_" + std::to_string(socket);
    const uint32_t element = static_cast<uint32_t>(sizeof(ExtControl)) + size;
    rte_mempool* pool = raw_pool(kind, name.c_str(), n, element, cache, socket);
    if (pool == nullptr) return no_pool(name, n, element, socket);
    return keep(kind, cluster, socket, size, name, pool);
}

Result<Zone*> make_tag_zone(uint32_t n, uint32_t cache, int socket) {
    const std::string name = "um_tag_" + std::to_string(socket);
    const uint32_t element = static_cast<uint32_t>(sizeof(MTag)) + kTagLen;
    rte_mempool* pool = raw_pool(ZoneKind::tag, name.c_str(), n, element, cache, socket);
    if (pool == nullptr) return no_pool(name, n, element, socket);
    return keep(ZoneKind::tag, 0, socket, kTagLen, name, pool);
}

Status make_node(const ZoneConfig& config, int socket) {
    zone::Node& node = g.nodes[socket];
    Result<Zone*> mbufs = make_mbuf_zone(config.mbufs, config.cache, socket);
    if (!mbufs) return mbufs.error();
    node.mbufs = mbufs.value();
    for (uint8_t i = 0; i < kClusterZones; ++i) {
        Result<Zone*> zone =
            make_raw_zone(ZoneKind::cluster, i, config.clusters[i], config.cache, socket);
        if (!zone) return zone.error();
        node.clusters[i] = zone.value();
        g.cluster_pools[zone::number_of(*zone.value())] = zone.value()->pool;
        rte_mempool_obj_iter(zone.value()->pool, init_cluster, zone.value());
    }
    Result<Zone*> controls =
        make_raw_zone(ZoneKind::control, 0, config.controls, config.cache, socket);
    if (!controls) return controls.error();
    node.controls = controls.value();
    Result<Zone*> tags = make_tag_zone(config.tags, config.cache, socket);
    if (!tags) return tags.error();
    node.tags = tags.value();
    rte_mempool_obj_iter(node.controls->pool, init_foreign, nullptr);
    if (!refs_in_use().takes_proxies) return {};
    Result<Zone*> proxies = make_raw_zone(ZoneKind::proxy, 0, config.proxies, config.cache, socket);
    if (!proxies) return proxies.error();
    node.proxies = proxies.value();
    rte_mempool_obj_iter(node.proxies->pool, init_proxy, nullptr);
    return {};
}

Status register_valid_flag() {
    if (Mbuf::valid_flag_ != 0) return {};
    rte_mbuf_dynflag flag{};
    std::snprintf(flag.name, sizeof flag.name, "umbuf_private");
    const int bit = rte_mbuf_dynflag_register(&flag);
    if (bit < 0)
        return Error{rte_errno, "no free rte_mbuf flag bit is left for \"umbuf_private\": " +
                                    std::string(rte_strerror(rte_errno))};
    Mbuf::valid_flag_ = uint64_t{1} << bit;
    return {};
}

// Does the machine have that node at all? numa_available() is -1 where there is no NUMA: node 0.
bool node_exists(int socket) {
    return socket == 0 || (numa_available() >= 0 && socket <= numa_max_node());
}

const Mbuf* any_element(const Zone& zone) {
    const Mbuf* found = nullptr;
    rte_mempool_obj_iter(
        zone.pool, [](rte_mempool*, void* to, void* element, unsigned) { *static_cast<void**>(to) = element; },
        &found);
    return found;
}

// Headers whose record is not parked: at home or not, a clone of DPDK's still counts on them.
uint32_t living_records(const Zone& zone) {
    if (zone.kind != ZoneKind::mbuf) return 0;
    uint32_t n = 0;
    rte_mempool_obj_iter(
        zone.pool,
        [](rte_mempool*, void* count, void* element, unsigned) {
            if (static_cast<Mbuf*>(element)->ctl.load(sync::acquire) != nullptr)
                ++*static_cast<uint32_t*>(count);
        },
        &n);
    return n;
}

// Tags hang on headers at home when a driver freed a tagged packet and nobody took the header again.
void free_lost_tags(const Zone& zone) {
    if (zone.kind != ZoneKind::mbuf && zone.kind != ZoneKind::packet) return;
    rte_mempool_obj_iter(
        zone.pool,
        [](rte_mempool*, void*, void* element, unsigned) {
            Mbuf* m = static_cast<Mbuf*>(element);
            if (m->tags != nullptr) m->drop_lost_tags();
        },
        nullptr);
}

Status choose_refs(const ZoneConfig& config) {
    refs_current = config.ops != nullptr ? config.ops : refs_named(config.refs);
    if (refs_current != nullptr) return {};
    std::string known;
    for (const char* each : refs_names()) known += std::string(known.empty() ? "" : ", ") + each;
    return Error{EINVAL, "there is no reference-count scheme \"" + config.refs + "\"; expected one of: " + known};
}

void push_set_aside(Mbuf* m) noexcept {
    Mbuf* head = g.aside.load(sync::relaxed);
    do {
        m->nextpkt = head;
    } while (!g.aside.compare_exchange_weak(head, m, sync::release, sync::relaxed));
}

}  // namespace

Status mbinit(const ZoneConfig& config, const std::vector<int>& sockets) {
    if (!g.list.empty()) return Error{EALREADY, "mbinit: the zones exist already"};
    if (sockets.empty()) return Error{EINVAL, "mbinit: no NUMA node given"};
    if (Status chosen = choose_refs(config); !chosen) return chosen;
    zone::iova_is_va = rte_eal_iova_mode() == RTE_IOVA_VA;
    trace::diagnose();
    if (Status flag = register_valid_flag(); !flag) return flag;
    for (const int socket : sockets) {
        if (socket < 0 || socket >= RTE_MAX_NUMA_NODES || !node_exists(socket))
            return Error{EINVAL, "mbinit: NUMA node " + std::to_string(socket) +
                                     " does not exist on this machine"};
        if (Status made = make_node(config, socket); !made) {
            (void)mbfini();
            return made;
        }
    }
    g.first_node = sockets.front();
    ext::HeaderLinks::start(any_element(*g.nodes[g.first_node].mbufs));
    return {};
}

Result<Zone*> packet_zone(const std::string& name, uint32_t n, uint32_t data_room, int socket,
                          uint32_t cache) {
    if (Status flag = register_valid_flag(); !flag) return flag.error();
    const uint32_t room = data_room + RTE_PKTMBUF_HEADROOM;
    if (data_room < 64 || room > UINT16_MAX)
        return Error{EINVAL, "zone " + name + ": " + std::to_string(data_room) +
                                 " bytes of data room; expected 64 to " +
                                 std::to_string(UINT16_MAX - RTE_PKTMBUF_HEADROOM)};
    rte_mempool* pool =
        rte_pktmbuf_pool_create(name.c_str(), n, fitting_cache(cache, n), kPacketPrivate,
                                static_cast<uint16_t>(room), socket);
    if (pool == nullptr) return no_pool(name, n, sizeof(rte_mbuf) + kPacketPrivate + room, socket);
    rte_mempool_obj_iter(pool, init_packet, nullptr);
    return keep(ZoneKind::packet, 0, socket, data_room, name, pool);
}

Result<Zone*> page_zone(const std::string& name, uint32_t n, uint32_t element, uint32_t size, int socket,
                        uint32_t cache) {
    rte_mempool* pool = raw_pool(ZoneKind::page, name.c_str(), n, element, cache, socket);
    if (pool == nullptr) return no_pool(name, n, element, socket);
    return keep(ZoneKind::page, 0, socket, size, name, pool);
}

void zone_close(Zone* zone) {
    UM_ASSERT_MSG(zone->in_use() == 0, "zone %s is freed, but %u elements are in use", zone->name.c_str(),
                  zone->in_use());
    zone::unwatch(*zone);
    rte_mempool_free(zone->pool);
    std::erase(g.list, zone);
    std::erase_if(g.owned, [zone](const auto& each) { return each.get() == zone; });
}

const std::vector<Zone*>& zones() noexcept { return g.list; }

ZoneLevel zone_level(const Zone& zone) noexcept {
    uint32_t caches = 0;
    if (zone.pool->cache_size > 0)
        for (unsigned lcore = 0; lcore < RTE_MAX_LCORE; ++lcore) caches += zone.pool->local_cache[lcore].len;
    caches = std::min(caches, zone.pool->size);
    const uint32_t pool = std::min(rte_mempool_get_ops(zone.pool->ops_index)->get_count(zone.pool), zone.pool->size - caches);
    return {zone.pool->size - caches - pool, pool, caches};
}

void zones_sample() noexcept {
    for (const Zone* zone : g.list) {
        const ZoneLevel level = zone_level(*zone);
        ZoneStats& s = *zone->stats;
        s.in_use.set(level.in_use);
        s.cached.set(level.pool + level.caches);
        s.lcore_cached.set(level.caches);
        s.total.set(zone->pool->size);
        if (level.in_use > s.peak.read()) s.peak.set(level.in_use);
    }
    traps->stuck.set(refs_counters().stuck);
    windows_sample();
    moved_sample();
}

bool alloc_bulk(Zone& zone, rte_mbuf** packets, unsigned n) noexcept {
    const zone::Asking verb;
    if (rte_pktmbuf_alloc_bulk(zone.pool, packets, n) == 0) return true;
    zone.note_denied(zone.stats->denied_verb);
    return false;
}

std::vector<Unbalanced> zones_unbalanced(const std::vector<uint32_t>& expected) {
    reclaim_set_aside();
    std::vector<Unbalanced> wrong;
    for (size_t i = 0; i < g.list.size(); ++i) {
        const uint32_t want = i < expected.size() ? expected[i] : 0;
        const uint32_t have = g.list[i]->in_use();
        if (have != want) wrong.push_back({g.list[i]->name, have, want});
    }
    return wrong;
}

std::vector<Unbalanced> mbfini() {
    // Headers in use may have tags of right; those at home may not.
    reclaim_set_aside();
    for (const Zone* zone : g.list)
        if (zone->in_use() == 0) free_lost_tags(*zone);
    std::vector<Unbalanced> held = zones_unbalanced();
    for (const Zone* zone : g.list)
        if (const uint32_t records = living_records(*zone); records > 0)
            held.push_back({zone->name + " (records that DPDK clones use)", records, 0});
    if (!held.empty()) return held;  // somebody points into them, and they into each other
    for (Zone* zone : g.list) {
        zone::unwatch(*zone);
        rte_mempool_free(zone->pool);
    }
    g.list.clear();
    g.owned.clear();
    for (zone::Node& node : g.nodes) node = {};
    return {};
}

MbufTraps mbuf_traps() noexcept {
    return {traps->foreign_clones.read(), traps->set_aside_now.read(), traps->refused_writes.read(),
            traps->lost_tags.read()};
}

uint32_t reclaim_set_aside() noexcept {
    uint32_t home = 0;
    Mbuf* m = g.aside.exchange(nullptr, sync::acquire);  // pairs with push_set_aside
    while (m != nullptr) {
        Mbuf* next = m->nextpkt;
        if (m->ctl.load(sync::acquire) == nullptr) {  // pairs with the hook's release: it is done
            rte_mempool_put(m->rte.pool, m);
            ++home;
        } else {
            push_set_aside(m);
        }
        m = next;
    }
    if (home > 0) traps->set_aside_now.add_shared(uint64_t{0} - home);
    return home;
}

void alloc_faults_arm(uint32_t n, uint32_t more) noexcept {
    g.fault_more.store(more, sync::relaxed);
    zone::fault_in.store(n, sync::relaxed);
}

namespace zone {

Node& find_here() noexcept {
    const unsigned socket = rte_socket_id();
    const bool known = socket < RTE_MAX_NUMA_NODES && g.nodes[socket].mbufs != nullptr;
    return *(here_ = &g.nodes[known ? socket : static_cast<unsigned>(g.first_node)]);
}

rte_mempool* cluster_pool(uint8_t number) noexcept { return g.cluster_pools[number]; }

namespace {
// Are we about to go to the common store for more, and is little left there? Then what this thread
// holds back (MergedReleases) is wanted. Elements in a cache are not: the cheap test comes first.
bool low(const Zone& zone) noexcept {
    const rte_mempool_cache* cache = rte_mempool_default_cache(zone.pool, rte_lcore_id());
    return cache != nullptr && cache->len == 0 &&
           rte_mempool_avail_count(zone.pool) < zone.pool->size / 8;
}
}  // namespace

void* get(Zone& zone) noexcept {
    if (fault_fires()) {
        note_denied(zone);
        return nullptr;
    }
    if (refs_holding && low(zone)) refs_flush();
    if (void* element = pool_get(zone.pool); __builtin_expect(element != nullptr, 1)) return element;
    if (refs_holding) {  // many lcores may have emptied it: what we have is better than nothing
        refs_flush();
        if (void* element = pool_get(zone.pool); element != nullptr) {
            zone.stats->delayed.add_shared(1);
            return element;
        }
    }
    note_denied(zone);
    return nullptr;
}

Mbuf* get_header_slowly() noexcept {
    Zone& zone = *here().mbufs;
    bool waited = false;
    for (;;) {
        void* element = pool_get(zone.pool);
        if (element == nullptr && reclaim_set_aside() > 0) {
            waited = true;
            element = pool_get(zone.pool);
        }
        if (element == nullptr) break;
        if (Mbuf* m = static_cast<Mbuf*>(element); parked(m)) {
            if (waited) zone.stats->delayed.add_shared(1);
            return m;
        }
        set_aside(static_cast<Mbuf*>(element));
    }
    note_denied(zone);
    return nullptr;
}

void set_aside(Mbuf* m) noexcept {
    traps->foreign_clones.add_shared(1);
    traps->set_aside_now.add_shared(1);
    push_set_aside(m);
}

void note_denied(Zone& zone) noexcept {
    zone.note_denied(zone.stats->denied_verb);
    rte_errno = ENOBUFS;
}

bool armed_fault_fires() noexcept {
    int64_t left = zone::fault_in.load(sync::relaxed);
    do {  // Never below 0: that would keep every later allocation on this path.
        if (left <= 0) return false;
    } while (!zone::fault_in.compare_exchange_weak(left, left - 1, sync::relaxed, sync::relaxed));
    if (left != 1) return false;
    // Fired. Stay armed for the next one while more are wanted.
    const uint32_t more = g.fault_more.load(sync::relaxed);
    if (more > 0) {
        g.fault_more.store(more - 1, sync::relaxed);
        zone::fault_in.store(1, sync::relaxed);
    }
    return true;
}

void note_refused_write() noexcept { traps->refused_writes.add_shared(1); }

void note_lost_tags(uint32_t n) noexcept { traps->lost_tags.add_shared(n); }

}  // namespace zone

}  // namespace umbuf
