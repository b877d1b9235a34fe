// SPDX-License-Identifier: BSD-2-Clause
// ipsec_stats.h - where ESP's numbers are counted so that others can read them.
#pragma once
#include <span>
#include <string>

#include "lib/ipsec/xfrm_stat.h"
#include "lib/stat/segment.h"

namespace umbuf {

// LaneCounters - what became of a lane's packets: the lane's own until they are listed.
class LaneCounters {
  public:
    // packets - by Xfrm, wherever they are.
    class Packets {
      public:
        explicit Packets(XfrmCounters& at) : at_(&at) {}
        sync::Counter& operator[](size_t why) const noexcept { return at_->packets[why]; }

      private:
        friend class LaneCounters;
        XfrmCounters* at_;
    };
    LaneCounters() : packets(own_) {}
    LaneCounters(const LaneCounters&) = delete;
    LaneCounters& operator=(const LaneCounters&) = delete;
    void count(Xfrm why) noexcept { packets.at_->count(why); }
    [[nodiscard]] uint64_t of(Xfrm why) const noexcept { return packets.at_->of(why); }
    // list - from now on under `labels` where others read. Control thread; the lane does not run.
    void list(const std::string& labels);

  private:
    XfrmCounters own_;
    stat::Box<XfrmCounters> box_;

  public:
    Packets packets;
};

// sa_fields - of SaCounters (sa.h), in its order.
[[nodiscard]] std::span<const stat::Field> sa_fields() noexcept;

}  // namespace umbuf
