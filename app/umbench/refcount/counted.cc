// SPDX-License-Identifier: BSD-2-Clause
// counted.cc - the schemes that count themselves, by name.
#include "app/umbench/refcount/counted.h"

#include "lib/mbuf/ext_ops.h"
#include "lib/ref/intrusive.h"
#include "lib/ref/leader.h"
#include "lib/ref/list.h"
#include "lib/ref/native.h"
#include "lib/ref/weighted.h"

namespace umbuf::bench {
namespace {

struct CountedLock {
    void lock() noexcept {
        note_rmw(this);
        lock_.lock();
    }
    void unlock() noexcept { lock_.unlock(); }
    sync::SpinLock lock_;
};
template <class Lock>
struct Counted {
    static constexpr const char* kName = Lock::kName;
    static CountedLock& of(const void* control) noexcept {
        return reinterpret_cast<CountedLock&>(Lock::of(control));  // the same bytes, another lock()
    }
};
static_assert(sizeof(CountedLock) == sizeof(sync::SpinLock));

// A pin on an mbuf that somebody else pins, too, is a locked instruction of DPDK's.
struct CountedPins : ext::HeaderPins {
    template <class View>
    static void pin(View& view) noexcept {
        note(view);
        ext::HeaderPins::pin(view);
    }
    template <class View>
    static void unpin(View& view) noexcept {
        note(view);
        ext::HeaderPins::unpin(view);
    }
    template <class View>
    static void note(View& view) noexcept {
        const uint16_t& count = header(view)->rte.refcnt;
        if (sync::load_of(count, sync::relaxed) != 1) note_rmw(&count);
    }
};

using Links = ext::LinksTo<ref::ListView<Counting>>;
using Pool = ext::ProxyZone<Counting>;

const std::array kCounted{
    ext::Ops<ref::ListOf<Counted<ref::OneLock>, Links, Counting>>::table(),
    ext::Ops<ref::ListOf<Counted<ref::StripedLock>, Links, Counting>>::table(),
    ext::Ops<ref::Proxy<Pool, Counting>>::table(true),
    ext::Ops<ref::ProxyPlus<Pool, Counting>>::table(true),
    ext::Ops<ref::Leader<CountedPins, Counting>>::table(),
    ext::Ops<ref::IntrusiveOf<Counting>>::table(),
    ext::Ops<ref::NativeOf<Counting>>::table(),
    ext::Ops<ref::Weighted<Counting>>::table(),
    ext::Ops<ref::WeightedNoMerge<Counting>>::table(),
};

}  // namespace

const RefOps* counted(const std::string& name) {
    for (const RefOps& each : kCounted)
        if (name == each.name) return &each;
    return nullptr;
}

}  // namespace umbuf::bench
