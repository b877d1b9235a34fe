// SPDX-License-Identifier: BSD-2-Clause
// fault.cc - the handler of SIGSEGV. What it calls is safe where the program was interrupted: it reads
// memory of ours, formats into its stack, and writes to standard error.
#include "lib/page/fault.h"

#include <execinfo.h>
#include <unistd.h>

#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <rte_lcore.h>

#include "lib/page/arena_state.h"

namespace umbuf {

const char* name_of(FaultKind kind) noexcept {
    static constexpr const char* kNames[] = {"touched an unmapped page", "wrote through a read-only window of a page",
                                             "used a window of a page after it was closed"};
    return kNames[static_cast<size_t>(kind)];
}

namespace {

struct sigaction before;
bool installed = false;
sync::Counter caught;

// Catching - a thread that wants its fault back (fault_of).
struct Catching {
    sigjmp_buf back;
    PageFault fault;
};
constinit thread_local Catching* catching = nullptr;

std::optional<PageFault> ours(const void* address) noexcept {
    const page::Arena* a = page::arena;
    if (a == nullptr) return {};
    if (ghost::has(address)) return PageFault{FaultKind::ghost, address, page_of(address)};
    if (a->has_alias(address)) return PageFault{FaultKind::read_only, address, page_of(address)};
    bool open = false;
    if (a->strict)
        if (const Page* page = a->strict->last_at(address, open); page != nullptr)
            return PageFault{open ? FaultKind::read_only : FaultKind::closed_window, address, page};
    return {};
}

uint32_t holders(const Page* page) noexcept {
    struct Count {
        const Page* page;
        uint32_t n;
    } count{page, 0};
    for (const Zone* zone : zones()) {
        if (zone->kind != ZoneKind::mbuf) continue;
        rte_mempool_obj_iter(
            zone->pool,
            [](rte_mempool*, void* arg, void* element, unsigned) {
                Count& c = *static_cast<Count*>(arg);
                const Mbuf* m = static_cast<const Mbuf*>(element);
                if (m->ctl.load(sync::relaxed) == &c.page->ctl) ++c.n;
            },
            &count);
    }
    return count.n;
}

__attribute__((format(printf, 1, 2))) void say(const char* format, ...) noexcept {
    char line[512];
    va_list args;
    va_start(args, format);
    const int n = std::vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n > 0) (void)!write(STDERR_FILENO, line, std::min(static_cast<size_t>(n), sizeof line - 1));
}

void tell(const PageFault& fault) noexcept {
    const unsigned lcore = rte_lcore_id();
    char who[32] = "a thread that is no lcore";
    if (lcore != LCORE_ID_ANY) std::snprintf(who, sizeof who, "lcore %u", lcore);
    say("umbuf: %s %s, at %p\n", who, name_of(fault.kind), fault.address);
    const Page* page = fault.page;
    if (page == nullptr) {
        say("umbuf:   no page is there\n");
    } else {
        static constexpr const char* kStates[] = {"filling", "ready", "failed"};
        const bool in_use = page->owner != nullptr;
        say("umbuf:   page %u of class %s, %u bytes at %p, byte %zu; %s; owner %s, %u holders\n", page->number,
            name_of(page->cls), page->ctl.size, static_cast<void*>(page->ctl.base),
            fault.kind == FaultKind::closed_window
                ? size_t{0}
                : static_cast<size_t>(ghost::of(fault.address) - page->ctl.base),
            kStates[static_cast<size_t>(page->state.load(sync::relaxed))], in_use ? page->owner : "nobody: it is free",
            holders(page));
    }
    say("umbuf:   bytes of pages are reached by windows (lib/mbuf/window.h)\n");
    void* frames[32];
    backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
}

void pass_on(int signal, siginfo_t* info, void* context) {
    if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) return before.sa_sigaction(signal, info, context);
    if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN && before.sa_handler != nullptr) return before.sa_handler(signal);
    std::signal(signal, SIG_DFL);  // the touch happens again, and this time it is final
}

void on_fault(int signal, siginfo_t* info, void* context) {
    const std::optional<PageFault> fault = ours(info->si_addr);
    if (!fault) return pass_on(signal, info, context);
    if (catching != nullptr) {
        catching->fault = *fault;
        caught.add_shared(1);
        siglongjmp(catching->back, 1);
    }
    tell(*fault);
    std::abort();
}

}  // namespace

Status fault_reporter_install() {
    if (installed) return {};
    void* frame[1];
    backtrace(frame, 1);  // its first call allocates
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSEGV, &action, &before) != 0)
        return Error{errno, std::string("SIGSEGV cannot be handled, so faults on pages cannot be told: ") + std::strerror(errno)};
    installed = true;
    return {};
}

void fault_reporter_remove() noexcept {
    if (!installed) return;
    sigaction(SIGSEGV, &before, nullptr);
    installed = false;
}

std::optional<PageFault> fault_of(const std::function<void()>& touch) {
    Catching here{};
    Catching* const outer = catching;
    catching = &here;
    if (sigsetjmp(here.back, 1) != 0) {
        catching = outer;
        return here.fault;
    }
    touch();
    catching = outer;
    return {};
}

uint64_t faults_caught() noexcept { return caught.read(); }

}  // namespace umbuf
