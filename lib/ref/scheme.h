// SPDX-License-Identifier: BSD-2-Clause
// scheme.h - what every way of counting references to a piece of storage must offer.
//
// A *view* is one mbuf's hold on a piece of storage. Eight bytes of it belong to the scheme (View);
// all bits 0 always mean "never shared". Such a view is alone by construction: nobody asks a scheme
// about it, and its release touches no shared memory. The storage's *control* holds the rest
// (Control, eight bytes of a line of its own, zero when nobody shares).
//
// Two ways to come by a view, and two families of functions that do not mix:
//   share   from a view that is alive. Ends in release, or in exclusive, which makes it unshared.
//   join    from outside: the caller pins the storage by other means (a received mbuf that keeps its
//           own cluster, see lib/mbuf/ext.h) and so may start a group that has no view left. Shared
//           on by share_member, ends in leave.
//
// A release may be *held back* by the calling thread (ref::Weighted). So the news that a view was the
// last comes by a call of `last(control, zero)`, which may be about another storage than the one just
// released, and which flush() may make, too.
//
// Invariants (numbered as the code and the tests cite them):
//   R1  the count is >= 1 while a counted view exists; only a live view is copied.
//   R2  every access through any view happens-before the call of last() for its storage.
//   R3  exclusive(): the caller's view is the only one; nobody can join it without the caller.
//   R4  when last() runs the control is dead: nothing is counted, ready for its zone.
//   R5  a count saturates to a leak, counted by note_stuck(); it never wraps.
//   R6  a zero request made with any release is told to last(), or to exclusive()'s caller.
//   R7  last() runs exactly once for each time that storage was shared (or its group was joined).
//   R8  a view that was refused (errno) left its source, and the count, as they were.
#pragma once
#include <concepts>
#include <cstdint>

#include "lib/ref/stuck.h"

namespace umbuf::ref {

// Alone - is the caller's view the only one? yes_zero: and somebody who left wanted the storage
// zeroed; from now on that is the caller's to remember.
enum class Alone : uint8_t { no, yes, yes_zero };

// Account - for an audit with everything quiet: the views of one group must add up to what is
// outstanding.
struct Account {
    const void* group;     // the same for all views of one group
    uint64_t weight;       // this view's part
    uint64_t outstanding;  // of the whole group; kStuckCount: saturated, anything goes
};
inline constexpr uint64_t kStuckCount = ~uint64_t{0};

// NoMerge - for schemes that hold nothing back.
struct NoMerge {
    template <class Last>
    void flush(const Last&) noexcept {}
    template <class See>
    void cached(const See&) const noexcept {}
    [[nodiscard]] bool empty() const noexcept { return true; }
};

template <class C>
struct IgnoreLast {
    void operator()(C&, bool) const noexcept {}
};

template <class S>
concept Scheme = requires(typename S::Control& control, const typename S::Control& quiet,
                          typename S::View& view, typename S::View& copy, const typename S::View& seen,
                          typename S::Merge* merge, IgnoreLast<typename S::Control> last, bool zero, bool& first) {
    // share - a second view. `view` is the caller's own. 0, or ENOBUFS (R8).
    { S::share(control, view, copy, merge) } noexcept -> std::same_as<int>;
    // release - the view ends; its bits are 0 afterwards. `zero`: zero the storage before it is
    // reused. Not for a view whose bits are 0. merge: what this thread holds back, null: nothing.
    { S::release(control, view, zero, merge, last) } noexcept -> std::same_as<void>;
    // detach - as release, for a holder that lives on and takes other storage.
    { S::detach(control, view, zero, merge, last) } noexcept -> std::same_as<void>;
    // exclusive - R3. Where the scheme can, the view's bits are 0 afterwards: unshared again.
    { S::exclusive(control, view, merge) } noexcept -> std::same_as<Alone>;
    // join - a view for a caller who pins the storage. first: the group was empty before; then the
    // caller adds the pin that last() undoes. 0, or ENOBUFS (R8).
    { S::join(control, view, first) } noexcept -> std::same_as<int>;
    { S::share_member(control, view, copy, merge) } noexcept -> std::same_as<int>;
    // leave - as release; last(control, zero): the group is empty, the pin can go.
    { S::leave(control, view, zero, merge, last) } noexcept -> std::same_as<void>;
    // sole_member - is the view the only one of its group? The one who pins may still join.
    { S::sole_member(quiet, view, merge) } noexcept -> std::same_as<bool>;
    { S::account(quiet, seen) } noexcept -> std::same_as<Account>;
    { S::account_member(quiet, seen) } noexcept -> std::same_as<Account>;
    { S::kName } -> std::convertible_to<const char*>;
    requires sizeof(typename S::Control) <= 8 && sizeof(typename S::View) == 8;
};

}  // namespace umbuf::ref
