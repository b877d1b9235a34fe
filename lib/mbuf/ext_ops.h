// SPDX-License-Identifier: BSD-2-Clause
// ext_ops.h - from a scheme over views (lib/ref) to functions over mbufs: one template, one table.
//
// For lib/mbuf's own files, and for who measures schemes that are not in the list (app/umbench).
#pragma once
#include <cerrno>
#include <cstring>
#include <new>

#include "lib/mbuf/ext.h"
#include "lib/mbuf/quick.h"
#include "lib/mbuf/refs.h"
#include "lib/mbuf/trace.h"
#include "lib/mbuf/zone_get.h"
#include "lib/ref/proxy.h"

namespace umbuf::ext {

// page_offset - where in its page a window lies: in the page itself, or in its alias.
[[nodiscard]] uint64_t page_offset(const ExtControl* page, const std::byte* window) noexcept;
// mark_page - M_EXTPG, and M_NOTREADY, as the page and the window are.
void mark_page(Mbuf* m) noexcept;

// attach - m shows [window, window + length) of the storage: by its own record, count 1.
inline void attach(Mbuf* m, ExtControl* control, std::byte* window, uint32_t length) noexcept {
    const bool page = control->type == ExtType::page;
    const auto offset = __builtin_expect(page, 0) ? page_offset(control, window)
                                                  : static_cast<uint64_t>(window - control->base);
    m->ext_type = control->type;
    m->ext_zone = control->zone;
    m->ctl.store(control, sync::relaxed);
    rte_mbuf_ext_refcnt_set(&m->shinfo, 1);
    const rte_iova_t iova = control->iova == RTE_BAD_IOVA ? RTE_BAD_IOVA : control->iova + offset;
    rte_pktmbuf_attach_extbuf(&m->rte, window, iova, static_cast<uint16_t>(length), &m->shinfo);
    m->m_flags |= M_EXT | (control->read_only ? uint32_t{M_RDONLY} : 0U);
    if (__builtin_expect(page, 0)) mark_page(m);
}
// detach - a received packet's header has its own cluster again; nobody is called.
void detach(Mbuf* m) noexcept;
// go_home - the reverse of attach: the view has been given back already. A header of the mbuf zone
// shows its own bytes again, none of them used (rte_pktmbuf_detach, for what is known of ours).
inline void go_home(Mbuf* m) noexcept {
    m->m_flags &= ~uint32_t{M_RDONLY | M_ZEROIZE | M_EXTPG | M_NOTREADY};
    if (__builtin_expect(m->rte.priv_size != kMbufPrivate, 0)) {
        detach(m);
    } else {
        rte_mbuf& r = m->rte;
        r.buf_addr = m + 1;
        // Where a device's addresses are ours, the line before the header need not be loaded.
        const rte_iova_t own = zone::iova_is_va ? reinterpret_cast<rte_iova_t>(m) : rte_mempool_virt2iova(m);
        rte_mbuf_iova_set(&r, own + sizeof(Mbuf));
        r.buf_len = kMLen;
        r.data_off = 0;
        r.ol_flags &= ~RTE_MBUF_F_EXTERNAL;
        m->m_flags &= ~uint32_t{M_EXT};
        m->ext_type = ExtType::none;
        rte_mbuf_ext_refcnt_set(&m->shinfo, 0);
    }
    m->set_len(0);
}
// zero_if_wanted - a received packet's cluster, before its header goes home.
void zero_if_wanted(ExtControl* control) noexcept;
// free_storage - nobody holds it any more. packet: its group is empty, the pin goes.
void free_storage(ExtControl* control, bool zero) noexcept;
// free_unshared - the same for a view that was never shared; a cluster's control is not loaded.
void free_unshared(ExtControl* control, ExtType type, uint8_t zone, bool zero) noexcept;
// unpin - one pin less on a header. True: it was the last, and the header is the caller's to return.
[[nodiscard]] bool unpin(Mbuf* header) noexcept;

void note_refused(int error) noexcept;  // leaves it in rte_errno, too
void note_given(uint32_t storages) noexcept;

// HeaderLinks - a mbuf's view as 32 bits, for ref::List: headers are cache lines, within 256 GB of
// each other (EAL keeps its memory together; the check is in `of`).
struct HeaderLinks {
    template <class View>
    static uint32_t of(const View& view) noexcept {
        const uint64_t line = (reinterpret_cast<uintptr_t>(&view) - base_) >> 6;
        UM_ASSERT_MSG(line != 0 && line <= UINT32_MAX, "mbufs lie more than 256 GB apart: scheme list cannot link them");
        return static_cast<uint32_t>(line);
    }
    static uintptr_t address(uint32_t link) noexcept {
        return base_ + (uintptr_t{link} << 6) + offsetof(Mbuf, view) % 64;
    }
    static void start(const Mbuf* any) noexcept {
        base_ = (reinterpret_cast<uintptr_t>(any) & ~uintptr_t{63}) - (uintptr_t{1} << 37);
    }
    static uintptr_t base_;  // [I] after mbinit
};
template <class View>
struct LinksTo : HeaderLinks {
    static View& at(uint32_t link) noexcept { return *std::launder(reinterpret_cast<View*>(address(link))); }
};

// ProxyZone - proxies from this node's zone.
template <class Sync>
struct ProxyZone {
    using Object = ref::ProxyObject<Sync>;
    static Object* get() noexcept { return static_cast<Object*>(zone::get(*zone::here().proxies)); }
    static void put(Object* proxy) noexcept { rte_mempool_put(rte_mempool_from_obj(proxy), proxy); }
};

// HeaderPins - for ref::Leader: the mbuf that a view lies in, pinned by DPDK's count on it.
struct HeaderPins {
    template <class View>
    static Mbuf* header(View& view) noexcept {
        return reinterpret_cast<Mbuf*>(reinterpret_cast<std::byte*>(&view) - offsetof(Mbuf, view));
    }
    template <class View>
    static void pin(View& view) noexcept {
        rte_mbuf_refcnt_update(&header(view)->rte, 1);
    }
    template <class View>
    static void unpin(View& view) noexcept {
        if (Mbuf* m = header(view); ext::unpin(m)) rte_mbuf_raw_free(&m->rte);
    }
    // A clone that DPDK made of the header still sees what the header held, also when its owner has
    // freed it. In this order: the owner clones first, and frees then.
    template <class View>
    static bool only_pin(View& view) noexcept {
        const Mbuf* m = header(view);
        return sync::load_of(m->rte.refcnt, sync::acquire) == 1 &&
               sync::load_of(m->shinfo.refcnt, sync::acquire) == 1;
    }
};

template <class S>
class Ops {
  public:
    static constexpr RefOps table(bool takes_proxies = false) {
        return {S::kName, share, copym, hook, finish<Going::detached>, finish<Going::freed>, free_quickly, freem, exclusive, flush, merge, account, held_back, takes_proxies};
    }

