// SPDX-License-Identifier: BSD-2-Clause
// workload.cc - the workloads, once over umbuf's verbs and once over DPDK's.
#include "app/umbench/refcount/workload.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring.h>

#include "app/umbench/refcount/counted.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::bench {
namespace {

constexpr uint32_t kElements = 8192;
constexpr uint32_t kBig = 1024;  // clusters of 16k
constexpr uint32_t kCache = 256;
constexpr uint32_t kRing = 1024;
constexpr uint32_t kPrivate = 64;
constexpr uint32_t kPacket = 1448;

rte_mempool* dpdk_pool = nullptr;      // 2k packets, and headers of clones
rte_mempool* dpdk_big_pool = nullptr;  // 16k packets

// ---- the two ways to do the same

struct UmbufWay {
    static rte_mbuf* make(uint32_t length) noexcept {
        Mbuf* m = m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, length);
        if (m == nullptr) return nullptr;
        m->set_len(length);
        m->rte.pkt_len = length;
        return &m->rte;
    }
    static rte_mbuf* copy(rte_mbuf* m, uint32_t off, uint32_t length) noexcept {
        Mbuf* copy = m_copym(Mbuf::of(m), off, length, M_NOWAIT);
        return copy == nullptr ? nullptr : &copy->rte;
    }
    static void free(rte_mbuf* m) noexcept { m_freem(Mbuf::of(m)); }
    static void want_zero(rte_mbuf* m) noexcept { Mbuf::of(m)->set_flags(M_ZEROIZE); }
    static void burst_ends() noexcept { refs_flush(); }
};

struct DpdkWay {
    static rte_mbuf* make(uint32_t length) noexcept {
        rte_mbuf* m = rte_pktmbuf_alloc(length <= kMCLBytes ? dpdk_pool : dpdk_big_pool);
        if (m != nullptr) m->data_len = static_cast<uint16_t>(m->pkt_len = length);
        return m;
    }
    static rte_mbuf* copy(rte_mbuf* m, uint32_t off, uint32_t length) noexcept {
        rte_mbuf* copy = rte_pktmbuf_clone(m, dpdk_pool);
        if (copy == nullptr || length == M_COPYALL) return copy;
        copy->data_off = static_cast<uint16_t>(copy->data_off + off);
        copy->data_len = static_cast<uint16_t>(copy->pkt_len = length);
        return copy;
    }
    static void free(rte_mbuf* m) noexcept { rte_pktmbuf_free(m); }
    static void want_zero(rte_mbuf*) noexcept {}
    static void burst_ends() noexcept {}
};

// ---- what the lcores of one run have in common, and what each has

struct Run {
    std::string workload;
    unsigned lcores;
    uint64_t cycles;                 // to measure
    sync::atomic<uint32_t> ready{0};
    sync::atomic<bool> go{false}, stop{false};
    sync::atomic<uint32_t> working{0};  // lcores that may still send to others
    rte_mbuf* shared = nullptr;      // shared_cluster: the first one
};

// One for each lcore, on lines of its own.
struct alignas(128) Seat {
    Run* run = nullptr;
    unsigned index = 0;
    rte_ring* inbox = nullptr;       // packets that this lcore frees for its neighbour
    rte_ring* next = nullptr;        // the neighbour's inbox; with one lcore, its own
    rte_mbuf* own = nullptr;         // what it copies from
    std::array<rte_mbuf*, kPrivate> many{};
    uint64_t ops = 0, cycles = 0, failed = 0;
    Tally tally;
};

template <class Way>
class Worker {
  public:
    explicit Worker(Seat& seat) : seat_(seat), run_(*seat.run) {}

    void work() {
        const std::string& w = run_.workload;
        if (w == "unshared") loop([this] { unshared(); });
        else if (w == "private_clusters") loop([this] { copy_free(seat_.many[turn_++ % kPrivate]); });
        else if (w == "handover") loop([this] { handover(); });
        else if (w == "fanout8") loop([this] { fanout(8, 2000); });
        else if (w == "fanout45") loop([this] { fanout(45, 360); });
        else if (w == "tcp") loop([this] { tcp(false); });
        else if (w == "zeroize") loop([this] { tcp(true); });
        else loop([this] { copy_free(seat_.own); });
    }

  private:
    template <class Body>
    void loop(const Body& body) {
        run_.ready.fetch_add(1, sync::acq_rel);
        while (!run_.go.load(sync::acquire)) sched_yield();
        for (const uint64_t warm = rte_rdtsc() + run_.cycles / 8; rte_rdtsc() < warm;) body();
        seat_.ops = 0;
        tally = {};
        const uint64_t begin = rte_rdtsc();
        // Seat 0 keeps the time for all: a thread that only did that would want a processor.
        while (!run_.stop.load(sync::acquire)) {
            body();
            if (seat_.index == 0 && rte_rdtsc() - begin >= run_.cycles) run_.stop.store(true, sync::release);
        }
        seat_.cycles = rte_rdtsc() - begin;
        seat_.tally = tally;
        // Nobody leaves while a neighbour may still send.
        run_.working.fetch_sub(1, sync::acq_rel);
        while (run_.working.load(sync::acquire) != 0) free_inbox();
        while (free_inbox() != 0) {}
        Way::burst_ends();
    }

