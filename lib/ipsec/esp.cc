// SPDX-License-Identifier: BSD-2-Clause
// esp.cc - what both directions of ESP stand on.
#include "lib/ipsec/esp.h"

#include <cstring>

#include "lib/ipsec/cross_check.h"
#include "lib/ipsec/esp_batch.h"
#include "lib/mbuf/verbs.h"

namespace umbuf {

EspLane::EspLane(const Engine& e, SaResolver* r)
    : engine(e), resolver(r), own_(std::make_unique<Batch>()), batch_(own_.get()),
      flight_(r == nullptr ? nullptr : std::make_unique<Flight>()) {}

Result<std::unique_ptr<EspLane>> EspLane::make(const Engine& engine, int socket, SaResolver* resolver) {
    if (const Status ready = engine.ready(); !ready) return ready.error();
    std::unique_ptr<EspLane> lane(new EspLane(engine, resolver));
    lane->crypto_ = engine.open(socket);
    if (lane->crypto_ == nullptr) return Error{ENOMEM, std::string("no memory for a lane of the engine ") + engine.name};
    return lane;
}

EspLane::~EspLane() {
    if (crypto_ != nullptr) engine.close(crypto_);
    if (flight_ != nullptr) esp::give_up(*flight_);  // J5: nobody reads them any more
}

void EspLane::Batch::back_to(const Mark& was) noexcept {
    while (n_windows > was.windows) windows[--n_windows].open.~ReadWindow();
    n_pieces = was.pieces;
    n_rooms = was.rooms;
}

void EspLane::Batch::clear() noexcept {
    back_to({0, 0, 0});
    n = 0;
}

bool EspLane::Batch::add(const std::byte* at, uint32_t len) noexcept {
    if (n_pieces == kPieces) return false;
    pieces[n_pieces++] = {at, len};
    return true;
}

namespace {
// The first bytes set out while the packets behind this one are planned; the engine fetches the rest.
[[gnu::always_inline]] inline void fetch_early(const std::byte* at, uint32_t len) noexcept {
    for (uint32_t off = 0; off < std::min(len, esp::kBytesEarly); off += 64) __builtin_prefetch(at + off);
}
}  // namespace

bool EspLane::Batch::add_chain(const Mbuf* m, uint32_t off, uint32_t len) noexcept {
    for (; len > 0; m = m->next()) {
        if (off >= m->len()) {
            off -= m->len();
            continue;
        }
        const uint32_t run = std::min(len, m->len() - off);
        const std::byte* at = m->data() + off;
        if (m_unmapped(m)) {
            if (n_windows == kWindows) return false;
            at = (new (&windows[n_windows++].open) ReadWindow(m, off, run, CopiedFor::read))->bytes();
            fetch_early(at, run);
        }
        if (!add(at, run)) return false;
        off = 0;
        len -= run;
    }
    return true;
}

bool EspLane::Batch::add_rooms(Mbuf* m, uint32_t off, uint32_t len) noexcept {
    for (; len > 0; m = m->next()) {
        if (off >= m->len()) {
            off -= m->len();
            continue;
        }
        if (n_rooms == kRooms) return false;
        const uint32_t run = std::min(len, m->len() - off);
        rooms[n_rooms++] = {m->data() + off, run};
        fetch_early(m->data() + off, run);
        off = 0;
        len -= run;
    }
    return true;
}

namespace esp {

int readable_slowly(const Mbuf* m) noexcept {
    for (; m != nullptr; m = m->next())
        if (const int error = m_readable(m); error != 0) return refused(error);
    return 0;
}

namespace {

int copy_piece(void* arg, void* data, unsigned n) {
    std::byte*& to = *static_cast<std::byte**>(arg);
    std::memcpy(to, data, n);
    to += n;
    return 0;
}

}  // namespace

void peek_slowly(const Mbuf* m, uint32_t off, uint32_t len, std::byte* to) noexcept {
    // m_apply changes nothing in a chain; its callbacks could.
    (void)m_apply(const_cast<Mbuf*>(m), off, len, copy_piece, &to);
}

void cross_check(EspLane& lane, EspWork& work, const Job& job, const Mbuf* source) noexcept {
    if (lane.cross == nullptr || job.failed) return;
    work.differs = !lane.cross->same(lane.engine, *work.sa, job, source, work.out, work.lead);
}

Mbuf* fresh(uint32_t bytes) noexcept {
    constexpr uint32_t kBiggest = kClusterSizes[kClusterZones - 1];
    Mbuf* first = m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, std::min(kEspHeadroom + bytes, kBiggest));
    if (first == nullptr) return nullptr;
    first->rte.data_off = kEspHeadroom;
    first->set_len(std::min(bytes, kBiggest - kEspHeadroom));
    uint32_t left = bytes - first->len();
    for (Mbuf* last = first; left > 0; last = last->next()) {
        Mbuf* more = m_getjcl(M_NOWAIT, MT_DATA, 0, std::min(left, kBiggest));
        if (more == nullptr) {
            m_freem(first);
            return nullptr;
        }
        more->set_len(std::min(left, kBiggest));
        left -= more->len();
        last->set_next(more);
    }
    m_calchdrlen(first);
    return first;
}

void succeed(Mbuf* to, Mbuf* from) noexcept {
    m_move_pkthdr(to, from);
    m_calchdrlen(to);
    succeed(to);
    m_freem(from);
}

}  // namespace esp

