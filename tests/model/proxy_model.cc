// SPDX-License-Identifier: BSD-2-Clause
// proxy_model.cc - ref::Proxy, as shipped: the contract, the proxy's own life, and the dead.
#include "tests/model/suites.h"

namespace {

using namespace umbuf;
using Scheme = model::Proxy;
UM_VIEWS(UM_OF_SCHEME)
UM_GROUPS(UM_OF_SCHEME)

// A first share that finds no proxy is refused, and the source is as it was (R8).
struct RefusedWithoutAProxy : rl::test_suite<RefusedWithoutAProxy, 1> {
    model::Storage<Scheme> storage;
    void before() { storage.start(1); }
    void thread(unsigned) {
        storage.ground.shelf.given = storage.ground.shelf.back = 3;
        const int error = Scheme::share(storage.control, storage.view[0], storage.view[1], nullptr);
        RL_ASSERT(error == ENOBUFS);
        storage.ground.shelf.given = storage.ground.shelf.back = 0;
        storage.let_go(0);
    }
    void after() { storage.over(); }
};
// R5 for the proxy's count.
struct SaturatedForGood : rl::test_suite<SaturatedForGood, 2> {
    using Count = ref::CountOf<sync::Real>;
    model::Storage<Scheme> storage;
    void before() {
        storage.start(2);
        storage.view[0].proxy->count.n.store(Count::kSaturated - 1, sync::relaxed);
    }
    void thread(unsigned i) {
        storage.share(i, i + 2);
        storage.let_go(i);
    }
    void after() {
        RL_ASSERT(storage.frees($) == 0 && storage.ground.shelf.back == 0 && ref::stuck >= 1);
        RL_ASSERT(storage.view[2].proxy->count.n.load(sync::relaxed) == Count::kParked);
    }
};
// R1: a reference that was dropped before is known by its proxy.
struct ShareOfTheDeadDies : rl::test_suite<ShareOfTheDeadDies, 1, rl::test_result_user_assert_failed> {
    Scheme::Control control;
    model::Pool::Shelf shelf;
    void thread(unsigned) {
        Scheme::View stale{&shelf.objects[0]}, copy;
        static_cast<void>(Scheme::share(control, stale, copy, nullptr));
    }
};
struct ReleaseOfTheDeadDies : rl::test_suite<ReleaseOfTheDeadDies, 1, rl::test_result_user_assert_failed> {
    Scheme::Control control;
    model::Pool::Shelf shelf;
    void thread(unsigned) {
        Scheme::View stale{&shelf.objects[0]};
        Scheme::release(control, stale, false, nullptr, [](Scheme::Control&, bool) {});
    }
};
#define UM_OWN(X) \
    X(RefusedWithoutAProxy) X(SaturatedForGood) X(ShareOfTheDeadDies) X(ReleaseOfTheDeadDies)

constexpr model::Suite kSuites[] = {
#ifdef UM_ONLY_SUITE
    UM_ROW(UM_ONLY_SUITE)
#else
    UM_VIEWS(UM_ROW) UM_GROUPS(UM_ROW) UM_OWN(UM_ROW)
#endif
};

}  // namespace

int main(int argc, char** argv) { return umbuf::model::run_suites(kSuites, argc, argv); }
