// SPDX-License-Identifier: BSD-2-Clause
// suites.h - the contract of lib/ref/scheme.h as races of two or three holders, for any scheme.
//
// Each suite names the invariants that it can break; tests/mutants holds the weakenings that each is
// known to catch. What only one scheme has is in that scheme's own file.
#pragma once
#include "tests/model/holders.h"

namespace umbuf::model {

using rl::test_suite;

// R2 R4 R7: of three holders that let go, exactly one frees, and it has seen what all of them did.
template <class S>
struct ThreeHoldersRelease : test_suite<ThreeHoldersRelease<S>, 3> {
    Storage<S> storage;
    void before() { storage.start(3); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        storage.let_go(i);
    }
    void after() { storage.over(); }
};

// R1 R7: both of two holders copy, and let both go: four views, one free.
template <class S>
struct BothShareAndRelease : test_suite<BothShareAndRelease<S>, 2> {
    Storage<S> storage;
    void before() { storage.start(2); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        storage.share(i, i + 2);
        storage.let_go(i);
        storage.let_go(i + 2);
    }
    void after() { storage.over(); }
};

// R1 R3: a holder copies, and lets both views go, while another looks whether it is alone.
template <class S>
struct ShareReleaseExclusive : test_suite<ShareReleaseExclusive<S>, 2> {
    Storage<S> storage;
    rl::var<int> bytes;
    void before() {
        storage.start(2);
        bytes($) = 7;
    }
    void thread(unsigned i) {
        if (i == 0) {
            storage.share(0, 2);
            RL_ASSERT(!storage.alone(2));
            RL_ASSERT(bytes($) == 7);  // two views are ours, so nobody writes
            storage.let_go(2);
        }
        if (storage.alone(i)) bytes($) = 8;
        storage.let_go(i);
    }
    void after() { storage.over(); }
};

// R2 R3: a holder that finds itself alone writes; those that were there before have finished reading.
template <class S>
struct AloneMayWrite : test_suite<AloneMayWrite<S>, 3> {
    Storage<S> storage;
    rl::var<int> bytes;
    void before() {
        storage.start(3);
        bytes($) = 7;
    }
    void thread(unsigned i) {
        if (i != 2) {
            RL_ASSERT(bytes($) == 7);
        } else if (storage.alone(2)) {
            bytes($) = 8;
        }
        storage.let_go(i);
    }
    void after() { storage.over(); }
};

// R3 R4: who is alone is unshared again, and may begin anew while the other is still on his way out.
template <class S>
struct AloneSharesAnew : test_suite<AloneSharesAnew<S>, 2> {
    Storage<S> storage;
    void before() { storage.start(2); }
    void thread(unsigned i) {
        if (i == 0 && storage.alone(0)) {
            storage.share(0, 2);
            RL_ASSERT(!storage.alone(0));
            storage.let_go(2);
            RL_ASSERT(storage.alone(0));
        }
        storage.let_go(i);
    }
    void after() { storage.over(); }
};

// R4: storage that was freed is taken for something else at once, while the others still return.
template <class S>
struct FreedIsUsedAgainAtOnce : test_suite<FreedIsUsedAgainAtOnce<S>, 2> {
    Storage<S> storage;
    void before() { storage.start(2); }
    void thread(unsigned i) {
        storage.let_go(i);
        if (storage.freer != i) return;
        if constexpr (kLeads<S>) {
            storage.ground.users[2].store(1, sync::relaxed);
            storage.ground.users[i].store(1, sync::relaxed);
        }
        // The freer's own view is free, too: it is a header's, which went home with it.
        storage.share(i, 2);
        if (!kLeads<S>) storage.let_go(i);
        storage.let_go(2);
        if (kLeads<S>) storage.let_go(i);
    }
    void after() {
        RL_ASSERT(storage.frees($) == 2);
        storage.clean();
    }
};

// The first share is a plain store: a queue's release and acquire must be enough to publish it.
template <class S>
struct FirstShareThroughAQueue : test_suite<FirstShareThroughAQueue<S>, 2> {
    Storage<S> storage;
    sync::atomic<uint32_t> queue{0};
    void before() { storage.start(1); }
    void thread(unsigned i) {
        if (i == 0) {
            storage.touched[0]($) = 1;
            storage.share(0, 1);
            queue.store(1, sync::release);
            storage.let_go(0);
        } else if (queue.load(sync::acquire) == 1) {
            storage.touched[1]($) = static_cast<int>(storage.touched[0]($)) + 1;
            queue.store(0, sync::relaxed);  // taken
            storage.let_go(1);
        }
    }
    void after() {
        if (queue.load(sync::relaxed) == 1) storage.let_go(1);  // nobody took it
        storage.over();
    }
};

// R6: two of three holders ask for zeroing; whoever frees knows it, once.
template <class S>
struct ZeroRequestReachesTheLast : test_suite<ZeroRequestReachesTheLast<S>, 3> {
    Storage<S> storage;
    void before() { storage.start(3); }
    void thread(unsigned i) { storage.let_go(i, i != 2); }
    void after() { storage.over(1); }
};

// R6: the asker leaves; who then finds himself alone is told so, or whoever frees is.
template <class S>
struct ZeroRequestReachesTheExclusive : test_suite<ZeroRequestReachesTheExclusive<S>, 2> {
    Storage<S> storage;
    void before() { storage.start(2); }
    void thread(unsigned i) {
        if (i == 1) return storage.let_go(1, true);
        bool zero = false;
        if (storage.alone(0, &zero)) RL_ASSERT(zero);
        storage.let_go(0, zero);
    }
    void after() { storage.over(1); }
};

// ---- groups that are joined from outside

// R2 R4 R7: the owner joins and leaves, and frees its header, while the last member leaves.
template <class S>
struct OwnerJoinsAsTheLastLeaves : test_suite<OwnerJoinsAsTheLastLeaves<S>, 2> {
    Packet<S> packet;
    void before() {
        packet.start();
        packet.enter(1);
        RL_ASSERT(packet.pins.load(sync::relaxed) == 2);
    }
    void thread(unsigned i) {
        packet.touched[i]($) = 1;
        if (i == 0) {
            packet.enter(0);
            packet.leave(0);
            packet.unpin();
        } else {
            packet.leave(1);
        }
    }
    void after() { packet.over(); }
};

// The same, and the last member wants the bytes zeroed; so does the owner, who makes a group anew.
template <class S>
struct GroupsThatFollowKeepTheirRequests : test_suite<GroupsThatFollowKeepTheirRequests<S>, 2> {
    Packet<S> packet;
    void before() {
        packet.start();
        packet.enter(1);
    }
    void thread(unsigned i) {
        if (i == 1) return packet.leave(1, true);
        packet.enter(0);
        packet.leave(0, true);
        packet.unpin();
    }
    void after() { packet.over(1); }
};

// R6 R4: only the old group asks, and nothing of that is left for who uses the control next.
template <class S>
struct ARequestEndsWithItsGroup : test_suite<ARequestEndsWithItsGroup<S>, 2> {
    Packet<S> packet;
    void before() {
        packet.start();
        packet.enter(1);
    }
    void thread(unsigned i) {
        if (i == 1) return packet.leave(1, true);
        packet.enter(0);
        packet.leave(0);
        packet.unpin();
    }
    void after() { packet.over(1); }
};

// R6: the new group has two members, of which the first asks, while the old group's last goes.
template <class S>
struct ANewGroupsRequestSurvivesTheOldOnesEnd : test_suite<ANewGroupsRequestSurvivesTheOldOnesEnd<S>, 2> {
    Packet<S> packet;
    void before() {
        packet.start();
        packet.enter(1);
    }
    void thread(unsigned i) {
        if (i == 1) return packet.leave(1, true);
        packet.enter(0);
        packet.share_member(0, 2);
        packet.leave(0, true);
        packet.leave(2);
        packet.unpin();
    }
    void after() { packet.over(1); }
};

// R1 R2 R4: a member copies and both leave; the owner makes one more, and its header goes first, as
// when a driver frees it.
template <class S>
struct MembersShareAndLeave : test_suite<MembersShareAndLeave<S>, 3> {
    Packet<S> packet;
    void before() {
        packet.start();
        packet.enter(0);
        packet.share_member(0, 1);
    }
    void thread(unsigned i) {
        packet.touched[i]($) = 1;
        if (i != 2) return packet.leave(i);
        packet.enter(2);
        packet.unpin();
        packet.leave(2);
    }
    void after() { packet.over(); }
};

// R2: m_writable() of a received packet asks the pins alone: 1 says that no copy is left, and what
// the copies' readers did is behind us.
template <class S>
struct OwnerWritesWhenTheGroupIsGone : test_suite<OwnerWritesWhenTheGroupIsGone<S>, 2> {
    Packet<S> packet;
    rl::var<int> bytes;
    void before() {
        packet.start();
        bytes($) = 7;
        packet.enter(1);
    }
    void thread(unsigned i) {
        if (i == 0) {
            if (packet.pins.load(sync::acquire) == 1) bytes($) = 8;
            packet.unpin();
        } else {
            RL_ASSERT(bytes($) == 7);
            packet.leave(1);
        }
    }
    void after() { packet.over(); }
};

// R2 R3: m_writable() of a copy asks both: no header (pins 1), and no other copy.
template <class S>
struct CopyWritesWhenAlone : test_suite<CopyWritesWhenAlone<S>, 3> {
    Packet<S> packet;
    rl::var<int> bytes;
    void before() {
        packet.start();
        bytes($) = 7;
        packet.enter(0);
        packet.enter(1);
    }
    void thread(unsigned i) {
        if (i == 2) {
            RL_ASSERT(bytes($) == 7);
            return packet.unpin();  // the header goes
        }
        if (i == 0) {
            RL_ASSERT(bytes($) == 7);
        } else if (packet.sole(1)) {
            bytes($) = 8;
        }
        packet.leave(i);
    }
    void after() { packet.over(); }
};

// SaturatedForGood, TakesStopAtTheMark - R5 for a control that is a CountOf.
template <class S>
struct SaturatedForGood : test_suite<SaturatedForGood<S>, 2> {
    using Count = typename S::Control;
    Storage<S> storage;
    void before() {
        storage.start(2);
        storage.control.n.store(Count::kParked, sync::relaxed);
    }
    void thread(unsigned i) {
        if (i == 0) {
            storage.share(0, 2);
            storage.let_go(2);
        } else {
            bool first = true;
            RL_ASSERT(S::join(storage.control, storage.view[3], first) == 0 && !first);
            S::leave(storage.control, storage.view[3], false, nullptr, storage.last());
        }
        RL_ASSERT(!storage.alone(i));
        storage.let_go(i);
    }
    void after() {
        RL_ASSERT(storage.frees($) == 0 && ref::stuck == 0);
        RL_ASSERT(storage.control.n.load(sync::relaxed) == Count::kParked);
        RL_ASSERT(storage.control.outstanding() == ref::kStuckCount);
    }
};
// From the edge: two takes and a release. Once over the mark there is no way back, and it is counted.
template <class S>
struct TakesStopAtTheMark : test_suite<TakesStopAtTheMark<S>, 2> {
    using Count = typename S::Control;
    Storage<S> storage;
    void before() {
        storage.start(2);
        storage.control.n.store(Count::kSaturated - 1, sync::relaxed);
    }
    void thread(unsigned i) {
        bool first = true;
        if (i == 0) storage.share(0, 2);
        if (i == 1) RL_ASSERT(S::join(storage.control, storage.view[3], first) == 0 && !first);
        storage.let_go(i);
    }
    void after() {
        RL_ASSERT(storage.frees($) == 0 && ref::stuck >= 1);
        RL_ASSERT(storage.control.n.load(sync::relaxed) == Count::kParked);
    }
};

}  // namespace umbuf::model

