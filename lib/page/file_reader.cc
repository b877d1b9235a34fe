// SPDX-License-Identifier: BSD-2-Clause
// file_reader.cc - the thread that fills pages.
#include "lib/page/file_reader.h"

#include <pthread.h>

#include <array>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstddef>

namespace umbuf {
namespace {

uint32_t round_up(uint32_t n) { return (n + kFrame - 1) / kFrame * kFrame; }

Fill& fill_of(ReadOp* op) {
    return *reinterpret_cast<Fill*>(reinterpret_cast<std::byte*>(op) - offsetof(Fill, op));
}

using stat::Kind;

constexpr stat::Field kFields[] = {
    {"reader_reads", "requests", Kind::counter, 1, "that the kernel was asked for"},
    {"reader_bytes", "bytes", Kind::counter, 1, "of files that came"},
    {"reader_short", "requests", Kind::counter, 1, "that brought fewer bytes than asked for"},
    {"reader_truncated", "pages", Kind::counter, 1, "of files that had become shorter"},
    {"reader_errors", "pages", Kind::counter, 1, "that could not be read"},
    {"reader_direct_refused", "requests", Kind::counter, 1, "that the file system did not like (O_DIRECT)"},
};

// Signals are for the main thread; a thread's own faults are its own.
void block_signals(sigset_t* before) {
    sigset_t all;
    sigfillset(&all);
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigdelset(&all, own);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

}  // namespace

Result<std::unique_ptr<FileReader>> FileReader::open(uint32_t most) {
    Result<std::unique_ptr<ReadBackend>> uring = uring_backend();
    if (uring) return open(most, std::move(uring).value());
    Result<std::unique_ptr<ReadBackend>> pread = pread_backend();
    if (!pread) return pread.error();
    Result<std::unique_ptr<FileReader>> reader = open(most, std::move(pread).value());
    if (reader) reader.value()->notes_.push_back("files are read by a thread with pread: " + uring.error().text);
    return reader;
}

Result<std::unique_ptr<FileReader>> FileReader::open(uint32_t most, std::unique_ptr<ReadBackend> backend) {
    std::unique_ptr<FileReader> reader(new FileReader(most, std::move(backend)));
    sigset_t before;
    block_signals(&before);
    reader->thread_ = std::thread([r = reader.get()] { r->run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(reader->thread_.native_handle(), "um-reader");
    return reader;
}

FileReader::FileReader(uint32_t most, std::unique_ptr<ReadBackend> backend)
    : backend_(std::move(backend)), mask_(std::bit_ceil(most) - 1), ring_(std::make_unique<Fill*[]>(mask_ + 1)),
      stats_(kFields, "") {}

FileReader::~FileReader() {
    if (!thread_.joinable()) return;
    stop_.store(true, sync::release);  // pairs with the acquire in run()
    backend_->wake();
    thread_.join();
}

// The exchange pairs with the one in may_sleep(): they are in one order. After that one, we see that it
// sleeps, or is about to, and wake it; before, it sees what we gave, and does not sleep.
void FileReader::read(Fill& fill) noexcept {
    const uint32_t at = given_.load(sync::relaxed);
    UM_ASSERT_MSG(at - taken_.load(sync::acquire) <= mask_, "a reader of files was given more than %u pages at once",
                  mask_ + 1);
    fill.done = 0;
    ring_[at & mask_] = &fill;
    given_.store(at + 1, sync::release);  // pairs with the acquire in take_new()
    if (asleep_.exchange(false, sync::acq_rel)) backend_->wake();
}

ReaderCounters FileReader::counters() const noexcept {
    return {stats_->reads.read(), stats_->bytes.read(), stats_->short_reads.read(), stats_->truncated.read(), stats_->errors.read(), stats_->direct_refused.read()};
}

void FileReader::run() noexcept {
    std::array<ReadOp*, ReadBackend::kDepth> ops{};
    for (;;) {
        take_new();
        const bool stopping = stop_.load(sync::acquire);
        if (stopping && under_way_ == 0 && given_.load(sync::acquire) == taken_.load(sync::relaxed)) return;
        if (!may_sleep()) continue;
        const uint32_t n = backend_->wait(ops);
        asleep_.store(false, sync::relaxed);  // a giver who saw it true has woken us for nothing
        for (uint32_t i = 0; i < n; ++i) done(fill_of(ops[i]));
    }
}

void FileReader::take_new() noexcept {
    uint32_t at = taken_.load(sync::relaxed);
    const uint32_t given = given_.load(sync::acquire);
    for (; at != given && under_way_ < ReadBackend::kDepth; ++at) {
        ++under_way_;
        Fill& fill = *ring_[at & mask_];
        fill.direct = fill.file->direct_fd() >= 0;
        begin(fill);
    }
    taken_.store(at, sync::release);
}

// may_sleep - nothing was given that could be begun now.
bool FileReader::may_sleep() noexcept {
    if (under_way_ == ReadBackend::kDepth) return true;
    (void)asleep_.exchange(true, sync::acq_rel);
    return given_.load(sync::acquire) == taken_.load(sync::relaxed);
}

// Direct reads are of whole frames; at the file's end fewer bytes come. After one that was short within
// a frame, the rest is read the other way.
void FileReader::begin(Fill& fill) noexcept {
    const int direct = fill.direct && fill.done % kFrame == 0 ? fill.file->direct_fd() : -1;
    const uint32_t left = fill.bytes - fill.done;
    fill.direct = direct >= 0;
    fill.op = {.fd = fill.direct ? direct : fill.file->fd(),
               .offset = fill.offset + fill.done,
               .page = fill.page,
               .at = fill.done,
               .bytes = fill.direct ? round_up(left) : left,
               .result = 0};
    stats_->reads.add(1);
    backend_->begin(fill.op);
}

void FileReader::done(Fill& fill) noexcept {
    const int32_t result = fill.op.result;
    if (result == -EINTR) return begin(fill);
    if (result == -EINVAL && fill.direct) {
        fill.file->refuse_direct();
        stats_->direct_refused.add(1);
        return begin(fill);
    }
    if (result < 0) return finish(fill, &stats_->errors);
    if (result == 0) return finish(fill, &stats_->truncated);
    // What the file has grown by meanwhile came, too, and is not ours to show.
    const uint32_t left = fill.bytes - fill.done;
    const uint32_t came = static_cast<uint32_t>(result) < left ? static_cast<uint32_t>(result) : left;
    stats_->bytes.add(came);
    fill.done += came;
    if (fill.done == fill.bytes) return finish(fill, nullptr);
    stats_->short_reads.add(1);
    begin(fill);
}

void FileReader::finish(Fill& fill, sync::Counter* failed) noexcept {
    --under_way_;
    if (failed == nullptr) return page_ready(fill.page);
    failed->add(1);
    page_failed(fill.page);
}

}  // namespace umbuf
