// SPDX-License-Identifier: BSD-2-Clause
// intrusive_model.cc - every interleaving of a few holders of one storage, under ref::Intrusive.
//
// The header is the shipped one, unchanged. Each suite names the invariants (lib/ref/scheme.h) that
// it can break; tests/mutants holds the weakenings that each is known to catch.
#include "tests/model/model.h"

#include "lib/ref/intrusive.h"

namespace {

using umbuf::ref::Intrusive;
namespace sync = umbuf::sync;

// What the tests hold in common: storage under a control, its plain memory, and who freed it.
struct Storage {
    Intrusive::Control control;
    rl::var<int> touched[3];  // by holder: plain memory, so that an unordered access is a race
    rl::var<int> frees;

    void reset() {
        for (auto& t : touched) t($) = 0;
        frees($) = 0;
    }
    // start - n views, weights in `weight`, all made from the one that was never shared.
    template <size_t N>
    void start(uint32_t (&weight)[N]) {
        reset();
        weight[0] = 0;
        for (size_t i = 1; i < N; ++i) RL_ASSERT(Intrusive::share(control, weight[0], weight[i]) == 0);
    }
    // freed - what a zone does with the storage: it must be alone with it (R2), and once.
    void freed() {
        frees($) = frees($) + 1;
        for (auto& t : touched) t($) = -1;
    }
    void let_go(uint32_t weight) {
        if (Intrusive::release(control, weight)) freed();
    }
    [[nodiscard]] bool is_dead() const {  // R4
        return control.count.load(sync::relaxed) == 0 && Intrusive::audit(control, 0);
    }
};

// R1 R2 R4: of three holders that let go, exactly one frees, and it has seen what all of them did.
struct ThreeHoldersRelease : rl::test_suite<ThreeHoldersRelease, 3> {
    Storage storage;
    uint32_t weight[3];
    void before() { storage.start(weight); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (!Intrusive::release(storage.control, weight[i])) return;
        for (auto& t : storage.touched) RL_ASSERT(t($) == 1);
        storage.freed();
    }
    void after() { RL_ASSERT(storage.frees($) == 1 && storage.is_dead()); }
};

// R1 R3: a holder copies, and lets both views go, while another looks whether it is alone.
struct ShareReleaseExclusive : rl::test_suite<ShareReleaseExclusive, 2> {
    Storage storage;
    uint32_t weight[2];
    rl::var<int> bytes;
    void before() {
        storage.start(weight);
        bytes($) = 7;
    }
    void thread(unsigned i) {
        if (i == 0) {
            uint32_t copy = 0;
            RL_ASSERT(Intrusive::share(storage.control, weight[0], copy) == 0);
            RL_ASSERT(!Intrusive::exclusive(storage.control, copy));
            RL_ASSERT(bytes($) == 7);  // two views are ours, so nobody writes
            storage.let_go(copy);
        }
        if (Intrusive::exclusive(storage.control, weight[i])) bytes($) = 8;
        storage.let_go(weight[i]);
    }
    void after() { RL_ASSERT(storage.frees($) == 1 && storage.is_dead()); }
};

// R2 R3: a holder that finds itself alone writes; those that were there before have finished reading.
struct AloneMayWrite : rl::test_suite<AloneMayWrite, 3> {
    Storage storage;
    uint32_t weight[3];
    rl::var<int> bytes;
    void before() {
        storage.start(weight);
        bytes($) = 7;
    }
    void thread(unsigned i) {
        if (i != 2) {
            RL_ASSERT(bytes($) == 7);
        } else if (Intrusive::exclusive(storage.control, weight[2])) {
            bytes($) = 8;
        }
        storage.let_go(weight[i]);
    }
    void after() { RL_ASSERT(storage.frees($) == 1 && storage.is_dead()); }
};

// The first share is a plain store: a queue's release and acquire must be enough to publish it.
struct FirstShareThroughAQueue : rl::test_suite<FirstShareThroughAQueue, 2> {
    Storage storage;
    sync::atomic<uint32_t> queue{0};
    uint32_t weight, copy;
    void before() {
        storage.reset();
        weight = copy = 0;
        queue.store(0, sync::relaxed);
        RL_ASSERT(Intrusive::exclusive(storage.control, weight));  // never shared: nothing to look at
    }
    void thread(unsigned i) {
        if (i == 0) {
            storage.touched[0]($) = 1;
            RL_ASSERT(Intrusive::share(storage.control, weight, copy) == 0);
            queue.store(1, sync::release);
            storage.let_go(weight);
        } else if (queue.load(sync::acquire) == 1) {
            storage.touched[1]($) = static_cast<int>(storage.touched[0]($)) + 1;
            queue.store(0, sync::relaxed);  // taken
            storage.let_go(copy);
        }
    }
    void after() {
        if (queue.load(sync::relaxed) == 1) storage.let_go(copy);  // nobody took it
        RL_ASSERT(storage.frees($) == 1 && storage.is_dead());
    }
};

// A view that was never shared is freed without a look at the count, dead or not.
struct NeverShared : rl::test_suite<NeverShared, 1> {
    Storage storage;
    void before() { storage.reset(); }
    void thread(unsigned) {
        RL_ASSERT(Intrusive::exclusive(storage.control, 0));
        RL_ASSERT(Intrusive::release(storage.control, 0));
        RL_ASSERT(storage.is_dead());
    }
};

// R6: two of three holders ask for zeroing before they let go; whoever frees knows it, every time.
struct ZeroizeReachesTheLast : rl::test_suite<ZeroizeReachesTheLast, 3> {
    Storage storage;
    uint32_t weight[3];
    rl::var<int> zeroed;
    void before() {
        storage.start(weight);
        zeroed($) = 0;
    }
    void thread(unsigned i) {
        if (i != 2) Intrusive::zeroize(storage.control, weight[i]);
        if (!Intrusive::release(storage.control, weight[i])) return;
        zeroed($) = Intrusive::zero_wanted(storage.control) ? 1 : 0;
        storage.freed();
    }
    void after() {
        RL_ASSERT(zeroed($) == 1 && storage.frees($) == 1 && storage.is_dead());
        RL_ASSERT(!Intrusive::zero_wanted(storage.control));  // the next user did not ask
    }
};

// A packet's cluster, as lib/mbuf/ext.h keeps it: the header pins it from outside the group, and
// the group, while it has members, holds one pin more.
struct PinnedStorage : Storage {
    sync::atomic<uint32_t> pins{0};

