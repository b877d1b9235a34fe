// SPDX-License-Identifier: BSD-2-Clause
// ipsec_mb.h - the engine that calls Intel's IPsec-MB directly: synchronous, from scattered source to
// fresh destination.
//
// The library chooses its code by the CPU (SSE to AVX512 with VAES) when a lane is opened; UM_IPSEC_MB=sse
// or avx2 in the environment takes less, for tests.
#pragma once
#include "lib/ipsec/engine.h"

namespace umbuf {

extern const Engine ipsec_mb_engine;

}  // namespace umbuf
