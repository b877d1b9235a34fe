// SPDX-License-Identifier: BSD-2-Clause
// reader.cc - copy first, believe later: what is read is copied word by word, and the copy is looked at.
#include "lib/stat/reader.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <ctime>
#include <mutex>
#include <span>

namespace umbuf::stat {
namespace {

constexpr uint64_t kMostCells = 4096;  // of one number

// ---- a file that is cut off under a mapping

thread_local sigjmp_buf* way_out = nullptr;
struct sigaction before_us;

void on_bus_error(int signal, siginfo_t* info, void* context) {
    if (way_out != nullptr) siglongjmp(*way_out, 1);
    if ((before_us.sa_flags & SA_SIGINFO) != 0) return before_us.sa_sigaction(signal, info, context);
    if (before_us.sa_handler != SIG_DFL && before_us.sa_handler != SIG_IGN) return before_us.sa_handler(signal);
    sigaction(signal, &before_us, nullptr);  // and the instruction is run again
}

void catch_bus_errors() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction ours {};
        ours.sa_sigaction = on_bus_error;
        // No mask is saved by the jump, so the signal must not be blocked while it is handled.
        ours.sa_flags = SA_SIGINFO | SA_NODEFER;
        sigaction(SIGBUS, &ours, &before_us);
    });
}

// guarded - run `what`, which touches the mapping and plain memory only: it is left by a jump where the
// file ends early. False: it was.
template <class What>
[[nodiscard]] bool guarded(What&& what) noexcept {
    sigjmp_buf here;
    if (sigsetjmp(here, 0) != 0) {
        way_out = nullptr;
        return false;
    }
    way_out = &here;
    what();
    way_out = nullptr;
    return true;
}

void copy_words(const std::byte* from, uint64_t* to, size_t words) noexcept {
    const auto* cells = reinterpret_cast<const sync::atomic<uint64_t>*>(from);
    for (size_t i = 0; i < words; ++i) to[i] = cells[i].load(sync::relaxed);
}

// ---- what was copied

// RawHeader, RawEntry - as in layout.h, at rest.
struct RawHeader {
    uint64_t magic;
    uint32_t abi, header_bytes;
    uint64_t segment_bytes, generation, started_ns;
    uint32_t pid, entry_bytes;
    uint64_t directory;
    uint32_t most_entries, entries;
    uint64_t beat_ns;
    uint32_t state, unlisted;
    uint64_t pid_started;
    char program[32], version[32], prefix[64];
};
static_assert(sizeof(RawHeader) <= sizeof(Header) && offsetof(RawHeader, prefix) == offsetof(Header, prefix));

struct RawEntry {
    uint32_t turn, kind;
    uint64_t at, cells, reserved;
    char name[kNameBytes], unit[kUnitBytes], labels[kLabelBytes], help[kHelpBytes];
};
static_assert(sizeof(RawEntry) == sizeof(Entry));

std::string printable(const char* text, size_t most) {
    std::string out(text, strnlen(text, most));
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
    return out;
}

// wrong_with - why these are not the first bytes of a segment; empty: they are.
std::string wrong_with(const RawHeader& h, size_t bytes) {
    if (h.magic != kMagic) return "is no segment of statistics, or not a whole one yet";
    if (h.abi != kAbi)
        return "has abi " + std::to_string(h.abi) + ", and this program reads " + std::to_string(kAbi);
    if (h.segment_bytes > bytes)
        return "should have " + std::to_string(h.segment_bytes) + " bytes, and has " + std::to_string(bytes);
    const bool fits = h.header_bytes >= sizeof(RawHeader) && h.entry_bytes >= sizeof(RawEntry) && h.entry_bytes % 8 == 0 &&
                      h.directory % 8 == 0 && h.directory >= h.header_bytes && h.directory <= bytes &&
                      h.most_entries <= (bytes - h.directory) / h.entry_bytes && h.entries <= h.most_entries;
    return fits ? "" : "has a header that contradicts itself";
}

bool sensible(const RawEntry& e, size_t bytes) {
    return e.turn % 2 == 0 && e.kind >= 1 && e.kind <= static_cast<uint32_t>(Kind::histogram) && e.at % 8 == 0 &&
           e.cells >= 1 && e.cells <= kMostCells && e.at <= bytes && e.cells <= (bytes - e.at) / 8 && e.name[0] != '\0';
}

uint64_t realtime_ns() noexcept {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(t.tv_nsec);
}

