// SPDX-License-Identifier: BSD-2-Clause
// readers.h - what does it cost the forwarder that its statistics are read, and how long does a look take?
//
// Method. One umfwd forwards all the while, on a processor of its own. In each round it is watched for some
// seconds with each number of readers, in turn; who is first changes from round to round. Readers are
// threads of one other process, on the other processors, each of which samples all numbers so many times a
// second as umstat does. A round gives one ratio to its own part without readers; the median is the answer.
//
// Readers make a machine busy, whatever they read. So each number of them also reads a copy of the file,
// which shares no cache line with the forwarder: the ratio of the two parts is what its being read costs it.
// And packets are counted per second that the forwarder's thread was on its processor, which is as long as
// the part only where nobody else wants that processor.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "app/umbench/rig.h"
#include "lib/base/result.h"

namespace umbuf::bench {

struct ReadersPlan {
    Program umfwd;
    std::string self;                            // umbench, for the process of the readers
    std::string vdev = "null", mode = "io";
    std::vector<unsigned> readers = {0, 1, 50};  // 0 is always there
    unsigned hertz = 1000;
    unsigned rounds = 5;
    double seconds = 1;                          // of each part
    double warm_up = 0.5;                        // of the forwarder, and then of each set of readers
    unsigned burst = 32;
};

struct ReadersRow {
    unsigned readers = 0;
    bool of_copy = false;
    std::vector<double> mpps;           // by round, as all here: per second of CPU time
    std::vector<double> ratios;         // to none in the same round
    std::vector<double> to_copy;        // to as many readers of the copy; of a row of_copy: none
    std::vector<double> samples_hz;     // by round: samples a second, of all readers
    double longest_ms = 0;              // of any sample of any round
};

// measure_readers - `progress` gets one line per round. Error: what could not be run, and what it said.
[[nodiscard]] Result<std::vector<ReadersRow>> measure_readers(const ReadersPlan& plan,
                                                              const std::function<void(const std::string&)>& progress);
// readers_table - for people; readers_json - an array of {readers, copy, mpps, ratio, ratio_min, ratio_max,
// ratio_mad, to_copy, to_copy_min, to_copy_max, to_copy_mad, samples_per_s, longest_ms, rounds}; to_* are null where
// there is no copy to compare with.
[[nodiscard]] std::string readers_table(const ReadersPlan& plan, const std::vector<ReadersRow>& rows);
[[nodiscard]] std::string readers_json(const std::vector<ReadersRow>& rows);

// be_readers - the other process: read `path` until standard input ends. It answers the lines "samples"
// and "longest" (microseconds) with "= n;". Error: the file cannot be read.
[[nodiscard]] Status be_readers(const std::string& path, unsigned readers, unsigned hertz, unsigned not_on_cpu);

}  // namespace umbuf::bench
