// SPDX-License-Identifier: BSD-2-Clause
// mbuf_queue_test.cc - packets leave a row in the order they came, and none is lost or kept twice.
#include <atomic>
#include <thread>

#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

class List : public MbufTest {};
class Queue : public MbufTest {
  protected:
    void SetUp() override {
        MbufTest::SetUp();
        mq_init(&mq, 3);
    }
    void TearDown() override {
        mq_purge(&mq);
        MbufTest::TearDown();
    }
    // The packets' first bytes, in order, after which they are gone.
    std::string drain() {
        std::string s;
        while (Mbuf* m = mq_dequeue(&mq)) {
            s += bytes_of(m);
            m_freem(m);
        }
        return s;
    }
    MbufQueue mq;
};

TEST_F(List, KeepsTheOrderForEveryKindOfPacket) {
    MbufList ml;
    EXPECT_EQ(ml_dequeue(&ml), nullptr);
    EXPECT_EQ(ml_hdatalen(&ml), 0U);
    std::vector<Mbuf*> order, others;
    for (int i = 0; i < 2; ++i)
        for (const Kind kind : kKinds) {
            const Made made = make(kind, pattern(40 + static_cast<uint32_t>(order.size())));
            ml_enqueue(&ml, made.m);
            order.push_back(made.m);
            others.push_back(made.other);
        }
    EXPECT_EQ(ml_len(&ml), order.size());
    EXPECT_EQ(ml_hdatalen(&ml), 40U);
    for (Mbuf* want : order) {
        Mbuf* m = ml_dequeue(&ml);
        EXPECT_EQ(m, want);
        EXPECT_EQ(m_nextpkt(m), nullptr) << "a packet that left has no link";
        m_freem(m);
    }
    EXPECT_TRUE(ml_empty(&ml));
    for (Mbuf* m : others) m_freem(m);
}

TEST_F(List, EnlistMovesAllAndDechainGivesTheChain) {
    MbufList a, b;
    ml_enlist(&a, &b);
    EXPECT_TRUE(ml_empty(&a));
    for (const char* text : {"1", "2"}) ml_enqueue(&b, inlined(text));
    ml_enlist(&a, &b);
    EXPECT_TRUE(ml_empty(&b));
    ml_enqueue(&b, inlined("3"));
    ml_enlist(&a, &b);
    ml_enqueue(&a, inlined("4"));
    Mbuf* m = ml_dechain(&a);
    EXPECT_TRUE(ml_empty(&a));
    std::string s;
    for (const Mbuf* p = m; p != nullptr; p = m_nextpkt(p)) s += bytes_of(p);
    EXPECT_EQ(s, "1234");
    m_purge(m);
    for (const char* text : {"1", "2"}) ml_enqueue(&b, inlined(text));
    EXPECT_EQ(ml_purge(&b), 2U);
    EXPECT_TRUE(ml_empty(&b));
}

TEST_F(Queue, WhatDoesNotFitIsFreedAndCounted) {
    for (const char* text : {"1", "2", "3"}) EXPECT_EQ(mq_enqueue(&mq, inlined(text)), 0);
    EXPECT_TRUE(mq_full(&mq));
    EXPECT_EQ(mq_enqueue(&mq, inlined("4")), 1);
    EXPECT_EQ(mq_drops(&mq), 1U);
    EXPECT_EQ(mq_len(&mq), 3U);
    EXPECT_EQ(mq_hdatalen(&mq), 1U);
    EXPECT_EQ(drain(), "123");
    EXPECT_TRUE(mq_empty(&mq));
}

TEST_F(Queue, PushDropsTheOldest) {
    for (const char* text : {"1", "2", "3"}) EXPECT_EQ(mq_push(&mq, inlined(text)), 0);
    EXPECT_EQ(mq_push(&mq, inlined("4")), 1);
    EXPECT_EQ(mq_drops(&mq), 1U);
    EXPECT_EQ(drain(), "234");
    mq_set_maxlen(&mq, 0);
    EXPECT_EQ(mq_push(&mq, inlined("5")), 1);
    EXPECT_EQ(mq_len(&mq), 0U);
}

