// SPDX-License-Identifier: BSD-2-Clause
// file_fixture.h - files to be read into pages, and a disk that misbehaves when told to.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>

#include "lib/page/page_cache.h"
#include "tests/unit/page_fixture.h"

namespace umbuf::test {

// NamelessFile - a file with these bytes, and without a name, so that nothing is left of it.
class NamelessFile {
  public:
    explicit NamelessFile(const std::string& bytes) {
        std::string name = "umbuf_test_XXXXXX";  // here, not in /tmp: that may be a file system in memory
        fd_ = mkstemp(name.data());
        if (fd_ < 0 || ::unlink(name.c_str()) != 0 || ::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
            ADD_FAILURE() << name << ": " << std::strerror(errno);
    }
    ~NamelessFile() { ::close(fd_); }
    NamelessFile(const NamelessFile&) = delete;
    NamelessFile& operator=(const NamelessFile&) = delete;
    [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
    void put(uint64_t at, const std::string& bytes) const {
        ASSERT_EQ(::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at)), static_cast<ssize_t>(bytes.size()));
    }
    void cut(uint64_t bytes) const { ASSERT_EQ(::ftruncate(fd_, static_cast<off_t>(bytes)), 0); }

  private:
    int fd_ = -1;
};

// BadDisk - a mock of a disk: reads complete in the order, at the time and with the result that the test
// says, on the reader's thread. What it is not told otherwise, it reads at once and right.
class BadDisk : public ReadBackend {
  public:
    struct Fate {
        uint32_t most = UINT32_MAX;  // bytes at once
        int error = 0;               // or this errno instead
    };
    BadDisk() : window_(FillWindow::open().value()) {}
    [[nodiscard]] const char* name() const noexcept override { return "mock"; }
    void begin(ReadOp& op) noexcept override {
        const std::lock_guard locked(lock_);
        (held_ ? waiting_ : due_).push_back(&op);
        begun_.notify_all();
    }
    [[nodiscard]] uint32_t wait(std::span<ReadOp*> done) noexcept override {
        std::unique_lock locked(lock_);
        event_.wait(locked, [this] { return woken_ || !due_.empty(); });
        woken_ = false;
        if (due_.empty()) return 0;
        done[0] = due_.front();
        due_.pop_front();
        finish(*done[0]);
        return 1;
    }
    void wake() noexcept override {
        const std::lock_guard locked(lock_);
        woken_ = true;
        event_.notify_all();
    }

    // ---- the test's side
    // hold - nothing completes by itself from now on.
    void hold() { held_ = true; }
    void fate(uint64_t offset, Fate f) { fates_.emplace_back(offset, f); }  // of the next read there
    // release - complete the read at this offset, once it has begun.
    void release(uint64_t offset) {
        std::unique_lock locked(lock_);
        begun_.wait(locked, [&] { return at(offset) != waiting_.end(); });
        due_.push_back(*at(offset));
        waiting_.erase(at(offset));
        event_.notify_all();
    }
    void release_all() {
        const std::lock_guard locked(lock_);
        held_ = false;
        for (ReadOp* op : waiting_) due_.push_back(op);
        waiting_.clear();
        event_.notify_all();
    }

  private:
    std::deque<ReadOp*>::iterator at(uint64_t offset) {
        return std::find_if(waiting_.begin(), waiting_.end(), [offset](const ReadOp* op) { return op->offset == offset; });
    }
    void finish(ReadOp& op) {
        Fate f;
        for (auto it = fates_.begin(); it != fates_.end(); ++it)
            if (it->first == op.offset) {
                f = it->second;
                fates_.erase(it);
                break;
            }
        const ssize_t n = ::pread(op.fd, window_.at(op.page) + op.at, op.bytes, static_cast<off_t>(op.offset));
        op.result = static_cast<int32_t>(f.error != 0 ? -f.error : n < 0 ? -errno : std::min<ssize_t>(n, f.most));
    }
    FillWindow window_;
    std::mutex lock_;
    std::condition_variable event_, begun_;
    bool held_ = false, woken_ = false;
    std::deque<ReadOp*> waiting_, due_;
    std::deque<std::pair<uint64_t, Fate>> fates_;
};

// A cache of eight pages of 8 KiB over a reader of the test's choice.
class FileTest : public PageTest {
  protected:
    static constexpr uint32_t kUnit = 8192, kPages = 8;
    void SetUp() override {
        ArenaConfig c = config();
        c.cache = {kPages, kUnit};
        PageTest::open(c);
    }
    void TearDown() override {
        stop();
        PageTest::TearDown();
    }
    void start(Result<std::unique_ptr<FileReader>> made, uint32_t pages = kPages) {
        ASSERT_TRUE(made.ok()) << made.error().text;
        reader_ = std::move(made).value();
        cache_ = PageCache::open(*reader_, pages).value();
    }
    void start(uint32_t pages = kPages) { start(FileReader::open(kPages), pages); }
    BadDisk& start_with_bad_disk() {
        auto disk = std::make_unique<BadDisk>();
        BadDisk& it = *disk;
        start(FileReader::open(kPages, std::move(disk)));
        return it;
    }
    void stop() {
        cache_.reset();
        reader_.reset();
    }
    // arrival - 0 or EIO, whichever the page's fate is.
    static int arrival(Mbuf* m) {
        int error;
        while ((error = m_notready(m)) == EBUSY) std::this_thread::yield();
        return error;
    }
    std::string text(Mbuf* m) {
        EXPECT_EQ(arrival(m), 0);
        return bytes_of(m);
    }
    std::unique_ptr<FileReader> reader_;
    std::unique_ptr<PageCache> cache_;
};

inline std::unique_ptr<InputFile> opened(const NamelessFile& file) { return InputFile::open(file.path()).value(); }

}  // namespace umbuf::test
