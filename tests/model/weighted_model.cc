// SPDX-License-Identifier: BSD-2-Clause
// weighted_model.cc - ref::Weighted, as shipped: the contract, refills, and what threads hold back.
#include <memory>

#include "tests/model/suites.h"

namespace {

using namespace umbuf;
using Scheme = model::Weighted;
using Merge = Scheme::Merge;
UM_VIEWS(UM_OF_SCHEME)
UM_GROUPS(UM_OF_SCHEME)

// Poor - views of weight 1, which must go back to the word to be copied. (W) holds.
struct Poor : model::Storage<Scheme> {
    void start_poor(unsigned n) {
        start(n);
        for (unsigned i = 0; i < n; ++i) view[i].weight = 1;
        control.word.store(n, sync::relaxed);
    }
};

// R1 R2 R7: a refill by one, and the other goes.
struct RefillAsAnotherLeaves : rl::test_suite<RefillAsAnotherLeaves, 2> {
    Poor storage;
    void before() { storage.start_poor(2); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (i == 0) {
            storage.share(0, 2);
            storage.let_go(2);
        }
        storage.let_go(i);
    }
    void after() { storage.over(); }
};
struct BothRefill : rl::test_suite<BothRefill, 2> {
    Poor storage;
    void before() { storage.start_poor(2); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        storage.share(i, i + 2);
        storage.let_go(i);
        storage.let_go(i + 2);
    }
    void after() { storage.over(); }
};
// R3: the word may be read late: it must not look as if nobody had fetched more.
struct AloneIsNotFooledByARefill : rl::test_suite<AloneIsNotFooledByARefill, 3> {
    Poor storage;
    rl::var<int> bytes;
    void before() {
        storage.start_poor(3);
        bytes($) = 7;
    }
    void thread(unsigned i) {
        if (i == 0) {
            storage.share(0, 3);
            RL_ASSERT(bytes($) == 7);
            storage.let_go(3);
        }
        if (i == 2 && storage.alone(2)) bytes($) = 8;
        storage.let_go(i);
    }
    void after() { storage.over(); }
};

// R2 R7: thread 0 holds two releases back, and gives them in one; the other does not.
struct OneHoldsBack : rl::test_suite<OneHoldsBack, 2> {
    model::Storage<Scheme> storage;
    Merge merge;
    void before() { storage.start(3); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (i == 1) return storage.let_go(1);
        storage.let_go(0, false, &merge);
        storage.let_go(2, false, &merge);
        RL_ASSERT(storage.view[0].weight == 0 && !merge.empty());
        Scheme::flush(merge, storage.last());
        RL_ASSERT(merge.empty());
    }
    void after() { storage.over(); }
};
// R2 R6 R7: three threads hold back, each for itself; two of the requests go with what they give.
struct AllHoldBack : rl::test_suite<AllHoldBack, 3> {
    model::Storage<Scheme> storage;
    Merge merge[3];
    void before() { storage.start(3); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        storage.let_go(i, i != 1, &merge[i]);
        Scheme::flush(merge[i], storage.last());
    }
    void after() { storage.over(1); }
};
// The request is the second of three releases that one thread merges.
struct ARequestIsMerged : rl::test_suite<ARequestIsMerged, 2> {
    model::Storage<Scheme> storage;
    Merge merge;
    void before() { storage.start(4); }
    void thread(unsigned i) {
        if (i == 1) return storage.let_go(1);
        storage.let_go(0, false, &merge);
        storage.let_go(2, true, &merge);
        storage.let_go(3, false, &merge);
        Scheme::flush(merge, storage.last());
    }
    void after() { storage.over(1); }
};
// R3 R6: who is alone but for what his thread holds back is alone, and takes the request along.
struct AloneButForWhatIsHeldBack : rl::test_suite<AloneButForWhatIsHeldBack, 2> {
    model::Storage<Scheme> storage;
    Merge merge;
    rl::var<int> bytes;
    void before() {
        storage.start(3);
        bytes($) = 7;
    }
    void thread(unsigned i) {
        if (i == 1) {
            RL_ASSERT(bytes($) == 7);
            return storage.let_go(1);
        }
        storage.let_go(2, true, &merge);
        bool zero = false;
        if (storage.alone(0, &zero, &merge)) {
            RL_ASSERT(zero);
            bytes($) = 8;
        }
        RL_ASSERT(merge.empty());
        storage.let_go(0, zero, &merge);
        Scheme::flush(merge, storage.last());
    }
    void after() { storage.over(1); }
};
// R3: what another thread holds back is not ours yet.
struct NotAloneBesideAnothersTable : rl::test_suite<NotAloneBesideAnothersTable, 2> {
    model::Storage<Scheme> storage;
    Merge merge[2];
    rl::var<int> bytes;
    void before() {
        storage.start(2);
        bytes($) = 7;
    }
    void thread(unsigned i) {
        if (i == 1) {
            RL_ASSERT(bytes($) == 7);
            storage.let_go(1, false, &merge[1]);
            Scheme::flush(merge[1], storage.last());
            return;
        }
        if (storage.alone(0, nullptr, &merge[0])) bytes($) = 8;
        storage.let_go(0, false, &merge[0]);
        Scheme::flush(merge[0], storage.last());
    }
    void after() { storage.over(); }
};
// A refill takes what is held back first, with its request; (W) holds.
struct ARefillTakesWhatIsHeldBack : rl::test_suite<ARefillTakesWhatIsHeldBack, 2> {
    Poor storage;
    Merge merge;
    void before() { storage.start_poor(3); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (i == 1) return storage.let_go(1);
        storage.let_go(2, true, &merge);
        storage.share(0, 3, &merge);
        RL_ASSERT(merge.empty() && storage.view[0].weight == 1 && storage.view[3].weight == 1);
        storage.let_go(0, false, &merge);
        storage.let_go(3);
        Scheme::flush(merge, storage.last());
    }
    void after() { storage.over(1); }
};

// Two - storages whose entries share a place in a thread's table.
struct Two {
    struct alignas(64) Line {
        Scheme::Control control;
    };
    // Lines 0 and 65 of 128: the place is a hash of the line's number, the same for both.
    alignas(8192) static inline std::byte room[8192];
    Line* line[2];
    Scheme::View view[2][2];
    rl::var<int> touched[2][2], frees[2];
    void start() {
        for (unsigned s = 0; s < 2; ++s) {
            line[s] = std::construct_at(reinterpret_cast<Line*>(room + s * 65 * 64));
            frees[s]($) = 0;
            for (auto& t : touched[s]) t($) = 0;
            RL_ASSERT(Scheme::share(line[s]->control, view[s][0], view[s][1], nullptr) == 0);
        }
    }
    auto last() {
        return [this](Scheme::Control& c, bool) {
            const unsigned s = &c == &line[0]->control ? 0 : 1;
            RL_ASSERT(model::dead(c));
            frees[s]($) = frees[s]($) + 1;
            for (auto& t : touched[s]) t($) = -1;
        };
    }
    void let_go(unsigned s, unsigned i, Merge* merge) {
        touched[s][i]($) = 1;
        Scheme::release(line[s]->control, view[s][i], false, merge, last());
    }
    void over() {
        for (unsigned s = 0; s < 2; ++s) {
            RL_ASSERT(frees[s]($) == 1);
            std::destroy_at(line[s]);
        }
    }
};
struct WhatGivesWayIsGiven : rl::test_suite<WhatGivesWayIsGiven, 2> {
    Two two;
    Merge merge;
    void before() {
        two.start();
        RL_ASSERT(&merge.of(two.line[0]->control) == &merge.of(two.line[1]->control));
    }
    void thread(unsigned i) {
        two.let_go(0, i, i == 0 ? &merge : nullptr);
        two.let_go(1, i, i == 0 ? &merge : nullptr);
        if (i != 0) return;
        RL_ASSERT(merge.find(two.line[0]->control) == nullptr);
        Scheme::flush(merge, two.last());
    }
    void after() { two.over(); }
};

// R2 R4 R6: a member that leaves is held back, so the group has members until it is given.
struct AMergedLeaveAgainstAJoin : rl::test_suite<AMergedLeaveAgainstAJoin, 2> {
    model::Packet<Scheme> packet;
    Merge merge[2];
    void before() {
        packet.start();
        packet.enter(1);
    }
    void thread(unsigned i) {
        packet.touched[i]($) = 1;
        if (i == 0) {
            packet.enter(0);
            packet.leave(0, false, &merge[0]);
            packet.unpin();
        } else {
            packet.leave(1, true, &merge[1]);
        }
        Scheme::flush(merge[i], packet.empty());
    }
    void after() { packet.over(1); }
};
// R3: a member alone but for what its own thread holds back.
struct AMemberAloneButForWhatIsHeldBack : rl::test_suite<AMemberAloneButForWhatIsHeldBack, 2> {
    model::Packet<Scheme> packet;
    Merge merge;
    rl::var<int> bytes;
    void before() {
        packet.start();
        bytes($) = 7;
        packet.enter(0);
        packet.share_member(0, 2);
        packet.enter(1);
    }
    void thread(unsigned i) {
        if (i == 1) {
            RL_ASSERT(bytes($) == 7);
            packet.leave(1);
            return packet.unpin();
        }
        packet.leave(2, false, &merge);
        if (packet.sole(0, &merge)) bytes($) = 8;
        packet.leave(0, false, &merge);
        Scheme::flush(merge, packet.empty());
    }
    void after() { packet.over(); }
};

struct ASoleMemberTakesWhatIsHeldBack : rl::test_suite<ASoleMemberTakesWhatIsHeldBack, 1> {
    model::Packet<Scheme> packet;
    Merge merge;
    void before() {
        packet.start();
        packet.enter(0);
        packet.share_member(0, 2);
        packet.unpin();
    }
    void thread(unsigned) {
        packet.leave(2, false, &merge);
        RL_ASSERT(packet.sole(0, &merge) && merge.empty());
        packet.leave(0);
    }
    void after() { packet.over(); }
};

// R5: the sum is parked in the middle of what is left; the heaviest views cannot move it from there.
struct AParkedSumStaysParked : rl::test_suite<AParkedSumStaysParked, 3> {
    static constexpr uint64_t kHeaviest = uint64_t{1} << 31;
    model::Storage<Scheme> storage;
    void before() {
        storage.start(2);
        storage.view[0].weight = storage.view[1].weight = kHeaviest;
        storage.control.word.store(Scheme::kParked, sync::relaxed);
    }
    void thread(unsigned i) {
        if (i == 2) {
            const uint64_t all = storage.control.word.load(sync::relaxed) & ref::kWeightMask;
            RL_ASSERT(all >= Scheme::kStuck);
            return;
        }
        storage.let_go(i, i == 0);
    }
    void after() {
        RL_ASSERT(storage.frees($) == 0 && ref::stuck == 0);
        const uint64_t all = storage.control.word.load(sync::relaxed) & ref::kWeightMask;
        RL_ASSERT(all == Scheme::kParked);
    }
};
// R5, from the edge: a refill and a join push it over the mark, from where there is no way back.
struct TakesStopAtTheMark : rl::test_suite<TakesStopAtTheMark, 2> {
    model::Storage<Scheme> storage;
    void before() {
        storage.start(1);
        storage.view[0].weight = 1;
        storage.control.word.store(Scheme::kStuck - 1, sync::relaxed);
    }
    void thread(unsigned i) {
        bool first = true;
        if (i == 0) {
            storage.share(0, 2);
            storage.let_go(2);
        } else {
            RL_ASSERT(Scheme::join(storage.control, storage.view[3], first) == 0 && !first);
            Scheme::leave(storage.control, storage.view[3], false, nullptr, storage.last());
        }
    }
    void after() {
        RL_ASSERT(storage.frees($) == 0 && ref::stuck >= 1);
        RL_ASSERT(storage.control.word.load(sync::relaxed) == Scheme::kParked);
    }
};

// R1: what is dead is not copied and not released again; both die at the caller's door.
struct ShareOfTheDeadDies : rl::test_suite<ShareOfTheDeadDies, 1, rl::test_result_user_assert_failed> {
    Scheme::Control control;
    void thread(unsigned) {
        Scheme::View stale{1}, copy;
        static_cast<void>(Scheme::share(control, stale, copy, nullptr));
    }
};
struct ReleaseOfTheDeadDies : rl::test_suite<ReleaseOfTheDeadDies, 1, rl::test_result_user_assert_failed> {
    Scheme::Control control;
    void thread(unsigned) {
        Scheme::View stale{1};
        Scheme::release(control, stale, false, nullptr, [](Scheme::Control&, bool) {});
    }
};

#define UM_OWN(X)                                                                                      \
    X(RefillAsAnotherLeaves) X(BothRefill) X(AloneIsNotFooledByARefill) X(OneHoldsBack) X(AllHoldBack) \
    X(ARequestIsMerged) X(AloneButForWhatIsHeldBack) X(NotAloneBesideAnothersTable)                    \
    X(ARefillTakesWhatIsHeldBack) X(WhatGivesWayIsGiven) X(AMergedLeaveAgainstAJoin)                   \
    X(AMemberAloneButForWhatIsHeldBack) X(ASoleMemberTakesWhatIsHeldBack) X(AParkedSumStaysParked)     \
    X(TakesStopAtTheMark) X(ShareOfTheDeadDies) X(ReleaseOfTheDeadDies)
constexpr model::Suite kSuites[] = {
#ifdef UM_ONLY_SUITE
    UM_ROW(UM_ONLY_SUITE)
#else
    UM_VIEWS(UM_ROW) UM_GROUPS(UM_ROW) UM_OWN(UM_ROW)
#endif
};

}  // namespace

int main(int argc, char** argv) { return umbuf::model::run_suites(kSuites, argc, argv); }
