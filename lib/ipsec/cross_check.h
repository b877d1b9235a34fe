// SPDX-License-Identifier: BSD-2-Clause
// cross_check.h - a second opinion: every Nth packet also through another engine, and the results compared.
//
// The same head, IV and number, so that every byte of ciphertext and ICV must be the same; of a packet that
// is opened, the verdict and every byte of plaintext. Where two engines differ nobody knows who is right: the
// packet is not let through, and the first such is kept to be looked at.
//
// It costs what the second engine costs, and waits for it: for trials, not for full speed.
//
// Locks:  I immutable   l the lane's lcore   a atomic   f [l] until `found_` says there is one, then nobody's
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/ipsec/engine.h"
#include "lib/ipsec/sa.h"
#include "lib/mbuf/mbuf.h"

namespace umbuf {

class CrossCheck {
  public:
    // make - every `every`th packet, 1 is each, by `second`. Error: the engine cannot be used, and why. Control
    // thread. One for each EspLane, whose `cross` it becomes; its SAs have a second key (Sa::add_second).
    [[nodiscard]] static Result<std::unique_ptr<CrossCheck>> make(const Engine& second, uint32_t every, int socket);
    ~CrossCheck();
    CrossCheck(const CrossCheck&) = delete;
    CrossCheck& operator=(const CrossCheck&) = delete;

    const Engine& second;  // [I]

    // same - of a job that `first` has done, whose source is still there: `source`, and what becomes of it,
    // `out`, with `lead` bytes before the text. False: the engines differ. The lane's lcore.
    [[nodiscard]] bool same(const Engine& first, const Sa& sa, const Job& job, const Mbuf* source, const Mbuf* out,
                            uint32_t lead) noexcept;

    // What came of it. Any thread.
    sync::Counter checked, differed;
    sync::Counter unable;  // the second engine failed, or the SA has no key for it

    // found - has there been a first difference? Any thread.
    [[nodiscard]] bool found() const noexcept { return found_.load(sync::acquire); }
    // describe - which engines, algorithm and number; after found(). Never a key. Control thread.
    [[nodiscard]] std::string describe() const;
    // write - the packet as it came, and both results, as a pcapng file; after found(). Control thread.
    [[nodiscard]] Status write(const std::string& path) const;

  private:
    static constexpr uint32_t kMost = 65536 + 256;
    // Found - the first difference.
    struct Found {
        const Engine* first;
        Algorithm algorithm;
        uint32_t spi;
        uint64_t seq;
        bool encrypt, authentic[2];
        uint32_t came_bytes, made_bytes;
        std::byte came[kMost], made[2][kMost];
    };
    CrossCheck(const Engine& s, uint32_t every);
    void keep(const Engine& first, const Sa& sa, const Job& job, const Job& again, const Mbuf* source, const Mbuf* out,
              uint32_t lead) noexcept __attribute__((cold));

    uint32_t every_, until_;            // [I], [l]
    EngineLane* lane_ = nullptr;        // [l]
    std::unique_ptr<std::byte[]> room_;  // [l] where the second engine writes
    std::unique_ptr<Found> first_;      // [f]
    sync::atomic<bool> found_{false};   // [a]
};

}  // namespace umbuf
