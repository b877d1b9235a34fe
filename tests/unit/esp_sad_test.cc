// SPDX-License-Identifier: BSD-2-Clause
// esp_sad_test.cc - SAs are found by what packets say, and go when nobody can hold them any more.
#include "lib/ipsec/sad.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/unit/esp_readers.h"

namespace umbuf::test {
namespace {

class EspSad : public MbufTest {
  protected:
    static constexpr uint32_t kSas = 64;
    void SetUp() override {
        MbufTest::SetUp();
        sad_ = std::move(Sad::make(kSas, grace_, 0).value());
    }
    void TearDown() override {
        sad_.reset();
        MbufTest::TearDown();
    }
    Sa* found(uint32_t spi, const IpAddress& dst, const IpAddress& src) {
        const SadQuery query{spi, dst, src};
        Sa* sa = nullptr;
        sad_->lookup(&query, &sa, 1);
        return sa;
    }
    Sa* found(uint32_t spi, bool v6 = false) { return found(spi, address(v6, 2), address(v6, 77)); }
    Sa* of(SaId id) { return sad_->resolve(id.id, id.generation); }

    Readers readers_;
    Grace grace_{readers_.get()};
    std::unique_ptr<Sad> sad_;
};

TEST_F(EspSad, TheLongestKeyThatMatchesFindsTheSa) {
    for (const bool v6 : {false, true}) {
        const uint32_t spi = v6 ? 0x1001 : 0x1000;
        const SaId by_dst = sad_->add_in(new_sa(spi, {}, address(v6, 2), SadKey::spi_dst)).value();
        EXPECT_EQ(found(spi, address(v6, 2), address(v6, 77)), of(by_dst));
        EXPECT_EQ(found(spi, address(v6, 3), address(v6, 77)), nullptr);
        const SaId by_spi = sad_->add_in(new_sa(spi, {}, address(v6, 9), SadKey::spi)).value();
        const SaId by_all = sad_->add_in(new_sa(spi, {}, address(v6, 2), SadKey::spi_dst_src)).value();
        EXPECT_EQ(found(spi, address(v6, 2), address(v6, 77)), of(by_all));
        EXPECT_EQ(found(spi, address(v6, 2), address(v6, 78)), of(by_dst));
        EXPECT_EQ(found(spi, address(v6, 3), address(v6, 77)), of(by_spi));
        EXPECT_EQ(found(spi, address(!v6, 3), address(!v6, 77)), of(by_spi)) << "an SPI alone is of both families";
        EXPECT_EQ(found(spi + 7, v6), nullptr);
        EXPECT_TRUE(sad_->remove(by_dst).ok());
        EXPECT_EQ(found(spi, address(v6, 2), address(v6, 78)), of(by_spi));
        EXPECT_TRUE(sad_->remove(by_spi).ok());
        EXPECT_EQ(found(spi, address(v6, 2), address(v6, 78)), nullptr);
        EXPECT_EQ(found(spi, address(v6, 2), address(v6, 77)), of(by_all));
        EXPECT_TRUE(sad_->remove(by_all).ok());
        EXPECT_EQ(found(spi, address(v6, 2), address(v6, 77)), nullptr);
    }
}

TEST_F(EspSad, AKeyIsTakenOnceAndAFullDatabaseSaysSo) {
    const SaId first = sad_->add_in(new_sa(0x1000, {}, address(false, 2))).value();
    const Result<SaId> twice = sad_->add_in(new_sa(0x1000, {}, address(false, 2)));
    ASSERT_FALSE(twice.ok());
    EXPECT_EQ(twice.error().code, EEXIST);
    std::vector<SaId> all = {first};
    for (uint32_t i = 1; i < kSas; ++i) all.push_back(sad_->add_in(new_sa(0x2000 + i, {}, address(false, 2))).value());
    const Result<SaId> more = sad_->add_out(new_sa(0x9000, {}, address(false, 2)));
    ASSERT_FALSE(more.ok());
    EXPECT_EQ(more.error().code, ENOSPC);
    for (uint32_t i = 1; i < kSas; ++i) EXPECT_EQ(found(0x2000 + i), of(all[i]));
    EXPECT_EQ(sad_->sas().size(), kSas);
    for (const SaId id : all) EXPECT_TRUE(sad_->remove(id).ok());
    EXPECT_EQ(sad_->remove(first).error().code, ENOENT);
    EXPECT_EQ(sad_->collect(), 0u);
    EXPECT_TRUE(sad_->add_in(new_sa(0x1000, {}, address(false, 2))).ok());
}

TEST_F(EspSad, AReplacementTakesTheKeyInOneStep) {
    const SaId was = sad_->add_in(new_sa(0x1000, {}, address(false, 2))).value();
    const SaId is = sad_->replace_in(was, new_sa(0x1000, {}, address(false, 2))).value();
    EXPECT_NE(of(is), nullptr);
    EXPECT_EQ(of(was), nullptr);
    EXPECT_EQ(found(0x1000), of(is));
    const SaId moved = sad_->replace_in(is, new_sa(0x1001, {}, address(false, 2))).value();
    EXPECT_EQ(found(0x1000), nullptr);
    EXPECT_EQ(found(0x1001), of(moved));
    EXPECT_FALSE(sad_->replace_in(was, new_sa(0x1000, {}, address(false, 2))).ok());
}

// D1: the second change would be made to the side that the reader may be looking at.
TEST_F(EspSad, AChangeWaitsForTheReadersOfTheSideThatItIsMadeTo) {
    readers_.enter(0);
    std::atomic<int> made{0};
    std::jthread control([&] {
        for (uint32_t i = 0; i < 2; ++i) {
            ASSERT_TRUE(sad_->add_in(new_sa(0x1000 + i, {}, address(false, 2))).ok());
            made.fetch_add(1);
        }
    });
    while (made.load() == 0) sched_yield();
    for (int i = 0; i < 2000; ++i) {
        sched_yield();
        ASSERT_EQ(found(0x1001), nullptr);
    }
    EXPECT_EQ(made.load(), 1);
    EXPECT_NE(found(0x1000), nullptr) << "the first is there at once";
    readers_.quiescent(0);
    control.join();
    EXPECT_NE(found(0x1001), nullptr);
    readers_.leave(0);
}

// What the memory of keys was when it was given back.
std::vector<std::pair<size_t, bool>> wiped;  // bytes, all zero
void note_wiped(const std::byte* at, size_t bytes) noexcept {
    wiped.emplace_back(bytes, std::all_of(at, at + bytes, [](std::byte b) { return b == std::byte{0}; }));
}

// D2, under an interleaving that is told step by step: the reader holds the SA while it is removed.
TEST_F(EspSad, R29_WhoHoldsARemovedSaHasItUntilItsQuiescentState) {
    readers_.enter(0);
    const SaId id = sad_->add_in(new_sa(0x1000, {}, address(false, 2))).value();
    Sa* held = found(0x1000);
    ASSERT_NE(held, nullptr);
    const std::string key = text_of(held->key(), 64);
    wiped.clear();
    secret_is_wiped = note_wiped;
    readers_.quiescent(0);  // before it was removed: says nothing about it
    held = found(0x1000);
    ASSERT_TRUE(sad_->remove(id).ok());
    EXPECT_EQ(found(0x1000), nullptr);
    EXPECT_EQ(of(id), nullptr);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(sad_->collect(), 1u);
    ASSERT_TRUE(wiped.empty()) << "its key went while a reader held it";
    EXPECT_EQ(held->terms.spi, 0x1000u);
    EXPECT_EQ(text_of(held->key(), 64), key);
    readers_.quiescent(0);
    EXPECT_EQ(sad_->collect(), 0u);
    ASSERT_EQ(wiped.size(), 1u);
    EXPECT_TRUE(wiped[0].second && wiped[0].first >= 64) << "A4";
    secret_is_wiped = nullptr;
    readers_.leave(0);
}

// R31: crypto is in flight when its SA goes.
TEST_F(EspSad, R31_WorkInFlightHoldsTheKeyAndFindsNoSa) {
    readers_.enter(0);
    const SaId id = sad_->add_out(new_sa(0x1000, {}, address(false, 2))).value();
    sad_->begin_work(id.id, 3);
    readers_.quiescent(0);
    ASSERT_TRUE(sad_->remove(id).ok());
    readers_.quiescent(0);
    EXPECT_EQ(sad_->collect(), 1u) << "an engine reads the key";
    EXPECT_EQ(of(id), nullptr) << "a completion finds nobody";
    sad_->end_work(id.id, 2);
    EXPECT_EQ(sad_->collect(), 1u);
    // Its slot is not another's yet.
    std::vector<SaId> others;
    for (uint32_t i = 0; i + 1 < kSas; ++i) others.push_back(sad_->add_out(new_sa(0x3000 + i, {}, address(false, 2))).value());
    for (const SaId other : others) EXPECT_NE(other.id, id.id);
    EXPECT_FALSE(sad_->add_out(new_sa(0x4000, {}, address(false, 2))).ok());
    sad_->end_work(id.id, 1);
    EXPECT_EQ(sad_->collect(), 0u);
    const SaId next = sad_->add_out(new_sa(0x4000, {}, address(false, 2))).value();
    EXPECT_EQ(next.id, id.id);
    EXPECT_NE(next.generation, id.generation);
    EXPECT_EQ(of(id), nullptr) << "D3: a late completion does not take the new SA for its own";
    ASSERT_NE(of(next), nullptr);
    EXPECT_EQ(of(next)->terms.spi, 0x4000u);
    readers_.leave(0);
}

// Goal: lookups during adds, replacements and removals find what was there all the time, and never what is
// not there any more. Method: the even SPIs stay; the odd ones come and go by random steps, while two
// threads look all of them up in bursts. A found SA must be the one of its query: its memory is read, its
// key, too, which has no address any more when it is freed early.
TEST_F(EspSad, LookupsGoOnWhileSasComeAndGo) {
    constexpr uint32_t kSpis = 40, kSteps = 4000;
    std::mt19937_64 random(seed());
    const auto dst = [](uint32_t n) { return address(n % 4 < 2, static_cast<uint8_t>(n)); };
    const auto kind = [](uint32_t n) { return static_cast<SadKey>(n % 3); };
    std::map<uint32_t, SaId> there;
    const auto fresh = [&](uint32_t n) { return new_sa(0x1000 + n, {}, dst(n), kind(n)); };
    for (uint32_t n = 0; n < kSpis; n += 2) there[n] = sad_->add_in(fresh(n)).value();
    std::atomic<bool> end{false};
    std::atomic<uint64_t> rounds{0}, wrong{0};
    const auto reader = [&](uint32_t me) {
        readers_.enter(me);
        std::vector<SadQuery> queries;
        for (uint32_t n = 0; n < kSpis; ++n) queries.push_back({0x1000 + n, dst(n), address(dst(n).v6, 77)});
        uint64_t sum = 0;
        while (!end.load()) {
            Sa* sas[kSpis];
            sad_->lookup(queries.data(), sas, kSpis);
            for (uint32_t n = 0; n < kSpis; ++n) {
                if (sas[n] == nullptr) {
                    if (n % 2 == 0) wrong.fetch_add(1);
                    continue;
                }
                if (sas[n]->terms.spi != 0x1000 + n) wrong.fetch_add(1);
                sum += static_cast<uint64_t>(*sas[n]->key());
            }
            readers_.quiescent(me);
            if (rounds.fetch_add(1) % 8 == 0) sched_yield();
        }
        EXPECT_NE(sum, UINT64_MAX);
        readers_.leave(me);
    };
    std::vector<std::jthread> threads;
    for (uint32_t i = 0; i < 2; ++i) threads.emplace_back(reader, i);
    while (rounds.load() == 0) sched_yield();
    for (uint32_t step = 0; step < kSteps; ++step) {
        const uint32_t n = static_cast<uint32_t>(random() % kSpis);
        const auto has = there.find(n);
        if (has == there.end()) {
            there[n] = sad_->add_in(fresh(n)).value();
        } else if (n % 2 == 0 || random() % 2 == 0) {
            has->second = sad_->replace_in(has->second, fresh(n)).value();
        } else {
            ASSERT_TRUE(sad_->remove(has->second).ok());
            there.erase(has);
        }
        if (step % 8 == 0) sad_->collect();
    }
    end.store(true);
    threads.clear();
    EXPECT_EQ(wrong.load(), 0u);
    EXPECT_EQ(sad_->collect(), 0u);
    for (uint32_t n = 0; n < kSpis; ++n) EXPECT_EQ(found(0x1000 + n, dst(n), address(dst(n).v6, 77)), there.contains(n) ? of(there[n]) : nullptr);
}

TEST_F(EspSad, AChildKeepsItsNameWhileItsSasChange) {
    Children children(2, grace_);
    readers_.enter(0);
    const ChildId child = children.add().value();
    Sa* out = nullptr;
    EXPECT_TRUE(children.out(child, &out));
    EXPECT_EQ(out, nullptr);
    const SaId one = sad_->add_out(new_sa(0x1000, child, address(false, 2))).value();
    ASSERT_TRUE(children.set_out(child, of(one)).ok());
    EXPECT_TRUE(children.out(child, &out));
    EXPECT_EQ(out, of(one));
    EXPECT_EQ(sad_->child_of(*out), child);
    EXPECT_TRUE(children.remove(child).ok());
    EXPECT_FALSE(children.out(child, &out));
    EXPECT_TRUE(children.add().ok());
    EXPECT_FALSE(children.add().ok()) << "a reader may still have the first";
    readers_.quiescent(0);
    const ChildId again = children.add().value();
    EXPECT_EQ(again.id, child.id);
    EXPECT_FALSE(again == child);
    EXPECT_FALSE(children.out(child, &out)) << "a policy that was forgotten does not send by another's SA";
    readers_.leave(0);
}

}  // namespace
}  // namespace umbuf::test