    void unshared() {
        std::array<rte_mbuf*, kBurst> burst;
        for (rte_mbuf*& m : burst) m = Way::make(kPacket);
        for (rte_mbuf* m : burst) finish(m);
        Way::burst_ends();
        seat_.ops += kBurst;
    }

    void copy_free(rte_mbuf* m) {
        std::array<rte_mbuf*, kBurst> burst;
        for (rte_mbuf*& copy : burst) copy = Way::copy(m, 0, M_COPYALL);
        for (rte_mbuf* copy : burst) finish(copy);
        Way::burst_ends();
        seat_.ops += kBurst;
    }

    // The one who frees counts: what is in the ring at the end was not done.
    void handover() {
        if (seat_.index % 2 == 0) {
            std::array<rte_mbuf*, kBurst> burst;
            for (rte_mbuf*& copy : burst) copy = Way::copy(seat_.own, 0, M_COPYALL);
            pass(burst.data(), kBurst);
        }
        if (seat_.index % 2 == 1 || run_.lcores == 1) seat_.ops += free_inbox();
        Way::burst_ends();
    }

    void fanout(uint32_t pieces, uint32_t length) {
        std::array<rte_mbuf*, 48> cut;
        rte_mbuf* whole = Way::make(pieces * length);
        if (whole == nullptr) {
            ++seat_.failed;
            seat_.ops += free_inbox();
            return Way::burst_ends();
        }
        uint32_t kept = 0, passed = 0;
        std::array<rte_mbuf*, 48> theirs;
        for (uint32_t i = 0; i < pieces; ++i)
            (i % 2 == 0 ? cut[kept++] : theirs[passed++]) = Way::copy(whole, i * length, length);
        finish(whole);
        pass(theirs.data(), passed);
        for (uint32_t i = 0; i < kept; ++i) finish(cut[i]);
        seat_.ops += kept + free_inbox();
        Way::burst_ends();
    }

    // The copy goes out and is freed elsewhere; the original stays until the next burst.
    void tcp(bool zero) {
        std::array<rte_mbuf*, kBurst> kept, sent;
        for (uint32_t i = 0; i < kBurst; ++i) {
            kept[i] = Way::make(kPacket);
            if (zero && kept[i] != nullptr) Way::want_zero(kept[i]);
            sent[i] = kept[i] == nullptr ? nullptr : Way::copy(kept[i], 0, M_COPYALL);
        }
        pass(sent.data(), kBurst);
        seat_.ops += free_inbox();
        for (rte_mbuf* m : kept) finish(m);
        Way::burst_ends();
    }

    // pass - to the neighbour. A full inbox: wait, and free what has come meanwhile.
    void pass(rte_mbuf** burst, uint32_t n) {
        uint32_t all = 0;
        for (uint32_t i = 0; i < n; ++i)
            if (burst[i] != nullptr) burst[all++] = burst[i];
        seat_.failed += n - all;
        uint32_t done = 0;
        while (done < all) {
            done += rte_ring_enqueue_burst(seat_.next, reinterpret_cast<void**>(burst + done), all - done, nullptr);
            if (done == all) break;
            if (const uint32_t freed = free_inbox(); freed != 0) seat_.ops += freed;
            else rte_pause();
        }
    }
    uint32_t free_inbox() {
        std::array<rte_mbuf*, 2 * kBurst> burst;
        const uint32_t n = rte_ring_dequeue_burst(seat_.inbox, reinterpret_cast<void**>(burst.data()), burst.size(), nullptr);
        for (uint32_t i = 0; i < n; ++i) Way::free(burst[i]);
        return n;
    }
    void finish(rte_mbuf* m) {
        if (m != nullptr) Way::free(m);
        else ++seat_.failed;
    }

    Seat& seat_;
    Run& run_;
    uint32_t turn_ = 0;
};

template <class Way>
int sit_down(void* seat) {
    if constexpr (std::is_same_v<Way, UmbufWay>) {
        const MergedReleases merged;
        Worker<Way>(*static_cast<Seat*>(seat)).work();
    } else {
        Worker<Way>(*static_cast<Seat*>(seat)).work();
    }
    return 0;
}

// ---- one run

using Seats = std::vector<Seat>;

template <class Way>
void deal(Run& run, Seats& seats) {
    run.shared = Way::make(kPacket);
    for (Seat& seat : seats) {
        seat.own = run.workload == "shared_cluster" ? Way::copy(run.shared, 0, M_COPYALL) : Way::make(kPacket);
        for (rte_mbuf*& m : seat.many) m = Way::make(kPacket);
    }
}

template <class Way>
void take_back(Run& run, Seats& seats) {
    Way::free(run.shared);
    for (Seat& seat : seats) {
        Way::free(seat.own);
        for (rte_mbuf* m : seat.many) Way::free(m);
    }
    Way::burst_ends();
}

