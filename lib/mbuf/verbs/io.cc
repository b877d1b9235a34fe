// SPDX-License-Identifier: BSD-2-Clause
// io.cc - bytes in and out.
#include "lib/mbuf/verbs/io.h"

#include "lib/mbuf/header.h"
#include "lib/mbuf/verbs/chain.h"

namespace umbuf {
namespace {

// Move n bytes between plain memory and uio, and uio along. To uio if `out`.
void uiomove(std::byte* memory, size_t n, Uio* uio, bool out) noexcept {
    uio->uio_resid -= n;
    while (n > 0) {
        UM_ASSERT_MSG(uio->uio_iovcnt > 0, "uio_resid says more than its pieces have");
        iovec& piece = *uio->uio_iov;
        const size_t some = std::min(n, piece.iov_len);
        if (out)
            std::memcpy(piece.iov_base, memory, some);
        else
            std::memcpy(memory, piece.iov_base, some);
        piece.iov_base = static_cast<std::byte*>(piece.iov_base) + some;
        piece.iov_len -= some;
        memory += some;
        n -= some;
        if (piece.iov_len > 0) continue;
        ++uio->uio_iov;
        --uio->uio_iovcnt;
    }
}

// A new chain with room for front + len bytes, filled with len by `fill(to, n)`, `front` bytes left
// free. All memory is had before the first byte is moved.
template <class Fill>
Mbuf* filled(uint32_t front, uint32_t len, int how, uint32_t flags, Fill fill) noexcept {
    UM_ASSERT(front < kMLen && len <= UINT32_MAX - front);
    Mbuf* top = m_getm2(nullptr, front + len, how, MT_DATA, flags);
    if (top == nullptr) return nullptr;
    top->rte.data_off = static_cast<uint16_t>(front);
    for (Mbuf* m = top; len > 0; m = m->next()) {
        const uint32_t n = std::min(len, chain::tailroom(m));
        fill(m->data(), n);
        m->set_len(n);
        len -= n;
    }
    if (top->has_pkthdr()) header::recount(top);
    return top;
}

}  // namespace

int m_append(Mbuf* m, uint32_t len, const void* from) noexcept {
    const bool packet = m->has_pkthdr();
    if (len == 0) return 1;
    uint32_t room = packet ? UINT16_MAX - m->rte.nb_segs : UINT32_MAX;  // for more mbufs
    const std::byte* in = static_cast<const std::byte*>(from);
    Mbuf* to = chain::last(m);
    for (;;) {
        const uint32_t n = std::min(len, m_trailingspace(to));
        std::memcpy(to->data() + to->len(), in, n);
        to->set_len(to->len() + n);
        in += n;
        len -= n;
        if (len == 0 || room-- == 0) break;
        Mbuf* more = chain::room(len, chain::kBiggest, M_NOWAIT);
        if (more == nullptr) break;
        to->set_next(more);
        to = more;
    }
    if (packet) header::recount(m);
    return len == 0 ? 1 : 0;
}

Mbuf* m_devget(const void* buf, uint32_t len, uint32_t off, int how) noexcept {
    const std::byte* in = static_cast<const std::byte*>(buf);
    return filled(off, len, how, M_PKTHDR, [&in](std::byte* to, uint32_t n) {
        std::memcpy(to, in, n);
        in += n;
    });
}

Mbuf* m_uiotombuf(Uio* uio, int how, uint32_t len, uint32_t align, uint32_t flags) noexcept {
    const size_t all = std::min<size_t>(uio->uio_resid, UINT32_MAX - kMLen);
    const uint32_t total = static_cast<uint32_t>(len == 0 ? all : std::min<size_t>(len, all));
    return filled(align, total, how, flags,
                  [uio](std::byte* to, uint32_t n) { uiomove(to, n, uio, false); });
}

int m_mbuftouio(Uio* uio, const Mbuf* m, uint32_t len) noexcept {
    size_t left = len == 0 ? uio->uio_resid : std::min<size_t>(len, uio->uio_resid);
    const auto wanted = static_cast<uint32_t>(std::min<size_t>(left, M_COPYALL));
    if (const int error = chain::reachable(m, 0, wanted); error != 0) return error;
    for (; m != nullptr && left > 0; m = m->next()) {
        const uint32_t n = static_cast<uint32_t>(std::min<size_t>(left, m->len()));
        const ReadWindow in(m, 0, n);
        uiomove(const_cast<std::byte*>(in.bytes()), n, uio, true);
        left -= n;
    }
    return 0;
}

}  // namespace umbuf
