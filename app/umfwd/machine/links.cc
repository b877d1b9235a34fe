// SPDX-License-Identifier: BSD-2-Clause
// links.cc - the rings of a link, and a device at each end of them.
#include "app/umfwd/machine/links.h"

#include <cctype>

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "app/umfwd/machine/topology.h"

namespace umbuf::fwd {

namespace {

constexpr uint32_t kSlots = 1024;  // zones_plan.cc knows it: the rings of software ports
constexpr std::string_view kFront = "net_ring_";  // what rte_eth_from_rings() puts before a name

// own_name - without it.
std::string own_name(uint16_t link, char end) { return fmt::format("link{}{}", link, end); }

Error no_link(uint16_t link, const char* what) {
    return {rte_errno, fmt::format("--links: link {}: {}: {}; more memory for EAL is -m MB", link, what, rte_strerror(rte_errno))};
}

}  // namespace

std::string link_name(uint16_t link, char end) { return std::string(kFront) + own_name(link, end); }

bool is_link(std::string_view name) {
    const std::string front = std::string(kFront) + "link";
    if (!name.starts_with(front) || name.size() < front.size() + 2 || (name.back() != 'a' && name.back() != 'b')) return false;
    for (const char c : name.substr(front.size(), name.size() - front.size() - 1))
        if (std::isdigit(static_cast<unsigned char>(c)) == 0) return false;
    return true;
}

rte_ether_addr link_mac(uint16_t link, char end) {
    return {{0x02, 0, 0, 'L', static_cast<uint8_t>(link), static_cast<uint8_t>(end - 'a' + 0xa)}};
}

Result<std::unique_ptr<Links>> Links::make(const Settings& settings) {
    std::unique_ptr<Links> links(new Links);
    for (uint16_t i = 0; i < settings.links; ++i)
        if (Status added = links->add(i, settings.rxq, queues_wanted(settings)); !added) return added.error();
    return links;
}

// A ring for each receive queue. Transmit queues of several lcores may end in the same one, so that nobody is sent
// to a queue that the far end does not read.
Status Links::add(uint16_t link, uint16_t rxq, uint16_t txq) {
    std::vector<rte_ring*> to[2];  // by the end that receives
    const unsigned flags = RING_F_SC_DEQ | (txq == rxq ? RING_F_SP_ENQ : 0U);
    for (const char end : {'a', 'b'})
        for (uint16_t queue = 0; queue < rxq; ++queue) {
            const std::string name = fmt::format("um_link{}{}{}", link, end, queue);
            rte_ring* ring = rte_ring_create(name.c_str(), kSlots, static_cast<int>(rte_socket_id()), flags);
            if (ring == nullptr) return no_link(link, "no ring");
            rings_.push_back(ring);
            to[end - 'a'].push_back(ring);
        }
    for (const char end : {'a', 'b'}) {
        std::vector<rte_ring*> sends;
        for (uint16_t queue = 0; queue < txq; ++queue) sends.push_back(to['b' - end][queue % rxq]);
        const int id = rte_eth_from_rings(own_name(link, end).c_str(), to[end - 'a'].data(), rxq, sends.data(), txq, rte_socket_id());
        if (id < 0) return no_link(link, "no device");
        devices_.push_back(link_name(link, end));
        // The driver's own address is none, so that the first one that is added takes its place.
        rte_ether_addr mac = link_mac(link, end);
        if (const int e = rte_eth_dev_mac_addr_add(static_cast<uint16_t>(id), &mac, 0); e != 0)
            return Error{-e, fmt::format("--links: link {}: no address: {}", link, rte_strerror(-e))};
    }
    return {};
}

Links::~Links() {
    for (const std::string& device : devices_) static_cast<void>(rte_eal_hotplug_remove("vdev", device.c_str()));
    for (rte_ring* ring : rings_) {
        void* packet = nullptr;
        while (rte_ring_dequeue(ring, &packet) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
        rte_ring_free(ring);
    }
}

uint64_t Links::waiting() const noexcept {
    uint64_t n = 0;
    for (const rte_ring* ring : rings_) n += rte_ring_count(ring);
    return n;
}

}  // namespace umbuf::fwd
