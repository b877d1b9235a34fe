// SPDX-License-Identifier: BSD-2-Clause
// driver_release_test.cc - references that end inside drivers reach the count, under every scheme.
//
// A driver that is done with an mbuf knows nothing of us: it frees it, by one of DPDK's ways, on the
// lcore that happens to call it, or when its port stops. The storage here is the test's own, so that
// it sees each free of it: one, after the last holder, and zeroed if one of them had asked for it.
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>

#include <rte_launch.h>

#include "tests/unit/port_fixture.h"

namespace umbuf::test {
namespace {

constexpr unsigned kOther = 1;  // an lcore that is not this thread's (main.cc starts four)

// Store - bytes that are lent to mbufs, and how they came back. At an address of its own: it is lent,
// too.
class Store {
  public:
    explicit Store(uint32_t salt) : bytes_(pattern(600, salt)), lent_(bytes_) {}
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    [[nodiscard]] Mbuf* packet() {
        Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
        EXPECT_EQ(m_extadd(m, lent_.data(), static_cast<uint32_t>(lent_.size()), came_back, this, 0), 0);
        m->set_len(static_cast<uint32_t>(lent_.size()));
        m->rte.pkt_len = m->len();
        return m;
    }
    // ask_zero - by one of the holders.
    void ask_zero(Mbuf* m) {
        m->set_flags(M_ZEROIZE);
        asked_ = true;
    }
    [[nodiscard]] int frees() const { return frees_.load(); }
    void expect_back_once() const {
        ASSERT_EQ(frees_.load(), 1);
        EXPECT_EQ(lent_ == std::string(lent_.size(), '\0'), asked_);
        if (!asked_) {
            EXPECT_EQ(lent_, bytes_);
        }
    }
    void expect_held() const {
        EXPECT_EQ(frees_.load(), 0);
        EXPECT_EQ(lent_, bytes_);
    }

  private:
    static void came_back(void*, uint32_t, void* self) { static_cast<Store*>(self)->frees_.fetch_add(1); }
    const std::string bytes_;
    std::string lent_;
    bool asked_ = false;
    std::atomic<int> frees_{0};
};

// ---- what drivers do with mbufs that they have sent

using Burst = std::vector<rte_mbuf*>;

void one_by_one(Burst& burst) {
    for (rte_mbuf* m : burst) rte_pktmbuf_free(m);
}
void in_bulk(Burst& burst) { rte_pktmbuf_free_bulk(burst.data(), static_cast<unsigned>(burst.size())); }
// segments - each descriptor has one mbuf, and its completion frees that.
void segments(Burst& burst) {
    for (rte_mbuf* m : burst)
        for (rte_mbuf* next = nullptr; m != nullptr; m = next) {
            next = m->next;
            rte_pktmbuf_free_seg(m);
        }
}
// to_the_pool - detached one by one, put back together where they are of one pool (ixgbe, i40e, ice).
void to_the_pool(Burst& burst) {
    std::vector<void*> home;
    rte_mempool* pool = nullptr;
    const auto put = [&] {
        if (!home.empty()) rte_mempool_put_bulk(pool, home.data(), static_cast<unsigned>(home.size()));
        home.clear();
    };
    for (rte_mbuf* m : burst)
        for (rte_mbuf* next = nullptr; m != nullptr; m = next) {
            next = m->next;
            m = rte_pktmbuf_prefree_seg(m);
            if (m == nullptr) continue;  // somebody else counts on the header
            if (m->pool != pool) put();
            pool = m->pool;
            home.push_back(m);
        }
    put();
}

struct Way {
    const char* name;
    void (*free)(Burst&);
};
constexpr std::array kWays{Way{"rte_pktmbuf_free", one_by_one}, Way{"rte_pktmbuf_free_bulk", in_bulk},
                           Way{"rte_pktmbuf_free_seg", segments}, Way{"rte_mempool_put_bulk", to_the_pool}};

// Completion - the other lcore's end of a transmit queue: what comes out of the ring has been sent.
class Completion {
  public:
    // way: one of kWays, or kWays.size(): a new one for each burst. merges: it is a forwarding lcore.
    Completion(size_t way, bool merges) : ring_(make_ring(64)), way_(way), merges_(merges) {
        EXPECT_EQ(rte_eal_remote_launch(run, this, kOther), 0);
    }
    ~Completion() { end(); }
    Completion(const Completion&) = delete;
    Completion& operator=(const Completion&) = delete;

