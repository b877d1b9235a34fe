// SPDX-License-Identifier: BSD-2-Clause
// input_file.h - a file that is read into pages: how long it was when it was opened, and how to read it.
//
// The size at the opening stands: a file that grows is served up to it, one that was cut shorter ends in
// an error (file_reader.h), one whose name is removed is still read. Nothing is written.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "lib/base/result.h"
#include "lib/base/sync.h"

namespace umbuf {

class InputFile {
  public:
    // open - a regular file. Error: what is wrong with it. Any thread.
    static Result<std::unique_ptr<InputFile>> open(const std::string& path);
    ~InputFile();
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    // id - of this opening, never used again: what a cache knows it by.
    [[nodiscard]] uint64_t id() const noexcept { return id_; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] uint64_t size() const noexcept { return size_; }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    // direct_fd - for reads that bypass the kernel's own page cache (O_DIRECT): whole frames, at whole
    // frames. -1: the file system does not do that, or refused one.
    [[nodiscard]] int direct_fd() const noexcept { return direct_ok_.load(sync::relaxed) ? direct_fd_ : -1; }
    void refuse_direct() const noexcept { direct_ok_.store(false, sync::relaxed); }

  private:
    InputFile() = default;
    uint64_t id_ = 0;                              // [I]
    std::string path_;                             // [I]
    uint64_t size_ = 0;                            // [I]
    int fd_ = -1, direct_fd_ = -1;                 // [I]
    mutable sync::atomic<bool> direct_ok_{false};  // [a]
};

}  // namespace umbuf
