// SPDX-License-Identifier: BSD-2-Clause
// turnstile.h - a count of who is inside a device, for tests that stop devices under load.
#pragma once
#include <sched.h>

#include <atomic>
#include <cstdint>

#include "drivers/net/port.h"

namespace umbuf::test {

// The turnstile of one path into a device: counts entries and exits, and entries while it is shut.
struct Turnstile {
    std::atomic<bool> open{false};
    std::atomic<int> inside{0};
    std::atomic<uint64_t> trespasses{0};
    std::atomic<bool> hold{false};  // who enters stays inside ...
    std::atomic<int> tickets{0};    // ... until there is a ticket for him
    std::atomic<bool> staying{false};

    template <class Call>
    auto pass(Call call) noexcept {
        inside.fetch_add(1);
        if (!open.load()) trespasses.fetch_add(1);
        if ((++visits_of_this_thread & 15) == 0)
            sched_yield();  // linger, so that a race can happen
        if (hold.load()) stay();
        if (!open.load()) trespasses.fetch_add(1);
        const auto result = call();
        inside.fetch_sub(1);
        return result;
    }
    void stay() noexcept {
        staying.store(true);
        while (hold.load() && tickets.load() == 0)
            sched_yield();
        staying.store(false);
        if (hold.load()) tickets.fetch_sub(1);
    }
    static thread_local uint32_t visits_of_this_thread;
};
inline thread_local uint32_t Turnstile::visits_of_this_thread = 0;

struct Gates {
    Turnstile rx, tx;
    static Gates& of(const Port& port) { return *static_cast<Gates*>(port.wrapper_context()); }
    static uint16_t receive(Port& port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
        return of(port).rx.pass([&] { return port.device_rx(queue, burst, n); });
    }
    static Sent transmit(Port& port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
        return of(port).tx.pass([&] { return port.device_tx(queue, burst, n); });
    }
};

}  // namespace umbuf::test