    void sent(Mbuf* m) {
        while (rte_ring_enqueue(ring_.get(), &m->rte) != 0) sched_yield();
    }
    // end - all that was sent has been freed.
    void end() {
        ended_.store(true);
        rte_eal_wait_lcore(kOther);
    }

  private:
    static int run(void* self) {
        static_cast<Completion*>(self)->work();
        return 0;
    }
    void work() {
        std::unique_ptr<MergedReleases> merged;
        if (merges_) merged = std::make_unique<MergedReleases>();
        for (size_t turn = 0;; ++turn) {
            const bool last = ended_.load();  // before the look into the ring
            std::array<void*, 32> got;
            const unsigned n = rte_ring_dequeue_burst(ring_.get(), got.data(), got.size(), nullptr);
            Burst burst;
            for (unsigned i = 0; i < n; ++i) burst.push_back(static_cast<rte_mbuf*>(got[i]));
            kWays[way_ < kWays.size() ? way_ : turn % kWays.size()].free(burst);
            refs_flush();
            if (n > 0) continue;
            if (last) return;
            sched_yield();
        }
    }
    Ring ring_;
    const size_t way_;
    const bool merges_;
    std::atomic<bool> ended_{false};
};

// ---- each way by itself

class DriverRelease : public MbufTest {};

TEST_F(DriverRelease, EachWayToFreeDropsAReferenceAndTheLastOneTheStorage) {
    for (const Way& way : kWays) {
        SCOPED_TRACE(way.name);
        for (const bool original_last : {false, true}) {
            Store store(1);
            Mbuf* original = store.packet();
            Burst copies;
            for (int i = 0; i < 8; ++i) copies.push_back(&m_copypacket(i % 2 == 0 ? original : Mbuf::of(copies.back()), M_NOWAIT)->rte);
            Burst first = original_last ? copies : Burst{&original->rte, copies[0], copies[1], copies[2], copies[3], copies[4]};
            Burst rest = original_last ? Burst{&original->rte} : Burst{copies[5], copies[6], copies[7]};
            way.free(first);
            store.expect_held();
            EXPECT_EQ(bytes_of(Mbuf::of(rest[0])), pattern(600, 1));
            way.free(rest);
            store.expect_back_once();
        }
    }
}

TEST_F(DriverRelease, OneBulkOfEveryKindOfMbufFreesEach) {
    for (const Way& way : kWays) {
        SCOPED_TRACE(way.name);
        Store kept(2), gone(3), whole(4);
        Mbuf* holder = kept.packet();
        Mbuf* packet = received(pattern(1000));
        Mbuf* cluster = clustered(pattern(3000));
        Mbuf* chain = gone.packet();
        m_add(chain, inlined(pattern(100)));
        m_add(chain, m_copym(cluster, 10, 500, M_NOWAIT));
        m_add(chain, m_copym(packet, 10, 500, M_NOWAIT));
        Burst burst{&m_copypacket(holder, M_NOWAIT)->rte, &chain->rte, &m_copypacket(chain, M_NOWAIT)->rte,
                    &m_copypacket(packet, M_NOWAIT)->rte, &packet->rte, &inlined(pattern(40))->rte,
                    &whole.packet()->rte, &m_copypacket(cluster, M_NOWAIT)->rte, &cluster->rte,
                    &received(pattern(64))->rte};
        if (way.free == in_bulk) burst.push_back(nullptr);  // it may have holes
        way.free(burst);
        gone.expect_back_once();
        whole.expect_back_once();
        kept.expect_held();
        m_freem(holder);
        kept.expect_back_once();
    }
}

TEST_F(DriverRelease, WhatAnyOfThemWantedZeroIsZeroAfterTheLast) {
    for (const Way& way : kWays)
        for (const size_t asker : {0U, 1U, 2U}) {
            SCOPED_TRACE(way.name);
            Store store(5);
            Burst holders{&store.packet()->rte};
            for (int i = 0; i < 2; ++i) holders.push_back(&m_copypacket(Mbuf::of(holders[0]), M_NOWAIT)->rte);
            store.ask_zero(Mbuf::of(holders[asker]));
            way.free(holders);
            store.expect_back_once();
        }
}

// A driver's free on a forwarding lcore is held back as ours is, and given back at the same flush.
TEST_F(DriverRelease, WhatADriverFreesOnAForwardingLcoreIsBackAfterItsTurn) {
    const MergedReleases merged;
    for (const Way& way : kWays) {
        SCOPED_TRACE(way.name);
        Store store(6);
        Mbuf* original = store.packet();
        Burst burst{&m_copypacket(original, M_NOWAIT)->rte, &original->rte};
        way.free(burst);
        refs_flush();
        store.expect_back_once();
    }
}

// ---- transmit completion on another lcore

// Goal: the last reference may end there or here, or on both sides at once. Method: copies go to the
// other lcore, the original ends here before, meanwhile or after; each side holds releases back or
// does not.
TEST_F(DriverRelease, ATransmitCompletionOnAnotherLcoreIsCounted) {
    for (size_t way = 0; way < kWays.size(); ++way)
        for (const bool merges : {false, true}) {
            SCOPED_TRACE(std::string(kWays[way].name) + (merges ? ", both held back" : ""));
            std::vector<std::unique_ptr<Store>> stores;
            std::unique_ptr<MergedReleases> merged;
            if (merges) merged = std::make_unique<MergedReleases>();
            Completion completion(way, merges);
            for (uint32_t i = 0; i < 100; ++i) {
                Store& store = *stores.emplace_back(std::make_unique<Store>(i));
                std::array<Mbuf*, 3> originals{store.packet(), clustered(pattern(200, i)), received(pattern(300, i))};
                for (Mbuf* m : originals) {
                    std::array<Mbuf*, 4> copies;
                    for (Mbuf*& copy : copies) copy = m_copypacket(m, M_NOWAIT);
                    ASSERT_NE(copies[3], nullptr);
                    if (i % 3 == 0) m_freem(m);
                    completion.sent(copies[0]);
                    completion.sent(copies[1]);
                    if (i % 3 == 1) m_freem(m);
                    completion.sent(copies[2]);
                    completion.sent(copies[3]);
                    if (i % 3 == 2) completion.sent(m);
                }
                refs_flush();
            }
            completion.end();
            refs_flush();
            for (const auto& store : stores) store->expect_back_once();
        }
}

// ---- a port that is stopped, with packets in it

TEST_F(DriverRelease, APortThatStopsGivesBackWhatItHolds) {
    for (const bool originals_first : {false, true}) {
        Store store(7), lone(8);
        Mbuf* lent = store.packet();
        Mbuf* cluster = clustered(pattern(2000));
        Mbuf* packet = received(pattern(900));
        Ring ring = make_ring(64);
        std::unique_ptr<Port> port = configured(ring_device({ring.get()}, {ring.get()}));
        open(*port);
        uint32_t held = 0;
        for (int i = 0; i < 5; ++i)
            for (Mbuf* m : {lent, cluster, packet}) held += send(*port, m_copypacket(m, M_NOWAIT)) ? 1 : 0;
        held += send(*port, lone.packet()) ? 1 : 0;
        EXPECT_EQ(held, 16U);
        const auto end_originals = [&] {
            for (Mbuf* m : {lent, cluster, packet}) m_freem(m);
        };
        if (originals_first) end_originals();
        store.expect_held();
        lone.expect_held();
        gone(std::move(port));
        lone.expect_back_once();
        if (originals_first) {
            store.expect_back_once();
            continue;
        }
        store.expect_held();
        EXPECT_EQ(bytes_of(cluster), pattern(2000));
        EXPECT_EQ(bytes_of(packet), pattern(900));
        for (Mbuf* m : {lent, cluster, packet}) EXPECT_TRUE(m_writable(m)) << "alone again";
        end_originals();
        store.expect_back_once();
    }
}

TEST_F(DriverRelease, AClosedPortDropsTheReferencesThatItIsGiven) {
    Ring ring = make_ring(64);
    std::unique_ptr<Port> port = configured(ring_device({ring.get()}, {ring.get()}));
    Store store(9);
    Mbuf* original = store.packet();
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(send(*port, m_copypacket(original, M_NOWAIT)));
    EXPECT_EQ(port->closed_drops(), 4U);
    store.expect_held();
    EXPECT_TRUE(send(*port, original));
    store.expect_back_once();
    gone(std::move(port));
}

// ---- all of it at once

// Goal: whatever the mixture, each storage comes back once, and its last holder has read its bytes.
// Method: holders of a few storages - copies, windows, halves - end in random order and by a random
// door: freed here, freed as a driver does here or on the other lcore, or in a port that stops.
class Mixture {
  public:
    explicit Mixture(std::mt19937_64& rng) : rng_(rng), completion_(kWays.size(), rng() % 2 == 0) {
        ring_ = make_ring(256);
        port_ = configured(ring_device({ring_.get()}, {ring_.get()}));
        open(*port_);
    }
    void play() {
        const bool merges = pick(2) == 0;
        std::unique_ptr<MergedReleases> merged;
        if (merges) merged = std::make_unique<MergedReleases>();
        for (uint32_t round = 0; round < 20; ++round) {
            for (uint32_t salt = 0; salt < 4; ++salt) begin_one(round * 4 + salt);
            for (uint32_t i = 0; i < 24; ++i) add_holder();
            std::shuffle(holders_.begin(), holders_.end(), rng_);
            for (size_t i = 0; i + 4 < holders_.size(); ++i) end_one(holders_[i].m);
            holders_.erase(holders_.begin(), holders_.end() - std::min<ptrdiff_t>(4, std::ssize(holders_)));
            refs_flush();
        }
        for (const Holder& h : holders_) {
            EXPECT_EQ(bytes_of(h.m), pattern(600, h.salt).substr(h.from, h.m->rte.pkt_len));
            end_one(h.m);
        }
        completion_.end();
        gone(std::move(port_));
        refs_flush();
        for (const auto& store : stores_) store->expect_back_once();
    }

