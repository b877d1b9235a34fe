// SPDX-License-Identifier: BSD-2-Clause
// zones_plan.cc - the sums behind the pools' sizes.
#include "app/umfwd/machine/zones_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "app/umfwd/engines/sendfile.h"

namespace umbuf::fwd {

namespace {

// Descriptors of a queue whose driver chooses: the largest default among the drivers we know.
constexpr uint32_t kDefaultDescriptors = 1024;
// A software port (net_ring, memif, vhost) holds packets in its ring besides the descriptors.
constexpr uint32_t kSoftRing = 1024;

uint64_t ports(const ZoneInput& in) { return uint64_t{in.ports} + in.spare_ports; }
// queues - of the ports that are there, as many as were asked for; of those that may come, one.
uint64_t queues(const ZoneInput& in, uint32_t there, uint16_t per_port) {
    return uint64_t{there} * per_port + in.spare_ports;
}
uint64_t descriptors(uint16_t wanted) { return wanted == 0 ? kDefaultDescriptors : wanted; }

// DPDK lets a cache grow to one and a half times its size before it gives elements back.
uint64_t caches(const ZoneInput& in) { return uint64_t{in.lcores} * (in.cache + in.cache / 2); }

// What waits to be sent, on every port, whoever received or made it.
Term transmit_rings(const ZoneInput& in) {
    return {"transmit descriptors", queues(in, in.ports, in.txq) * descriptors(in.txd)};
}
Term soft_rings(const ZoneInput& in) {
    return {"rings of software ports", queues(in, in.ports, in.txq) * kSoftRing};
}
// A burst received and the burst that it becomes, on every lcore.
Term in_hand(const ZoneInput& in) {
    return {"bursts in hand", uint64_t{in.lcores} * in.burst * 2};
}
Term from_kernel(const ZoneInput& in) { return {"frames of the kernel", ports(in) * in.from_kernel}; }
Term with_device(const ZoneInput& in) { return {"packets with a crypto device", in.with_device}; }
Term cached(const ZoneInput& in) { return {"caches of lcores", caches(in)}; }

}  // namespace

std::vector<Term> packet_terms(const ZoneInput& in) {
    std::vector<Term> terms{{"receive descriptors", queues(in, in.rx_ports, in.rxq) * descriptors(in.rxd)},
                            transmit_rings(in), soft_rings(in), in_hand(in), cached(in)};
    if (in.to_kernel > 0) terms.push_back({"packets for the kernel", in.to_kernel});
    if (in.handed_over > 0) terms.push_back({"packets for other lcores", in.handed_over});
    if (in.with_device > 0) terms.push_back(with_device(in));
    if (in.pieces > 0) terms.push_back({"fragments that wait for the rest", queues(in, in.rx_ports, in.rxq) * in.pieces});
    return terms;
}

// Headers of copies wait wherever their packet can wait; a burst may fan out to every port. What
// mode frag sends is a head each, besides.
std::vector<Term> header_terms(const ZoneInput& in) {
    std::vector<Term> terms{transmit_rings(in), soft_rings(in),
                            {"bursts fanning out", uint64_t{in.lcores} * in.burst * ports(in)},
                            cached(in)};
    if (in.cuts) terms.push_back({"heads of fragments", transmit_rings(in).n + soft_rings(in).n});
    if (in.from_kernel > 0) terms.push_back(from_kernel(in));
    if (in.with_device > 0) terms.push_back(with_device(in));
    if (in.files == 0) return terms;
    // A packet of a file is a head and one piece, or two where it goes over the end of a page.
    terms.push_back({"pieces of files", 2 * (transmit_rings(in).n + soft_rings(in).n)});
    terms.push_back({"packets that wait for the disk", uint64_t{in.lcores} * in.burst * 2 * 3});
    terms.push_back({"pages ahead", uint64_t{in.lcores} * ports(in) * in.file_ahead});
    terms.push_back({"pages of files", in.files});
    return terms;
}

// 2k clusters are for packets that are made here, and for private copies of shared ones.
std::vector<Term> cluster_terms(const ZoneInput& in) {
    std::vector<Term> terms{transmit_rings(in), soft_rings(in), in_hand(in), cached(in)};
    if (in.from_kernel > 0) terms.push_back(from_kernel(in));
    if (in.with_device > 0) terms.push_back(with_device(in));
    return terms;
}

uint32_t sum(const std::vector<Term>& terms) {
    uint64_t n = 0;
    for (const Term& term : terms) n += term.n;
    return static_cast<uint32_t>(std::min<uint64_t>(n, UINT32_MAX));
}

std::string to_text(const std::vector<Term>& terms) {
    std::string text;
    for (const Term& term : terms)
        text += fmt::format("{}{} ({})", text.empty() ? "" : " + ", term.what, term.n);
    return text;
}

uint32_t cache_of(uint32_t wanted, uint32_t n) {
    return std::min({wanted, uint32_t{RTE_MEMPOOL_CACHE_MAX_SIZE}, n * 2 / 3});
}

ZoneConfig zone_config(const ZoneInput& in) {
    ZoneConfig config;
    config.cache = in.cache;
    config.mbufs = sum(header_terms(in));
    config.clusters[0] = sum(cluster_terms(in));
    // Jumbo clusters carry packets that were pulled up or copied: those are in hand, not in rings.
    // Where they are usual, each lcore's cache comes on top, or one lcore could hoard them all.
    const uint32_t jumbo = static_cast<uint32_t>(in_hand(in).n + (in.jumbo ? caches(in) : 0));
    for (uint8_t i = 1; i < kClusterZones; ++i) config.clusters[i] = jumbo;
    // Payload that is copied instead, in the smallest cluster that it fits into.
    const uint32_t copy = copied_file_room(in.file_payload);
    for (uint8_t i = 1; in.files > 0 && i < kClusterZones; ++i)
        if (kClusterSizes[i - 1] < copy && copy <= kClusterSizes[i]) config.clusters[i] = sum(cluster_terms(in));
    config.controls = jumbo;
    // Each storage that is shared takes one, under the schemes that take any.
    config.proxies = config.clusters[0] + kClusterZones * jumbo + in.files;
    // config.tags stays as it is: no mode hangs a tag on a packet, so there is nothing to add up.
    return config;
}

std::vector<uint32_t> data_rooms(const Settings& settings) {
    std::vector<uint32_t> rooms;
    for (const uint32_t size : settings.mbuf_sizes) rooms.push_back(size - RTE_PKTMBUF_HEADROOM);
    if (rooms.empty()) rooms.push_back(RTE_MBUF_DEFAULT_DATAROOM);
    std::sort(rooms.begin(), rooms.end());
    rooms.erase(std::unique(rooms.begin(), rooms.end()), rooms.end());
    return rooms;
}

uint32_t room_for(const std::vector<uint32_t>& rooms, uint32_t mtu) {
    UM_ASSERT(!rooms.empty());
    const uint32_t frame = mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 2 * RTE_VLAN_HLEN;
    for (const uint32_t room : rooms)
        if (room >= frame) return room;
    return rooms.back();
}

}  // namespace umbuf::fwd
