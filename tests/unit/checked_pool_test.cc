// SPDX-License-Identifier: BSD-2-Clause
// checked_pool_test.cc - pools of raw objects under the checked handler: each fault is seen, once,
// and nothing else is.
#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include "tests/unit/checked_pool.h"

namespace umbuf::test {
namespace {

using CheckedPool = CheckedTest;

TEST_F(CheckedPool, GivesEveryObjectOnceAndThenNothing) {
    rte_mempool* pool = raw();
    const std::vector<void*> all = take(pool, kN);
    EXPECT_EQ(std::set<void*>(all.begin(), all.end()).size(), kN);
    void* more = nullptr;
    EXPECT_LT(rte_mempool_get(pool, &more), 0);
    EXPECT_EQ(rte_mempool_avail_count(pool), 0u);
    put(pool, all);
    EXPECT_EQ(faults(pool), 0u);
    EXPECT_EQ(counts(pool).puts, kN);
    EXPECT_EQ(counts(pool).gets, kN);
}

TEST_F(CheckedPool, AHolderMayWriteEveryByteOfItsObject) {
    for (const unsigned flags : {0u, unsigned{RTE_MEMPOOL_F_NO_CACHE_ALIGN | RTE_MEMPOOL_F_NO_SPREAD}}) {
        for (const uint32_t size : {64u, 72u, 256u, 2112u}) {
            rte_mempool* pool = raw(size, kKeep, flags);
            for (int round = 0; round < 3; ++round) {
                const std::vector<void*> all = take(pool, kN);
                for (void* object : all) std::memset(object, round, size);
                put(pool, all);
            }
            EXPECT_EQ(scan(pool), 0);
            EXPECT_EQ(faults(pool), 0u) << size << " bytes, flags " << flags;
        }
    }
}

TEST_F(CheckedPool, ADoublePutIsRefused) {
    rte_mempool* pool = raw();
    char* object = take(pool);
    rte_mempool_put(pool, object);
    rte_mempool_put(pool, object);
    EXPECT_EQ(counts(pool).double_puts, 1u);
    EXPECT_EQ(rte_mempool_avail_count(pool), kN) << "it is not there twice";
    const std::vector<void*> all = take(pool, kN);
    EXPECT_EQ(std::set<void*>(all.begin(), all.end()).size(), kN);
    put(pool, all);
    EXPECT_EQ(faults(pool), 1u);
}

TEST_F(CheckedPool, TwiceInOnePutIsADoublePut) {
    rte_mempool* pool = raw();
    void* object = take(pool);
    put(pool, {object, object});
    EXPECT_EQ(counts(pool).double_puts, 1u);
    EXPECT_EQ(faults(pool), 1u);
}

TEST_F(CheckedPool, AnAddressThatIsNoObjectIsRefused) {
    rte_mempool* pool = raw();
    char* object = take(pool);
    rte_mempool_put(pool, object + 8);
    rte_mempool* other = raw();
    char* stranger = take(other);
    rte_mempool_put(pool, stranger);
    EXPECT_EQ(counts(pool).strangers, 2u);
    rte_mempool_put(pool, object);
    rte_mempool_put(other, stranger);
    EXPECT_EQ(faults(pool), 2u);
    EXPECT_EQ(faults(other), 0u);
}

// The boundary from both sides: the last byte that is kept, the first and the last that are not.
TEST_F(CheckedPool, AWriteAfterFreeIsFoundAtTheGet) {
    for (const auto& [at, found] : {std::pair{kKeep - 1, 0u}, {kKeep, 1u}, {kSize - 1, 1u}}) {
        rte_mempool* pool = raw();
        char* object = take(pool);
        rte_mempool_put(pool, object);
        object[at] = static_cast<char>(object[at] ^ 1);
        EXPECT_EQ(faults(pool), 0u) << "nobody has looked yet";
        turn_over(pool);
        EXPECT_EQ(counts(pool).late_writes, found) << "byte " << at;
        turn_over(pool);
        EXPECT_EQ(faults(pool), found) << "counted once";
    }
}

TEST_F(CheckedPool, WhatIsKeptIsStillThereAtTheGet) {
    rte_mempool* pool = raw(kSize, 100);
    const std::vector<void*> all = take(pool, kN);
    for (void* object : all) std::memset(object, 'k', kSize);
    put(pool, all);
    const std::vector<void*> again = take(pool, kN);
    for (void* object : again) {
        const char* bytes = static_cast<const char*>(object);
        EXPECT_EQ(std::count(bytes, bytes + 100, 'k'), 100);
        EXPECT_NE(bytes[100], 'k') << "poisoned";
    }
    put(pool, again);
}

// A pool of kN, of which 32 wait in front of the next put: what a driver keeps writing to.
TEST_F(CheckedPool, AWriteAfterFreeIsFoundWithinABurst) {
    rte_mempool* pool = raw();
    const std::vector<void*> first = take(pool, 32), second = take(pool, 32);
    put(pool, first);
    static_cast<char*>(first[8])[200] = 1;  // the oldest that is scanned
    put(pool, second);
    EXPECT_EQ(counts(pool).late_writes, 1u) << "found by the next burst, before any get";
    EXPECT_EQ(counts(pool).scanned, uint64_t{kN} / 4) << "no more than the quarantine";
}

TEST_F(CheckedPool, ABurstOfSinglePutsIsScannedToo) {
    rte_mempool* pool = raw();
    const std::vector<void*> objects = take(pool, 33);
    for (int i = 0; i < 32; ++i) rte_mempool_put(pool, objects[static_cast<size_t>(i)]);
    static_cast<char*>(objects[31])[200] = 1;
    EXPECT_EQ(counts(pool).scanned, 0u);
    rte_mempool_put(pool, objects[32]);
    EXPECT_EQ(counts(pool).late_writes, 1u);
}

TEST_F(CheckedPool, TheScanCanBeTurnedOff) {
    set("UM_CHECKED_SCAN", "0");
    rte_mempool* pool = raw();
    for (int round = 0; round < 4; ++round) turn_over(pool);
    EXPECT_EQ(counts(pool).scanned, 0u);
}

TEST_F(CheckedPool, AskedToItLooksAtEverythingThatWaits) {
    rte_mempool* pool = raw();
    const std::vector<void*> all = take(pool, kN);
    put(pool, all);
    for (const size_t i : {size_t{0}, size_t{kN} / 2, size_t{kN} - 1})
        static_cast<char*>(all[i])[kSize - 1] = 1;
    EXPECT_EQ(scan(pool), 3);
    EXPECT_EQ(scan(pool), 0) << "reported once";
    EXPECT_EQ(counts(pool).late_writes, 3u);
}

TEST_F(CheckedPool, AWriteBehindTheEndIsFoundAtThePut) {
    for (const uint32_t size : {64u, 72u, 256u}) {
        rte_mempool* pool = raw(size);
        char* object = take(pool);
        object[size - 1] = 1;
        rte_mempool_put(pool, object);
        EXPECT_EQ(faults(pool), 0u) << size;
        turn_over(pool);
        for (const uint32_t behind : {0u, 1u, 63u}) {
            object = take(pool);
            object[size + behind] = 1;
            rte_mempool_put(pool, object);
        }
        EXPECT_EQ(counts(pool).overruns, 3u) << size;
        turn_over(pool);
        EXPECT_EQ(faults(pool), 3u) << "counted once";
    }
}

TEST_F(CheckedPool, AWriteBehindAFreeObjectIsFoundToo) {
    rte_mempool* pool = raw();
    char* object = take(pool);
    rte_mempool_put(pool, object);
    object[kSize] = 1;
    EXPECT_EQ(scan(pool), 1);
    EXPECT_EQ(counts(pool).overruns, 1u);
}

TEST_F(CheckedPool, WhatWasPutLastIsGivenOutLast) {
    rte_mempool* pool = raw();
    const std::vector<void*> all = take(pool, kN);
    put(pool, all);
    EXPECT_EQ(take(pool, kN), all) << "oldest first";
    put(pool, all);
    void* object = take(pool);
    rte_mempool_put(pool, object);
    const std::vector<void*> others = take(pool, kN - 1);
    EXPECT_EQ(std::count(others.begin(), others.end(), object), 0);
    put(pool, others);
}

// With a quarantine of 10, an object that is given out with 10 newer ones behind it has waited.
TEST_F(CheckedPool, ObjectsThatDidNotWaitAreCountedAsEarly) {
    set("UM_CHECKED_QUARANTINE", "10");
    rte_mempool* pool = raw();
    turn_over(pool);
    EXPECT_EQ(counts(pool).early, 0u) << "those were never put by anybody";
    std::vector<void*> taken = take(pool, kN - 10);
    EXPECT_EQ(counts(pool).early, 0u);
    taken.push_back(take(pool));
    EXPECT_EQ(counts(pool).early, 1u) << "and it is given out all the same: nobody starves";
    put(pool, taken);
}

TEST_F(CheckedPool, WhatMakesThePoolMayWriteItsObjects) {
    rte_mempool* pool = raw();
    rte_mempool_obj_iter(pool, [](rte_mempool* p, void*, void* o, unsigned) { std::memset(o, 7, p->elt_size); },
                         nullptr);
    turn_over(pool);
    EXPECT_EQ(faults(pool), 0u);
}

TEST_F(CheckedPool, ManyThreadsShareIt) {
    rte_mempool* pool = raw();
    std::vector<std::jthread> threads;
    for (int id = 0; id < 4; ++id)
        threads.emplace_back([=] {
            for (int round = 0; round < 500; ++round) {
                const std::vector<void*> mine = take(pool, 8);
                for (void* object : mine) std::memset(object, id, kSize);
                for (void* object : mine) EXPECT_EQ(static_cast<char*>(object)[kSize / 2], id);
                put(pool, mine);
            }
        });
    threads.clear();  // joins
    EXPECT_EQ(faults(pool), 0u);
    EXPECT_EQ(counts(pool).puts, 4u * 500 * 8);
}

TEST_F(CheckedPool, AnOptionThatMakesNoSenseIsRefused) {
    for (const auto& [name, value] : {std::pair{"UM_CHECKED", "maybe"}, {"UM_CHECKED_SCAN", "-1"},
                                      {"UM_CHECKED_QUARANTINE", "9x"}, {"UM_CHECKED_SCAN", ""}}) {
        set(name, value);
        ::testing::internal::CaptureStderr();
        EXPECT_EQ(raw(), nullptr) << name << "=" << value;
        const std::string said = ::testing::internal::GetCapturedStderr();
        EXPECT_EQ(refused_, -EINVAL);
        EXPECT_NE(said.find(std::string(name) + "=" + value + ": expected"), std::string::npos) << said;
        unsetenv(name);
    }
}

TEST_F(CheckedPool, APoolOfAnotherHandlerIsNotOurs) {
    rte_mempool* pool = rte_mempool_create(name().c_str(), kN, kSize, 0, 0, nullptr, nullptr, nullptr,
                                           nullptr, 0, 0);
    ASSERT_NE(pool, nullptr);
    um_checked_counts unused{};
    EXPECT_EQ(scan(pool), -1);
    EXPECT_EQ(um_checked_read(pool, &unused), -1);
    rte_mempool_free(pool);
}

// What the report says, and that it is the program's last word by default.
class CheckedReport : public CheckedTest {
    void SetUp() override { set("UM_CHECKED", "abort"); }
};

TEST_F(CheckedReport, OfALateWriteNamesPoolObjectOffsetBytesGenerationAndWhoPut) {
    rte_mempool* pool = raw();
    for (int i = 0; i < 2; ++i) turn_over(pool);
    char* object = take(pool);
    rte_mempool_put(pool, object);
    Byte first(object + 70), second(object + 72);
    EXPECT_DEATH(
        {
            first.write(0x21);
            second.write(0x22);
            (void)scan(pool);
        },
        std::string("pool ") + pool->name +
            ": write after free, found while it waited\n.*object [0-9]+ of 96 at 0x[0-9a-f]+, 256 bytes, "
            "generation 3\n.*2 bytes differ, the first at offset 70\n.*expected ad de de c0 "
            ".*found +21 de 22 c0 .*last put by: lcore 0, [0-9.]+ us ago .*checked_tests");
}

TEST_F(CheckedReport, OfADoublePutNamesTheFirst) {
    rte_mempool* pool = raw();
    char* object = take(pool);
    rte_mempool_put(pool, object);
    EXPECT_DEATH(rte_mempool_put(pool, object),
                 std::string("pool ") + pool->name +
                     ": double put, found at a put\n.*generation 1\n.*last put by: lcore 0.*found from");
}

TEST_F(CheckedReport, OfAnOverrunSaysHowFarBehindTheEnd) {
    rte_mempool* pool = raw();
    char* object = take(pool);
    {
        Byte behind(object + kSize + 3);
        EXPECT_DEATH(
            {
                behind.write(0);
                rte_mempool_put(pool, object);
            },
            "write behind the end, found at a put\n.*offset 259, 3 behind the end");
    }
    rte_mempool_put(pool, object);
}

TEST_F(CheckedReport, OfAStrangerGivesItsAddress) {
    rte_mempool* pool = raw();
    char* object = take(pool);
    EXPECT_DEATH(rte_mempool_put(pool, object + 8), "not an object of this pool.*\n.*address 0x");
    rte_mempool_put(pool, object);
}

}  // namespace
}  // namespace umbuf::test
