// SPDX-License-Identifier: BSD-2-Clause
// reader.h - the reader's side: a look at somebody's numbers, which he does not notice.
//
// D1  The file is mapped read-only. Nothing is asked of the writer: no lock, no message, no wait. One who
//     hangs, was stopped or was killed is read like one who runs.
// D2  Nothing in the file is believed: each offset and count is compared with the size that the file has,
//     each text is cut where it must end. A file that is cut off while it is read is an Error (the signal
//     is caught), not a crash.
// D3  A number that is being changed (L2) is left out of this sample. All others are whole.
//
// Thread: a Reader belongs to one. Any number of processes may read.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/stat/layout.h"
#include "lib/stat/process.h"

namespace umbuf::stat {

struct Number {
    std::string name, unit, labels, help;
    Kind kind;
    std::vector<uint64_t> cells;  // one, but for histograms
    [[nodiscard]] uint64_t value() const noexcept { return cells.empty() ? 0 : cells[0]; }
    // label - of this key; empty: there is none.
    [[nodiscard]] std::string label(std::string_view key) const;
};

// Life - of the writer, when the sample was taken.
enum class Life : uint8_t {
    starting,
    running,
    stopped,  // alive, not forwarding
    hung,     // alive, but its control thread has not beaten for kHungAfter_ns
    ended,    // in order
    died,     // not in order: there is no such process any more
};
inline constexpr uint64_t kHungAfter_ns = 2'000'000'000;
[[nodiscard]] const char* name_of(Life life) noexcept;

struct Sample {
    std::string program, version, prefix;
    uint32_t pid = 0;
    uint64_t generation = 0;
    uint64_t started_ns = 0, beat_ns = 0;  // CLOCK_REALTIME
    uint64_t taken_ns = 0;                 // CLOCK_REALTIME
    Life life = Life::died;
    uint32_t unlisted = 0;                 // blocks of numbers that found no place
    uint32_t skipped = 0;                  // numbers that were being changed, or make no sense
    std::vector<Number> numbers;           // in the order of the directory
    uint64_t directory = 0;                // the same: the same names and labels, in the same order; 0: none

    // find - the first with this name and these labels, all of which it must have ("zone=a"); null: none.
    [[nodiscard]] const Number* find(std::string_view name, std::string_view label = {}) const noexcept;
    // sum - of the values of all with this name, of the counters and gauges that have `label`.
    [[nodiscard]] uint64_t sum(std::string_view name, std::string_view label = {}) const noexcept;
};

class Reader {
  public:
    // open - Error: no such file, or no right to read it, or what is in it and what was expected.
    [[nodiscard]] static Result<Reader> open(const std::string& path);
    Reader(Reader&& other) noexcept;
    Reader& operator=(Reader&& other) noexcept;
    ~Reader();

    // sample - all numbers, now. Error: the file is not what it was (cut off, or damaged). A Sample that is
    // used again costs no more than the cells, as long as the directory does not change.
    [[nodiscard]] Status sample(Sample& to);
    // replaced - another program has put its file in this one's place: open() again.
    [[nodiscard]] bool replaced() const;

  private:
    Reader() = default;
    void let_go() noexcept;

    struct Seen;  // an entry as it was last read
    std::string path_;
    const std::byte* base_ = nullptr;
    size_t bytes_ = 0;
    uint64_t device_ = 0, inode_ = 0;
    std::vector<Seen> seen_;
    std::vector<bool> shown_;   // of seen_: in the last sample
    uint64_t directory_ = 0;    // Sample::directory of that
    Process writer_;
    uint64_t generation_ = 0;   // writer_'s; 0: not looked for yet
};

}  // namespace umbuf::stat
