// SPDX-License-Identifier: BSD-2-Clause
// gateway.h - what all lanes of mode esp share: SAs and policies, the engine of their keys, and which ports are inside.
//
// It lives from the first start of a mode with Engine::ipsec until the halt, so that numbers and windows of SAs go on
// after a stop and a start.
//
//      G1  an SA is worked on by one lane (A2 of sa.h): the one that its child belongs to in this direction. A child
//          belongs to who first has a packet of it, for the rest of the run; its next SA is his, too.
//      G2  a flow's packets keep their order: one lane receives them, and one works on its SA.
//
// Threads: control, where nothing else is said.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <rte_ethdev.h>

#include "app/umfwd/gateway/book.h"
#include "app/umfwd/gateway/handover.h"
#include "app/umfwd/gateway/link_mtus.h"
#include "app/umfwd/gateway/path_news.h"
#include "app/umfwd/packet/stream.h"
#include "app/umfwd/settings.h"
#include "drivers/net/port.h"
#include "lib/base/result.h"
#include "lib/ipsec/ipsec_db.h"

namespace umbuf::fwd {

// ipsec_clock_s - by which SAs live: seconds since some moment. Any thread.
[[nodiscard]] uint64_t ipsec_clock_s() noexcept;

// What became of a lane's packets besides ESP's own verdicts (LaneCounters).
struct GatewayCounts {
    sync::Counter protect, opened, bypassed;
    sync::Counter discovery, ike, ready;  // that need no policy: ND, IKE, and ESP that the kernel sends for us
    sync::Counter handed;                 // taken from other lanes
    sync::Counter told, heard;            // "too big": to who sent too much; from routers, about our ESP
};

// GatewayLane - what one lcore has.
struct GatewayLane {
    std::unique_ptr<EspLane> esp;      // [l]
    stat::Box<GatewayCounts> counts;   // [l] where everybody can read
    std::unique_ptr<Handover> ring;    // null: there is one lane
    const Stream* leader = nullptr;    // [I] the stream in whose turns the ring is emptied, and the device
    std::vector<uint32_t> working;     // [l] packets with a device, by their SA's id; empty: the engine takes no time
    TableMtus links;                   // [l] what `esp` knows of routes
};

class Gateway {
  public:
    // make - `readers` is what the lanes report to, and lives longer. Of settings.conf all SAs and policies are
    // loaded; without one there are none, and every packet that crosses is discarded. Error: the engine, memory, or
    // the file's line of an SA that cannot be.
    static Result<std::unique_ptr<Gateway>> make(const Settings& settings, rte_rcu_qsbr* readers);
    ~Gateway();  // no lane runs
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    [[nodiscard]] IpsecDb& db() noexcept { return *db_; }  // lanes: its readers' part
    [[nodiscard]] const umbuf::Engine& engine() const noexcept { return db_->engine; }
    [[nodiscard]] Book& book() noexcept { return *book_; }

    // use_ports - their sides, as the configuration says; others are outside. No lane runs.
    void use_ports(const std::vector<Port*>& ports);
    // set_inside - no lane runs.
    void set_inside(uint16_t port, bool inside) noexcept { inside_[port] = inside; }
    // inside - is what lies behind the port within the boundary (RFC 4301, 2.1)? Any thread.
    [[nodiscard]] bool inside(uint16_t port) const noexcept { return inside_[port]; }
    // notes - for the person who starts it.
    [[nodiscard]] std::vector<std::string> notes() const;

    // begin_run - for so many lanes. What the last run's lanes counted goes. No lane runs.
    [[nodiscard]] Status begin_run(const std::vector<unsigned>& lcores);
    [[nodiscard]] GatewayLane& lane(uint16_t number) noexcept { return lanes_[number]; }
    [[nodiscard]] uint16_t lanes() const noexcept { return static_cast<uint16_t>(lanes_.size()); }

    // owner - whose the child's SAs of this direction are; `asks`, if they were nobody's (G1). Lanes: readers that have
    // the child from a table.
    [[nodiscard]] uint16_t owner(Direction direction, ChildId child, uint16_t asks) noexcept;

    [[nodiscard]] PathNews& path_news() noexcept { return *path_news_; }  // lanes: tell()

    // poll - ten times a second: limits of SAs, news of their paths, and what retired or was removed is freed. Also while
    // lanes run.
    void poll();

  private:
    Gateway() = default;
    std::shared_ptr<const Conf> conf_;         // [I] null: none
    std::unique_ptr<IpsecDb> db_;              // [I]
    std::unique_ptr<Book> book_;               // [c]
    std::unique_ptr<PathNews> path_news_;      // [I]
    std::array<bool, RTE_MAX_ETHPORTS> inside_{};  // [I] while lanes run
    std::vector<GatewayLane> lanes_;           // [I] while lanes run; goes before the database
    std::unique_ptr<sync::atomic<uint64_t>[]> owners_[2];  // [a] by direction and child: its generation, and lane + 1
    uint32_t children_ = 0, sas_ = 0;          // [I] room for so many
};

}  // namespace umbuf::fwd
