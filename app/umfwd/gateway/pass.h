// SPDX-License-Identifier: BSD-2-Clause
// pass.h - what mode esp does with the packets of one turn: policy, ESP, route, each over a burst (RFC 4301, 5).
//
//      from outside   ESP for us --> SAD, ESP, inbound policy --.
//                     else: inbound policy, it must bypass -----+--> for us: the kernel
//      from inside    ------------------------------------------'
//                                                               '--> leaves inside: routed
//                                                               '--> leaves outside: outbound policy
//                                                                        bypass: routed     protect: aged, ESP, and
//                                                                                           routed by the outer header
//
//      X1  Nothing crosses from outside to inside, or to the kernel, but by an inbound policy; nothing leaves outside
//          but by an outbound one. What exempt.h says is all that needs none.
//      X2  What the kernel sends is no better than what is forwarded.
//      X3  Payload is not copied, nor written but by the cipher (E-1); a header is made private before its hop count is.
//      X4  Fragments of ESP for us are put together before anything else is asked of them, and of UDP from outside, which
//          may be ESP. What is too long for its SA's way is cut or refused (fit.h); who sent it is told, by an address
//          of ours at the port that it came by, and the answer crosses the boundary like any other packet.
//
// Thread: the lane's lcore, in a turn.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include <rte_mbuf.h>

#include "app/umfwd/gateway/exempt.h"
#include "app/umfwd/gateway/gateway.h"
#include "app/umfwd/route/departure.h"
#include "app/umfwd/route/ip_route.h"
#include "app/umfwd/route/router.h"
#include "lib/ipsec/reassembly.h"

namespace umbuf::fwd {

inline constexpr uint16_t kPassBurst = kRouteBurst;

// Pack - packets that go the same way, in their order.
struct Pack {
    uint16_t n = 0;
    std::array<rte_mbuf*, kPassBurst> packets;
    std::array<Looked, kPassBurst> looked;
    void add(rte_mbuf* p, const Looked& as) noexcept {
        packets[n] = p;
        looked[n++] = as;
    }
};

// Bundle - packets to be protected, each by its SA.
struct Bundle {
    uint16_t n = 0;
    std::array<Mbuf*, kPassBurst> packets;
    std::array<Sa*, kPassBurst> sas;
    void add(rte_mbuf* p, Sa* sa) noexcept {
        packets[n] = Mbuf::of(p);
        sas[n++] = sa;
    }
};

class Pass {
  public:
    // A pass lives as long as its stream's state; all of these live longer. Control thread.
    Pass(Stream& stream, Gateway& gateway, GatewayLane& lane, const RouteTable& table);

    // clock - the second that it is now, once a turn.
    void clock(uint64_t now_s) noexcept;
    // give_up - the fragments that are held die. Control thread, the lane has stopped.
    void give_up() noexcept;
    [[nodiscard]] const Reassembly& reassembly() const noexcept { return *reassembly_; }  // what it holds: any thread

    // Each of these consumes what it is given; `out` carries away what leaves.
    // arrived - IP packets, any n, without their Ethernet headers.
    void arrived(rte_mbuf** packets, uint16_t n, Departure& out) noexcept;
    // to_group - the same for Ethernet's groups: for the kernel, by policy, with the headers that they came with.
    void to_group(rte_mbuf** packets, uint16_t n, Departure& out) noexcept;
    // from_kernel - frames for the stream's port.
    void from_kernel(rte_mbuf** frames, uint16_t n, Departure& out) noexcept;
    // from_lanes - what other lanes have for this one. The lane's leader.
    void from_lanes(const Handed* list, uint16_t n, Departure& out) noexcept;
    // from_device - what a crypto device has done since. Returns how many. The lane's leader.
    [[nodiscard]] uint16_t from_device(Departure& out) noexcept;
    // leave_device - what it still has dies, after some patience. Control thread, the lanes have stopped; the lane's leader.
    void leave_device() noexcept;
    // hand_over - what this turn has for other lanes. Its end.
    void hand_over() noexcept;

