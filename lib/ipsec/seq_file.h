// SPDX-License-Identifier: BSD-2-Clause
// seq_file.h - how far a key has come, on disk before it has come so far.
//
// A key that goes on after a restart must not send a number again (S2). So the file says a number that is
// ahead of the last one sent, by a step at a time, and the sender may not go beyond it:
//
//      sent        on disk, and the fence
//      ----|----------------|
//          |<--  <= step -->|
//
// Q1  A number is sent only if a number at least as high was on disk before: fsync, then rename, then the
//     directory's fsync, then the fence.
// Q2  After a crash the key goes on behind what the file says, and the numbers between are lost: a step
//     of 2^20 at 2^32 numbers allows for 4,096 crashes.
// Q3  A file that cannot be believed is refused, never guessed at. It is one line of text:
//
//      umbuf-seq 1 spi 0x00001000 alg aes-gcm-128 last 1048576 sum 2c5b...
//
// One program at a time: the file is locked (flock). Thread: control; SeqKeeper has one of its own.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "lib/base/result.h"
#include "lib/ipsec/replay.h"

namespace umbuf {

inline constexpr uint64_t kSeqStep = uint64_t{1} << 20;  // numbers

class SeqFile {
  public:
    // open - `floor`: numbers up to this one were sent. Without it the file must be there; with it one is
    // made where there is none, and the higher number counts where there is. Error: no such file, damaged,
    // of another SA, in another program's use, writable by everybody, or what the system says.
    [[nodiscard]] static Result<std::unique_ptr<SeqFile>> open(const std::string& path, uint32_t spi, const std::string& algorithm,
                                                               std::optional<uint64_t> floor, uint64_t step = kSeqStep);
    ~SeqFile();
    SeqFile(const SeqFile&) = delete;
    SeqFile& operator=(const SeqFile&) = delete;

    // floor - numbers up to this one may have been sent: what the SendSequence begins with.
    [[nodiscard]] uint64_t floor() const noexcept { return on_disk_; }
    // cover - if less than half a step is left, write a step ahead, and move the fence. Before the first
    // packet, and then often. Error: the disk; the fence stays, and the sender will meet it.
    [[nodiscard]] Status cover(SendSequence& sequence);
    // finish - the sender has stopped: nothing is lost, and nothing can be sent until cover().
    [[nodiscard]] Status finish(SendSequence& sequence);

  private:
    SeqFile(std::string path, uint32_t spi, std::string algorithm, uint64_t step)
        : path_(std::move(path)), spi_(spi), algorithm_(std::move(algorithm)), step_(step) {}
    [[nodiscard]] Status lock();
    [[nodiscard]] Status read();
    [[nodiscard]] Status write(uint64_t last);
    [[nodiscard]] Status replace(const std::string& text);
    [[nodiscard]] std::string line(uint64_t last) const;
    [[nodiscard]] Error failed(const std::string& what, int error) const;

    const std::string path_;
    const uint32_t spi_;
    const std::string algorithm_;
    const uint64_t step_;
    int fd_ = -1;            // locked; -1: there is no file yet
    uint64_t on_disk_ = 0;
    bool covered_ = false;   // this run's fence stands
};

// SeqKeeper - a thread that covers one sequence, as often as a lane could need it.
class SeqKeeper {
  public:
    SeqKeeper(SeqFile& file, SendSequence& sequence);
    ~SeqKeeper() { (void)stop(); }
    SeqKeeper(const SeqKeeper&) = delete;
    SeqKeeper& operator=(const SeqKeeper&) = delete;
    // stop - the thread has ended. The first error that it met.
    [[nodiscard]] Status stop();

  private:
    void run();
    SeqFile& file_;
    SendSequence& sequence_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool end_ = false;  // under mutex_
    Status status_;     // the thread's, until it has ended
    std::jthread thread_;
};

}  // namespace umbuf
