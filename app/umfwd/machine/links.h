// SPDX-License-Identifier: BSD-2-Clause
// links.h - cables inside the process: pairs of ports, of which one receives what the other sends, the same mbufs.
//
//      net_ring_link0a --ring--> net_ring_link0b        --links=N: 0 .. N-1
//                      <--ring--
//
// A wire between processes copies. Over a link a shared cluster stays shared and an unmapped page unmapped, so that
// a host and its router can be tried in one program. For everybody else the ends are ports of net_ring.
//
// Thread: control.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <rte_ether.h>

#include "app/umfwd/settings.h"
#include "lib/base/result.h"

struct rte_ring;

namespace umbuf::fwd {

inline constexpr uint16_t kMostLinks = 64;

// link_name - of one end, 'a' or 'b', as DPDK has it; what a configuration's port.device says.
[[nodiscard]] std::string link_name(uint16_t link, char end);
// is_link - is this the name of some link's end, whether it is there or not?
[[nodiscard]] bool is_link(std::string_view name);
// link_mac - 02:00:00:4c:N:a, so that its neighbours can be written down before it is there.
[[nodiscard]] rte_ether_addr link_mac(uint16_t link, char end);

class Links {
  public:
    // make - settings.links of them, with the queues that every port has. The devices are then EAL's as any other,
    // and come after the ones that are there. Error: memory, or a name that is taken.
    static Result<std::unique_ptr<Links>> make(const Settings& settings);
    ~Links();  // all ports are closed. Unplugs the devices, and frees what still lies in the rings.
    Links(const Links&) = delete;
    Links& operator=(const Links&) = delete;

    // waiting - packets that are between two ends now.
    [[nodiscard]] uint64_t waiting() const noexcept;

  private:
    Links() = default;
    [[nodiscard]] Status add(uint16_t link, uint16_t rxq, uint16_t txq);
    std::vector<rte_ring*> rings_;       // [c] owned
    std::vector<std::string> devices_;   // [c]
};

}  // namespace umbuf::fwd
