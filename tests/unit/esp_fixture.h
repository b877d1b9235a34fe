// SPDX-License-Identifier: BSD-2-Clause
// esp_fixture.h - a lane, pairs of SAs, packets to protect, and ESP packets made the plain way.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "drivers/crypto/cryptodev/cryptodev.h"
#include "drivers/crypto/ipsec_mb/ipsec_mb.h"
#include "lib/ipsec/esp.h"
#include "tests/unit/page_fixture.h"

namespace umbuf::test {

inline std::string text_of(const std::byte* at, size_t n) { return {reinterpret_cast<const char*>(at), n}; }
inline const std::byte* bytes_in(const std::string& s) { return reinterpret_cast<const std::byte*>(s.data()); }
inline std::byte* bytes_in(std::string& s) { return reinterpret_cast<std::byte*>(s.data()); }
inline std::string be16(uint32_t n) { return {static_cast<char>(n >> 8), static_cast<char>(n)}; }
inline std::string be32(uint32_t n) { return be16(n >> 16) + be16(n & 0xffff); }

// ---- packets as strings
struct IpKind {
    bool v6 = false;
    uint8_t tos = 0;
    bool df = true;
    uint8_t proto = kProtoUdp;
    uint32_t flow = 0;
};
inline std::string ip_header(const IpKind& kind, size_t payload) {
    std::string h;
    if (kind.v6) {
        h = be32(uint32_t{6} << 28 | uint32_t{kind.tos} << 20 | kind.flow) + be16(static_cast<uint32_t>(payload));
        h += static_cast<char>(kind.proto);
        h += '\x40';
        return h + std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + '\x01' +
               std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + '\x02';
    }
    h = std::string("\x45") + static_cast<char>(kind.tos) + be16(static_cast<uint32_t>(20 + payload)) + be16(7) +
        be16(kind.df ? 0x4000 : 0) + '\x40' + static_cast<char>(kind.proto) + be16(0) + "\x0a\x01\x02\x03" + "\xc0\xa8\x09\x08";
    ipv4_checksum(bytes_in(h), 20);
    return h;
}
inline std::string ip_packet(const IpKind& kind, const std::string& payload) { return ip_header(kind, payload.size()) + payload; }
// udp_packet - with a UDP header whose checksum is right.
inline std::string udp_packet(const IpKind& kind, size_t data, uint32_t salt = 0) {
    std::string udp = be16(1111) + be16(2222) + be16(static_cast<uint32_t>(8 + data)) + be16(0) + pattern(data, salt);
    const std::string header = ip_header(kind, udp.size());
    uint32_t sum = kProtoUdp + static_cast<uint32_t>(udp.size());
    const std::string all = header.substr(kind.v6 ? 8 : 12, kind.v6 ? 32 : 8) + udp + std::string(udp.size() % 2, '\0');
    for (size_t i = 0; i < all.size(); i += 2) sum += load16(bytes_in(all) + i);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    const uint32_t field = (~sum & 0xffff) == 0 ? 0xffff : ~sum & 0xffff;
    udp.replace(6, 2, be16(field));
    return header + udp;
}

// ---- SAs
inline std::string key_for(const Algorithm& algorithm) { return pattern(algorithm.key_bytes(), 91); }
inline IpAddress end_of_tunnel(bool v6, uint8_t last) {
    IpAddress a{.v6 = v6, .bytes = {}};
    a.bytes[0] = v6 ? 0xfd : 172;
    a.bytes[1] = v6 ? 0 : 16;
    a.bytes[v6 ? 15 : 3] = last;
    return a;
}
inline SaTerms terms_of(const std::string& algorithm, SaMode mode = SaMode::tunnel, bool outer_v6 = false) {
    SaTerms t;
    t.spi = 0x12345678;
    t.algorithm = find_algorithm(algorithm).value();
    t.mode = mode;
    t.src = end_of_tunnel(outer_v6, 1);
    t.dst = end_of_tunnel(outer_v6, 2);
    return t;
}
inline std::unique_ptr<Sa> sa_of(const SaTerms& terms, const Engine& engine = ipsec_mb_engine) {
    const std::string key = key_for(terms.algorithm);
    Result<std::unique_ptr<Sa>> sa = Sa::make(terms, {bytes_in(key), key.size()}, engine, 0);
    EXPECT_TRUE(sa.ok()) << sa.error().text;
    return std::move(sa.value());
}
inline std::vector<std::string> algorithms_of(const Engine& engine) {
    std::vector<std::string> names;
    for (const CipherKind& c : cipher_kinds()) {
        if (const Algorithm alone{&c, nullptr}; c.icv != 0 && engine.supports(alone)) names.push_back(alone.name());
        if (c.icv != 0) continue;
        for (const IntegrityKind& i : integrity_kinds())
            if (const Algorithm both{&c, &i}; engine.supports(both)) names.push_back(both.name());
    }
    return names;
}

// ---- engines by name: those that run on any machine
inline constexpr const char* kEngines[] = {"ipsec-mb", "crypto_openssl", "crypto_aesni_mb", "crypto_aesni_gcm"};
inline constexpr const char* kDevices[] = {"crypto_openssl", "crypto_aesni_mb", "crypto_aesni_gcm"};
// Devices are closed before the process exits: OpenSSL's own handler runs before EAL's.
struct CloseDevices final : ::testing::Environment {
    void TearDown() override { cryptodev_close_all(); }
};
inline ::testing::Environment* const kCloseDevices = ::testing::AddGlobalTestEnvironment(new CloseDevices);
inline const Engine* engine_named(const std::string& name) {
    if (name == ipsec_mb_engine.name) return &ipsec_mb_engine;
    const Result<const Engine*> engine = cryptodev_engine(name);
    EXPECT_TRUE(engine.ok()) << engine.error().text;
    return engine.ok() ? engine.value() : nullptr;
}
inline std::string test_name(const ::testing::TestParamInfo<const char*>& p) {
    std::string name = p.param;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

// Every test has a lane, and ends with everything home.
class EspTest : public PageTest {
  protected:
    void SetUp() override {
        PageTest::SetUp();
        make_lane();
    }
    void make_lane() { lane_ = std::move(EspLane::make(ipsec_mb_engine, 0).value()); }
    void TearDown() override {
        lane_.reset();
        PageTest::TearDown();
    }
    EspLane& lane() { return *lane_; }

    // out, in - one packet; m becomes the new one if it went through.
    EspFate out(Sa& sa, Mbuf*& m) { return one(esp_output, sa, m); }
    EspFate in(Sa& sa, Mbuf*& m) { return one(esp_input, sa, m); }

    // flat - an ESP packet the plain way: strings, one piece, one room. `outer` is the header before ESP.
    std::string flat(const Sa& sa, uint64_t seq, const std::string& outer, const std::string& payload, uint8_t next,
                     const std::string& iv, size_t more_pad = 0) {
        const uint32_t align = std::max<uint32_t>(4, sa.terms.algorithm.cipher->block);
        std::string text = payload;
        const size_t pad = (align - (payload.size() + 2) % align) % align + more_pad;
        for (size_t i = 1; i <= pad; ++i) text += static_cast<char>(i);
        text += static_cast<char>(pad);
        text += static_cast<char>(next);
        return sealed(sa, seq, outer, text, iv);
    }
    // sealed - the same with a text that need not make sense.
    std::string sealed(const Sa& sa, uint64_t seq, const std::string& outer, const std::string& text, const std::string& iv) {
        const Piece piece{bytes_in(text), static_cast<uint32_t>(text.size())};
        std::string to(text.size(), '\0');
        const Room room{bytes_in(to), piece.len};
        Job job{.key = sa.key(), .source = {&piece, 1}, .to = {&room, 1}, .whole = nullptr, .len = piece.len, .encrypt = true, .extended = sa.terms.esn};
        store32(job.head.spi, sa.terms.spi);
        store32(job.head.seq, static_cast<uint32_t>(seq));
        store32(job.seq_high, static_cast<uint32_t>(seq >> 32));
        std::memcpy(job.head.iv, iv.data(), iv.size());
        ipsec_mb_engine.run(lane_->crypto(), &job, 1);
        return outer + be32(sa.terms.spi) + be32(static_cast<uint32_t>(seq)) + iv + to +
               text_of(job.icv, sa.terms.algorithm.icv());
    }
    static std::string iv8(uint64_t seq) { return be32(static_cast<uint32_t>(seq >> 32)) + be32(static_cast<uint32_t>(seq)); }

  private:
    template <class Verb>
    EspFate one(Verb verb, Sa& sa, Mbuf*& m) {
        EspFate fate;
        Sa* sas[] = {&sa};
        Mbuf* packets[] = {m};
        const uint16_t done = verb(*lane_, sas, packets, &fate, 1);
        EXPECT_EQ(done, fate.ok() ? 1 : 0);
        m = packets[0];
        return fate;
    }
    std::unique_ptr<EspLane> lane_;
};

// ---- chains
// cut_up - the packet in mbufs of these lengths, the rest in a last one; 0 is an empty mbuf.
inline Mbuf* cut_up(const std::string& bytes, const std::vector<size_t>& lengths) {
    Mbuf* first = nullptr;
    Mbuf* last = nullptr;
    size_t at = 0;
    const auto add = [&](size_t n) {
        Mbuf* m = first == nullptr ? m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, static_cast<uint32_t>(std::max<size_t>(n, 1)))
                                   : m_getjcl(M_NOWAIT, MT_DATA, 0, static_cast<uint32_t>(std::max<size_t>(n, 1)));
        std::memcpy(m->data(), bytes.data() + at, n);
        m->set_len(static_cast<uint32_t>(n));
        at += n;
        (first == nullptr ? first : last) = first == nullptr ? m : last;
        if (last != nullptr) last->set_next(m);
        last = m;
    };
    for (const size_t n : lengths) add(std::min(n, bytes.size() - at));
    while (at < bytes.size()) add(std::min<size_t>(16384, bytes.size() - at));
    m_calchdrlen(first);
    return first;
}

// paged - a packet: `head` bytes mapped, the rest in pages of the class, one mbuf for each 4,000 bytes.
inline Mbuf* paged(PageClass cls, const std::string& bytes, size_t head) {
    Mbuf* first = cut_up(bytes.substr(0, head), {head});
    Mbuf* last = m_last(first);
    for (size_t at = head; at < bytes.size(); at += 4000, last = last->next()) last->set_next(filled(cls, bytes.substr(at, 4000)));
    m_calchdrlen(first);
    return first;
}

// differs - where two strings do; npos: nowhere.
inline size_t differs(const std::string& a, const std::string& b) {
    if (a == b) return std::string::npos;
    size_t i = 0;
    while (i < a.size() && i < b.size() && a[i] == b[i]) ++i;
    return i;
}

}  // namespace umbuf::test
