// SPDX-License-Identifier: BSD-2-Clause
// intrusive_model.cc - ref::Intrusive, as shipped: the contract, a saturated count, and the dead.
#include "tests/model/suites.h"

namespace {

using namespace umbuf;
using Scheme = model::Intrusive;
UM_VIEWS(UM_OF_SCHEME)
UM_GROUPS(UM_OF_SCHEME)
UM_OF_SCHEME(SaturatedForGood)
UM_OF_SCHEME(TakesStopAtTheMark)

// R5: the count is parked in the middle of what is left; who comes and goes cannot move it from there,
// also while one of them is between his change and the store that takes it back.
struct AParkedCountStaysParked : rl::test_suite<AParkedCountStaysParked, 3> {
    model::Storage<Scheme> storage;
    void before() {
        storage.start(2);
        storage.control.n.store(Scheme::Control::kParked, sync::relaxed);
    }
    void thread(unsigned i) {
        if (i != 2) return storage.let_go(i);
        RL_ASSERT(storage.control.n.load(sync::relaxed) >= Scheme::Control::kSaturated);
    }
    void after() { RL_ASSERT(storage.control.n.load(sync::relaxed) == Scheme::Control::kParked); }
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

constexpr model::Suite kSuites[] = {
#ifdef UM_ONLY_SUITE
    UM_ROW(UM_ONLY_SUITE)
#else
    UM_VIEWS(UM_ROW) UM_GROUPS(UM_ROW) UM_ROW(SaturatedForGood) UM_ROW(TakesStopAtTheMark)
    UM_ROW(AParkedCountStaysParked) UM_ROW(ShareOfTheDeadDies) UM_ROW(ReleaseOfTheDeadDies)
#endif
};

}  // namespace

int main(int argc, char** argv) { return umbuf::model::run_suites(kSuites, argc, argv); }
