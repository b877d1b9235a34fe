// SPDX-License-Identifier: BSD-2-Clause
// replay.h - which sequence numbers have been seen, and which may be sent.
//
// Numbers are 64 bits wide throughout. Without extended sequence numbers (ESN) the upper half is 0;
// with them only the lower half travels, and the receiver infers the rest (RFC 4303, appendix A2.1).
//
//           too old   |<------------- W ------------->|   new
//      ---------------+-------------------------------+------------>
//                  top - W                           top
//
// The window is RFC 6479's: a ring of 64-bit words that moves by whole words, with one word more than
// the window needs, so that the word being cleared for new numbers never holds a bit of the window.
// (librte_ipsec, 19.02 to 26.07, has no such word for most sizes, and loses the upper half of each word.)
//
// S1  A number is marked at most once, and only after its packet was authentic: check(), ICV, mark().
// S2  No number is used twice to send: SendSequence ends where the numbers do, and never wraps
//     (RFC 4303, 3.3.3).
// S3  0 is never right: the first number is 1.
//
// Thread: one at a time per SA; windows and sequences have no locks, and say where another may look.
#pragma once
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/sync.h"

namespace umbuf {

inline constexpr uint32_t kReplayMin = 32, kReplayMax = 4096, kReplayDefault = 64;  // numbers

class ReplayWindow {
  public:
    // W numbers, kReplayMin to kReplayMax, any in between. Allocates: control thread.
    explicit ReplayWindow(uint32_t size = kReplayDefault) : size_(size), words_(ring_of(size)) {
        UM_ASSERT(size >= kReplayMin && size <= kReplayMax);
    }

    // check - could a packet with this number be new? Changes nothing (S1).
    [[nodiscard]] bool check(uint64_t seq) const noexcept {
        if (seq > top_) return true;
        if (seq == 0 || top_ - seq >= size_) return false;
        return (words_[word_of(seq)] & bit_of(seq)) == 0;
    }
    // mark - it was authentic, and is seen from now on. check(seq) said true.
    void mark(uint64_t seq) noexcept {
        if (seq > top_) advance(seq);
        words_[word_of(seq)] |= bit_of(seq);
    }
    // infer - the whole number of which `low` travelled, by where the window stands (A2.1). Where the
    // appendix would go below 0 or beyond 64 bits, the nearest number there is; check() and the ICV,
    // which covers the upper half, have the last word.
    [[nodiscard]] uint64_t infer(uint32_t low) const noexcept {
        const uint32_t top_low = static_cast<uint32_t>(top_), bottom = top_low - size_ + 1;
        uint32_t high = static_cast<uint32_t>(top_ >> 32);
        if (top_low >= size_ - 1) {  // case A: the window is inside one subspace
            if (low < bottom && high != UINT32_MAX) ++high;
        } else {                     // case B: it reaches into the one before
            if (low >= bottom && high != 0) --high;
        }
        return uint64_t{high} << 32 | low;
    }
    [[nodiscard]] uint64_t top() const noexcept { return top_; }
    [[nodiscard]] uint32_t size() const noexcept { return size_; }

  private:
    // A power of two, so that the ring needs no division, and at least one word to spare.
    [[nodiscard]] static uint32_t ring_of(uint32_t size) noexcept {
        uint32_t words = 2;
        while (words < (size + 63) / 64 + 1) words *= 2;
        return words;
    }
    [[nodiscard]] static uint64_t bit_of(uint64_t seq) noexcept { return uint64_t{1} << (seq & 63); }
    [[nodiscard]] size_t word_of(uint64_t seq) const noexcept { return (seq >> 6) & (words_.size() - 1); }
    void advance(uint64_t seq) noexcept {
        const uint64_t was = top_ >> 6, is = seq >> 6;
        const uint64_t fresh = is - was < words_.size() ? is - was : words_.size();
        for (uint64_t i = 0; i < fresh; ++i) words_[(is - i) & (words_.size() - 1)] = 0;
        top_ = seq;
    }

    uint64_t top_ = 0;
    uint32_t size_;                // [I]
    std::vector<uint64_t> words_;  // its size is [I]
};

// SendSequence - the numbers of an outbound SA.
class SendSequence {
  public:
    // The first number will be floor + 1. A key that was used before goes on behind its last number.
    explicit SendSequence(bool esn, uint64_t floor = 0) noexcept : limit_(esn ? UINT64_MAX : UINT32_MAX) {
        last_.set(floor);
        fence_.set(limit_);
    }
    // next - 0 and the number; EOVERFLOW: there is none left, now and for ever (S2); EAGAIN: none until the
    // fence is moved.
    [[nodiscard]] int next(uint64_t* seq) noexcept {
        const uint64_t last = last_.read();
        if (last >= fence_.read()) return last >= limit_ ? EOVERFLOW : EAGAIN;
        last_.set(last + 1);
        *seq = last + 1;
        return 0;
    }
    // Any thread. What next() gave out since may not be in it yet.
    [[nodiscard]] uint64_t last() const noexcept { return last_.read(); }
    // fence - no number beyond this one, for now (seq_file.h). Control thread.
    void fence(uint64_t upto) noexcept { fence_.set(upto < limit_ ? upto : limit_); }

  private:
    sync::Counter last_;   // used
    sync::Counter fence_;  // [c] never beyond limit_
    uint64_t limit_;       // [I]
};

}  // namespace umbuf
