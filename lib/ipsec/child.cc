// SPDX-License-Identifier: BSD-2-Clause
// child.cc - names for SAs that come and go.
#include "lib/ipsec/child.h"

#include <string>

namespace umbuf {

Children::Children(uint32_t capacity, Grace& grace) : capacity_(capacity), grace_(grace), slots_(new Slot[capacity]) {
    for (uint32_t i = capacity; i > 0; --i) free_.push_back(i - 1);
}

bool Children::has(ChildId child) const noexcept {
    return child.generation != 0 && child.id < capacity_ && slots_[child.id].generation.load(sync::relaxed) == child.generation;
}

Result<ChildId> Children::add() {
    std::erase_if(dead_, [this](const Dead& dead) {
        if (!grace_.passed(dead.token)) return false;
        free_.push_back(dead.id);
        return true;
    });
    if (free_.empty()) return Error{ENOSPC, "all " + std::to_string(capacity_) + " children are in use"};
    Slot& slot = slots_[free_.back()];
    const ChildId child{free_.back(), ++slot.last == 0 ? ++slot.last : slot.last};
    free_.pop_back();
    slot.out.store(nullptr, sync::relaxed);
    slot.generation.store(child.generation, sync::release);  // pairs with the acquire in out()
    return child;
}

Status Children::remove(ChildId child) {
    if (!has(child)) return Error{ENOENT, "there is no child " + std::to_string(child.id)};
    Slot& slot = slots_[child.id];
    slot.generation.store(0, sync::release);
    slot.out.store(nullptr, sync::release);
    dead_.push_back({child.id, grace_.start()});
    return {};
}

Status Children::set_out(ChildId child, Sa* sa) {
    if (!has(child)) return Error{ENOENT, "there is no child " + std::to_string(child.id)};
    slots_[child.id].out.store(sa, sync::release);  // pairs with the acquire in out()
    return {};
}

bool Children::out(ChildId child, Sa** sa) const noexcept {
    *sa = nullptr;
    if (child.id >= capacity_) return false;
    const Slot& slot = slots_[child.id];
    if (child.generation == 0 || slot.generation.load(sync::acquire) != child.generation) return false;
    *sa = slot.out.load(sync::acquire);  // pairs with set_out()
    return true;
}

}  // namespace umbuf
