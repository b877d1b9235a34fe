// SPDX-License-Identifier: BSD-2-Clause
// esp.h - ESP over chains (RFC 4303): IP packets in, IP packets out, and nothing written that others can see.
//
//      output   the packet, read where it lies     ->  fresh clusters:  [headroom] outer | ESP | IV | ciphertext | ICV
//      input    the ESP packet, read where it lies ->  fresh clusters:  [headroom] plaintext
//
// E-1  A source is never written and never copied but by the cipher; it may be shared, a file's pages,
//      anything that m_readable() says 0 of. But a packet in one mbuf that m_writable() says is the caller's
//      alone, with room around it, is done where it lies (esp_in_place.h). FreeBSD's m_unshare() before ESP, the fault of pfSense 13938,
//      and CVE-2026-45257, -43284, -43500 have no place here.
// E-2  All or nothing: a packet that is refused is the caller's, as it was; one that is done has become
//      another, and the old one is freed.
// E-3  No nonce is used twice: each job takes a new number of the SA's (S2).
// E-4  Input looks at the number, then at the ICV, then marks the number, then believes the rest (RFC 4303,
//      3.4). Two copies of a packet in one burst are two packets: one of them is a replay.
// E-5  Two ways through. esp_output() and esp_input() are done when they return. esp_submit_*() give a burst
//      to an engine that takes its time, and esp_reap() has each packet again, once, in the order in which
//      they were given; the source stays as it is, and its windows open, until then. Between the two an SA
//      may go: nobody keeps its address, it is asked for again by id and generation (A3), and a packet whose
//      SA is gone is not let through.
//
// Packets are IP packets: their first byte is the IP header's. Who has frames takes the Ethernet header off.
// What came out has at least kEspRoom bytes of room before its data, the old one's port, hash, tags and dynamic
// fields, and no offload requests: a checksum that was left to the device (RTE_MBUF_F_TX_UDP_CKSUM, _TCP_,
// _SCTP_, _IP_CKSUM) is made on the way through, in the copy.
//
// Thread: the lane's lcore. Nothing blocks or comes from the heap.
#pragma once
#include <cstdint>
#include <memory>

#include "lib/base/result.h"
#include "lib/ipsec/engine.h"
#include "lib/ipsec/esp_held.h"
#include "lib/ipsec/ipsec_stats.h"
#include "lib/ipsec/random.h"
#include "lib/ipsec/sa.h"
#include "lib/ipsec/xfrm_stat.h"
#include "lib/mbuf/mbuf.h"

namespace umbuf {

// kEspBurst - packets that an engine is given at a time: as many as the hashes and CBC take at once, and few
// enough for what is noted of them to stay near (umbench esp).
inline constexpr uint16_t kEspBurst = 16;
inline constexpr uint32_t kEspHeadroom = 128;  // bytes before the data of a packet that was made anew
inline constexpr uint32_t kEspRoom = 64;       // and of any, at least

inline constexpr uint16_t kEspFlights = 8;     // bursts that can be in flight on a lane

// EspFate - what became of one packet.
struct EspFate {
    Xfrm why = Xfrm::ok;
    int error = 0;  // of in_error, in_buffer and out_error: EBUSY, EIO, EOPNOTSUPP, ENOBUFS, EMSGSIZE, EAGAIN
    [[nodiscard]] bool ok() const noexcept { return why == Xfrm::ok; }
};

// SaResolver - the owner of the SAs, asked for one that was here before. Null: it is gone. What it returns is
// good for as long as the caller's read section lasts. The lane's lcore.
class SaResolver {
  public:
    [[nodiscard]] virtual Sa* resolve(uint32_t id, uint32_t generation) noexcept = 0;

  protected:
    ~SaResolver() = default;
};

// EspDone - a packet that came back. fate.ok(): `packet` is the new one. Else it is the old one, as it was.
struct EspDone {
    Mbuf* packet;
    EspFate fate;
    uint64_t tag;  // what the packet was submitted with
    Sa* sa;        // null: it is gone
};

class CrossCheck;
class LinkMtus;

// EspLane - what one lcore needs.
class EspLane {
  public:
    // make - `resolver` is for esp_submit_*(), and outlives the lane. Error: the engine cannot be used, and
    // why. Control thread.
    [[nodiscard]] static Result<std::unique_ptr<EspLane>> make(const Engine& engine, int socket,
                                                               SaResolver* resolver = nullptr);
    // What is in flight is given up, and its packets freed; no SA is looked at. Control thread, the lcore
    // has stopped.
    ~EspLane();
    EspLane(const EspLane&) = delete;
    EspLane& operator=(const EspLane&) = delete;

