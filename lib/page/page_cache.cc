// SPDX-License-Identifier: BSD-2-Clause
// page_cache.cc - files' pages, found, read, and let go.
#include "lib/page/page_cache.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <mutex>

#include <rte_errno.h>

#include "lib/mbuf/refs.h"
#include "lib/mbuf/verbs.h"
#include "lib/page/extpg.h"

namespace umbuf {
namespace {

using stat::Kind;

constexpr stat::Field kFields[] = {
    {"cache_hits", "pages", Kind::counter, 1, "of files that were there, or on their way"},
    {"cache_misses", "pages", Kind::counter, 1, "of files that had to be read"},
    {"cache_evictions", "pages", Kind::counter, 1, "that made room for others"},
    {"cache_no_page", "requests", Kind::counter, 1, "refused, every page was held or filling"},
    {"cache_retried", "pages", Kind::counter, 1, "that had failed, and were read anew"},
    {"cache_pages", "pages", Kind::gauge, 1, "in the cache"},
};

PageState state_of(const Page* page) noexcept { return page->state.load(sync::acquire); }

}  // namespace

Result<std::unique_ptr<PageCache>> PageCache::open(FileReader& reader, uint32_t most) {
    const PageCounters pages = page_counters();
    const auto cache = static_cast<size_t>(PageClass::cache);
    if (most == 0 || most > pages.total[cache])
        return Error{EINVAL, "a cache of " + std::to_string(most) + " pages: the arena has " +
                                 std::to_string(pages.total[cache]) + " for files; expected 1 to that many"};
    const uint32_t unit = std::min(pages.bytes[cache], uint32_t{UINT16_MAX} / kFrame * kFrame);
    return std::unique_ptr<PageCache>(new PageCache(reader, most, unit));
}

PageCache::PageCache(FileReader& reader, uint32_t most, uint32_t unit)
    : reader_(reader), unit_(unit), stats_(kFields, ""), slots_(most), buckets_(std::bit_ceil(size_t{2} * most)) {
    for (Slot& slot : slots_) {
        slot.next = free_;
        free_ = &slot;
    }
}

PageCache::~PageCache() {
    for (Slot& slot : slots_) {
        if (slot.holder == nullptr) continue;
        while (state_of(slot.fill.page) == PageState::filling) usleep(100);
        m_free(slot.holder);
    }
    refs_flush();
}

Mbuf* PageCache::get(const InputFile& file, uint64_t index) noexcept {
    const std::lock_guard<sync::SpinLock> locked(lock_);
    Slot* slot = find(file.id(), index);
    if (slot != nullptr && state_of(slot->fill.page) == PageState::failed) {
        forget(*slot);
        stats_->retried.add(1);
        slot = nullptr;
    }
    if (slot != nullptr)
        stats_->hits.add(1);
    else if ((slot = insert(file, index)) == nullptr)
        return nullptr;
    slot->used = true;
    return m_copym(slot->holder, 0, M_COPYALL, M_NOWAIT);
}

Mbuf* PageCache::peek(const InputFile& file, uint64_t index) noexcept {
    const std::lock_guard<sync::SpinLock> locked(lock_);
    const Slot* slot = find(file.id(), index);
    return slot == nullptr ? nullptr : m_copym(slot->holder, 0, M_COPYALL, M_NOWAIT);
}

CacheCounters PageCache::counters() const noexcept {
    return {stats_->hits.read(),    stats_->misses.read(),  stats_->evictions.read(),
            stats_->no_page.read(), stats_->retried.read(), static_cast<uint32_t>(stats_->pages.read())};
}

PageCache::Slot*& PageCache::bucket(uint64_t file, uint64_t index) noexcept {
    const uint64_t mixed = (index ^ file << 40) * 0x9e3779b97f4a7c15;
    return buckets_[(mixed >> 32) & (buckets_.size() - 1)];
}

PageCache::Slot* PageCache::find(uint64_t file, uint64_t index) noexcept {
    Slot* slot = bucket(file, index);
    while (slot != nullptr && (slot->file != file || slot->index != index)) slot = slot->next;
    return slot;
}

// insert - a page for this key, with its read begun. Null: none can be had (rte_errno).
PageCache::Slot* PageCache::insert(const InputFile& file, uint64_t index) noexcept {
    const uint64_t offset = index * unit_;
    UM_ASSERT_MSG(offset < file.size(), "%s has no page %llu", file.path().c_str(), static_cast<unsigned long long>(index));
    const auto bytes = static_cast<uint32_t>(std::min<uint64_t>(unit_, file.size() - offset));
    Mbuf* holder = free_ != nullptr || evict_one() ? new_holder(bytes) : nullptr;
    if (holder == nullptr) return nullptr;
    Slot* slot = free_;
    free_ = slot->next;
    Slot*& first = bucket(file.id(), index);
    slot->holder = holder;
    slot->file = file.id();
    slot->index = index;
    slot->next = first;
    first = slot;
    slot->fill.file = &file;
    slot->fill.offset = offset;
    slot->fill.bytes = bytes;
    slot->fill.page = page_of(holder);
    stats_->misses.add(1);
    stats_->pages.set(stats_->pages.read() + 1);
    reader_.read(slot->fill);
    return slot;
}

// A free slot need not mean a free page: views of a page that was forgotten, or another cache, may have it.
Mbuf* PageCache::new_holder(uint32_t bytes) noexcept {
    Mbuf* holder = mb_alloc_ext_pgs(PageClass::cache, bytes, M_NOWAIT, "page cache");
    if (holder != nullptr) return holder;
    if (!evict_one()) return nullptr;
    return mb_alloc_ext_pgs(PageClass::cache, bytes, M_NOWAIT, "page cache");
}

// C1: acquire in state_of() pairs with the reader's last step, so its Fill is ours again.
bool PageCache::evict_one() noexcept {
    refs_flush();  // what this thread holds back would look like a holder
    for (size_t i = 0; i < 2 * slots_.size(); ++i) {
        Slot& slot = slots_[hand_++ % slots_.size()];
        if (slot.holder == nullptr || state_of(slot.fill.page) == PageState::filling) continue;
        if (std::exchange(slot.used, false)) continue;
        if (!refs_in_use().exclusive(slot.holder)) continue;
        forget(slot);
        stats_->evictions.add(1);
        return true;
    }
    stats_->no_page.add(1);
    rte_errno = ENOBUFS;
    return false;
}

void PageCache::forget(Slot& slot) noexcept {
    Slot** at = &bucket(slot.file, slot.index);
    while (*at != &slot) at = &(*at)->next;
    *at = slot.next;
    m_free(slot.holder);
    refs_flush();
    slot.holder = nullptr;
    slot.next = free_;
    free_ = &slot;
    stats_->pages.set(stats_->pages.read() - 1);
}

}  // namespace umbuf
