// SPDX-License-Identifier: BSD-2-Clause
// prompt.h - commands typed by a person or read from a file, over DPDK's librte_cmdline.
//
// A command is a line in a table: its grammar in words, its help, its function.
//
//      {"set burst <n:u16>", "packets per burst, 1-512", &set_burst}
//      {"port (start|stop) <port:u16|all>", "...", &port_start_stop}
//
// A word stands for itself; (a|b) is one of them; <name:type> is a value: u16, count (1 to
// 65535), u32, u64, str, mac, u16|all, or rest, which is all that is left; the end may be [optional words], also [one [inside the other]]. grammar.h reads it;
// the shapes become cmdline tokens once, so that completion, history and '?' come from the library.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"
#include "lib/ipsec/secret.h"

namespace umbuf::fwd {

class Book;
class Forwarder;

// The values of one command line, by the names in its grammar. A choice (a|b) is named by position:
// word(0) is the first choice. Asking for what the grammar does not have, or for an optional value
// that was not typed, is a bug, and dies.
struct Args {
    [[nodiscard]] uint64_t number(std::string_view name) const;
    [[nodiscard]] bool is_all(std::string_view name) const;  // <x:u16|all> was "all"
    [[nodiscard]] const std::string& text(std::string_view name) const;
    [[nodiscard]] const std::string& word(size_t i) const;
    [[nodiscard]] bool given(std::string_view name) const;    // an optional word was typed
    std::vector<std::pair<std::string, std::string>> values;  // as typed
    std::vector<std::string> words;
};

struct Session;  // what a command acts on: the forwarder, where to print, whether to quit

struct Command {
    const char* grammar;
    const char* help;
    Status (*run)(Session& session, const Args& args);
};

[[nodiscard]] std::span<const Command> commands() noexcept;  // commands.cc

struct ShownStats {
    uint64_t tsc = 0, rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
};

struct Session {
    Forwarder* forwarder = nullptr;
    bool quit = false;
    std::function<void(const std::string&)> print;  // where a command's output goes
    // load - run a file with the strictness that is in force. Set by the Prompt.
    std::function<Status(const std::string& path)> load;
    // key - what a line had behind the word key, taken out before anybody looked at it (sa_words.h).
    Secret key;
    // book - that SA commands are about, instead of the forwarder's; for tests. now_s: its clock, instead of ipsec_clock_s().
    Book* book = nullptr;
    std::function<uint64_t()> now_s;
    // What `show port stats` printed last, by port, for the rates since then.
    std::map<uint16_t, ShownStats> shown;
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
    // Between two lines it looks at `stop_fd` and ticks, as interact() does; so does "load".
    [[nodiscard]] Status run_file(const std::string& path, bool strict, int stop_fd = -1,
                                  std::function<void()> tick = {});
    // interact - read commands from standard input until quit, end of input, or `stop_fd` is
    // readable (signals; -1: none). `tick` runs about ten times a second. On a terminal a failing
    // command is printed and the next one read; in a pipe, strict returns the first error.
    [[nodiscard]] Status interact(int stop_fd, const std::function<void()>& tick, bool strict);

    // listen - from now on interact() does not only wait for lines: when `fd` is readable, `serve` runs. -1: no more.
    void listen(int fd, std::function<void()> serve);

    Prompt(const Prompt&) = delete;
    Prompt& operator=(const Prompt&) = delete;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace umbuf::fwd
