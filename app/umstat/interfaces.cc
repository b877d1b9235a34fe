// SPDX-License-Identifier: BSD-2-Clause
// interfaces.cc - umstat -i, and the lines of umstat -w.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "app/umstat/arithmetic.h"
#include "app/umstat/labels.h"
#include "app/umstat/views.h"

namespace umbuf::umstat {
namespace {

struct Interface {
    std::string port, device;  // its number and its name
    uint64_t mtu = 0;
    bool up = true, open = true;
    Traffic traffic;
};

void take(Interface& at, const stat::Number& number) {
    const uint64_t n = number.value();
    const auto more = [n](uint64_t& to) { to = plus(to, n); };
    const std::string& name = number.name;
    if (name == "port_mtu") at.mtu = n;
    else if (name == "port_up") at.up = n != 0;
    else if (name == "port_open") at.open = n != 0;
    else if (name == "port_rx_packets") more(at.traffic.in_packets);
    else if (name == "port_rx_bytes") more(at.traffic.in_bytes);
    else if (name == "port_rx_errors") more(at.traffic.in_errors);
    else if (name == "port_rx_missed" || name == "port_rx_nombuf") more(at.traffic.in_drops);
    else if (name == "port_tx_packets") more(at.traffic.out_packets);
    else if (name == "port_tx_bytes") more(at.traffic.out_bytes);
    else if (name == "port_tx_errors") more(at.traffic.out_errors);
    else if (name == "port_tx_dropped") more(at.traffic.out_drops);
}

bool is_called(const Interface& one, const std::string& name) { return name.empty() || one.port == name || one.device == name; }

std::vector<Interface> interfaces_of(const stat::Sample& sample, const std::string& only) {
    std::vector<Interface> all;
    for (const stat::Number& number : sample.numbers) {
        if (number.name.compare(0, 5, "port_") != 0) continue;
        const std::string port = number.label("port");
        if (port.empty()) continue;
        auto at = std::find_if(all.begin(), all.end(), [&](const Interface& one) { return one.port == port; });
        if (at == all.end()) at = all.insert(all.end(), {port, number.label("device"), 0, true, true, {}});
        take(*at, number);
    }
    all.erase(std::remove_if(all.begin(), all.end(), [&](const Interface& one) { return !is_called(one, only); }), all.end());
    std::sort(all.begin(), all.end(), [](const Interface& a, const Interface& b) { return in_order(a.port, b.port); });
    return all;
}

// Name - as netstat has it: a star behind one that is down.
std::string name_of(const Interface& one) {
    return (one.device.empty() ? "port" + one.port : one.device) + (one.up && one.open ? "" : "*");
}

}  // namespace

std::string interfaces_text(const stat::Sample& sample, const std::string& only) {
    const std::vector<Interface> all = interfaces_of(sample, only);
    size_t width = 8;
    for (const Interface& one : all) width = std::max(width, name_of(one).size());
    std::string out = fmt::format("{:<{}} {:>5} {:<9} {:>12} {:>6} {:>8} {:>14} {:>12} {:>6} {:>14} {:>8}\n", "Name", width, "Mtu",
                                  "Network", "Ipkts", "Ierrs", "Idrop", "Ibytes", "Opkts", "Oerrs", "Obytes", "Drop");
    for (const Interface& one : all) {
        const Traffic& t = one.traffic;
        out += fmt::format("{:<{}} {:>5} {:<9} {:>12} {:>6} {:>8} {:>14} {:>12} {:>6} {:>14} {:>8}\n",
                       name_of(one), width, one.mtu, "<Link#" + one.port + ">", t.in_packets, t.in_errors, t.in_drops,
                       t.in_bytes, t.out_packets, t.out_errors, t.out_bytes, t.out_drops);
    }
    return out;
}

bool has_interface(const stat::Sample& sample, const std::string& only) { return !interfaces_of(sample, only).empty(); }

Traffic traffic_of(const stat::Sample& sample, const std::string& only) {
    Traffic all;
    for (const Interface& one : interfaces_of(sample, only)) {
        const Traffic& t = one.traffic;
        all = {plus(all.in_packets, t.in_packets),   plus(all.in_errors, t.in_errors),   plus(all.in_drops, t.in_drops),
               plus(all.in_bytes, t.in_bytes),       plus(all.out_packets, t.out_packets), plus(all.out_errors, t.out_errors),
               plus(all.out_bytes, t.out_bytes),     plus(all.out_drops, t.out_drops)};
    }
    return all;
}

std::string traffic_head(const std::string& only) {
    const std::string name = only.empty() ? "(Total)" : only;
    return fmt::format("{:>17} {:^23} {:>13}\n{:>10} {:>5} {:>6} {:>12} {:>10} {:>5} {:>12} {:>6}\n", "input", name, "output",
                       "packets", "errs", "idrops", "bytes", "packets", "errs", "bytes", "drops");
}

std::string traffic_line(const Traffic& t) {
    return fmt::format("{:>10} {:>5} {:>6} {:>12} {:>10} {:>5} {:>12} {:>6}\n", t.in_packets, t.in_errors, t.in_drops, t.in_bytes,
                       t.out_packets, t.out_errors, t.out_bytes, t.out_drops);
}

}  // namespace umbuf::umstat
