// SPDX-License-Identifier: BSD-2-Clause
// esp_flight_test.cc - packets between submit and reap: order, back-pressure, SAs that go, lanes that close.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

// late_engine - IPsec-MB behind a queue: a stand-in for a device. It looks at a job's key when it takes it,
// like a device's driver (J4), and at the bytes when it is told to work.
struct Held {
    Job* job;
    Secret key;
};
struct Late {
    std::deque<Held> queue;
    size_t room = 1000;       // jobs
    size_t work = SIZE_MAX;   // jobs that the next reap does
    bool backwards = false;   // the last first
    size_t fail_every = 0;
    uint64_t seen = 0;
};
Late late;

uint16_t late_submit(EngineLane&, Job* jobs, uint16_t n) noexcept {
    uint16_t taken = 0;
    for (; taken < n && late.queue.size() < late.room; ++taken) {
        const std::span<const std::byte> key{jobs[taken].key, ipsec_mb_engine.key_bytes({})};
        late.queue.push_back({&jobs[taken], std::move(Secret::copy(key).value())});
    }
    return taken;
}
uint16_t late_reap(EngineLane& lane, uint16_t most) noexcept {
    uint16_t n = 0;
    for (; n < most && late.work > 0 && !late.queue.empty(); ++n, --late.work) {
        Held held = std::move(late.backwards ? late.queue.back() : late.queue.front());
        late.backwards ? late.queue.pop_back() : late.queue.pop_front();
        held.job->key = held.key.data();
        ipsec_mb_engine.run(lane, held.job, 1);
        held.job->failed = late.fail_every != 0 && ++late.seen % late.fail_every == 0;
        held.job->authentic = held.job->authentic && !held.job->failed;
        held.job->done = true;
    }
    return n;
}
Engine make_late() {
    Engine e = ipsec_mb_engine;
    e.name = "late";
    e.submit = late_submit;
    e.reap = late_reap;
    e.close = [](EngineLane* lane) noexcept {
        late.queue.clear();
        ipsec_mb_engine.close(lane);
    };
    return e;
}
const Engine late_engine = make_late();

// Sad - SAs by id; the tests take them away.
struct Sad final : SaResolver {
    std::map<std::pair<uint32_t, uint32_t>, Sa*> known;
    Sa* resolve(uint32_t id, uint32_t generation) noexcept override {
        const auto found = known.find({id, generation});
        return found == known.end() ? nullptr : found->second;
    }
    Sa* add(Sa* sa) { return known[{sa->terms.id, sa->terms.generation}] = sa; }
    void take(const Sa* sa) { known.erase({sa->terms.id, sa->terms.generation}); }
};

class EspFlight : public EspTest, public ::testing::WithParamInterface<const Engine*> {
  protected:
    void SetUp() override {
        EspTest::SetUp();
        late = {};
        open_lane(*GetParam());
    }
    void open_lane(const Engine& engine) { flight_ = std::move(EspLane::make(engine, 0, &sad_).value()); }
    void TearDown() override {
        flight_.reset();
        late = {};
        EspTest::TearDown();
    }
    EspLane& flight() { return *flight_; }
    Sad& sad() { return sad_; }
    std::unique_ptr<Sa> add_sa(const std::string& algorithm, uint32_t id, uint32_t generation = 1, bool out = true) {
        SaTerms terms = terms_of(algorithm);
        terms.id = id;
        terms.generation = generation;
        std::unique_ptr<Sa> sa = sa_of(terms, *GetParam());
        if (out) sad_.add(sa.get());
        return sa;
    }
    template <class Submit>
    EspFate one(Submit submit, Sa& sa, Mbuf* m, uint64_t tag) {
        Sa* sas[] = {&sa};
        EspFate fate;
        const uint16_t taken = submit(flight(), sas, &m, &tag, &fate, 1);
        EXPECT_EQ(taken, fate.ok() ? 1 : 0);
        return fate;
    }
    EspFate out(Sa& sa, Mbuf* m, uint64_t tag = 0) { return one(esp_submit_output, sa, m, tag); }
    EspFate in(Sa& sa, Mbuf* m, uint64_t tag = 0) { return one(esp_submit_input, sa, m, tag); }
    std::vector<EspDone> reap(uint16_t most = 1000) {
        std::vector<EspDone> done(most);
        done.resize(esp_reap(flight(), done.data(), most));
        return done;
    }

