// SPDX-License-Identifier: BSD-2-Clause
// weighted.h - each view carries a weight; the control's word holds the sum of them all.
//
// Weighted references are old (Bevan 1987; Watson and Watson 1987): to copy one, split its weight,
// and the count is not touched. What is added here is for packets: the weights lie in the mbufs; a
// copy takes the square root of its source's weight, so that a view can be copied tens of thousands
// of times, and its copies hundreds, before somebody has to go back to the word; and a thread may
// hold its releases back and give them in one locked instruction per storage (Merge).
//
//      word:   63..48  zero requests     47..0  outstanding weight
//
//      outstanding == sum of the weights of the live views + sum of the weights held back    (W)
//
// share and a release that is held back keep (W) without touching the word; refill and flush change
// both sides by the same amount. Storage is freed only by one who holds all that is outstanding, so
// nobody else holds any. Only releases are held back: a late flush delays a free, and no more.
//
// A wrong release breaks (W): more comes back than is outstanding, and that is seen (R1), or less,
// and that is seen by an audit.
#pragma once
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>

#include "lib/base/check.h"
#include "lib/ref/scheme.h"

namespace umbuf::ref {

inline constexpr uint64_t kWeightMask = (uint64_t{1} << 48) - 1;
inline constexpr uint64_t kZeroOne = uint64_t{1} << 48;  // one zero request
inline constexpr uint64_t kZeroMask = ~kWeightMask;

// MergeOf - the releases that one thread holds back: one entry per storage, found by its address.
// Bounded: kEntries storages, and those only until the thread's next flush.
//
// An entry costs as much as the locked instruction that a second release of its storage saves. Where
// entries meet fewer than one more on average (many buffers, each copied once), the table stands aside
// for a while: a release that would need a new entry goes to the word. Then it tries again, as
// traffic changes.
template <class Control>
class MergeOf {
  public:
    static constexpr uint32_t kEntries = 64;
    struct alignas(32) Entry {
        Control* control = nullptr;
        uint64_t weight = 0;
        bool zero = false;
        bool member = false;  // of a joined group
        uint32_t more = 0;    // releases after the first
    };
    static constexpr uint32_t kTrial = 2 * kEntries;   // entries after which the table is judged
    static constexpr uint32_t kAside = 64 * kEntries;  // releases that it then lets pass, if it does not pay

    // of - the place where a release for this control is kept; it may hold another's.
    Entry& of(const Control& control) noexcept { return entries_[slot(control)]; }
    // find - what is held back for this control, or null.
    Entry* find(const Control& control) noexcept {
        Entry& entry = of(control);
        return entry.control == &control ? &entry : nullptr;
    }
    void put(Entry& entry, Control& control, uint64_t weight, bool zero, bool member) noexcept {
        entry = {&control, weight, zero, member, 0};
        used_ |= uint64_t{1} << (&entry - entries_.data());
    }
    // stands_aside - may this release, the first of its storage, go to the word?
    [[nodiscard]] bool stands_aside() noexcept {
        if (aside_ == 0) return false;
        --aside_;
        return true;
    }
    void forget(Entry& entry) noexcept {
        judge(entry.more);
        entry.control = nullptr;
        used_ &= ~(uint64_t{1} << (&entry - entries_.data()));
    }
    [[nodiscard]] bool empty() const noexcept { return used_ == 0; }
    // any - one of the entries. Not for an empty table.
    Entry& any() noexcept { return entries_[static_cast<size_t>(std::countr_zero(used_))]; }
    // cached - see(control, weight) for each entry: for audits and displays by the same thread.
    template <class See>
    void cached(const See& see) const {
        for (uint64_t left = used_; left != 0; left &= left - 1) {
            const Entry& entry = entries_[static_cast<size_t>(std::countr_zero(left))];
            see(*entry.control, entry.weight);
        }
    }

  private:
    // judge - an entry ends, which has met so many more.
    void judge(uint32_t more) noexcept {
        met_ += more;
        if (++tried_ < kTrial) return;
        if (met_ < kTrial) aside_ = kAside;
        tried_ = met_ = 0;
    }
    static size_t slot(const Control& control) noexcept {
        const auto line = reinterpret_cast<uintptr_t>(&control) >> 6;  // controls are lines
        return (line ^ (line >> 6) ^ (line >> 12)) % kEntries;
    }
    uint64_t used_ = 0;  // bit i: entries_[i] holds something
    uint32_t tried_ = 0, met_ = 0, aside_ = 0;
    std::array<Entry, kEntries> entries_;
};

template <bool Merging, class Sync>
struct WeightedOf {
    static constexpr const char* kName = Merging ? "weighted" : "weighted-nomerge";
    static constexpr uint32_t kGrant = 1U << 30;      // a first share's, and a refill's
    static constexpr uint32_t kJoin = 1U << 20;       // a join's: many of them must fit
    static constexpr uint64_t kStuck = kWeightMask / 2 + 1;  // from here on a leak (R5)
    // Where a sum that is stuck is put: in the middle of what is left, so far from either end that no
    // number of threads can move it that are each between a change and the store that takes it back.
    // The heaviest view weighs 2^31: 32,768 of them would have to be returned in that moment.
    static constexpr uint64_t kParked = kStuck + kStuck / 2;

