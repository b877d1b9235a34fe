// SPDX-License-Identifier: BSD-2-Clause
// segment.cc - the one segment of this process.
#include "lib/stat/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "lib/stat/process.h"

namespace umbuf::stat {
namespace {

constexpr size_t kLine = 64;
constexpr size_t lines(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

// Block - what was given out. Entries are [first, first + n) of the directory; n 0: it is not listed.
struct Block {
    size_t bytes;
    std::vector<uint32_t> entries;
    bool shared;  // in the segment, not of operator new
    std::span<const Field> fields;
    std::string labels;
};

struct Writer {
    std::mutex lock;                                 // all that follows
    std::byte* base = nullptr;                       // null: no segment
    size_t bytes = 0;
    size_t cells = 0, used = 0, room = 0;            // of the cells' part
    std::string path;
    std::vector<uint32_t> gone;                      // entries that can be used again
    std::multimap<size_t, std::byte*> gone_cells;    // blocks that can be used again, by size
    std::map<std::byte*, Block> blocks;

    [[nodiscard]] Header* header() const { return reinterpret_cast<Header*>(base); }
    [[nodiscard]] Entry* entry(uint32_t i) const {
        return reinterpret_cast<Entry*>(base + header()->directory) + i;
    }
};

// Never destroyed: boxes in static storage may outlive everything.
Writer& writer() {
    static Writer& w = *new Writer;
    return w;
}

}  // namespace

// Globals - a list that is made while the program's static storage is, and never changes after.
struct Globals {
    static inline constinit AnyGlobal* first = nullptr;

