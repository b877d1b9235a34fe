// SPDX-License-Identifier: BSD-2-Clause
// show.cc - the blocks that the `show` commands print.
#define ALLOW_EXPERIMENTAL_API  // names of speeds and capabilities: the same in 22.11 and 24.11
#include "app/umfwd/prompt/show.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_lcore.h>

#include "app/umfwd/machine/topology.h"
#include "lib/mbuf/zone.h"
#include "lib/page/arena.h"

namespace umbuf::fwd::show {
namespace {

struct BitName {
    uint64_t bits;
    const char* name;
};
// In the order of the bits, with testpmd's names.
constexpr BitName kRssTypes[] = {
    {RTE_ETH_RSS_IPV4, "ipv4"},
    {RTE_ETH_RSS_FRAG_IPV4, "ipv4-frag"},
    {RTE_ETH_RSS_NONFRAG_IPV4_TCP, "ipv4-tcp"},
    {RTE_ETH_RSS_NONFRAG_IPV4_UDP, "ipv4-udp"},
    {RTE_ETH_RSS_NONFRAG_IPV4_SCTP, "ipv4-sctp"},
    {RTE_ETH_RSS_NONFRAG_IPV4_OTHER, "ipv4-other"},
    {RTE_ETH_RSS_IPV6, "ipv6"},
    {RTE_ETH_RSS_FRAG_IPV6, "ipv6-frag"},
    {RTE_ETH_RSS_NONFRAG_IPV6_TCP, "ipv6-tcp"},
    {RTE_ETH_RSS_NONFRAG_IPV6_UDP, "ipv6-udp"},
    {RTE_ETH_RSS_NONFRAG_IPV6_SCTP, "ipv6-sctp"},
    {RTE_ETH_RSS_NONFRAG_IPV6_OTHER, "ipv6-other"},
    {RTE_ETH_RSS_L2_PAYLOAD, "l2-payload"},
    {RTE_ETH_RSS_IPV6_EX, "ipv6-ex"},
    {RTE_ETH_RSS_IPV6_TCP_EX, "ipv6-tcp-ex"},
    {RTE_ETH_RSS_IPV6_UDP_EX, "ipv6-udp-ex"},
    {RTE_ETH_RSS_PORT, "port"},
    {RTE_ETH_RSS_VXLAN, "vxlan"},
    {RTE_ETH_RSS_GENEVE, "geneve"},
    {RTE_ETH_RSS_NVGRE, "nvgre"},
    {RTE_ETH_RSS_GTPU, "gtpu"},
    {RTE_ETH_RSS_ETH, "eth"},
    {RTE_ETH_RSS_S_VLAN, "s-vlan"},
    {RTE_ETH_RSS_C_VLAN, "c-vlan"},
    {RTE_ETH_RSS_ESP, "esp"},
    {RTE_ETH_RSS_AH, "ah"},
    {RTE_ETH_RSS_L2TPV3, "l2tpv3"},
    {RTE_ETH_RSS_PFCP, "pfcp"},
    {RTE_ETH_RSS_PPPOE, "pppoe"},
    {RTE_ETH_RSS_ECPRI, "ecpri"},
    {RTE_ETH_RSS_MPLS, "mpls"},
    {RTE_ETH_RSS_IPV4_CHKSUM, "ipv4-chksum"},
    {RTE_ETH_RSS_L4_CHKSUM, "l4-chksum"},
};
constexpr size_t kRssColumns = 64;

std::string rss_types(uint64_t offered) {
    if (offered == 0) return "No RSS offload flow type is supported.\n";
    std::string text = "Supported RSS offload flow types:\n", line;
    for (const auto& [bits, name] : kRssTypes) {
        if ((offered & bits) == 0) continue;
        if (line.size() + 2 + strlen(name) > kRssColumns) {
            text += line + "\n";
            line.clear();
        }
        line += fmt::format("  {}", name);
    }
    return text + line + "\n";
}

const char* on_off(bool on) {
    return on ? "on" : "off";
}
const char* enabled(int on) {
    return on == 1 ? "enabled" : "disabled";
}

std::string mac_text(const rte_ether_addr& mac) {
    char text[RTE_ETHER_ADDR_FMT_SIZE];
    rte_ether_format_addr(text, sizeof text, &mac);
    return text;
}

rte_eth_dev_info info_of(const Port& port) {
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(port.id(), &info) != 0) info = {};
    return info;
}

rte_eth_link link_of(const Port& port) {
    rte_eth_link link{};
    if (rte_eth_link_get_nowait(port.id(), &link) != 0) link = {};
    return link;
}

std::string firmware(const Port& port) {
    char version[128] = "";
    if (rte_eth_dev_fw_version_get(port.id(), version, sizeof version) != 0) return "not available";
    return version;
}

std::string devargs(const rte_device* device) {
    const rte_devargs* given = device == nullptr ? nullptr : rte_dev_devargs(device);
    return given == nullptr || given->args == nullptr ? "" : given->args;
}

std::string link_lines(const rte_eth_link& link) {
    return fmt::format("Link status: {}\nLink speed: {}\nLink duplex: {}\nAutoneg status: {}\n",
                       link.link_status ? "up" : "down", rte_eth_link_speed_to_str(link.link_speed),
                       link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX ? "full-duplex" : "half-duplex",
                       link.link_autoneg == RTE_ETH_LINK_AUTONEG ? "On" : "Off");
}

std::string page_lines(const Port& port) {
    const PageCounts n = port.pages().counts();
    return fmt::format(
        "Unmapped pages leave: {} ({})\n"
        "  packets as-is {}, through windows {}, as copies {}; captured {}, not captured {}\n"
        "  not sent: content not there {}, failed {}, hidden from the CPU {}, no mbuf {}\n",
        name_of(port.pages().way()), port.pages_because(), n.as_is, n.windows, n.copies, n.captured,
        n.uncaptured, n.not_ready, n.failed, n.hidden, n.no_memory);
}

std::string vlan_lines(uint16_t port) {
    const int vlan = rte_eth_dev_get_vlan_offload(port);
    if (vlan < 0) return "";
    return fmt::format(
        "VLAN offload: \n  strip {}, filter {}, extend {}, qinq strip {}\n",
        on_off(vlan & RTE_ETH_VLAN_STRIP_OFFLOAD), on_off(vlan & RTE_ETH_VLAN_FILTER_OFFLOAD),
        on_off(vlan & RTE_ETH_VLAN_EXTEND_OFFLOAD), on_off(vlan & RTE_ETH_QINQ_STRIP_OFFLOAD));
}

std::string limit_lines(const rte_eth_dev_info& info) {
    std::string text = fmt::format(
        "Minimum size of RX buffer: {}\nMaximum configurable length of RX packet: {}\n"
        "Maximum configurable size of LRO aggregated packet: {}\n",
        info.min_rx_bufsize, info.max_rx_pktlen, info.max_lro_pkt_size);
    if (info.max_vfs > 0) text += fmt::format("Maximum number of VFs: {}\n", info.max_vfs);
    if (info.max_vmdq_pools > 0)
        text += fmt::format("Maximum number of VMDq pools: {}\n", info.max_vmdq_pools);
    text += fmt::format("Current number of RX queues: {}\nMax possible RX queues: {}\n",
                        info.nb_rx_queues, info.max_rx_queues);
    text += fmt::format(
        "Max possible number of RXDs per queue: {}\nMin possible number of RXDs per queue: {}\n"
        "RXDs number alignment: {}\n",
        info.rx_desc_lim.nb_max, info.rx_desc_lim.nb_min, info.rx_desc_lim.nb_align);
    text += fmt::format("Current number of TX queues: {}\nMax possible TX queues: {}\n",
                        info.nb_tx_queues, info.max_tx_queues);
    text += fmt::format(
        "Max possible number of TXDs per queue: {}\nMin possible number of TXDs per queue: {}\n"
        "TXDs number alignment: {}\n",
        info.tx_desc_lim.nb_max, info.tx_desc_lim.nb_min, info.tx_desc_lim.nb_align);
    return text + fmt::format(
                      "Max segment number per packet: {}\n"
                      "Max segment number per MTU/TSO: {}\n",
                      info.tx_desc_lim.nb_seg_max, info.tx_desc_lim.nb_mtu_seg_max);
}

std::string capability_lines(const rte_eth_dev_info& info) {
    std::string text = fmt::format("Device capabilities: {:#x}(", info.dev_capa);
    for (uint64_t left = info.dev_capa; left != 0; left &= left - 1)
        text += fmt::format(" {}", rte_eth_dev_capability_name(left & -left));
    constexpr const char* kModes[] = {"none", "passive", "proactive"};
    const auto mode = static_cast<size_t>(info.err_handle_mode);
    return text + fmt::format(" )\nDevice error handling mode: {}\n",
                              mode < std::size(kModes) ? kModes[mode] : "unknown");
}

uint64_t rate(uint64_t now, uint64_t before, uint64_t cycles, uint64_t hz) {
    if (cycles == 0 || now < before) return 0;  // just cleared: no rate until the next time
    return static_cast<uint64_t>(static_cast<double>(now - before) * static_cast<double>(hz) /
                                 static_cast<double>(cycles));
}

Error no_queue(const Port& port, const char* way, uint16_t queue, int code) {
    return {-code,
            fmt::format("port {} ({}): {} queue {}: {}", port.id(), port.driver(), way, queue,
                        code == -ENOTSUP ? "the driver does not tell how it is set up"
                                         : rte_strerror(-code))};
}

std::string title(const std::string& what) {
    return fmt::format("\n********************* {} *********************", what);
}

const char* state_name(uint8_t state) {
    if (state == RTE_ETH_QUEUE_STATE_STOPPED) return "stopped";
    return state == RTE_ETH_QUEUE_STATE_STARTED ? "started" : "hairpin";
}

std::string thresholds(const rte_eth_thresh& t) {
    return fmt::format("pthresh={} hthresh={}  wthresh={}", t.pthresh, t.hthresh, t.wthresh);
}

std::string descriptors(uint16_t n) {
    return n == 0 ? "driver's default" : std::to_string(n);
}

// What the queue was set up with; a driver that does not tell was given its own defaults.
std::string rx_lines(const Port& port, uint16_t queue) {
    rte_eth_rxq_info q{};
    if (rte_eth_rx_queue_info_get(port.id(), queue, &q) != 0) q.nb_desc = port.config().rxd;
    return fmt::format(
        "    RX queue: {}\n      RX desc={} - RX free threshold={}\n"
        "      RX threshold registers: {}\n      RX Offloads={:#x}\n",
        queue, descriptors(q.nb_desc), q.conf.rx_free_thresh, thresholds(q.conf.rx_thresh), q.conf.offloads);
}

std::string tx_lines(const Port& port, uint16_t queue) {
    rte_eth_txq_info q{};
    if (rte_eth_tx_queue_info_get(port.id(), queue, &q) != 0) q.nb_desc = port.config().txd;
    return fmt::format(
        "    TX queue: {}\n      TX desc={} - TX free threshold={}\n"
        "      TX threshold registers: {}\n      TX offloads={:#x} - TX RS bit threshold={}\n",
        queue, descriptors(q.nb_desc), q.conf.tx_free_thresh, thresholds(q.conf.tx_thresh), q.conf.offloads,
        q.conf.tx_rs_thresh);
}

}  // namespace

