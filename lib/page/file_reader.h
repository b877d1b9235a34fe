// SPDX-License-Identifier: BSD-2-Clause
// file_reader.h - a thread that fills cache pages from files, and says when each is ready, or never will be.
//
// Whoever wants a page filled writes a Fill and gives it to read(), which does not wait, calls the kernel
// only if the thread sleeps (one write to an eventfd), and is for lcores. The thread does all I/O and all
// that can go wrong with it:
//
//      short read         go on behind it (counted)
//      end of file        before what the file had when it was opened: failed (EIO), counted as truncated
//      EINVAL, direct     the file system does not like this one: the file is read otherwise from then on
//      any other error    failed, counted
//
// F1  page_ready() or page_failed() is the thread's last look at a Fill, and comes exactly once.
// F2  A page's bytes come from one file at one time each; a file that somebody writes to meanwhile may be
//     seen half changed, as by any reader.
#pragma once
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/page/input_file.h"
#include "lib/page/page.h"
#include "lib/page/read_backend.h"
#include "lib/stat/segment.h"

namespace umbuf {

// Fill - [offset, offset + bytes) of a file, to the beginning of a page that is filling. The offset is a
// multiple of kFrame, and the page has room for the bytes rounded up to one. The giver's, and left
// alone, until the page is not filling any more (F1).
struct Fill {
    const InputFile* file = nullptr;
    uint64_t offset = 0;
    uint32_t bytes = 0;
    Page* page = nullptr;

    uint32_t done = 0;    // the reader's
    bool direct = false;  // the reader's
    ReadOp op{};          // the backend's
};

struct ReaderStats {  // one writer, the thread
    sync::Counter reads, bytes, short_reads, truncated, errors, direct_refused;
};
struct ReaderCounters {
    uint64_t reads;         // that the kernel was asked for
    uint64_t bytes;         // that came
    uint64_t short_reads;   // fewer bytes than asked for, and the file did not end there
    uint64_t truncated;     // pages whose file had become shorter
    uint64_t errors;        // pages that failed for another reason
    uint64_t direct_refused;
};

class FileReader {
  public:
    // open - with the best backend there is: io_uring, or pread and a note that says why. `most`: Fills
    // at once. The arena is open, and stays it. Control thread.
    static Result<std::unique_ptr<FileReader>> open(uint32_t most);
    static Result<std::unique_ptr<FileReader>> open(uint32_t most, std::unique_ptr<ReadBackend> backend);
    // What was asked for is read first.
    ~FileReader();
    FileReader(const FileReader&) = delete;
    FileReader& operator=(const FileReader&) = delete;

    // read - begin. Any thread, but one at a time: the caller has a lock or is alone.
    void read(Fill& fill) noexcept;
    [[nodiscard]] ReaderCounters counters() const noexcept;
    [[nodiscard]] const char* backend_name() const noexcept { return backend_->name(); }
    // notes - what was done without, and why; one line each.
    [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }

  private:
    FileReader(uint32_t most, std::unique_ptr<ReadBackend> backend);
    void run() noexcept;
    void take_new() noexcept;
    [[nodiscard]] bool may_sleep() noexcept;
    void begin(Fill& fill) noexcept;
    void done(Fill& fill) noexcept;
    void finish(Fill& fill, sync::Counter* failed) noexcept;

    // Locks:  I immutable   g the giver's   r the thread's   a atomic
    std::vector<std::string> notes_;                    // [I]
    std::unique_ptr<ReadBackend> backend_;              // [I] used by [r]
    uint32_t mask_;                                     // [I] slots of the ring below, less 1
    std::unique_ptr<Fill*[]> ring_;                     // [g] from tail_ on, [r] up to it
    alignas(64) sync::atomic<uint32_t> given_{0};       // [a] written by [g]
    alignas(64) sync::atomic<uint32_t> taken_{0};       // [a] written by [r]
    sync::atomic<bool> asleep_{false};                  // [a] or about to be: wake it
    sync::atomic<bool> stop_{false};                    // [a]
    uint32_t under_way_ = 0;                            // [r]
    const stat::Box<ReaderStats> stats_;                // [r]
    std::thread thread_;                                // [I]
};

}  // namespace umbuf
