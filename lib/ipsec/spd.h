// SPDX-License-Identifier: BSD-2-Clause
// spd.h - which packets are protected, which pass as they are, and which do not pass (RFC 4301, 4.4.1).
//
// Policies are ordered: by priority, the lowest number first, and then as they stand. The first that matches
// decides; what none matches is discarded. rte_acl finds it, one trie per family and direction. It knows
// prefixes only, so a range of addresses becomes the few prefixes that make it up.
//
// P1  A set of policies is published whole: no packet sees half of a change.
// P2  A match is looked at no longer than to the reader's next quiescent state (grace.h).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/ipsec/child.h"
#include "lib/ipsec/grace.h"
#include "lib/ipsec/selector.h"

namespace umbuf {

enum class Direction : uint8_t { in, out };
enum class Action : uint8_t { discard, bypass, protect };

struct Policy {
    Direction direction = Direction::out;
    int32_t priority = 0;
    Selector selector;
    Action action = Action::discard;
    ChildId child;     // of Action::protect
};

class Spd {
  public:
    explicit Spd(Grace& grace, int socket);
    // No reader is left.
    ~Spd();
    Spd(const Spd&) = delete;
    Spd& operator=(const Spd&) = delete;

    // kMostPieces - rules that one policy may become: prefixes of its source times those of its destination.
    static constexpr size_t kMostPieces = 4096;

    // publish - these, and no others, from now on. Error: which policy makes no sense, or no memory; what was
    // there stays. Control thread.
    [[nodiscard]] Status publish(std::span<const Policy> policies);
    [[nodiscard]] const std::vector<Policy>& policies() const noexcept;  // [c] in the order that they are tried

    // classify - the first policy that matches each; null: none does. Any n. Readers.
    void classify(Direction direction, const PacketKey* keys, const Policy** found, uint16_t n) const noexcept;

  private:
    struct Tables;
    [[nodiscard]] static Result<std::unique_ptr<Tables>> build(std::vector<Policy> policies, int socket);
    void collect();
    struct Dead {
        std::unique_ptr<Tables> tables;
        uint64_t token;
    };
    Grace& grace_;
    const int socket_;
    std::unique_ptr<Tables> owned_;             // [c] what active_ is
    sync::atomic<const Tables*> active_;        // [a]
    std::vector<Dead> dead_;                    // [c]
};

}  // namespace umbuf
