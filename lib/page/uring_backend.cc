// SPDX-License-Identifier: BSD-2-Clause
// uring_backend.cc - reads by io_uring, into buffers that the kernel holds by itself.
//
// The pages are registered through a window that is then dropped. The kernel has pinned them, and takes
// the window's old addresses as numbers: it looks only whether they are in the buffer that was registered.
#include <liburing.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "lib/page/arena_state.h"
#include "lib/page/read_backend.h"
#include "lib/page/wake_event.h"

namespace umbuf {
namespace {

constexpr size_t kMostBuffer = size_t{1} << 30;  // Linux: bytes of one registered buffer

class UringBackend : public ReadBackend {
  public:
    ~UringBackend() override {
        if (made_) io_uring_queue_exit(&ring_);
    }
    // make - 0, or what the kernel said, and to what.
    int make(const char** what) {
        *what = "io_uring_setup";
        if (const int error = io_uring_queue_init(2 * kDepth, &ring_, 0); error != 0) return -error;
        made_ = true;
        *what = "eventfd";
        if (event_.fd() < 0) return errno;
        *what = "registering the page cache (RLIMIT_MEMLOCK)";
        return register_pages();
    }
    [[nodiscard]] const char* name() const noexcept override { return "io_uring"; }

    void begin(ReadOp& op) noexcept override {
        const size_t off = static_cast<size_t>(op.page->ctl.base + op.at - ghost_);
        io_uring_sqe* sqe = entry();
        io_uring_prep_read_fixed(sqe, op.fd, reinterpret_cast<void*>(number_ + off), op.bytes, op.offset,
                                 static_cast<int>(off / kMostBuffer));
        io_uring_sqe_set_data(sqe, &op);
    }
    [[nodiscard]] uint32_t wait(std::span<ReadOp*> done) noexcept override {
        listen();
        // An interrupted wait, or a kernel short of memory: whoever called comes again.
        if (io_uring_submit_and_wait(&ring_, 1) < 0) return 0;
        uint32_t n = 0;
        io_uring_cqe* cqe = nullptr;
        while (n < done.size() && io_uring_peek_cqe(&ring_, &cqe) == 0) {
            auto* op = static_cast<ReadOp*>(io_uring_cqe_get_data(cqe));
            if (op == nullptr) {
                listening_ = false;
            } else {
                op->result = cqe->res;
                done[n++] = op;
            }
            io_uring_cqe_seen(&ring_, cqe);
        }
        return n;
    }
    void wake() noexcept override { event_.raise(); }

  private:
    int register_pages() {
        Result<FillWindow> window = FillWindow::open();
        if (!window) return window.error().code;
        number_ = reinterpret_cast<uintptr_t>(window.value().base());
        ghost_ = page::arena->backing.base() + page::arena->classes[static_cast<size_t>(PageClass::cache)].off;
        std::vector<iovec> buffers;
        for (size_t off = 0; off < window.value().bytes(); off += kMostBuffer)
            buffers.push_back({window.value().base() + off, std::min(kMostBuffer, window.value().bytes() - off)});
        return -io_uring_register_buffers(&ring_, buffers.data(), static_cast<unsigned>(buffers.size()));
    }
    // There are more entries than reads at once, and the one that listens.
    io_uring_sqe* entry() noexcept {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        UM_ASSERT_MSG(sqe != nullptr, "io_uring: more than %u reads at once", kDepth);
        return sqe;
    }
    void listen() noexcept {
        if (listening_) return;
        io_uring_sqe* sqe = entry();
        io_uring_prep_read(sqe, event_.fd(), &raised_, sizeof raised_, 0);
        io_uring_sqe_set_data(sqe, nullptr);
        listening_ = true;
    }

    io_uring ring_{};
    bool made_ = false, listening_ = false;
    page::WakeEvent event_{0};
    uint64_t raised_ = 0;
    uintptr_t number_ = 0;              // what the kernel calls the first cache page
    const std::byte* ghost_ = nullptr;  // what we call it
};

}  // namespace

Result<std::unique_ptr<ReadBackend>> uring_backend() {
    if (page::arena == nullptr) return Error{ENODEV, "io_uring: no arena is open"};
    auto backend = std::make_unique<UringBackend>();
    const char* what = "";
    if (const int error = backend->make(&what); error != 0)
        return Error{error, std::string("io_uring: ") + what + ": " + std::strerror(error)};
    return std::unique_ptr<ReadBackend>(std::move(backend));
}

}  // namespace umbuf
