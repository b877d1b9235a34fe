// SPDX-License-Identifier: BSD-2-Clause
// trace_test.cc - what the probes write down, and what is read from it.
#include <thread>

#include "lib/mbuf/refs.h"
#include "lib/mbuf/trace.h"
#include "lib/mbuf/trace_slot.h"
#include "tests/unit/misuse.h"

namespace umbuf::test {
namespace {

class Trace : public MbufTest {
  protected:
    void SetUp() override {
        MbufTest::SetUp();
        ASSERT_TRUE(trace::start());
        trace::clear();
    }
    void TearDown() override {
        trace::stop();
        trace::clear();
        MbufTest::TearDown();
    }
    static std::string address(const void* p) {
        char text[32];
        std::snprintf(text, sizeof text, "%p", p);
        return text;
    }
    static std::string life_of(const void* storage) { return trace::dump({storage, 0}); }
    // has - the parts, in this order.
    static ::testing::AssertionResult has(const std::string& text, const std::vector<std::string>& parts) {
        size_t from = 0;
        for (const std::string& part : parts) {
            const size_t at = text.find(part, from);
            if (at == text.npos)
                return ::testing::AssertionFailure() << "\"" << part << "\" is not there, or too early, in:\n" << text;
            from = at + part.size();
        }
        return ::testing::AssertionSuccess();
    }
    static void copy_and_free(Mbuf* m) { m_freem(m_copypacket(m, M_NOWAIT)); }
};

TEST_F(Trace, OffNothingIsWritten) {
    trace::stop();
    for (Mbuf* m : {clustered(pattern(100)), received(pattern(100))}) {
        copy_and_free(m);
        m_freem(m);
    }
    EXPECT_EQ(trace::state().events, 0U);
    EXPECT_FALSE(trace::state().on);
    EXPECT_TRUE(has(trace::dump({}), {"reference trace, off", "no event is recorded"}));
}

TEST_F(Trace, AStoragesLifeIsToldInItsOrderAcrossThreads) {
    Mbuf* m = clustered(pattern(100));
    const void* storage = ext_control(m);
    Mbuf* a = m_copypacket(m, M_NOWAIT);
    Mbuf* b = nullptr;
    std::thread other([&] {
        b = m_copypacket(a, M_NOWAIT);
        m_freem(a);
    });
    other.join();
    m_freem(m);
    std::thread last([&] { m_freem(b); });
    last.join();
    // A leader that is followed is freed by its last follower.
    const bool m_goes_last = std::string(refs_in_use().name) == "leader";
    EXPECT_TRUE(has(life_of(storage),
                    {"attached by mbuf " + address(m), "attached at ", "m_clget", "m_getjcl",
                     "taken by mbuf " + address(a) + " from mbuf " + address(m), "taken at ", "m_copym",
                     "thread ", "taken by mbuf " + address(b) + " from mbuf " + address(a),
                     "thread ", "dropped by mbuf " + address(a), "dropped at ", "m_free",
                     "dropped by mbuf " + address(m_goes_last ? b : m), "thread ",
                     "dropped by mbuf " + address(m_goes_last ? m : b), "freed", "freed at ", "still held: by nobody"}));
}

TEST_F(Trace, WhatTheSchemeCountsIsToldWhereItCounts) {
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    const std::string name = refs_in_use().name;
    const std::string taken = name.starts_with("list") ? "" : name.starts_with("weighted") ? "weight 32768 of 1073741824"
                              : name == "leader"       ? "weight 1 of 1"
                                                       : "weight 1 of 2";
    EXPECT_TRUE(has(life_of(ext_control(m)), {"scheme " + name, "taken by", taken}));
    m_freem(copy);
    m_freem(m);
}

TEST_F(Trace, AReceivedPacketsCopiesLiveAndDieAsAGroup) {
    Mbuf* m = received(pattern(100));
    Mbuf* a = m_copypacket(m, M_NOWAIT);
    Mbuf* b = m_copypacket(a, M_NOWAIT);
    rte_pktmbuf_free(&m->rte);
    rte_pktmbuf_free(&a->rte);
    EXPECT_TRUE(has(life_of(packet_control(m)),
                    {"taken by mbuf " + address(a) + " from received packet " + address(m),
                     "taken by mbuf " + address(b) + " from mbuf " + address(a), "dropped by mbuf " + address(a),
                     "still held: by 1 mbuf\n    mbuf " + address(b) + " since #"}));
    rte_pktmbuf_free(&b->rte);
    EXPECT_TRUE(has(life_of(packet_control(m)), {"dropped by mbuf " + address(b), "freed", "still held: by nobody"}));
}

TEST_F(Trace, DetachAndUnshareAreTold) {
    Mbuf* m = clustered(pattern(100));
    const void* storage = ext_control(m);
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    ASSERT_TRUE(m_extfree(copy));
    const bool alone = m_writable(m);
    EXPECT_TRUE(has(life_of(storage), {"detached by mbuf " + address(copy), "detached at "}));
    uint64_t view;
    std::memcpy(&view, m->view, sizeof view);
    if (alone && view == 0) {
        EXPECT_TRUE(has(life_of(storage), {"detached", "unshared by mbuf " + address(m)}));
    }
    m_freem(copy);
    m_freem(m);
}

TEST_F(Trace, StorageThatIsNotOursIsFollowedToo) {
    static char bytes[64];
    Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
    ASSERT_EQ(m_extadd(m, bytes, sizeof bytes, [](void*, uint32_t, void*) {}, nullptr, 0), 0);
    const void* storage = ext_control(m);
    m_freem(m);
    EXPECT_TRUE(has(life_of(storage), {"attached at ", "m_extadd", "dropped at ", "freed at ", "by nobody"}));
}

TEST_F(Trace, ADumpShowsOneStorageAndTheLastEventsAndWhatIsHeld) {
    Mbuf* a = clustered(pattern(100));
    Mbuf* b = clustered(pattern(100));
    copy_and_free(a);
    copy_and_free(b);
    const std::string only = life_of(ext_control(a));
    EXPECT_EQ(only.find(address(b)), only.npos) << only;
    const std::string last = trace::dump({nullptr, 1});
    EXPECT_TRUE(has(last, {"(5 earlier events are not shown)", "storage " + address(ext_control(b)) + ": dropped",
                           "still held: 2 storages"}));
    EXPECT_EQ(last.find("attached"), last.npos) << last;
    m_freem(a);
    m_freem(b);
    EXPECT_TRUE(has(trace::dump({}), {"still held: nothing"}));
    EXPECT_TRUE(has(trace::dump({&a, 0}), {"no event is recorded"})) << "no such storage";
}

TEST_F(Trace, TheOldestEventsAreOverwrittenAndCounted) {
    ASSERT_TRUE(trace::start(8));
    Mbuf* m = clustered(pattern(100));
    for (int i = 0; i < 10; ++i) copy_and_free(m);
    EXPECT_EQ(trace::state().events, 8U);
    EXPECT_EQ(trace::state().overwritten, 1U + 20U - 8U);
    EXPECT_TRUE(has(life_of(ext_control(m)), {"8 events, 13 overwritten, 0 not recorded", "taken"}));
    EXPECT_EQ(life_of(ext_control(m)).find("attached"), std::string::npos) << "the oldest";
    trace::clear();
    EXPECT_EQ(trace::state().events, 0U);
    EXPECT_EQ(trace::state().overwritten, 0U);
    copy_and_free(m);
    EXPECT_TRUE(has(life_of(ext_control(m)), {"2 events, 0 overwritten", "mbuf " + address(m) + " since before the trace"}));
    m_freem(m);
}

TEST_F(Trace, ThreadsThatEndedLeaveTheirRingsToOthers) {
    Mbuf* m = clustered(pattern(100));
    for (int i = 0; i < 40; ++i) std::thread([m] { copy_and_free(m); }).join();
    EXPECT_EQ(trace::state().events, 81U);
    EXPECT_EQ(trace::state().unrecorded, 0U);
    m_freem(m);
}

// Goal: an event that is read while it is overwritten is seen whole or not at all (T3). Method: one
// thread overwrites one slot as fast as it can, each event made of its number alone; what is read must
// be, too. Known to fail if the number is not taken away first (tests/mutants/trace_slot_keeps_its_number).
TEST(TraceSlot, AReaderNeverSeesAnEventHalfWritten) {
    const auto event = [](uint64_t n) {
        const auto* p = reinterpret_cast<const char*>(uintptr_t{n});
        trace::Event e{n, n, p, p, p, n, n, p, trace::Kind::take, 1, static_cast<uint32_t>(n), {}};
        e.callers.fill(p);
        return e;
    };
    trace::Slot slot{};
    sync::atomic<bool> end{false};
    std::thread writer([&] {
        for (uint64_t n = 1; !end.load(sync::relaxed); ++n) trace::put(slot, event(n));
    });
    uint32_t whole = 0, torn = 0;
    for (uint32_t i = 0; i < 3'000'000 && (i < 300'000 || whole < 100); ++i) {
        trace::Event e;
        if (!trace::get(slot, e)) continue;
        ++whole;
        const trace::Event want = event(e.number);
        torn += e.tsc != want.tsc || e.storage != want.storage || e.m != want.m || e.from != want.from ||
                e.weight != want.weight || e.outstanding != want.outstanding || e.thread != want.thread ||
                e.callers != want.callers;
    }
    end.store(true, sync::relaxed);
    writer.join();
    EXPECT_EQ(torn, 0U) << "of " << whole;
    EXPECT_GT(whole, 0U);
}

// ---- last words

TEST_F(Trace, WhoDiesOfAReferenceIsToldWhereItWasTakenAndDropped) {
    Mbuf* other = clustered(pattern(100));  // what is told is not just the last that happened
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    Mbuf* raw = raw_copy(copy);
    ExtControl* control = ext_control(m);
    m_freem(m);
    m_freem(copy);
    m_freem(other);
    const Kept freed({m, copy}, control);
    EXPECT_DEATH(release(raw), "(R1|was dropped before).*the references were traced; storage " + address(control) +
                                   ".*attached at .*taken at .*m_copym.*dropped at .*m_free");
    freed.put_back();
    end_of_raw_copy(raw);
}

TEST_F(Trace, ADeadRecordIsKnownByItsMbuf) {
    Mbuf* m = received(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    m_freem(copy);
    EXPECT_DEATH(release(copy), "storage " + address(ext_control(m)) + ".*taken at .*dropped at .*m_free");
    m_freem(m);
}

TEST_F(Trace, WithoutItTheLastWordsSayHowToSwitchItOn) {
    trace::stop();
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    m_freem(copy);
    EXPECT_DEATH(release(copy), "were not traced: 'trace refcnt on'.*--trace-refcnt");
    m_freem(m);
}

// Scheme weighted holds them back, and its flush gives back for many storages: the one that is told is
// the one that breaks.
TEST_F(Trace, ABrokenReleaseThatWasHeldBackIsToldOfItsOwnStorage) {
    Mbuf* good = clustered(pattern(100));
    Mbuf* goods_copy = m_copypacket(good, M_NOWAIT);  // first: it shall not reuse a dead proxy
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    Mbuf* raw = raw_copy(copy);
    ExtControl* control = ext_control(m);
    m_freem(m);
    m_freem(copy);
    const Kept freed({m, copy, raw, goods_copy}, control);
    const Kept goods({good}, ext_control(good));
    EXPECT_DEATH(
        {
            const MergedReleases merged;
            release(raw);
            release(goods_copy);
            refs_flush();
        },
        "(R1|was dropped before).*the references were traced; storage " + address(control));
    freed.put_back();
    goods.put_back();
    end_of_raw_copy(raw);
    m_freem(goods_copy);
    m_freem(good);
}

}  // namespace
}  // namespace umbuf::test