template <class Way>
void run_all(Run& run, Seats& seats) {
    deal<Way>(run, seats);
    run.working.store(run.lcores, sync::release);
    unsigned lcore = rte_get_next_lcore(UINT32_MAX, 1, 0);
    for (size_t i = 1; i < seats.size(); ++i, lcore = rte_get_next_lcore(lcore, 1, 0))
        rte_eal_remote_launch(sit_down<Way>, &seats[i], lcore);
    while (run.ready.load(sync::acquire) + 1 < run.lcores) sched_yield();
    run.go.store(true, sync::release);
    sit_down<Way>(&seats[0]);
    rte_eal_mp_wait_lcore();
    take_back<Way>(run, seats);
}

Status make_pools(const std::string& scheme, bool count) {
    if (scheme == "dpdk") {
        dpdk_pool = rte_pktmbuf_pool_create("bench_2k", kElements, kCache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
        dpdk_big_pool = rte_pktmbuf_pool_create("bench_16k", kBig, 64, 0, kClusterSizes[3] + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
        if (dpdk_pool == nullptr || dpdk_big_pool == nullptr)
            return Error{ENOMEM, "no memory for DPDK's pools"};
        return {};
    }
    ZoneConfig config;
    config.mbufs = kElements;
    config.clusters[0] = kElements / 2;
    config.clusters[3] = kBig;
    config.proxies = kElements / 2;
    config.cache = kCache;
    config.refs = scheme;
    if (count) config.ops = counted(scheme);
    return mbinit(config, {static_cast<int>(rte_socket_id())});
}

Status free_pools(const std::string& scheme) {
    if (scheme == "dpdk") {
        const unsigned left = rte_mempool_in_use_count(dpdk_pool) + rte_mempool_in_use_count(dpdk_big_pool);
        rte_mempool_free(dpdk_pool);
        rte_mempool_free(dpdk_big_pool);
        return left == 0 ? Status{} : Status{Error{EBUSY, fmt::format("dpdk: {} buffers were not given back", left)}};
    }
    const std::vector<std::string> wrong = refs_audit();
    const std::vector<Unbalanced> held = mbfini();
    if (!held.empty())
        return Error{EBUSY, fmt::format("{}: zone {} has {} elements out", scheme, held[0].zone, held[0].in_use)};
    return wrong.empty() ? Status{} : Status{Error{EPROTO, wrong[0]}};
}

rte_ring* make_ring(unsigned index) {
    return rte_ring_create(fmt::format("bench_{}", index).c_str(), kRing, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

Measured sum(const Seats& seats) {
    uint64_t cycles = 0;
    Measured m;
    Tally all;
    for (const Seat& seat : seats) {
        cycles += seat.cycles;
        m.ops += seat.ops;
        all.rmw += seat.tally.rmw;
        all.handovers += seat.tally.handovers;
    }
    const double ops = static_cast<double>(std::max<uint64_t>(m.ops, 1));
    m.cycles_per_op = static_cast<double>(cycles) / ops;
    m.rmw_per_op = static_cast<double>(all.rmw) / ops;
    m.handovers_per_op = static_cast<double>(all.handovers) / ops;
    return m;
}

}  // namespace

const std::vector<std::string>& workload_names() {
    static const std::vector<std::string> names{"unshared", "copy_free", "shared_cluster", "private_clusters",
                                                "handover", "fanout8", "fanout45", "tcp", "zeroize"};
    return names;
}

bool workload_runs_on(const std::string& workload, const std::string& scheme, unsigned lcores) {
    if (workload == "zeroize" && scheme == "dpdk") return false;
    if (workload == "handover" && lcores % 2 == 1 && lcores > 1) return false;  // pairs, or one alone
    return workload != "copy_free" || lcores == 1;
}

Result<Measured> run_workload(const std::string& workload, const std::string& scheme, unsigned lcores,
                              double milliseconds, bool count) {
    if (Status pools = make_pools(scheme, count); !pools) return pools.error();
    Run run;
    run.workload = workload;
    run.lcores = lcores;
    run.cycles = static_cast<uint64_t>(milliseconds * 1e-3 * static_cast<double>(rte_get_tsc_hz()));
    Seats seats(lcores);
    for (unsigned i = 0; i < lcores; ++i) {
        seats[i].run = &run;
        seats[i].index = i;
        seats[i].inbox = make_ring(i);
        if (seats[i].inbox == nullptr) return Error{ENOMEM, "no memory for a ring between lcores"};
    }
    for (unsigned i = 0; i < lcores; ++i) seats[i].next = seats[(i + 1) % lcores].inbox;
    if (scheme == "dpdk") run_all<DpdkWay>(run, seats);
    else run_all<UmbufWay>(run, seats);
    for (Seat& seat : seats) rte_ring_free(seat.inbox);
    if (Status balanced = free_pools(scheme); !balanced) return balanced.error();
    return sum(seats);
}

}  // namespace umbuf::bench
