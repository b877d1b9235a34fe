// SPDX-License-Identifier: BSD-2-Clause
// xfrm_stat.h - why ESP did not let a packet through, in the words of Linux' /proc/net/xfrm_stat, and ours
// where Linux has none.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "lib/base/sync.h"

namespace umbuf {

#define UM_XFRM(X)                                                                                      \
    X(ok, "ok")                                                                                         \
    X(in_error, "XfrmInError")                /* bytes cannot be read: the errno says why */            \
    X(in_buffer, "XfrmInBufferError")         /* no mbuf or cluster */                                  \
    X(in_header, "XfrmInHdrError")            /* too short, no whole header, a fragment */              \
    X(in_no_states, "XfrmInNoStates")         /* no SA, or not this one's SPI */                        \
    X(in_proto, "XfrmInStateProtoError")      /* ICV or padding is wrong */                             \
    X(in_state, "XfrmInStateInvalid")         /* the SA went while the packet was with a device */      \
    X(in_mode, "XfrmInStateModeError")        /* what came out does not fit the SA's mode */            \
    X(in_seq, "XfrmInStateSeqError")          /* replayed, or too old */                                \
    X(in_expired, "XfrmInStateExpired")       /* past a hard limit */                                   \
    X(in_mismatch, "XfrmInStateMismatch")     /* UDP encapsulation where the SA has none, or not */     \
    X(in_template, "XfrmInTmplMismatch")      /* the policy wants another SA, or one at all */       \
    X(in_blocked, "XfrmInPolBlock")           /* a policy discards it */                                \
    X(in_no_policy, "XfrmInNoPols")           /* no policy matches: discarded */                        \
    X(in_ecn, "EcnDecapDrop")                 /* RFC 6040: congestion marked, inner cannot say so */    \
    X(in_differs, "EspInCrossCheck")          /* two engines disagree (cross_check.h) */                \
    X(in_dummy, "EspDummy")                   /* next header 59: dropped on purpose */                  \
    X(out_error, "XfrmOutError")              /* unreadable, too large, or no memory: the errno */      \
    X(out_header, "XfrmOutHdrError")          /* no IP packet */                                        \
    X(out_bundle, "XfrmOutBundleGenError")    /* the child that a policy names has gone */              \
    X(out_no_states, "XfrmOutNoStates")       /* the child has no outbound SA yet */                    \
    X(out_blocked, "XfrmOutPolBlock")         /* a policy discards it, or none matches */               \
    X(out_state, "XfrmOutStateInvalid")       /* the SA went while the packet was with a device */      \
    X(out_mode, "XfrmOutStateModeError")      /* transport cannot carry it: fragments, protocol 59 */   \
    X(out_too_big, "EspOutTooBig")            /* for the SA's way; its sender may be told */            \
    X(out_differs, "EspOutCrossCheck")        /* two engines disagree (cross_check.h) */                \
    X(out_seq, "XfrmOutStateSeqError")        /* sequence numbers have ended */                         \
    X(out_expired, "XfrmOutStateExpired")     /* past a hard limit */

enum class Xfrm : uint8_t {
#define X(id, text) id,
    UM_XFRM(X)
#undef X
    count
};
inline constexpr size_t kXfrms = static_cast<size_t>(Xfrm::count);
[[nodiscard]] const char* name_of(Xfrm why) noexcept;

// XfrmCounters - one writer, any readers.
struct XfrmCounters {
    std::array<sync::Counter, kXfrms> packets;
    void count(Xfrm why) noexcept { packets[static_cast<size_t>(why)].add(1); }
    [[nodiscard]] uint64_t of(Xfrm why) const noexcept { return packets[static_cast<size_t>(why)].read(); }
};

}  // namespace umbuf