  private:
    using View = typename S::View;
    using Control = typename S::Control;
    using Merge = typename S::Merge;
    static constexpr bool kMerges = !std::same_as<Merge, ref::NoMerge>;

    static inline constinit thread_local Merge merge_{};
    static inline constinit thread_local bool merging_ = false;

    static View& view(Mbuf* m) noexcept { return *std::launder(reinterpret_cast<View*>(m->view)); }
    static Control& refs(ExtControl* control) noexcept {
        return *std::launder(reinterpret_cast<Control*>(control->refs));
    }
    static bool unshared(const Mbuf* m) noexcept {
        uint64_t bits;
        std::memcpy(&bits, m->view, sizeof bits);
        return bits == 0;
    }
    [[gnu::always_inline]] static Merge* merge_table() noexcept {
        if constexpr (!kMerges) return nullptr;
        return merging_ ? &merge_ : nullptr;
    }
    [[gnu::always_inline]] static Merge* merge_to_hold() noexcept {
        if constexpr (!kMerges) return nullptr;
        if (!merging_) return nullptr;
        refs_holding = true;
        return &merge_;
    }
    struct Last {  // refs lie at the beginning of their control
        void operator()(Control& refs, bool zero) const noexcept {
            free_storage(reinterpret_cast<ExtControl*>(&refs), zero);
        }
    };
    static constexpr Last kLast{};