Life life_of(const RawHeader& h, const Process& writer, uint64_t now_ns) {
    const auto state = static_cast<State>(h.state);
    if (state == State::ended) return Life::ended;
    if (!writer.lives()) return Life::died;
    if (now_ns > h.beat_ns && now_ns - h.beat_ns > kHungAfter_ns) return Life::hung;
    if (state == State::starting) return Life::starting;
    return state == State::stopped ? Life::stopped : Life::running;
}

// next_directory - a number that no directory had yet, of any reader in this process.
uint64_t next_directory() noexcept {
    static sync::atomic<uint64_t> last{0};
    return last.fetch_add(1, sync::relaxed) + 1;
}

}  // namespace

struct Reader::Seen {
    RawEntry raw{};
    Number number{};
    bool good = false;
};

const char* name_of(Life life) noexcept {
    switch (life) {
    case Life::starting: return "starting";
    case Life::running: return "running";
    case Life::stopped: return "stopped";
    case Life::hung: return "hung";
    case Life::ended: return "ended";
    case Life::died: return "died";
    }
    return "?";
}

std::string Number::label(std::string_view key) const {
    for (size_t at = 0; at < labels.size();) {
        const size_t end = std::min(labels.find(',', at), labels.size());
        const std::string_view one(labels.data() + at, end - at);
        if (one.size() > key.size() && one.substr(0, key.size()) == key && one[key.size()] == '=')
            return std::string(one.substr(key.size() + 1));
        at = end + 1;
    }
    return {};
}

namespace {

bool has(const Number& number, std::string_view name, std::string_view label) {
    if (number.name != name) return false;
    const size_t is = label.find('=');
    return is == std::string_view::npos || number.label(label.substr(0, is)) == label.substr(is + 1);
}

}  // namespace

const Number* Sample::find(std::string_view name, std::string_view label) const noexcept {
    for (const Number& number : numbers)
        if (has(number, name, label)) return &number;
    return nullptr;
}

uint64_t Sample::sum(std::string_view name, std::string_view label) const noexcept {
    uint64_t total = 0;
    for (const Number& number : numbers)
        if (has(number, name, label)) total += number.value();
    return total;
}

Result<Reader> Reader::open(const std::string& path) {
    const auto failed = [&](int error, const std::string& what) { return Error{error, path + ": " + what}; };
    // O_NONBLOCK: a FIFO in this place must not keep us.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return failed(errno, std::strerror(errno));
    struct stat what {};
    const bool known = fstat(fd, &what) == 0 && S_ISREG(what.st_mode);
    const size_t bytes = known ? static_cast<size_t>(what.st_size) : 0;
    if (bytes < sizeof(Header)) {
        ::close(fd);
        return failed(EINVAL, !known ? "is no file" : "is too short for statistics: " + std::to_string(bytes) + " bytes");
    }
    void* base = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
    const int error = errno;
    ::close(fd);
    if (base == MAP_FAILED) return failed(error, std::strerror(error));
    catch_bus_errors();
    Reader reader;
    reader.path_ = path;
    reader.base_ = static_cast<const std::byte*>(base);
    reader.bytes_ = bytes;
    reader.device_ = what.st_dev;
    reader.inode_ = what.st_ino;
    Sample first;
    if (const Status read = reader.sample(first); !read) return read.error();
    return reader;
}