    void unpin() {
        if (pins.fetch_sub(1, sync::acq_rel) == 1) freed();
    }
    void enter(uint32_t& weight) {
        if (Intrusive::join(control, weight)) pins.fetch_add(1, sync::relaxed);
    }
    void leave(uint32_t weight) {
        if (Intrusive::leave(control, weight)) unpin();
    }
};

// R1 R2 R4: the owner joins and leaves, and frees its header, while the last member leaves.
struct OwnerJoinsAsTheLastLeaves : rl::test_suite<OwnerJoinsAsTheLastLeaves, 2> {
    PinnedStorage storage;
    uint32_t member;
    void before() {
        storage.reset();
        storage.pins.store(1, sync::relaxed);
        storage.enter(member);
        RL_ASSERT(storage.pins.load(sync::relaxed) == 2);
    }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (i == 0) {
            uint32_t mine = 0;
            storage.enter(mine);
            storage.leave(mine);
            storage.unpin();
        } else {
            storage.leave(member);
        }
    }
    void after() {
        RL_ASSERT(storage.frees($) == 1 && storage.is_dead());
        RL_ASSERT(storage.pins.load(sync::relaxed) == 0);
    }
};

// The same with a member that copies: views shared from a joined one leave, they do not release.
struct MembersShareAndLeave : rl::test_suite<MembersShareAndLeave, 3> {
    PinnedStorage storage;
    uint32_t member[2];
    void before() {
        storage.reset();
        storage.pins.store(1, sync::relaxed);
        storage.enter(member[0]);
        RL_ASSERT(Intrusive::share(storage.control, member[0], member[1]) == 0);
    }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (i == 2) {
            uint32_t mine = 0;
            storage.enter(mine);
            storage.unpin();  // the header goes first, as when a driver frees it
            storage.leave(mine);
        } else {
            storage.leave(member[i]);
        }
    }
    void after() {
        RL_ASSERT(storage.frees($) == 1 && storage.is_dead());
        RL_ASSERT(storage.pins.load(sync::relaxed) == 0);
    }
};

// R2: m_writable() of a received packet asks the pins alone: 1 says that no copy is left, and what
// the copies' readers did is behind us.
struct OwnerWritesWhenTheGroupIsGone : rl::test_suite<OwnerWritesWhenTheGroupIsGone, 2> {
    PinnedStorage storage;
    uint32_t member;
    rl::var<int> bytes;
    void before() {
        storage.reset();
        bytes($) = 7;
        storage.pins.store(1, sync::relaxed);
        storage.enter(member);
    }
    void thread(unsigned i) {
        if (i == 0) {
            if (storage.pins.load(sync::acquire) == 1) bytes($) = 8;
            storage.unpin();
        } else {
            RL_ASSERT(bytes($) == 7);
            storage.leave(member);
        }
    }
    void after() { RL_ASSERT(storage.frees($) == 1 && storage.is_dead()); }
};

