// SPDX-License-Identifier: BSD-2-Clause
// read_backend.h - how bytes of a file get into cache pages: two ways, and those of tests.
//
//      io_uring   many reads at once; the kernel holds the pages, so this process has no address that
//                 may write them (P2)
//      pread      one after the other, through a mapping that lives as long as the backend: for where
//                 io_uring is not to be had
//
// A backend reads what it is told and says what came of it; what a short read or an error means is
// for file_reader.h. Thread: the reader's own, which may block in wait(); wake() is for any.
#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "lib/base/result.h"
#include "lib/page/page.h"

namespace umbuf {

// ReadOp - one read: [offset, offset + bytes) of the file, to byte `at` of the page and on.
struct ReadOp {
    int fd;
    uint64_t offset;
    const Page* page;
    uint32_t at;
    uint32_t bytes;
    int32_t result;  // bytes that were read, fewer at the file's end or when it likes; or -errno
};

class ReadBackend {
  public:
    static constexpr uint32_t kDepth = 64;  // reads at once

    virtual ~ReadBackend() = default;  // none is under way
    [[nodiscard]] virtual const char* name() const noexcept = 0;
    // begin - start it; the op is the backend's until wait() gives it back. At most kDepth at once.
    virtual void begin(ReadOp& op) noexcept = 0;
    // wait - until something is done or wake() was called, which counts when it came before, too. Returns
    // how many ops it put into `done`, which may be none.
    [[nodiscard]] virtual uint32_t wait(std::span<ReadOp*> done) noexcept = 0;
    // wake - end a wait, the next one if there is none now. Any thread; never blocks.
    virtual void wake() noexcept = 0;
};

// Error: what the kernel refused. The arena is open, and stays it for as long as the backend lives.
[[nodiscard]] Result<std::unique_ptr<ReadBackend>> uring_backend();
[[nodiscard]] Result<std::unique_ptr<ReadBackend>> pread_backend();

}  // namespace umbuf