  private:
    Sad sad_;
    std::unique_ptr<EspLane> flight_;
};

INSTANTIATE_TEST_SUITE_P(Engines, EspFlight, ::testing::Values(&ipsec_mb_engine, &late_engine),
                         [](const auto& p) { return std::string(p.param == &late_engine ? "late" : "synchronous"); });
// Where only a device can be late.
class EspDevice : public EspFlight {};
INSTANTIATE_TEST_SUITE_P(Engines, EspDevice, ::testing::Values(&late_engine), [](const auto&) { return std::string("late"); });

// Random bursts both ways on one lane, a device that does as much as it likes, in any order: what comes out
// is what a synchronous peer understands, in the order in which it went in, each with its tag.
TEST_P(EspFlight, PacketsComeBackOnceInOrderWithTheirTags) {
    std::mt19937_64 random(seed());
    const auto sa = add_sa("aes-gcm-128", 1), peer = sa_of(sa->terms), back = add_sa("aes-cbc-128+hmac-sha256", 2);
    const auto sender = sa_of(back->terms);
    std::deque<std::pair<uint64_t, std::string>> expected;
    uint64_t tag = 0, returned = 0;
    for (int round = 0; round < 60 || !expected.empty(); ++round) {
        late.room = random() % 70;
        late.work = random() % 50;
        late.backwards = random() % 2 == 0;
        for (size_t i = round < 60 ? random() % 24 : 0; i > 0; --i, ++tag) {
            const std::string packet = udp_packet({}, random() % 700, static_cast<uint32_t>(tag));
            Mbuf* m = cut_up(packet, {28, random() % 40, 0});
            const bool encrypt = random() % 2 == 0;
            if (!encrypt) {
                ASSERT_TRUE(EspTest::out(*sender, m).ok());
            }
            const EspFate fate = encrypt ? out(*sa, m, tag) : in(*back, m, tag);
            if (fate.ok()) {
                expected.emplace_back(tag, packet);
            } else {
                ASSERT_EQ(fate.error, EAGAIN);
                m_freem(m);
            }
        }
        for (const EspDone& done : reap(static_cast<uint16_t>(random() % 60))) {
            ASSERT_FALSE(expected.empty());
            ASSERT_TRUE(done.fate.ok()) << name_of(done.fate.why);
            ASSERT_EQ(done.tag, expected.front().first);
            Mbuf* m = done.packet;
            if (done.sa == sa.get()) {
                ASSERT_TRUE(EspTest::in(*peer, m).ok());
            }
            ASSERT_EQ(bytes_of(m), expected.front().second);
            expected.pop_front();
            m_freem(m);
            ++returned;
        }
        ASSERT_EQ(esp_in_flight(flight()), expected.size());
    }
    EXPECT_GT(returned, 300u);
    EXPECT_EQ(flight().counters.of(Xfrm::ok), returned);
}

// A device that takes nothing: packets wait, as many as the lane has room for; then they are refused, and
// have used no number. All come back when it works again.
TEST_P(EspDevice, AFullDeviceMakesPacketsWaitAndThenRefusesThem) {
    const auto sa = add_sa("aes-gcm-128", 1);
    late.room = 5;
    late.work = 0;
    constexpr uint32_t kMost = kEspFlights * kEspBurst;
    for (uint32_t i = 0; i < kMost; ++i) ASSERT_TRUE(out(*sa, clustered(udp_packet({}, 40)), i).ok()) << i;
    EXPECT_EQ(late.queue.size(), 5u);
    Mbuf* m = clustered(udp_packet({}, 40));
    const EspFate fate = out(*sa, m);
    EXPECT_EQ(fate.why, Xfrm::out_error);
    EXPECT_EQ(fate.error, EAGAIN);
    EXPECT_EQ(flight().counters.of(Xfrm::out_error), 1u);
    EXPECT_EQ(sa->counters.refused.of(Xfrm::out_error), 1u);
    EXPECT_EQ(sa->sequence.last(), kMost);
    EXPECT_TRUE(reap().empty());
    m_freem(m);
    uint64_t tag = 0;
    while (esp_in_flight(flight()) > 0) {
        late.work = SIZE_MAX;
        for (const EspDone& done : reap()) {
            EXPECT_TRUE(done.fate.ok());
            EXPECT_EQ(done.tag, tag++);
            EXPECT_EQ(bytes_of(done.packet).substr(24, 4), be32(static_cast<uint32_t>(tag)));
            m_freem(done.packet);
        }
    }
    EXPECT_EQ(tag, kMost);
}

