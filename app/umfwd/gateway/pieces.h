// SPDX-License-Identifier: BSD-2-Clause
// pieces.h - how many fragments a stream of mode esp keeps until their packets are whole.
#pragma once
#include "lib/ipsec/reassembly.h"

namespace umbuf::fwd {

// kPieces - they lie in mbufs that the port received into, which are counted for it (machine/zones_plan.h).
inline constexpr ReassemblyLimits kPieces{.packets = 256, .fragments = 1024, .mbufs = 1024, .seconds = 30};

}  // namespace umbuf::fwd
