// SPDX-License-Identifier: BSD-2-Clause
// inline_room.h - the bytes inside an mbuf of the mbuf zone: for lib/mbuf's own files only.
#pragma once
#include <cstring>

#include "lib/mbuf/zone.h"

namespace umbuf::inline_room {

// zero - kMLen bytes, also while m has storage elsewhere; the request is then done with.
inline void zero(Mbuf* m) noexcept {
    explicit_bzero(m + 1, kMLen);
    m->m_flags &= ~uint32_t{M_ZEROIZE};
}

}  // namespace umbuf::inline_room
