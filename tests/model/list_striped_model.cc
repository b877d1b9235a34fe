// SPDX-License-Identifier: BSD-2-Clause
// list_striped_model.cc - ref::ListStriped, as shipped. It differs from ref::List in which lock is
// taken, so what needs a lock is looked at again; the rest is list_model.cc's.
#include "tests/model/suites.h"

namespace {

using namespace umbuf;
using Scheme = model::ListStriped;
#define UM_OWN(X) X(AloneSharesAnew) X(FreedIsUsedAgainAtOnce) X(OwnerJoinsAsTheLastLeaves) X(ARequestEndsWithItsGroup)
UM_OWN(UM_OF_SCHEME)

constexpr model::Suite kSuites[] = {
#ifdef UM_ONLY_SUITE
    UM_ROW(UM_ONLY_SUITE)
#else
    UM_OWN(UM_ROW)
#endif
};

}  // namespace

int main(int argc, char** argv) { return umbuf::model::run_suites(kSuites, argc, argv); }