std::string port_info(const Port& port) {
    const rte_eth_dev_info info = info_of(port);
    uint16_t mtu = 0;
    static_cast<void>(rte_eth_dev_get_mtu(port.id(), &mtu));
    std::string text = title(fmt::format("Infos for port {:<2}", port.id())) + "\n";
    text += fmt::format("MAC address: {}\nDevice name: {}\nDriver name: {}\n", mac_text(port.mac()),
                        port.name(), port.driver());
    text +=
        fmt::format("Firmware-version: {}\nDevargs: {}\n", firmware(port), devargs(info.device));
    text += fmt::format("Connect to socket: {}\nmemory allocation on the socket: {}\n",
                        rte_eth_dev_socket_id(port.id()), port.socket());
    text += link_lines(link_of(port));
    text += fmt::format("MTU: {}\nPromiscuous mode: {}\nAllmulticast mode: {}\n", mtu,
                        enabled(rte_eth_promiscuous_get(port.id())),
                        enabled(rte_eth_allmulticast_get(port.id())));
    text += fmt::format(
        "Maximum number of MAC addresses: {}\n"
        "Maximum number of MAC addresses of hash filtering: {}\n",
        info.max_mac_addrs, info.max_hash_mac_addrs);
    text += vlan_lines(port.id());
    if (info.hash_key_size > 0)
        text += fmt::format("Hash key size in bytes: {}\n", info.hash_key_size);
    if (info.reta_size > 0) text += fmt::format("Redirection table size: {}\n", info.reta_size);
    text += rss_types(info.flow_type_rss_offloads) + limit_lines(info) + capability_lines(info);
    text += fmt::format("Phase: {}\n", name_of(port.phase()));
    if (port.paged()) text += page_lines(port);
    for (const std::string& note : port.notes())
        text += fmt::format("Note: {}\n", note);
    return text;
}

