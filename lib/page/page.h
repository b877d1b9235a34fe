// SPDX-License-Identifier: BSD-2-Clause
// page.h - a page: bytes that devices may use and the CPU may not, and what is known of them.
//
// A page is a run of 4 KiB frames, contiguous for the CPU and for devices, with one object that counts
// its holders. What it is lies in that object, which every mbuf that shows a piece of the page reaches;
// no verb that moves mbufs has anything to copy, so none can lose it (the family of CVE-2026-43284,
// -43500, -46300 and -43503 was lost marks).
//
//      class         read by the CPU    written by the CPU              what it is for
//      cache         by windows         never, by nobody                contents of files
//      anonymous     by windows         by its one holder, by windows   payload of our own making
//      device        never              never                           memory that only devices see
//
// P1  The class does not change while the page is held.
// P2  A cache page is written by its filler alone, before it is ready (page_cache.h); no address of this
//     process allows writing it, but for the time that a reader without fixed buffers fills it.
// P3  ready is one step, from filling to ready or failed; who sees it (acquire) sees the content.
#pragma once
#include <cstddef>
#include <cstdint>

#include "lib/base/sync.h"
#include "lib/mbuf/ext.h"
#include "lib/mbuf/window.h"
#include "lib/mbuf/zone.h"

namespace umbuf {

inline constexpr uint32_t kFrame = 4096;  // PAGE_SIZE

enum class PageClass : uint8_t { cache, anonymous, device };
inline constexpr size_t kPageClasses = 3;
[[nodiscard]] const char* name_of(PageClass cls) noexcept;

enum class PageState : uint8_t { filling, ready, failed };

// Locks:  I immutable while there is an arena   h its holders' before anybody else sees it   a atomic
struct alignas(64) Page {
    ExtControl ctl;                 // base and iova are the ghost's; size is the page's
    PageClass cls;                  // [I]
    sync::atomic<PageState> state;  // [a]
    uint16_t frames;                // [I]
    uint32_t number;                // [I] in its class
    Zone* zone;                     // [I]
    const char* owner;              // [h] who took it: a string that lives for ever

    [[nodiscard]] static Page* of(ExtControl* control) noexcept { return reinterpret_cast<Page*>(control); }
    [[nodiscard]] static const Page* of(const ExtControl* control) noexcept {
        return reinterpret_cast<const Page*>(control);
    }
};
static_assert(offsetof(Page, ctl) == 0 && sizeof(Page) == 128);

// page_take - a page nobody holds. Anonymous and device pages are ready, cache pages are to be filled.
// The caller hands it to an mbuf (m_extpg of &page->ctl), or gives it back by page_put. Null: there is
// none (rte_errno ENOBUFS), or no arena. Any thread.
[[nodiscard]] Page* page_take(PageClass cls, const char* owner) noexcept;
// page_put - a page that no mbuf got to hold goes home.
void page_put(Page* page) noexcept;

// page_ready, page_failed - the content has arrived, or never will (EIO). Once, by the filler, on any
// thread. FreeBSD: the end of sendfile_iodone().
void page_ready(Page* page) noexcept;
void page_failed(Page* page) noexcept;

// page_of - the page that an address in the ghost range, or in its alias, belongs to; null: none.
[[nodiscard]] Page* page_of(const void* address) noexcept;
// page_of - the page whose bytes m shows; null: they are in no page.
[[nodiscard]] inline Page* page_of(const Mbuf* m) noexcept {
    return ghost::size == 0 ? nullptr : page_of(m->rte.buf_addr);
}

// PageProt - how a window may be used.
enum class PageProt : uint8_t { read, write };
// PageMap - an explicit window on an mbuf's bytes, closed with it (FreeBSD: sf_buf). For who needs the
// errno; the verbs use ReadWindow and WriteWindow.
class PageMap {
  public:
    PageMap() = default;
    ~PageMap() { close(); }
    PageMap(const PageMap&) = delete;
    PageMap& operator=(const PageMap&) = delete;
    [[nodiscard]] std::byte* bytes() const noexcept { return bytes_; }  // null: not open
    // open - [off, off + len) of m, which has them. 0; EROFS: prot is write, and the page is read-only or
    // others hold it; EBUSY, EIO, EOPNOTSUPP (window.h). A mapped mbuf's bytes are their own window.
    [[nodiscard]] int open(Mbuf* m, uint32_t off, uint32_t len, PageProt prot) noexcept;
    void close() noexcept;

  private:
    std::byte* bytes_ = nullptr;
    uint32_t len_ = 0;
    bool opened_ = false, write_ = false;
};
// page_map - PageMap::open by its usual name.
[[nodiscard]] inline int page_map(Mbuf* m, uint32_t off, uint32_t len, PageProt prot, PageMap& map) noexcept {
    return map.open(m, off, len, prot);
}

// What pages are doing. A moment's sample.
struct PageCounters {
    uint32_t in_use[kPageClasses];   // held by mbufs
    uint32_t total[kPageClasses];
    uint32_t bytes[kPageClasses];    // of one page
    uint64_t denied[kPageClasses];
    uint32_t windows_now, windows_peak;  // explicit windows, and all windows of a strict arena
    uint64_t windows_denied;             // refused by page_map
};
[[nodiscard]] PageCounters page_counters() noexcept;

}  // namespace umbuf
