// SPDX-License-Identifier: BSD-2-Clause
// sync.h - atomics: the only header that names std::atomic.
//
// Two halves. The shipped one is a thin alias of the standard library. The other, with UM_MODEL
// defined, gives the same verbs over relacy's atomics, so that the headers of lib/ref are model
// checked as they are shipped (tests/model/).
#pragma once
#include <cstdint>

#ifndef UM_MODEL
#include <sched.h>  // not <thread>: a quarter of a second for each source that includes this

#include <atomic>
namespace umbuf::sync {
inline constexpr auto relaxed = std::memory_order_relaxed;
inline constexpr auto acquire = std::memory_order_acquire;
inline constexpr auto release = std::memory_order_release;
inline constexpr auto acq_rel = std::memory_order_acq_rel;
using memory_order = std::memory_order;
template <class T>
using atomic = std::atomic<T>;
// plain - a field that only its owner touches. The model sees whoever touches it without being that.
template <class T>
using plain = T;

// Real - the atomics that ship. What is written over a Sync can be given others: umbench counts the
// locked instructions of a scheme with one that counts.
struct Real {
    template <class T>
    using atomic = std::atomic<T>;
};

// load_of - an atomic load of a plain field that other code (DPDK) updates with atomic builtins.
template <class T>
[[nodiscard]] inline T load_of(const T& field, std::memory_order order) noexcept {
    return std::atomic_ref<T>(const_cast<T&>(field)).load(order);
}

// store_to - the same, to store.
template <class T>
inline void store_to(T& field, T value, std::memory_order order) noexcept {
    std::atomic_ref<T>(field).store(value, order);
}

// fence_acquire - what an earlier relaxed load saw is ordered before all that follows. Only where the
// load is somebody else's code. ThreadSanitizer does not know fences; it sees none.
inline void fence_acquire() noexcept {
#if !defined(__SANITIZE_THREAD__)
    std::atomic_thread_fence(std::memory_order_acquire);
#endif
}

// Counter - a number with one writer and any number of readers, who may see it a moment late.
// add() is a plain add: no locked instruction. Any second writer would lose counts.
class Counter {
  public:
    void add(uint64_t n) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    // add_shared - for the rare counter that several threads write. Costs a locked instruction.
    void add_shared(uint64_t n) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
    // raise_shared - to n, if it is less. For a peak that several threads raise.
    void raise_shared(uint64_t n) noexcept {
        uint64_t was = value_.load(std::memory_order_relaxed);
        while (was < n && !value_.compare_exchange_weak(was, n, std::memory_order_relaxed)) {}
    }
    void set(uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
    [[nodiscard]] uint64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<uint64_t> value_{0};
};

// SpinLock - a kernel's mutex, for a few loads and stores: no sleep, but an owner that lost its CPU is
// given ours. The owner's writes happen before the next owner's reads: the store in unlock() pairs
// with the exchange in lock().
class SpinLock {
  public:
    SpinLock() = default;
    SpinLock(const SpinLock&) = delete;
    SpinLock& operator=(const SpinLock&) = delete;
    void lock() noexcept {
        while (taken_.exchange(true, std::memory_order_acquire))
            for (uint32_t turns = 1; taken_.load(std::memory_order_relaxed); ++turns)
                turns % 64 != 0 ? pause() : static_cast<void>(sched_yield());  // reads its own copy of the line
    }
    void unlock() noexcept { taken_.store(false, std::memory_order_release); }

  private:
    static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm("yield");
#endif
    }
    std::atomic<bool> taken_{false};
};
}  // namespace umbuf::sync
#else
#include <relacy/relacy.hpp>
namespace umbuf::sync {
inline constexpr auto relaxed = rl::mo_relaxed;
inline constexpr auto acquire = rl::mo_acquire;
inline constexpr auto release = rl::mo_release;
inline constexpr auto acq_rel = rl::mo_acq_rel;
template <class T>
struct atomic {
    atomic() = default;
    explicit atomic(T v) : a(v) {}
    T load(rl::memory_order o) const { return a.load(o, $); }
    void store(T v, rl::memory_order o) { a.store(v, o, $); }
    T fetch_add(T v, rl::memory_order o) { return a.fetch_add(v, o, $); }
    T fetch_sub(T v, rl::memory_order o) { return a.fetch_sub(v, o, $); }
    T fetch_or(T v, rl::memory_order o) { return a.fetch_or(v, o, $); }
    T fetch_and(T v, rl::memory_order o) { return a.fetch_and(v, o, $); }
    rl::atomic<T> a;
};
template <class T>
struct plain {
    plain(T v) : a(v) {}
    plain& operator=(T v) {
        a($) = v;
        return *this;
    }
    operator T() const { return a($); }
    rl::var<T> a;
};
struct Real {
    template <class T>
    using atomic = sync::atomic<T>;
};
// relacy's own mutex: a lock that spins would be explored turn by turn, for ever. It belongs to one
// execution, and a scheme's lock is static, so each execution lends its own (tests/model/holders.h).
class SpinLock {
  public:
    void lock() { lent_->lock($); }
    void unlock() { lent_->unlock($); }
    void borrow(rl::mutex& mutex) { lent_ = &mutex; }

  private:
    rl::mutex* lent_ = nullptr;
};
}  // namespace umbuf::sync
#endif
