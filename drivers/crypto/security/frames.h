// SPDX-License-Identifier: BSD-2-Clause
// frames.h - ESP packets whose cryptography a NIC does on their way to the wire, and from it (rte_security, inline
// crypto).
//
//      out   | room for L2 | outer, ESP, IV |  the packet, in its own mbufs  | padding, trailer, room for the ICV |
//                  our own mbuf                read by DMA, written by nobody         our own mbuf
//
//      in    | outer, ESP, IV, packet, padding, trailer, ICV |   as it came, decrypted by the NIC where it lies
//
// N1  No byte of a packet is written or copied on the way out, whoever else has it (E-1).
// N2  All or nothing, as in esp.h (E-2): a packet that is refused is the caller's, as it was. It has used a number only
//     where the driver refused it.
// N3  Headers, numbers, window, padding and policy are ours, by the same rules as with any engine; the NIC has the
//     cipher and the ICV.
//
// Tunnels without UDP or ESN, by AES-GCM: what NICs do. How the upper half of a number gets to a NIC differs, and
// nobody here has one to try. Everything else, and what arrives without having been looked at (fragments, a rule that
// was late), goes by the SA's own engine: it is the same SA, and the same numbers.
//
// Thread: the SA's lcore. Nothing blocks or comes from the heap.
#pragma once
#include <cstdint>

#include <rte_mbuf.h>

#include "drivers/crypto/security/security.h"
#include "lib/ipsec/esp.h"

namespace umbuf {

// security_output - `packet` becomes the frame's IP packet: put L2 before it and give it to the session's port, no
// other. `session` is of the same terms and key as `sa`. Refused: out_error with EOPNOTSUPP (ask the SA's engine), EIO
// (the driver wants no such packet; the number is gone), ENOBUFS, EMSGSIZE, or why it cannot be read; out_header,
// out_expired, out_seq. Counted in the SA.
[[nodiscard]] EspFate security_output(SecuritySession& session, Sa& sa, Mbuf*& packet, uint64_t now_s) noexcept;

// security_seen - has the NIC decrypted it, or found it wrong? No: it is ESP as always.
[[nodiscard]] inline bool security_seen(const Mbuf* m) noexcept { return (m->rte.ol_flags & RTE_MBUF_F_RX_SEC_OFFLOAD) != 0; }
// security_input - of a packet that security_seen() says yes of, L2 taken off: the inner packet, or why not, as
// esp_input() says it. Counted in the SA. A header that takes a mark (RFC 6040), and that somebody else has, too, is
// copied first; for that there may be no memory (in_buffer).
[[nodiscard]] EspFate security_input(Sa& sa, Mbuf*& packet, uint64_t now_s) noexcept;

}  // namespace umbuf
