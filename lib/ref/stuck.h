// SPDX-License-Identifier: BSD-2-Clause
// stuck.h - counts that saturated. Their storage is leaked on purpose (R5): a leak can be counted and
// survived, a count that wraps frees what others hold.
#pragma once
#include "lib/base/sync.h"

namespace umbuf::ref {

#ifndef UM_MODEL
inline sync::Counter stuck;  // storage leaked since the program started
inline void note_stuck() noexcept { stuck.add_shared(1); }
#else
inline int stuck = 0;  // of one execution; relacy's threads take turns
inline void note_stuck() noexcept { ++stuck; }
#endif

}  // namespace umbuf::ref
