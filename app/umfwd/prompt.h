// SPDX-License-Identifier: BSD-2-Clause
// prompt.h - commands typed by a person or read from a file, over DPDK's librte_cmdline.
//
// A command is a line in a table: its grammar in words, its help, its function.
//
//      {"set burst <n:u16>", "packets per burst, 1-512", &set_burst}
//      {"port (start|stop) <port:u16|all>", "...", &port_start_stop}
//
// A word stands for itself; (a|b) is one of them; <name:type> is a value: u16, u32, str, mac, or
// u16|all; the last word may be [optional words]. The grammar is compiled to cmdline tokens once,
// so that completion, history and "help" come from the library.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"

namespace umbuf::fwd {

class Forwarder;

// The values of one command line, by the names in its grammar. A choice (a|b) is named by position:
// word(0) is the first choice.
struct Args {
    [[nodiscard]] uint64_t number(std::string_view name) const;      // dies: no such name in the grammar
    [[nodiscard]] bool is_all(std::string_view name) const;          // <x:u16|all> was "all"
    [[nodiscard]] const std::string& text(std::string_view name) const;
    [[nodiscard]] const std::string& word(size_t i) const;
    [[nodiscard]] bool given(std::string_view name) const;           // an optional value was typed
    std::vector<std::pair<std::string, std::string>> values;         // as typed
    std::vector<std::string> words;
};

struct Session;  // what a command acts on: the forwarder, where to print, whether to quit

struct Command {
    const char* grammar;
    const char* help;
    Status (*run)(Session& session, const Args& args);
};

[[nodiscard]] std::span<const Command> commands() noexcept;  // commands.cc

struct Session {
    Forwarder* forwarder = nullptr;
    bool quit = false;
    std::function<void(const std::string&)> print;  // where a command's output goes
};

class Prompt {
  public:
    // The table must compile: a bad grammar is a bug, and dies with the line.
    Prompt(std::span<const Command> table, Session& session);
    ~Prompt();

    // execute - one line. Error: which word was not understood, and what would have been.
    [[nodiscard]] Status execute(const std::string& line);
    // run_file - each line of a file; '#' starts a comment. strict: stop at the first error, which
    // is returned with file and line; else errors are printed and the rest runs (as testpmd does).
    [[nodiscard]] Status run_file(const std::string& path, bool strict);
    // interact - read commands from standard input until quit, end of input, or `stop_fd` is
    // readable (signals). `tick` runs about ten times a second. Terminal or pipe.
    [[nodiscard]] Status interact(int stop_fd, const std::function<void()>& tick, bool strict);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace umbuf::fwd
