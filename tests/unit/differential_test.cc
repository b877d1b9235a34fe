// SPDX-License-Identifier: BSD-2-Clause
// differential_test.cc - the same verbs on mbufs and on vectors, under every scheme that counts.
//
// The oracle (tests/oracle) is told nothing about counts. What is compared after each step is in
// tests/oracle/trace.h.
#include <map>

#include "tests/oracle/trace.h"
#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

std::vector<uint8_t> drawn(std::mt19937_64& rng, size_t n) {
    std::vector<uint8_t> bytes(n);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng());
    return bytes;
}

uint32_t rounds(uint32_t by_default) {
    const char* given = std::getenv("UM_ROUNDS");
    return given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 0)) : by_default;
}

// What the traces have met: one that never saw an error proves nothing about errors.
struct Met {
    uint64_t steps = 0, failures = 0, refused = 0, freed = 0, zeroed = 0, orphans = 0;
    void add(const TraceResult& r) {
        steps += r.steps;
        failures += r.failures;
        refused += r.refused;
        freed += r.freed;
        zeroed += r.zeroed;
        orphans += r.orphans;
    }
    void expect_all() const {
        EXPECT_GT(failures, 0U);
        EXPECT_GT(refused, 0U);
        EXPECT_GT(freed, 0U);
        EXPECT_GT(zeroed, 0U);
        EXPECT_GT(orphans, 0U);
    }
};

class Differential : public MbufTest {};

TEST_F(Differential, RandomTracesAgreeWithAPlainModel) {
    std::mt19937_64 rng(seed());
    Met met;
    for (uint32_t round = 0; round < rounds(60); ++round) {
        Watchdog::feed();
        const TraceResult r = run_trace(drawn(rng, 2000));
        ASSERT_FALSE(r.fault) << "scheme " << refs_in_use().name << ", trace " << round << ", " << *r.fault;
        met.add(r);
    }
    met.expect_all();
}

// Long traces are rich in sharing and poor in beginnings: short ones are the other half.
TEST_F(Differential, ManyShortTracesAgreeToo) {
    std::mt19937_64 rng(seed() + 1);
    for (uint32_t round = 0; round < rounds(600); ++round) {
        Watchdog::feed();
        const TraceResult r = run_trace(drawn(rng, 20 + rng() % 100));
        ASSERT_FALSE(r.fault) << "scheme " << refs_in_use().name << ", trace " << round << ", " << *r.fault;
    }
}

// All schemes in one process, one after the other; at the end the one that was in use is back.
class EachScheme : public ::testing::Test {
  protected:
    void SetUp() override { was_ = refs_in_use().name; }
    void TearDown() override { use(was_); }
    static void use(const std::string& name) {
        const std::vector<Unbalanced> held = mbfini();
        ASSERT_TRUE(held.empty()) << held.front().zone << ": " << held.front().in_use << " in use";
        ZoneConfig config;
        config.refs = name;
        const Status made = mbinit(config, {0});
        ASSERT_TRUE(made) << made.error().text;
    }

  private:
    std::string was_;
};

// Each scheme with its own rules, the orphans of leaders among them; here, because the other tests of
// this kind see one scheme per run.
TEST_F(EachScheme, AgreesWithThePlainModel) {
    for (const char* name : refs_names()) {
        use(name);
        std::mt19937_64 rng(seed() + 5);
        for (uint32_t round = 0; round < rounds(100); ++round) {
            const TraceResult r = run_trace(drawn(rng, 600));
            ASSERT_FALSE(r.fault) << "scheme " << name << ", trace " << round << ", " << *r.fault;
        }
    }
}

// One trace, nine schemes: the same errors, the same lengths, the same frees in the same steps.
// What is left out is the one documented difference: a leader that leaves its followers.
TEST_F(EachScheme, GivesTheSameLogForTheSameTrace) {
    std::map<uint32_t, std::pair<uint64_t, std::string>> first;
    for (const char* name : refs_names()) {
        use(name);
        std::mt19937_64 rng(seed() + 2);
        for (uint32_t round = 0; round < rounds(20); ++round) {
            const TraceResult r = run_trace(drawn(rng, 1500), {.alike = true});
            ASSERT_FALSE(r.fault) << "scheme " << name << ", trace " << round << ", " << *r.fault;
            const auto [at, fresh] = first.try_emplace(round, r.log, r.text);
            ASSERT_EQ(at->second.first, r.log)
                << "trace " << round << " under " << name << ":\n" << r.text << "and under "
                << refs_names().front() << ":\n" << at->second.second;
        }
    }
}

}  // namespace
}  // namespace umbuf::test
