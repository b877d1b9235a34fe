// SPDX-License-Identifier: BSD-2-Clause
// door.cc - the rings, and the bell.
#include "app/umfwd/route/door.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ring.h>

namespace umbuf::fwd {

namespace {

rte_ring* make_ring(const char* what, uint32_t size, int socket, unsigned flags) {
    static uint32_t made = 0;  // control thread
    const std::string name = fmt::format("um_{}_{}", what, made++);
    return rte_ring_create(name.c_str(), size, socket, flags);
}

Error no_memory() { return {ENOMEM, fmt::format("no memory for the rings to the kernel: {}; give EAL more: -m MB", rte_strerror(rte_errno))}; }

// An mbuf's address is a multiple of 64: its lowest bits say what the packet begins with, and whose it is.
void* packed(const Punt& punt) noexcept {
    return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(punt.packet) | (punt.ip ? 1U : 0U) | (punt.own ? 2U : 0U));
}
Punt unpacked(void* at) noexcept {
    const auto word = reinterpret_cast<uintptr_t>(at);
    return {.packet = reinterpret_cast<rte_mbuf*>(word & ~uintptr_t{3}), .ip = (word & 1) != 0, .own = (word & 2) != 0};
}

}  // namespace

Result<std::unique_ptr<KernelDoor>> KernelDoor::make(int socket) {
    std::unique_ptr<KernelDoor> door(new KernelDoor);
    door->socket_ = socket;
    door->to_kernel_ = make_ring("punt", kToKernel, socket, RING_F_SC_DEQ);
    if (door->to_kernel_ == nullptr) return no_memory();
    door->bell_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (door->bell_ < 0) return Error{errno, fmt::format("no eventfd: {}", std::strerror(errno))};
    return door;
}

KernelDoor::~KernelDoor() {
    Punt punt;
    while (to_kernel_ != nullptr && take(punt)) rte_pktmbuf_free(punt.packet);
    rte_ring_free(to_kernel_);
    for (uint16_t port = 0; port < RTE_MAX_ETHPORTS; ++port) {
        if (from_kernel_[port].ring == nullptr) continue;
        read_by(port, false);
        rte_ring_free(from_kernel_[port].ring);
    }
    if (bell_ >= 0) close(bell_);
}

Status KernelDoor::add_port(uint16_t port) {
    if (from_kernel_[port].ring != nullptr) return {};
    from_kernel_[port].ring = make_ring("kernel", kFromKernel, socket_, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (from_kernel_[port].ring == nullptr) return no_memory();
    return {};
}

void KernelDoor::read_by(uint16_t port, bool somebody) noexcept {
    Way& way = from_kernel_[port];
    way.read.store(somebody, sync::relaxed);  // a frame more or less: what is left over is freed later
    void* frame = nullptr;
    while (rte_ring_sc_dequeue(way.ring, &frame) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
}

bool KernelDoor::punt(const Punt& punt) noexcept { return rte_ring_mp_enqueue(to_kernel_, packed(punt)) == 0; }

// The write cannot block: the counter would have to be full.
void KernelDoor::knock() noexcept {
    if (!sleeps_.exchange(false, sync::acq_rel)) return;  // D1
    const uint64_t one = 1;
    static_cast<void>(!write(bell_, &one, sizeof one));
}

uint16_t KernelDoor::from_kernel(uint16_t port, rte_mbuf** frames, uint16_t n) noexcept {
    rte_ring* ring = from_kernel_[port].ring;
    if (__builtin_expect(rte_ring_empty(ring), 1)) return 0;
    return static_cast<uint16_t>(rte_ring_sc_dequeue_burst(ring, reinterpret_cast<void**>(frames), n, nullptr));
}

bool KernelDoor::take(Punt& punt) noexcept {
    void* at = nullptr;
    if (rte_ring_sc_dequeue(to_kernel_, &at) != 0) return false;
    punt = unpacked(at);
    return true;
}

bool KernelDoor::give(uint16_t port, rte_mbuf* frame) noexcept {
    const Way& way = from_kernel_[port];
    return way.ring != nullptr && way.read.load(sync::relaxed) && rte_ring_sp_enqueue(way.ring, frame) == 0;
}

bool KernelDoor::may_sleep() noexcept {
    static_cast<void>(sleeps_.exchange(true, sync::acq_rel));  // D1
    if (rte_ring_empty(to_kernel_)) return true;
    awake();
    return false;
}

void KernelDoor::awake() noexcept {
    sleeps_.store(false, sync::relaxed);
    uint64_t knocks = 0;
    static_cast<void>(!read(bell_, &knocks, sizeof knocks));
}

}  // namespace umbuf::fwd
