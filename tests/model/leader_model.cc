// SPDX-License-Identifier: BSD-2-Clause
// leader_model.cc - ref::Leader, as shipped: the contract, and leaders that let their storage go.
//
// Holder 0 leads. Its mbuf has a count (users), 1 for its user and 1 while it is followed.
#include "tests/model/suites.h"

namespace {

using namespace umbuf;
using Scheme = model::Leader;
UM_VIEWS(UM_OF_SCHEME)
UM_GROUPS(UM_OF_SCHEME)

// Replaced - a leader that takes other storage: `control` is the old one's, `fresh` the new one's.
struct Replaced : model::Storage<Scheme> {
    Scheme::Control fresh;
    rl::var<int> fresh_frees;
    void start(unsigned n) {
        model::Storage<Scheme>::start(n);
        fresh_frees($) = 0;
    }
    void replace(bool zero = false) { Scheme::detach(control, view[0], zero, nullptr, last()); }
    auto fresh_last() {
        return [this](Scheme::Control& c, bool zero) {
            RL_ASSERT(&c == &fresh && !zero);
            fresh_frees($) = fresh_frees($) + 1;
        };
    }
    // leave - the user of the leader's mbuf frees it; with other storage in it, or with none.
    bool leave() { return ground.users[0].fetch_sub(1, sync::acq_rel) == 1; }
    void over(int zeroings = 0) {
        RL_ASSERT(frees($) == 1 && zeroed($) == zeroings);
        RL_ASSERT(ground.users[0].load(sync::relaxed) == 1);  // no pin is left
        clean();
    }
};

// R2 R7: the leader takes other storage while the last follower leaves: one of the two frees.
struct TheLeaderDetachesAsTheLastFollowerLeaves
    : rl::test_suite<TheLeaderDetachesAsTheLastFollowerLeaves, 2> {
    Replaced storage;
    void before() { storage.start(2); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (i == 0) storage.replace();
        else storage.let_go(1);
    }
    void after() { storage.over(); }
};
// R6: the same, and the leader wants it zeroed; its next storage is not what it meant.
struct ADetachTakesItsRequestAlong : rl::test_suite<ADetachTakesItsRequestAlong, 2> {
    Replaced storage;
    void before() { storage.start(2); }
    void thread(unsigned i) {
        if (i == 0) storage.replace(true);
        else storage.let_go(1);
    }
    void after() { storage.over(1); }
};
struct ADetachedGroupKeepsAFollowersRequest : rl::test_suite<ADetachedGroupKeepsAFollowersRequest, 3> {
    Replaced storage;
    void before() { storage.start(3); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (i == 0) storage.replace();
        else storage.let_go(i, i == 1);
    }
    void after() { storage.over(1); }
};
// R1: the leader that has detached frees its mbuf, too; the count in it lives as long as the group.
struct TheLeadersMbufGoesAfterADetach : rl::test_suite<TheLeadersMbufGoesAfterADetach, 3> {
    Replaced storage;
    void before() { storage.start(3); }
    void thread(unsigned i) {
        if (i != 0) return storage.let_go(i);
        storage.replace();
        if (storage.leave()) RL_ASSERT(model::unshared(storage.view[0]));
    }
    void after() {
        RL_ASSERT(storage.ground.users[0].load(sync::relaxed) == 0);
        RL_ASSERT(storage.frees($) >= 1);
        storage.clean();
    }
};
// Storage that a leader has besides the group that it houses was never shared. It is its own to
// free and to write, and cannot be shared while the count of the old one is in the way.
struct TheNewStorageIsTheLeadersAlone : rl::test_suite<TheNewStorageIsTheLeadersAlone, 2> {
    Replaced storage;
    void before() {
        storage.start(2);
        storage.replace();
    }
    void thread(unsigned i) {
        if (i == 1) return storage.let_go(1);
        const bool alone = model::unshared(storage.view[0]) ||
                           Scheme::exclusive(storage.fresh, storage.view[0], nullptr) != ref::Alone::no;
        RL_ASSERT(alone);
        if (Scheme::share(storage.fresh, storage.view[0], storage.view[2], nullptr) == 0) {
            RL_ASSERT(Scheme::exclusive(storage.fresh, storage.view[0], nullptr) == ref::Alone::no);
            Scheme::release(storage.fresh, storage.view[2], false, nullptr, storage.fresh_last());
            RL_ASSERT(Scheme::exclusive(storage.fresh, storage.view[0], nullptr) == ref::Alone::yes);
        }
    }
    void after() {
        RL_ASSERT(storage.fresh_frees($) == 0);
        storage.over();
    }
};
// ... and when it lets that storage go as well, it is freed, whatever the old group does meanwhile.
struct ADetachOfTheNewStorageFreesIt : rl::test_suite<ADetachOfTheNewStorageFreesIt, 2> {
    Replaced storage;
    void before() {
        storage.start(2);
        storage.replace();
    }
    void thread(unsigned i) {
        if (i == 1) return storage.let_go(1, true);
        if (model::unshared(storage.view[0])) storage.fresh_last()(storage.fresh, false);
        else Scheme::detach(storage.fresh, storage.view[0], false, nullptr, storage.fresh_last());
        if (Scheme::share(storage.fresh, storage.view[0], storage.view[2], nullptr) != 0) return;
        Scheme::release(storage.fresh, storage.view[2], false, nullptr, storage.fresh_last());
        RL_ASSERT(Scheme::exclusive(storage.fresh, storage.view[0], nullptr) == ref::Alone::yes);
    }
    void after() {
        RL_ASSERT(storage.fresh_frees($) == 1);
        storage.over(1);
    }
};
// R2 R3: the leader writes when its follower is gone, who has finished reading.
struct ALeaderMayWriteWhenItsFollowerIsGone : rl::test_suite<ALeaderMayWriteWhenItsFollowerIsGone, 2> {
    model::Storage<Scheme> storage;
    rl::var<int> bytes;
    void before() {
        storage.start(2);
        bytes($) = 7;
    }
    void thread(unsigned i) {
        if (i != 0) RL_ASSERT(bytes($) == 7);
        else if (storage.alone(0)) bytes($) = 8;
        storage.let_go(i);
    }
    void after() { storage.over(); }
};
// R3: a follower is alone when the leader is without the storage, and no other follows.
struct AFollowerOfADetachedLeaderMayWrite : rl::test_suite<AFollowerOfADetachedLeaderMayWrite, 3> {
    Replaced storage;
    rl::var<int> bytes;
    void before() {
        storage.start(3);
        bytes($) = 7;
    }
    void thread(unsigned i) {
        if (i == 0) {
            RL_ASSERT(bytes($) == 7);
            return storage.replace();
        }
        if (i == 1) RL_ASSERT(bytes($) == 7);
        else if (storage.alone(2)) bytes($) = 8;
        storage.let_go(i);
    }
    void after() { storage.over(); }
};
// R3: the leader makes one more copy, hands it over and goes: between two looks of a follower.
struct AFollowerAgainstALivingLeadersShare : rl::test_suite<AFollowerAgainstALivingLeadersShare, 2> {
    model::Storage<Scheme> storage;
    rl::var<int> bytes;
    void before() {
        storage.start(2);
        bytes($) = 7;
    }
    void thread(unsigned i) {
        if (i == 0) {
            storage.share(0, 2);
            storage.let_go(0);
            RL_ASSERT(bytes($) == 7);
            return storage.let_go(2);
        }
        if (storage.alone(1)) bytes($) = 8;
        storage.let_go(1);
    }
    void after() { storage.over(); }
};
// R1: the leader's mbuf is freed while one follower copies and another leaves.
struct TheLeaderGoesAsAFollowerShares : rl::test_suite<TheLeaderGoesAsAFollowerShares, 3> {
    model::Storage<Scheme> storage;
    void before() { storage.start(3); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (i == 1) {
            storage.share(1, 3);
            storage.let_go(3);
        }
        storage.let_go(i, i == 0);
    }
    void after() { storage.over(1); }
};
// R1: the leader is followed anew while its last follower is still to undo the pin.
struct TheLeaderSharesAsTheLastFollowerLeaves : rl::test_suite<TheLeaderSharesAsTheLastFollowerLeaves, 2> {
    model::Storage<Scheme> storage;
    void before() { storage.start(2); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (i == 0) {
            storage.share(0, 2);
            storage.let_go(0);
            return storage.let_go(2);
        }
        storage.let_go(1);
    }
    void after() { storage.over(); }
};

// R1: followers of a leader that has none die at the caller's door.
struct ShareOfTheDeadDies : rl::test_suite<ShareOfTheDeadDies, 1, rl::test_result_user_assert_failed> {
    model::Storage<Scheme> storage;
    void before() {
        storage.start(2);
        storage.let_go(1);
    }
    void thread(unsigned) {
        storage.view[1].word.store(reinterpret_cast<uintptr_t>(&storage.view[0]), sync::relaxed);
        storage.share(1, 2);
    }
};
struct ReleaseOfTheDeadDies : rl::test_suite<ReleaseOfTheDeadDies, 1, rl::test_result_user_assert_failed> {
    model::Storage<Scheme> storage;
    void before() {
        storage.start(2);
        storage.let_go(1);
    }
    void thread(unsigned) {
        storage.view[1].word.store(reinterpret_cast<uintptr_t>(&storage.view[0]), sync::relaxed);
        storage.end(1, false);
    }
};
struct TheLeaderIsNotReleasedBeforeItsFollowers
    : rl::test_suite<TheLeaderIsNotReleasedBeforeItsFollowers, 1, rl::test_result_user_assert_failed> {
    model::Storage<Scheme> storage;
    void before() { storage.start(2); }
    void thread(unsigned) { storage.end(0, false); }
};

}  // namespace