// R29, R31: the SA is told to go while its packets are with the device. They are not let through; they are
// counted; and the SA is as it was, down to its window and its numbers.
TEST_P(EspFlight, APacketWhoseSaIsGoneIsNotLetThroughAndTheSaIsNotTouched) {
    const auto sa = add_sa("aes-gcm-128", 1), back = add_sa("aes-gcm-256", 2);
    const auto sender = sa_of(back->terms);
    const std::string packet = udp_packet({}, 100);
    Mbuf* m = clustered(packet);
    ASSERT_TRUE(EspTest::out(*sender, m).ok());
    const std::string esp = bytes_of(m);
    ASSERT_TRUE(in(*back, m, 1).ok());
    ASSERT_TRUE(out(*sa, clustered(packet), 2).ok());
    sad().take(sa.get());
    sad().take(back.get());
    // Another one has the id now: what tells is the generation (A3).
    const auto other = add_sa("aes-gcm-128", 1, 2), other_back = add_sa("aes-gcm-256", 2, 2);
    const uint64_t packets = sa->counters.packets.read();
    const std::vector<EspDone> done = reap();
    ASSERT_EQ(done.size(), 2u);
    EXPECT_EQ(done[0].fate.why, Xfrm::in_state);
    EXPECT_EQ(done[1].fate.why, Xfrm::out_state);
    EXPECT_EQ(bytes_of(done[0].packet), esp);
    EXPECT_EQ(bytes_of(done[1].packet), packet);
    for (const EspDone& d : done) {
        EXPECT_EQ(d.sa, nullptr);
        m_freem(d.packet);
    }
    EXPECT_EQ(back->counters.packets.read(), 0u);
    EXPECT_TRUE(back->window.check(1)) << "its number was not marked";
    EXPECT_EQ(sa->counters.packets.read(), packets);
    for (const Sa* s : {sa.get(), back.get(), other.get(), other_back.get()})
        for (const Xfrm why : {Xfrm::in_state, Xfrm::out_state}) EXPECT_EQ(s->counters.refused.of(why), 0u);
    EXPECT_EQ(other->counters.packets.read() + other_back->counters.packets.read(), 0u);
    EXPECT_EQ(flight().counters.of(Xfrm::in_state), 1u);
    EXPECT_EQ(flight().counters.of(Xfrm::out_state), 1u);
}

// The same with SAs whose memory is gone, keys and all; and with packets that the device had not taken yet,
// which would be handed over with a dead key.
TEST_P(EspDevice, WhatWaitedWhileItsSaWentIsNeverHandedOver) {
    auto sa = add_sa("aes-gcm-128", 1);
    const auto stays = add_sa("aes-cbc-256+hmac-sha512", 2);
    late.room = 1;
    late.work = 0;
    for (uint64_t i = 0; i < 9; ++i) ASSERT_TRUE(out(i % 3 == 2 ? *stays : *sa, clustered(udp_packet({}, 60)), i).ok());
    sad().take(sa.get());
    sa.reset();
    late.room = 1000;
    late.work = SIZE_MAX;
    std::vector<EspDone> done;
    while (esp_in_flight(flight()) > 0) {
        for (const EspDone& d : reap()) done.push_back(d);
        late.work = SIZE_MAX;
    }
    ASSERT_EQ(done.size(), 9u);
    for (uint64_t i = 0; i < 9; ++i) {
        EXPECT_EQ(done[i].tag, i);
        EXPECT_EQ(done[i].fate.why, i % 3 == 2 ? Xfrm::ok : Xfrm::out_state);
        m_freem(done[i].packet);
    }
    EXPECT_EQ(flight().counters.of(Xfrm::out_state), 6u);
}