std::string port_summary(const std::vector<Port*>& ports) {
    std::string text = fmt::format("Number of available ports: {}\n", ports.size());
    text += fmt::format("{:<4} {:<17} {:<12} {:<14} {:<8} {}\n", "Port", "MAC Address", "Name",
                        "Driver", "Status", "Link");
    for (const Port* port : ports) {
        const rte_eth_link link = link_of(*port);
        text += fmt::format("{:<4} {} {:<12} {:<14} {:<8} {}\n", port->id(), mac_text(port->mac()),
                            port->name(), port->driver(), link.link_status ? "up" : "down",
                            rte_eth_link_speed_to_str(link.link_speed));
    }
    return text;
}

std::string port_stats(uint16_t port, const PortNic& nic, ShownStats& shown, uint64_t tsc,
                       uint64_t tsc_hz) {
    std::string text = fmt::format(
        "\n  ######################## NIC statistics for port {:<2} ########################\n"
        "  RX-packets: {:<10} RX-missed: {:<10} RX-bytes:  {}\n  RX-errors: {}\n"
        "  RX-nombuf:  {:<10}\n  TX-packets: {:<10} TX-errors: {:<10} TX-bytes:  {}\n",
        port, nic.rx_packets, nic.rx_missed, nic.rx_bytes, nic.rx_errors, nic.rx_nombuf,
        nic.tx_packets, nic.tx_errors, nic.tx_bytes);
    const uint64_t cycles = shown.tsc == 0 ? 0 : tsc - shown.tsc;
    const auto per_second = [&](uint64_t now, uint64_t before) {
        return rate(now, before, cycles, tsc_hz);
    };
    text += fmt::format(
        "\n  Throughput (since last show)\n"
        "  Rx-pps: {:>12}          Rx-bps: {:>12}\n  Tx-pps: {:>12}          Tx-bps: {:>12}\n"
        "  {:#<76}\n",
        per_second(nic.rx_packets, shown.rx_packets), per_second(nic.rx_bytes, shown.rx_bytes) * 8,
        per_second(nic.tx_packets, shown.tx_packets), per_second(nic.tx_bytes, shown.tx_bytes) * 8,
        "");
    shown = {tsc, nic.rx_packets, nic.rx_bytes, nic.tx_packets, nic.tx_bytes};
    return text;
}

