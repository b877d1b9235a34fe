// SPDX-License-Identifier: BSD-2-Clause
// leader.h - the count lives in the mbuf that held the storage first: its leader. FreeBSD's embedded
// reference (sys/kern/kern_mbuf.c: EXT_FLAG_EMBREF), and the other candidate in OpenBSD's discussion.
//
// The leader cannot go while a follower holds the storage: the group pins it, as long as it has a
// member, and freeing the leader only lowers the pins. The last follower undoes the pin, and so frees
// the leader, and with it the storage. The leader itself is not counted.
//
// What a leader may not do is to take other storage while it is followed (m_defrag, m_extfree). Here
// it may: it hands the old storage to the group (kOrphan), whose last member then frees it, and stays
// pinned as the house of the count. Until then nobody can share the leader's new storage: a share is
// refused (ENOBUFS). So that storage is the leader's alone, to write, to free and to let go again, and
// the word that houses the old group is the group's: its last member clears it, nobody else.
//
// Pins: void pin(View& leader) and void unpin(View& leader), a count on the leader's mbuf, whose own
// user is 1; unpin frees the mbuf when it was the last; bool only_pin(View&): is nobody left but us?
#pragma once
#include <cerrno>
#include <cstdint>

#include "lib/base/check.h"
#include "lib/ref/count.h"

namespace umbuf::ref {

template <class Pins, class Sync>
struct LeaderOf {
    static constexpr const char* kName = "leader";
    using Control = CountOf<Sync>;  // for joined groups only
    using Merge = NoMerge;

    // In a follower: the address of its leader's View. In a leader: kLeader | zero | orphan | count.
    struct View {
        typename Sync::template atomic<uint64_t> word{0};
    };
    static constexpr uint64_t kLeader = uint64_t{1} << 63;  // no address of ours has it
    static constexpr uint64_t kZero = uint64_t{1} << 62;    // some follower asked
    static constexpr uint64_t kOrphan = uint64_t{1} << 61;  // the storage is the group's
    static constexpr uint64_t kCount = kOrphan - 1;  // R5: 61 bits, more than there can be mbufs

    static int share(Control&, View& source, View& copy, Merge*) noexcept {
        const uint64_t word = source.word.load(sync::relaxed);
        View* leader = &source;
        if (word == 0) {
            source.word.store(kLeader | 1, sync::relaxed);  // alone: a plain store
            Pins::pin(source);
        } else if ((word & kLeader) != 0) {
            if ((word & kOrphan) != 0) return ENOBUFS;
            if (take(source) == 0) Pins::pin(source);  // its followers had all gone
        } else {
            leader = follow(word);
            const uint64_t was = take(*leader);
            UM_ASSERT_MSG(was >= 1, "share of a dead reference (R1)");
        }
        copy.word.store(reinterpret_cast<uintptr_t>(leader), sync::relaxed);
        return 0;
    }

    template <class Last>
    static void release(Control& control, View& view, bool zero, Merge*, const Last& last) noexcept {
        const uint64_t word = view.word.load(sync::acquire);
        view.word.store(0, sync::relaxed);
        if ((word & kLeader) != 0) {
            // The leader's mbuf is freed only when nobody pins it.
            UM_ASSERT_MSG((word & kCount) == 0, "a leader goes before its followers (R1)");
            return last(control, zero || (word & kZero) != 0);
        }
        View& leader = *follow(word);
        if (zero) leader.word.fetch_or(kZero, sync::relaxed);
        const uint64_t was = leader.word.fetch_sub(1, sync::acq_rel);
        UM_ASSERT_MSG((was & kLeader) != 0 && (was & kCount) >= 1, "release of a dead reference (R1)");
        if ((was & kCount) != 1) return;
        if ((was & kOrphan) != 0) {
            leader.word.store(0, sync::relaxed);  // the leader may share its new storage again
            last(control, (was & kZero) != 0);
        }
        Pins::unpin(leader);
    }
    template <class Last>
    static void detach(Control& control, View& view, bool zero, Merge* merge, const Last& last) noexcept {
        const uint64_t word = view.word.load(sync::acquire);
        // The second may just have become the first: its last member left while we came here.
        if (word == 0 || houses_another(word)) return last(control, zero);
        if ((word & kLeader) == 0 || (word & kCount) == 0) return release(control, view, zero, merge, last);
        const uint64_t was = view.word.fetch_or(zero ? kOrphan | kZero : kOrphan, sync::acq_rel);
        if ((was & kCount) != 0) return;
        view.word.store(0, sync::relaxed);  // the last follower left just before, without the storage
        last(control, zero || (was & kZero) != 0);
    }
    static Alone exclusive(Control&, View& view, Merge*) noexcept {
        const uint64_t word = view.word.load(sync::acquire);
        if (word == 0 || houses_another(word)) return Alone::yes;
        if ((word & kLeader) != 0) {
            if ((word & kCount) != 0) return Alone::no;
            view.word.store(0, sync::relaxed);
            return (word & kZero) != 0 ? Alone::yes_zero : Alone::yes;
        }
        // A follower: its leader must be gone, or be without the storage. Is it gone is asked first:
        // a leader that still lived could share between the two looks. It stays a follower.
        View& leader = *follow(word);
        const bool gone = Pins::only_pin(leader);
        const uint64_t group = leader.word.load(sync::acquire);
        return (group & kCount) == 1 && (gone || (group & kOrphan) != 0) ? Alone::yes : Alone::no;
    }

    static int join(Control& control, View& view, bool& first) noexcept {
        view.word.store(1, sync::relaxed);
        first = control.enter();
        return 0;
    }
    static int share_member(Control& control, View&, View& copy, Merge*) noexcept {
        control.take();
        copy.word.store(1, sync::relaxed);
        return 0;
    }
    template <class Last>
    static void leave(Control& control, View& view, bool zero, Merge*, const Last& last) noexcept {
        view.word.store(0, sync::relaxed);
        if (zero) control.ask_zero();
        if (control.drop()) last(control, control.take_zero());
    }
    static bool sole_member(const Control& control, View&, Merge*) noexcept { return control.alone(); }

    static Account account(const Control&, const View& view) noexcept {
        const uint64_t word = view.word.load(sync::relaxed);
        const bool leads = (word & kLeader) != 0;
        const View* leader = leads ? &view : follow(word);
        const uint64_t count = leader->word.load(sync::relaxed) & kCount;
        return {leader, leads ? 0U : 1U, count};
    }
    static Account account_member(const Control& control, const View&) noexcept {
        return {&control, 1, control.outstanding()};
    }

  private:
    static View* follow(uint64_t word) noexcept {
        UM_ASSERT_MSG(word != 0, "release of a dead reference (R1)");
        return reinterpret_cast<View*>(static_cast<uintptr_t>(word));
    }
    // houses_another - a leader's word, and the count in it is of storage that it has let go before.
    static bool houses_another(uint64_t word) noexcept {
        return (word & kLeader) != 0 && (word & kOrphan) != 0;
    }
    // take - one follower more. Returns how many there were.
    static uint64_t take(View& leader) noexcept { return leader.word.fetch_add(1, sync::relaxed) & kCount; }
};
template <class Pins, class Sync = sync::Real>
using Leader = LeaderOf<Pins, Sync>;

}  // namespace umbuf::ref
