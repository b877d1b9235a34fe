// SPDX-License-Identifier: BSD-2-Clause
// lane.cc - the loop of one lcore, and the epoch that they share.
#include "app/umfwd/machine/lane.h"

#include <sched.h>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "lib/mbuf/refs.h"

namespace umbuf::fwd {

namespace {

// Empty turns before a lane that shares its CPU gives it away. Long enough to ride out the gaps of a
// busy port, short against a scheduler's tick.
constexpr uint32_t kIdleTurns = 64;

constexpr stat::Field kFields[] = {
    {"lcore_packets", "packets", stat::Kind::counter, 1, "handled by it"},
    {"lcore_busy", "cycles", stat::Kind::counter, 1, "of turns that found work"},
    {"lcore_idle", "cycles", stat::Kind::counter, 1, "of turns that found none"},
};

int run_lane(void* lane) {
    static_cast<Lane*>(lane)->run();
    return 0;
}

}  // namespace

uint32_t Lane::turn() noexcept {
    uint32_t n = 0;
    for (Stream* stream : streams) n += stream->engine->burst(*stream);
    return n;
}

void Lane::idle_turn(uint32_t* idle_turns) noexcept {
    if (meter.is_busy()) meter.to_idle(rte_rdtsc());
    if (polite && ++*idle_turns >= kIdleTurns) {
        *idle_turns = 0;
        sched_yield();
    }
}

void Lane::sample() noexcept {
    const CycleMeter::Reading cycles = meter.read(rte_rdtsc());
    stats->busy.set(cycles.busy);
    stats->idle.set(cycles.idle);
}

void Lane::wait_at_gate() noexcept {
    while (!go.load(sync::acquire) && !stop.load(sync::acquire)) {  // pairs with Lanes::go(), join()
        rte_rcu_qsbr_quiescent(epoch, lcore);
        sched_yield();
    }
}

void Lane::run() noexcept {
    const MergedReleases merged;  // flushed after each turn
    rte_rcu_qsbr_thread_online(epoch, lcore);
    online.store(true, sync::release);  // pairs with the acquire in launch()
    wait_at_gate();
    uint32_t idle_turns = 0;
    uint64_t turn_began = rte_rdtsc();
    meter.begin(turn_began);
    while (!stop.load(sync::acquire)) {  // pairs with the release in join()
        if (!meter.is_busy()) turn_began = rte_rdtsc();
        if (const uint32_t n = turn(); n == 0) {
            idle_turn(&idle_turns);
        } else {
            if (!meter.is_busy()) meter.to_busy(turn_began);
            stats->packets.add(n);
            idle_turns = 0;
        }
        refs_flush();
        rte_rcu_qsbr_quiescent(epoch, lcore);
    }
    meter.end(rte_rdtsc());
    rte_rcu_qsbr_thread_offline(epoch, lcore);
}

bool shares_cpu(unsigned lcore) {
    const rte_cpuset_t mine = rte_lcore_cpuset(lcore);
    unsigned other;
    RTE_LCORE_FOREACH(other) {
        if (other == lcore) continue;
        rte_cpuset_t both, theirs = rte_lcore_cpuset(other);
        CPU_AND(&both, &mine, &theirs);
        if (CPU_COUNT(&both) > 0) return true;
    }
    return false;
}

Result<Epoch> make_epoch() {
    const size_t bytes = rte_rcu_qsbr_get_memsize(RTE_MAX_LCORE);
    Epoch epoch(static_cast<rte_rcu_qsbr*>(rte_zmalloc("um_epoch", bytes, RTE_CACHE_LINE_SIZE)));
    if (epoch == nullptr)
        return Error{ENOMEM, fmt::format("no memory for the lcores' epoch ({} bytes); give EAL more: "
                                         "-m MB", bytes)};
    rte_rcu_qsbr_init(epoch.get(), RTE_MAX_LCORE);
    return epoch;
}

void FreeEpoch::operator()(rte_rcu_qsbr* epoch) const noexcept { rte_free(epoch); }

std::unique_ptr<Lanes> Lanes::create(rte_rcu_qsbr* epoch) { return std::unique_ptr<Lanes>(new Lanes(epoch)); }

Lanes::~Lanes() { join(); }

Lane* Lanes::add(unsigned lcore) {
    UM_ASSERT(!running_);
    const int socket = static_cast<int>(rte_lcore_to_socket_id(lcore));
    NodePtr<Lane> lane = make_on_node<Lane>(socket);
    if (!lane) return nullptr;
    lane->lcore = lcore;
    lane->socket = socket;
    lane->polite = shares_cpu(lcore);
    lane->epoch = epoch_;
    lane->stats = stat::Box<LaneStats>(kFields, fmt::format("lcore={},node={}", lcore, socket));
    lanes_.push_back(std::move(lane));
    return lanes_.back().get();
}

// Waits until each lane is online: one that came online later could be missed by quiesce() and yet
// have read a path before it was closed.
Status Lanes::launch() {
    UM_ASSERT(!running_);
    running_ = true;
    for (const auto& lane : lanes_) {
        rte_rcu_qsbr_thread_register(epoch_, lane->lcore);
        if (const int e = rte_eal_remote_launch(run_lane, lane.get(), lane->lcore); e != 0) {
            join();
            return Error{-e, fmt::format("lcore {} is busy with something else: {}", lane->lcore,
                                         rte_strerror(-e))};
        }
    }
    for (const auto& lane : lanes_)
        while (!lane->online.load(sync::acquire)) sched_yield();
    return {};
}

void Lanes::go() const noexcept {
    for (const auto& lane : lanes_) lane->go.store(true, sync::release);
}

// The control thread holds no reference, so it is not registered and may wait. It yields instead of
// spinning: the lane that it waits for may need this very CPU.
void Lanes::quiesce() const {
    if (!running_) return;
    const uint64_t token = rte_rcu_qsbr_start(epoch_);
    while (rte_rcu_qsbr_check(epoch_, token, false) == 0) sched_yield();
}

void Lanes::join() {
    if (!running_) return;
    for (const auto& lane : lanes_) lane->stop.store(true, sync::release);
    for (const auto& lane : lanes_) {
        rte_eal_wait_lcore(lane->lcore);
        rte_rcu_qsbr_thread_unregister(epoch_, lane->lcore);
    }
    running_ = false;
}

void Lanes::clear() {
    UM_ASSERT(!running_);
    lanes_.clear();
}

}  // namespace umbuf::fwd
