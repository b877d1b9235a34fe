// SPDX-License-Identifier: BSD-2-Clause
// trace_file.h - the rings of a reference trace in a file, so that they are read from outside, also when the
// program that wrote them hangs, or was killed.
//
//      0            header     what is known of the writer: its schemes' names, where its objects were loaded
//      kRingsAt     rings      as trace_slot.h writes them
//
// The file lies beside the segment of statistics, with .trace behind its name; there is none where there is
// no segment, or nobody has traced.
#pragma once
#include <cstdint>
#include <string>

#include "lib/base/result.h"
#include "lib/base/sync.h"
#include "lib/mbuf/trace.h"
#include "lib/mbuf/trace_slot.h"

namespace umbuf::trace {

// Ring - of one thread. Locks:  a atomic   t only its thread writes   c control thread
struct Ring {
    sync::atomic<uint32_t> owner{0};    // [a] thread id; 0: nobody yet
    sync::atomic<uint64_t> written{0};  // [t] events, ever
    sync::atomic<uint64_t> before{0};   // [c] of those, how many are forgotten
    Slot slots[kMostEvents];            // [t]
};

inline constexpr uint64_t kFileMagic = 0x0a43'5254'4655'4d55;  // "UMUFTRC\n"
inline constexpr uint32_t kFileAbi = 1, kSchemes = 16, kObjects = 256;
inline constexpr size_t kRingsAt = size_t{64} << 10;

// FileHeader - the writer's pointers mean nothing to a reader: here is what they point to.
struct FileHeader {
    sync::atomic<uint64_t> magic;  // last, with release
    uint32_t abi, rings;
    uint64_t bytes, ring_bytes;
    uint64_t tsc_hz, pid;
    sync::atomic<uint64_t> capacity, forgotten, on;
    struct Scheme {
        uint64_t at;
        char name[24];
    } schemes[kSchemes];
    struct Object {  // loaded at `base` (which is added to its own addresses), in [first, end)
        uint64_t base, first, end;
        char path[160];
    } objects[kObjects];
};
static_assert(sizeof(FileHeader) <= kRingsAt);

// ---- the writer's side: trace.cc

// make_file - for n rings, all there; null: it cannot be had. With the rights of the segment's group.
[[nodiscard]] FileHeader* make_file(const std::string& path, size_t n);
[[nodiscard]] inline void* rings_of(FileHeader* file) noexcept { return reinterpret_cast<std::byte*>(file) + kRingsAt; }
// publish - write down what is known of this process, then the magic. The rings are made.
void publish(FileHeader& file);

// ---- the reader's side

// dump_file - as dump(), of whoever wrote the file, whether he lives or not. Reads symbols from the files that
// he had loaded. Needs no EAL. Error: there is no such file, it is none, or it was cut off.
[[nodiscard]] Result<std::string> dump_file(const std::string& path, const Filter& filter);

}  // namespace umbuf::trace
