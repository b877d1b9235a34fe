// SPDX-License-Identifier: BSD-2-Clause
// list_model.cc - ref::List, as shipped: the contract, longer rings, and the dead.
#include "tests/model/suites.h"

namespace {

using namespace umbuf;
using Scheme = model::List;
UM_VIEWS(UM_OF_SCHEME)
UM_GROUPS(UM_OF_SCHEME)

// The middle of a ring of three goes while its neighbours do: no link is left to who is gone.
struct NeighboursLeaveAtOnce : rl::test_suite<NeighboursLeaveAtOnce, 3> {
    model::Storage<Scheme> storage;
    void before() { storage.start(3); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        if (i == 1) {
            storage.share(1, 3);
            storage.let_go(1);
            return storage.let_go(3);
        }
        storage.let_go(i);
    }
    void after() { storage.over(); }
};
// The head of a joined group leaves while the owner joins behind it.
struct TheHeadLeavesAsTheOwnerJoins : rl::test_suite<TheHeadLeavesAsTheOwnerJoins, 3> {
    model::Packet<Scheme> packet;
    void before() {
        packet.start();
        packet.enter(1);
        packet.share_member(1, 2);
    }
    void thread(unsigned i) {
        packet.touched[i]($) = 1;
        if (i != 0) return packet.leave(i);
        packet.enter(0);
        packet.enter(3);
        packet.leave(0);
        packet.unpin();
        packet.leave(3);
    }
    void after() { packet.over(); }
};
// R1: who is in no ring cannot leave one.
struct ReleaseOfTheDeadDies : rl::test_suite<ReleaseOfTheDeadDies, 1, rl::test_result_user_assert_failed> {
    model::Storage<Scheme> storage;
    void before() { storage.start(1); }
    void thread(unsigned) {
        Scheme::release(storage.control, storage.view[0], false, nullptr, storage.last());
    }
};
}  // namespace

UM_SWITCHES(BothShareAndRelease, 4)
UM_SWITCHES(ShareReleaseExclusive, 4)
UM_SWITCHES(ThreeHoldersRelease, 3)
UM_SWITCHES(AloneMayWrite, 3)
UM_SWITCHES(ZeroRequestReachesTheLast, 3)
UM_SWITCHES(MembersShareAndLeave, 3)
UM_SWITCHES(NeighboursLeaveAtOnce, 2)
UM_SWITCHES(ANewGroupsRequestSurvivesTheOldOnesEnd, 4)
UM_SWITCHES(TheHeadLeavesAsTheOwnerJoins, 2)

namespace {

#define UM_OWN(X) X(NeighboursLeaveAtOnce) X(TheHeadLeavesAsTheOwnerJoins) X(ReleaseOfTheDeadDies)

constexpr model::Suite kSuites[] = {
#ifdef UM_ONLY_SUITE
    UM_ROW(UM_ONLY_SUITE)
#else
    UM_VIEWS(UM_ROW) UM_GROUPS(UM_ROW) UM_OWN(UM_ROW)
#endif
};

}  // namespace

int main(int argc, char** argv) { return umbuf::model::run_suites(kSuites, argc, argv); }
