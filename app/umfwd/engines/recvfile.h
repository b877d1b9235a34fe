// SPDX-License-Identifier: BSD-2-Clause
// recvfile.h - what mode recvfile has found out. Control thread, from begin to the end of the stream's state.
#pragma once
#include "app/umfwd/packet/stream.h"
#include "app/umfwd/report.h"

namespace umbuf::fwd {

// recv_report - a stream's numbers. Of another mode: nothing.
[[nodiscard]] RecvReport recv_report(const Stream& stream);

}  // namespace umbuf::fwd
