// SPDX-License-Identifier: BSD-2-Clause
// esp_engine_test.cc - the engine: published examples, pieces of every size, nothing written that should not be.
#include <gtest/gtest.h>

#include <random>

#include "lib/ipsec/vectors.h"
#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

using EspEngine = EspTest;

// What every engine owes (J1 to J3).
class EspAnyEngine : public EspTest, public ::testing::WithParamInterface<const char*> {
  protected:
    void SetUp() override {
        EspTest::SetUp();
        engine_ = engine_named(GetParam());
        ASSERT_NE(engine_, nullptr);
        lane_ = std::move(EspLane::make(*engine_, 0).value());
    }
    void TearDown() override {
        lane_.reset();
        EspTest::TearDown();
    }
    const Engine& engine() { return *engine_; }
    EspLane& lane() { return *lane_; }
    // step - devices take longer for one job at a time, and are tried at fewer cuts.
    [[nodiscard]] size_t step() const { return engine_ == &ipsec_mb_engine ? 1 : 29; }

  private:
    const Engine* engine_ = nullptr;
    std::unique_ptr<EspLane> lane_;
};
INSTANTIATE_TEST_SUITE_P(Engines, EspAnyEngine, ::testing::ValuesIn(kEngines), test_name);

TEST_P(EspAnyEngine, ComputesAllPublishedExamples) {
    const Status all = engine_selftest(engine());
    EXPECT_TRUE(all.ok()) << all.error().text;
    for (const std::string& name : algorithms_of(engine())) {
        const Status one = engine_selftest(engine(), find_algorithm(name).value());
        EXPECT_TRUE(one.ok()) << name << ": " << one.error().text;
    }
}

void wrong_in_one_bit(EngineLane& lane, Job* jobs, uint16_t n) noexcept {
    ipsec_mb_engine.run(lane, jobs, n);
    for (uint16_t i = 0; i < n; ++i) {
        if (!jobs[i].encrypt) continue;
        const Room& room = jobs[i].to[jobs[i].to[0].len == 0 ? 1 : 0];
        room.at[room.len - 1] ^= std::byte{1};
    }
}
void believes_all(EngineLane& lane, Job* jobs, uint16_t n) noexcept {
    ipsec_mb_engine.run(lane, jobs, n);
    for (uint16_t i = 0; i < n; ++i) jobs[i].authentic = true;
}

TEST_F(EspEngine, AnEngineThatIsWrongIsRefusedByName) {
    for (const auto run : {wrong_in_one_bit, believes_all}) {
        Engine broken = ipsec_mb_engine;
        broken.name = "broken-engine";
        broken.run = run;
        const Status said = engine_selftest(broken);
        ASSERT_FALSE(said.ok());
        EXPECT_NE(said.error().text.find("broken-engine"), std::string::npos) << said.error().text;
        EXPECT_NE(said.error().text.find("aes-gcm-128"), std::string::npos) << said.error().text;
    }
}

// One job, its source and destination cut anywhere; both in the middle of guard bytes.
struct Cut {
    std::string source, to, icv;
    bool authentic = false;
};
constexpr size_t kGuard = 64;

class Cutter {
  public:
    Cutter(EspLane& lane, const Sa& sa) : lane_(lane), sa_(sa) {}
    Cut run(const std::string& text, bool encrypt, const std::string& icv, const std::vector<size_t>& from_cuts,
            const std::vector<size_t>& to_cuts, bool extended) {
        const std::string guard(kGuard, '\x5a');
        std::string source = guard + text + guard, to(source.size(), '\x5a');
        std::vector<Piece> pieces;
        std::vector<Room> rooms;
        each(text.size(), from_cuts, [&](size_t at, size_t n) { pieces.push_back({bytes_in(source) + kGuard + at, static_cast<uint32_t>(n)}); });
        each(text.size(), to_cuts, [&](size_t at, size_t n) { rooms.push_back({bytes_in(to) + kGuard + at, static_cast<uint32_t>(n)}); });
        Job job{.key = sa_.key(), .source = pieces, .to = rooms, .whole = nullptr, .len = static_cast<uint32_t>(text.size()), .encrypt = encrypt, .extended = extended};
        store32(job.head.spi, 77);
        store32(job.head.seq, 5);
        store32(job.seq_high, 3);
        std::memcpy(job.head.iv, pattern(16, 3).data(), 16);
        std::memcpy(job.icv, icv.data(), icv.size());
        lane_.engine.run(lane_.crypto(), &job, 1);
        EXPECT_FALSE(job.failed);
        EXPECT_EQ(source, guard + text + guard) << "J1: the source was written";
        EXPECT_EQ(to.substr(0, kGuard), guard) << "J2";
        EXPECT_EQ(to.substr(kGuard + text.size()), guard) << "J2: written beyond the output";
        return {source, to.substr(kGuard, text.size()), text_of(job.icv, sa_.terms.algorithm.icv()), job.authentic};
    }

