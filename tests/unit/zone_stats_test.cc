// SPDX-License-Identifier: BSD-2-Clause
// zone_stats_test.cc - a request that a zone refuses is counted once, under who asked, wherever he asked.
#include <vector>

#include "lib/mbuf/zone_get.h"
#include "lib/stat/segment.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::test {
namespace {

struct ZoneStatsTest : MbufTest {
    std::vector<rte_mbuf*> held;
    // Until one is refused; what other lcores have in their caches cannot be had.
    void take_all_but(unsigned left) {
        while (rte_mbuf* p = rte_pktmbuf_alloc(rx_zone()->pool)) held.push_back(p);
        rte_pktmbuf_free_bulk(held.data() + held.size() - left, left);
        held.resize(held.size() - left);
    }
    void give_back() {
        rte_pktmbuf_free_bulk(held.data(), static_cast<unsigned>(held.size()));
        held.clear();
    }
};

struct Denied {
    uint64_t verb, driver, here;
    bool operator==(const Denied&) const = default;
};
Denied denied(const Zone& zone) {
    const ZoneStats& s = *zone.stats;
    return {s.denied_verb.read(), s.denied_driver.read(), s.denied_lcores[rte_lcore_id()].read()};
}
std::ostream& operator<<(std::ostream& to, const Denied& d) {
    return to << d.verb << " verb, " << d.driver << " driver, " << d.here << " this lcore";
}

TEST_F(ZoneStatsTest, ADriversRequestIsCountedWhereThePoolRefusesIt) {
    auto port = configured(device("net_null", "no-rx=0"));
    open(*port);
    rte_mbuf* burst[8];
    take_all_but(4);
    const Denied before = denied(*rx_zone());
    EXPECT_EQ(port->rx_burst(0, burst, 8), 0) << "the driver found no mbufs";
    EXPECT_EQ(denied(*rx_zone()), (Denied{before.verb, before.driver + 1, before.here + 1}));
    give_back();
    const uint16_t n = port->rx_burst(0, burst, 8);
    EXPECT_EQ(n, 8);
    rte_pktmbuf_free_bulk(burst, n);
    EXPECT_EQ(denied(*rx_zone()).driver, before.driver + 1);
    gone(std::move(port));
}

// An lcore's cache is filled with more than was asked for. That this much is not there is no refusal.
TEST_F(ZoneStatsTest, TheLastElementIsNotDenied) {
    const Denied before = denied(*rx_zone());
    take_all_but(0);
    EXPECT_EQ(denied(*rx_zone()), (Denied{before.verb, before.driver + 1, before.here + 1})) << "the one behind the last";
    give_back();
}

TEST_F(ZoneStatsTest, AVerbsRequestIsCountedOnceAsAVerbs) {
    Zone& zone = *zone::here().clusters[3];
    const Denied before = denied(zone);
    std::vector<Mbuf*> all;
    while (Mbuf* m = m_getjcl(M_NOWAIT, MT_DATA, 0, zone.size)) all.push_back(m);
    EXPECT_EQ(denied(zone), (Denied{before.verb + 1, before.driver, before.here + 1}));
    alloc_faults_arm(2);  // 1: the mbuf
    for (Mbuf* m : all) m_free(m);
    EXPECT_EQ(m_getjcl(M_NOWAIT, MT_DATA, 0, zone.size), nullptr);
    EXPECT_EQ(denied(zone), (Denied{before.verb + 2, before.driver, before.here + 2}));
    rte_mbuf* burst[4];
    take_all_but(3);
    const Denied packets = denied(*rx_zone());
    EXPECT_FALSE(alloc_bulk(*rx_zone(), burst, 4));
    EXPECT_EQ(denied(*rx_zone()), (Denied{packets.verb + 1, packets.driver, packets.here + 1}));
    give_back();
}

TEST_F(ZoneStatsTest, SamplesAddUpToTheZone) {
    take_all_but(100);
    zones_sample();
    const uint64_t most = rx_zone()->in_use();
    for (const Zone* zone : zones()) {
        const ZoneStats& s = *zone->stats;
        EXPECT_EQ(s.in_use.read() + s.cached.read(), s.total.read()) << zone->name;
        EXPECT_EQ(s.total.read(), s.limit.read()) << zone->name;
        EXPECT_LE(s.lcore_cached.read(), s.cached.read()) << zone->name;
        EXPECT_GE(s.peak.read(), s.in_use.read()) << zone->name;
        EXPECT_EQ(s.in_use.read(), zone->in_use()) << zone->name;
        EXPECT_GT(s.element.read(), zone->size) << zone->name;
    }
    give_back();
    zones_sample();
    EXPECT_LT(rx_zone()->stats->in_use.read(), most);
    EXPECT_GE(rx_zone()->stats->peak.read(), most);
}

TEST_F(ZoneStatsTest, AZoneThatIsClosedIsForgotten) {
    Result<Zone*> made = page_zone("um_t_page", 64, sizeof(ExtControl), 4096, 0, 0);
    ASSERT_TRUE(made) << made.error().text;
    const auto listed = [] {
        size_t n = 0;
        stat::each([&n](const stat::Listed& one) { n += one.labels == "zone=um_t_page,kind=page,size=4096,node=0"; });
        return n;
    };
    EXPECT_GT(listed(), 5U);
    zone_close(made.value());
    EXPECT_EQ(listed(), 0U);
}

}  // namespace
}  // namespace umbuf::test