namespace {

// look_for_esp - what the packet is; at, end and spi where it is ESP, or IKE's.
EspWireKind look_for_esp(const Mbuf* m, uint16_t udp_port, EspWire& wire) noexcept {
    std::byte scratch[kPeek];
    const std::byte* at = nullptr;
    const uint32_t have = esp::front_of(m, scratch, &at);
    IpView& ip = wire.ip;
    if (!parse_ip(at, have, m->pkt_len(), &ip)) return EspWireKind::malformed;
    const bool udp = ip.proto == kProtoUdp && udp_port != 0;
    if (ip.proto != kProtoEsp && !udp) return EspWireKind::none;
    if (ip.fragment) return EspWireKind::malformed;
    uint32_t begin = ip.header, end = ip.length;
    if (udp) {
        if (begin + kUdpHeader > have || begin + kUdpHeader > end) return EspWireKind::malformed;
        if (load16(at + begin + 2) != udp_port) return EspWireKind::none;
        const uint32_t says = load16(at + begin + 4);
        if (says < kUdpHeader || begin + says > end) return EspWireKind::malformed;
        end = begin + says;
        begin += kUdpHeader;
        wire.udp = true;
    }
    // RFC 3948, 2.3: one byte of ones keeps a NAT's memory alive.
    if (udp && end - begin == 1) {
        std::byte only{};
        esp::peek(m, begin, 1, &only);
        return only == std::byte{0xff} ? EspWireKind::keepalive : EspWireKind::malformed;
    }
    if (end - begin < 8) return EspWireKind::malformed;
    std::byte spi[4];
    esp::peek(m, begin, sizeof(spi), spi);
    wire.at = begin;
    wire.end = end;
    wire.spi = load32(spi);
    if (wire.spi != 0) return EspWireKind::esp;
    wire.at += 4;
    return udp ? EspWireKind::non_esp : EspWireKind::malformed;
}

}  // namespace

void esp::wire_of(const Mbuf* m, uint16_t udp_port, EspWire& wire) noexcept {
    wire.udp = false;
    wire.at = wire.end = wire.spi = 0;
    wire.kind = look_for_esp(m, udp_port, wire);
}

EspWire esp_wire(const Mbuf* m, uint16_t udp_port) noexcept {
    EspWire wire{};
    esp::wire_of(m, udp_port, wire);
    return wire;
}

}  // namespace umbuf
