// SPDX-License-Identifier: BSD-2-Clause
// tell_kernel.h - the addresses, routes and neighbours of a configuration, told to the kernel: they are the TAPs', and
// the mirror brings them back (mirror.h). From then on they are anybody's to change, by ip(8) or a routing daemon.
#pragma once
#include <map>
#include <string>

#include "app/umfwd/conf/conf.h"
#include "lib/base/result.h"

namespace umbuf::fwd {

// tell_kernel - of the ports in `taps`: ConfPort::name, and the interface that is its twin. What the kernel has already
// is replaced. Error: FILE:LINE: what the kernel refused; what was told before that stays. Thread: one in the TAPs'
// network namespace.
[[nodiscard]] Status tell_kernel(const Conf& conf, const std::map<std::string, std::string>& taps);

}  // namespace umbuf::fwd
