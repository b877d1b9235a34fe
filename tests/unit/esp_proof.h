// SPDX-License-Identifier: BSD-2-Clause
// esp_proof.h - what every engine is held to: the engines there are, and packets in all kinds of storage.
#pragma once
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/esp_fixture.h"

namespace umbuf::test {

// Every engine that runs on any machine (esp_fixture.h).
#define UM_FOR_EACH_ENGINE(suite) INSTANTIATE_TEST_SUITE_P(Engine, suite, ::testing::ValuesIn(kEngines), test_name)

// Whose the bytes of an mbuf are, and where they lie.
enum class Storage : uint8_t { own, shared, received, cache, anonymous, shared_cache, shared_anonymous, count };
inline constexpr size_t kStorages = static_cast<size_t>(Storage::count);

// Source - a packet in pieces, and everything that must be as it was when ESP has seen it: the other
// holders of what is shared, and all bytes of the pages.
class Source {
  public:
    // Lengths of the mbufs behind the first, which is empty, or has `head` bytes; what is left over goes into
    // a last one. kinds[i % size] is the storage of the i-th.
    Source(const std::string& bytes, size_t head, const std::vector<size_t>& lengths, const std::vector<Storage>& kinds) : bytes_(bytes) {
        m = cut_up(bytes.substr(0, head), {std::min(head, bytes.size())});
        Mbuf* last = m_last(m);
        size_t at = std::min(head, bytes.size()), i = 0;
        const auto add = [&](size_t n) {
            last->set_next(piece(bytes.substr(at, n), kinds[i++ % kinds.size()]));
            last = last->next();
            at += n;
        };
        for (const size_t n : lengths) add(std::min(n, bytes.size() - at));
        while (at < bytes.size()) add(std::min<size_t>(16384, bytes.size() - at));
        m_calchdrlen(m);
    }
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    ~Source() {
        m_freem(m);
        for (const Holder& h : holders_) m_freem(h.m);
    }
    // expect_untouched - no byte that anybody else can see has changed.
    void expect_untouched(const std::string& where) const {
        for (const Holder& h : holders_) EXPECT_EQ(bytes_of(h.m), h.bytes) << where << ": a byte that somebody else sees was written";
        for (const Paged& p : pages_) EXPECT_EQ(page_bytes(p.page), p.bytes) << where << ": a page was written";
    }
    // expect_refused - the packet is the caller's, as it was (E-2).
    void expect_refused(const std::string& where) const {
        EXPECT_EQ(bytes_of(m), bytes_) << where;
        EXPECT_EQ(m_sanity(m), std::nullopt) << where;
        expect_untouched(where);
    }
    Mbuf* m = nullptr;  // ours until ESP has made another of it

  private:
    struct Holder {
        Mbuf* m;
        std::string bytes;
    };
    struct Paged {
        const Page* page;
        std::string bytes;
    };
    Mbuf* piece(const std::string& bytes, Storage kind) {
        if (bytes.empty()) return m_get(M_NOWAIT, MT_DATA);
        switch (kind) {
        case Storage::cache: return page(PageClass::cache, bytes, false);
        case Storage::anonymous: return page(PageClass::anonymous, bytes, false);
        case Storage::shared_cache: return page(PageClass::cache, bytes, true);
        case Storage::shared_anonymous: return page(PageClass::anonymous, bytes, true);
        default: break;
        }
        Mbuf* made = kind == Storage::received && bytes.size() <= 1500 ? received(bytes) : clustered(bytes);
        if (kind == Storage::shared) hold(made);
        m_demote(made, true, 0);
        return made;
    }
    Mbuf* page(PageClass cls, const std::string& bytes, bool shared) {
        Mbuf* made = filled(cls, bytes);
        UM_ASSERT(made != nullptr);
        if (!shared) return made;  // it goes with the packet, and cannot be looked at then
        pages_.push_back({page_of(made), page_bytes(page_of(made))});
        hold(made);
        return made;
    }
    void hold(Mbuf* made) { holders_.push_back({m_copym(made, 0, M_COPYALL, M_NOWAIT), bytes_of(made)}); }

    std::string bytes_;
    std::vector<Holder> holders_;
    std::vector<Paged> pages_;
};

// Each test of it runs with each engine. What it is compared with is made in one piece, by strings.
class EspProof : public EspTest, public ::testing::WithParamInterface<const char*> {
  protected:
    void SetUp() override {
        ArenaConfig c = config();
        c.cache = {48, 65536};
        c.anonymous = {128, 16384};
        PageTest::open(c);
        make_lane();
        const Status ready = engine().ready();
        if (!ready) GTEST_SKIP() << ready.error().text;
        proven_ = std::move(EspLane::make(engine(), 0, &only_).value());
    }
    void TearDown() override {
        proven_.reset();
        EspTest::TearDown();
    }
    [[nodiscard]] static const Engine& engine() { return *engine_named(GetParam()); }
    EspLane& proven() { return *proven_; }
    std::unique_ptr<Sa> of_engine(const SaTerms& terms) { return sa_of(terms, engine()); }

