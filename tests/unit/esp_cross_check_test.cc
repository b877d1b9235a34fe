// SPDX-License-Identifier: BSD-2-Clause
// esp_cross_check_test.cc - two engines about one packet: agreeing, and one of them a stand-in that is wrong.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "lib/ipsec/cross_check.h"
#include "lib/ipsec/pcapng.h"
#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

// What the stand-in does wrong, to jobs whose text is long enough that the self-test's are not.
enum class Wrong { nothing, text, icv, verdict, failing };
Wrong wrong = Wrong::nothing;

void flips_a_bit(EngineLane& lane, Job* jobs, uint16_t n) noexcept {
    ipsec_mb_engine.run(lane, jobs, n);
    for (uint16_t i = 0; i < n; ++i) {
        if (wrong == Wrong::text) jobs[i].to[0].at[jobs[i].to[0].len / 2] ^= std::byte{4};
        if (wrong == Wrong::icv && jobs[i].encrypt) jobs[i].icv[15] ^= std::byte{1};
        if (wrong == Wrong::verdict) jobs[i].authentic = !jobs[i].authentic;
        if (wrong == Wrong::failing) jobs[i].failed = true;
    }
}
Engine make_flipping() {
    Engine e = ipsec_mb_engine;
    e.name = "stand-in";
    e.run = flips_a_bit;
    return e;
}
const Engine flipping = make_flipping();

class EspCrossCheck : public EspTest {
  protected:
    void SetUp() override {
        EspTest::SetUp();
        wrong = Wrong::nothing;
    }
    void TearDown() override {
        lane().cross = nullptr;
        cross_.reset();
        EspTest::TearDown();
    }
    CrossCheck& check_by(const Engine& second, uint32_t every = 1) {
        cross_ = std::move(CrossCheck::make(second, every, 0).value());
        lane().cross = cross_.get();
        return *cross_;
    }
    static std::unique_ptr<Sa> with_second(const SaTerms& terms, const Engine& second) {
        std::unique_ptr<Sa> sa = sa_of(terms);
        const std::string key = key_for(terms.algorithm);
        const Status added = sa->add_second(second, {bytes_in(key), key.size()});
        EXPECT_TRUE(added.ok()) << added.error().text;
        return sa;
    }

  private:
    std::unique_ptr<CrossCheck> cross_;
};

TEST_F(EspCrossCheck, EnginesThatAgreeLetEverythingThrough) {
    for (const char* device : kDevices) {
        const Engine& second = *engine_named(device);
        CrossCheck& cross = check_by(second);
        uint64_t packets = 0;
        for (const std::string& name : algorithms_of(second))
            for (const bool esn : {false, true}) {
                SaTerms terms = terms_of(name);
                terms.esn = esn;
                const auto sa = with_second(terms, second), back = with_second(terms, second);
                for (const size_t data : {size_t{1}, size_t{700}, size_t{20000}}) {
                    const std::string packet = udp_packet({}, data);
                    Mbuf* m = paged(PageClass::cache, packet, 28);
                    ASSERT_TRUE(out(*sa, m).ok()) << name;
                    ASSERT_TRUE(in(*back, m).ok()) << name;
                    ASSERT_EQ(differs(bytes_of(m), packet), std::string::npos) << name;
                    m_freem(m);
                    packets += 2;
                }
            }
        EXPECT_EQ(cross.checked.read(), packets);
        EXPECT_EQ(cross.differed.read(), 0u);
        EXPECT_EQ(cross.unable.read(), 0u);
        EXPECT_FALSE(cross.found());
    }
}

TEST_F(EspCrossCheck, ADifferenceOfOneBitIsFoundCountedAndNotLetThrough) {
    for (const Wrong how : {Wrong::text, Wrong::icv}) {
        CrossCheck& cross = check_by(flipping);
        const auto sa = with_second(terms_of("aes-gcm-128"), flipping);
        const std::string packet = udp_packet({}, 300);
        wrong = how;
        Mbuf* m = clustered(packet);
        const uint64_t before = lane().counters.of(Xfrm::out_differs);
        EXPECT_EQ(out(*sa, m).why, Xfrm::out_differs);
        EXPECT_EQ(bytes_of(m), packet) << "E-2";
        m_freem(m);
        EXPECT_EQ(lane().counters.of(Xfrm::out_differs), before + 1);
        EXPECT_EQ(sa->counters.refused.of(Xfrm::out_differs), 1u);
        EXPECT_EQ(cross.differed.read(), 1u);
        EXPECT_TRUE(cross.found());
    }
    for (const Wrong how : {Wrong::text, Wrong::verdict}) {
        wrong = Wrong::nothing;
        CrossCheck& cross = check_by(flipping);
        const auto sa = with_second(terms_of("aes-cbc-128+hmac-sha1"), flipping), back = with_second(sa->terms, flipping);
        Mbuf* m = clustered(udp_packet({}, 300));
        ASSERT_TRUE(out(*sa, m).ok());
        const std::string esp = bytes_of(m);
        wrong = how;
        EXPECT_EQ(in(*back, m).why, Xfrm::in_differs);
        EXPECT_EQ(bytes_of(m), esp);
        m_freem(m);
        EXPECT_TRUE(back->window.check(1)) << "its number was not marked";
        EXPECT_EQ(cross.differed.read(), 1u);
    }
}

