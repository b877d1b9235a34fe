// SPDX-License-Identifier: BSD-2-Clause
// ready_queue.h - packets that leave in the order in which they came, some of whose bytes are still to
// arrive (FreeBSD: a socket buffer with M_NOTREADY, sbready()).
//
//      front                                      back
//      +-------+-------+-----------+-------+-----------+
//      | ready | ready | not ready | ready | not ready |      pop() gives the first two, and then nothing
//      +-------+-------+-----------+-------+-----------+      until the third is there
//
// Q1  What is popped was pushed before all that is still inside: a packet waits for the earlier ones.
// Q2  A page that failed ends the queue, once: what is before it leaves, everything from it on is freed,
//     ready or not, and so is whatever is pushed afterwards. FreeBSD: pru_abort() by sendfile_iodone().
//
// Readiness is asked of the pages, so whoever fills them, on any thread, need not know of the queue; and
// freeing a packet that is not ready lets go of its pages, which their filler still has.
//
// Thread: the owner of the queue. Packets are linked by nextpkt.
#pragma once
#include <cerrno>
#include <cstdint>
#include <utility>

#include "lib/mbuf/verbs/free.h"
#include "lib/page/extpg.h"

namespace umbuf {

class ReadyQueue {
  public:
    ReadyQueue() = default;
    ~ReadyQueue() { (void)abort(ECANCELED); }
    ReadyQueue(const ReadyQueue&) = delete;
    ReadyQueue& operator=(const ReadyQueue&) = delete;

    [[nodiscard]] uint32_t size() const noexcept { return size_; }
    // error - 0, or why the queue ended: EIO, or what abort() was told.
    [[nodiscard]] int error() const noexcept { return error_; }
    // waits - packets that pop() found at the front and not there yet, each counted once.
    [[nodiscard]] uint64_t waits() const noexcept { return waits_; }
    // aborted - packets that were freed because the queue had ended.
    [[nodiscard]] uint64_t aborted() const noexcept { return aborted_; }

    // push - the packet is the queue's now. An ended queue frees it.
    void push(Mbuf* m) noexcept {
        if (error_ != 0) {
            ++aborted_;
            return mb_free_notready(m);
        }
        m->make_valid();
        m->nextpkt = nullptr;
        (last_ == nullptr ? first_ : last_->nextpkt) = m;
        last_ = m;
        ++size_;
    }
    // pop - up to n ready packets from the front, the caller's. Returns how many.
    [[nodiscard]] uint32_t pop(Mbuf** to, uint32_t n) noexcept {
        for (uint32_t i = 0; i < n; ++i) {
            if (first_ == nullptr) return i;
            if (const int error = m_notready(first_); error != 0) {
                if (error == EIO) (void)abort(EIO);
                else waits_ += std::exchange(front_waits_, true) ? 0 : 1;
                return i;
            }
            to[i] = take();
            front_waits_ = false;
        }
        return n;
    }
    // abort - end the queue for this reason (Q2). Returns how many packets were freed. Again: does nothing.
    uint64_t abort(int reason) noexcept {
        if (error_ != 0) return 0;
        error_ = reason;
        const uint64_t before = aborted_;
        while (first_ != nullptr) {
            mb_free_notready(take());
            ++aborted_;
        }
        return aborted_ - before;
    }

  private:
    Mbuf* take() noexcept {
        Mbuf* m = first_;
        first_ = m->nextpkt;
        if (first_ == nullptr) last_ = nullptr;
        m->nextpkt = nullptr;
        --size_;
        return m;
    }
    Mbuf* first_ = nullptr;
    Mbuf* last_ = nullptr;
    uint32_t size_ = 0;
    bool front_waits_ = false;  // and was counted
    int error_ = 0;
    uint64_t waits_ = 0, aborted_ = 0;
};

}  // namespace umbuf