    // move - all that is not in the segment yet, which was just opened.
    static void move() {
        for (AnyGlobal* g = first; g != nullptr; g = g->next_) {
            std::byte* from = g->at();
            std::byte* to = block(g->fields_, "", g->bytes_);
            for (size_t i = 0; i < g->bytes_ / sizeof(sync::Counter); ++i)
                reinterpret_cast<sync::Counter*>(to)[i].set(reinterpret_cast<const sync::Counter*>(from)[i].read());
            g->at_.store(to, sync::relaxed);
            if (from != g->own_) unlist(from);  // of a segment that was closed
        }
    }
    // each - those that are no block: nobody has opened a segment for them.
    template <class See>
    static void each_at_home(See&& see) {
        for (const AnyGlobal* g = first; g != nullptr; g = g->next_)
            if (g->at() == g->own_) see(g->fields_, std::string(), g->own_);
    }
};

AnyGlobal::AnyGlobal(std::span<const Field> fields, std::byte* own, size_t bytes)
    : fields_(fields), own_(own), bytes_(bytes), at_(own), next_(std::exchange(Globals::first, this)) {}

namespace {

uint64_t realtime_ns() noexcept {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(t.tv_nsec);
}

template <size_t kBytes>
void write_text(Text<kBytes>& to, const std::string& text) {
    char bytes[kBytes] = {};
    std::memcpy(bytes, text.data(), std::min(text.size(), kBytes - 1));
    for (size_t i = 0; i < kBytes / 8; ++i) {
        uint64_t word = 0;
        std::memcpy(&word, bytes + 8 * i, 8);
        to.words[i].store(word, sync::relaxed);
    }
}

void put_text(char* to, size_t n, const std::string& text) {
    std::memset(to, 0, n);
    std::memcpy(to, text.data(), std::min(text.size(), n - 1));
}

// change - one entry, between two odd turns (L2). The stores between are ordered before the second by
// its release; the first turn is an exchange, so that they cannot be seen before it.
template <class Change>
void change(Entry& entry, Change&& how) {
    const uint32_t was = entry.turn.fetch_add(1, sync::acq_rel);
    how();
    entry.turn.store(was + 2, sync::release);
}

std::string joined(const std::string& block, const char* own) {
    if (*own == '\0') return block;
    return block.empty() ? own : block + "," + own;
}

// lives - is the process that wrote this header still there? A pid that is another's now is told by its
// time of start.
bool lives(const Header& header) {
    return header.pid_started != 0 && header.pid_started == started_ticks(header.pid);
}

// in_the_way - the pid of a living program that writes at `path`; 0: there is none.
uint32_t in_the_way(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return 0;
    alignas(Header) std::byte bytes[sizeof(Header)];
    const ssize_t got = pread(fd, bytes, sizeof bytes, 0);
    ::close(fd);
    if (got != static_cast<ssize_t>(sizeof bytes)) return 0;
    const Header& header = *reinterpret_cast<const Header*>(bytes);
    if (header.magic.load(sync::relaxed) != kMagic || header.pid == static_cast<uint32_t>(getpid())) return 0;
    if (header.state.load(sync::relaxed) == static_cast<uint32_t>(State::ended)) return 0;
    return lives(header) ? header.pid : 0;
}

void write_header(Header& header, const Plan& plan, size_t directory, size_t bytes) {
    header.abi = kAbi;
    header.header_bytes = sizeof(Header);
    header.segment_bytes = bytes;
    header.started_ns = realtime_ns();
    header.generation = header.started_ns ^ static_cast<uint64_t>(getpid()) << 48;
    header.pid = static_cast<uint32_t>(getpid());
    header.pid_started = started_ticks(header.pid);
    header.entry_bytes = sizeof(Entry);
    header.directory = directory;
    header.most_entries = plan.entries;
    header.beat_ns.store(header.started_ns, sync::relaxed);
    header.state.store(static_cast<uint32_t>(State::starting), sync::relaxed);
    put_text(header.program, sizeof header.program, plan.program);
    put_text(header.version, sizeof header.version, plan.version);
    put_text(header.prefix, sizeof header.prefix, plan.prefix);
    header.magic.store(kMagic, sync::release);  // L1
}

// cells_for - a place of `bytes`; null: the segment is full, or none is open.
std::byte* cells_for(Writer& w, size_t bytes) {
    if (w.base == nullptr) return nullptr;
    if (const auto again = w.gone_cells.find(bytes); again != w.gone_cells.end()) {
        std::byte* at = again->second;
        w.gone_cells.erase(again);
        return at;
    }
    if (w.room - w.used < bytes) return nullptr;
    std::byte* at = w.base + w.cells + w.used;
    w.used += bytes;
    return at;
}

// entries_for - n of them, or none.
std::vector<uint32_t> entries_for(Writer& w, size_t n) {
    Header& header = *w.header();
    const uint32_t used = header.entries.load(sync::relaxed);
    if (w.gone.size() + (header.most_entries - used) < n) return {};
    std::vector<uint32_t> given;
    while (given.size() < n && !w.gone.empty()) {
        given.push_back(w.gone.back());
        w.gone.pop_back();
    }
    for (uint32_t next = used; given.size() < n; ++next) given.push_back(next);
    std::sort(given.begin(), given.end());  // a block is read in the order of its fields
    return given;
}

void list(Writer& w, std::span<const Field> fields, const std::string& labels, std::byte* at, Block& block) {
    Header& header = *w.header();
    uint64_t offset = static_cast<uint64_t>(at - w.base);
    uint32_t end = header.entries.load(sync::relaxed);
    for (size_t i = 0; i < fields.size(); ++i) {
        const Field& field = fields[i];
        Entry& entry = *w.entry(block.entries[i]);
        change(entry, [&] {
            entry.at.store(offset, sync::relaxed);
            entry.cells.store(field.cells, sync::relaxed);
            write_text(entry.name, field.name);
            write_text(entry.unit, field.unit);
            write_text(entry.labels, joined(labels, field.labels));
            write_text(entry.help, field.help);
            entry.kind.store(static_cast<uint32_t>(field.kind), sync::relaxed);
        });
        offset += 8 * field.cells;
        end = std::max(end, block.entries[i] + 1);
    }
    header.entries.store(end, sync::release);
}

}  // namespace

std::string path_of(const std::string& prefix) { return "/dev/shm/umbuf." + (prefix.empty() ? "rte" : prefix); }

namespace {

Status make_segment(const Plan& plan) {
    Writer& w = writer();
    const std::lock_guard guard(w.lock);
    if (w.base != nullptr) return Error{EALREADY, "statistics are at " + w.path + " already"};
    if (const uint32_t pid = in_the_way(plan.path); pid != 0)
        return Error{EEXIST, "statistics: " + plan.path + " belongs to process " + std::to_string(pid) +
                                 ", which is running: give another --file-prefix"};
    const auto failed = [&](const char* what) {
        const int error = errno;
        return Error{error, "statistics: " + plan.path + ": " + what + ": " + std::strerror(error)};
    };
    // Beside its place, then into it: a reader sees the old file or the whole new one.
    const std::string beside = plan.path + "." + std::to_string(getpid());
    const int fd = ::open(beside.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return failed("cannot be made");
    const size_t directory = sizeof(Header), cells = lines(directory + plan.entries * sizeof(Entry));
    const size_t bytes = cells + plan.cell_bytes;
    // All of it now: a full /dev/shm is an error here, and no SIGBUS later.
    const int full = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
    if (full != 0) errno = full;
    void* base = full != 0 ? MAP_FAILED : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const bool theirs = plan.group < 0 || fchown(fd, static_cast<uid_t>(-1), static_cast<gid_t>(plan.group)) == 0;
    const bool open_to_group = base != MAP_FAILED && theirs && fchmod(fd, plan.mode) == 0;
    ::close(fd);
    if (open_to_group) {
        w.base = static_cast<std::byte*>(base);
        write_header(*new (base) Header, plan, directory, bytes);
    }
    if (!open_to_group || rename(beside.c_str(), plan.path.c_str()) != 0) {
        const Error error = failed(base == MAP_FAILED ? "cannot have its memory" : "cannot be put in its place");
        if (base != MAP_FAILED) munmap(base, bytes);
        w.base = nullptr;
        unlink(beside.c_str());
        return error;
    }
    w.bytes = bytes;
    w.cells = cells;
    w.used = 0;
    w.room = plan.cell_bytes;
    w.path = plan.path;
    return {};
}

}  // namespace

Status open(const Plan& plan) {
    if (Status made = make_segment(plan); !made) return made;
    if (plan.globals) Globals::move();
    return {};
}

void close() noexcept {
    Writer& w = writer();
    const std::lock_guard guard(w.lock);
    if (w.base == nullptr) return;
    w.header()->beat_ns.store(realtime_ns(), sync::relaxed);
    w.header()->state.store(static_cast<uint32_t>(State::ended), sync::release);
    bool lived = false;
    for (const auto& [at, block] : w.blocks) lived = lived || block.shared;
    if (!lived) munmap(w.base, w.bytes);  // else it stays: address space, until the program ends
    w.base = nullptr;
    w.gone.clear();
    w.gone_cells.clear();
    w.path.clear();
}

bool is_open() noexcept {
    const std::lock_guard guard(writer().lock);
    return writer().base != nullptr;
}

std::string is_at() {
    const std::lock_guard guard(writer().lock);
    return writer().path;
}

void beat() noexcept {
    Writer& w = writer();
    const std::lock_guard guard(w.lock);
    if (w.base != nullptr) w.header()->beat_ns.store(realtime_ns(), sync::relaxed);
}

void say(State state) noexcept {
    Writer& w = writer();
    const std::lock_guard guard(w.lock);
    if (w.base != nullptr) w.header()->state.store(static_cast<uint32_t>(state), sync::release);
}

std::byte* block(std::span<const Field> fields, const std::string& labels, size_t bytes) {
    size_t cells = 0;
    for (const Field& field : fields) cells += field.cells;
    UM_ASSERT_MSG(8 * cells == bytes, "the fields of %s are %zu cells, its struct is %zu", fields[0].name, cells, bytes / 8);
    Writer& w = writer();
    const std::lock_guard guard(w.lock);
    const size_t whole = lines(bytes);
    std::byte* at = cells_for(w, whole);
    Block block{whole, {}, at != nullptr, fields, labels};
    if (at != nullptr) block.entries = entries_for(w, fields.size());
    if (w.base != nullptr && block.entries.empty()) w.header()->unlisted.fetch_add(1, sync::relaxed);
    if (at == nullptr) at = static_cast<std::byte*>(::operator new(whole, std::align_val_t{kLine}));
    std::memset(at, 0, whole);
    if (!block.entries.empty()) list(w, fields, labels, at, block);
    w.blocks.emplace(at, std::move(block));
    return at;
}

void unlist(std::byte* at) noexcept {
    Writer& w = writer();
    const std::lock_guard guard(w.lock);
    const auto found = w.blocks.find(at);
    UM_ASSERT_MSG(found != w.blocks.end(), "no block of statistics is at %p", static_cast<void*>(at));
    const Block block = std::move(found->second);
    w.blocks.erase(found);
    if (!block.shared) return ::operator delete(at, std::align_val_t{kLine});
    // Of a segment that was closed: it stays mapped, which costs address space only.
    if (w.base == nullptr || at < w.base || at >= w.base + w.bytes) return;
    for (const uint32_t i : block.entries) {
        Entry& entry = *w.entry(i);
        change(entry, [&] { entry.kind.store(0, sync::relaxed); });
        w.gone.push_back(i);
    }
    w.gone_cells.emplace(block.bytes, at);
}

void each(const std::function<void(const Listed&)>& see) {
    const auto see_all = [&see](std::span<const Field> fields, const std::string& labels, const std::byte* at) {
        const auto* cells = reinterpret_cast<const sync::Counter*>(at);
        for (const Field& field : fields) {
            see({field, *field.labels == '\0' ? labels : joined(labels, field.labels), {cells, field.cells}});
            cells += field.cells;
        }
    };
    Writer& w = writer();
    const std::lock_guard guard(w.lock);
    for (const auto& [at, block] : w.blocks) see_all(block.fields, block.labels, at);
    Globals::each_at_home(see_all);
}

}  // namespace umbuf::stat
