// SPDX-License-Identifier: BSD-2-Clause
// tap.cc - ioctls of tun(4) and netdevice(7).
#include "app/umfwd/route/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include <fmt/format.h>

namespace umbuf::fwd {

namespace {

Error refused(const std::string& what) {
    const int e = errno;
    return {e, fmt::format("{}: {}", what, std::strerror(e))};
}

// Descriptor - closed at the end of its scope.
struct Descriptor {
    int fd;
    explicit Descriptor(int f) : fd(f) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd >= 0) close(fd);
    }
};

ifreq request_for(const std::string& name) {
    ifreq request{};
    std::memcpy(request.ifr_name, name.data(), name.size());
    return request;
}

bool write_sysctl(const std::string& path, const char* value) {
    std::ofstream file("/proc/sys/net/" + path);
    file << value;
    file.close();
    return !file.fail();
}

}  // namespace

bool sysctl_is(const std::string& path, char value) {
    std::ifstream file("/proc/sys/net/" + path);
    return file.get() == value;
}

Status enter_namespace(const std::string& name) {
    const std::string path = name.find('/') == std::string::npos ? "/var/run/netns/" + name : name;
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.fd < 0) return refused(fmt::format("--tap-netns={}: {}", name, path));
    if (setns(file.fd, CLONE_NEWNET) != 0) return refused(fmt::format("--tap-netns={}: cannot enter it", name));
    return {};
}

Result<Tap> Tap::open(const std::string& name, const rte_ether_addr& mac, uint32_t mtu) {
    Tap tap;
    if (name.size() >= IFNAMSIZ) return Error{EINVAL, fmt::format("--tap: {} is too long for an interface's name", name)};
    tap.name_ = name;
    tap.fd_ = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap.fd_ < 0) return refused("mode route needs the kernel's TAP interfaces: /dev/net/tun");
    ifreq request = request_for(name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(tap.fd_, TUNSETIFF, &request) != 0)
        return refused(fmt::format("TAP interface {} (a port's twin; --tap names them) cannot be made", name));
    if (Status up = tap.set_up(mac, mtu); !up) return up.error();
    return tap;
}

Status Tap::set_up(const rte_ether_addr& mac, uint32_t mtu) {
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (socket.fd < 0) return refused("socket");
    ifreq request = request_for(name_);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, &mac, sizeof mac);
    if (ioctl(socket.fd, SIOCSIFHWADDR, &request) != 0) return refused(name_ + " does not take the port's address");
    request = request_for(name_);
    request.ifr_mtu = static_cast<int>(mtu);
    if (ioctl(socket.fd, SIOCSIFMTU, &request) != 0) return refused(fmt::format("{} does not take the port's MTU, {}", name_, mtu));
    static_cast<void>(write_sysctl("ipv4/conf/" + name_ + "/forwarding", "1"));
    static_cast<void>(write_sysctl("ipv6/conf/" + name_ + "/forwarding", "1"));
    request = request_for(name_);
    if (ioctl(socket.fd, SIOCGIFFLAGS, &request) != 0) return refused(name_);
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (ioctl(socket.fd, SIOCSIFFLAGS, &request) != 0) return refused(name_ + " cannot be set up");
    request = request_for(name_);
    if (ioctl(socket.fd, SIOCGIFINDEX, &request) != 0) return refused(name_);
    ifindex_ = request.ifr_ifindex;
    return {};
}

Tap::Tap(Tap&& other) noexcept : fd_(std::exchange(other.fd_, -1)), ifindex_(other.ifindex_), name_(std::move(other.name_)) {}

Tap::~Tap() {
    if (fd_ >= 0) close(fd_);
}

size_t Tap::read(std::span<std::byte> room) noexcept {
    const ssize_t n = ::read(fd_, room.data(), room.size());
    return n > 0 ? static_cast<size_t>(n) : 0;
}

bool Tap::write(std::span<const std::byte> head, std::span<const std::byte> rest) noexcept {
    const iovec parts[] = {{const_cast<std::byte*>(head.data()), head.size()}, {const_cast<std::byte*>(rest.data()), rest.size()}};
    return ::writev(fd_, parts, 2) == static_cast<ssize_t>(head.size() + rest.size());
}

void Tap::carrier(bool up) noexcept {
    int on = up;
    static_cast<void>(ioctl(fd_, TUNSETCARRIER, &on));  // older kernels: the carrier is always up
}

}  // namespace umbuf::fwd