UM_SWITCHES(AloneMayWrite, 6)
UM_SWITCHES(ZeroRequestReachesTheLast, 6)
UM_SWITCHES(BothShareAndRelease, 6)
UM_SWITCHES(ShareReleaseExclusive, 6)
UM_SWITCHES(ADetachedGroupKeepsAFollowersRequest, 5)
UM_SWITCHES(TheLeadersMbufGoesAfterADetach, 5)
UM_SWITCHES(AFollowerOfADetachedLeaderMayWrite, 5)
UM_SWITCHES(TheLeaderGoesAsAFollowerShares, 5)

namespace {

#define UM_OWN(X)                                                                             \
    X(TheLeaderDetachesAsTheLastFollowerLeaves) X(ADetachTakesItsRequestAlong)                \
    X(ADetachedGroupKeepsAFollowersRequest) X(TheLeadersMbufGoesAfterADetach)                 \
    X(TheNewStorageIsTheLeadersAlone) X(ADetachOfTheNewStorageFreesIt)                        \
    X(ALeaderMayWriteWhenItsFollowerIsGone) X(AFollowerOfADetachedLeaderMayWrite)             \
    X(AFollowerAgainstALivingLeadersShare) X(TheLeaderGoesAsAFollowerShares)                  \
    X(TheLeaderSharesAsTheLastFollowerLeaves) X(ShareOfTheDeadDies) X(ReleaseOfTheDeadDies)   \
    X(TheLeaderIsNotReleasedBeforeItsFollowers)
constexpr model::Suite kSuites[] = {
#ifdef UM_ONLY_SUITE
    UM_ROW(UM_ONLY_SUITE)
#else
    UM_VIEWS(UM_ROW) UM_GROUPS(UM_ROW) UM_OWN(UM_ROW)
#endif
};

}  // namespace

int main(int argc, char** argv) { return umbuf::model::run_suites(kSuites, argc, argv); }
