// SPDX-License-Identifier: BSD-2-Clause
// page.cc - pages taken and given back, and the windows on them.
#include "lib/page/page.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include <rte_errno.h>

#include "lib/mbuf/zone_get.h"
#include "lib/page/arena_state.h"

namespace umbuf {

using page::arena;

const char* name_of(PageClass cls) noexcept {
    static constexpr const char* kNames[kPageClasses] = {"cache", "anonymous", "device"};
    return kNames[static_cast<size_t>(cls)];
}

namespace {

constexpr uint64_t kOneLess = ~uint64_t{0};

PageStats& stats_of(const Page* page) noexcept { return *arena->classes[static_cast<size_t>(page->cls)].stats; }

}  // namespace

Page* page_take(PageClass cls, const char* owner) noexcept {
    Zone* zone = arena == nullptr ? nullptr : arena->classes[static_cast<size_t>(cls)].zone;
    if (zone == nullptr) {
        rte_errno = ENOBUFS;
        return nullptr;
    }
    Page* page = static_cast<Page*>(zone::get(*zone));
    if (page == nullptr) return nullptr;
    page->owner = owner;
    if (cls == PageClass::cache) stats_of(page).filling.add_shared(1);
    // Whoever learns of the page later learns it from us: nobody to pair with.
    page->state.store(cls == PageClass::cache ? PageState::filling : PageState::ready, sync::relaxed);
    return page;
}

void page_put(Page* page) noexcept {
    const PageState state = page->state.load(sync::relaxed);
    if (state == PageState::filling) stats_of(page).filling.add_shared(kOneLess);
    if (state == PageState::failed) stats_of(page).failed.add_shared(kOneLess);
    page->owner = nullptr;
    zone::pool_put(page->zone->pool, page);
}

// Release pairs with the acquire in readable(): who sees the state sees the bytes.
void page_ready(Page* page) noexcept {
    UM_ASSERT(page->state.load(sync::relaxed) == PageState::filling);
    stats_of(page).filling.add_shared(kOneLess);
    page->state.store(PageState::ready, sync::release);
}
void page_failed(Page* page) noexcept {
    UM_ASSERT(page->state.load(sync::relaxed) == PageState::filling);
    stats_of(page).filling.add_shared(kOneLess);
    stats_of(page).failed.add_shared(1);
    page->state.store(PageState::failed, sync::release);
}

Page* page_of(const void* address) noexcept {
    const std::byte* at = ghost::of(address);
    return ghost::has(at) ? arena->by_frame[arena->offset_of(at) / kFrame] : nullptr;
}

// ---- what the verbs use

namespace page {
namespace {

Page* known(const void* ghost) noexcept {
    Page* p = page_of(ghost);
    UM_ASSERT_MSG(p != nullptr, "%p is in no page that was handed out", ghost);
    return p;
}

int readable(const void* ghost) noexcept {
    const Page* p = known(ghost);
    if (p->cls == PageClass::device) return EOPNOTSUPP;
    const PageState state = p->state.load(sync::acquire);
    return state == PageState::ready ? 0 : state == PageState::filling ? EBUSY : EIO;
}

bool anonymous(const ExtControl* control) noexcept { return Page::of(control)->cls == PageClass::anonymous; }

const std::byte* open_ro(const void* ghost, uint32_t) noexcept {
    if (!arena->strict) return arena->alias_ro.base() + arena->offset_of(ghost);
    arena->note_open();
    return arena->strict->open(arena->backing, known(ghost), static_cast<const std::byte*>(ghost), PROT_READ);
}

void close_ro(const std::byte* window, uint32_t) noexcept {
    if (!arena->strict) return;
    arena->strict->close(window);
    arena->note_closed();
}

std::byte* open_rw(const void* ghost, uint32_t) noexcept {
    if (!arena->strict) return arena->alias_rw.base() + arena->offset_of(ghost);
    arena->note_open();
    return arena->strict->open(arena->backing, known(ghost), static_cast<const std::byte*>(ghost), PROT_READ | PROT_WRITE);
}

void close_rw(std::byte* window, uint32_t len) noexcept { close_ro(window, len); }

// Only what we wrote is secret of ours: a file's contents are the file's, and a device's cannot be seen.
void last(ExtControl* control, bool zero) noexcept {
    Page* p = Page::of(control);
    if (zero && p->cls == PageClass::anonymous) {
        std::byte* bytes = open_rw(control->base, control->size);
        explicit_bzero(bytes, control->size);
        close_rw(bytes, control->size);
    }
    page_put(p);
}

}  // namespace

const PageOps kOps = {readable, anonymous, open_ro, close_ro, open_rw, close_rw, last};

}  // namespace page

// ---- explicit windows

namespace {

int may_open(const Mbuf* m, PageProt prot) noexcept {
    if (const int error = m_readable(m); error != 0) return error;
    return prot == PageProt::read || m_changeable(m) ? 0 : EROFS;
}

}  // namespace

int PageMap::open(Mbuf* m, uint32_t off, uint32_t len, PageProt prot) noexcept {
    UM_ASSERT(bytes_ == nullptr && off <= m->len() && len <= m->len() - off);
    if (const int error = may_open(m, prot); error != 0) {
        if (arena != nullptr) arena->windows->denied.add_shared(1);
        return refused(error);
    }
    std::byte* const at = m->data() + off;
    write_ = prot == PageProt::write;
    opened_ = m_unmapped(m) || (write_ && ghost::alias_has(at));
    len_ = len;
    bytes_ = !opened_ ? at
             : write_ ? page_ops->open_rw(ghost::of(at), len)
                      : const_cast<std::byte*>(page_ops->open(at, len));
    if (opened_ && !arena->strict) arena->note_open();
    return 0;
}

void PageMap::close() noexcept {
    if (bytes_ != nullptr && opened_) {
        write_ ? page_ops->close_rw(bytes_, len_) : page_ops->close(bytes_, len_);
        if (!arena->strict) arena->note_closed();
    }
    bytes_ = nullptr;
}

PageCounters page_counters() noexcept {
    PageCounters c{};
    if (arena == nullptr) return c;
    for (size_t i = 0; i < kPageClasses; ++i) {
        const page::ClassZone& cls = arena->classes[i];
        c.bytes[i] = cls.page;
        if (cls.zone == nullptr) continue;
        c.in_use[i] = cls.zone->in_use();
        c.total[i] = cls.zone->pool->size;
        c.denied[i] = cls.zone->denied();
    }
    c.windows_now = static_cast<uint32_t>(arena->windows->now.read());
    c.windows_peak = static_cast<uint32_t>(arena->windows->peak.read());
    c.windows_denied = arena->windows->denied.read();
    return c;
}

}  // namespace umbuf
