// SPDX-License-Identifier: BSD-2-Clause
// signals.h - a wish to end, as something that can be waited for.
#pragma once
#include "lib/base/result.h"

namespace umbuf::fwd {

// Signals - while one lives, the first SIGINT or SIGTERM makes fd() readable, and the second ends
// the program at once: somebody who asks twice does not want to wait for order. SIGPIPE is ignored:
// a reader who went away is no reason to leave mbufs behind. At most one.
class Signals {
  public:
    static Result<Signals> create();
    ~Signals();
    Signals(Signals&& other) noexcept;
    Signals& operator=(Signals&&) = delete;
    [[nodiscard]] int fd() const noexcept { return fd_; }
    // wait - for a signal, at most so long, or until `other` is readable. True: there was one, now or before.
    [[nodiscard]] bool wait(int timeout_ms, int other = -1) const noexcept;

  private:
    explicit Signals(int fd) : fd_(fd) {}
    int fd_;
};

}  // namespace umbuf::fwd
