// SPDX-License-Identifier: BSD-2-Clause
// schemes.cc - the list of schemes; each keeps the contract of scheme.h, or this does not compile.
#include "lib/ref/intrusive.h"
#include "lib/ref/scheme.h"

namespace umbuf::ref {
static_assert(Scheme<Intrusive>);
static_assert(sizeof(Intrusive::Control) <= 16, "the control line leaves 16 bytes to the scheme");
}  // namespace umbuf::ref
