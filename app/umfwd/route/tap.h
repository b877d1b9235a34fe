// SPDX-License-Identifier: BSD-2-Clause
// tap.h - a port's twin in the kernel: a TAP interface with its address, over which the kernel talks to the port's
// network.
//
// Made in the network namespace of the calling thread, or taken over if it is there and persistent. Thread: control.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <rte_ether.h>

#include "lib/base/result.h"

namespace umbuf::fwd {

class Tap {
  public:
    // open - up, with this address and MTU; IPv4 forwarding on it is on, without which the kernel makes no ICMP
    // errors for others. Error: what the kernel refused.
    static Result<Tap> open(const std::string& name, const rte_ether_addr& mac, uint32_t mtu);
    Tap(Tap&& other) noexcept;
    Tap& operator=(Tap&&) = delete;
    ~Tap();  // the interface goes, unless it was there before

    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] int ifindex() const noexcept { return ifindex_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    // read - a frame from the kernel; 0: there is none now.
    [[nodiscard]] size_t read(std::span<std::byte> room) noexcept;
    // write - a frame to the kernel, in up to two parts. False: it was refused (the interface is down).
    [[nodiscard]] bool write(std::span<const std::byte> head, std::span<const std::byte> rest) noexcept;
    // carrier - what the port's link does, for routing daemons to see.
    void carrier(bool up) noexcept;

  private:
    Tap() = default;
    [[nodiscard]] Status set_up(const rte_ether_addr& mac, uint32_t mtu);
    int fd_ = -1;
    int ifindex_ = 0;
    std::string name_;
};

// enter_namespace - the calling thread is in this network namespace (ip-netns(8)) from now on.
[[nodiscard]] Status enter_namespace(const std::string& name);
// sysctl_is - does this file below /proc/sys/net, as the calling thread sees it, begin with `value`?
[[nodiscard]] bool sysctl_is(const std::string& path, char value);

}  // namespace umbuf::fwd