    struct Control {
        typename Sync::template atomic<uint64_t> word{0};  // [a]
    };
    struct View {
        uint64_t weight = 0;  // [o] at most 2^31
    };
    using Merge = MergeOf<Control>;

    static int share(Control& control, View& source, View& copy, Merge* merge) noexcept {
        if (source.weight == 0) {
            control.word.store(kGrant, sync::relaxed);  // alone: a plain store
            source.weight = kGrant;
        }
        return share_member(control, source, copy, merge);
    }
    static int share_member(Control& control, View& source, View& copy, Merge* merge) noexcept {
        if (source.weight == 1) refill(control, source, merge);
        // Half of the bits: 2^30 gives 2^15, 32,768 times.
        const uint64_t given = uint64_t{1} << ((std::bit_width(source.weight) - 1) / 2);
        source.weight -= given;
        copy.weight = given;
        return 0;
    }

    template <class Last>
    [[gnu::always_inline]] static void release(Control& control, View& view, bool zero, Merge* merge,
                                               const Last& last) noexcept {
        const uint64_t weight = view.weight;
        view.weight = 0;
        if (Merging && merge != nullptr) return hold_back(control, weight, zero, false, *merge, last);
        give_back(control, weight, zero, last);
    }
    template <class Last>
    static void detach(Control& control, View& view, bool zero, Merge* merge, const Last& last) noexcept {
        release(control, view, zero, merge, last);
    }
    static Alone exclusive(Control& control, View& view, Merge* merge) noexcept {
        if (view.weight == 0) return Alone::yes;
        reclaim(control, view, merge);
        const uint64_t word = control.word.load(sync::acquire);  // pairs with return_weight (R2)
        if ((word & kWeightMask) != view.weight) return Alone::no;
        control.word.store(0, sync::relaxed);
        view.weight = 0;  // unshared again
        return (word & kZeroMask) != 0 ? Alone::yes_zero : Alone::yes;
    }

    static int join(Control& control, View& view, bool& first) noexcept {
        const uint64_t was = control.word.fetch_add(kJoin, sync::relaxed);
        stop_at_the_mark(control, was, kJoin);
        view.weight = kJoin;
        first = (was & kWeightMask) == 0;
        return 0;
    }
    template <class Last>
    static void leave(Control& control, View& view, bool zero, Merge* merge, const Last& last) noexcept {
        const uint64_t weight = view.weight;
        view.weight = 0;
        if (Merging && merge != nullptr) return hold_back(control, weight, zero, true, *merge, last);
        return_weight(control, weight, zero, last);
    }
    static bool sole_member(const Control& control, View& view, Merge* merge) noexcept {
        reclaim(const_cast<Control&>(control), view, merge);
        return (control.word.load(sync::acquire) & kWeightMask) == view.weight;
    }

    // flush - give back all that this thread holds back. Entry by entry until there is none: last()
    // may release other storage, look whether it is alone with it, or flush.
    template <class Last>
    static void flush(Merge& merge, const Last& last) noexcept {
        while (!merge.empty()) give(merge, merge.any(), last);
    }

    static Account account(const Control& control, const View& view) noexcept {
        const uint64_t all = control.word.load(sync::relaxed) & kWeightMask;
        return {&control, view.weight, all >= kStuck ? kStuckCount : all};
    }
    static Account account_member(const Control& control, const View& view) noexcept {
        return account(control, view);
    }

