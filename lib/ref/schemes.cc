// SPDX-License-Identifier: BSD-2-Clause
// schemes.cc - each scheme keeps the contract of scheme.h, or this does not compile.
#include "lib/ref/intrusive.h"
#include "lib/ref/leader.h"
#include "lib/ref/list.h"
#include "lib/ref/native.h"
#include "lib/ref/proxy.h"
#include "lib/ref/scheme.h"
#include "lib/ref/weighted.h"

namespace umbuf::ref {
namespace {

// What the schemes need from above, declared and never called.
struct Links {
    static uint32_t of(const ListView<sync::Real>&) noexcept;
    static ListView<sync::Real>& at(uint32_t) noexcept;
};
struct Pool {
    static ProxyObject<sync::Real>* get() noexcept;
    static void put(ProxyObject<sync::Real>*) noexcept;
};
struct Pins {
    template <class V>
    static void pin(V&) noexcept;
    template <class V>
    static void unpin(V&) noexcept;
    template <class V>
    static bool only_pin(V&) noexcept;
};

template <class... S>
constexpr bool kAllKeepIt = (Scheme<S> && ...);
static_assert(kAllKeepIt<List<Links>, ListStriped<Links>, Proxy<Pool>, ProxyPlus<Pool>, Leader<Pins>,
                         Intrusive, Native, Weighted<>, WeightedNoMerge<>>);

}  // namespace
}  // namespace umbuf::ref
