// SPDX-License-Identifier: BSD-2-Clause
// random.cc - the kernel's random bytes, kept for a while.
#include "lib/ipsec/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "lib/base/check.h"

namespace umbuf {

void Random::take(std::byte* to, uint32_t n) noexcept {
    UM_ASSERT(n <= kBytes);
    if (kBytes - used_ < n) refill();
    std::memcpy(to, bytes_ + used_, n);
    std::memset(bytes_ + used_, 0, n);
    used_ += n;
}

void Random::refill() noexcept {
    for (uint32_t have = 0; have < kBytes;) {
        const ssize_t got = getrandom(bytes_ + have, kBytes - have, 0);
        // A signal may come in between; any other failure leaves nothing that an IV could be made of.
        UM_ASSERT_MSG(got > 0 || errno == EINTR, "getrandom: %s", std::strerror(errno));
        if (got > 0) have += static_cast<uint32_t>(got);
    }
    used_ = 0;
}

}  // namespace umbuf
