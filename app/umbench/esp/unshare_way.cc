// SPDX-License-Identifier: BSD-2-Clause
// unshare_way.cc - ESP as a stack does it whose cipher writes where it reads: m_unshare(), room for the
// headers and the trailer, and IPsec-MB in place.
//
// It looks at the packet, the SA's limits, its numbers and its window as lib/ipsec does, with the same
// functions; but there is one kind of SA (an IPv4 tunnel, AES-GCM, no ESN), so nothing is asked that such an
// SA answers always. It is meant to be as fast as this can be done.
#include <algorithm>
#include <cstring>

#include "app/umbench/esp/bare_gcm.h"
#include "app/umbench/esp/terms.h"
#include "app/umbench/esp/way.h"
#include "lib/ipsec/esp.h"
#include "lib/mbuf/refs.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::bench {
namespace {

constexpr uint32_t kHead = 16, kIcv = 16;  // ESP header and IV; ICV

// Nonce - 12 bytes; Aad - SPI and number, as they travel.
struct Seal {
    uint8_t nonce[16];
    uint8_t aad[8];
    Seal(const BareKey& key, const std::byte* head) noexcept {
        std::memcpy(nonce, key.salt, 4);
        std::memcpy(nonce + 4, head + 8, 8);
        std::memcpy(aad, head, 8);
    }
};

class UnshareWay final : public Way {
  public:
    UnshareWay(bool encrypt, BareKit kit, OwnSas sas) : encrypt_(encrypt), kit_(std::move(kit)), sas_(std::move(sas)) {}
    uint16_t run(Mbuf** packets, const uint16_t* sas, uint16_t n) noexcept override {
        uint16_t done = 0;
        for (uint16_t i = 0; i < n; ++i) {
            Sa& sa = *sas_[sas[i]];
            const BareKey& key = kit_.keys[sas[i]];
            done = static_cast<uint16_t>(done + (encrypt_ ? seal(packets[i], sa, key) : open(packets[i], sa, key)));
        }
        refs_flush();
        return done;
    }

  private:
    // crypt - [off, off + len) of the chain, in place.
    void crypt(Mbuf* m, uint32_t off, uint32_t len, const BareKey& key, const Seal& with, uint8_t* tag) noexcept {
        while (off >= m->len()) {
            off -= m->len();
            m = m->next();
        }
        gcm_context_data context;
        uint8_t* at = reinterpret_cast<uint8_t*>(m->data()) + off;
        if (m->len() - off >= len)
            return kit_.gcm.whole(&key.gcm, &context, at, at, len, with.nonce, with.aad, sizeof(with.aad), tag, kIcv);
        kit_.gcm.init(&key.gcm, &context, with.nonce, with.aad, sizeof(with.aad));
        for (; len > 0; m = m->next(), off = 0) {
            const uint32_t run = std::min(len, m->len() - off);
            at = reinterpret_cast<uint8_t*>(m->data()) + off;
            kit_.gcm.update(&key.gcm, &context, at, at, run);
            len -= run;
        }
        kit_.gcm.finalize(&key.gcm, &context, tag, kIcv);
    }

    bool seal(Mbuf*& m, Sa& sa, const BareKey& key) noexcept {
        if (m_unshare(&m, M_NOWAIT) != 0) return false;
        IpView ip{};
        if (!parse_ip(m->data(), std::min(m->len(), kPeek), m->pkt_len(), &ip)) return false;
        const uint32_t pad = (4 - (ip.length + 2) % 4) % 4, text = ip.length + pad + 2;
        uint64_t seq = 0;
        if (sa.expired(text, 0) || sa.sequence.next(&seq) != 0) return false;
        std::byte tail[4 + 2 + kIcv];
        for (uint32_t i = 0; i < pad; ++i) tail[i] = static_cast<std::byte>(i + 1);
        tail[pad] = static_cast<std::byte>(pad);
        tail[pad + 1] = std::byte{kProtoIpv4};
        if (m_append(m, pad + 2 + kIcv, tail) == 0) return false;
        if (m = m_prepend(m, kOuterBytes + kHead, M_NOWAIT); m == nullptr) return false;
        std::byte* to = m->data();
        write_outer(to, sa.terms.outer, sa.terms.src, sa.terms.dst, ip, kProtoEsp, kHead + text + kIcv, 0);
        std::byte* head = to + kOuterBytes;
        store32(head, sa.terms.spi);
        store32(head + 4, static_cast<uint32_t>(seq));
        store32(head + 8, 0);
        store32(head + 12, static_cast<uint32_t>(seq));
        uint8_t tag[kIcv];
        crypt(m, kOuterBytes + kHead, text, key, Seal(key, head), tag);
        sa.counters.packets.add(1);
        sa.counters.bytes.add(text);
        Mbuf* last = m_last(m);
        std::memcpy(last->data() + last->len() - kIcv, tag, kIcv);
        return true;
    }

    bool open(Mbuf*& m, Sa& sa, const BareKey& key) noexcept {
        if (m_unshare(&m, M_NOWAIT) != 0) return false;
        const EspWire wire = esp_wire(m, 0);
        if (wire.kind != EspWireKind::esp || wire.spi != sa.terms.spi || wire.end < wire.at + kHead + kIcv + 4) return false;
        const uint32_t text = wire.end - wire.at - kHead - kIcv;
        std::byte head[kHead], icv[kIcv], end[2];
        (void)m_copydata(m, wire.at, kHead, head);
        const uint32_t seq = load32(head + 4);
        if (!sa.window.check(seq) || sa.expired(text, 0)) return false;
        (void)m_copydata(m, wire.end - kIcv, kIcv, icv);
        uint8_t tag[kIcv];
        crypt(m, wire.at + kHead, text, key, Seal(key, head), tag);
        if (!same_bytes(icv, reinterpret_cast<const std::byte*>(tag), kIcv)) return false;
        sa.window.mark(seq);
        sa.counters.packets.add(1);
        sa.counters.bytes.add(text);
        (void)m_copydata(m, wire.end - kIcv - 2, 2, end);
        const uint32_t pad = static_cast<uint32_t>(end[0]);
        if (pad + 2 > text || end[1] != std::byte{kProtoIpv4}) return false;
        m_adj(m, -static_cast<int32_t>(m->pkt_len() - wire.end + kIcv + 2 + pad));
        m_adj(m, static_cast<int32_t>(wire.at + kHead));
        // The headers that were taken off may have been all that the first mbuf had.
        if (m->len() < kIpv4Header && (m = m_pullup(m, kIpv4Header)) == nullptr) return false;
        IpView ip{};
        if (!parse_ip(m->data(), std::min(m->len(), kPeek), m->pkt_len(), &ip)) return false;
        return leave_tunnel(m->data(), sa.terms.outer, wire.ip.tos);
    }

    bool encrypt_;
    BareKit kit_;
    OwnSas sas_;
};

}  // namespace

MadeWay make_unshare_way(const EspCase& what) {
    if (!has_bare(what)) return std::unique_ptr<Way>();
    Result<BareKit> kit = make_bare(what);
    if (!kit) return kit.error();
    Result<OwnSas> sas = make_sas(what);
    if (!sas) return sas.error();
    return std::unique_ptr<Way>(std::make_unique<UnshareWay>(what.encrypt, std::move(kit.value()), std::move(sas.value())));
}

}  // namespace umbuf::bench
