// SPDX-License-Identifier: BSD-2-Clause
// seq_file.cc - one line of text, replaced whole.
#include "lib/ipsec/seq_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>

namespace umbuf {
namespace {

constexpr auto kPeriod = std::chrono::milliseconds(5);  // half a step of 2^20 lasts 50 ms at 10 Mpps
constexpr size_t kMostText = 512;

// FNV-1a: against accidents, not against people, who could write any line they like.
uint64_t sum_of(std::string_view text) noexcept {
    uint64_t sum = 0xcbf29ce484222325;
    for (const char c : text) sum = (sum ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    return sum;
}

std::string hex(uint64_t n, size_t digits) {
    char text[16];
    const auto [end, error] = std::to_chars(text, text + sizeof(text), n, 16);
    const std::string number(text, end);
    return std::string(digits > number.size() ? digits - number.size() : 0, '0') + number;
}

bool put(int fd, std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
}

std::string folder_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Error SeqFile::failed(const std::string& what, int error) const {
    return Error{error, "the sequence file " + path_ + ": " + what + ": " + std::strerror(error)};
}

std::string SeqFile::line(uint64_t last) const {
    const std::string text = "umbuf-seq 1 spi 0x" + hex(spi_, 8) + " alg " + algorithm_ + " last " + std::to_string(last);
    return text + " sum " + hex(sum_of(text), 16) + "\n";
}

// lock - the file that the path names now. A writer renames over it, so the lock may be on what was there
// before: then again.
Status SeqFile::lock() {
    for (;;) {
        fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
        if (fd_ < 0 && errno == ENOENT) return {};
        if (fd_ < 0) return failed("cannot be opened", errno);
        if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK) return Error{EBUSY, "the sequence file " + path_ + " is in use: another program sends with this key, and two would use the same numbers"};
            return failed("cannot be locked", errno);
        }
        struct stat mine {}, there {};
        if (fstat(fd_, &mine) != 0) return failed("cannot be looked at", errno);
        const bool same = stat(path_.c_str(), &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
        if (same && (mine.st_mode & S_IWOTH) != 0)
            return Error{EPERM, "the sequence file " + path_ + " is writable by everybody, who could turn the numbers back: chmod o-w " + path_};
        if (same) return {};
        close(fd_);
    }
}

Status SeqFile::read() {
    char text[kMostText];
    const ssize_t got = pread(fd_, text, sizeof(text), 0);
    if (got < 0) return failed("cannot be read", errno);
    const std::string_view all(text, static_cast<size_t>(got));
    const std::string begin = "umbuf-seq 1 spi 0x" + hex(spi_, 8) + " alg " + algorithm_ + " last ";
    uint64_t last = 0;
    const size_t at = all.find(" last ");
    if (at != std::string_view::npos) std::from_chars(text + at + 6, text + got, last);
    // Whose it is can be believed if the sum is right.
    const size_t sum_at = all.rfind(" sum ");
    const bool whole = at != std::string_view::npos && sum_at != std::string_view::npos && all.substr(sum_at) == " sum " + hex(sum_of(all.substr(0, sum_at)), 16) + "\n";
    if (whole && all.substr(0, at + 6) != begin)
        return Error{EINVAL, "the sequence file " + path_ + " is of another SA: it says '" + std::string(all.substr(0, at)) + "'"};
    if (!whole || all != line(last))
        return Error{EILSEQ, "the sequence file " + path_ + " is damaged, and nobody can tell how far the key has come: use a new key, or remove "
                             "the file and give a floor that is above every number that was ever sent"};
    on_disk_ = last;
    return {};
}

Status SeqFile::replace(const std::string& text) {
    const std::string fresh = path_ + ".new";
    const int fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return failed("cannot make " + fresh, errno);
    const bool written = flock(fd, LOCK_EX | LOCK_NB) == 0 && put(fd, text) && fsync(fd) == 0 && rename(fresh.c_str(), path_.c_str()) == 0;
    int error = written ? 0 : errno;
    if (error == 0) {
        const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0 || fsync(folder) != 0) error = errno;
        if (folder >= 0) close(folder);
    }
    if (!written) {
        close(fd);
        return failed("cannot be written", error);
    }
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
    if (error != 0) return failed("its folder cannot be written", error);
    return {};
}

Status SeqFile::write(uint64_t last) {
    if (const Status written = replace(line(last)); !written) return written;
    on_disk_ = last;
    return {};
}

Result<std::unique_ptr<SeqFile>> SeqFile::open(const std::string& path, uint32_t spi, const std::string& algorithm, std::optional<uint64_t> floor,
                                               uint64_t step) {
    std::unique_ptr<SeqFile> file(new SeqFile(path, spi, algorithm, step));
    if (const Status locked = file->lock(); !locked) return locked.error();
    if (file->fd_ >= 0) {
        if (const Status known = file->read(); !known) return known.error();
    } else if (!floor.has_value()) {
        return Error{ENOENT, "the sequence file " + path + " is not there, and nobody remembers how far the key has come: give a floor once, 0 for a "
                             "key that was never used, and the file is made"};
    }
    if (const uint64_t known = std::max(file->on_disk_, floor.value_or(0)); file->fd_ < 0 || known != file->on_disk_)
        if (const Status written = file->write(known); !written) return written.error();
    return file;
}

SeqFile::~SeqFile() {
    if (fd_ >= 0) close(fd_);
}

Status SeqFile::cover(SendSequence& sequence) {
    const uint64_t last = sequence.last();
    UM_ASSERT(last <= on_disk_ || !covered_);  // Q1
    if (covered_ && on_disk_ - last >= step_ / 2) return {};
    if (!covered_) sequence.fence(last);
    const uint64_t ahead = last > UINT64_MAX - step_ ? UINT64_MAX : last + step_;
    if (const Status written = write(std::max(ahead, on_disk_)); !written) return written;
    sequence.fence(on_disk_);
    covered_ = true;
    return {};
}

Status SeqFile::finish(SendSequence& sequence) {
    sequence.fence(0);
    covered_ = false;
    return write(sequence.last());
}

SeqKeeper::SeqKeeper(SeqFile& file, SendSequence& sequence) : file_(file), sequence_(sequence), thread_([this] { run(); }) {}

void SeqKeeper::run() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kPeriod, [this] { return end_; })) {
        const Status covered = file_.cover(sequence_);
        if (!covered && status_) status_ = covered;  // a disk that is full now may not be later
    }
}

Status SeqKeeper::stop() {
    {
        const std::lock_guard lock(mutex_);
        end_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    return status_;
}

}  // namespace umbuf
