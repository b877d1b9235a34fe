// SPDX-License-Identifier: BSD-2-Clause
// backing.cc - EAL's memory, found in its files.
#include "lib/page/backing.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <rte_errno.h>
#include <rte_memory.h>

namespace umbuf::page {
namespace {

constexpr size_t kHuge = size_t{2} << 20;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

Error no_memory(const std::string& name, size_t bytes, int socket) {
    return {rte_errno != 0 ? rte_errno : ENOMEM,
            "pages " + name + ": no " + std::to_string(bytes >> 20) + " MB in one piece on NUMA node " +
                std::to_string(socket) + ": " + rte_strerror(rte_errno) +
                "; give EAL more (-m MB with --no-huge, else more hugepages), or ask for fewer pages"};
}

}  // namespace

Result<Space> Space::reserve(size_t bytes, size_t align) {
    Space space;
    const size_t more = bytes + align;
    void* at = mmap(nullptr, more, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return Error{errno, "no " + std::to_string(more >> 20) + " MB of addresses for an alias of pages: " + std::strerror(errno)};
    space.mapped_ = at;
    space.mapped_bytes_ = more;
    space.base_ = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uintptr_t>(at), align));
    space.bytes_ = bytes;
    return space;
}

Space::~Space() {
    if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
}

void Space::swap(Space& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapped_, other.mapped_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
}

void Space::show_nothing(void* at, size_t bytes) noexcept {
    const void* got = mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    UM_ASSERT_MSG(got == at, "addresses at %p cannot be emptied: %s", at, std::strerror(errno));
}

Result<Backing> Backing::reserve(const std::string& name, size_t bytes, int socket) {
    Backing b;
    b.bytes_ = round_up(bytes, kHuge);
    b.zone_ = rte_memzone_reserve_aligned(name.c_str(), b.bytes_, socket, RTE_MEMZONE_2MB | RTE_MEMZONE_SIZE_HINT_ONLY,
                                          kHuge);
    if (b.zone_ == nullptr) return no_memory(name, b.bytes_, socket);
    b.base_ = static_cast<std::byte*>(b.zone_->addr);
    if (Status files = b.find_files(); !files) return files.error();
    return b;
}

Status Backing::find_files() {
    for (size_t off = 0; off < bytes_; off += grain_) {
        const rte_memseg* segment = rte_mem_virt2memseg(base_ + off, nullptr);
        const int fd = segment == nullptr ? -1 : rte_memseg_get_fd(segment);
        size_t at = 0;
        if (fd < 0 || rte_memseg_get_fd_offset(segment, &at) != 0)
            return Error{ENOTSUP, "unmapped pages need EAL memory that has files behind it, and this has none; start "
                                  "without --legacy-mem"};
        grain_ = segment->hugepage_sz;
        if (grain_ > kHuge)
            return Error{ENOTSUP, "unmapped pages need hugepages of 2 MB (or --no-huge), and EAL uses larger ones; "
                                  "mount 2 MB hugepages too"};
        at += static_cast<size_t>(base_ + off - static_cast<std::byte*>(segment->addr));
        Run* last = runs_.empty() ? nullptr : &runs_.back();
        if (last != nullptr && last->fd == fd && last->at + last->bytes == at)
            last->bytes += grain_;
        else
            runs_.push_back({off, grain_, fd, at});
    }
    return {};
}

Backing::~Backing() {
    if (zone_ == nullptr) return;
    const int error = protect(PROT_READ | PROT_WRITE);
    UM_ASSERT_MSG(error == 0, "pages cannot be given back to EAL: %s", std::strerror(error));
    rte_memzone_free(zone_);
}

void Backing::swap(Backing& other) noexcept {
    std::swap(zone_, other.zone_);
    std::swap(base_, other.base_);
    std::swap(bytes_, other.bytes_);
    std::swap(grain_, other.grain_);
    std::swap(runs_, other.runs_);
}

int Backing::map(size_t off, size_t len, void* at, int prot) const noexcept {
    UM_ASSERT(off % grain_ == 0 && len % grain_ == 0 && off + len <= bytes_);
    std::byte* to = static_cast<std::byte*>(at);
    for (const Run& run : runs_) {
        if (run.off + run.bytes <= off) continue;
        if (len == 0) break;
        const size_t skip = off - run.off;
        const size_t n = std::min(len, run.bytes - skip);
        if (mmap(to, n, prot, MAP_SHARED | MAP_FIXED, run.fd, static_cast<off_t>(run.at + skip)) == MAP_FAILED)
            return errno;
        to += n;
        off += n;
        len -= n;
    }
    return 0;
}

int Backing::protect(int prot) const noexcept { return mprotect(base_, bytes_, prot) == 0 ? 0 : errno; }

}  // namespace umbuf::page
