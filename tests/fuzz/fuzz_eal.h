// SPDX-License-Identifier: BSD-2-Clause
// fuzz_eal.h - EAL and the zones for a fuzzer: no hugepages, devices or rights.
#pragma once
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <rte_eal.h>
#include <rte_errno.h>

#include "lib/mbuf/zone.h"

// fuzz_eal_start - or say why not, and exit. UM_REFCNT chooses the scheme.
inline void fuzz_eal_start(char* program, const char* name, umbuf::ZoneConfig config) {
    std::vector<std::string> text = {program, "--no-huge", "-m", "128", "--no-pci", "--no-telemetry",
                                     "--no-shconf", "--log-level=error", "--lcores=0",
                                     "--file-prefix=um_fuzz_" + std::to_string(getpid())};
    std::vector<char*> args;
    for (std::string& t : text) args.push_back(t.data());
    if (rte_eal_init(static_cast<int>(args.size()), args.data()) < 0) {
        std::fprintf(stderr, "%s: EAL did not start: %s\n", name, rte_strerror(rte_errno));
        std::exit(1);
    }
    if (const char* refs = std::getenv("UM_REFCNT"); refs != nullptr) config.refs = refs;
    if (const umbuf::Status zones = umbuf::mbinit(config, {0}); !zones) {
        std::fprintf(stderr, "%s: %s\n", name, zones.error().text.c_str());
        std::exit(1);
    }
}
