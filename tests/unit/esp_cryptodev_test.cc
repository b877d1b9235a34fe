// SPDX-License-Identifier: BSD-2-Clause
// esp_cryptodev_test.cc - ESP through DPDK's crypto devices, with IPsec-MB, called directly, as the peer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <random>

#include <rte_cryptodev.h>
#include <rte_mempool.h>

#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

struct OneSad final : SaResolver {
    Sa* sa = nullptr;
    Sa* resolve(uint32_t id, uint32_t) noexcept override { return sa != nullptr && id == sa->terms.id ? sa : nullptr; }
};

class EspCryptodev : public EspTest, public ::testing::WithParamInterface<const char*> {
  protected:
    void SetUp() override {
        EspTest::SetUp();
        engine_ = engine_named(GetParam());
        ASSERT_NE(engine_, nullptr);
        open_lane();
    }
    void open_lane() { device_ = std::move(EspLane::make(*engine_, 0, &sad_).value()); }
    void TearDown() override {
        device_.reset();
        EspTest::TearDown();
    }
    const Engine& engine() { return *engine_; }
    EspLane& device() { return *device_; }
    OneSad& sad() { return sad_; }
    std::unique_ptr<Sa> theirs(const SaTerms& terms) { return sa_of(terms, *engine_); }
    // through - one packet, at once.
    template <class Verb>
    EspFate through(Verb verb, Sa& sa, Mbuf*& m) {
        EspFate fate;
        Sa* sas[] = {&sa};
        (void)verb(*device_, sas, &m, &fate, 1);
        return fate;
    }
    EspFate submit(Sa& sa, Mbuf* m, uint64_t tag, bool encrypt = true) {
        Sa* sas[] = {&sa};
        EspFate fate;
        (void)(encrypt ? esp_submit_output : esp_submit_input)(*device_, sas, &m, &tag, &fate, 1);
        return fate;
    }

  private:
    OneSad sad_;
    const Engine* engine_ = nullptr;
    std::unique_ptr<EspLane> device_;
};
INSTANTIATE_TEST_SUITE_P(Devices, EspCryptodev, ::testing::ValuesIn(kDevices), test_name);

// A packet to be, in one of the shapes that a source can have; its bytes are `packet`.
Mbuf* shaped(int shape, const std::string& packet) {
    switch (shape) {
    case 0: return clustered(packet);
    case 1: return cut_up(packet, {28, 0, 1, 17});
    case 2: return paged(PageClass::cache, packet, 28);
    case 3: return paged(PageClass::anonymous, packet, 20);
    default: return cut_up(packet, std::vector<size_t>(40, 3));  // more mbufs than a device is shown
    }
}

// Every algorithm, ESN and not, from every kind of source, both ways, against the other engine. The source is
// also seen by a copy, which says afterwards what it said before (J1, R01): a page would fault.
TEST_P(EspCryptodev, AgreesWithIpsecMbAndNeverWritesItsSource) {
    const uint64_t faults = faults_caught();
    int turn = 0;
    for (const std::string& name : algorithms_of(engine()))
        for (const bool esn : {false, true}) {
            SaTerms terms = terms_of(name, turn % 3 == 0 ? SaMode::transport : SaMode::tunnel);
            terms.esn = esn;
            const auto out_device = theirs(terms), in_device = theirs(terms), out_mb = sa_of(terms), in_mb = sa_of(terms);
            for (int shape = 0; shape < 5; ++shape, ++turn) {
                const std::string packet = udp_packet({}, static_cast<size_t>(200 + 131 * (turn % 11)), static_cast<uint32_t>(turn));
                Mbuf* m = shaped(shape, packet);
                Mbuf* copy = m_copypacket(m, M_NOWAIT);
                ASSERT_TRUE(through(esp_output, *out_device, m).ok()) << name << ", shape " << shape;
                ASSERT_EQ(m_sanity(m), std::nullopt);
                EXPECT_EQ(bytes_of(copy), packet) << name << ", shape " << shape;
                m_freem(copy);
                ASSERT_TRUE(in(*in_mb, m).ok()) << name << ", shape " << shape << (esn ? ", ESN" : "");
                ASSERT_EQ(differs(bytes_of(m), packet), std::string::npos) << name << ", shape " << shape;
                ASSERT_TRUE(out(*out_mb, m).ok());
                const std::string esp = bytes_of(m);
                m_freem(m);
                m = shaped(shape, esp);
                copy = m_copypacket(m, M_NOWAIT);
                const EspFate fate = through(esp_input, *in_device, m);
                ASSERT_TRUE(fate.ok()) << name << ", shape " << shape << (esn ? ", ESN: " : ": ") << name_of(fate.why);
                EXPECT_EQ(differs(bytes_of(m), packet), std::string::npos) << name << ", shape " << shape;
                EXPECT_EQ(bytes_of(copy), esp) << name << ", shape " << shape;
                m_freem(copy);
                m_freem(m);
            }
        }
    EXPECT_EQ(faults_caught(), faults);
}

