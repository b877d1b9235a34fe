// SPDX-License-Identifier: BSD-2-Clause
// child.h - a program that we start, type commands into, read from, and end.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"

namespace umbuf::bench {

// Finds a number in text that may still be growing; nothing while it is not there yet.
using Parse = std::function<std::optional<uint64_t>(std::string_view text)>;

// One thread only. The program is ended, at the latest, by the destructor: asked (SIGTERM), then made
// to (SIGKILL), always by its own pid.
class Child {
  public:
    // spawn - run argv[0], looked up in PATH. Error: why it could not be started.
    static Result<Child> spawn(const std::vector<std::string>& argv);
    Child(Child&& other) noexcept;
    Child& operator=(Child&& other) noexcept;
    ~Child();

    // send - one command line. Error: the program is gone.
    [[nodiscard]] Status send(const std::string& line);
    // ask - send a line and wait for the number that `parse` finds in what is printed from then on.
    // Error: the program ended, with its last words; or it did not answer in time; or we were
    // interrupted.
    [[nodiscard]] Result<uint64_t> ask(const std::string& line, double timeout_s, const Parse& parse);
    // wait_exit - it was told to end; give it that long. Error: it did not, or with what status.
    [[nodiscard]] Status wait_exit(double timeout_s);
    // wait - let time pass while its output is read. Error: it ended meanwhile, or an interrupt.
    [[nodiscard]] Status wait(double seconds);

    [[nodiscard]] const std::string& output() const noexcept { return output_; }

  private:
    Child() = default;
    // Reads until `done`, the time, the end of its output or an interrupt. True: done.
    [[nodiscard]] Result<bool> read_until(double timeout_s, const std::function<bool()>& done);
    [[nodiscard]] Error last_words(const std::string& what) const;
    void end() noexcept;

    std::string name_;
    std::string output_;
    pid_t pid_ = -1;  // -1: none, or already collected
    int in_ = -1, out_ = -1;
};

// interrupts - block SIGINT and SIGTERM and make them readable, so that every wait above returns
// with an Error and the destructors end the children. Once, from main().
void catch_interrupts();

}  // namespace umbuf::bench
