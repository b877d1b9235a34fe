// SPDX-License-Identifier: BSD-2-Clause
// native_model.cc - ref::Native, as shipped: the contract, the refusal before 16 bits wrap, and the dead.
#include "tests/model/suites.h"

namespace {

using namespace umbuf;
using Scheme = model::Native;
UM_VIEWS(UM_OF_SCHEME)
UM_GROUPS(UM_OF_SCHEME)

// R8: at its limit a share is refused, and nothing has changed; a release later it is not.
struct RefusedAtTheLimit : rl::test_suite<RefusedAtTheLimit, 2> {
    model::Storage<Scheme> storage;
    void before() {
        storage.start(3);
        storage.control.n.store(Scheme::kMost, sync::relaxed);
        bool first = false;
        RL_ASSERT(Scheme::share(storage.control, storage.view[0], storage.view[3], nullptr) == ENOBUFS);
        RL_ASSERT(Scheme::join(storage.control, storage.view[3], first) == ENOBUFS);
        RL_ASSERT(storage.control.n.load(sync::relaxed) == Scheme::kMost && model::unshared(storage.view[3]));
    }
    void thread(unsigned i) {
        if (i == 1) return storage.let_go(1);
        bool first = true;
        const int error = Scheme::share(storage.control, storage.view[0], storage.view[3], nullptr);
        RL_ASSERT(error == 0 || (error == ENOBUFS && model::unshared(storage.view[3])));
        if (error == 0) return storage.let_go(3);
        if (Scheme::join(storage.control, storage.view[3], first) != 0) return;
        RL_ASSERT(!first);
        storage.let_go(3);
    }
    void after() {
        RL_ASSERT(storage.control.n.load(sync::relaxed) == Scheme::kMost - 1);
        RL_ASSERT(storage.frees($) == 0);
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
#define UM_OWN(X) X(RefusedAtTheLimit) X(ShareOfTheDeadDies) X(ReleaseOfTheDeadDies)

constexpr model::Suite kSuites[] = {
#ifdef UM_ONLY_SUITE
    UM_ROW(UM_ONLY_SUITE)
#else
    UM_VIEWS(UM_ROW) UM_GROUPS(UM_ROW) UM_OWN(UM_ROW)
#endif
};

}  // namespace

int main(int argc, char** argv) { return umbuf::model::run_suites(kSuites, argc, argv); }
