// SPDX-License-Identifier: BSD-2-Clause
// words.h - addresses, networks, ranges and numbers, as people write them.
//
// Each function returns false, and leaves what it was to fill in in any state, where the text is something
// else. All of the text is looked at.
#pragma once
#include <cstdint>
#include <string>

#include <rte_ether.h>

#include "app/umfwd/conf/conf.h"

namespace umbuf::fwd {

// to_number - decimal, or hexadecimal with 0x; at most `most`.
[[nodiscard]] bool to_number(const std::string& text, uint64_t most, uint64_t* n);
[[nodiscard]] bool to_address(const std::string& text, IpAddress* address);
// to_prefix - ADDRESS/BITS; bits behind the prefix may be set: an interface's address.
[[nodiscard]] bool to_prefix(const std::string& text, IpPrefix* prefix);
// is_network - no bit behind the prefix is set.
[[nodiscard]] bool is_network(const IpPrefix& prefix);
// to_range - a network, an address, or ADDRESS-ADDRESS.
[[nodiscard]] bool to_range(const std::string& text, IpRange* range);
// to_span - N, or FROM-TO; at most `most`, and not backwards.
[[nodiscard]] bool to_span(const std::string& text, uint64_t most, uint64_t* from, uint64_t* to);
// is_name - of an SA, a child or a policy: 1 to 63 letters, digits and . _ - + : @, and not "all".
[[nodiscard]] bool is_name(const std::string& text);
inline constexpr const char* kNameText = "a name of 1 to 63 letters, digits and . _ - + : @, other than all";
[[nodiscard]] bool to_mac(const std::string& text, rte_ether_addr* mac);
// to_protocol - a name, or a number up to 255.
[[nodiscard]] bool to_protocol(const std::string& text, uint8_t* protocol);
[[nodiscard]] std::string protocol_names();
[[nodiscard]] std::string address_text(const IpAddress& address);

}  // namespace umbuf::fwd