  private:
    void sort_out(rte_mbuf** packets, const Looked* looked, uint16_t n, Departure& out) noexcept;
    void ours(rte_mbuf* p, const Looked& looked, Departure& out) noexcept;
    void admit(Departure& out) noexcept;
    void open(Departure& out) noexcept;
    void open_all(Mbuf** packets, uint16_t n, Departure& out) noexcept;
    void authentic(Mbuf** packets, uint16_t n, Departure& out) noexcept;
    void begin_open(Mbuf** packets, uint16_t n, Departure& out) noexcept;
    void begin_protect(uint16_t n, Departure& out) noexcept;
    void begun(Mbuf** packets, Sa* const* sas, uint16_t n, Departure& out) noexcept;
    void back(const EspDone& done) noexcept;
    void wrapped(Mbuf** packets, Sa* const* sas, uint16_t n, Departure& out) noexcept;
    [[nodiscard]] uint16_t keep_mine(Mbuf** packets, uint16_t n) noexcept;
    [[nodiscard]] bool mine(rte_mbuf* p, ChildId child) noexcept;
    void post(uint16_t lane, const Handed& handed) noexcept;
    void flush(uint16_t lane) noexcept;
    void opened(rte_mbuf** packets, uint16_t n, Departure& out) noexcept;
    void onward(Departure& out) noexcept;
    void cross(rte_mbuf* p, const Looked& looked, Sa* sa, ChildId child, Departure& out) noexcept;
    void kernel_packets(Departure& out) noexcept;
    void wrap(rte_mbuf* p, Sa* sa, Departure& out) noexcept;
    void wrap_pieces(rte_mbuf* p, uint32_t most, Sa* sa, Departure& out) noexcept;
    void tell_too_big(rte_mbuf* p, uint32_t mtu, Departure& out) noexcept;
    void send_own(rte_mbuf* p, Departure& out) noexcept;
    void listen(const rte_mbuf* p, bool v6) noexcept;
    [[nodiscard]] bool is_piece(const rte_mbuf* p, const IpView& ip) const noexcept;
    [[nodiscard]] rte_mbuf* put_together(rte_mbuf* p) noexcept;
    void count_fragments() noexcept;
    void protect(Departure& out) noexcept;
    void send_outer(rte_mbuf** packets, uint16_t n, Departure& out) noexcept;
    void refuse(rte_mbuf* p, const EspFate& fate, Departure& out) noexcept;
    void to_kernel(rte_mbuf* p, Departure& out) noexcept { out.punt({.packet = p, .ip = true}, Drop::to_kernel); }
    [[nodiscard]] bool exempted(Exempt as) noexcept;

    // Post - what a turn has for one other lane.
    struct Post {
        uint16_t n = 0;
        std::array<Handed, kHandoverBurst> list;
    };
    Gateway& gateway_;
    const IpsecDb& db_;
    GatewayLane& lane_;
    EspLane& esp_;
    const RouteTable& table_;
    const bool inside_;
    const uint16_t port_, number_;  // number_: the lane's
    const bool alone_;              // there is one lane: every SA is its own
    const bool waits_;              // the engine takes its time
    StreamStats& stats_;
    std::vector<Post> posts_;
    std::unique_ptr<Reassembly> reassembly_;
    uint64_t merged_ = 0, lost_ = 0;  // of fragments: what is counted already
    uint64_t expired_s_ = 0;          // when it was last looked who waits too long
    Bucket answers_, news_;           // "too big": told, heard
    // Of one burst, empty between two.
    Pack plain_, closed_, onward_;
    Bundle protect_;
    std::array<IpsecFate, kPassBurst> fates_;
    std::array<EspFate, kPassBurst> esp_fates_;
    std::array<Sa*, kPassBurst> sas_;
    std::array<ChildId, kPassBurst> children_;
    std::array<Looked, kPassBurst> looked_;
};

}  // namespace umbuf::fwd