  private:
    template <class Each>
    static void each(size_t size, const std::vector<size_t>& cuts, Each fn) {
        size_t at = 0;
        for (const size_t cut : cuts) {
            fn(at, cut - at);
            at = cut;
        }
        fn(at, size - at);
    }
    EspLane& lane_;
    const Sa& sa_;
};

TEST_P(EspAnyEngine, R08_CutsAtEveryByteChangeNothingAndNothingElseIsWritten) {
    for (const std::string& name : algorithms_of(engine())) {
        const auto sa = sa_of(terms_of(name), engine());
        Cutter cutter(lane(), *sa);
        const std::string text = pattern(144, 9);
        for (const bool extended : {false, true}) {
            const Cut whole = cutter.run(text, true, "", {}, {}, extended);
            for (size_t cut = 0; cut <= text.size(); cut += step()) {
                const size_t other = text.size() - cut;
                const std::vector<std::vector<size_t>> ways = {{cut}, {cut, cut}, {cut, std::min(cut + 1, text.size())}, {cut / 2, cut}};
                for (const auto& from : ways)
                    for (const auto& to : {std::vector<size_t>{}, std::vector<size_t>{other}}) {
                        const Cut there = cutter.run(text, true, "", from, to, extended);
                        ASSERT_EQ(there.to, whole.to) << name << " cut at " << cut;
                        ASSERT_EQ(there.icv, whole.icv) << name << " cut at " << cut;
                        const Cut back = cutter.run(whole.to, false, whole.icv, from, to, extended);
                        ASSERT_EQ(back.to, text) << name << " cut at " << cut;
                        ASSERT_TRUE(back.authentic) << name << " cut at " << cut;
                    }
            }
        }
    }
}

TEST_P(EspAnyEngine, EveryBitOfTextIcvAndHeadIsAuthenticated) {
    for (const std::string& name : algorithms_of(engine())) {
        const auto sa = sa_of(terms_of(name), engine());
        Cutter cutter(lane(), *sa);
        const Cut whole = cutter.run(pattern(48, 2), true, "", {}, {}, true);
        for (size_t bit = 0; bit < 8 * (whole.to.size() + whole.icv.size()); bit += 2 + step()) {
            std::string all = whole.to + whole.icv;
            all[bit / 8] = static_cast<char>(all[bit / 8] ^ (1 << bit % 8));
            const Cut back = cutter.run(all.substr(0, 48), false, all.substr(48), {17}, {}, true);
            ASSERT_FALSE(back.authentic) << name << ", bit " << bit;
        }
        EXPECT_FALSE(cutter.run(whole.to, false, whole.icv, {}, {}, false).authentic) << name << ": the upper half counts";
    }
}

// R05, CVE-2026-45257: if a path ever decrypted in place, the file's page would not change; it would fault.
TEST_F(EspEngine, R05_AnEngineThatIsTurnedOnAFilesPageFaultsInsteadOfWriting) {
    const std::string content = pattern(4096, 4);
    Mbuf* m = filled(PageClass::cache, content);
    const Page* page = page_of(m);
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    const ReadWindow window(m, 0, m->len(), CopiedFor::read);
    const Piece piece{window.bytes(), m->len()};
    const Room room{const_cast<std::byte*>(window.bytes()), m->len()};  // the guard, disabled
    Job job{.key = sa->key(), .source = {&piece, 1}, .to = {&room, 1}, .whole = nullptr, .len = m->len()};
    const auto fault = fault_of([&] { ipsec_mb_engine.run(lane().crypto(), &job, 1); });
    ASSERT_TRUE(fault.has_value());
    EXPECT_EQ(fault->kind, FaultKind::read_only);
    EXPECT_EQ(fault->page, page);
    EXPECT_EQ(page_bytes(page).substr(0, 4096), content);
    m_freem(m);
}

TEST_F(EspEngine, AlgorithmsAreFoundByNameAndNonsenseIsExplained) {
    EXPECT_EQ(find_algorithm("aes-gcm-256").value().key_bytes(), 36u);
    EXPECT_EQ(find_algorithm("aes-cbc-128+hmac-sha256").value().key_bytes(), 48u);
    EXPECT_EQ(find_algorithm("null+hmac-sha512").value().icv(), 32u);
    for (const char* wrong : {"aes-gcm-127", "aes-cbc-128", "aes-gcm-128+hmac-sha1", "null+md5", "", "+", "null"})
        EXPECT_FALSE(find_algorithm(wrong).ok()) << wrong;
    EXPECT_NE(find_algorithm("null+md5").error().text.find("hmac-sha256"), std::string::npos);
}

}  // namespace
}  // namespace umbuf::test
