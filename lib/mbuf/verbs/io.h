// SPDX-License-Identifier: BSD-2-Clause
// io.h - the verbs that bring bytes into a chain from plain memory, and out to scattered memory.
//
// m_copydata and m_copyback (verbs.h) are for bytes in one piece. Thread: the chain's owner.
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "lib/mbuf/mbuf.h"

namespace umbuf {

// m_append - len bytes at the end: into writable tailroom, then into new mbufs. 1; 0: there was no
// memory for all, what could be had is there, and the totals say how much. FreeBSD, NetBSD, DragonFly.
[[nodiscard]] int m_append(Mbuf* m, uint32_t len, const void* from) noexcept;
// m_devget - a new packet with len bytes copied from a device's memory, the first at `off` of its
// room (off < kMLen), so that what follows a link header can be aligned. Fails: null, nothing copied.
// All BSDs; the port is the caller's to set.
[[nodiscard]] Mbuf* m_devget(const void* buf, uint32_t len, uint32_t off, int how = M_NOWAIT) noexcept;

// Uio - scattered memory, consumed from its front as bytes are moved (BSD: struct uio). The caller's.
struct Uio {
    iovec* uio_iov;     // the next piece; its base and length move along
    int uio_iovcnt;     // pieces left
    size_t uio_resid;   // bytes left, at most those in the pieces
};

// m_uiotombuf - a new chain with len of uio's bytes, 0: all of them; the first `align` (< kMLen) bytes
// of room stay free in front. `flags`: M_PKTHDR, M_EOR. Fails: null, and uio is as it was. FreeBSD,
// DragonFly.
[[nodiscard]] Mbuf* m_uiotombuf(Uio* uio, int how, uint32_t len, uint32_t align, uint32_t flags) noexcept;
// m_mbuftouio - move len of m's bytes to uio, 0: as many as there are; never more than uio takes. m is
// unchanged. 0; else bytes cannot be read (window.h, W3), and uio is as it was. FreeBSD.
int m_mbuftouio(Uio* uio, const Mbuf* m, uint32_t len) noexcept;

}  // namespace umbuf