TEST_P(EspFlight, ALaneThatClosesWithPacketsInFlightLeavesNothingBehind) {
    const auto sa = add_sa("aes-gcm-128", 1);
    late.room = 3;
    late.work = 0;
    for (uint32_t i = 0; i < 40; ++i) {
        Mbuf* m = i % 2 == 0 ? paged(PageClass::anonymous, udp_packet({}, 5000, i), 28) : cut_up(udp_packet({}, 500, i), {28, 3});
        ASSERT_TRUE(out(*sa, m).ok());
    }
    EXPECT_EQ(esp_in_flight(flight()), 40u);
    open_lane(*GetParam());
    EXPECT_EQ(esp_in_flight(flight()), 0u);
}

TEST_P(EspDevice, WhatTheDeviceCouldNotDoIsReturnedAsItWas) {
    const auto sa = add_sa("aes-gcm-128", 1), back = add_sa("aes-gcm-128", 2);
    const auto sender = sa_of(back->terms);
    late.fail_every = 1;
    const std::string packet = udp_packet({}, 300);
    Mbuf* m = clustered(packet);
    ASSERT_TRUE(EspTest::out(*sender, m).ok());
    const std::string esp = bytes_of(m);
    ASSERT_TRUE(in(*back, m).ok());
    ASSERT_TRUE(out(*sa, clustered(packet)).ok());
    const std::vector<EspDone> done = reap();
    ASSERT_EQ(done.size(), 2u);
    EXPECT_EQ(done[0].fate.why, Xfrm::in_error);
    EXPECT_EQ(done[1].fate.why, Xfrm::out_error);
    for (const EspDone& d : done) EXPECT_EQ(d.fate.error, EIO);
    EXPECT_EQ(bytes_of(done[0].packet), esp);
    EXPECT_EQ(bytes_of(done[1].packet), packet);
    EXPECT_EQ(back->counters.bad_icv.read(), 0u) << "nothing is known about the ICV";
    EXPECT_TRUE(back->window.check(1));
    for (const EspDone& d : done) m_freem(d.packet);
}

// E-4 across time: two copies in flight at once.
TEST_P(EspFlight, TwoCopiesInFlightAreOnePacketAndOneReplay) {
    const auto back = add_sa("aes-gcm-128", 1), sender = sa_of(back->terms);
    Mbuf* m = clustered(udp_packet({}, 100));
    ASSERT_TRUE(EspTest::out(*sender, m).ok());
    Mbuf* copy = clustered(bytes_of(m));
    ASSERT_TRUE(in(*back, m).ok());
    ASSERT_TRUE(in(*back, copy).ok());
    const std::vector<EspDone> done = reap();
    ASSERT_EQ(done.size(), 2u);
    EXPECT_TRUE(done[0].fate.ok());
    EXPECT_EQ(done[1].fate.why, Xfrm::in_seq);
    for (const EspDone& d : done) m_freem(d.packet);
}

// Windows stay open as long as the device may read, and no longer.
class StrictEspDevice : public EspDevice {
  protected:
    void SetUp() override {
        ArenaConfig c = config();
        c.strict = true;
        open(c);
        make_lane();
        late = {};
        open_lane(*GetParam());
    }
};
INSTANTIATE_TEST_SUITE_P(Engines, StrictEspDevice, ::testing::Values(&late_engine), [](const auto&) { return std::string("late"); });

TEST_P(StrictEspDevice, WindowsAreOpenUntilTheDeviceIsDone) {
    const auto sa = add_sa("aes-gcm-128", 1), peer = sa_of(sa->terms);
    const std::string packet = udp_packet({}, 5000);
    late.work = 0;
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(out(*sa, paged(PageClass::cache, packet, 28)).ok());
    EXPECT_GE(page_counters().windows_now, 3u);
    EXPECT_TRUE(reap().empty());
    const uint64_t faults = faults_caught();
    late.work = 1;
    std::vector<EspDone> done = reap();
    ASSERT_EQ(done.size(), 1u);
    EXPECT_GE(page_counters().windows_now, 2u);
    late.work = 2;
    for (const EspDone& d : reap()) done.push_back(d);
    ASSERT_EQ(done.size(), 3u);
    EXPECT_EQ(page_counters().windows_now, 0u);
    EXPECT_EQ(faults_caught(), faults);
    for (EspDone& d : done) {
        ASSERT_TRUE(EspTest::in(*peer, d.packet).ok());
        EXPECT_EQ(bytes_of(d.packet), packet);
        m_freem(d.packet);
    }
}

}  // namespace
}  // namespace umbuf::test
