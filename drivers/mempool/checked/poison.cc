// SPDX-License-Identifier: BSD-2-Clause
// poison.cc - laying a word, and comparing a run of it with itself.
#include "drivers/mempool/checked/poison.h"

#include <cstring>

namespace umbuf::checked {

void lay(std::byte* at, size_t n, uint64_t word) noexcept {
    size_t done = 0;
    for (; done + sizeof word <= n; done += sizeof word) std::memcpy(at + done, &word, sizeof word);
    std::memcpy(at + done, &word, n - done);
}

namespace {

// A run that begins with the word, and equals itself one word later, is that word all through. One
// call of memcmp, which is as fast as the machine reads.
bool whole(const std::byte* at, size_t n, uint64_t word) noexcept {
    if (n < sizeof word) return std::memcmp(at, &word, n) == 0;
    return std::memcmp(at, &word, sizeof word) == 0 &&
           std::memcmp(at, at + sizeof word, n - sizeof word) == 0;
}

}  // namespace

size_t first_change(const std::byte* at, size_t n, uint64_t word) noexcept {
    if (whole(at, n, word)) return kUnchanged;
    for (size_t i = 0; i < n; ++i)
        if (at[i] != byte_of(word, i)) return i;
    return kUnchanged;  // changed back while we looked
}

}  // namespace umbuf::checked
