// SPDX-License-Identifier: BSD-2-Clause
// stream.cc - the names of the ways to die.
#include "app/umfwd/packet/stream.h"

namespace umbuf::fwd {

const char* name_of(Drop drop) noexcept {
    switch (drop) {
#define X(id, text) \
    case Drop::id: return text;
        UM_DROPS(X)
#undef X
        case Drop::count: break;
    }
    return "unknown";
}

}  // namespace umbuf::fwd
