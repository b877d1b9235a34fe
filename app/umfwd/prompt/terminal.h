// SPDX-License-Identifier: BSD-2-Clause
// terminal.h - a terminal that gives every key at once, until it is put back.
//
// ISIG stays on: Ctrl-C is a signal, as in every other program, and the forwarder halts in order.
// The suspend key is taken away: lcores that poll would leave their devices full of packets.
// The old mode comes back when the object dies, and when a crash ends the program first.
#pragma once

namespace umbuf::fwd {

class Terminal {  // At most one at a time. Control thread.
  public:
    explicit Terminal(int fd);
    ~Terminal();
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;
};

}  // namespace umbuf::fwd
