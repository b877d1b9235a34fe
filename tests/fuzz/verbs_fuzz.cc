// SPDX-License-Identifier: BSD-2-Clause
// verbs_fuzz.cc - libFuzzer looks for a trace of verbs on which mbufs and the oracle disagree.
//
// Any input is a trace (tests/oracle/trace.h). UM_REFCNT chooses the scheme. A disagreement, and a zone
// that is not balanced after the trace, end the program with the trace's last steps; foreign storage
// is on the heap, so the address sanitizer sees who comes there too late.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "lib/mbuf/zone.h"
#include "tests/fuzz/fuzz_eal.h"
#include "tests/oracle/receive_zone.h"
#include "tests/oracle/trace.h"

extern "C" {

// EAL keeps what it allocated. What the traces allocate is mbufs, and those are counted.
const char* __asan_default_options();
const char* __asan_default_options() { return "detect_leaks=0"; }

int LLVMFuzzerInitialize(int* argc, char*** argv);
int LLVMFuzzerInitialize(int*, char*** argv) {
    umbuf::ZoneConfig config;
    config.mbufs = 1024;
    config.clusters[0] = 512;
    config.proxies = 1024;
    fuzz_eal_start((*argv)[0], "verbs_fuzz", config);
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