// Bursts in flight both ways, every algorithm, sizes up to the largest: what comes out is right and in order.
TEST_P(EspCryptodev, BurstsInFlightComeBackInOrderAndRight) {
    std::mt19937_64 random(seed());
    for (const std::string& name : algorithms_of(engine())) {
        SaTerms terms = terms_of(name);
        terms.esn = random() % 2 == 0;
        const auto sa = theirs(terms), peer = sa_of(terms);
        sad().sa = sa.get();
        std::vector<std::string> said;
        uint64_t back = 0;
        while (back < 24) {
            for (size_t i = random() % 40; i > 0; --i) {
                const size_t data = random() % 29 == 0 ? 30000 + random() % 30000 : random() % 1500;
                const std::string packet = udp_packet({}, data, static_cast<uint32_t>(said.size()));
                Mbuf* m = cut_up(packet, {28, random() % 100});
                const EspFate fate = submit(*sa, m, said.size());
                if (fate.ok()) {
                    said.push_back(packet);
                } else {
                    ASSERT_EQ(fate.error, EAGAIN);
                    m_freem(m);
                }
            }
            EspDone done[64];
            const uint16_t n = esp_reap(device(), done, static_cast<uint16_t>(random() % 64));
            for (uint16_t i = 0; i < n; ++i, ++back) {
                ASSERT_TRUE(done[i].fate.ok());
                ASSERT_EQ(done[i].tag, back);
                Mbuf* m = done[i].packet;
                ASSERT_TRUE(in(*peer, m).ok()) << name;
                ASSERT_EQ(differs(bytes_of(m), said[back]), std::string::npos) << name;
                m_freem(m);
            }
        }
        open_lane();  // with what is left in flight
    }
}

// session_pools - the device's session pools, in the order of their making.
std::vector<rte_mempool*> session_pools(const Engine& engine) {
    const int id = rte_cryptodev_get_dev_id(std::string(engine.name).substr(std::strlen("cryptodev:")).c_str());
    std::vector<rte_mempool*> pools;
    for (;;) {
        rte_mempool* pool = rte_mempool_lookup(("um_sess_" + std::to_string(id) + "_" + std::to_string(pools.size())).c_str());
        if (pool == nullptr) return pools;
        pools.push_back(pool);
    }
}
uint32_t sessions_in_use(const Engine& engine) {
    uint32_t n = 0;
    for (const rte_mempool* pool : session_pools(engine)) n += rte_mempool_in_use_count(pool);
    return n;
}

