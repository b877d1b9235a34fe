// SPDX-License-Identifier: BSD-2-Clause
// heap_packet.h - packets that may be read and not written, over heap memory that ends where they end: the address
// sanitizer sees who reads beyond, and the last holder who wrote.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "lib/mbuf/refs.h"
#include "lib/mbuf/verbs.h"

namespace umbuf {

using Bytes = std::vector<std::byte>;

inline void must(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "scheme %s: %s\n", refs_in_use().name, what);
    std::abort();
}

// forget - the last holder has gone: the memory is as it was made, whoever read it.
inline void forget(void* at, uint32_t, void* made) {
    const std::unique_ptr<Bytes> was(static_cast<Bytes*>(made));
    must(std::memcmp(at, was->data(), was->size()) == 0, "a source was written");
    delete[] static_cast<std::byte*>(at);
}

// on_heap - the packet in mbufs of `cuts` bytes, in turn, over memory that ends where they end.
inline Mbuf* on_heap(const Bytes& bytes, std::span<const uint8_t> cuts) {
    Mbuf* first = m_gethdr(M_NOWAIT, MT_DATA);
    Mbuf* last = first;
    const auto fill = [](Mbuf* m, const std::byte* from, size_t n) {
        std::byte* at = new std::byte[n == 0 ? 1 : n];
        if (n > 0) std::memcpy(at, from, n);
        auto made = std::make_unique<Bytes>(at, at + n);
        must(m_extadd(m, at, static_cast<uint32_t>(n == 0 ? 1 : n), forget, made.release(), M_RDONLY) == 0, "m_extadd failed");
        m->set_len(static_cast<uint32_t>(n));
    };
    size_t at = 0, turn = 0;
    do {
        size_t n = cuts.empty() ? bytes.size() : cuts[turn++ % cuts.size()];
        if (turn > 200) n = bytes.size();
        n = std::min(n, bytes.size() - at);
        if (last->len() != 0 || turn > 1) {
            last->set_next(m_get(M_NOWAIT, MT_DATA));
            last = last->next();
        }
        fill(last, bytes.data() + at, n);
        at += n;
    } while (at < bytes.size());
    m_calchdrlen(first);
    return first;
}

inline Bytes bytes_of(const Mbuf* m) {
    Bytes b(m_length(m));
    must(m_copydata(m, 0, static_cast<uint32_t>(b.size()), b.data()) == 0, "m_copydata failed");
    return b;
}

}  // namespace umbuf