// The list of a program: UM_CONTRACT names what every scheme must pass. Each name becomes the suite of
// the program's own Scheme; scripts/mutants compiles just one of them (UM_ONLY_SUITE).
#define UM_VIEWS(X)            \
    X(ThreeHoldersRelease)     \
    X(BothShareAndRelease)     \
    X(ShareReleaseExclusive)   \
    X(AloneMayWrite)           \
    X(AloneSharesAnew)         \
    X(FreedIsUsedAgainAtOnce)  \
    X(FirstShareThroughAQueue) \
    X(ZeroRequestReachesTheLast) \
    X(ZeroRequestReachesTheExclusive)
#define UM_GROUPS(X)                    \
    X(OwnerJoinsAsTheLastLeaves)        \
    X(GroupsThatFollowKeepTheirRequests) \
    X(ARequestEndsWithItsGroup)         \
    X(ANewGroupsRequestSurvivesTheOldOnesEnd) \
    X(MembersShareAndLeave)             \
    X(OwnerWritesWhenTheGroupIsGone)    \
    X(CopyWritesWhenAlone)
#define UM_OF_SCHEME(name) using name = umbuf::model::name<Scheme>;
#define UM_ROW(name) umbuf::model::Suite{UM_TEXT(name), &umbuf::model::explore<name>},
// How much of a suite that explodes is explored (model.h); outside of the program's namespace.
#define UM_SWITCHES(name, n) \
    template <>              \
    inline constexpr unsigned umbuf::model::kSwitches<name> = n;