TEST_F(EspCrossCheck, EveryNthPacketIsLookedAtAndNoOther) {
    CrossCheck& cross = check_by(flipping, 5);
    const auto sa = with_second(terms_of("aes-gcm-128"), flipping);
    wrong = Wrong::text;
    for (int i = 1; i <= 12; ++i) {
        Mbuf* m = clustered(udp_packet({}, 100));
        EXPECT_EQ(out(*sa, m).why, i % 5 == 0 ? Xfrm::out_differs : Xfrm::ok) << i;
        m_freem(m);
    }
    EXPECT_EQ(cross.checked.read(), 2u);
}

// A second engine that fails has no opinion, and neither has one that has no key.
TEST_F(EspCrossCheck, WhoCannotSayIsCountedAndNotBelieved) {
    CrossCheck& cross = check_by(flipping);
    const auto sa = with_second(terms_of("aes-gcm-128"), flipping), none = sa_of(terms_of("aes-gcm-128"));
    wrong = Wrong::failing;
    for (Sa* s : {sa.get(), none.get()}) {
        Mbuf* m = clustered(udp_packet({}, 100));
        EXPECT_TRUE(out(*s, m).ok());
        m_freem(m);
    }
    EXPECT_EQ(cross.unable.read(), 2u);
    EXPECT_EQ(cross.checked.read(), 0u);
}

std::string file_bytes(const std::filesystem::path& path) {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
}
uint32_t word(const std::string& s, size_t at) {
    uint32_t n = 0;
    std::memcpy(&n, s.data() + at, sizeof(n));
    return n;
}

// The file: a section, an interface, three packets: as it came, and by each engine.
TEST_F(EspCrossCheck, TheFirstDifferenceIsWrittenToAFile) {
    CrossCheck& cross = check_by(flipping);
    const auto sa = with_second(terms_of("aes-gcm-128"), flipping), peer = sa_of(terms_of("aes-gcm-128"));
    const std::string packet = udp_packet({}, 300);
    wrong = Wrong::text;
    for (int i = 0; i < 2; ++i) {  // the second is not the first
        Mbuf* m = paged(PageClass::cache, i == 0 ? packet : udp_packet({}, 50), 28);
        EXPECT_EQ(out(*sa, m).why, Xfrm::out_differs);
        m_freem(m);
    }
    EXPECT_EQ(cross.describe(), "ipsec-mb and stand-in differ about aes-gcm-128, SPI 305419896, number 1, encrypting");
    const std::filesystem::path path = std::filesystem::temp_directory_path() / ("umbuf_cross_" + std::to_string(getpid()) + ".pcapng");
    std::filesystem::remove(path);
    const Status written = cross.write(path);
    ASSERT_TRUE(written.ok()) << written.error().text;
    EXPECT_FALSE(cross.write(path).ok()) << "what is there is not overwritten";
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    const std::string all = file_bytes(path);
    std::filesystem::remove(path);
    std::vector<uint32_t> types;
    std::vector<std::string> packets;
    for (size_t at = 0; at < all.size(); at += word(all, at + 4)) {
        types.push_back(word(all, at));
        ASSERT_EQ(word(all, at + word(all, at + 4) - 4), word(all, at + 4)) << "both lengths of a block";
        if (types.back() == 6) packets.push_back(all.substr(at + 28, word(all, at + 20)));
    }
    EXPECT_EQ(types, (std::vector<uint32_t>{0x0a0d0d0a, 1, 6, 6, 6}));
    ASSERT_EQ(packets.size(), 3u);
    EXPECT_EQ(packets[0], packet);
    EXPECT_NE(all.find("by stand-in"), std::string::npos);
    EXPECT_EQ(all.find(key_for(sa->terms.algorithm)), std::string::npos);
    ASSERT_EQ(packets[1].size(), packets[2].size());
    int bits = 0;
    for (size_t i = 0; i < packets[1].size(); ++i) bits += __builtin_popcount(static_cast<unsigned char>(packets[1][i] ^ packets[2][i]));
    EXPECT_EQ(bits, 1);
    lane().cross = nullptr;
    Mbuf* m = clustered(packets[1]);
    ASSERT_TRUE(in(*peer, m).ok()) << "what the first engine made is a whole packet";
    EXPECT_EQ(bytes_of(m), packet);
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::test
