// SPDX-License-Identifier: BSD-2-Clause
// ipsec_db.h - policies, children and SAs as one database, and what it makes of a burst of packets
// (RFC 4301, 5.1 and 5.2).
//
//      out    packet -> SPD out -> discard | bypass | protect -> child -> its current SA -> ESP
//      in     ESP    -> SAD -> SA -> packet -> SPD in: protect by this SA's child, or it is dropped
//             other  -> SPD in: bypass, or it is dropped
//
// B1  What a policy protects never passes as plaintext, in neither direction.
// B2  A packet that came through an SA passes only by a policy that names the SA's child: who holds one
//     SA cannot speak for another's addresses.
// B3  Packets of an SA keep their order.
//
// Threads: control changes (through the parts, and the functions here). ipsec_out and ipsec_in: a reader
// (sad.h); all packets of an SA on one lane (A2).
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/result.h"
#include "lib/ipsec/child.h"
#include "lib/ipsec/esp.h"
#include "lib/ipsec/grace.h"
#include "lib/ipsec/sad.h"
#include "lib/ipsec/spd.h"
#include "lib/ipsec/too_big.h"

namespace umbuf {

struct IpsecConfig {
    uint32_t sas = 1024;
    uint32_t children = 512;
    uint16_t udp_port = 4500;  // UDP to this port is RFC 3948's; 0: none is
    int socket = 0;
};

class IpsecDb {
  public:
    // make - `readers` lives longer. All SAs are of this engine. Error: no memory.
    [[nodiscard]] static Result<std::unique_ptr<IpsecDb>> make(const IpsecConfig& config, const Engine& engine, rte_rcu_qsbr* readers);

    Grace grace;
    Children children;
    Spd spd;
    [[nodiscard]] Sad& sad() noexcept { return *sad_; }
    [[nodiscard]] const Sad& sad() const noexcept { return *sad_; }
    const Engine& engine;      // [I]
    const uint16_t udp_port;   // [I]

    // rekey_out - a new outbound SA for sa.child, current from now on. The old one retires: no packet begins with
    // it when its readers have left, and collect() removes it when none is in flight, so that none is lost.
    // Error: what Sad::add_out() says; all is as it was. Control thread.
    [[nodiscard]] Result<SaId> rekey_out(const NewSa& sa);
    // retire - an SA that packets do not begin with any more goes like one that was rekeyed. Control thread.
    void retire(SaId id) { retired_.push_back({id, grace.start()}); }
    // collect - remove what has retired, free what was removed. Returns how many are still held. To be called
    // now and then. Control thread.
    uint32_t collect();
    // remove_sa - if it was a child's current one, that child has none until another is set. Control thread.
    [[nodiscard]] Status remove_sa(SaId id);
    // Due - SAs whose time has come, by what their lanes have counted, and by the clock, idle or not.
    struct Due {
        std::vector<SaId> soft;  // to be rekeyed; told until they have retired or are removed
        std::vector<SaId> hard;  // dead: every packet is refused, and they can be removed
    };
    [[nodiscard]] Due due(uint64_t now_s) const;  // control thread
    // lower_path - a router said that our packets are too big: the SAs that they are of, by SPI, addresses and ports
    // (RFC 4301, 8.2.1), hear of it. Returns how many did not know it. Control thread.
    uint32_t lower_path(const TooBig& said, uint64_t now_s);

  private:
    IpsecDb(const IpsecConfig& config, const Engine& engine, rte_rcu_qsbr* readers);
    struct Retired {
        SaId id;
        uint64_t token;
    };
    std::unique_ptr<Sad> sad_;
    std::vector<Retired> retired_;  // [c]
};

// IpsecWay - what a packet became.
enum class IpsecWay : uint8_t {
    refused,    // it is as it was, or, where ESP had been opened, what was inside; to be dropped
    bypass,     // it passes, as it was
    esp,        // out: it is an ESP packet now. In: it was one, and is what was inside
    keepalive,  // in: RFC 3948's. To be dropped, and no loss
};
struct IpsecFate {
    IpsecWay way = IpsecWay::refused;
    EspFate esp;  // of `refused`: why, and it is counted, in the lane and if there is one in the SA. The
                  // lane's Xfrm::ok is ESP's: what a policy refuses afterwards is in it, too
};

// ipsec_out, ipsec_in - a burst of IP packets, as esp.h has them; packets[i] is replaced where it became
// another. Any n. The lane's engine is the database's.
void ipsec_out(const IpsecDb& db, EspLane& lane, Mbuf** packets, IpsecFate* fates, uint16_t n) noexcept;
void ipsec_in(const IpsecDb& db, EspLane& lane, Mbuf** packets, IpsecFate* fates, uint16_t n) noexcept;

// ---- the steps of both, for who does other things in between, or ESP on another lane than the rest. Any n, no
// packet is changed. Refusals are counted in `lane`, which need not be the one that the SA is worked on.

// ipsec_choose - what the outbound policies say. fates[i].way esp: to be protected by sas[i], which is the current
// one of children[i]; then, and only then, both are written.
void ipsec_choose(const IpsecDb& db, EspLane& lane, Mbuf* const* packets, IpsecFate* fates, Sa** sas, ChildId* children, uint16_t n) noexcept;
// ipsec_current - the SA that protects for this child now. Null: there is none, and the packet's fate says so.
[[nodiscard]] Sa* ipsec_current(const IpsecDb& db, EspLane& lane, ChildId child, IpsecFate& fate) noexcept;
// ipsec_query - what an ESP packet (esp_wire() said so) asks the SAD.
[[nodiscard]] SadQuery ipsec_query(const Mbuf* m, const EspWire& wire) noexcept;
// ipsec_admit - what the inbound policies say of packets that came through sas[i], null: in plaintext.
void ipsec_admit(const IpsecDb& db, EspLane& lane, Mbuf* const* packets, Sa* const* sas, IpsecFate* fates, uint16_t n) noexcept;

}  // namespace umbuf
