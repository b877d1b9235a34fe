// SPDX-License-Identifier: BSD-2-Clause
// main.cc - one process for all unit tests: EAL without hugepages, devices or rights, then the zones.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include <rte_eal.h>
#include <rte_errno.h>

#include "lib/mbuf/zone.h"
#include "tests/unit/program.h"

namespace {

void add_words(std::vector<std::string>& to, const char* words) {
    std::istringstream in(words == nullptr ? "" : words);
    for (std::string word; in >> word;) to.push_back(word);
}

// Four lcores, wherever they run: tests need lcore identities, not processors. At most two of the
// processors that we may use, which need not be 0 and 1 in a container.
std::string lcores() {
    cpu_set_t may;
    CPU_ZERO(&may);
    if (sched_getaffinity(0, sizeof may, &may) != 0) CPU_SET(0, &may);
    std::string cpus;
    for (int cpu = 0, n = 0; cpu < CPU_SETSIZE && n < 2; ++cpu)
        if (CPU_ISSET(cpu, &may)) cpus += (n++ == 0 ? "" : ",") + std::to_string(cpu);
    return "--lcores=(0-3)@(" + cpus + ")";
}

}  // namespace

int main(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
    if (argc > 1 && std::strcmp(argv[1], "--refcnt-names") == 0) {  // what UM_REFCNT can be
        for (const char* name : umbuf::refs_names()) std::puts(name);
        return 0;
    }
    std::string prefix = "--file-prefix=um_unit_" + std::to_string(getpid());
    std::vector<std::string> text = {argv[0], "--no-pci", "--no-telemetry", "--no-shconf", "--log-level=error",
                                     lcores(), prefix};
    const char* memory = std::getenv("UM_MEMORY");  // for instance "--in-memory" where there are hugepages
    add_words(text, memory != nullptr ? memory : "--no-huge -m 768");
    add_words(text, umbuf::test::eal_words);
    add_words(text, std::getenv("UM_EAL"));
    std::vector<char*> args;
    for (std::string& t : text) args.push_back(t.data());
    if (rte_eal_init(static_cast<int>(args.size()), args.data()) < 0) {
        std::fprintf(stderr, "unit tests: EAL did not start: %s\n", rte_strerror(rte_errno));
        return 1;
    }
    // At exit, so after the ports that tests keep in function-local statics: those were made later.
    // From DPDK 24.11 on, a port that outlives EAL is a port in unmapped memory.
    std::atexit([] {
        if (!umbuf::test::leave_eal) rte_eal_cleanup();
    });
    umbuf::ZoneConfig config;
    if (umbuf::test::most_mbufs != 0) config.mbufs = umbuf::test::most_mbufs;
    if (const char* refs = std::getenv("UM_REFCNT"); refs != nullptr) config.refs = refs;
    const umbuf::Status zones = umbuf::mbinit(config, {0});
    if (!zones) {
        std::fprintf(stderr, "unit tests: %s\n", zones.error().text.c_str());
        return 1;
    }
    return RUN_ALL_TESTS();
}