Status Reader::sample(Sample& to) {
    const auto failed = [&](const std::string& what) {
        shown_.clear();  // what was seen of a change is not in any sample
        return Error{EINVAL, path_ + ": " + what};
    };
    uint64_t words[sizeof(RawHeader) / 8];
    if (!guarded([&] {
            // What magic says is there is there (L1).
            (void)reinterpret_cast<const Header*>(base_)->magic.load(sync::acquire);
            (void)reinterpret_cast<const Header*>(base_)->entries.load(sync::acquire);
            copy_words(base_, words, std::size(words));
        }))
        return failed("was cut off while it was read");
    const RawHeader h = std::bit_cast<RawHeader>(words);
    if (const std::string wrong = wrong_with(h, bytes_); !wrong.empty()) return failed(wrong);

    // 1. The entries, those that changed.
    if (seen_.size() < h.entries) seen_.resize(h.entries);
    std::span<Seen> seen(seen_.data(), h.entries);
    const auto entry = [&](size_t i) { return base_ + h.directory + i * h.entry_bytes; };
    const auto turn = [&](size_t i) { return reinterpret_cast<const Entry*>(entry(i))->turn.load(sync::acquire); };
    std::vector<bool> fresh(seen.size(), false);
    if (!guarded([&] {
            for (size_t i = 0; i < seen.size(); ++i) {
                const uint32_t now = turn(i);
                if (now == seen[i].raw.turn && now != 0) continue;
                fresh[i] = true;
                copy_words(entry(i), reinterpret_cast<uint64_t*>(&seen[i].raw), sizeof(RawEntry) / 8);
                sync::fence_acquire();
                if (now % 2 != 0 || turn(i) != now) seen[i].raw.turn = 1;  // torn: not this time
                else seen[i].raw.turn = now;
            }
        }))
        return failed("was cut off while it was read");
    size_t room = bytes_ / 8;  // no more cells than there can be
    for (size_t i = 0; i < seen.size(); ++i) {
        Seen& s = seen[i];
        if (fresh[i]) {
            s.good = sensible(s.raw, bytes_);
            if (s.good)
                s.number = {printable(s.raw.name, kNameBytes), printable(s.raw.unit, kUnitBytes),
                            printable(s.raw.labels, kLabelBytes), printable(s.raw.help, kHelpBytes),
                            static_cast<Kind>(s.raw.kind), std::vector<uint64_t>(s.raw.cells)};
        }
        if (!s.good) continue;
        if (s.raw.cells > room) s.good = false;
        else room -= s.raw.cells;
    }

    // 2. The cells; and are they still those entries' (D3)? Nothing is done between two cells: the line that
    // they share is the writer's again a moment later, and would have to be fetched from him twice.
    std::vector<bool> steady(seen.size(), false);
    if (!guarded([&] {
            for (Seen& s : seen)
                if (s.good) copy_words(base_ + s.raw.at, s.number.cells.data(), s.raw.cells);
            sync::fence_acquire();
            for (size_t i = 0; i < seen.size(); ++i) steady[i] = seen[i].good && turn(i) == seen[i].raw.turn;
        }))
        return failed("was cut off while it was read");

    if (generation_ != h.generation || generation_ == 0) {
        writer_ = Process(h.pid, h.pid_started);
        generation_ = h.generation;
    }
    to.program = printable(h.program, sizeof h.program);
    to.version = printable(h.version, sizeof h.version);
    to.prefix = printable(h.prefix, sizeof h.prefix);
    to.pid = h.pid;
    to.generation = h.generation;
    to.started_ns = h.started_ns;
    to.beat_ns = h.beat_ns;
    to.taken_ns = realtime_ns();
    to.life = life_of(h, writer_, to.taken_ns);
    to.unlisted = h.unlisted;

    // 3. What is shown. Names are copied only where they are not those that `to` has from us.
    bool changed = shown_.size() != seen.size();
    shown_.resize(seen.size(), false);
    size_t shown = 0;
    to.skipped = 0;
    for (size_t i = 0; i < seen.size(); ++i) {
        const bool show = seen[i].good && steady[i];
        changed = changed || fresh[i] || shown_[i] != show;
        shown_[i] = show;
        if (show) ++shown;
        else if (seen[i].raw.kind != 0) ++to.skipped;
    }
    if (changed) directory_ = next_directory();
    const bool known = to.directory == directory_ && to.numbers.size() == shown;
    if (!known) to.numbers.clear();
    for (size_t i = 0, k = 0; i < seen.size(); ++i) {
        if (!shown_[i]) continue;
        if (known) to.numbers[k++].cells = seen[i].number.cells;
        else to.numbers.push_back(seen[i].number);
    }
    to.directory = directory_;
    return {};
}

bool Reader::replaced() const {
    struct stat what {};
    return ::stat(path_.c_str(), &what) == 0 && (what.st_ino != inode_ || what.st_dev != device_);
}

Reader::Reader(Reader&& other) noexcept { *this = std::move(other); }

Reader& Reader::operator=(Reader&& other) noexcept {
    if (this == &other) return *this;
    let_go();
    path_ = std::move(other.path_);
    base_ = std::exchange(other.base_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    device_ = other.device_;
    inode_ = other.inode_;
    seen_ = std::move(other.seen_);
    shown_ = std::move(other.shown_);
    directory_ = std::exchange(other.directory_, 0);
    writer_ = std::move(other.writer_);
    generation_ = other.generation_;
    return *this;
}

Reader::~Reader() { let_go(); }

void Reader::let_go() noexcept {
    if (base_ != nullptr) munmap(const_cast<std::byte*>(base_), bytes_);
    base_ = nullptr;
}

}  // namespace umbuf::stat