Result<std::string> port_xstats(uint16_t port) {
    const int count = rte_eth_xstats_get_names(port, nullptr, 0);
    std::vector<rte_eth_xstat_name> names(static_cast<size_t>(std::max(count, 0)));
    std::vector<rte_eth_xstat> values(names.size());
    const auto n = static_cast<unsigned>(names.size());
    const int named = count < 0 ? count : rte_eth_xstats_get_names(port, names.data(), n);
    const int read = named < 0 ? named : rte_eth_xstats_get(port, values.data(), n);
    if (read < 0)
        return Error{-read, fmt::format("port {}: the device gives no extended statistics: {}",
                                        port, rte_strerror(-read))};
    std::string text = fmt::format("###### NIC extended statistics for port {:<2}\n", port);
    for (unsigned i = 0; i < static_cast<unsigned>(read) && i < n; ++i)
        if (values[i].id < n)
            text += fmt::format("{}: {}\n", names[values[i].id].name, values[i].value);
    return text;
}

Result<std::string> rx_queue(const Port& port, uint16_t queue) {
    rte_eth_rxq_info q{};
    if (const int e = rte_eth_rx_queue_info_get(port.id(), queue, &q); e != 0)
        return no_queue(port, "RX", queue, e);
    std::string text = title(fmt::format("Infos for port {:<2}, RX queue {:<2}", port.id(), queue));
    text += fmt::format("\nMempool: {}", q.mp == nullptr ? "NULL" : q.mp->name);
    text += fmt::format(
        "\nRX prefetch threshold: {}\nRX host threshold: {}\nRX writeback threshold: {}"
        "\nRX free threshold: {}",
        q.conf.rx_thresh.pthresh, q.conf.rx_thresh.hthresh, q.conf.rx_thresh.wthresh,
        q.conf.rx_free_thresh);
    text += fmt::format(
        "\nRX drop packets: {}\nRX deferred start: {}\nRX scattered packets: {}"
        "\nRx queue state: {}\nNumber of RXDs: {}",
        on_off(q.conf.rx_drop_en), on_off(q.conf.rx_deferred_start), on_off(q.scattered_rx),
        state_name(q.queue_state), q.nb_desc);
    if (q.rx_buf_size != 0) text += fmt::format("\nRX buffer size: {}", q.rx_buf_size);
    rte_eth_burst_mode mode{};
    if (rte_eth_rx_burst_mode_get(port.id(), queue, &mode) == 0)
        text += fmt::format("\nBurst mode: {}", mode.info);
    return text + "\n";
}

