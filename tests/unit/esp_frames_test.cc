// SPDX-License-Identifier: BSD-2-Clause
// esp_frames_test.cc - packets through a NIC that does their cryptography: what is on the wire is what the software
// engine would have sent, nothing that others see is written, and what comes back is judged by our rules.
//
// stand-in: no NIC here has it. Nic is a port over a ring whose driver does to marked frames what such a NIC's DMA
// engine does, with IPsec-MB: it reads where the frame lies and writes to the wire only; what it receives it decrypts
// where the driver has put it.
#include <functional>
#include <map>
#include <set>

#include "drivers/crypto/security/frames.h"
#include "tests/unit/esp_proof.h"
#include "tests/unit/port_fixture.h"
#include "tests/unit/security_stand_in.h"

namespace umbuf::test {
namespace {

constexpr uint32_t kL2 = 14;

class Nic final : public StandIn {
  public:
    Nic() : lane_(std::move(EspLane::make(ipsec_mb_engine, 0).value())) {
        capabilities[1] = capabilities[0];
        capabilities[1].ipsec.direction = RTE_SECURITY_IPSEC_SA_DIR_INGRESS;
        capabilities[2].action = RTE_SECURITY_ACTION_TYPE_NONE;
        PortConfig wanted = config_with_zone();
        wanted.unmapped = true;
        wire_ = make_ring(64);
        port_ = configured(ring_device({wire_.get()}, {wire_.get()}), wanted);
        port_->wrap(receive, transmit, this);
        test::open(*port_);
    }
    ~Nic() override { test::gone(std::move(port_)); }
    Port& eth() { return *port_; }
    bool refuses = false;  // set_pkt_metadata fails

  private:
    struct Rule {
        Algorithm algorithm;
        uint32_t spi;
        bool encrypt;
        Secret key;
    };
    void added(const void* session, const rte_security_session_conf& conf) override {
        const auto& aead = conf.crypto_xform->aead;
        const Algorithm algorithm = find_algorithm("aes-gcm-" + std::to_string(8 * aead.key.length)).value();
        const std::string raw = StandIn::key + std::string(reinterpret_cast<const char*>(&conf.ipsec.salt), 4);
        Rule rule{algorithm, conf.ipsec.spi, conf.ipsec.direction == RTE_SECURITY_IPSEC_SA_DIR_EGRESS,
                  std::move(Secret::make(ipsec_mb_engine.key_bytes(algorithm)).value())};
        EXPECT_TRUE(ipsec_mb_engine.make_key(algorithm, {bytes_in(raw), raw.size()}, rule.key.data()).ok());
        rules_.emplace(session, std::move(rule));
    }
    void gone(const void* session) override { rules_.erase(session); }
    int told(const void* session, const rte_mbuf* m) override {
        if (refuses) return -EINVAL;
        told_[m] = session;
        return 0;
    }

