// SPDX-License-Identifier: BSD-2-Clause
// seqgen.h - what the forwarder asks of mode seqgen beside running it: an orderly end, and the
// sums.
//
// For the control thread, at any time between begin and the end of the stream's state. On a stream
// of another mode: nothing to drain, nothing to report.
#pragma once
#include "app/umfwd/report.h"
#include "app/umfwd/packet/stream.h"

namespace umbuf::fwd {

// request_drain - send nothing new; keep receiving what is under way.
void request_drain(Stream& stream);
// drained - everything that this stream sent has come back, or nothing has come for so long that
// the rest counts as lost.
[[nodiscard]] bool drained(const Stream& stream);
// packets_back - how many of the packets that this stream sent have come back, each counted once. Of
// two readings the later is not smaller, and it ends at what was sent, whatever a path repeats.
[[nodiscard]] uint64_t packets_back(const Stream& stream);
// seq_report - what became of the packets that this stream sent, whichever stream received them.
//      sent == received - duplicate + lost, once drained or ended; before, a sample.
[[nodiscard]] SeqReport seq_report(const Stream& stream);

}  // namespace umbuf::fwd
