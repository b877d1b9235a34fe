// SPDX-License-Identifier: BSD-2-Clause
// refcount_stress_test.cc - two lcores hand packets to each other, out of pools that are nearly empty.
//
// Goal: under every scheme, whatever the interleaving, storage is freed once, after its last holder,
// and never seen with another's bytes. Method: two registered threads do random verbs on packets that
// say in their own bytes what they must contain; rings carry packets across, so that the copies of one
// cluster end on both sides at once; the zones hold a few clusters each, so that what is freed is in
// use again at once; each thread gives its processor away at random points between two verbs; from
// time to time an allocation fails; one thread holds its releases back, the other does not.
// A cluster that is freed too early is taken by somebody else, and its bytes are then not what a
// holder expects. One that is freed too late, or never, is missing when the test ends.
#include <sched.h>

#include <array>
#include <atomic>
#include <thread>

#include <rte_lcore.h>
#include <rte_ring.h>

#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

constexpr uint32_t kClusterCount = 12;
constexpr uint32_t kMine = 8;       // packets that a thread keeps
constexpr uint32_t kLongest = 100;  // bytes: the time goes into verbs, not into looking at bytes

// The bytes of a packet follow from their place and a stamp at the packet's front. Cutting the front
// off moves the place along: it is kept in the offset.
struct Stamped {
    Mbuf* m = nullptr;
    uint32_t stamp = 0;
    uint32_t offset = 0;
};

uint8_t byte_at(uint32_t stamp, uint32_t i) { return static_cast<uint8_t>(stamp * 37 + i * 11 + (i >> 7)); }

// OwnProcessor - while it lives, its thread stays on the n-th processor that it may use: on the same one
// two threads would only take turns. Where there is no n-th, nothing is changed.
class OwnProcessor {
  public:
    explicit OwnProcessor(int n) {
        CPU_ZERO(&before_);
        if (sched_getaffinity(0, sizeof before_, &before_) != 0) return;
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (!CPU_ISSET(cpu, &before_) || n-- != 0) continue;
            cpu_set_t own;
            CPU_ZERO(&own);
            CPU_SET(cpu, &own);
            sched_setaffinity(0, sizeof own, &own);
        }
    }
    ~OwnProcessor() { sched_setaffinity(0, sizeof before_, &before_); }
    OwnProcessor(const OwnProcessor&) = delete;
    OwnProcessor& operator=(const OwnProcessor&) = delete;

  private:
    cpu_set_t before_;
};

class Player {
  public:
    Player(uint64_t seed, rte_ring* out, rte_ring* in, bool merges, uint32_t turns)
        : rng_(seed), out_(out), in_(in), merges_(merges), turns_(turns) {}

    void play() {
        const OwnProcessor own(merges_ ? 0 : 1);
        ASSERT_EQ(rte_thread_register(), 0);
        if (merges_) {
            const MergedReleases merged;
            turns();
        } else {
            turns();
        }
        for (Stamped& s : mine_) m_freem(s.m);
        rte_thread_unregister();
    }
    [[nodiscard]] uint64_t verbs() const { return verbs_; }
    [[nodiscard]] const std::string& wrong() const { return wrong_; }

  private:
    uint32_t pick(uint32_t n) { return static_cast<uint32_t>(rng_() % n); }

