// SPDX-License-Identifier: BSD-2-Clause
// weighted_nomerge_model.cc - ref::WeightedNoMerge, as shipped: the contract, and that a table which
// it is given stays empty.
#include "tests/model/suites.h"

namespace {

using namespace umbuf;
using Scheme = model::WeightedNoMerge;
UM_VIEWS(UM_OF_SCHEME)
UM_GROUPS(UM_OF_SCHEME)

struct NothingIsHeldBack : rl::test_suite<NothingIsHeldBack, 2> {
    model::Storage<Scheme> storage;
    Scheme::Merge merge[2];
    void before() { storage.start(2); }
    void thread(unsigned i) {
        storage.touched[i]($) = 1;
        storage.let_go(i, false, &merge[i]);
        RL_ASSERT(merge[i].empty());
    }
    void after() { storage.over(); }
};

#define UM_OWN(X) X(NothingIsHeldBack)
constexpr model::Suite kSuites[] = {
#ifdef UM_ONLY_SUITE
    UM_ROW(UM_ONLY_SUITE)
#else
    UM_VIEWS(UM_ROW) UM_GROUPS(UM_ROW) UM_OWN(UM_ROW)
#endif
};

}  // namespace

int main(int argc, char** argv) { return umbuf::model::run_suites(kSuites, argc, argv); }
