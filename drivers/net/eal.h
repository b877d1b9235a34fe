// SPDX-License-Identifier: BSD-2-Clause
// eal.h - start DPDK, and say clearly why it did not start.
//
// rte_eal_init() prints a page and returns a number; a device that was asked for and could not be
// had is not even an error to it. eal_start() keeps DPDK's page to itself and answers with one
// sentence: what is missing, and what to do about it.
#pragma once
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace umbuf {

// eal_start - rte_eal_init() with the arguments up to "--". Once per process, before any thread:
// standard output and error are DPDK's while it runs. Returns how many arguments EAL used, as
// rte_eal_init() does; the caller's own begin behind them. Error: one sentence; every device that
// was named by
// --vdev or -a (network ones) must be there. EAL is then cleaned up, and the process should exit
// with status 1. --help and --version print and exit, as in any DPDK program. Should DPDK abort or
// crash inside, the process says so and exits with status 1. SIGPIPE is ignored from here on.
[[nodiscard]] Result<int> eal_start(int argc, char** argv);

// eal_end - rte_eal_cleanup(), unless EAL's interrupt thread hangs in a driver
// (interrupt_thread.h): what such a driver holds is left to the kernel, which takes it back when
// the process ends. After it nothing of DPDK may be used. Control thread, at the end.
void eal_end();

// eal_log - what DPDK printed while it started. For people who want more than the sentence: print
// it after the sentence. When the arguments have a --log-level, it was already printed.
[[nodiscard]] const std::string& eal_log() noexcept;

// why_no_device - one sentence on why a device (devargs, as after --vdev or -a) cannot be had:
// looks for the file, socket, interface, right or kernel driver that it needs, then at what DPDK
// `said`.
[[nodiscard]] std::string why_no_device(std::string_view devargs, std::string_view said = {});

}  // namespace umbuf
