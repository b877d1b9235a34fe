// SPDX-License-Identifier: BSD-2-Clause
// trace.cc - the rings that the probes write, and what is read from them.
#include "lib/mbuf/trace.h"

#include <execinfo.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "lib/base/check.h"
#include "lib/base/symbols.h"
#include "lib/mbuf/refs.h"
#include "lib/mbuf/trace_slot.h"

namespace umbuf::trace {
namespace {

// Locks:  a atomic   t only its thread writes   c control thread
struct Ring {
    sync::atomic<uint32_t> owner{0};    // [a] thread id; 0: nobody yet
    sync::atomic<uint64_t> written{0};  // [t] events, ever
    sync::atomic<uint64_t> before{0};   // [c] of those, how many are forgotten
    Slot slots[kMostEvents];            // [t]
};

struct Tracer {
    std::span<Ring> rings;                         // [c] set once
    sync::atomic<uint64_t> capacity{kMostEvents};  // [c] slots in use
    sync::atomic<uint64_t> next{1};                // [a] number of the next event
    sync::atomic<uint64_t> forgotten{0};           // [c] events below this number are
    sync::Counter unrecorded;
    sync::Counter unrecorded_before;
};
Tracer g;

constinit thread_local Ring* my_ring = nullptr;
constinit thread_local uint32_t my_thread = 0;
constinit thread_local uint32_t ask_again_in = 0;
struct Work {
    const ExtControl* control;
    const Mbuf* m;
};
constinit thread_local Work work{};

bool is_dead(uint32_t thread) noexcept {
    return syscall(SYS_tgkill, getpid(), static_cast<pid_t>(thread), 0) != 0 && errno == ESRCH;
}

// claim - a ring for this thread: nobody's, else one whose thread has ended. No word of the ring is in
// the ended thread's hands any more, and only one thread wins the exchange.
Ring* claim() noexcept {
    if (!on_.load(sync::acquire)) return nullptr;  // pairs with start(): the rings are there
    my_thread = static_cast<uint32_t>(syscall(SYS_gettid));
    for (const bool of_the_dead : {false, true})
        for (Ring& ring : g.rings) {
            uint32_t owner = ring.owner.load(sync::relaxed);
            if (owner == my_thread) return &ring;  // the kernel gave us a dead thread's number
            if (owner != 0 && !(of_the_dead && is_dead(owner))) continue;
            if (ring.owner.compare_exchange_strong(owner, my_thread, sync::acq_rel)) return &ring;
        }
    return nullptr;
}

Ring* ring_of_this_thread() noexcept {
    constexpr uint32_t kPatience = 1024;  // events between two looks for a ring: a look is system calls
    if (my_ring != nullptr) return my_ring;
    if (ask_again_in > 0) {
        --ask_again_in;
        return nullptr;
    }
    ask_again_in = kPatience;
    return my_ring = claim();
}

}  // namespace

void working_on(const ExtControl* control, const Mbuf* m) noexcept { work = {control, m}; }

// backtrace() takes no lock here: glibc finds unwind tables without one since 2.35, and start() has
// made its first call, which loads libgcc.
void record(Kind kind, const ExtControl* control, const Mbuf* m, const Mbuf* from,
            const ref::Account& account) noexcept {
    Ring* ring = ring_of_this_thread();
    if (ring == nullptr) return g.unrecorded.add_shared(1);
    void* frames[kCallers + 1] = {};
    backtrace(frames, kCallers + 1);
    Event e{g.next.fetch_add(1, sync::relaxed), rte_rdtsc(), control, m, from, account.weight,
            account.group != nullptr ? account.outstanding : 0, refs_in_use().name, kind,
            static_cast<uint16_t>(rte_lcore_id()), my_thread, {}};
    std::copy(frames + 1, frames + kCallers + 1, e.callers.begin());  // not this function
    const uint64_t n = ring->written.load(sync::relaxed);
    put(ring->slots[n % g.capacity.load(sync::relaxed)], e);
    ring->written.store(n + 1, sync::release);
}

// ---- on and off

namespace {

Status have_rings() {
    if (!g.rings.empty()) return {};
    const size_t n = rte_lcore_count() + 8;
    const size_t bytes = n * sizeof(Ring);
    // Populated: the probes shall not meet page faults.
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return Error{errno, "trace refcnt: no memory for " + std::to_string(n) + " rings of " +
                                std::to_string(sizeof(Ring) >> 10) + " KB: " + std::strerror(errno)};
    Ring* rings = static_cast<Ring*>(memory);
    for (size_t i = 0; i < n; ++i) new (&rings[i]) Ring;
    g.rings = {rings, n};
    return {};
}

}  // namespace

Status start(uint32_t events) {
    UM_ASSERT(events >= 1 && events <= kMostEvents);
    if (Status memory = have_rings(); !memory) return memory;
    void* frame[1];
    backtrace(frame, 1);  // its first call allocates
    diagnose();
    if (g.capacity.load(sync::relaxed) != events) {
        // A probe that still runs puts one last event somewhere in its ring; no harm is done.
        clear();
        g.capacity.store(events, sync::relaxed);
    }
    on_.store(true, sync::release);
    return {};
}

void stop() noexcept { on_.store(false, sync::relaxed); }

void clear() noexcept {
    for (Ring& ring : g.rings) ring.before.store(ring.written.load(sync::relaxed), sync::relaxed);
    g.forgotten.store(g.next.load(sync::relaxed), sync::relaxed);
    g.unrecorded_before.set(g.unrecorded.read());
}

State state() noexcept {
    State s{on_.load(sync::relaxed), 0, 0, 0, g.unrecorded.read() - g.unrecorded_before.read()};
    for (const Ring& ring : g.rings) {
        const uint64_t n = ring.written.load(sync::relaxed) - ring.before.load(sync::relaxed);
        const uint64_t kept = std::min(n, g.capacity.load(sync::relaxed));
        s.threads += n != 0;
        s.events += kept;
        s.overwritten += n - kept;
    }
    return s;
}

// ---- reading

namespace {

std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string text(const char* format, ...) {
    std::array<char, 256> line;
    va_list args;
    va_start(args, format);
    std::vsnprintf(line.data(), line.size(), format, args);
    va_end(args);
    return line.data();
}

std::vector<Event> all_events() {
    std::vector<Event> events;
    const uint64_t forgotten = g.forgotten.load(sync::relaxed);
    for (const Ring& ring : g.rings)
        for (uint64_t i = 0; i < g.capacity.load(sync::relaxed); ++i)
            if (Event e; get(ring.slots[i], e) && e.number >= forgotten) events.push_back(e);
    std::ranges::sort(events, {}, &Event::number);
    return events;
}

const char* deed(Kind kind) noexcept {
    switch (kind) {
    case Kind::attach: return "attached";
    case Kind::take: return "taken";
    case Kind::join: return "taken";
    case Kind::drop: return "dropped";
    case Kind::detach: return "detached";
    case Kind::last: return "freed";
    case Kind::unshare: return "unshared";
    }
    return "?";
}

std::string who(const Event& e) {
    std::string line;
    if (e.m != nullptr) line += text(" by mbuf %p", e.m);
    if (e.from != nullptr) line += text(e.kind == Kind::join ? " from received packet %p" : " from mbuf %p", e.from);
    if (e.outstanding == ref::kStuckCount) line += ", stuck";
    else if (e.outstanding != 0) line += text(", weight %" PRIu64 " of %" PRIu64, e.weight, e.outstanding);
    return line;
}

std::string callers(const Event& e) {
    static thread_local std::unordered_map<const void*, std::string> names;
    std::string list;
    for (const void* caller : e.callers) {
        if (caller == nullptr) break;
        auto [name, fresh] = names.try_emplace(caller);
        if (fresh) name->second = symbol_of(caller);
        list += (list.empty() ? "" : ", ") + name->second;
    }
    return list;
}

std::string line(const Event& e, uint64_t began, bool with_storage) {
    const double seconds = static_cast<double>(e.tsc - began) / static_cast<double>(rte_get_tsc_hz());
    std::string s = text("#%" PRIu64 " %.6f s, ", e.number, seconds);
    s += e.lcore != uint16_t(LCORE_ID_ANY) ? text("lcore %u", unsigned{e.lcore}) : text("thread %u", e.thread);
    if (with_storage) s += text(", storage %p", e.storage);
    s += std::string(": ") + deed(e.kind) + who(e) + "\n";
    return s + "      " + deed(e.kind) + " at " + callers(e) + "\n";
}

// Holders - of each storage, who holds it, and since which event (0: since before the trace).
using Holders = std::map<const void*, std::map<const void*, uint64_t>>;

void follow(Holders& holders, const Event& e) {
    auto& of = holders[e.storage];
    switch (e.kind) {
    case Kind::take:
        of.try_emplace(e.from, 0);
        [[fallthrough]];
    case Kind::attach:
    case Kind::join: of[e.m] = e.number; return;
    case Kind::drop:
    case Kind::detach: of.erase(e.m); return;
    case Kind::last: of.clear(); return;
    case Kind::unshare: of.try_emplace(e.m, 0); return;
    }
}

std::string held(const std::map<const void*, uint64_t>& holders) {
    if (holders.empty()) return "still held: by nobody\n";
    std::string s = text("still held: by %zu mbuf%s\n", holders.size(), holders.size() == 1 ? "" : "s");
    for (const auto& [m, since] : holders)
        s += since != 0 ? text("    mbuf %p since #%" PRIu64 "\n", m, since)
                        : text("    mbuf %p since before the trace\n", m);
    return s;
}

std::string held_of_all(const Holders& holders) {
    constexpr size_t kShown = 16;
    std::vector<std::string> lines;
    for (const auto& [storage, of] : holders)
        if (!of.empty()) lines.push_back(text("    storage %p by %zu\n", storage, of.size()));
    std::string s = lines.empty() ? "still held: nothing\n"
                                  : text("still held: %zu storage%s\n", lines.size(), lines.size() == 1 ? "" : "s");
    for (size_t i = 0; i < std::min(kShown, lines.size()); ++i) s += lines[i];
    return lines.size() > kShown ? s + "    ...\n" : s;
}

std::string show(const std::vector<Event>& events, const Filter& filter) {
    std::vector<const Event*> chosen;
    Holders holders;
    for (const Event& e : events) {
        if (filter.storage != nullptr && e.storage != filter.storage) continue;
        chosen.push_back(&e);
        follow(holders, e);
    }
    const size_t skipped = filter.last == 0 || filter.last >= chosen.size() ? 0 : chosen.size() - filter.last;
    std::string s;
    if (filter.storage != nullptr) s += text("storage %p:\n", filter.storage);
    if (chosen.empty()) s += "no event is recorded\n";
    if (skipped != 0) s += text("(%zu earlier events are not shown)\n", skipped);
    for (size_t i = skipped; i < chosen.size(); ++i)
        s += line(*chosen[i], chosen.front()->tsc, filter.storage == nullptr);
    if (chosen.empty()) return s;
    return s + (filter.storage != nullptr ? held(holders[filter.storage]) : held_of_all(holders));
}

}  // namespace

std::string dump(const Filter& filter) {
    const State now = state();
    const std::vector<Event> events = all_events();
    std::string s = text("reference trace, %s: scheme %s, %u threads, %" PRIu64 " events, %" PRIu64
                         " overwritten, %" PRIu64 " not recorded\n",
                         now.on ? "on" : "off", events.empty() ? refs_in_use().name : events.back().scheme,
                         now.threads, now.events, now.overwritten, now.unrecorded);
    return s + show(events, filter);
}

// ---- last words

namespace {

// storage_of - by what is known when somebody dies: the storage itself, or an mbuf that had it last.
const void* storage_of(const std::vector<Event>& events, const void* object) {
    if (object == nullptr) return nullptr;
    for (size_t i = events.size(); i-- > 0;)
        if (events[i].storage == object || events[i].m == object) return events[i].storage;
    return nullptr;
}

bool about_references(const Death& death) noexcept {
    return death.object != nullptr || std::strstr(death.file, "lib/ref/") != nullptr ||
           std::strstr(death.file, "lib/mbuf/ext") != nullptr;
}

void tell(const Death& death) noexcept {
    constexpr uint64_t kShown = 64;
    if (!about_references(death)) return;
    const bool traced = on();
    stop();  // what else the other threads do is of no use now
    if (!traced) {
        std::fputs("umbuf: where its references were taken and dropped is not known, because they were not "
                   "traced: 'trace refcnt on' at the prompt, or --trace-refcnt, before it happens\n",
                   stderr);
        return;
    }
    const std::vector<Event> events = all_events();
    const void* storage = nullptr;
    for (const void* known : {death.object, static_cast<const void*>(work.control), static_cast<const void*>(work.m)})
        if (storage == nullptr) storage = storage_of(events, known);
    std::string s = "umbuf: the references were traced; ";
    s += storage == nullptr ? "nothing is recorded of this storage\n" : show(events, {storage, kShown});
    std::fputs(s.c_str(), stderr);
}

}  // namespace

void diagnose() noexcept { on_die(tell); }

}  // namespace umbuf::trace
