// SPDX-License-Identifier: BSD-2-Clause
// template.cc - how the packet is put together, and how it is stamped.
#include "app/umfwd/engines/template.h"

#include <netinet/in.h>

#include <cstring>
#include <numeric>

#include <fmt/format.h>
#include <rte_byteorder.h>

#include "app/umfwd/packet/frame.h"
#include "app/umfwd/settings.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::fwd {
namespace {

static_assert(kUdpFrameHeader ==
              sizeof(rte_ether_hdr) + sizeof(rte_ipv4_hdr) + sizeof(rte_udp_hdr));

Status check_segments(const Port& port, const Zone& zone, const std::vector<uint16_t>& segments) {
    if (segments.empty() || segments[0] < kUdpFrameHeader)
        return Error{EINVAL, fmt::format("--txpkts: the first segment holds the Ethernet, IPv4 and "
                                         "UDP headers and needs at least {} bytes",
                                         kUdpFrameHeader)};
    const uint32_t length = std::accumulate(segments.begin(), segments.end(), uint32_t{0});
    if (length - RTE_ETHER_HDR_LEN > UINT16_MAX)
        return Error{EINVAL, fmt::format("--txpkts: {} bytes in all, and an IPv4 packet has at "
                                         "most 65535",
                                         length - RTE_ETHER_HDR_LEN)};
    for (const uint16_t n : segments)
        if (n == 0 || n > zone.size)
            return Error{EINVAL, fmt::format("--txpkts: a segment of {} bytes, and an mbuf of port "
                                             "{} holds 1 to {}: set --mbuf-size={} or more",
                                             n, port.id(), zone.size, n + RTE_PKTMBUF_HEADROOM)};
    // A port without chains copies one into a single mbuf, as long as it fits.
    const bool chains = (port.tx_offloads() & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
    if (!chains && length > zone.size)
        return Error{ENOTSUP,
                     fmt::format("--txpkts: {} bytes in {} segments, and port {} ({}) sends "
                                 "no chains: give at most {} bytes in all",
                                 length, segments.size(), port.id(), port.driver(), zone.size)};
    return {};
}

void write_headers(const Stream& stream, std::vector<std::byte>& bytes) {
    const Settings& settings = *stream.settings;
    const auto ip_length = static_cast<uint16_t>(bytes.size() - sizeof(rte_ether_hdr));
    rte_ether_hdr ether{};
    ether.dst_addr = stream.peer;
    ether.src_addr = stream.tx_port->mac();
    ether.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    rte_ipv4_hdr ip{};
    ip.version_ihl = RTE_IPV4_VHL_DEF;
    ip.total_length = rte_cpu_to_be_16(ip_length);
    ip.time_to_live = 64;
    ip.next_proto_id = IPPROTO_UDP;
    ip.src_addr = rte_cpu_to_be_32(settings.tx_ip_src);
    ip.dst_addr = rte_cpu_to_be_32(settings.tx_ip_dst);
    ip.hdr_checksum = rte_ipv4_cksum(&ip);
    rte_udp_hdr udp{};
    udp.src_port = rte_cpu_to_be_16(settings.tx_udp_src);
    udp.dst_port = rte_cpu_to_be_16(settings.tx_udp_dst);
    udp.dgram_len = rte_cpu_to_be_16(static_cast<uint16_t>(ip_length - sizeof(ip)));
    std::memcpy(bytes.data(), &ether, sizeof(ether));
    std::memcpy(bytes.data() + sizeof(ether), &ip, sizeof(ip));
    std::byte* l4 = bytes.data() + sizeof(ether) + sizeof(ip);
    std::memcpy(l4, &udp, sizeof(udp));
    udp.dgram_cksum = rte_ipv4_udptcp_cksum(&ip, l4);
    std::memcpy(l4, &udp, sizeof(udp));
}

void fill(rte_mbuf* segment, const std::byte* from, uint16_t n) noexcept {
    std::memcpy(rte_pktmbuf_mtod(segment, void*), from, n);
    segment->data_len = n;
    segment->pkt_len = n;
}

}  // namespace

Result<Template> Template::make(const Stream& stream, const std::vector<uint16_t>& segments) {
    Zone* zone = stream.tx_port->config().rx_zone;
    if (const Status fits = check_segments(*stream.tx_port, *zone, segments); !fits)
        return fits.error();
    Template made{segments, {}, zone};
    made.bytes.resize(std::accumulate(segments.begin(), segments.end(), size_t{0}));
    write_headers(stream, made.bytes);
    return made;
}

uint16_t Template::stamp(rte_mbuf** burst, uint16_t n) const noexcept {
    if (!alloc_bulk(*zone, burst, n)) return 0;
    const std::byte* from = bytes.data();
    for (uint16_t i = 0; i < n; ++i)
        fill(burst[i], from, segments[0]);
    rte_mbuf* more[kMaxBurst];
    for (size_t s = 1; s < segments.size(); ++s) {
        from += segments[s - 1];
        if (!alloc_bulk(*zone, more, n)) {
            rte_pktmbuf_free_bulk(burst, n);
            return 0;
        }
        for (uint16_t i = 0; i < n; ++i) {
            fill(more[i], from, segments[s]);
            (void)rte_pktmbuf_chain(burst[i], more[i]);  // fails beyond 65535 segments only
        }
    }
    if (segments.size() > 1)
        for (uint16_t i = 0; i < n; ++i)
            adopt_chain(Mbuf::of(burst[i]));
    return n;
}

}  // namespace umbuf::fwd
