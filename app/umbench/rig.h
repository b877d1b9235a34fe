// SPDX-License-Identifier: BSD-2-Clause
// rig.h - what a measurement stands on: forwarders in processes of their own, and what is between them.
//
// One thread only. Programs speak testpmd's words, so one command line serves umfwd and testpmd.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "app/umbench/child.h"
#include "lib/base/result.h"

namespace umbuf::bench {

inline constexpr double kAnswer_s = 20;  // a program may start slowly on a busy machine

struct Program {
    std::string path;  // with "testpmd" in its file name: testpmd, else umfwd
    [[nodiscard]] bool is_testpmd() const;
    [[nodiscard]] std::string name() const;  // the file's
};

// TempDir - a folder of our own for sockets, removed with everything in it. Empty path: not to be had.
class TempDir {
  public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  private:
    std::filesystem::path path_;
};

// allowed_cpus - the processors that we may use; at least one.
[[nodiscard]] std::vector<unsigned> allowed_cpus();
// memory_text - what kind of memory the programs get here, for the report.
[[nodiscard]] std::string memory_text();

// forward_args - what a forwarder is told after "--", in words that both programs know. loop: each
// port sends back what it receives.
[[nodiscard]] std::vector<std::string> forward_args(const Program& program, const std::string& mode,
                                                    unsigned burst, bool loop);
// launch - start it: its forwarding lcore on `cpu`, a file prefix by its role, these devices. Error:
// why it could not be started.
[[nodiscard]] Result<Child> launch(const Program& program, const std::string& role, unsigned cpu,
                                   const std::vector<std::string>& vdevs,
                                   const std::vector<std::string>& forward);
// wait_for_socket - until the program listens there. Error: it ended, or did not in kAnswer_s.
[[nodiscard]] Status wait_for_socket(Child& child, const std::filesystem::path& path);
// start_peer - the generator at the other end of vhost sockets: flows of packets into each of them.
// It offers more than is taken, so that the forwarder is what is measured. `more`: further options.
[[nodiscard]] Result<Child> start_peer(const Program& program,
                                       const std::vector<std::filesystem::path>& sockets,
                                       unsigned cpu, const std::vector<std::string>& more);

struct Sample {
    uint64_t packets;
    std::chrono::steady_clock::time_point when;
};
// sample - how many packets a program says that it has sent. Error: it does not answer.
[[nodiscard]] Result<Sample> sample(Child& child);
// run_for - count from after the warm-up for so many seconds. The forwarding has stopped then.
[[nodiscard]] Status run_for(Child& umfwd, double warm_up, double seconds);
// leave - stop forwarding and end. Error: it did not, or with what status.
[[nodiscard]] Status leave(Child& child);

}  // namespace umbuf::bench