    void turns() {
        for (uint32_t turn = 0; turn < turns_ && wrong_.empty(); ++turn) {
            if (turn % 4096 == 0) Watchdog::feed();
            one();
            ++verbs_;
            if (pick(16) == 0) sched_yield();  // whatever this thread was about to see may change now
            if (pick(8) == 0) refs_flush();
            if (pick(200) == 0) alloc_faults_arm(1 + pick(3));
        }
        refs_flush();
    }
    void one() {
        Stamped& s = mine_[pick(kMine)];
        if (s.m == nullptr) return pick(3) == 0 ? receive(s) : take(s);
        check(s);
        switch (pick(14)) {
        case 9: case 10: case 11: case 12: return duel(s);
        case 0: return copy(s);
        case 1: return cut(s);
        case 2: return write(s);
        case 3: return clone(s);
        case 4: return other_storage(s);
        case 5: case 6: case 7: return give(s);
        default:
            rte_pktmbuf_free(&s.m->rte);
            s.m = nullptr;
        }
    }
    void take(Stamped& s) {
        void* got = nullptr;
        if (pick(4) == 0 || rte_ring_dequeue(in_, &got) != 0) return make(s);
        if (pick(2) == 0) return m_freem(static_cast<Mbuf*>(got));  // at once: the other may just do so, too
        s.m = static_cast<Mbuf*>(got);
        // Stamp and offset travel in fields that are no verb's business.
        s.stamp = s.m->rte.hash.fdir.lo;
        s.offset = s.m->rte.hash.fdir.hi;
        check(s);
    }
    void give(Stamped& s) {
        s.m->rte.hash.fdir.lo = s.stamp;
        s.m->rte.hash.fdir.hi = s.offset;
        if (rte_ring_enqueue(out_, s.m) == 0) s.m = nullptr;
    }
    // duel - both sides let the same storage go at the same moment, or nearly so.
    void duel(Stamped& s) {
        for (uint32_t n = 1 + pick(4); n > 0; --n) {
            Stamped copy{m_copypacket(s.m, M_NOWAIT), s.stamp, s.offset};
            if (copy.m == nullptr) break;
            give(copy);
            if (copy.m != nullptr) m_freem(copy.m);  // the ring is full
        }
        for (uint32_t spin = pick(200); spin > 0; --spin) rte_pause();
        m_freem(s.m);
        s.m = nullptr;
    }
    void make(Stamped& s) {
        const uint32_t n = 1 + pick(kLongest);
        s.m = m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, 2048);
        if (s.m == nullptr) return;
        s.m->set_len(n);
        s.m->rte.pkt_len = n;
        stamp(s);
    }
    void receive(Stamped& s) {
        rte_mbuf* r = rte_pktmbuf_alloc(rx_zone()->pool);
        if (r == nullptr) return;
        s.m = Mbuf::of(r);
        s.m->set_len(1 + pick(kLongest));
        r->pkt_len = s.m->len();
        stamp(s);
    }
    void stamp(Stamped& s) {
        s.stamp = static_cast<uint32_t>(rng_());
        s.offset = 0;
        for (uint32_t i = 0; i < s.m->len(); ++i) s.m->data()[i] = static_cast<std::byte>(byte_at(s.stamp, i));
    }
    void check(const Stamped& s) {
        uint32_t i = s.offset;
        for (const Mbuf* m = s.m; m != nullptr; m = m->next())
            for (uint32_t j = 0; j < m->len(); ++j, ++i)
                if (static_cast<uint8_t>(m->data()[j]) != byte_at(s.stamp, i)) {
                    wrong_ = "byte " + std::to_string(i) + " of a packet is another's, after " + std::to_string(verbs_) + " verbs";
                    return;
                }
    }
    void copy(Stamped& s) {
        Stamped& to = mine_[pick(kMine)];
        if (to.m != nullptr) return;
        to = {m_copypacket(s.m, M_NOWAIT), s.stamp, s.offset};
    }
    void cut(Stamped& s) {
        Stamped& to = mine_[pick(kMine)];
        const uint32_t at = pick(s.m->pkt_len() + 1);
        if (to.m != nullptr) return m_adj(s.m, static_cast<int32_t>(s.m->pkt_len() - at) * -1);
        to = {m_split(s.m, at, M_NOWAIT), s.stamp, s.offset + at};
    }
    // Who may write writes other bytes: if anybody else could see them, he would.
    void write(Stamped& s) {
        if (s.m->next() != nullptr || !m_writable(s.m)) return;
        stamp(s);
    }
    void clone(Stamped& s) {
        Stamped& to = mine_[pick(kMine)];
        if (to.m != nullptr) return;
        rte_mbuf* m = rte_pktmbuf_clone(&s.m->rte, rx_zone()->pool);
        if (m != nullptr) to = {Mbuf::of(m), s.stamp, s.offset};
    }
    void other_storage(Stamped& s) {
        if (s.m->next() != nullptr || !m_extfree(s.m)) return;
        const uint32_t room = m_trailingspace(s.m);  // 0 while followers pin a leader
        s.m->set_len(std::min(room, 1 + pick(200)));
        s.m->rte.pkt_len = s.m->len();
        stamp(s);
    }

    std::mt19937_64 rng_;
    rte_ring* const out_;
    rte_ring* const in_;
    const bool merges_;
    const uint32_t turns_;
    std::array<Stamped, kMine> mine_{};
    uint64_t verbs_ = 0;
    std::string wrong_;
};

// Clusters are few because the test takes the others first.
class RefcountStress : public MbufTest {
  protected:
    void SetUp() override {
        MbufTest::SetUp();
        while (Mbuf* m = m_getcl(M_NOWAIT, MT_DATA, 0)) taken_.push_back(m);
        for (uint32_t i = 0; i < kClusterCount; ++i) give_one();
        // What lies in this thread's caches is out of the others' reach.
        for (const Zone* zone : zones())
            if (rte_mempool_cache* cache = rte_mempool_default_cache(zone->pool, rte_lcore_id()); cache != nullptr)
                rte_mempool_cache_flush(cache, zone->pool);
    }
    void TearDown() override {
        alloc_faults_arm(0);
        while (!taken_.empty()) give_one();
        MbufTest::TearDown();
    }

