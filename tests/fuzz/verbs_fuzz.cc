// SPDX-License-Identifier: BSD-2-Clause
// verbs_fuzz.cc - libFuzzer looks for a trace of verbs on which mbufs and the oracle disagree.
//
// Any input is a trace (tests/oracle/trace.h). UM_REFCNT chooses the scheme. A disagreement, and a zone
// that is not balanced after the trace, end the program with the trace's last steps; foreign storage
// is on the heap, so the address sanitizer sees who comes there too late.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <rte_eal.h>
#include <rte_errno.h>

#include "lib/mbuf/zone.h"
#include "tests/oracle/receive_zone.h"
#include "tests/oracle/trace.h"

extern "C" {

// EAL keeps what it allocated. What the traces allocate is mbufs, and those are counted.
const char* __asan_default_options();
const char* __asan_default_options() { return "detect_leaks=0"; }

int LLVMFuzzerInitialize(int* argc, char*** argv);
int LLVMFuzzerInitialize(int*, char*** argv) {
    std::vector<std::string> text = {(*argv)[0], "--no-huge", "-m", "128", "--no-pci", "--no-telemetry",
                                     "--no-shconf", "--log-level=error", "--lcores=0",
                                     "--file-prefix=um_fuzz_" + std::to_string(getpid())};
    std::vector<char*> args;
    for (std::string& t : text) args.push_back(t.data());
    if (rte_eal_init(static_cast<int>(args.size()), args.data()) < 0) {
        std::fprintf(stderr, "verbs_fuzz: EAL did not start: %s\n", rte_strerror(rte_errno));
        std::exit(1);
    }
    umbuf::ZoneConfig config;
    config.mbufs = 1024;
    config.clusters[0] = 512;
    config.proxies = 1024;
    if (const char* refs = std::getenv("UM_REFCNT"); refs != nullptr) config.refs = refs;
    if (const umbuf::Status zones = umbuf::mbinit(config, {0}); !zones) {
        std::fprintf(stderr, "verbs_fuzz: %s\n", zones.error().text.c_str());
        std::exit(1);
    }
    umbuf::test::receive_zone();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const umbuf::test::TraceResult r = umbuf::test::run_trace({data, size});
    std::string wrong = r.fault.value_or("");
    for (const umbuf::Unbalanced& u : umbuf::zones_unbalanced())
        wrong += "zone " + u.zone + " holds " + std::to_string(u.in_use) + " after the trace\n" + r.text;
    if (wrong.empty()) return 0;
    std::fprintf(stderr, "verbs_fuzz: scheme %s: %s\n", umbuf::refs_in_use().name, wrong.c_str());
    std::abort();
}

}  // extern "C"
