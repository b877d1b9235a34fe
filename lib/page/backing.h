// SPDX-License-Identifier: BSD-2-Clause
// backing.h - memory of EAL's, known by the files behind it, so that it can be shown at other addresses.
//
// Every page of EAL's memory is a piece of some file: a hugetlbfs file, a memfd (--in-memory), one memfd
// for all (--no-huge, --single-file-segments). Mapping the piece again makes an alias: another address
// of the same bytes, with other rights. EAL's own address stays what devices, VFIO and vhost-user know.
//
// Control thread, but for map() and Space::show_nothing(), which any thread may call.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include <rte_memzone.h>

#include "lib/base/result.h"

namespace umbuf::page {

// Space - a range of addresses with nothing behind it; what is shown there is taken off with it.
class Space {
  public:
    Space() = default;
    // reserve - `bytes` addresses, aligned to `align`, a power of two.
    static Result<Space> reserve(size_t bytes, size_t align);
    ~Space();
    Space(Space&& from) noexcept { swap(from); }
    Space& operator=(Space&& from) noexcept {
        swap(from);
        return *this;
    }
    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    [[nodiscard]] size_t bytes() const noexcept { return bytes_; }
    // show_nothing - [at, at + bytes) is empty again. At a multiple of the backing's grain.
    static void show_nothing(void* at, size_t bytes) noexcept;

  private:
    void swap(Space& other) noexcept;
    std::byte* base_ = nullptr;   // [I]
    size_t bytes_ = 0;            // [I]
    void* mapped_ = nullptr;      // [I] what munmap gets: alignment costs addresses
    size_t mapped_bytes_ = 0;     // [I]
};

class Backing {
  public:
    Backing() = default;
    // reserve - at least `bytes`, in whole grains, on NUMA node `socket`. Error: how much was wanted, and
    // the remedy; or that EAL's memory here has no files (--legacy-mem).
    static Result<Backing> reserve(const std::string& name, size_t bytes, int socket);
    ~Backing();  // rights are restored before EAL, which clears what it gets back, has it
    Backing(Backing&& from) noexcept { swap(from); }
    Backing& operator=(Backing&& from) noexcept {
        swap(from);
        return *this;
    }

    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    [[nodiscard]] size_t bytes() const noexcept { return bytes_; }
    // grain - the smallest piece that can be shown or protected: a huge page, or 4 KiB.
    [[nodiscard]] size_t grain() const noexcept { return grain_; }
    // map - show [off, off + len), whole grains, at `at`, replacing what was there. 0 or an errno. Never
    // allocates from the heap; a system call for each run of one file.
    [[nodiscard]] int map(size_t off, size_t len, void* at, int prot) const noexcept;
    // protect - change the rights of EAL's own addresses (PROT_*). 0 or an errno.
    [[nodiscard]] int protect(int prot) const noexcept;

  private:
    struct Run {  // grains that are neighbours in one file, too
        size_t off;
        size_t bytes;
        int fd;
        size_t at;  // in the file
    };
    void swap(Backing& other) noexcept;
    [[nodiscard]] Status find_files();
    const rte_memzone* zone_ = nullptr;  // [I]
    std::byte* base_ = nullptr;          // [I]
    size_t bytes_ = 0, grain_ = 0;       // [I]
    std::vector<Run> runs_;              // [I] by off
};

}  // namespace umbuf::page
