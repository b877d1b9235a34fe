// SPDX-License-Identifier: BSD-2-Clause
// capture.cc - starts rte_pdump's server, and ends it.
#include "app/umfwd/machine/capture.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_pdump.h>

#include "app/umfwd/say.h"

namespace umbuf::fwd {

Capture::Capture() : serving_(rte_pdump_init() == 0) {
    if (!serving_) say(fmt::format("dpdk-dumpcap cannot look on: {}\n", rte_strerror(rte_errno)));
}

Capture::~Capture() {
    if (serving_) rte_pdump_uninit();
}

}  // namespace umbuf::fwd