// R2 R3: m_writable() of a copy asks both: no header (pins 1), and no other copy.
struct CopyWritesWhenAlone : rl::test_suite<CopyWritesWhenAlone, 3> {
    PinnedStorage storage;
    uint32_t member[2];
    rl::var<int> bytes;
    void before() {
        storage.reset();
        bytes($) = 7;
        storage.pins.store(1, sync::relaxed);
        storage.enter(member[0]);
        storage.enter(member[1]);
    }
    void thread(unsigned i) {
        if (i == 2) {
            RL_ASSERT(bytes($) == 7);
            return storage.unpin();  // the header goes
        }
        if (i == 0) {
            RL_ASSERT(bytes($) == 7);
        } else if (storage.pins.load(sync::acquire) == 1 &&
                   Intrusive::exclusive(storage.control, member[1])) {
            bytes($) = 8;
        }
        storage.leave(member[i]);
    }
    void after() { RL_ASSERT(storage.frees($) == 1 && storage.is_dead()); }
};

// R5: from kSaturated on nothing frees and nothing moves the count for good, whoever comes and goes.
struct SaturatedForGood : rl::test_suite<SaturatedForGood, 2> {
    Storage storage;
    void before() {
        storage.reset();
        storage.control.count.store(Intrusive::kSaturated, sync::relaxed);
    }
    void thread(unsigned i) {
        uint32_t mine = 1, copy = 0;
        if (i == 0) {
            RL_ASSERT(Intrusive::share(storage.control, mine, copy) == 0);
            RL_ASSERT(!Intrusive::release(storage.control, copy));
        } else {
            RL_ASSERT(!Intrusive::join(storage.control, copy));
            RL_ASSERT(!Intrusive::leave(storage.control, copy));
        }
        RL_ASSERT(!Intrusive::exclusive(storage.control, mine));
    }
    void after() {
        RL_ASSERT(storage.control.count.load(sync::relaxed) == Intrusive::kSaturated);
        RL_ASSERT(Intrusive::audit(storage.control, 3));  // what is stuck is not an error of the count
    }
};

// R5, from the edge: two takes, then nothing is given back; each must pull the count to the mark.
struct TakesStopAtTheMark : rl::test_suite<TakesStopAtTheMark, 2> {
    Storage storage;
    void before() { storage.control.count.store(Intrusive::kSaturated, sync::relaxed); }
    void thread(unsigned i) {
        uint32_t mine = 1, copy = 0;
        if (i == 0) RL_ASSERT(Intrusive::share(storage.control, mine, copy) == 0);
        if (i == 1) RL_ASSERT(!Intrusive::join(storage.control, copy));
    }
    void after() {
        RL_ASSERT(storage.control.count.load(sync::relaxed) == Intrusive::kSaturated);
    }
};

// R1: what is dead is not copied and not released again; both die at the caller's door.
using rl::test_result_user_assert_failed;
struct ShareOfTheDeadDies : rl::test_suite<ShareOfTheDeadDies, 1, test_result_user_assert_failed> {
    Intrusive::Control control;
    void thread(unsigned) {
        uint32_t stale = 1, copy = 0;
        static_cast<void>(Intrusive::share(control, stale, copy));
    }
};
struct ReleaseOfTheDeadDies : rl::test_suite<ReleaseOfTheDeadDies, 1, test_result_user_assert_failed> {
    Intrusive::Control control;
    void thread(unsigned) { static_cast<void>(Intrusive::release(control, 1)); }
};

using umbuf::model::explore;
using umbuf::model::Suite;
#define SUITE(name) Suite{UM_TEXT(name), &explore<name>}
constexpr Suite kSuites[] = {
#ifdef UM_ONLY_SUITE  // scripts/mutants needs one of them, and a quarter of the compiler's time
    SUITE(UM_ONLY_SUITE),
#else
    SUITE(ThreeHoldersRelease),
    SUITE(ShareReleaseExclusive),
    SUITE(AloneMayWrite),
    SUITE(FirstShareThroughAQueue),
    SUITE(NeverShared),
    SUITE(ZeroizeReachesTheLast),
    SUITE(OwnerJoinsAsTheLastLeaves),
    SUITE(MembersShareAndLeave),
    SUITE(OwnerWritesWhenTheGroupIsGone),
    SUITE(CopyWritesWhenAlone),
    SUITE(SaturatedForGood),
    SUITE(TakesStopAtTheMark),
    SUITE(ShareOfTheDeadDies),
    SUITE(ReleaseOfTheDeadDies),
#endif
};

}  // namespace

int main(int argc, char** argv) { return umbuf::model::run_suites(kSuites, argc, argv); }
