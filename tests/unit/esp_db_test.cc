// SPDX-License-Identifier: BSD-2-Clause
// esp_db_test.cc - policies, children and SAs together: what passes, by which way, and under which name not.
#include "lib/ipsec/ipsec_db.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/esp_readers.h"

namespace umbuf::test {
namespace {

// A database that is both ends of its tunnels: what goes out by an SA comes in by its twin.
class EspDb : public EspTest {
  protected:
    void SetUp() override {
        EspTest::SetUp();
        db_ = std::move(IpsecDb::make({.sas = 64, .children = 8}, ipsec_mb_engine, readers_.get()).value());
    }
    void TearDown() override {
        db_.reset();
        EspTest::TearDown();
    }
    IpsecDb& db() { return *db_; }

    static NewSa terms(uint32_t spi, ChildId child) { return new_sa(spi, child, address(false, 2)); }
    // pair - an inbound SA and the current outbound SA of a child.
    std::pair<SaId, SaId> pair(const NewSa& sa) {
        const Result<SaId> in = db().sad().add_in(sa);
        EXPECT_TRUE(in.ok()) << in.error().text;
        const Result<SaId> out = db().rekey_out(sa);
        EXPECT_TRUE(out.ok()) << out.error().text;
        return {in.value(), out.value()};
    }
    static Policy policy(Direction direction, Action action, uint16_t port, ChildId child = {}, bool v6 = false) {
        Policy p;
        p.direction = direction;
        p.action = action;
        p.child = child;
        p.selector.src = p.selector.dst = all_addresses(v6);
        p.selector.protocol = Look::value;
        p.selector.proto = kProtoUdp;
        p.selector.second = one_port(port);
        return p;
    }
    void publish(const std::vector<Policy>& policies) {
        const Status done = db().spd.publish(policies);
        ASSERT_TRUE(done.ok()) << done.error().text;
    }
    // both - the policy in both directions.
    void both(Action action, ChildId child = {}) { publish({policy(Direction::out, action, 2222, child), policy(Direction::in, action, 2222, child)}); }

