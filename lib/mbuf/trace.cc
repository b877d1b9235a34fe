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
#include "lib/mbuf/trace_file.h"
#include "lib/mbuf/trace_slot.h"
#include "lib/mbuf/trace_text.h"
#include "lib/stat/segment.h"

namespace umbuf::trace {
namespace {

struct Tracer {
    std::span<Ring> rings;                         // [c] set once
    FileHeader* file = nullptr;                    // [c] null: the rings are in no file
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
    void* memory = MAP_FAILED;
    if (const std::string stats = stat::is_at(); !stats.empty()) {
        g.file = make_file(stats + ".trace", n);
        if (g.file != nullptr) memory = rings_of(g.file);
    }
    if (memory == MAP_FAILED)
        memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return Error{errno, "trace refcnt: no memory for " + std::to_string(n) + " rings of " +
                                std::to_string(sizeof(Ring) >> 10) + " KB: " + std::strerror(errno)};
    Ring* rings = static_cast<Ring*>(memory);
    for (size_t i = 0; i < n; ++i) new (&rings[i]) Ring;
    g.rings = {rings, n};
    if (g.file != nullptr) publish(*g.file);
    return {};
}

}  // namespace

namespace {

// tell_file - what a reader of the file must know besides the rings.
void tell_file() noexcept {
    if (g.file == nullptr) return;
    g.file->capacity.store(g.capacity.load(sync::relaxed), sync::relaxed);
    g.file->forgotten.store(g.forgotten.load(sync::relaxed), sync::relaxed);
    g.file->on.store(on_.load(sync::relaxed) ? 1 : 0, sync::relaxed);
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
    tell_file();
    return {};
}

void stop() noexcept {
    on_.store(false, sync::relaxed);
    tell_file();
}

void clear() noexcept {
    for (Ring& ring : g.rings) ring.before.store(ring.written.load(sync::relaxed), sync::relaxed);
    g.forgotten.store(g.next.load(sync::relaxed), sync::relaxed);
    g.unrecorded_before.set(g.unrecorded.read());
    tell_file();
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

std::vector<Event> all_events() {
    std::vector<Event> events;
    const uint64_t forgotten = g.forgotten.load(sync::relaxed);
    for (const Ring& ring : g.rings)
        for (uint64_t i = 0; i < g.capacity.load(sync::relaxed); ++i)
            if (Event e; get(ring.slots[i], e) && e.number >= forgotten) events.push_back(e);
    std::ranges::sort(events, {}, &Event::number);
    return events;
}

std::string own_symbol(const void*, const void* caller) { return symbol_of(caller); }

}  // namespace

std::string dump(const Filter& filter) {
    const std::vector<Event> events = all_events();
    return headline(state(), events.empty() ? refs_in_use().name : events.back().scheme) +
           show(events, filter, {own_symbol, nullptr, rte_get_tsc_hz()});
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
    s += storage == nullptr ? "nothing is recorded of this storage\n" : show(events, {storage, kShown}, {own_symbol, nullptr, rte_get_tsc_hz()});
    std::fputs(s.c_str(), stderr);
}

}  // namespace

void diagnose() noexcept { on_die(tell); }

}  // namespace umbuf::trace
