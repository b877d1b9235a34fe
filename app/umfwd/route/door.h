// SPDX-License-Identifier: BSD-2-Clause
// door.h - packets between the forwarding lcores and the thread that serves the kernel.
//
// Lcores never wait: a packet for the kernel goes into a ring, or dies when that is full; what the kernel sends waits
// in a ring of its port until the lcore that reads the port takes it along. An lcore makes a system call only when
// the thread sleeps.
//
//      D1  between may_sleep() and a knock(), no packet is overlooked: both exchange one flag, and whoever is second
//          sees what the first had done before.
#pragma once
#include <cstdint>
#include <memory>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "lib/base/result.h"
#include "lib/base/sync.h"

struct rte_ring;

namespace umbuf::fwd {

// Packets that wait for the kernel, and frames of the kernel that wait for one port.
inline constexpr uint32_t kToKernel = 2048, kFromKernel = 512;

// Punt - what an lcore gives away.
struct Punt {
    rte_mbuf* packet = nullptr;  // its `port` is the one that it came in by
    bool ip = false;             // begins with its IP header, not with an Ethernet header
    bool own = false;            // `ip`, and made by a lane: the kernel sends it, it does not receive it
};

class KernelDoor {
  public:
    [[nodiscard]] static Result<std::unique_ptr<KernelDoor>> make(int socket);
    ~KernelDoor();  // frees what is inside
    KernelDoor(const KernelDoor&) = delete;
    KernelDoor& operator=(const KernelDoor&) = delete;

    // ---- lcores
    // punt - false: full, and the packet is still the caller's. Any lcore.
    [[nodiscard]] bool punt(const Punt& punt) noexcept;
    // knock - after one or more punts.
    void knock() noexcept;
    // from_kernel - frames for `port`. The lcore with the port's first queue.
    [[nodiscard]] uint16_t from_kernel(uint16_t port, rte_mbuf** frames, uint16_t n) noexcept;

    // ---- the kernel's thread
    [[nodiscard]] bool take(Punt& punt) noexcept;  // false: there is none
    // give - false: nobody reads the port, or it is full; the frame is still the caller's.
    [[nodiscard]] bool give(uint16_t port, rte_mbuf* frame) noexcept;
    [[nodiscard]] int bell() const noexcept { return bell_; }  // readable after a knock at a sleeper
    [[nodiscard]] bool may_sleep() noexcept;                   // D1. False: there is a packet
    void awake() noexcept;

    // ---- control
    [[nodiscard]] Status add_port(uint16_t port);
    // read_by - frames for the port are taken (or not any more, and what is inside is freed). No lcore reads it.
    void read_by(uint16_t port, bool somebody) noexcept;

  private:
    struct Way {
        rte_ring* ring = nullptr;        // [I] once made
        sync::atomic<bool> read{false};  // [a]
    };
    KernelDoor() = default;
    rte_ring* to_kernel_ = nullptr;      // [I]
    Way from_kernel_[RTE_MAX_ETHPORTS];
    sync::atomic<bool> sleeps_{false};   // [a]
    int bell_ = -1;                      // [I]
    int socket_ = 0;                     // [I]
};

}  // namespace umbuf::fwd