  private:
    void give_one() {
        m_free(taken_.back());
        taken_.pop_back();
    }
    std::vector<Mbuf*> taken_;
};

TEST_F(RefcountStress, TwoLcoresWithFewClustersNeverMeetAnothersBytes) {
    const char* given = std::getenv("UM_ROUNDS");
    const uint32_t turns = given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 0)) : 400000;
    rte_ring* there = rte_ring_create("um_stress_1", 16, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    rte_ring* back = rte_ring_create("um_stress_2", 16, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    ASSERT_TRUE(there != nullptr && back != nullptr);
    Player one(seed() + 3, there, back, true, turns);
    Player two(seed() + 4, back, there, false, turns);
    std::thread first([&one] { one.play(); });
    std::thread second([&two] { two.play(); });
    first.join();
    second.join();
    EXPECT_EQ(one.wrong(), "");
    EXPECT_EQ(two.wrong(), "");
    for (rte_ring* ring : {there, back}) {
        void* left = nullptr;
        while (rte_ring_dequeue(ring, &left) == 0) m_freem(static_cast<Mbuf*>(left));
        rte_ring_free(ring);
    }
    std::printf("scheme %s: %llu verbs\n", refs_in_use().name,
                static_cast<unsigned long long>(one.verbs() + two.verbs()));
}

// Goal: when the last two holders let go at the same moment, the storage is freed once. Method: two
// threads meet, then each frees its copies of one storage, after a random moment that sweeps over all
// the ways in which their steps can fall. A count that is lost frees twice, or never.
TEST_F(RefcountStress, HoldersThatLetGoAtTheSameMomentFreeOnce) {
    const char* given = std::getenv("UM_ROUNDS");
    const uint32_t rounds = given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 0)) : 30000;
    struct Meeting {
        std::atomic<uint32_t> opened{0}, arrived{0}, left{0};
        std::array<Mbuf*, 3> theirs{};
    } meeting;
    const auto await = [](const std::atomic<uint32_t>& at, uint32_t round) {
        for (uint32_t spins = 1; at.load() != round; ++spins)
            if (spins % 256 == 0) sched_yield();
    };
    const auto let_go = [](std::mt19937_64& rng, const std::array<Mbuf*, 3>& held) {
        for (uint64_t spin = rng() % 8; spin > 0; --spin) rte_pause();
        for (Mbuf* m : held) m_freem(m);
    };
    std::thread other([&] {
        const OwnProcessor second_one(1);
        std::mt19937_64 rng(seed() + 6);
        EXPECT_EQ(rte_thread_register(), 0);
        for (uint32_t round = 1; round <= rounds; ++round) {
            await(meeting.opened, round);
            meeting.arrived.store(round);
            let_go(rng, meeting.theirs);
            meeting.left.store(round);
        }
        rte_thread_unregister();
    });
    const OwnProcessor first_one(0);  // the other thread is there: it has not inherited this
    std::mt19937_64 rng(seed() + 7);
    for (uint32_t round = 1; round <= rounds; ++round) {
        if (round % 4096 == 0) Watchdog::feed();
        std::array<Mbuf*, 3> mine{};
        // Without memory for a round, the round is empty: then something leaked, and the fixture says so.
        mine[0] = rng() % 2 == 0 ? received(pattern(40)) : m_getcl(M_NOWAIT, MT_DATA, M_PKTHDR);
        if (mine[0] != nullptr) {
            mine[0]->set_len(40);
            mine[0]->rte.pkt_len = 40;
            for (Mbuf*& m : meeting.theirs) m = rng() % 4 != 0 ? m_copypacket(mine[0], M_NOWAIT) : nullptr;
            mine[1] = rng() % 2 == 0 ? m_copypacket(mine[0], M_NOWAIT) : nullptr;
            if (rng() % 8 == 0) mine[2] = Mbuf::of(rte_pktmbuf_clone(&mine[0]->rte, rx_zone()->pool));
            if (rng() % 2 == 0) std::swap(mine[0], mine[1]);  // who held it first goes first, or not
        } else {
            meeting.theirs = {};
        }
        meeting.opened.store(round);
        await(meeting.arrived, round);
        let_go(rng, mine);
        await(meeting.left, round);
    }
    other.join();
}

}  // namespace
}  // namespace umbuf::test