Result<std::string> tx_queue(const Port& port, uint16_t queue) {
    rte_eth_txq_info q{};
    if (const int e = rte_eth_tx_queue_info_get(port.id(), queue, &q); e != 0)
        return no_queue(port, "TX", queue, e);
    std::string text = title(fmt::format("Infos for port {:<2}, TX queue {:<2}", port.id(), queue));
    text += fmt::format(
        "\nTX prefetch threshold: {}\nTX host threshold: {}\nTX writeback threshold: {}"
        "\nTX RS threshold: {}\nTX free threshold: {}",
        q.conf.tx_thresh.pthresh, q.conf.tx_thresh.hthresh, q.conf.tx_thresh.wthresh,
        q.conf.tx_rs_thresh, q.conf.tx_free_thresh);
    text += fmt::format("\nTX deferred start: {}\nNumber of TXDs: {}\nTx queue state: {}",
                        on_off(q.conf.tx_deferred_start), q.nb_desc, state_name(q.queue_state));
    rte_eth_burst_mode mode{};
    if (rte_eth_tx_burst_mode_get(port.id(), queue, &mode) == 0)
        text += fmt::format("\nBurst mode: {}", mode.info);
    return text + "\n";
}

namespace {

// forwarding_ports - how many of these the next start would use; all, if it would be refused.
size_t forwarding_ports(const Settings& settings, const std::vector<Port*>& ports) {
    std::vector<uint16_t> usable;
    for (const Port* port : ports)
        if (port->phase() != PortPhase::configured) usable.push_back(port->id());
    Result<std::vector<uint16_t>> chosen = choose_ports(settings, usable);
    return chosen ? chosen.value().size() : ports.size();
}

}  // namespace

