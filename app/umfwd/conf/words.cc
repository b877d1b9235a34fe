// SPDX-License-Identifier: BSD-2-Clause
// words.cc - text to addresses.
#include "app/umfwd/conf/words.h"

#include <arpa/inet.h>

#include <charconv>

namespace umbuf::fwd {
namespace {

constexpr struct {
    const char* name;
    uint8_t number;
} kProtocols[] = {
    {"icmp", kProtoIcmp}, {"tcp", kProtoTcp}, {"udp", kProtoUdp}, {"dccp", kProtoDccp}, {"icmpv6", kProtoIcmpv6},
    {"sctp", kProtoSctp}, {"mobility", kProtoMobility}, {"udplite", kProtoUdpLite},
};

uint32_t bits_in(bool v6) { return v6 ? 128 : 32; }

}  // namespace

bool to_number(const std::string& text, uint64_t most, uint64_t* n) {
    const bool hex = text.starts_with("0x");
    const char* from = text.data() + (hex ? 2 : 0);
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(from, end, *n, hex ? 16 : 10);
    return error == std::errc{} && at == end && from != end && *n <= most;
}

bool to_address(const std::string& text, IpAddress* address) {
    *address = IpAddress{};
    if (text.find('\0') != std::string::npos) return false;
    if (inet_pton(AF_INET, text.c_str(), address->bytes.data()) == 1) return true;
    address->v6 = true;
    return inet_pton(AF_INET6, text.c_str(), address->bytes.data()) == 1;
}

bool to_prefix(const std::string& text, IpPrefix* to) {
    const size_t slash = text.find('/');
    uint64_t bits = 0;
    if (slash == std::string::npos || !to_address(text.substr(0, slash), &to->address)) return false;
    const std::string behind = text.substr(slash + 1);
    if (behind.starts_with("0x") || !to_number(behind, bits_in(to->address.v6), &bits)) return false;
    to->bits = static_cast<uint32_t>(bits);
    return true;
}

bool is_network(const IpPrefix& p) { return prefix(p.address, p.bits).from == p.address; }

bool to_range(const std::string& text, IpRange* range) {
    if (IpPrefix network; to_prefix(text, &network)) {
        *range = prefix(network.address, network.bits);
        return is_network(network);
    }
    const size_t dash = text.find('-');
    if (!to_address(text.substr(0, dash), &range->from)) return false;
    range->to = range->from;
    if (dash == std::string::npos) return true;
    return to_address(text.substr(dash + 1), &range->to) && range->to.v6 == range->from.v6 && range->from.bytes <= range->to.bytes;
}

bool to_span(const std::string& text, uint64_t most, uint64_t* from, uint64_t* to) {
    const size_t dash = text.find('-');
    if (!to_number(text.substr(0, dash), most, from)) return false;
    *to = *from;
    return dash == std::string::npos || (to_number(text.substr(dash + 1), most, to) && *from <= *to);
}

bool is_name(const std::string& text) {
    constexpr std::string_view kMay = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+:@";
    return !text.empty() && text.size() < 64 && text != "all" && text.find_first_not_of(kMay) == std::string::npos;
}

bool to_mac(const std::string& text, rte_ether_addr* mac) {
    return text.find('\0') == std::string::npos && rte_ether_unformat_addr(text.c_str(), mac) == 0;
}

bool to_protocol(const std::string& text, uint8_t* protocol) {
    for (const auto& known : kProtocols)
        if (text == known.name) return *protocol = known.number, true;
    uint64_t n = 0;
    if (!to_number(text, UINT8_MAX, &n)) return false;
    *protocol = static_cast<uint8_t>(n);
    return true;
}

std::string protocol_names() {
    std::string names;
    for (const auto& known : kProtocols) names += (names.empty() ? "" : ", ") + std::string(known.name);
    return names;
}

std::string address_text(const IpAddress& address) {
    char text[INET6_ADDRSTRLEN];
    return inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof(text)) == nullptr ? "?" : text;
}

}  // namespace umbuf::fwd
