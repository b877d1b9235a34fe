// SPDX-License-Identifier: BSD-2-Clause
// input_file.cc - a file, opened once for reads of any length and once for those that are direct.
#include "lib/page/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace umbuf {
namespace {

sync::atomic<uint64_t> opened{0};

Error cannot(const std::string& path, int error, const char* why) { return {error, path + ": cannot be read: " + why}; }

}  // namespace

Result<std::unique_ptr<InputFile>> InputFile::open(const std::string& path) {
    std::unique_ptr<InputFile> file(new InputFile);
    file->id_ = opened.fetch_add(1, sync::relaxed) + 1;
    file->path_ = path;
    // O_NONBLOCK: a FIFO is refused below, and must not keep us here until somebody writes to it.
    file->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd_ < 0) return cannot(path, errno, std::strerror(errno));
    struct stat what {};
    if (fstat(file->fd_, &what) != 0) return cannot(path, errno, std::strerror(errno));
    if (S_ISDIR(what.st_mode)) return cannot(path, EISDIR, std::strerror(EISDIR));
    if (!S_ISREG(what.st_mode)) return cannot(path, EINVAL, "it is no regular file");
    // With it left on, io_uring would answer EAGAIN instead of waiting for the disk.
    if (fcntl(file->fd_, F_SETFL, 0) != 0) return cannot(path, errno, std::strerror(errno));
    file->size_ = static_cast<uint64_t>(what.st_size);
    // The name may mean another file by now, so the direct one is opened by what we have.
    const std::string same = "/proc/self/fd/" + std::to_string(file->fd_);
    file->direct_fd_ = ::open(same.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    file->direct_ok_.store(file->direct_fd_ >= 0, sync::relaxed);
    return file;
}

InputFile::~InputFile() {
    if (fd_ >= 0) ::close(fd_);
    if (direct_fd_ >= 0) ::close(direct_fd_);
}

}  // namespace umbuf
