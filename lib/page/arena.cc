// SPDX-License-Identifier: BSD-2-Clause
// arena.cc - memory is had, shown twice, filled with pages, and taken away from the CPU.
#include "lib/page/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "lib/page/arena_state.h"
#include "lib/page/fault.h"

namespace umbuf {

using page::Arena;
using page::ClassZone;

namespace {

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

const ArenaConfig::Class& wanted(const ArenaConfig& config, size_t cls) {
    return cls == 0 ? config.cache : cls == 1 ? config.anonymous : config.device;
}

Status check(const ArenaConfig& config) {
    for (size_t c = 0; c < kPageClasses; ++c) {
        const uint32_t bytes = wanted(config, c).bytes;
        if (std::has_single_bit(bytes) && bytes >= kFrame && bytes <= 65536) continue;
        return Error{EINVAL, std::string("pages of class ") + name_of(static_cast<PageClass>(c)) + " have " +
                                 std::to_string(bytes) + " bytes; expected a power of two from 4096 to 65536"};
    }
    return {};
}

// The classes lie one behind the other, each on whole grains of 2 MB, so that each can have its rights.
size_t lay_out(Arena& a) {
    constexpr size_t kGrain = size_t{2} << 20;
    size_t off = 0;
    for (size_t c = 0; c < kPageClasses; ++c) {
        const ArenaConfig::Class& want = wanted(a.config, c);
        a.classes[c] = {nullptr, off, round_up(size_t{want.pages} * want.bytes, kGrain), want.bytes, {}};
        off += a.classes[c].bytes;
    }
    return off;
}

Status show(Arena& a, page::Space& space, size_t off, size_t len, int prot, const char* what) {
    // As large as the arena, so that the distance is one for all, and nobody else is in between.
    Result<page::Space> got = page::Space::reserve(a.backing.bytes(), a.backing.grain());
    if (!got) return got.error();
    space = std::move(got).value();
    const int error = len == 0 ? 0 : a.backing.map(off, len, space.base() + off, prot);
    if (error == 0) return {};
    return Error{error, std::string("pages cannot be mapped a second time, ") + what + ": " + std::strerror(error)};
}

Status show_aliases(Arena& a) {
    const ClassZone& anonymous = a.classes[static_cast<size_t>(PageClass::anonymous)];
    if (a.config.strict) {
        const uint32_t biggest = std::max(a.config.cache.bytes, a.config.anonymous.bytes);
        Result<page::StrictWindows> strict = page::StrictWindows::make(a.backing, biggest);
        if (!strict) return strict.error();
        a.strict = std::move(strict).value();
        return {};
    }
    if (Status s = show(a, a.alias_ro, 0, anonymous.off + anonymous.bytes, PROT_READ, "to be read"); !s) return s;
    return show(a, a.alias_rw, anonymous.off, anonymous.bytes, PROT_READ | PROT_WRITE, "to be written");
}

// is_one_run - for a device: are all frames of [p, p + bytes) neighbours?
bool is_one_run(const ArenaConfig& config, const std::byte* p, uint32_t bytes) {
    const rte_iova_t first = config.iova_of(p);
    for (uint32_t off = kFrame; off < bytes; off += kFrame) {
        const rte_iova_t here = config.iova_of(p + off);
        if (first == RTE_BAD_IOVA ? here != RTE_BAD_IOVA : here != first + off) return false;
    }
    return true;
}

std::vector<std::byte*> usable_pages(Arena& a, size_t cls) {
    const ClassZone& c = a.classes[cls];
    std::vector<std::byte*> pages;
    for (uint32_t i = 0; i < wanted(a.config, cls).pages; ++i) {
        std::byte* p = a.backing.base() + c.off + size_t{i} * c.page;
        if (is_one_run(a.config, p, c.page))
            pages.push_back(p);
        else
            ++a.left_out;
    }
    return pages;
}

struct Filling {
    Arena* a;
    size_t cls;
    const std::vector<std::byte*>* pages;
};

void init_page(rte_mempool*, void* arg, void* element, unsigned i) {
    const Filling& f = *static_cast<Filling*>(arg);
    const ClassZone& c = f.a->classes[f.cls];
    std::byte* const base = (*f.pages)[i];
    Page* page = new (element) Page{};
    page->ctl.type = ExtType::page;
    page->ctl.read_only = static_cast<PageClass>(f.cls) != PageClass::anonymous;
    page->ctl.size = c.page;
    page->ctl.base = base;
    page->ctl.iova = f.a->config.iova_of(base);
    page->ctl.arg = page;
    page->cls = static_cast<PageClass>(f.cls);
    page->state.store(PageState::filling, sync::relaxed);
    page->frames = static_cast<uint16_t>(c.page / kFrame);
    page->number = i;
    page->zone = c.zone;
    for (uint32_t k = 0; k < page->frames; ++k) f.a->by_frame[f.a->offset_of(base) / kFrame + k] = page;
}

Status make_pages(Arena& a, size_t cls, int socket) {
    const std::vector<std::byte*> pages = usable_pages(a, cls);
    if (pages.empty()) return {};
    const std::string name = std::string("um_page_") + name_of(static_cast<PageClass>(cls));
    Result<Zone*> zone = page_zone(name, static_cast<uint32_t>(pages.size()), sizeof(Page), a.classes[cls].page,
                                   socket, a.config.pool_cache);
    if (!zone) return zone.error();
    a.classes[cls].zone = zone.value();
    a.classes[cls].stats = stat::Box<PageStats>(page_fields(), std::string("class=") + name_of(static_cast<PageClass>(cls)));
    Filling filling{&a, cls, &pages};
    rte_mempool_obj_iter(zone.value()->pool, init_page, &filling);
    return {};
}

void close_zones(Arena& a) {
    for (ClassZone& c : a.classes)
        if (c.zone != nullptr) zone_close(std::exchange(c.zone, nullptr));
}

Status open_into(Arena& a, int socket) {
    Result<page::Backing> backing = page::Backing::reserve("um_pages", lay_out(a), socket);
    if (!backing) return backing.error();
    a.backing = std::move(backing).value();
    if (Status s = show_aliases(a); !s) return s;
    a.by_frame.assign(a.backing.bytes() / kFrame, nullptr);
    for (size_t c = 0; c < kPageClasses; ++c)
        if (Status s = make_pages(a, c, socket); !s) return s;
    const int error = a.backing.protect(PROT_NONE);
    if (error == 0) return fault_reporter_install();
    return Error{error, std::string("pages cannot be taken away from the CPU: ") + std::strerror(error)};
}

}  // namespace

Status arena_open(const ArenaConfig& config, int socket) {
    if (page::arena != nullptr) return Error{EALREADY, "arena_open: there is an arena already"};
    if (Status s = check(config); !s) return s;
    auto a = std::make_unique<Arena>();
    a->config = config;
    if (a->config.iova_of == nullptr) a->config.iova_of = rte_mem_virt2iova;
    if (Status s = open_into(*a, socket); !s) {
        close_zones(*a);
        return s;
    }
    a->windows->limit.set(config.strict ? page::StrictWindows::kSlots : 0);
    page::arena = a.release();
    page_ops = &page::kOps;
    ghost::base = reinterpret_cast<uintptr_t>(page::arena->backing.base());
    ghost::alias = reinterpret_cast<uintptr_t>(page::arena->alias_ro.base());
    ghost::size = page::arena->backing.bytes();
    return {};
}

std::vector<Unbalanced> arena_close() {
    if (page::arena == nullptr) return {};
    refs_flush();
    std::vector<Unbalanced> held;
    for (const ClassZone& c : page::arena->classes)
        if (c.zone != nullptr && c.zone->in_use() > 0) held.push_back({c.zone->name, c.zone->in_use(), 0});
    if (!held.empty()) return held;
    fault_reporter_remove();
    ghost::size = ghost::alias = ghost::base = 0;
    page_ops = nullptr;
    close_zones(*page::arena);
    delete std::exchange(page::arena, nullptr);
    return {};
}

std::vector<PageHolder> arena_holders() {
    std::vector<PageHolder> holders;
    if (page::arena == nullptr) return holders;
    const Page* before = nullptr;
    for (const Page* p : page::arena->by_frame) {
        if (p == nullptr || p == std::exchange(before, p) || p->owner == nullptr) continue;
        const auto same = std::ranges::find_if(holders, [p](const PageHolder& h) {
            return h.cls == p->cls && std::strcmp(h.owner, p->owner) == 0;
        });
        if (same != holders.end()) ++same->pages;
        else holders.push_back({p->cls, p->owner, 1});
    }
    return holders;
}

bool arena_is_open() noexcept { return page::arena != nullptr; }
bool arena_is_strict() noexcept { return page::arena != nullptr && page::arena->strict.has_value(); }
uint32_t arena_left_out() noexcept { return page::arena == nullptr ? 0 : page::arena->left_out; }

// ---- FillWindow

Result<FillWindow> FillWindow::open() {
    if (page::arena == nullptr) return Error{ENODEV, "there are no pages to fill: no arena is open"};
    const ClassZone& cache = page::arena->classes[static_cast<size_t>(PageClass::cache)];
    Result<page::Space> space = page::Space::reserve(cache.bytes, page::arena->backing.grain());
    if (!space) return space.error();
    FillWindow w;
    w.space_ = std::move(space).value();
    const int error = page::arena->backing.map(cache.off, cache.bytes, w.base(), PROT_READ | PROT_WRITE);
    if (error != 0)
        return Error{error, std::string("pages cannot be mapped to be filled: ") + std::strerror(error)};
    return w;
}

std::byte* FillWindow::at(const Page* page) const noexcept {
    const size_t first = page::arena->classes[static_cast<size_t>(PageClass::cache)].off;
    return base() + (page::arena->offset_of(page->ctl.base) - first);
}

// ---- StrictWindows

namespace page {

Result<StrictWindows> StrictWindows::make(const Backing& backing, uint32_t biggest_page) {
    StrictWindows w;
    w.slot_bytes_ = std::max<size_t>(backing.grain(), biggest_page);
    Result<Space> space = Space::reserve(w.slot_bytes_ * kSlots, backing.grain());
    if (!space) return space.error();
    w.space_ = std::move(space).value();
    w.slots_ = std::make_unique<Slot[]>(kSlots);
    w.next_ = std::make_unique<sync::atomic<uint32_t>>(0U);
    return w;
}

std::byte* StrictWindows::open(const Backing& backing, const Page* page, const std::byte* ghost, int prot) noexcept {
    for (uint32_t tries = 0; tries < kSlots; ++tries) {
        const uint32_t i = next_->fetch_add(1, sync::relaxed) % kSlots;
        bool open = false;
        if (!slots_[i].open.compare_exchange_strong(open, true, sync::acquire, sync::relaxed)) continue;
        slots_[i].page.store(page, sync::relaxed);
        const size_t off = static_cast<size_t>(page->ctl.base - backing.base());
        const size_t first = off / backing.grain() * backing.grain();
        const size_t len = round_up(off + page->ctl.size, backing.grain()) - first;
        std::byte* const at = space_.base() + i * slot_bytes_;
        const int error = backing.map(first, len, at, prot);
        UM_ASSERT_MSG(error == 0, "a strict window cannot be mapped: %s", std::strerror(error));
        return at + (static_cast<size_t>(ghost - backing.base()) - first);
    }
    UM_ASSERT_MSG(false, "%u windows are open at once, which is all that a strict arena has", kSlots);
    return nullptr;
}

uint32_t StrictWindows::slot_of(const void* address) const noexcept {
    const size_t off = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(space_.base());
    return off < slot_bytes_ * kSlots ? static_cast<uint32_t>(off / slot_bytes_) : kSlots;
}

void StrictWindows::close(const std::byte* window) noexcept {
    const uint32_t i = slot_of(window);
    UM_ASSERT_MSG(i < kSlots && slots_[i].open.load(sync::relaxed), "window %p is closed, and was not open",
                  static_cast<const void*>(window));
    Space::show_nothing(space_.base() + i * slot_bytes_, slot_bytes_);
    slots_[i].open.store(false, sync::release);  // pairs with the acquire in open(): the slot is empty
}

const Page* StrictWindows::last_at(const void* address, bool& is_open) const noexcept {
    const uint32_t i = slot_of(address);
    if (i == kSlots) return nullptr;
    is_open = slots_[i].open.load(sync::relaxed);
    return slots_[i].page.load(sync::relaxed);
}

bool Arena::has_alias(const void* address) const noexcept {
    return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(alias_ro.base()) < alias_ro.bytes();
}
bool Arena::has_rw_alias(const void* address) const noexcept {
    return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(alias_rw.base()) < alias_rw.bytes();
}

void Arena::note_open() noexcept {
    windows->now.add_shared(1);
    windows->peak.raise_shared(windows->now.read());
}

}  // namespace page
}  // namespace umbuf
