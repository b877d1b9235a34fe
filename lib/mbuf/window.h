// SPDX-License-Identifier: BSD-2-Clause
// window.h - the bytes of an mbuf, whether the CPU can touch them where they lie or not.
//
// Unmapped storage. The pages of lib/page lie in a range of addresses that devices may use and the
// CPU may not: the *ghost range*. mtod() of an mbuf with M_EXTPG is such an address, and touching it
// faults. Its bytes are reached by a window: another address of the same page, made to be read, or,
// for some pages, to be written.
//
//      three questions, none of which answers another (all are asked of the page, not of the mbuf)
//      is it mapped?     m_unmapped    may mtod() be followed?
//      is it there?      m_readable    has its content arrived, and may the CPU see it at all?
//      is it mine?       m_changeable  am I alone with it, and is it of a kind that may be written?
//
// W1  Whoever follows mtod() of an mbuf that may be unmapped goes through a window, or refuses.
// W2  Nothing is written that m_changeable() did not allow. m_writable() is stricter: bytes that can be
//     written at mtod(). It is never true of a page (FreeBSD: M_WRITABLE of M_EXTPG).
// W3  A refusal changes nothing, is counted, and has an errno: EBUSY the content has not arrived, EIO it
//     never will, EOPNOTSUPP the CPU cannot see it, or the verb does not go into unmapped mbufs, EROFS
//     it may not be written.
//
// Without an arena the range is empty, and each test is one comparison that fails.
#pragma once
#include <cstddef>
#include <cstdint>

#include "lib/base/sync.h"
#include "lib/mbuf/ext.h"
#include "lib/mbuf/mbuf.h"

namespace umbuf {

// ghost - where unmapped pages lie, and their read-only aliases, at the same distance for all.
namespace ghost {
inline constinit uintptr_t base = 0;   // [I] while there is an arena
inline constinit uintptr_t size = 0;   // [I]
inline constinit uintptr_t alias = 0;  // [I] of base; 0: no standing alias (strict)
[[nodiscard]] inline bool has(const void* p) noexcept { return reinterpret_cast<uintptr_t>(p) - base < size; }
[[nodiscard]] inline bool alias_has(const void* p) noexcept {
    return alias != 0 && reinterpret_cast<uintptr_t>(p) - alias < size;
}
// of - the page's own address for one in the range or in the alias.
[[nodiscard]] inline std::byte* of(const void* p) noexcept {
    const uintptr_t at = reinterpret_cast<uintptr_t>(p);
    return reinterpret_cast<std::byte*>(alias_has(p) ? at - alias + base : at);
}
}  // namespace ghost

// PageOps - what lib/page, a floor above, does for the verbs. `page` is an address in the ghost range.
struct PageOps {
    int (*readable)(const void* page) noexcept;  // 0, EBUSY, EIO, EOPNOTSUPP
    bool (*anonymous)(const ExtControl* page) noexcept;
    const std::byte* (*open)(const void* page, uint32_t len) noexcept;  // readable() said 0
    void (*close)(const std::byte* window, uint32_t len) noexcept;
    std::byte* (*open_rw)(const void* page, uint32_t len) noexcept;     // anonymous() said true
    void (*close_rw)(std::byte* window, uint32_t len) noexcept;
    void (*last)(ExtControl* page, bool zero) noexcept;  // nobody holds it any more
};
inline constinit const PageOps* page_ops = nullptr;  // [I] while there is an arena

// m_unmapped - is mtod() of m not to be followed? Asked of the address, so true of DPDK's clones, too.
[[nodiscard]] inline bool m_unmapped(const Mbuf* m) noexcept { return ghost::has(m->rte.buf_addr); }

// m_readable - can m's bytes be read, by a window if need be? 0, EBUSY, EIO or EOPNOTSUPP (W3); not
// counted. Pairs with page_ready(): who sees 0 sees the content.
[[nodiscard]] inline int m_readable(const Mbuf* m) noexcept {
    return __builtin_expect(m_unmapped(m), 0) ? page_ops->readable(m->data()) : 0;
}
// m_changeable - may m's owner write its bytes, by a WriteWindow? True of what m_writable() is true of,
// and of a ready anonymous page that no other mbuf sees.
[[nodiscard]] bool m_changeable(const Mbuf* m) noexcept;

// CopiedFor - why the CPU copied bytes out of pages: the copy budget, by reason. `read`: it only looked at
// them (m_apply, checksums), and nothing was copied.
enum class CopiedFor : uint8_t { verb, ext_pgs_off, nic, capture, read, count };
[[nodiscard]] const char* name_of(CopiedFor why) noexcept;

// ReadWindow - [off, off + len) of m, to be read while this lives. m_readable(m) said 0. Any thread
// that may read m. `why`: the budget that is charged if m is unmapped.
class ReadWindow {
  public:
    ReadWindow(const Mbuf* m, uint32_t off, uint32_t len, CopiedFor why = CopiedFor::verb) noexcept
        : bytes_(m->data() + off), len_(len), opened_(m_unmapped(m)) {
        if (__builtin_expect(opened_, 0)) open(why);
    }
    ~ReadWindow() {
        if (__builtin_expect(opened_, 0)) page_ops->close(bytes_, len_);
    }
    ReadWindow(const ReadWindow&) = delete;
    ReadWindow& operator=(const ReadWindow&) = delete;
    [[nodiscard]] const std::byte* bytes() const noexcept { return bytes_; }

  private:
    void open(CopiedFor why) noexcept __attribute__((cold));
    const std::byte* bytes_;
    uint32_t len_;
    bool opened_;
};

// WriteWindow - the same, to be written. m_changeable(m) said true.
class WriteWindow {
  public:
    WriteWindow(Mbuf* m, uint32_t off, uint32_t len) noexcept
        : bytes_(m->data() + off), len_(len), opened_(m_unmapped(m) || ghost::alias_has(m->rte.buf_addr)) {
        if (__builtin_expect(opened_, 0)) bytes_ = page_ops->open_rw(ghost::of(bytes_), len_);
    }
    ~WriteWindow() {
        if (__builtin_expect(opened_, 0)) page_ops->close_rw(bytes_, len_);
    }
    WriteWindow(const WriteWindow&) = delete;
    WriteWindow& operator=(const WriteWindow&) = delete;
    [[nodiscard]] std::byte* bytes() const noexcept { return bytes_; }

  private:
    std::byte* bytes_;
    uint32_t len_;
    bool opened_;
};

// refused - count a verb's refusal (W3; EROFS in mbuf_traps()), and leave its reason in rte_errno.
// Returns it.
int refused(int error) noexcept __attribute__((cold));

// What verbs refused, and what the CPU copied. Sums over all threads since the program started.
struct WindowCounters {
    uint64_t not_ready;   // EBUSY
    uint64_t failed;      // EIO
    uint64_t impossible;  // EOPNOTSUPP
    uint64_t copied_bytes[static_cast<size_t>(CopiedFor::count)];
    uint64_t copied_times[static_cast<size_t>(CopiedFor::count)];
};
[[nodiscard]] WindowCounters window_counters() noexcept;
// windows_sample - what lcores counted, each by itself, into the numbers that others read. Control thread.
void windows_sample() noexcept;

}  // namespace umbuf
