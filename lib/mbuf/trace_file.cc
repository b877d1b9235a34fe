// SPDX-License-Identifier: BSD-2-Clause
// trace_file.cc - a trace's file, made and read.
#include "lib/mbuf/trace_file.h"

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#include <rte_cycles.h>

#include "lib/base/symbols.h"
#include "lib/mbuf/refs.h"
#include "lib/mbuf/trace_text.h"

namespace umbuf::trace {

FileHeader* make_file(const std::string& path, size_t n) {
    const size_t bytes = kRingsAt + n * sizeof(Ring);
    unlink(path.c_str());  // an earlier program's; who reads it keeps it
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) return nullptr;
    struct ::stat beside {};
    const std::string segment = path.substr(0, path.rfind('.'));
    if (::stat(segment.c_str(), &beside) == 0) (void)!fchown(fd, static_cast<uid_t>(-1), beside.st_gid);
    // All of it now: a full file system is an error here, and no SIGBUS later.
    void* base = posix_fallocate(fd, 0, static_cast<off_t>(bytes)) != 0
                     ? MAP_FAILED
                     : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    ::close(fd);
    if (base == MAP_FAILED) {
        unlink(path.c_str());
        return nullptr;
    }
    auto* file = new (base) FileHeader{};
    file->abi = kFileAbi;
    file->rings = static_cast<uint32_t>(n);
    file->bytes = bytes;
    file->ring_bytes = sizeof(Ring);
    return file;
}

namespace {

void put_text(char* to, size_t n, const char* text) noexcept { std::snprintf(to, n, "%s", text); }

int note_object(dl_phdr_info* info, size_t, void* arg) {
    auto& [file, n] = *static_cast<std::pair<FileHeader*, size_t>*>(arg);
    if (n == kObjects) return 1;
    FileHeader::Object& object = file->objects[n];
    object.base = info->dlpi_addr;
    object.first = UINT64_MAX;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr) & part = info->dlpi_phdr[i];
        if (part.p_type != PT_LOAD) continue;
        object.first = std::min<uint64_t>(object.first, info->dlpi_addr + part.p_vaddr);
        object.end = std::max<uint64_t>(object.end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
    }
    if (info->dlpi_name != nullptr && *info->dlpi_name != '\0') {
        put_text(object.path, sizeof object.path, info->dlpi_name);
    } else if (const ssize_t got = readlink("/proc/self/exe", object.path, sizeof object.path - 1); got > 0) {
        object.path[got] = '\0';
    }
    ++n;
    return 0;
}

}  // namespace

void publish(FileHeader& file) {
    file.tsc_hz = rte_get_tsc_hz();
    file.pid = static_cast<uint64_t>(getpid());
    size_t i = 0;
    for (const char* name : refs_names()) {
        if (i == kSchemes) break;
        file.schemes[i].at = bits(refs_named(name)->name);
        put_text(file.schemes[i++].name, sizeof file.schemes[0].name, name);
    }
    std::pair<FileHeader*, size_t> objects{&file, 0};
    dl_iterate_phdr(note_object, &objects);
    file.magic.store(kFileMagic, sync::release);  // pairs with the acquire in open_file()
}

// ---- reading

namespace {

struct Mapped {
    const std::byte* base = nullptr;
    size_t bytes = 0;
    ~Mapped() {
        if (base != nullptr) munmap(const_cast<std::byte*>(base), bytes);
    }
    [[nodiscard]] const FileHeader& header() const noexcept { return *reinterpret_cast<const FileHeader*>(base); }
    [[nodiscard]] const Ring& ring(size_t i) const noexcept {
        return *reinterpret_cast<const Ring*>(base + kRingsAt + i * sizeof(Ring));
    }
};

Status open_file(const std::string& path, Mapped& to) {
    const auto failed = [&](const char* what) { return Error{EINVAL, path + ": " + what}; };
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return Error{errno, path + ": " + std::strerror(errno)};
    struct ::stat what {};
    const bool fits = fstat(fd, &what) == 0 && S_ISREG(what.st_mode) && what.st_size >= static_cast<off_t>(kRingsAt);
    void* base = fits ? mmap(nullptr, static_cast<size_t>(what.st_size), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    ::close(fd);
    if (base == MAP_FAILED) return failed("is no reference trace: too short, or no file");
    to.base = static_cast<const std::byte*>(base);
    to.bytes = static_cast<size_t>(what.st_size);
    const FileHeader& h = to.header();
    if (h.magic.load(sync::acquire) != kFileMagic) return failed("is no reference trace, or not a whole one yet");
    if (h.abi != kFileAbi) return failed("is a reference trace of another version");
    if (h.ring_bytes != sizeof(Ring) || h.rings > (to.bytes - kRingsAt) / sizeof(Ring) || h.tsc_hz == 0)
        return failed("has a header that contradicts itself, or was cut off");
    return {};
}

template <size_t kN>
std::string text_of(const char (&text)[kN]) {
    return {text, strnlen(text, kN)};
}

std::string scheme_of(const FileHeader& file, const std::vector<Event>& events) {
    for (const FileHeader::Scheme& scheme : file.schemes)
        if (!events.empty() && scheme.at != 0 && scheme.at == bits(events.back().scheme)) return text_of(scheme.name);
    return "not known";
}

std::string symbol_in_file(const void* arg, const void* caller) {
    const uint64_t at = bits(caller);
    for (const FileHeader::Object& object : static_cast<const FileHeader*>(arg)->objects)
        if (at > object.first && at <= object.end) return symbol_in(text_of(object.path), at - object.base);
    return "?";
}

}  // namespace

Result<std::string> dump_file(const std::string& path, const Filter& filter) {
    Mapped mapped;
    if (Status opened = open_file(path, mapped); !opened) return opened.error();
    const FileHeader& file = mapped.header();
    const uint64_t capacity = std::min<uint64_t>(file.capacity.load(sync::relaxed), kMostEvents);
    State now{file.on.load(sync::relaxed) != 0, 0, 0, 0, 0};
    std::vector<Event> events;
    for (size_t r = 0; r < file.rings; ++r) {
        const Ring& ring = mapped.ring(r);
        const uint64_t n = ring.written.load(sync::relaxed) - ring.before.load(sync::relaxed);
        now.threads += n != 0;
        now.events += std::min(n, capacity);
        now.overwritten += n - std::min(n, capacity);
        for (uint64_t i = 0; i < capacity; ++i)
            if (Event e; get(ring.slots[i], e) && e.number >= file.forgotten.load(sync::relaxed)) events.push_back(e);
    }
    std::ranges::sort(events, {}, &Event::number);
    return headline(now, scheme_of(file, events).c_str()) + show(events, filter, {symbol_in_file, &file, file.tsc_hz});
}

}  // namespace umbuf::trace