  private:
    // A view of weight 1 cannot be split: fetch more. Its own weight keeps the word above 0, so there
    // is nothing to order. What this very thread holds back comes first: it costs nothing.
    [[gnu::noinline]] static void refill(Control& control, View& view, Merge* merge) noexcept {
        reclaim(control, view, merge);
        if (view.weight > 1) return;
        const uint64_t was = control.word.fetch_add(kGrant, sync::relaxed);
        UM_ASSERT_MSG((was & kWeightMask) >= 1, "share of a dead reference (R1)");
        stop_at_the_mark(control, was, kGrant);
        view.weight += kGrant;
    }
    // reclaim - what this thread held back for this storage goes to the view. A zero request does not
    // go with it: it is given to the word, where exclusive() looks.
    static void reclaim(Control& control, View& view, Merge* merge) noexcept {
        if (!Merging || merge == nullptr) return;
        typename Merge::Entry* entry = merge->find(control);
        if (entry == nullptr || view.weight + entry->weight > (uint64_t{1} << 31)) return;
        view.weight += entry->weight;
        if (entry->zero) control.word.fetch_add(zero_for(control), sync::relaxed);
        merge->forget(*entry);
    }

    template <class Last>
    [[gnu::always_inline]] static void hold_back(Control& control, uint64_t weight, bool zero, bool member,
                                                 Merge& merge, const Last& last) noexcept {
        typename Merge::Entry& entry = merge.of(control);
        if (entry.control != &control) return hold_back_first(control, weight, zero, member, merge, last);
        entry.weight += weight;
        ++entry.more;
        if (zero) entry.zero = true;
    }
    template <class Last>
    [[gnu::noinline]] static void hold_back_first(Control& control, uint64_t weight, bool zero, bool member,
                                                  Merge& merge, const Last& last) noexcept {
        if (merge.stands_aside()) return give_to(control, weight, zero, member, last);
        typename Merge::Entry& entry = merge.of(control);
        if (entry.control != nullptr) give(merge, entry, last);
        merge.put(entry, control, weight, zero, member);
    }
    template <class Last>
    static void give(Merge& merge, typename Merge::Entry& entry, const Last& last) noexcept {
        const typename Merge::Entry held = entry;
        merge.forget(entry);  // first: last() may release other storage, and so come back here
        give_to(*held.control, held.weight, held.zero, held.member, last);
    }
    template <class Last>
    static void give_to(Control& control, uint64_t weight, bool zero, bool member, const Last& last) noexcept {
        if (member) return_weight(control, weight, zero, last);
        else give_back(control, weight, zero, last);
    }

    // give_back - by one who may be the last: then no locked instruction.
    template <class Last>
    static void give_back(Control& control, uint64_t weight, bool zero, const Last& last) noexcept {
        const uint64_t word = control.word.load(sync::acquire);  // pairs with return_weight (R2)
        if ((word & kWeightMask) != weight) return return_weight(control, weight, zero, last);
        control.word.store(0, sync::relaxed);  // R4
        last(control, zero || (word & kZeroMask) != 0);
    }
    // return_weight - acq_rel: release for those who come after, acquire if we are the last (R2).
    template <class Last>
    static void return_weight(Control& control, uint64_t weight, bool zero, const Last& last) noexcept {
        const uint64_t more = zero ? zero_for(control) : 0;
        const uint64_t was = control.word.fetch_add(more - weight, sync::acq_rel);
        const uint64_t all = was & kWeightMask;
        // Named, because a flush gives back for many storages.
        UM_ASSERT_ABOUT(all >= weight, &control, "release of a dead reference: weight %llu of %llu outstanding (R1)",
                      static_cast<unsigned long long>(weight), static_cast<unsigned long long>(all));
        if (all >= kStuck) {
            control.word.store(kParked, sync::relaxed);  // R5
            return;
        }
        if (all != weight) return;
        const bool wanted = zero || (was & kZeroMask) != 0;
        // The zero requests go with the group. Nobody else is here - but for one who joins, and whose
        // group may even end before this: its weight is not touched, and a request of its members may
        // be taken along, as last() is told of it below, before our pin goes (R6). Not by subtracting
        // what we saw: such a group may have taken it first.
        if (wanted) control.word.fetch_and(kWeightMask, sync::relaxed);
        last(control, wanted);
    }
    // One is enough, and 16 bits must not overflow: once seen there, none is added.
    static uint64_t zero_for(const Control& control) noexcept {
        return (control.word.load(sync::relaxed) & kZeroMask) == 0 ? kZeroOne : 0;
    }
    static void stop_at_the_mark(Control& control, uint64_t was, uint64_t added) noexcept {
        const uint64_t all = was & kWeightMask;
        if (all + added < kStuck) return;
        if (all < kStuck) note_stuck();
        control.word.store(kParked, sync::relaxed);
    }
};
template <class Sync = sync::Real>
using Weighted = WeightedOf<true, Sync>;
template <class Sync = sync::Real>
using WeightedNoMerge = WeightedOf<false, Sync>;

}  // namespace umbuf::ref