    // The probes of share, exclusive and let_go stay out of their way: one branch for each, and what
    // was inlined without them still is.
    static int share(Mbuf* m, Mbuf* copy, uint32_t offset, uint32_t length) noexcept {
        if (trace::on()) return share_traced(m, copy, offset, length);
        return share_view(m, copy, offset, length);
    }
    [[gnu::cold, gnu::noinline]] static int share_traced(Mbuf* m, Mbuf* copy, uint32_t offset,
                                                         uint32_t length) noexcept {
        const ExtControl* control = ext_control(m);
        trace::working_on(control, m);
        const int error = share_view(m, copy, offset, length);
        if (error == 0) trace::record(is_packet(m) ? trace::Kind::join : trace::Kind::take, control, copy, m, told(copy));
        return error;
    }
    [[gnu::always_inline]] static int share_view(Mbuf* m, Mbuf* copy, uint32_t offset, uint32_t length) noexcept {
        ExtControl* control = ext_control(m);
        if (const int error = is_packet(m) ? join_view(m, copy) : share_alive(m, copy, control); error != 0) {
            note_refused(error);
            return error;
        }
        attach(copy, control, m->data() + offset, length);
        return 0;
    }
    // copym - m_copym: the usual one here, any other the long way.
    static Mbuf* copym(Mbuf* m, uint32_t off, uint32_t len, int how) noexcept {
        quick::Part part{off, len, false};
        if (!quick::may_copy(m, part)) return m_copym_slowly(m, off, len, how);
        Mbuf* copy = quick::take_header();
        if (__builtin_expect(copy == nullptr, 0)) return m_copym_slowly(m, off, len, how);
        int error = 0;
        if ((m->rte.ol_flags & RTE_MBUF_F_EXTERNAL) == 0) {
            quick::show<true>(copy, m, packet_control(m), part);
            error = join_view(m, copy);
        } else {
            quick::show<false>(copy, m, m->ctl.load(sync::relaxed), part);
            error = share_alive(m, copy, m->ctl.load(sync::relaxed));
        }
        if (__builtin_expect(error == 0, 1)) return copy;
        quick::go_home(copy);
        return m_copym_slowly(m, off, len, how);  // and there it is refused, and counted
    }
    static int join_view(Mbuf* m, Mbuf* copy) noexcept {
        bool first = false;
        const int error = S::join(refs(packet_control(m)), view(copy), first);
        // The owner of the header is the only one who can join, so nobody pins in between.
        if (first) rte_mbuf_refcnt_update(&m->rte, 1);
        return error;
    }
    [[gnu::always_inline]] static int share_alive(Mbuf* m, Mbuf* copy, ExtControl* control) noexcept {
        UM_ASSERT_MSG(control != nullptr, "mbuf %p: it is shared, but its reference was dropped before",
                      static_cast<void*>(m));
        if (m->ext_type == ExtType::packet) return S::share_member(refs(control), view(m), view(copy), merge_table());
        return S::share(refs(control), view(m), view(copy), merge_table());
    }

    enum class Going : uint8_t { freed, detached };

    [[gnu::always_inline]] static void let_go(Mbuf* m, Going going) noexcept {
        ExtControl* control = m->ctl.load(sync::relaxed);
        if (trace::on()) trace_let_go(m, control, going);
        uncount_view(m, control, going);
    }
    [[gnu::always_inline]] static void uncount_view(Mbuf* m, ExtControl* control, Going going) noexcept {
        UM_ASSERT_MSG(control != nullptr, "mbuf %p: its reference was dropped before", static_cast<void*>(m));
        const bool zero = (m->m_flags & M_ZEROIZE) != 0;
        if (m->ext_type == ExtType::packet)
            S::leave(refs(control), view(m), zero, merge_to_hold(), kLast);
        else if (unshared(m))
            free_unshared(control, m->ext_type, m->ext_zone, zero);
        else if (going == Going::freed)
            S::release(refs(control), view(m), zero, merge_to_hold(), kLast);
        else
            S::detach(refs(control), view(m), zero, merge_to_hold(), kLast);
    }

