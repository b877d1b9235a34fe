// SPDX-License-Identifier: BSD-2-Clause
// eal_args.h - the few EAL options that decide whether DPDK can start, as the user gave them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace umbuf {

struct EalArgs {
    bool no_huge = false, in_memory = false, help = false, log_level = false;
    uint64_t memory_mb = 0;             // -m; 0: not given
    std::string huge_dir, file_prefix;  // empty: not given
    std::vector<std::string> vdevs, allowed, plugins;

    static EalArgs of(int argc, char** argv);
};

// why_no_eal - one sentence on why rte_eal_init() failed: the arguments, its rte_errno, what it
// said.
[[nodiscard]] std::string why_no_eal(const EalArgs& args, int code, std::string_view said);

}  // namespace umbuf
