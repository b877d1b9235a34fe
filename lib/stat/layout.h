// SPDX-License-Identifier: BSD-2-Clause
// layout.h - the segment of shared memory that statistics live in: what is where.
//
//      0          header         who writes, since when, how far
//      directory  entry, entry   what there is: name, unit, labels, and where its cells are
//      cells      u64, u64, ...  the numbers themselves, where their writers count
//
// A number is counted where it is read: nobody copies it, so a program that hangs or was killed is as
// readable as one that runs. What a number means is told by its entry, so a reader needs no header of
// the writer's version: it takes the names that it knows, and can show those that it does not.
//
// L1  magic is written last, with release; before that there is no segment.
// L2  An entry is read between two loads of `turn`, equal and even; the writer makes it odd while it
//     changes the rest. Entries are used again, by other numbers.
// L3  A cell has one writer, who stores it whole. It is read with one load. A counter only grows, until
//     2^64; a gauge is what it is.
// L4  Fields are only ever appended to the header and to entries, whose sizes are in the header. A
//     change of meaning is another abi, which older readers refuse by number.
//
// No pointer is in here, and nothing is believed by a reader that it has not compared with the size of
// the file (reader.h).
#pragma once
#include <cstddef>
#include <cstdint>

#include "lib/base/sync.h"

namespace umbuf::stat {

inline constexpr uint64_t kMagic = 0x0a54'4154'5346'4d55;  // "UMFSTAT\n"
inline constexpr uint32_t kAbi = 1;

// State - of the program that writes. A program that died says `running`; its process says more.
enum class State : uint32_t { starting = 1, running = 2, stopped = 3, ended = 4 };

struct Header {
    sync::atomic<uint64_t> magic;       // L1
    uint32_t abi;
    uint32_t header_bytes;
    uint64_t segment_bytes;
    uint64_t generation;                // another for each program that was ever started here
    uint64_t started_ns;                // CLOCK_REALTIME
    uint32_t pid;
    uint32_t entry_bytes;
    uint64_t directory;                 // offset of the first entry
    uint32_t most_entries;
    sync::atomic<uint32_t> entries;     // used so far; those that went are among them. Release
    sync::atomic<uint64_t> beat_ns;     // CLOCK_REALTIME: the writer's control thread was alive then
    sync::atomic<uint32_t> state;       // State
    sync::atomic<uint32_t> unlisted;    // blocks that found no place: numbers that nobody can read
    uint64_t pid_started;               // field 22 of /proc/PID/stat: a pid alone may be another's by now
    char program[32];                   // these three end in 0
    char version[32];
    char prefix[64];
    uint64_t reserved[5];               // 0
};
static_assert(sizeof(Header) == 256);

// Kind - how a reader adds up and takes rates.
enum class Kind : uint32_t {
    counter = 1,    // grows
    gauge = 2,      // is now
    peak = 3,       // was at most
    limit = 4,      // can be at most; 0 is none
    histogram = 5,  // cell i: how many had the value i. Grows
};

inline constexpr size_t kNameBytes = 48, kUnitBytes = 16, kLabelBytes = 96, kHelpBytes = 128;

// Text - words, so that a reader may meet a writer (L2). Ends in 0, all behind is 0.
template <size_t kBytes>
struct Text {
    sync::atomic<uint64_t> words[kBytes / 8];
};

struct Entry {
    sync::atomic<uint32_t> turn;        // L2
    sync::atomic<uint32_t> kind;        // Kind; 0: gone
    sync::atomic<uint64_t> at;          // offset of the first cell, a multiple of 8
    sync::atomic<uint64_t> cells;       // 1, but for histograms
    uint64_t reserved;
    Text<kNameBytes> name;              // snake_case: zone_in_use
    Text<kUnitBytes> unit;              // "packets", "bytes", "mbufs"
    Text<kLabelBytes> labels;           // "zone=um_cl2k_0,lcore=3": of which thing
    Text<kHelpBytes> help;              // one sentence
};
static_assert(sizeof(Entry) == 320 && sizeof(sync::atomic<uint64_t>) == 8);

}  // namespace umbuf::stat