    // crypt - the text of an ESP packet that begins at `esp` in the frame, in place. Was the ICV right?
    bool crypt(const Rule& rule, std::string& frame, size_t esp) {
        const size_t text = esp + 16, len = frame.size() - text - 16;
        const Piece piece{bytes_in(frame) + text, static_cast<uint32_t>(len)};
        const Room room{bytes_in(frame) + text, static_cast<uint32_t>(len)};
        Job job{.key = rule.key.data(), .source = {&piece, 1}, .to = {&room, 1}, .whole = nullptr, .len = static_cast<uint32_t>(len), .encrypt = rule.encrypt};
        std::memcpy(job.head.spi, frame.data() + esp, 4);
        std::memcpy(job.head.seq, frame.data() + esp + 4, 4);
        std::memcpy(job.head.iv, frame.data() + esp + 8, 8);
        std::memcpy(job.icv, frame.data() + text + len, 16);
        ipsec_mb_engine.run(lane_->crypto(), &job, 1);
        if (rule.encrypt) std::memcpy(frame.data() + text + len, job.icv, 16);
        return job.authentic;
    }
    static Sent transmit(Port& port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
        Nic& nic = *static_cast<Nic*>(port.wrapper_context());
        for (uint16_t i = 0; i < n; ++i) {
            if ((burst[i]->ol_flags & RTE_MBUF_F_TX_SEC_OFFLOAD) == 0) continue;
            const Rule& rule = nic.rules_.at(nic.told_.at(burst[i]));
            nic.told_.erase(burst[i]);
            std::string frame = bytes_of(Mbuf::of(burst[i]));  // read where it lies
            const size_t esp = burst[i]->l2_len + burst[i]->l3_len;
            EXPECT_EQ(load32(bytes_in(frame) + esp), rule.spi);
            nic.crypt(rule, frame, esp);
            rte_pktmbuf_free(burst[i]);
            burst[i] = &cut_up(frame, {})->rte;
        }
        return port.device_tx(queue, burst, n);
    }
    static uint16_t receive(Port& port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
        Nic& nic = *static_cast<Nic*>(port.wrapper_context());
        const uint16_t got = port.device_rx(queue, burst, n);
        for (uint16_t i = 0; i < got; ++i) {
            std::string frame = bytes_of(Mbuf::of(burst[i]));
            const size_t esp = kL2 + ((frame[kL2] >> 4 & 15) == 6 ? kIpv6Header : kIpv4Header);
            for (const auto& [session, rule] : nic.rules_) {
                if (rule.encrypt || frame.size() < esp + 32 || load32(bytes_in(frame) + esp) != rule.spi) continue;
                burst[i]->ol_flags |= RTE_MBUF_F_RX_SEC_OFFLOAD;
                if (!nic.crypt(rule, frame, esp)) burst[i]->ol_flags |= RTE_MBUF_F_RX_SEC_OFFLOAD_FAILED;
                EXPECT_EQ(m_copyback(Mbuf::of(burst[i]), 0, static_cast<uint32_t>(frame.size()), frame.data(), M_NOWAIT), 0);
            }
        }
        return got;
    }
    std::unique_ptr<EspLane> lane_;
    Ring wire_;
    std::unique_ptr<Port> port_;
    std::map<const void*, Rule> rules_;
    std::map<const rte_mbuf*, const void*> told_;
};

class EspFrames : public EspProof {
  protected:
    void SetUp() override {
        EspProof::SetUp();
        nic_ = std::make_unique<Nic>();
    }
    void TearDown() override {
        nic_.reset();
        EspProof::TearDown();
    }
    Nic& nic() { return *nic_; }
    std::unique_ptr<SecuritySession> session_of(const SaTerms& terms, bool outbound) {
        const std::string key = key_for(terms.algorithm);
        auto made = SecuritySession::make(nic().port(), terms, {bytes_in(key), key.size()}, outbound);
        EXPECT_TRUE(made.ok()) << made.error().text;
        return std::move(made.value());
    }
    // by_wire - the packet in a frame, sent and received again, L2 taken off.
    Mbuf* by_wire(Mbuf* m) {
        m = m_prepend(m, kL2, M_NOWAIT);
        std::memset(m->data(), 0x22, kL2);
        m->rte.l2_len = kL2;
        EXPECT_TRUE(test::send(nic().eth(), m));
        Mbuf* back = test::receive(nic().eth());
        if (back != nullptr) m_adj(back, static_cast<int32_t>(kL2));
        return back;
    }
    // software - what the engine makes of it, by an SA of the same terms.
    std::string software(const SaTerms& terms, const std::string& packet) {
        const auto sa = of_engine(terms);
        Mbuf* m = cut_up(packet, {});
        EXPECT_TRUE(output(*sa, m).ok());
        std::string esp = bytes_of(m);
        m_freem(m);
        return esp;
    }
    static SaTerms terms(const char* algorithm, bool outer_v6 = false) {
        SaTerms t = terms_of(algorithm, SaMode::tunnel, outer_v6);
        t.seq_floor = 6;
        return t;
    }

