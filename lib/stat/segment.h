// SPDX-License-Identifier: BSD-2-Clause
// segment.h - the writer's side: numbers that others may read while they are counted.
//
// A block is a struct of sync::Counter, and arrays of them; its fields are said once, in a table:
//
//      struct ZoneStats { sync::Counter denied, delayed; };
//      constexpr stat::Field kZoneFields[] = {
//          {"zone_denied", "requests", stat::Kind::counter, 1, "allocations refused"}, ...};
//      stat::Box<ZoneStats> stats{kZoneFields, "zone=um_mbuf_0"};
//      stats->denied.add(1);          // a plain add, on a line of its own
//
// Where no segment is open, or it is full, a block is ordinary memory, and counts just the same. Tables of
// fields live for ever.
//
// Thread: open, close, and making and destroying boxes: control threads, any (one lock). Counting: the
// cell's one writer. Writers never wait, never allocate and make no system call.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "lib/base/result.h"
#include "lib/stat/layout.h"

namespace umbuf::stat {

struct Field {
    const char* name;
    const char* unit;
    Kind kind;
    uint32_t cells = 1;
    const char* help = "";
    const char* labels = "";  // besides those of the block: "reason=tx-full"
};

struct Plan {
    std::string path;               // see path_of()
    std::string program, version, prefix;
    uint32_t entries = 4096;
    uint32_t cell_bytes = 1 << 20;
    uint32_t mode = 0640;
    int group = -1;                 // -1: the process's own
    bool globals = false;           // list what Globals count, too
};

// path_of - where the program with this --file-prefix has its segment.
[[nodiscard]] std::string path_of(const std::string& prefix);

// open - make the segment, in place of one that an earlier program left. Error: EEXIST, a living process
// writes one there, and its pid; else the path and what the system said.
[[nodiscard]] Status open(const Plan& plan);
// close - the last word (State::ended). The file stays, to be read. Boxes that are still there count on
// in memory that nobody reads.
void close() noexcept;
[[nodiscard]] bool is_open() noexcept;
// is_at - the path of the open segment; empty: none is.
[[nodiscard]] std::string is_at();

// beat - "alive", about ten times a second. The control thread.
void beat() noexcept;
void say(State state) noexcept;

// Readers take a block's cells in the order of its fields: of two numbers, that which follows from the other
// comes first, and is then never ahead of it.
// block - cells for the fields, all 0, on cache lines of their own; listed if there is a place.
[[nodiscard]] std::byte* block(std::span<const Field> fields, const std::string& labels, size_t bytes);
// unlist - the block's numbers are gone; the cells may become another's.
void unlist(std::byte* block) noexcept;

// Listed - one number, as the writer knows it: `cells` holds still while it is looked at.
struct Listed {
    const Field& field;
    const std::string& labels;  // the block's and the field's
    std::span<const sync::Counter> cells;
};
// each - all numbers that are counted in this process, in a segment or not, block by block. Nobody can make
// or destroy a box meanwhile. Any thread that may wait.
void each(const std::function<void(const Listed&)>& see);

// Box - a block of the type T, which is nothing but sync::Counter, in the order of its fields.
template <class T>
class Box {
    static_assert(std::is_standard_layout_v<T> && sizeof(T) % sizeof(sync::Counter) == 0);

  public:
    Box() = default;
    Box(std::span<const Field> fields, const std::string& labels)
        : at_(new (block(fields, labels, sizeof(T))) T) {}
    ~Box() { reset(); }
    Box(Box&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
    Box& operator=(Box&& other) noexcept {
        if (this != &other) {
            reset();
            at_ = std::exchange(other.at_, nullptr);
        }
        return *this;
    }
    [[nodiscard]] T* operator->() const noexcept { return at_; }
    [[nodiscard]] T& operator*() const noexcept { return *at_; }
    explicit operator bool() const noexcept { return at_ != nullptr; }

  private:
    void reset() noexcept {
        if (at_ != nullptr) unlist(reinterpret_cast<std::byte*>(at_));
        at_ = nullptr;
    }
    T* at_ = nullptr;
};

// Global - a block in static storage: numbers of the program, which are counted before there is a segment
// and after. Where Plan::globals wants them listed, open() moves them into the segment with what they have
// counted; nobody else counts at that moment. A counter costs one load more than in a Box.
class AnyGlobal {
  public:
    AnyGlobal(const AnyGlobal&) = delete;
    AnyGlobal& operator=(const AnyGlobal&) = delete;

  protected:
    AnyGlobal(std::span<const Field> fields, std::byte* own, size_t bytes);
    ~AnyGlobal() = default;  // the program ends
    [[nodiscard]] std::byte* at() const noexcept { return at_.load(sync::relaxed); }

  private:
    friend struct Globals;
    const std::span<const Field> fields_;
    std::byte* const own_;
    const size_t bytes_;
    sync::atomic<std::byte*> at_;
    AnyGlobal* next_;
};

template <class T>
class Global : AnyGlobal {
    static_assert(std::is_standard_layout_v<T> && sizeof(T) % sizeof(sync::Counter) == 0);

  public:
    explicit Global(std::span<const Field> fields)
        : AnyGlobal(fields, reinterpret_cast<std::byte*>(&own_), sizeof(T)) {}
    [[nodiscard]] T* operator->() const noexcept { return reinterpret_cast<T*>(at()); }

  private:
    alignas(64) T own_;
};

}  // namespace umbuf::stat
