// SPDX-License-Identifier: BSD-2-Clause
// fault.cc - faults on the two paths of a port.
//
// Each direction of each queue has a lane of its own: one lcore uses it, so its generator and its
// counters need no locks. The only thing that two lcores share is the flap.
#include "drivers/net/fault.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <deque>
#include <string_view>

#include <fmt/format.h>

#include "lib/mbuf/verbs.h"
#include "lib/page/extpg.h"

namespace umbuf {

namespace {

constexpr uint32_t kMillion = 1'000'000;
constexpr uint32_t kFlapBursts = 100;
constexpr uint16_t kHeaders = 14 + 20 + 8;  // Ethernet, IPv4, UDP

// Random - splitmix64: one add and three mixes, and every seed is a good one.
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t next() noexcept {
        uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    // below - 0 .. n-1. The bias of the multiplication is below one in 2^32 / n.
    uint32_t below(uint32_t n) noexcept {
        return static_cast<uint32_t>(((next() >> 32) * n) >> 32);
    }
    // hit - true with `ppm` in a million. A chance of 0 draws nothing, so that turning a fault off
    // does not move the others.
    bool hit(uint32_t ppm) noexcept { return ppm != 0 && below(kMillion) < ppm; }

  private:
    uint64_t state_;
};

struct Key {
    std::string_view name;
    uint32_t FaultPlan::*chance;
};
constexpr Key kKeys[] = {
    {"drop", &FaultPlan::drop},         {"duplicate", &FaultPlan::duplicate},
    {"reorder", &FaultPlan::reorder},   {"corrupt", &FaultPlan::corrupt},
    {"short_tx", &FaultPlan::short_tx}, {"no_mbuf", &FaultPlan::no_mbuf},
    {"flap", &FaultPlan::flap},
};

std::string key_names() {
    std::string names = "seed";
    for (const Key& key : kKeys)
        names += fmt::format(", {}", key.name);
    return names;
}

Status parse_one(FaultPlan& plan, std::string_view item) {
    const size_t equals = item.find('=');
    const std::string_view name = item.substr(0, equals);
    const std::string_view text =
        equals == std::string_view::npos ? std::string_view{} : item.substr(equals + 1);
    uint64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool number = failed == std::errc{} && end == text.data() + text.size() && !text.empty();
    const auto bad = [&](const char* expected) {
        return Error{EINVAL, fmt::format("faults: '{}': {}", item, expected)};
    };
    if (name == "seed") {
        if (!number) return bad("the seed is a number, 0 to 18446744073709551615");
        plan.seed = value;
        return {};
    }
    for (const Key& key : kKeys) {
        if (key.name != name) continue;
        if (!number || value > kMillion)
            return bad("a chance is a number of cases in a million, 0 to 1000000");
        plan.*key.chance = static_cast<uint32_t>(value);
        return {};
    }
    return Error{EINVAL,
                 fmt::format("faults: '{}' is no fault; the keys are {}", name, key_names())};
}

// Locks:  l the lcore that owns the lane   a atomic
struct alignas(64) Lane {
    explicit Lane(uint64_t seed) : random(seed) {}
    Random random;                                    // [l]
    sync::Counter drop, duplicate, reorder, corrupt;  // [a]
    sync::Counter short_tx, no_mbuf, flap;            // [a]
    alignas(64) sync::atomic<uint32_t> down{0};  // [a] bursts of this direction that do nothing yet
};

uint64_t lane_seed(uint64_t seed, uint16_t port, uint16_t queue, bool tx) {
    Random mix(seed);
    const uint64_t where = uint64_t{port} << 32 | uint64_t{queue} << 1 | (tx ? 1u : 0u);
    return Random(mix.next() ^ Random(where).next()).next();
}

// sole - may the burst's owner write this mbuf's bytes? Storage that is shared in any way is either
// not direct or has a count above one.
bool sole(const rte_mbuf* m) noexcept {
    return RTE_MBUF_DIRECT(m) && sync::load_of(m->refcnt, sync::acquire) == 1;
}

bool flip_a_bit(rte_mbuf* m, Random& random) noexcept {
    const uint16_t length = m->data_len;
    if (length == 0 || !sole(m)) return false;
    const uint16_t first = length > kHeaders ? kHeaders : uint16_t{0};
    const uint32_t bit = random.below((static_cast<uint32_t>(length) - first) * 8);
    rte_pktmbuf_mtod_offset(m, uint8_t*, first)[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    return true;
}

// deep_copy - a received packet with the same bytes, from the port's receive zone: only its mbufs
// may be without a private part. Null when the zone is empty.
rte_mbuf* deep_copy(const rte_mbuf* m, rte_mempool* pool) noexcept {
    if (m_has_unmapped(Mbuf::of(m))) {  // from a ring: read through windows
        Mbuf* copy = m_dup(Mbuf::of(m), M_NOWAIT);
        return copy == nullptr ? nullptr : &copy->rte;
    }
    rte_mbuf* copy = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
    if (copy == nullptr) return nullptr;
    copy->ol_flags &= ~Mbuf::valid_flag_;  // copied with the other flags; the private part was not
    if (copy->nb_segs > 1) adopt_chain(Mbuf::of(copy));
    return copy;
}

}  // namespace

Result<FaultPlan> FaultPlan::parse(const std::string& text) {
    FaultPlan plan;
    for (std::string_view rest = text; !rest.empty();) {
        const size_t comma = std::min(rest.find(','), rest.size());
        if (Status s = parse_one(plan, rest.substr(0, comma)); !s.ok()) return s.error();
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return plan;
}

std::string FaultPlan::text() const {
    std::string text = fmt::format("seed={}", seed);
    for (const Key& key : kKeys)
        if (this->*key.chance != 0) text += fmt::format(",{}={}", key.name, this->*key.chance);
    return text;
}

struct FaultPort::State {
    FaultPlan plan;           // [I]
    rte_mempool* pool;        // [I] for duplicates
    std::deque<Lane> rx, tx;  // [I] one lane per queue and direction; a deque never moves them

    static State& of(const Port& port) noexcept {
        return *static_cast<State*>(port.wrapper_context());
    }
    static uint16_t receive(Port&, uint16_t, rte_mbuf**, uint16_t) noexcept;
    static Sent transmit(Port&, uint16_t, rte_mbuf**, uint16_t) noexcept;
    [[nodiscard]] bool is_down(Lane& lane, std::deque<Lane>& others, uint16_t queue) const noexcept;
    void arm_no_mbuf(Lane& lane) const noexcept;
    [[nodiscard]] uint16_t spoil(Lane& lane, rte_mbuf** burst, uint16_t got,
                                 uint16_t room) const noexcept;
    void shuffle(Lane& lane, rte_mbuf** burst, uint16_t n) const noexcept;
};

// is_down - is the link down for this burst? Either direction may start a flap, which takes the
// other one down with it. Racy on purpose: a flap that starts while the other side counts down may
// be a few bursts shorter, and nobody's packets are lost by that.
bool FaultPort::State::is_down(Lane& lane, std::deque<Lane>& others,
                               uint16_t queue) const noexcept {
    if (const uint32_t left = lane.down.load(sync::relaxed); left != 0) {
        lane.down.store(left - 1, sync::relaxed);
        return true;
    }
    if (!lane.random.hit(plan.flap)) return false;
    lane.flap.add(1);
    lane.down.store(kFlapBursts - 1, sync::relaxed);
    if (queue < others.size()) others[queue].down.store(kFlapBursts, sync::relaxed);
    return true;
}

void FaultPort::State::arm_no_mbuf(Lane& lane) const noexcept {
    if (!lane.random.hit(plan.no_mbuf)) return;
    alloc_faults_arm(1);
    lane.no_mbuf.add(1);
}

// spoil - drop, corrupt and duplicate. Packets keep their order; duplicates follow at the end.
uint16_t FaultPort::State::spoil(Lane& lane, rte_mbuf** burst, uint16_t got,
                                 uint16_t room) const noexcept {
    uint16_t kept = 0;
    for (uint16_t i = 0; i < got; ++i) {
        if (lane.random.hit(plan.drop)) {
            rte_pktmbuf_free(burst[i]);
            lane.drop.add(1);
            continue;
        }
        burst[kept++] = burst[i];
    }
    uint16_t n = kept;
    for (uint16_t i = 0; i < kept; ++i) {
        if (lane.random.hit(plan.corrupt) && flip_a_bit(burst[i], lane.random)) lane.corrupt.add(1);
        if (!lane.random.hit(plan.duplicate) || n == room) continue;
        if (rte_mbuf* copy = deep_copy(burst[i], pool); copy != nullptr) {
            burst[n++] = copy;
            lane.duplicate.add(1);
        } else {
            lane.no_mbuf.add(1);
        }
    }
    return n;
}

// shuffle - neighbours change places, each packet at most once.
void FaultPort::State::shuffle(Lane& lane, rte_mbuf** burst, uint16_t n) const noexcept {
    for (uint16_t i = 0; i + 1 < n; ++i) {
        if (!lane.random.hit(plan.reorder)) continue;
        std::swap(burst[i], burst[i + 1]);
        lane.reorder.add(1);
        ++i;
    }
}

uint16_t FaultPort::State::receive(Port& port, uint16_t queue, rte_mbuf** burst,
                                   uint16_t n) noexcept {
    State& state = of(port);
    Lane& lane = state.rx[queue];
    if (state.is_down(lane, state.tx, queue)) return 0;
    state.arm_no_mbuf(lane);
    // A full burst would leave no room for duplicates: ask for an eighth less when some are wanted.
    const bool leave_room = state.plan.duplicate != 0 && n > 1;
    const auto ask = static_cast<uint16_t>(leave_room ? n - (n + 7) / 8 : n);
    const uint16_t got = port.device_rx(queue, burst, ask);
    const uint16_t out = state.spoil(lane, burst, got, n);
    state.shuffle(lane, burst, out);
    return out;
}

Sent FaultPort::State::transmit(Port& port, uint16_t queue, rte_mbuf** burst,
                                uint16_t n) noexcept {
    State& state = of(port);
    Lane& lane = state.tx[queue];
    if (n == 0 || state.is_down(lane, state.rx, queue)) return {};
    if (!lane.random.hit(state.plan.short_tx)) return port.device_tx(queue, burst, n);
    lane.short_tx.add(1);
    const auto part = static_cast<uint16_t>(lane.random.below(n));
    return part == 0 ? Sent{} : port.device_tx(queue, burst, part);
}

FaultPort::FaultPort(Port& port, const FaultPlan& plan)
    : state_(new State{plan, port.config().rx_zone->pool, {}, {}}) {
    State& s = *state_;
    for (uint16_t q = 0; q < port.config().rxq; ++q)
        s.rx.emplace_back(lane_seed(plan.seed, port.id(), q, false));
    for (uint16_t q = 0; q < port.config().txq; ++q)
        s.tx.emplace_back(lane_seed(plan.seed, port.id(), q, true));
    port.wrap(&State::receive, &State::transmit, &s);
}

FaultPort::~FaultPort() {
    if (state_->plan.no_mbuf != 0) alloc_faults_arm(0);  // the last one may not have found its victim
}

FaultCounts FaultPort::counts() const noexcept {
    FaultCounts sum{};
    for (const std::deque<Lane>* side : {&state_->rx, &state_->tx})
        for (const Lane& lane : *side) {
            sum.drop += lane.drop.read();
            sum.duplicate += lane.duplicate.read();
            sum.reorder += lane.reorder.read();
            sum.corrupt += lane.corrupt.read();
            sum.short_tx += lane.short_tx.read();
            sum.no_mbuf += lane.no_mbuf.read();
            sum.flap += lane.flap.read();
        }
    return sum;
}

const FaultPlan& FaultPort::plan() const noexcept {
    return state_->plan;
}

}  // namespace umbuf
