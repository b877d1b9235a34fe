// SPDX-License-Identifier: BSD-2-Clause
// pread_backend.cc - reads, one after the other, through a mapping that may be written.
#include <unistd.h>

#include <array>
#include <cerrno>

#include "lib/page/arena.h"
#include "lib/page/read_backend.h"
#include "lib/page/wake_event.h"

namespace umbuf {
namespace {

class PreadBackend : public ReadBackend {
  public:
    explicit PreadBackend(FillWindow window) noexcept : window_(std::move(window)) {}
    [[nodiscard]] bool usable() const noexcept { return event_.fd() >= 0; }
    [[nodiscard]] const char* name() const noexcept override { return "pread"; }
    void begin(ReadOp& op) noexcept override { waiting_[n_begun_++ % kDepth] = &op; }
    [[nodiscard]] uint32_t wait(std::span<ReadOp*> done) noexcept override {
        if (n_begun_ == n_done_) {
            uint64_t raised = 0;
            [[maybe_unused]] const ssize_t got = ::read(event_.fd(), &raised, sizeof raised);
            return 0;
        }
        ReadOp& op = *waiting_[n_done_++ % kDepth];
        const ssize_t n = ::pread(op.fd, window_.at(op.page) + op.at, op.bytes, static_cast<off_t>(op.offset));
        op.result = static_cast<int32_t>(n < 0 ? -errno : n);
        done[0] = &op;
        return 1;
    }
    void wake() noexcept override { event_.raise(); }

  private:
    FillWindow window_;
    page::WakeEvent event_{0};
    std::array<ReadOp*, kDepth> waiting_{};
    uint32_t n_begun_ = 0, n_done_ = 0;  // they wrap; kDepth is a power of two
};

}  // namespace

Result<std::unique_ptr<ReadBackend>> pread_backend() {
    Result<FillWindow> window = FillWindow::open();
    if (!window) return window.error();
    auto backend = std::make_unique<PreadBackend>(std::move(window).value());
    if (!backend->usable()) return Error{errno, "no eventfd can be had for the thread that reads files"};
    return std::unique_ptr<ReadBackend>(std::move(backend));
}

}  // namespace umbuf
