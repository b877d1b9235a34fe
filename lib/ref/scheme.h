// SPDX-License-Identifier: BSD-2-Clause
// scheme.h - what every way of counting references to a piece of storage must offer.
//
// A *view* is one mbuf's hold on a piece of storage. It carries a weight, 32 bits that belong to the
// scheme: 0 always means "never shared", and a view of weight 0 is alone by construction, so its
// release touches no shared memory. The storage's *control* holds the rest.
//
// Two ways to come by a view:
//   share  from a view that is alive; both then hold the storage.
//   join   from outside: the caller pins the storage by other means (a received mbuf that keeps its
//          own cluster, see lib/mbuf/ext.h) and so may start a group that has no view left.
// A view made by join, or shared from one that was, is dropped with leave, the others with release.
//
// Invariants (numbered as the code and the tests cite them):
//   R1  the count is >= 1 while a counted view exists; share() only copies a live view.
//   R2  every access through any view happens-before the release()/leave() that returns true.
//   R3  exclusive(): the caller's view is the only one; nobody can join it without the caller.
//   R4  after release() returned true the control is dead: count 0, ready for its zone.
//   R5  the count saturates to a leak; it never wraps.
//   R6  a zero request made through any view before its release is seen by the last release.
#pragma once
#include <concepts>
#include <cstdint>

namespace umbuf::ref {

template <class S>
concept Scheme = requires(typename S::Control& control, const typename S::Control& view_of,
                          uint32_t& source, uint32_t& copy, uint32_t weight) {
    // share - a second view. `source` is the caller's own. 0, or an errno and nothing changed.
    { S::share(control, source, copy) } noexcept -> std::same_as<int>;
    // release - true: that was the last view; the caller frees the storage, now.
    { S::release(control, weight) } noexcept -> std::same_as<bool>;
    // join - a view for a caller who pins the storage. True: the group was empty before.
    { S::join(control, copy) } noexcept -> std::same_as<bool>;
    // leave - true: the group is empty; the caller undoes the pin that came with join's true.
    { S::leave(control, weight) } noexcept -> std::same_as<bool>;
    // exclusive - R3. Any holder.
    { S::exclusive(view_of, weight) } noexcept -> std::same_as<bool>;
    // zeroize - ask that the storage be zeroed before anyone reuses it. Any holder.
    { S::zeroize(control, source) } noexcept -> std::same_as<void>;
    // zero_wanted - only for the one whose release() returned true; clears the request.
    { S::zero_wanted(control) } noexcept -> std::same_as<bool>;
    // flush - give back what this thread holds in caches of its own.
    { S::flush() } noexcept -> std::same_as<void>;
    // audit - with everything quiet, do the live views' weights add up to the control's count?
    { S::audit(view_of, uint64_t{}) } noexcept -> std::same_as<bool>;
    { S::kName } -> std::convertible_to<const char*>;
};

}  // namespace umbuf::ref