    // trace_let_go - before it is done: who frees the storage comes behind it in the trace (T2).
    [[gnu::cold, gnu::noinline]] static void trace_let_go(Mbuf* m, const ExtControl* control, Going going) noexcept {
        trace::working_on(control, m);
        if (control == nullptr) return;  // of a dead record nothing is true but its address
        trace::record(going == Going::freed ? trace::Kind::drop : trace::Kind::detach, control, m, nullptr, told(m));
    }

    // hook - what a driver's free runs into, on any thread.
    static void hook(void*, void* header) noexcept {
        Mbuf* m = static_cast<Mbuf*>(header);
        // DPDK may have found the record's count at 1 by a relaxed load, and then lowered it by a
        // store. The fence orders what the other holder of the record wrote, the view included, before
        // us; it pairs with that holder's atomic subtraction in rte_mbuf_ext_refcnt_update().
        sync::fence_acquire();
        let_go(m, Going::freed);
        // Parked, our last look at the header: from here on it may be taken for something else. Pairs
        // with the acquire loads of get_header() and reclaim_set_aside().
        m->ctl.store(nullptr, sync::release);
    }

    // finish - hook and detach in one, by m's owner. False: a DPDK clone counts on its record.
    template <Going going>
    static bool finish(Mbuf* m) noexcept {
        if (sync::load_of(m->shinfo.refcnt, sync::acquire) != 1) return false;
        let_go(m, going);
        m->ctl.store(nullptr, sync::relaxed);
        go_home(m);
        return true;
    }

    // free_quickly - the usual m_free of an mbuf with storage. False: it declines.
    [[gnu::always_inline]] static bool free_quickly(Mbuf* m) noexcept {
        if (!quick::may_free(m) || trace::on()) return false;
        uncount_view(m, m->ctl.load(sync::relaxed), Going::freed);
        quick::go_home(m);
        return true;
    }

    static void freem(Mbuf* m) noexcept {
        do {
            Mbuf* next = m->next();
            if (!free_quickly(m)) m_free_slowly(m);
            m = next;
        } while (m != nullptr);
    }

    // exclusive - m's storage is a cluster or foreign, or a packet's whose header is gone.
    static bool exclusive(Mbuf* m) noexcept {
        ExtControl* control = ext_control(m);
        if (m->ext_type == ExtType::packet) return S::sole_member(refs(control), view(m), merge_table());
        if (unshared(m)) return true;
        if (trace::on()) return exclusive_traced(m, control);
        return exclusive_view(m, control);
    }
    [[gnu::cold, gnu::noinline]] static bool exclusive_traced(Mbuf* m, ExtControl* control) noexcept {
        trace::working_on(control, m);
        const bool alone = exclusive_view(m, control);
        if (alone && unshared(m)) trace::record(trace::Kind::unshare, control, m);
        return alone;
    }
    [[gnu::always_inline]] static bool exclusive_view(Mbuf* m, ExtControl* control) noexcept {
        const ref::Alone alone = S::exclusive(refs(control), view(m), merge_table());
        if (alone == ref::Alone::yes_zero) m->m_flags |= M_ZEROIZE;
        return alone != ref::Alone::no;
    }

    static void flush() noexcept {
        if constexpr (kMerges) {
            refs_holding = false;
            if (merge_.empty()) return;
            uint32_t held = 0;
            merge_.cached([&](const Control&, uint64_t) { ++held; });
            S::flush(merge_, kLast);
            note_given(held);
        }
    }
    static void merge(bool on) noexcept {
        flush();
        merge_ = Merge{};  // what the table has learnt was of other traffic
        merging_ = on;
    }

    static ref::Account account(Mbuf* m) noexcept {
        ExtControl* control = m->ctl.load(sync::relaxed);
        if (control == nullptr || unshared(m)) return {nullptr, 0, 0};
        return m->ext_type == ExtType::packet ? S::account_member(refs(control), view(m))
                                              : S::account(refs(control), view(m));
    }
    // told - for the trace: the scheme's account of m, where it is had without a walk.
    static ref::Account told(Mbuf* m) noexcept {
        if constexpr (requires { S::kAccountWalks; }) return {nullptr, 0, 0};
        return account(m);
    }
    static void held_back(void (*see)(void*, const void*, uint64_t), void* arg) noexcept {
        merge_.cached([&](const Control& control, uint64_t weight) { see(arg, &control, weight); });
    }
};

}  // namespace umbuf::ext