// R29, R31: the SA, its key and all, is gone; the device has its session until it is done.
TEST_P(EspCryptodev, AnSaCanGoWhileTheDeviceWorksWithItsKey) {
    const std::string packet = udp_packet({}, 900);
    SaTerms terms = terms_of("aes-gcm-128");
    terms.id = 7;
    auto sa = theirs(terms);
    sad().sa = sa.get();
    for (uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(submit(*sa, clustered(packet), i).ok());
    sad().sa = nullptr;
    sa.reset();
    EXPECT_EQ(sessions_in_use(engine()), 4u) << "the device works with them";
    uint64_t gone = 0;
    while (esp_in_flight(device()) > 0) {
        EspDone done[32];
        const uint16_t n = esp_reap(device(), done, 32);
        for (uint16_t i = 0; i < n; ++i, ++gone) {
            EXPECT_EQ(done[i].fate.why, Xfrm::out_state);
            EXPECT_EQ(bytes_of(done[i].packet), packet);
            m_freem(done[i].packet);
        }
    }
    EXPECT_EQ(gone, 50u);
    open_lane();  // a lane that closes looks for what nobody needs any more
    EXPECT_EQ(sessions_in_use(engine()), 0u);
}

// What is in flight is somebody's: the ledger asks.
TEST_P(EspCryptodev, WhatIsInFlightIsHeldByPoolAndNothingIsAfterwards) {
    const auto held = [this] {
        std::map<const rte_mempool*, uint64_t> of;
        device().held.each([&of](const rte_mempool* pool, uint64_t n) { of[pool] += n; });
        return of;
    };
    SaTerms terms = terms_of("aes-gcm-128");
    const auto sa = theirs(terms);
    sad().sa = sa.get();
    const std::vector<uint32_t> before = levels();
    for (uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(submit(*sa, clustered(udp_packet({}, 900)), i).ok());
    const std::vector<uint32_t> during = levels();
    uint64_t of_ours = 0;
    for (size_t i = 0; i < zones().size(); ++i) {
        const ZoneKind kind = zones()[i]->kind;
        if (kind != ZoneKind::mbuf && kind != ZoneKind::cluster) continue;
        EXPECT_EQ(held()[zones()[i]->pool], during[i] - before[i]) << zones()[i]->name;
        of_ours += during[i] - before[i];
    }
    EXPECT_GE(of_ours, 80U) << "two mbufs and two clusters of each packet";
    while (esp_in_flight(device()) > 0) {
        EspDone done[32];
        const uint16_t n = esp_reap(device(), done, 32);
        for (uint16_t i = 0; i < n; ++i) m_freem(done[i].packet);
    }
    for (const auto& [pool, n] : held()) EXPECT_EQ(n, 0U) << pool->name;
}

struct Search {
    std::string what;
    size_t found = 0;
};
bool in_sessions(const Engine& engine, const std::string& what) {
    Search search{what};
    for (rte_mempool* pool : session_pools(engine))
        rte_mempool_obj_iter(pool, [](rte_mempool* p, void* arg, void* at, unsigned) {
            Search& s = *static_cast<Search*>(arg);
            s.found += std::string(static_cast<const char*>(at), p->elt_size).find(s.what) != std::string::npos;
        }, &search);
    return search.found > 0;
}

TEST_P(EspCryptodev, SessionsGoWithTheirSaAndAreWiped) {
    const SaTerms terms = terms_of("aes-gcm-128");
    const std::string key = key_for(terms.algorithm).substr(0, 16);
    EXPECT_EQ(sessions_in_use(engine()), 0u);
    {
        std::vector<std::unique_ptr<Sa>> many;
        for (int i = 0; i < 100; ++i) many.push_back(theirs(terms));  // more than a pool has
        EXPECT_EQ(sessions_in_use(engine()), 400u);
        EXPECT_TRUE(in_sessions(engine(), key)) << "where else?";
    }
    EXPECT_EQ(sessions_in_use(engine()), 0u);
    EXPECT_FALSE(in_sessions(engine(), key)) << "a key was left behind";
}

// Drivers in software get some packets in several mbufs wrong, so such packets are copied, and counted.
// in_dumps - bytes of [at, at + len) that a core dump would have, by the kernel's own words (smaps).
size_t in_dumps(uintptr_t at, size_t len) {
    std::ifstream smaps("/proc/self/smaps");
    size_t from = 0, to = 0, all = 0, kept_out = 0;
    for (std::string line; std::getline(smaps, line);) {
        if (size_t a = 0, b = 0; std::sscanf(line.c_str(), "%zx-%zx ", &a, &b) == 2) {
            from = a;
            to = b;
        }
        if (!line.starts_with("VmFlags:") || to <= at || from >= at + len) continue;
        const size_t bytes = std::min(to, at + len) - std::max<size_t>(from, at);
        all += bytes;
        if (line.find(" dd") != std::string::npos) kept_out += bytes;
    }
    EXPECT_EQ(all, len) << "it is mapped";
    return all - kept_out;
}

// A4, as far as the memory is ours to give: a device's sessions, with all that was expanded from keys. EAL's memory
// is shared and otherwise in dumps.
TEST_P(EspCryptodev, SessionsAreLeftOutOfCoreDumps) {
    const auto sa = theirs(terms_of("aes-gcm-128"));
    size_t bytes = 0;
    rte_mempool_walk([](rte_mempool* pool, void* arg) {
        if (std::strncmp(pool->name, "um_sess_", 8) != 0) return;
        rte_mempool_mem_iter(pool, [](rte_mempool*, void* sum, rte_mempool_memhdr* memory, unsigned) {
            EXPECT_EQ(in_dumps(reinterpret_cast<uintptr_t>(memory->addr), memory->len), 0u);
            *static_cast<size_t*>(sum) += memory->len;
        }, arg);
    }, &bytes);
    EXPECT_GT(bytes, 0u);
}

TEST_P(EspCryptodev, CopiesAreMadeOnlyWhereTheyMustAndCounted) {
    const auto aead = theirs(terms_of("aes-gcm-128"));
    CryptodevCounters before = cryptodev_counters(engine());
    Mbuf* m = paged(PageClass::cache, udp_packet({}, 5000), 28);
    ASSERT_TRUE(through(esp_output, *aead, m).ok());
    m_freem(m);
    CryptodevCounters after = cryptodev_counters(engine());
    EXPECT_EQ(after.jobs - before.jobs, 1u);
    EXPECT_EQ(after.copied - before.copied, 1u) << "software is given one mbuf: into the room, and once";
    EXPECT_LT(after.copied_bytes - before.copied_bytes, 5100u);
    before = after;
    m = cut_up(udp_packet({}, 20000), {28});  // two clusters: two rooms
    ASSERT_TRUE(through(esp_output, *aead, m).ok());
    EXPECT_EQ(m->rte.nb_segs, 2u);
    m_freem(m);
    after = cryptodev_counters(engine());
    EXPECT_EQ(after.copied - before.copied, 1u);
    EXPECT_GT(after.copied_bytes - before.copied_bytes, 20000u);
    EXPECT_EQ(after.failed, 0u);
}

TEST_P(EspCryptodev, AWrongIcvIsTheDevicesToFind) {
    for (const std::string& name : algorithms_of(engine())) {
        const auto sa = sa_of(terms_of(name)), back = theirs(terms_of(name));
        Mbuf* m = clustered(udp_packet({}, 80));
        ASSERT_TRUE(out(*sa, m).ok());
        std::string esp = bytes_of(m);
        m_freem(m);
        esp[esp.size() - 1] = static_cast<char>(esp[esp.size() - 1] ^ 1);
        m = clustered(esp);
        EXPECT_EQ(through(esp_input, *back, m).why, Xfrm::in_proto) << name;
        EXPECT_EQ(back->counters.bad_icv.read(), 1u) << name;
        EXPECT_EQ(bytes_of(m), esp);
        m_freem(m);
    }
}

TEST(EspCryptodevs, WhatThereIsNotIsSaid) {
    const Result<const Engine*> none = cryptodev_engine("crypto_of_tomorrow");
    ASSERT_FALSE(none.ok());
    EXPECT_NE(none.error().text.find("crypto_of_tomorrow"), std::string::npos);
    EXPECT_NE(none.error().text.find("crypto_openssl"), std::string::npos) << none.error().text;
    const Result<const Engine*> useless = cryptodev_engine("crypto_null");
    ASSERT_FALSE(useless.ok());
    EXPECT_NE(useless.error().text.find("cryptodev:crypto_null has none"), std::string::npos) << useless.error().text;
    const Engine* gcm = engine_named("crypto_aesni_gcm");
    const SaTerms terms = terms_of("aes-cbc-128+hmac-sha1");
    const std::string key = key_for(terms.algorithm);
    const auto sa = Sa::make(terms, {bytes_in(key), key.size()}, *gcm, 0);
    ASSERT_FALSE(sa.ok());
    EXPECT_NE(sa.error().text.find("cryptodev:crypto_aesni_gcm has no aes-cbc-128+hmac-sha1"), std::string::npos) << sa.error().text;
}

}  // namespace
}  // namespace umbuf::test
