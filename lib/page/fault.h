// SPDX-License-Identifier: BSD-2-Clause
// fault.h - who touched a page that the CPU may not touch, and whose page it was.
//
// A touch of the ghost range, a write through a read-only alias, and a touch of a strict window that was
// closed end in SIGSEGV. The reporter turns that into a diagnosis on standard error (the page, its class,
// state, owner and holders, the lcore, a backtrace) and aborts. A fault that has nothing to do with pages
// goes to whoever handled SIGSEGV before. Installed by arena_open(), removed by arena_close().
#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "lib/base/result.h"
#include "lib/page/page.h"

namespace umbuf {

enum class FaultKind : uint8_t { ghost, read_only, closed_window };
[[nodiscard]] const char* name_of(FaultKind kind) noexcept;

// PageFault - one touch.
struct PageFault {
    FaultKind kind;
    const void* address;
    const Page* page;  // null: a part of the arena that is no page
};

// fault_reporter_install - Error: the kernel refused. Any thread's faults are reported from then on.
[[nodiscard]] Status fault_reporter_install();
void fault_reporter_remove() noexcept;

// fault_of - run `touch`, and say which fault of ours it ran into, if any; the rest of it is then not run.
// Counted in faults_caught(). For tests: what is left half done stays so.
[[nodiscard]] std::optional<PageFault> fault_of(const std::function<void()>& touch);
[[nodiscard]] uint64_t faults_caught() noexcept;

}  // namespace umbuf