  private:
    struct Holder {
        Mbuf* m;
        uint32_t salt, from;
        Store* store;  // null: a cluster's or a packet's
    };
    uint32_t pick(uint32_t n) { return static_cast<uint32_t>(rng_() % n); }

    void begin_one(uint32_t salt) {
        switch (pick(3)) {
        case 0: return holders_.push_back({clustered(pattern(600, salt)), salt, 0, nullptr});
        case 1: return holders_.push_back({received(pattern(600, salt)), salt, 0, nullptr});
        default:
            Store* store = stores_.emplace_back(std::make_unique<Store>(salt)).get();
            holders_.push_back({store->packet(), salt, 0, store});
        }
    }
    void add_holder() {
        const Holder from = holders_[pick(static_cast<uint32_t>(holders_.size()))];
        const uint32_t length = from.m->len();
        if (length < 2) return;
        const uint32_t kind = pick(3);
        const uint32_t at = kind == 0 ? 0 : 1 + pick(length - 1);
        Mbuf* m = kind == 2 ? m_split(from.m, at, M_NOWAIT) : m_copym(from.m, at, length - at, M_NOWAIT);
        ASSERT_NE(m, nullptr);
        m->set_flags(M_PKTHDR);  // a copy from the middle is no packet yet; drivers want one
        m->rte.pkt_len = m->len();
        holders_.push_back({m, from.salt, from.from + at, from.store});
        if (from.store != nullptr && pick(10) == 0) from.store->ask_zero(m);
    }
    void end_one(Mbuf* m) {
        Burst burst{&m->rte};
        switch (pick(4)) {
        case 0: return m_freem(m);
        case 1: return kWays[pick(kWays.size())].free(burst);
        case 2: return completion_.sent(m);
        default:
            if (send(*port_, m) && pick(40) == 0) {  // stopped now, or at the end
                ASSERT_TRUE(port_->halt({}).ok());
                open(*port_);
            }
        }
    }

    std::mt19937_64& rng_;
    Completion completion_;
    Ring ring_;
    std::unique_ptr<Port> port_;
    std::vector<std::unique_ptr<Store>> stores_;
    std::vector<Holder> holders_;
};

TEST_F(DriverRelease, AMixtureOfAllWaysFreesEachStorageOnce) {
    std::mt19937_64 rng(seed() + 8);
    for (int i = 0; i < 10; ++i) Mixture(rng).play();
}

}  // namespace
}  // namespace umbuf::test