    // output, input - one packet through the engine. One that takes its time is waited for, or begun and asked again,
    // in an order that puts all four pairs of ways there and back.
    EspFate output(Sa& sa, Mbuf*& m) { return in_turn() ? begun(esp_submit_output, sa, m) : through(esp_output, sa, m); }
    EspFate input(Sa& sa, Mbuf*& m) { return in_turn() ? begun(esp_submit_input, sa, m) : through(esp_input, sa, m); }
    // takes_time - the engine is a device's.
    [[nodiscard]] static bool takes_time() { return engine().submit != nullptr; }

    // Shape - how a packet is to be wrapped; there are kShapes.
    static constexpr uint32_t kShapes = 6;
    static SaTerms shaped(const std::string& name, uint32_t shape) {
        SaTerms t = terms_of(name, shape % 2 == 0 ? SaMode::tunnel : SaMode::transport, shape % 3 == 1);
        t.esn = shape >= 2 && shape <= 4;
        t.seq_floor = t.esn ? (uint64_t{3} << 32) - 1 : 6;  // the next one's lower half is 0
        t.udp = shape == 3 || shape == 5;
        if (t.udp) no_nat(t, udp_packet({.v6 = inner_v6(shape)}, 0));
        return t;
    }
    // no_nat - the packet's own addresses are the original ones: its checksum comes out as it went in (RFC 3948, 3.1.2).
    static void no_nat(SaTerms& t, const std::string& packet) {
        const bool v6 = (packet[0] >> 4 & 15) == 6;
        const size_t at = v6 ? 8 : 12, size = v6 ? 16 : 4;
        t.oa.known = true;
        t.oa.src.v6 = t.oa.dst.v6 = v6;
        std::memcpy(t.oa.src.bytes.data(), packet.data() + at, size);
        std::memcpy(t.oa.dst.bytes.data(), packet.data() + at + size, size);
    }
    static bool inner_v6(uint32_t shape) { return shape == 1 || shape == 2 || shape == 5; }
    // peer - the other end of an SA of these terms, that has seen all up to the floor.
    std::unique_ptr<Sa> peer_of(const SaTerms& terms) {
        auto sa = of_engine(terms);
        if (terms.esn) sa->window.mark(terms.seq_floor);
        return sa;
    }
    // lead_of - bytes before the ESP header of a packet with these terms.
    static size_t lead_of(const SaTerms& terms, bool v6) {
        const bool outer_v6 = terms.mode == SaMode::tunnel ? terms.src.v6 : v6;
        return (outer_v6 ? kIpv6Header : kIpv4Header) + (terms.udp ? kUdpHeader : 0);
    }
    // expected - what a packet is to be like: the headers that `is` has, and ESP made of one piece by strings.
    std::string expected(const SaTerms& terms, const Sa& plain, uint64_t seq, const std::string& packet, const std::string& is) {
        const bool v6 = (packet[0] >> 4 & 15) == 6, tunnel = terms.mode == SaMode::tunnel;
        const size_t lead = lead_of(terms, v6), header = v6 ? kIpv6Header : kIpv4Header;
        if (is.size() < lead + 8 + kMaxIv) return "a longer packet";
        const uint8_t next = tunnel ? v6 ? kProtoIpv6 : kProtoIpv4 : static_cast<uint8_t>(packet[v6 ? 6 : 9]);
        return flat(plain, seq, is.substr(0, lead), tunnel ? packet : packet.substr(header), next,
                    is.substr(lead + 8, terms.algorithm.cipher->iv));
    }

  private:
    // Only - the SA that is at work.
    struct Only final : SaResolver {
        Sa* sa = nullptr;
        Sa* resolve(uint32_t, uint32_t) noexcept override { return sa; }
    };
    bool in_turn() { return takes_time() && std::popcount(turn_++) % 2 == 1; }
    template <class Verb>
    EspFate through(Verb verb, Sa& sa, Mbuf*& m) {
        EspFate fate;
        Sa* sas[] = {&sa};
        Mbuf* packets[] = {m};
        const uint16_t done = verb(*proven_, sas, packets, &fate, 1);
        EXPECT_EQ(done, fate.ok() ? 1 : 0);
        m = packets[0];
        return fate;
    }
    template <class Verb>
    EspFate begun(Verb verb, Sa& sa, Mbuf*& m) {
        EspFate fate;
        only_.sa = &sa;
        Sa* sas[] = {&sa};
        const uint64_t tag = turn_;
        if (verb(*proven_, sas, &m, &tag, &fate, 1) == 0) return fate;
        EspDone done{};
        while (esp_reap(*proven_, &done, 1) == 0) {}
        EXPECT_EQ(done.tag, tag);
        m = done.packet;
        return done.fate;
    }
    Only only_;
    uint32_t turn_ = 0;
    std::unique_ptr<EspLane> proven_;
};

}  // namespace umbuf::test