TEST_F(Queue, EnlistTakesWhatFitsInOrder) {
    MbufList ml;
    for (const char* text : {"1", "2", "3", "4", "5"}) ml_enqueue(&ml, inlined(text));
    EXPECT_EQ(mq_enlist(&mq, &ml), 2U);
    EXPECT_TRUE(ml_empty(&ml));
    EXPECT_EQ(mq_drops(&mq), 2U);
    mq_delist(&mq, &ml);
    EXPECT_EQ(ml_len(&ml), 3U);
    EXPECT_EQ(mq_len(&mq), 0U);
    EXPECT_EQ(mq_enlist(&mq, &ml), 0U);
    m_purge(mq_dechain(&mq));
    EXPECT_EQ(mq_len(&mq), 0U);
}

// Goal: the lock is one. Method: three threads pass packets through the queue without a pause; a list
// that two of them change at once loses packets, or its end.
TEST_F(Queue, ThreadsThatNeverPauseKeepEveryPacket) {
    constexpr uint32_t kThreads = 3, kPackets = 16;
    mq_set_maxlen(&mq, kThreads * kPackets);
    std::array<MbufList, kThreads> hands;
    for (MbufList& hand : hands)
        for (uint32_t i = 0; i < kPackets; ++i) ml_enqueue(&hand, inlined("x"));
    std::vector<std::thread> threads;
    for (MbufList& hand : hands)
        threads.emplace_back([this, &hand] {
            for (int round = 0; round < 1000000; ++round) {
                if (!ml_empty(&hand)) mq_enqueue(&mq, ml_dequeue(&hand));
                if (Mbuf* m = mq_dequeue(&mq)) ml_enqueue(&hand, m);
            }
        });
    for (std::thread& t : threads) t.join();
    uint32_t n = mq_purge(&mq);
    for (MbufList& hand : hands) n += ml_purge(&hand);
    EXPECT_EQ(n, kThreads * kPackets);
    EXPECT_EQ(mq_drops(&mq), 0U);
}

// Goal: with threads on both ends, every packet comes out once or is counted as dropped. Method: two
// producers number their packets, two consumers add up; under contention for the lock all along.
TEST_F(Queue, ManyThreadsLoseNothing) {
    constexpr uint32_t kEach = 5000;
    mq_set_maxlen(&mq, 64);
    std::atomic<uint64_t> in{0}, out{0}, dropped{0}, got{0};
    std::atomic<int> producing{2};
    std::vector<std::thread> threads;
    for (int p = 0; p < 2; ++p)
        threads.emplace_back([&, p] {
            for (uint32_t i = 0; i < kEach; ++i) {
                Mbuf* m = nullptr;
                while ((m = m_gethdr(M_NOWAIT, MT_DATA)) == nullptr) std::this_thread::yield();
                m->rte.hash.usr = i;
                in += i;
                dropped += static_cast<uint64_t>(p == 0 ? mq_push(&mq, m) : mq_enqueue(&mq, m));
                if (i % 64 == 0) std::this_thread::yield();
            }
            --producing;
        });
    for (int c = 0; c < 2; ++c)
        threads.emplace_back([&] {
            for (;;) {
                const bool last = producing.load() == 0;
                Mbuf* m = mq_dequeue(&mq);
                if (m == nullptr && last) return;
                if (m == nullptr) {
                    std::this_thread::yield();
                    continue;
                }
                out += m->rte.hash.usr;
                ++got;
                m_freem(m);
            }
        });
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(got + dropped, 2 * kEach);
    EXPECT_EQ(mq_drops(&mq), dropped.load());
    if (dropped == 0) {
        EXPECT_EQ(in.load(), out.load());
    }
}

}  // namespace
}  // namespace umbuf::test
