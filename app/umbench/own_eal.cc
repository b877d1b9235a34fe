// SPDX-License-Identifier: BSD-2-Clause
// own_eal.cc - the words that EAL is started with.
#include "app/umbench/own_eal.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include <rte_eal.h>
#include <rte_errno.h>

namespace umbuf::bench {
namespace {

constexpr unsigned kMemoryMb = 512;

bool hugepages_free() {
    std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    unsigned pages = 0;
    return (file >> pages) && pages >= kMemoryMb / 2;
}

// One lcore on each processor that we may use.
std::string lcores(unsigned most) {
    cpu_set_t may;
    CPU_ZERO(&may);
    std::string list;
    if (sched_getaffinity(0, sizeof may, &may) != 0) CPU_SET(0, &may);
    unsigned n = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && (most == 0 || n < most); ++cpu)
        if (CPU_ISSET(cpu, &may)) list += fmt::format("{}{}@{}", n == 0 ? "" : ",", n, cpu), ++n;
    return "--lcores=" + list;
}

}  // namespace

Status start_eal(unsigned most) {
    std::vector<std::string> text = {"umbench", lcores(most), "--no-pci", "--no-telemetry", "--log-level=error",
                                     "-m", std::to_string(kMemoryMb), fmt::format("--file-prefix=umbench-{}", getpid())};
    if (hugepages_free()) text.insert(text.end(), {"--in-memory", "--single-file-segments"});
    else text.insert(text.end(), {"--no-huge", "--no-shconf"});
    std::vector<char*> args;
    for (std::string& t : text) args.push_back(t.data());
    if (rte_eal_init(static_cast<int>(args.size()), args.data()) >= 0) return {};
    return Error{rte_errno, fmt::format("EAL did not start: {}", rte_strerror(rte_errno))};
}

}  // namespace umbuf::bench
