// SPDX-License-Identifier: BSD-2-Clause
// encapsulating_socket.cc - UDP sockets that give the kernel's XFRM what comes in them: ESP in UDP (RFC 3948).
//
// It is an IKE daemon's to have them; in a guest without one, this is all there is of it. Runs until it is killed.
#include <cstdio>
#include <cstdlib>

#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr int kUdpEncap = 100, kEspInUdp = 2;  // linux/udp.h: UDP_ENCAP, UDP_ENCAP_ESPINUDP

int fail(const char* what) {
    perror(what);
    return 1;
}

// What comes here is not what policies are about: in transport mode they are for the same addresses.
int pass_all(int s, sa_family_t family) {
    constexpr uint8_t kWays[] = {XFRM_POLICY_IN, XFRM_POLICY_OUT};
    for (const uint8_t direction : kWays) {
        xfrm_userpolicy_info policy{};
        policy.action = XFRM_POLICY_ALLOW;
        policy.sel.family = family;
        policy.dir = direction;
        const bool v6 = family == AF_INET6;
        if (setsockopt(s, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_XFRM_POLICY : IP_XFRM_POLICY, &policy, sizeof policy) != 0) return fail("XFRM_POLICY");
    }
    return 0;
}

int open_one(const sockaddr* address, socklen_t bytes) {
    const int on = 1, kind = kEspInUdp, s = socket(address->sa_family, SOCK_DGRAM, 0);
    if (s < 0) return fail("socket");
    if (address->sa_family == AF_INET6 && setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) return fail("IPV6_V6ONLY");
    if (bind(s, address, bytes) != 0) return fail("bind");
    if (setsockopt(s, IPPROTO_UDP, kUdpEncap, &kind, sizeof kind) != 0) return fail("UDP_ENCAP");
    return pass_all(s, address->sa_family);
}

}  // namespace

int main(int argc, char** argv) {
    const auto port = htons(static_cast<uint16_t>(argc > 1 ? atoi(argv[1]) : 4500));
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = port;
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = port;
    if (open_one(reinterpret_cast<sockaddr*>(&v4), sizeof v4) != 0 || open_one(reinterpret_cast<sockaddr*>(&v6), sizeof v6) != 0) return 1;
    for (;;) pause();
}