std::string config_rxtx(const Settings& settings, const std::vector<Port*>& ports) {
    std::string text = fmt::format(
        "  {} packet forwarding packets/burst={}\n"
        "  nb forwarding cores={} - nb forwarding ports={}\n",
        settings.mode, settings.burst, settings.nb_cores, forwarding_ports(settings, ports));
    for (const Port* port : ports) {
        const PortConfig& config = port->config();
        text += fmt::format(
            "  port {}: RX queue number: {} Tx queue number: {}\n"
            "    Rx offloads={:#x} Tx offloads={:#x}\n",
            port->id(), config.rxq, config.txq, port->rx_offloads(), port->tx_offloads());
        for (uint16_t q = 0; q < config.rxq; ++q)
            text += rx_lines(*port, q);
        for (uint16_t q = 0; q < config.txq; ++q)
            text += tx_lines(*port, q);
    }
    return text;
}

Result<std::string> config_cores(const Settings& settings) {
    std::vector<unsigned> workers;
    unsigned lcore;
    RTE_LCORE_FOREACH_WORKER(lcore) workers.push_back(lcore);
    Result<std::vector<unsigned>> chosen = choose_lcores(settings, workers);
    if (!chosen) return chosen.error();
    return fmt::format("List of forwarding lcores:  {}\n", fmt::join(chosen.value(), " "));
}

std::string config_pages(const Settings& settings) {
    std::string text = fmt::format("New mbufs may be unmapped (ext-pgs): {}\n", on_off(settings.ext_pgs));
    if (!settings.unmapped_ports.empty())
        text += fmt::format("Ports believed to send unmapped pages: {}\n",
                            fmt::join(settings.unmapped_ports, ","));
    if (!arena_is_open()) return text + "No arena: no pages\n";
    text += fmt::format("Windows on pages: {}; pages left out, no single run for a device: {}\n",
                        arena_is_strict() ? "strict, each mapped for its own time" : "standing aliases",
                        arena_left_out());
    const PageCounters pages = page_counters();
    for (size_t c = 0; c < kPageClasses; ++c)
        text += fmt::format("  {:<10} pages: {} of {} bytes, {} in use, {} denied\n",
                            name_of(static_cast<PageClass>(c)), pages.total[c], pages.bytes[c],
                            pages.in_use[c], pages.denied[c]);
    return text;
}

std::string device_info(const Port& port) {
    const rte_eth_dev_info info = info_of(port);
    std::string text = title("Infos for device " + port.name()) + "\n";
    if (info.device != nullptr) {
        const rte_bus* bus = rte_dev_bus(info.device);
        const char* where = rte_dev_bus_info(info.device);
        text += fmt::format("Bus name: {}\nBus information: {}\n", rte_bus_name(bus),
                            where == nullptr ? "" : where);
    }
    text += fmt::format("Driver name: {}\nDevargs: {}\nConnect to socket: {}\n", port.driver(),
                        devargs(info.device), rte_eth_dev_socket_id(port.id()));
    return text + fmt::format("\n\tPort id: {} \n\tMAC address: {}\n\tDevice name: {}\n", port.id(),
                              mac_text(port.mac()), port.name());
}

std::string mbufs(const std::vector<ZoneReport>& zones) {
    std::string text = fmt::format("{:<24} {:>6} {:>10} {:>10} {:>10}\n", "Zone", "Bytes", "In use",
                                   "Total", "Denied");
    for (const ZoneReport& zone : zones)
        text += fmt::format("{:<24} {:>6} {:>10} {:>10} {:>10}\n", zone.name, zone.size,
                            zone.in_use, zone.total, zone.denied);
    const MbufTraps traps = mbuf_traps();
    const RefCounters refs = refs_counters();
    text += fmt::format("Headers set aside for a foreign clone: {} (now {})\n"
                        "Writes refused, storage shared or read-only: {}\n",
                        traps.foreign_clones, traps.set_aside_now, traps.refused_writes);
    text += fmt::format("References: scheme {}; shares refused: {}; counts saturated (leaked): {}\n",
                        refs_in_use().name, refs.refused, refs.stuck);
    return text + fmt::format("Releases held back: {} given, at most {} at once by an lcore (limit {} "
                              "buffers, {} kB)\n",
                              refs.held_storages, refs.held_most, kMostHeldBack,
                              kMostHeldBack * kClusterSizes[kClusterZones - 1] / 1024);
}

}  // namespace umbuf::fwd::show