  private:
    std::unique_ptr<Nic> nic_;
};

TEST_P(EspFrames, WhatTheNicSendsIsWhatTheEngineWouldHaveSentAndNothingElseIsWritten) {
    std::mt19937_64 random(seed());
    int turns = 0;
    for (const char* name : {"aes-gcm-128", "aes-gcm-256"})
        for (size_t kind = 0; kind < kStorages; ++kind)
            for (const size_t data : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{37}, size_t{1400}, size_t{9000}}) {
                const bool outer_v6 = random() % 2 != 0, inner_v6 = random() % 2 != 0;
                SaTerms t = terms(name, outer_v6);
                t.outer.df = random() % 2 != 0 ? DfRule::clear : DfRule::copy;  // an IP ID of our own, or none
                const auto sa = of_engine(t);
                const auto session = session_of(t, true);
                const std::string packet = udp_packet({.v6 = inner_v6, .tos = 0xb9}, data, 3);
                const std::string where = std::string(name) + ", storage " + std::to_string(kind) + ", " + std::to_string(data);
                const size_t head = random() % 2 == 0 ? 0 : random() % packet.size(), cut = random() % packet.size();
                Source source(packet, head, {cut, 0}, {static_cast<Storage>(kind)});
                ASSERT_TRUE(security_output(*session, *sa, source.m, 0).ok()) << where;
                EXPECT_EQ(m_sanity(source.m), std::nullopt) << where;
                ASSERT_NE(source.m->rte.ol_flags & RTE_MBUF_F_TX_SEC_OFFLOAD, 0u);
                const std::string plain = bytes_of(source.m);
                EXPECT_NE(plain.find(packet), std::string::npos) << where << ": the text goes to the NIC as it is";
                Mbuf* wire = by_wire(std::exchange(source.m, nullptr));
                ASSERT_NE(wire, nullptr) << where;
                EXPECT_EQ(differs(bytes_of(wire), software(t, packet)), std::string::npos) << where;
                source.expect_untouched(where);
                EXPECT_EQ(sa->sequence.last(), 7u);
                EXPECT_EQ(sa->counters.packets.read(), 1u);
                m_freem(wire);
                ++turns;
            }
    EXPECT_EQ(StandIn::packets, turns) << "the driver is told of each";
}

TEST_P(EspFrames, WhatTheNicOpenedIsJudgedByOurRules) {
    for (const bool outer_v6 : {false, true}) {
        const SaTerms t = terms("aes-gcm-256", outer_v6);
        const auto sa = of_engine(t);
        const auto session = session_of(t, false);
        const std::string packet = udp_packet({.v6 = !outer_v6}, 333), esp = software(t, packet);
        const auto arrives = [&](const std::string& bytes) {
            Mbuf* m = by_wire(cut_up(bytes, {}));
            EXPECT_TRUE(m != nullptr && security_seen(m));
            return m;
        };
        std::string forged = esp;
        forged[esp.size() - 20] = static_cast<char>(forged[esp.size() - 20] ^ 1);
        Mbuf* m = arrives(forged);
        EXPECT_EQ(security_input(*sa, m, 0).why, Xfrm::in_proto);
        EXPECT_EQ(sa->counters.bad_icv.read(), 1u);
        m_freem(m);

        m = arrives(esp);
        ASSERT_TRUE(security_input(*sa, m, 0).ok());
        EXPECT_EQ(differs(bytes_of(m), packet), std::string::npos);
        EXPECT_FALSE(security_seen(m)) << "the flag is about the packet around it";
        EXPECT_EQ(m_sanity(m), std::nullopt);
        m_freem(m);

        m = arrives(esp);
        EXPECT_EQ(security_input(*sa, m, 0).why, Xfrm::in_seq) << "a replay, whatever the NIC says";
        EXPECT_EQ(sa->counters.replayed.read(), 1u);
        m_freem(m);
    }
}

// What is authentic, and not what a sender writes. `text` is what was encrypted.
TEST_P(EspFrames, PaddingModesDummiesAndMarksAreLookedAt) {
    struct Case {
        const char* what;
        std::string text;
        uint8_t outer_tos;
        Xfrm why;
    };
    const std::string packet = udp_packet({}, 30), marked = udp_packet({.tos = 1}, 30);  // 58 bytes
    const std::string v6 = udp_packet({.v6 = true}, 30);                                  // 78
    const auto with = [](const std::string& p, std::initializer_list<int> tail) {
        std::string s = p;
        for (const int b : tail) s += static_cast<char>(b);
        return s;
    };
    const Case cases[] = {{"right", with(packet, {0, 4}), 0, Xfrm::ok},
                          {"padded for traffic flow confidentiality", with(packet, {9, 9, 9, 9, 0, 4}), 0, Xfrm::ok},
                          {"padding that is not 1, 2, 3, 4", with(packet, {1, 2, 4, 4, 4, 4}), 0, Xfrm::in_proto},
                          {"more padding than there is", with(packet, {255, 4}), 0, Xfrm::in_proto},
                          {"a dummy", with(packet, {0, 59}), 0, Xfrm::in_dummy},
                          {"no tunnel", with(packet, {0, 17}), 0, Xfrm::in_mode},
                          {"IPv6 that says it is IPv4", with(v6, {0, 4}), 0, Xfrm::in_mode},
                          {"a packet that says it is longer", with(packet.substr(0, 54), {0, 4}), 0, Xfrm::in_header},
                          {"congestion that the packet cannot say", with(packet, {0, 4}), 3, Xfrm::in_ecn},
                          {"congestion that it can", with(marked, {0, 4}), 3, Xfrm::ok}};
    for (const Case& c : cases) {
        SaTerms t = terms("aes-gcm-128");
        const auto sa = of_engine(t), plain = sa_of(t), other = of_engine(t);
        const auto session = session_of(t, false);
        std::string text = c.text;
        while (text.size() % 4 != 0) text.insert(text.size() - 2, 1, '\0');  // of the packet's end: TFC
        const std::string outer = ip_header({.tos = c.outer_tos, .proto = kProtoEsp}, 16 + text.size() + 16);
        const std::string esp = sealed(*plain, 9, outer, text, iv8(9));
        Mbuf* m = by_wire(cut_up(esp, {}));
        ASSERT_TRUE(m != nullptr && security_seen(m)) << c.what;
        Mbuf* held = m_copypacket(m, M_NOWAIT);
        const std::string seen = bytes_of(held);
        const EspFate fate = security_input(*sa, m, 0);
        EXPECT_EQ(bytes_of(held), seen) << c.what;
        if (!fate.ok()) { EXPECT_EQ(bytes_of(m), seen) << c.what; }
        m_freem(held);
        Mbuf* by_engine = cut_up(esp, {});
        const EspFate software = input(*other, by_engine);
        EXPECT_EQ(fate.why, c.why) << c.what << ": " << name_of(fate.why);
        EXPECT_EQ(software.why, c.why) << c.what << ", by the engine: " << name_of(software.why);
        if (fate.ok() && software.ok()) { EXPECT_EQ(bytes_of(m), bytes_of(by_engine)) << c.what; }
        if (!fate.ok()) { EXPECT_EQ(sa->counters.refused.of(c.why), 1u) << c.what; }
        EXPECT_EQ(sa->window.top(), 9u) << c.what << ": it was authentic";
        m_freem(m);
        m_freem(by_engine);
    }
}

TEST_P(EspFrames, WhatTheNicDidNotLookAtGoesByTheEngineOfTheSameSa) {
    const SaTerms t = terms("aes-gcm-128");
    const auto sa = of_engine(t);
    const std::string first = udp_packet({}, 100, 1), second = udp_packet({}, 100, 2);
    SaTerms later = t;
    later.seq_floor = 7;
    Mbuf* m = by_wire(cut_up(software(t, first), {}));
    ASSERT_FALSE(security_seen(m)) << "there is no rule yet";
    ASSERT_TRUE(input(*sa, m).ok());
    EXPECT_EQ(bytes_of(m), first);
    m_freem(m);
    const auto session = session_of(t, false);
    m = by_wire(cut_up(software(later, second), {}));
    ASSERT_TRUE(security_input(*sa, m, 0).ok()) << "one window";
    EXPECT_EQ(bytes_of(m), second);
    m_freem(m);
    m = by_wire(cut_up(software(t, first), {}));
    EXPECT_EQ(security_input(*sa, m, 0).why, Xfrm::in_seq);
    m_freem(m);
}

TEST_P(EspFrames, WhatIsRefusedIsTheCallersAsItWas) {
    const std::string packet = udp_packet({}, 200);
    const auto refused = [&](const SaTerms& session_terms, const SaTerms& t, const std::string& bytes, const std::function<void(Mbuf*)>& change, int error, uint64_t used) {
        const auto sa = of_engine(t);
        const auto session = session_of(session_terms, true);
        Source source(bytes, 44, {50, 0, 60}, {Storage::shared, Storage::cache});
        change(source.m);
        const std::vector<uint32_t> before = levels();
        const uint64_t flags = source.m->rte.ol_flags;
        const EspFate fate = security_output(*session, *sa, source.m, 0);
        EXPECT_EQ(fate.why, Xfrm::out_error);
        EXPECT_EQ(fate.error, error);
        EXPECT_EQ(sa->sequence.last(), t.seq_floor + used);
        EXPECT_EQ(sa->counters.packets.read(), 0u);
        EXPECT_EQ(sa->counters.refused.of(Xfrm::out_error), 1u);
        alloc_faults_arm(0);
        EXPECT_EQ(levels(), before);
        EXPECT_EQ(source.m->rte.ol_flags, flags);
        source.expect_refused("refused with " + std::to_string(error));
    };
    const SaTerms t = terms("aes-gcm-128");
    const auto as_it_is = [](Mbuf*) {};
    refused(t, t, packet, [](Mbuf*) { alloc_faults_arm(1); }, ENOBUFS, 0);
    refused(t, t, packet, [](Mbuf*) { alloc_faults_arm(2); }, ENOBUFS, 0);
    refused(t, t, packet, [](Mbuf* m) { m->rte.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV4; }, EOPNOTSUPP, 0);
    refused(t, t, packet + "behind it", as_it_is, EOPNOTSUPP, 0);
    refused(t, t, udp_packet({}, 65535 - 28 - 40), as_it_is, EMSGSIZE, 0);
    SaTerms other = t;
    other.esn = true;
    refused(t, other, packet, as_it_is, EOPNOTSUPP, 0);
    other = t;
    other.udp = true;
    refused(t, other, packet, as_it_is, EOPNOTSUPP, 0);
    refused(t, terms_of("aes-gcm-128", SaMode::transport), packet, as_it_is, EOPNOTSUPP, 0);
    refused(t, terms_of("chacha20-poly1305"), packet, as_it_is, EOPNOTSUPP, 0);
    nic().refuses = true;
    refused(t, t, packet, as_it_is, EIO, 1);
}

INSTANTIATE_TEST_SUITE_P(Engine, EspFrames, ::testing::Values("ipsec-mb"), test_name);

}  // namespace
}  // namespace umbuf::test
