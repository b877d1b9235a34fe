// SPDX-License-Identifier: BSD-2-Clause
// link_mtus.h - the route table, as an SA's path asks it (lib/ipsec/path.h).
#pragma once
#include <cstring>

#include "lib/ipsec/path.h"
#include "lib/route/route_table.h"

namespace umbuf::fwd {

class TableMtus final : public LinkMtus {
  public:
    const RouteTable* table = nullptr;  // [I] before the first question
    [[nodiscard]] uint32_t mtu_to(const IpAddress& to) noexcept override {
        Hop hop;
        if (to.v6) {
            uint8_t address[1][16];
            std::memcpy(address[0], to.bytes.data(), sizeof address[0]);
            table->lookup6(address, &hop, 1);
        } else {
            const uint32_t address = load32(reinterpret_cast<const std::byte*>(to.bytes.data()));
            table->lookup4(&address, &hop, 1);
        }
        return hop.kind == RouteKind::forward ? hop.mtu : 0;
    }
};

}  // namespace umbuf::fwd
