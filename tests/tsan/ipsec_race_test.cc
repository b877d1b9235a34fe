// SPDX-License-Identifier: BSD-2-Clause
// ipsec_race_test.cc - lanes look up SAs, children and policies while control changes them, under ThreadSanitizer.
//
// Goal: whatever a reader finds is whole, and nobody changes or frees it while the reader may look (D1, D2, P1, P2).
// Method: two readers find, read what they found, and report a quiescent state each turn; control adds, replaces,
// removes, rekeys and publishes at random. The databases are compiled as they ship, with rte_rcu_qsbr's inline half;
// the tables under them are plain memory (plain_tables.cc), and an SA's key is written when it goes. An access that
// nothing orders is a data race, and the sanitizer ends the test. No EAL.
#include <gtest/gtest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lib/ipsec/sad.h"
#include "lib/ipsec/spd.h"

namespace umbuf::test {
namespace {

constexpr uint32_t kReaders = 2, kSpis = 12, kSteps = 1500, kKey = 64;

uint64_t seed() {
    const char* given = std::getenv("UM_SEED");
    const uint64_t s = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("UM_SEED=%llu\n", static_cast<unsigned long long>(s));
    return s;
}

// An engine that does nothing. Its keys are written as they are made and as they go, where the sanitizer sees it.
void fill(std::byte* key, uint8_t with) noexcept {
    for (size_t i = 0; i < kKey; ++i) key[i] = std::byte{with};
}
const Engine kEngine = {.name = "none",
                        .ready = [] { return Status{}; },
                        .supports = [](const Algorithm&) noexcept { return true; },
                        .key_bytes = [](const Algorithm&) noexcept { return size_t{kKey}; },
                        .make_key = [](const Algorithm&, std::span<const std::byte>, std::byte* to) { return fill(to, 1), Status{}; },
                        .open = nullptr,
                        .close = nullptr,
                        .run = nullptr,
                        .drop_key = [](std::byte* key) noexcept { fill(key, 0); }};

IpAddress end(uint8_t last) {
    IpAddress a;
    a.bytes = {10, 0, 0, last};
    return a;
}
NewSa new_sa(uint32_t spi, ChildId child) {
    static const std::string key(kMaxKey, 'k');
    NewSa sa;
    sa.terms.spi = spi;
    sa.terms.algorithm = find_algorithm("aes-gcm-128").value();
    sa.terms.src = end(1);
    sa.terms.dst = end(2);
    sa.found_by = static_cast<SadKey>(spi % 3);
    sa.child = child;
    sa.key = {reinterpret_cast<const std::byte*>(key.data()), sa.terms.algorithm.key_bytes()};
    sa.engine = &kEngine;
    return sa;
}

// World - the three databases, and the variable that readers report to.
struct World {
    struct Free {
        void operator()(void* at) const noexcept { std::free(at); }
    };
    std::unique_ptr<void, Free> memory{std::aligned_alloc(64, (rte_rcu_qsbr_get_memsize(kReaders) + 63) / 64 * 64)};
    rte_rcu_qsbr* readers = static_cast<rte_rcu_qsbr*>(memory.get());
    bool ready = rte_rcu_qsbr_init(readers, kReaders) == 0;
    Grace grace{readers};
    std::unique_ptr<Sad> sad = std::move(Sad::make(512, grace, 0).value());
    Children children{4, grace};
    Spd spd{grace, 0};
    ChildId child = children.add().value();
    std::atomic<bool> end{false};
    std::atomic<uint32_t> turns{0}, wrong{0};
    // last_out - id and generation, as a completion carries them. Relaxed: resolve() has to order what it finds.
    std::atomic<uint64_t> last_out{UINT64_MAX};
};

// sum_of - every byte of the key, read.
uint32_t sum_of(const std::byte* key) {
    uint32_t sum = 0;
    for (size_t i = 0; i < kKey; ++i) sum += static_cast<uint32_t>(key[i]);
    return sum;
}

// Reader - one lane. What it finds it looks at until its next quiescent state; work that it began, longer.
class Reader {
  public:
    Reader(World& world, uint32_t me) : w_(world), me_(me) {}
    void run() {
        rte_rcu_qsbr_thread_register(w_.readers, me_);
        rte_rcu_qsbr_thread_online(w_.readers, me_);
        while (!w_.end.load(std::memory_order_relaxed)) {
            // Each looks at one thing in a turn: one acquire must not stand in for another that is missing.
            switch (turn_++ % 5) {
            case 0: inbound(); break;
            case 1: outbound(); break;
            case 2: policies(); break;
            case 3: completion(); break;
            default: work(); break;
            }
            rte_rcu_qsbr_quiescent(w_.readers, me_);
            w_.turns.fetch_add(1, std::memory_order_relaxed);
            sched_yield();  // there may be more threads than processors
        }
        if (key_ != nullptr) finish();
        rte_rcu_qsbr_thread_offline(w_.readers, me_);
        rte_rcu_qsbr_thread_unregister(w_.readers, me_);
    }

