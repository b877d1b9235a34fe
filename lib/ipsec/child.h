// SPDX-License-Identifier: BSD-2-Clause
// child.h - what policies protect by: a name that stays while its SAs come and go (IKE's child SA).
//
// A child has one outbound SA at a time, or none yet, and any number of inbound ones; the SAD knows of each
// SA whose it is. A rekey adds the new inbound SA, makes the new outbound one current, and then removes the
// old ones: make before break, and no policy is touched.
//
// Threads: control changes. Readers as in sad.h.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/ipsec/grace.h"

namespace umbuf {

class Sa;

struct ChildId {
    uint32_t id = UINT32_MAX;
    uint32_t generation = 0;  // 0: no child
    bool operator==(const ChildId&) const = default;
};

class Children {
  public:
    Children(uint32_t capacity, Grace& grace);

    // ---- control
    [[nodiscard]] Result<ChildId> add();  // Error: ENOSPC
    // remove - its id comes back with another generation, when no reader can have it.
    [[nodiscard]] Status remove(ChildId child);
    // set_out - packets that begin from now on go by this SA; null: by none. Error: ENOENT.
    [[nodiscard]] Status set_out(ChildId child, Sa* sa);
    [[nodiscard]] bool has(ChildId child) const noexcept;

    // ---- readers
    // out - the current outbound SA in *sa, null: there is none yet. False: the child has gone.
    [[nodiscard]] bool out(ChildId child, Sa** sa) const noexcept;

  private:
    struct Slot {
        sync::atomic<uint32_t> generation{0};  // [a] 0: free
        uint32_t last = 0;                     // [c]
        sync::atomic<Sa*> out{nullptr};        // [a]
    };
    struct Dead {
        uint32_t id;
        uint64_t token;
    };
    const uint32_t capacity_;
    Grace& grace_;
    std::unique_ptr<Slot[]> slots_;
    std::vector<uint32_t> free_;  // [c]
    std::vector<Dead> dead_;      // [c]
};

}  // namespace umbuf