    IpsecFate pass(bool in, Mbuf*& m) {
        IpsecFate fate;
        in ? ipsec_in(db(), lane(), &m, &fate, 1) : ipsec_out(db(), lane(), &m, &fate, 1);
        return fate;
    }
    // refusal - of one packet, which is as it was.
    Xfrm refusal(bool in, const std::string& bytes) {
        Mbuf* m = clustered(bytes);
        const uint64_t before = total();
        const IpsecFate fate = pass(in, m);
        EXPECT_EQ(fate.way, IpsecWay::refused);
        EXPECT_EQ(bytes_of(m), bytes);
        EXPECT_EQ(total(), before + 1) << "each refusal is counted once";
        m_freem(m);
        return fate.esp.why;
    }
    uint64_t total() {
        uint64_t sum = 0;
        for (size_t i = 1; i < kXfrms; ++i) sum += lane().counters.of(static_cast<Xfrm>(i));
        return sum;
    }
    const std::string packet = udp_packet({}, 60);
    Readers readers_;
    std::unique_ptr<IpsecDb> db_;
};

TEST_F(EspDb, OutboundPoliciesProtectBypassOrDiscard) {
    EXPECT_EQ(refusal(false, packet), Xfrm::out_blocked) << "no policy";
    both(Action::discard);
    EXPECT_EQ(refusal(false, packet), Xfrm::out_blocked);
    both(Action::bypass);
    Mbuf* m = clustered(packet);
    EXPECT_EQ(pass(false, m).way, IpsecWay::bypass);
    EXPECT_EQ(bytes_of(m), packet);
    m_freem(m);

    const ChildId child = db().children.add().value();
    both(Action::protect, child);
    EXPECT_EQ(refusal(false, packet), Xfrm::out_no_states);
    pair(terms(0x1000, child));
    m = clustered(packet);
    ASSERT_EQ(pass(false, m).way, IpsecWay::esp);
    EXPECT_EQ(esp_wire(m, 0).spi, 0x1000u);
    ASSERT_EQ(pass(true, m).way, IpsecWay::esp);
    EXPECT_EQ(bytes_of(m), packet);
    m_freem(m);
    ASSERT_TRUE(db().children.remove(child).ok());
    EXPECT_EQ(refusal(false, packet), Xfrm::out_bundle);
    EXPECT_EQ(refusal(false, "no packet"), Xfrm::out_header);
    EXPECT_STREQ(name_of(Xfrm::out_blocked), "XfrmOutPolBlock");
    EXPECT_STREQ(name_of(Xfrm::out_bundle), "XfrmOutBundleGenError");
}

TEST_F(EspDb, PlaintextThatMustBeProtectedIsDropped) {
    EXPECT_EQ(refusal(true, packet), Xfrm::in_no_policy);
    both(Action::discard);
    EXPECT_EQ(refusal(true, packet), Xfrm::in_blocked);
    both(Action::protect, db().children.add().value());
    EXPECT_EQ(refusal(true, packet), Xfrm::in_template);
    both(Action::bypass);
    Mbuf* m = clustered(packet);
    EXPECT_EQ(pass(true, m).way, IpsecWay::bypass);
    m_freem(m);
    EXPECT_EQ(refusal(true, "no packet"), Xfrm::in_header);
    EXPECT_STREQ(name_of(Xfrm::in_template), "XfrmInTmplMismatch");
}

// B2; RFC 4301, 5.2.
TEST_F(EspDb, WhatComesOutOfAnSaMustMatchThePolicyOfItsChild) {
    const ChildId mine = db().children.add().value(), other = db().children.add().value();
    const auto [in, out] = pair(terms(0x1000, mine));
    const auto arrives = [&](const std::vector<Policy>& inbound) {
        std::vector<Policy> policies = inbound;
        policies.push_back(policy(Direction::out, Action::protect, 2222, mine));
        publish(policies);
        Mbuf* m = clustered(packet);
        EXPECT_EQ(pass(false, m).way, IpsecWay::esp);
        const IpsecFate fate = pass(true, m);
        EXPECT_EQ(bytes_of(m), packet);
        m_freem(m);
        return fate.esp.why;
    };
    EXPECT_EQ(arrives({policy(Direction::in, Action::protect, 2222, mine)}), Xfrm::ok);
    EXPECT_EQ(arrives({policy(Direction::in, Action::protect, 2222, other)}), Xfrm::in_template) << "another's addresses";
    EXPECT_EQ(arrives({policy(Direction::in, Action::bypass, 2222)}), Xfrm::in_template) << "4301, 5.2: not in its SA's selectors";
    EXPECT_EQ(arrives({policy(Direction::in, Action::discard, 2222)}), Xfrm::in_blocked);
    EXPECT_EQ(arrives({policy(Direction::in, Action::protect, 2223, mine)}), Xfrm::in_no_policy);
    const Sa* sa = db().sad().resolve(in.id, in.generation);
    EXPECT_EQ(sa->counters.refused.of(Xfrm::in_template), 2u);
    EXPECT_EQ(sa->counters.packets.read(), 5u) << "they were authentic";
    (void)out;
}

TEST_F(EspDb, InboundSasAreFoundByWhatThePacketSays) {
    const ChildId child = db().children.add().value();
    both(Action::protect, child);
    const auto [in, out] = pair(terms(0x1000, child));
    Mbuf* m = clustered(packet);
    ASSERT_EQ(pass(false, m).way, IpsecWay::esp);
    std::string esp = bytes_of(m);
    m_freem(m);
    std::string elsewhere = esp;
    elsewhere[19] = '\x09';  // to another address
    ipv4_checksum(bytes_in(elsewhere), 20);
    EXPECT_EQ(refusal(true, elsewhere), Xfrm::in_no_states);
    std::string fragment = esp;
    fragment[6] = '\x20';
    EXPECT_EQ(refusal(true, fragment), Xfrm::in_header);
    ASSERT_TRUE(db().remove_sa(in).ok());
    EXPECT_EQ(refusal(true, esp), Xfrm::in_no_states);
    ASSERT_TRUE(db().remove_sa(out).ok());
    EXPECT_EQ(refusal(false, packet), Xfrm::out_no_states) << "the child has none any more";
}

TEST_F(EspDb, KeepalivesIkeAndFragmentsOfUdpAreToldFromEsp) {
    const auto datagram = [](const std::string& data) { return ip_packet({}, be16(500) + be16(4500) + be16(static_cast<uint32_t>(8 + data.size())) + be16(0) + data); };
    Mbuf* m = clustered(datagram("\xff"));
    EXPECT_EQ(pass(true, m).way, IpsecWay::keepalive);
    m_freem(m);
    const std::string ike = datagram(std::string(4, '\0') + "an IKE header");
    EXPECT_EQ(refusal(true, ike), Xfrm::in_no_policy) << "IKE needs its policy, too";
    publish({policy(Direction::in, Action::bypass, 4500)});
    m = clustered(ike);
    EXPECT_EQ(pass(true, m).way, IpsecWay::bypass);
    m_freem(m);
    std::string fragment = packet;
    fragment[6] = '\x20';
    publish({policy(Direction::in, Action::bypass, 2222)});
    m = clustered(fragment);
    EXPECT_EQ(pass(true, m).way, IpsecWay::bypass) << "plaintext fragments are the policy's affair";
    m_freem(m);
}

TEST_F(EspDb, ABurstIsSortedAndEachSaKeepsItsOrder) {
    std::mt19937_64 random(seed());
    const ChildId a = db().children.add().value(), b = db().children.add().value();
    pair(terms(0x1000, a));
    pair(terms(0x2000, b));
    std::vector<Policy> policies;
    for (const Direction d : {Direction::in, Direction::out}) {
        policies.push_back(policy(d, Action::protect, 1, a));
        policies.push_back(policy(d, Action::protect, 2, b));
        policies.push_back(policy(d, Action::bypass, 3));
    }
    publish(policies);
    constexpr uint16_t kPackets = 90;
    Mbuf* packets[kPackets];
    IpsecFate fates[kPackets];
    std::vector<std::string> sent;
    std::vector<int> port;
    for (uint16_t i = 0; i < kPackets; ++i) {
        port.push_back(static_cast<int>(random() % 4) + 1);
        sent.push_back(ip_packet({}, be16(7) + be16(static_cast<uint32_t>(port.back())) + be16(18) + be16(0) + be16(i) + "12345678"));
        packets[i] = i % 3 == 0 ? cut_up(sent.back(), {3, 0, 22, 1}) : clustered(sent.back());
    }
    ipsec_out(db(), lane(), packets, fates, kPackets);
    uint32_t next[3] = {0, 1, 1};
    for (uint16_t i = 0; i < kPackets; ++i) {
        const IpsecWay expected = port[i] == 4 ? IpsecWay::refused : port[i] == 3 ? IpsecWay::bypass : IpsecWay::esp;
        ASSERT_EQ(fates[i].way, expected) << i;
        if (expected != IpsecWay::esp) continue;
        std::byte seq[4];
        ASSERT_EQ(m_copydata(packets[i], 24, 4, seq), 0);
        EXPECT_EQ(load32(seq), next[port[i]]++) << "B3";
        EXPECT_EQ(esp_wire(packets[i], 0).spi, port[i] == 1 ? 0x1000u : 0x2000u);
    }
    ipsec_in(db(), lane(), packets, fates, kPackets);
    for (uint16_t i = 0; i < kPackets; ++i) {
        EXPECT_EQ(fates[i].way, port[i] == 4 ? IpsecWay::refused : port[i] == 3 ? IpsecWay::bypass : IpsecWay::esp) << i;
        EXPECT_EQ(bytes_of(packets[i]), sent[i]);
        m_freem(packets[i]);
    }
}

TEST_F(EspDb, WhatCannotBeReadIsRefusedAndCounted) {
    both(Action::bypass);
    for (const bool in : {false, true}) {
        Mbuf* m = headed(packet.substr(0, 28), mb_alloc_ext_pgs(PageClass::cache, 60, M_NOWAIT, "test"));
        const IpsecFate fate = pass(in, m);
        EXPECT_EQ(fate.way, IpsecWay::refused);
        EXPECT_EQ(fate.esp.why, in ? Xfrm::in_error : Xfrm::out_error);
        EXPECT_EQ(fate.esp.error, EBUSY);
        m_freem(m);
    }
}

TEST_F(EspDb, SoftLimitsAreToldAndHardOnesDrop) {
    const ChildId child = db().children.add().value();
    both(Action::protect, child);
    NewSa sa = terms(0x1000, child);
    sa.terms.soft = {.bytes = 0, .packets = 2, .seconds = 100};
    sa.terms.hard = {.bytes = 0, .packets = 4, .seconds = 200};
    const auto [in, out] = pair(sa);
    const auto tell = [&](uint64_t now) {
        const IpsecDb::Due due = db().due(now);
        return std::pair(due.soft.size(), due.hard.size());
    };
    const auto send = [&] {
        Mbuf* m = clustered(packet);
        const Xfrm why = pass(false, m).esp.why;
        m_freem(m);
        return why;
    };
    EXPECT_EQ(tell(99), std::pair(size_t{0}, size_t{0}));
    EXPECT_EQ(tell(100), std::pair(size_t{2}, size_t{0})) << "an idle SA has its time, too";
    EXPECT_EQ(tell(200), std::pair(size_t{0}, size_t{2}));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(send(), Xfrm::ok);
    EXPECT_EQ(db().due(0).soft, std::vector<SaId>{out});
    EXPECT_EQ(send(), Xfrm::ok);
    EXPECT_EQ(send(), Xfrm::out_expired);
    EXPECT_EQ(db().due(0).hard, std::vector<SaId>{out});
    EXPECT_TRUE(db().rekey_out(terms(0x1001, child)).ok());
    EXPECT_EQ(send(), Xfrm::ok);
    EXPECT_EQ(tell(0), std::pair(size_t{0}, size_t{0}));
    (void)in;
}

// With an engine that takes its time: who was on the way when its SA was rekeyed still finds it.
TEST_F(EspDb, ARetiredSaStaysUntilItsWorkIsDone) {
    readers_.enter(0);
    const ChildId child = db().children.add().value();
    const SaId was = db().rekey_out(terms(0x1000, child)).value();
    db().sad().begin_work(was.id, 1);
    const SaId is = db().rekey_out(terms(0x1001, child)).value();
    readers_.quiescent(0);
    EXPECT_EQ(db().collect(), 1u);
    ASSERT_NE(db().sad().resolve(was.id, was.generation), nullptr);
    EXPECT_TRUE(db().due(UINT64_MAX / 2).soft.empty());
    db().sad().end_work(was.id, 1);
    EXPECT_EQ(db().collect(), 1u);
    EXPECT_EQ(db().sad().resolve(was.id, was.generation), nullptr);
    readers_.quiescent(0);
    EXPECT_EQ(db().collect(), 0u);
    Sa* current = nullptr;
    EXPECT_TRUE(db().children.out(child, &current));
    EXPECT_EQ(id_of(*current), is);
    readers_.leave(0);
}

// slow_engine - takes jobs, and does them when it is reaped: a stand-in for a device, which has its own copy of
// the key (J4).
std::vector<std::pair<Job*, Secret>> with_the_device;
uint16_t slow_submit(EngineLane&, Job* jobs, uint16_t n) noexcept {
    for (uint16_t i = 0; i < n; ++i) {
        Secret key = std::move(Secret::copy({jobs[i].key, ipsec_mb_engine.key_bytes({})}).value());
        with_the_device.emplace_back(&jobs[i], std::move(key));
    }
    return n;
}
uint16_t slow_reap(EngineLane& lane, uint16_t) noexcept {
    const size_t n = with_the_device.size();
    for (auto& [job, key] : with_the_device) {
        job->key = key.data();
        ipsec_mb_engine.run(lane, job, 1);
        job->done = true;
    }
    with_the_device.clear();
    return static_cast<uint16_t>(n);
}
const Engine slow_engine = [] {
    Engine e = ipsec_mb_engine;
    e.name = "slow";
    e.submit = slow_submit;
    e.reap = slow_reap;
    return e;
}();

// R31: the database resolves completions. Removed, an SA's packets are counted and its memory, which is gone, is
// not touched; rekeyed, they are finished by it.
TEST_F(EspDb, R31_CompletionsFindARetiredSaAndNotARemovedOne) {
    readers_.enter(0);
    const auto slow_db = std::move(IpsecDb::make({.sas = 8, .children = 2}, slow_engine, readers_.get()).value());
    const auto slow = std::move(EspLane::make(slow_engine, 0, &slow_db->sad()).value());
    const ChildId child = slow_db->children.add().value();
    const auto fresh = [&](uint32_t spi) {
        NewSa sa = terms(spi, child);
        sa.engine = &slow_engine;
        return sa;
    };
    const auto submit = [&](SaId id) {
        Sa* sa = slow_db->sad().resolve(id.id, id.generation);
        Mbuf* m = clustered(packet);
        const uint64_t tag = id.id;
        EspFate fate;
        ASSERT_EQ(esp_submit_output(*slow, &sa, &m, &tag, &fate, 1), 1);
    };
    const auto reaped = [&] {
        EspDone done{};
        EXPECT_EQ(esp_reap(*slow, &done, 1), 1);
        m_freem(done.packet);
        return done;
    };
    const SaId removed = slow_db->rekey_out(fresh(0x1000)).value();
    submit(removed);
    ASSERT_TRUE(slow_db->remove_sa(removed).ok());
    readers_.quiescent(0);
    EXPECT_EQ(slow_db->collect(), 0u) << "freed";
    const EspDone late = reaped();
    EXPECT_EQ(late.fate.why, Xfrm::out_state);
    EXPECT_EQ(late.sa, nullptr);
    EXPECT_EQ(slow->counters.of(Xfrm::out_state), 1u);

    const SaId retired = slow_db->rekey_out(fresh(0x1001)).value();
    slow_db->sad().begin_work(retired.id, 1);
    submit(retired);
    ASSERT_TRUE(slow_db->rekey_out(fresh(0x1002)).ok());
    readers_.quiescent(0);
    EXPECT_EQ(slow_db->collect(), 1u);
    const EspDone good = reaped();
    EXPECT_TRUE(good.fate.ok());
    slow_db->sad().end_work(static_cast<uint32_t>(good.tag), 1);
    (void)slow_db->collect();
    readers_.quiescent(0);
    EXPECT_EQ(slow_db->collect(), 0u);
    readers_.leave(0);
}

uint64_t wiped = 0, not_zero = 0;  // control thread
void note_wiped(const std::byte* at, size_t bytes) noexcept {
    ++wiped;
    if (!std::all_of(at, at + bytes, [](std::byte b) { return b == std::byte{0}; })) ++not_zero;
}

// Goal: rekeying under load loses, doubles and reorders nothing, and touches no SA that has gone.
// Method: one lane sends numbered packets and opens what it sent a burst ago, across a quiescent state, as
// if it had been on the wire. The control thread rekeys whenever a soft limit is reached, hundreds of times,
// and removes the old inbound SA when the lane has gone round twice. Keys are pages of their own: who
// touches one that was freed dies.
TEST_F(EspDb, RekeysUnderLoadLoseNothing) {
    constexpr uint32_t kRekeys = 300;
    const ChildId child = db().children.add().value();
    both(Action::protect, child);
    uint32_t spi = 0x1000;
    const auto fresh = [&] {
        NewSa sa = terms(spi++, child);
        sa.terms.soft.packets = 20;
        return sa;
    };
    auto [in, out] = pair(fresh());
    std::atomic<bool> end{false};
    std::atomic<uint64_t> rounds{0}, received{0};
    uint64_t sent = 0, lost = 0, misordered = 0;
    const auto turn = [&](std::vector<Mbuf*>& wire) {
        uint64_t got = received.load();
        IpsecFate fates[kEspBurst];
        ipsec_in(db(), lane(), wire.data(), fates, static_cast<uint16_t>(wire.size()));
        for (size_t i = 0; i < wire.size(); ++i) {
            std::byte number[8];
            if (fates[i].way != IpsecWay::esp || m_copydata(wire[i], 28, 8, number) != 0)
                ++lost;
            else if ((uint64_t{load32(number)} << 32 | load32(number + 4)) != got)
                ++misordered;
            ++got;
            m_freem(wire[i]);
        }
        received.store(got);
        wire.clear();
    };
    std::jthread traffic([&] {
        ASSERT_EQ(rte_thread_register(), 0);
        readers_.enter(0);
        std::vector<Mbuf*> wire;
        while (!end.load()) {
            turn(wire);
            Mbuf* packets[8];
            IpsecFate fates[8];
            for (Mbuf*& m : packets) {
                m = clustered(ip_packet({}, be16(1) + be16(2222) + be16(40) + be16(0) + be32(0) + be32(static_cast<uint32_t>(sent++)) + pattern(24)));
            }
            ipsec_out(db(), lane(), packets, fates, 8);
            for (size_t i = 0; i < 8; ++i) {
                if (fates[i].way != IpsecWay::esp) ++lost;
                wire.push_back(packets[i]);
            }
            readers_.quiescent(0);
            rounds.fetch_add(1);
            sched_yield();
        }
        turn(wire);
        readers_.leave(0);
        rte_thread_unregister();
    });
    wiped = not_zero = 0;
    secret_is_wiped = note_wiped;
    for (uint32_t n = 0; n < kRekeys; ++n) {
        for (bool wanted = false; !wanted; sched_yield())
            for (const SaId id : db().due(0).soft) wanted = wanted || id == out;
        const NewSa next = fresh();
        const SaId in_was = in;
        in = db().sad().add_in(next).value();  // first, so that the peer may use it at once
        out = db().rekey_out(next).value();
        const uint64_t then = rounds.load();
        while (rounds.load() < then + 3) sched_yield();
        ASSERT_TRUE(db().remove_sa(in_was).ok());
        db().collect();
    }
    end.store(true);
    traffic.join();
    EXPECT_EQ(db().collect(), 0u);
    secret_is_wiped = nullptr;
    EXPECT_EQ(lost, 0u);
    EXPECT_EQ(misordered, 0u);
    EXPECT_EQ(received.load(), sent);
    EXPECT_EQ(wiped, 2u * kRekeys) << "A4: each key that went";
    EXPECT_EQ(not_zero, 0u);
    EXPECT_EQ(db().sad().sas().size(), 2u);
}

}  // namespace
}  // namespace umbuf::test