  private:
    void check(bool right) {
        if (!right) w_.wrong.fetch_add(1, std::memory_order_relaxed);
    }
    void inbound() {
        std::array<SadQuery, kSpis> queries;
        std::array<Sa*, kSpis> sas;
        for (uint32_t i = 0; i < kSpis; ++i) queries[i] = {0x1000 + i, test::end(2), test::end(1)};
        w_.sad->lookup(queries.data(), sas.data(), kSpis);
        for (uint32_t i = 0; i < kSpis; ++i) {
            if (i % 2 == 0) check(sas[i] != nullptr);  // replaced, but never gone (D1)
            if (sas[i] != nullptr) check(sas[i]->terms.spi == 0x1000 + i && sum_of(sas[i]->key()) == kKey);
        }
    }
    void outbound() {
        Sa* sa = nullptr;
        check(w_.children.out(w_.child, &sa));
        if (sa == nullptr) return;
        check(sum_of(sa->key()) == kKey);
        check(w_.sad->child_of(*sa) == w_.child);
    }
    void policies() {
        std::array<PacketKey, 8> keys{};
        std::array<const Policy*, 8> found;
        w_.spd.classify(Direction::out, keys.data(), found.data(), keys.size());
        for (const Policy* p : found) check((p == nullptr) == (found[0] == nullptr) && (p == nullptr || p->child == found[0]->child));  // P1
    }
    void completion() {
        const uint64_t said = w_.last_out.load(std::memory_order_relaxed);
        const uint32_t id = static_cast<uint32_t>(said >> 32), generation = static_cast<uint32_t>(said);
        if (const Sa* sa = w_.sad->resolve(id, generation); sa != nullptr) check(sa->terms.spi >= 0x9000 && sum_of(sa->key()) == kKey);
    }
    // Crypto that is in flight over several turns: the key is held by begin_work() alone.
    void work() {
        if (key_ != nullptr) return finish();
        Sa* sa = nullptr;
        if (!w_.children.out(w_.child, &sa) || sa == nullptr) return;
        id_ = id_of(*sa);
        w_.sad->begin_work(id_.id, 1);
        key_ = sa->key();
    }
    void finish() {
        check(sum_of(key_) == kKey);
        if (Sa* sa = w_.sad->resolve(id_.id, id_.generation); sa != nullptr) check(sa->terms.id == id_.id);
        key_ = nullptr;
        w_.sad->end_work(id_.id, 1);
    }

    World& w_;
    const uint32_t me_;
    uint32_t turn_ = me_;
    const std::byte* key_ = nullptr;
    SaId id_;
};

TEST(IpsecRace, ReadersFindWholeThingsWhileControlChangesThem) {
    World w;
    ASSERT_TRUE(w.ready);
    std::mt19937_64 random(seed());
    std::array<SaId, kSpis> there{};
    std::array<bool, kSpis> is{};
    for (uint32_t i = 0; i < kSpis; i += 2) {
        there[i] = w.sad->add_in(new_sa(0x1000 + i, w.child)).value();
        is[i] = true;
    }
    std::vector<std::jthread> threads;
    for (uint32_t i = 0; i < kReaders; ++i) threads.emplace_back([&w, i] { Reader(w, i).run(); });
    SaId out;
    for (uint32_t step = 0; step < kSteps; ++step) {
        const uint32_t n = static_cast<uint32_t>(random() % kSpis);
        switch (random() % 4) {
        case 0: {  // rekey, make before break
            const SaId fresh = w.sad->add_out(new_sa(0x9000 + step, w.child)).value();
            w.last_out.store(uint64_t{fresh.id} << 32 | fresh.generation, std::memory_order_relaxed);
            ASSERT_TRUE(w.children.set_out(w.child, w.sad->resolve(fresh.id, fresh.generation)).ok());
            if (out.generation != 0) { ASSERT_TRUE(w.sad->remove(out).ok()); }
            out = fresh;
            break;
        }
        case 1: {
            std::vector<Policy> set(1 + random() % 8);
            for (Policy& p : set) p.child = {0, step + 1};
            ASSERT_TRUE(w.spd.publish(set).ok());
            break;
        }
        default:
            if (!is[n]) there[n] = w.sad->add_in(new_sa(0x1000 + n, w.child)).value();
            else if (n % 2 == 0 || random() % 2 == 0) there[n] = w.sad->replace_in(there[n], new_sa(0x1000 + n, w.child)).value();
            else ASSERT_TRUE(w.sad->remove(there[n]).ok());
            is[n] = n % 2 == 0 || w.sad->inbound(there[n]);
            break;
        }
        w.sad->collect();
        if (const uint32_t seen = w.turns.load(); step % 4 == 0)
            while (w.turns.load() == seen) sched_yield();  // nobody runs away
    }
    w.end.store(true);
    threads.clear();
    EXPECT_EQ(w.wrong.load(), 0u);
    EXPECT_EQ(w.sad->collect(), 0u);
    EXPECT_GE(w.turns.load(), kSteps / 4);
}

}  // namespace
}  // namespace umbuf::test