    const Engine& engine;    // [I] all SAs of its packets have keys of this engine
    LaneCounters counters;   // [l]
    uint64_t now_s = 0;      // [l] set by the owner, once per burst: lifetimes are measured by it
    Random random;           // [l]
    SaResolver* const resolver;  // [I]
    EspHeld held;            // [l] of packets in flight; any thread reads
    LinkMtus* links = nullptr;    // [I] once packets come; the owner's. Null: no path has an MTU (fit.h)
    CrossCheck* cross = nullptr;  // [I] once packets come; the owner's: every so many jobs by another engine, too

    struct Batch;
    struct Flight;
    EngineLane& crypto() noexcept { return *crypto_; }
    // batch - the one that is being planned.
    Batch& batch() noexcept { return *batch_; }
    void plan_in(Batch& batch) noexcept { batch_ = &batch; }
    Batch& own_batch() noexcept { return *own_; }
    Flight& flight() noexcept { return *flight_; }

  private:
    EspLane(const Engine& e, SaResolver* r);
    EngineLane* crypto_ = nullptr;
    std::unique_ptr<Batch> own_;
    Batch* batch_;
    std::unique_ptr<Flight> flight_;
};

// esp_output - protect packets[i] by sas[i]. fates[i].ok(): packets[i] is the ESP packet, the old one is
// freed. Else packets[i] is as it was (E-2), and it is counted, in the lane and in its SA. Any n. Returns
// how many are ok.
uint16_t esp_output(EspLane& lane, Sa* const* sas, Mbuf** packets, EspFate* fates, uint16_t n) noexcept;
// esp_input - the reverse. sas[i] null: there is none (in_no_states).
uint16_t esp_input(EspLane& lane, Sa* const* sas, Mbuf** packets, EspFate* fates, uint16_t n) noexcept;

// esp_submit_output, esp_submit_input - the same, begun. fates[i].ok(): the lane has packets[i], and
// esp_reap() will return it. Else it is the caller's, as it was, and counted. There is room for kEspFlights
// bursts: beyond, packets are refused with EAGAIN (out_error, in_error), and have used no number. What the
// device has no room for now waits in the lane. tags[i] is the caller's. Any n. Returns how many were taken.
uint16_t esp_submit_output(EspLane& lane, Sa* const* sas, Mbuf** packets, const uint64_t* tags, EspFate* fates,
                           uint16_t n) noexcept;
uint16_t esp_submit_input(EspLane& lane, Sa* const* sas, Mbuf** packets, const uint64_t* tags, EspFate* fates,
                          uint16_t n) noexcept;
// esp_reap - what is done, `most` packets at most, in the order in which they were submitted. To be called
// also when nothing came in: what waits is handed to the device here. Returns how many.
uint16_t esp_reap(EspLane& lane, EspDone* done, uint16_t most) noexcept;
// esp_in_flight - packets that the lane has. The lane's lcore.
[[nodiscard]] uint32_t esp_in_flight(EspLane& lane) noexcept;

// EspWire - what an IP packet is for ESP.
enum class EspWireKind : uint8_t {
    none,       // no ESP
    malformed,  // no whole IP or ESP header, or a fragment: reassemble first
    esp,
    keepalive,  // RFC 3948, 2.3: one byte, 0xff. To be dropped
    non_esp,    // RFC 3948, 2.2: IKE, behind four bytes of zero
};
struct EspWire {
    EspWireKind kind;
    bool udp;         // encapsulated
    uint32_t at;      // of the ESP header, or of what follows the non-ESP marker
    uint32_t end;     // of the IP packet
    uint32_t spi;     // host order
    IpView ip;
};
// esp_wire - look at a packet, before an SA is known. `udp_port`: UDP to this port is RFC 3948's; 0: none.
[[nodiscard]] EspWire esp_wire(const Mbuf* m, uint16_t udp_port) noexcept;

}  // namespace umbuf
