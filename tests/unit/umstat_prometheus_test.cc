// SPDX-License-Identifier: BSD-2-Clause
// umstat_prometheus_test.cc - what a Prometheus server would be told. That one understands it:
// tests/system/test_prometheus.py.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "app/umstat/prometheus.h"
#include "tests/unit/umstat_sample.h"

namespace umbuf::umstat {
namespace {

TEST(UmstatPrometheus, NamesFollowItsConventions) {
    const auto name = [](const char* n, const char* unit, Kind kind) { return metric_name(number(n, "", {0}, kind, unit)); };
    EXPECT_EQ(name("stream_rx", "packets", Kind::counter), "umbuf_stream_rx_packets_total");
    EXPECT_EQ(name("port_rx_packets", "packets", Kind::counter), "umbuf_port_rx_packets_total");
    EXPECT_EQ(name("zone_in_use", "elements", Kind::gauge), "umbuf_zone_in_use_elements");
    EXPECT_EQ(name("cache_pages", "pages", Kind::gauge), "umbuf_cache_pages");
    EXPECT_EQ(name("zone_total", "", Kind::gauge), "umbuf_zone_total_now");
    EXPECT_EQ(name("rx-odd name", "b/s", Kind::gauge), "umbuf_rx_odd_name_b_s");
    EXPECT_EQ(name("zone_denied_lcores", "requests", Kind::histogram), "umbuf_zone_denied_lcores_requests_total");
    EXPECT_EQ(name("stream_rx_bursts", "bursts", Kind::histogram), "umbuf_stream_rx_bursts");
}

TEST(UmstatPrometheus, AHistogramHasBoundsByPowersOfTwo) {
    Made s;
    s.numbers.push_back(number("stream_rx_bursts", "lcore=1", {10, 1, 2, 3, 4, 5}, Kind::histogram, "bursts", "how many had i packets"));
    const auto all = families(s);
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].help, "how many had i packets");
    const auto& h = all[0].metric.at(0).histogram;
    EXPECT_EQ(h.sample_count, 25U);
    EXPECT_EQ(h.sample_sum, 1 + 4 + 9 + 16 + 25);
    std::vector<std::pair<double, uint64_t>> buckets;
    for (const auto& bucket : h.bucket) buckets.emplace_back(bucket.upper_bound, bucket.cumulative_count);
    EXPECT_EQ(buckets, (std::vector<std::pair<double, uint64_t>>{{0, 10}, {1, 11}, {2, 13}, {4, 20}, {5, 25}}));
}

TEST(UmstatPrometheus, OneNumberIsToldOnce) {
    Made s;
    s.put("in", "port=0", 1, Kind::counter).put("in", "port=0", 2, Kind::counter).put("in", "port=1", 3, Kind::counter);
    s.put("in", "port=2", 4, Kind::gauge);  // another kind: another name, not another type of this one
    const auto all = families(s);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].metric.size(), 2U);
    EXPECT_EQ(all[0].metric[1].label[0].value, "1");
}

TEST(UmstatPrometheus, TheDeadAreNotUpAndHaveNoNumbers) {
    Made s;
    s.put("in", "", 1, Kind::counter);
    const auto of = [](const std::vector<prometheus::MetricFamily>& all, const std::string& name) {
        for (const auto& f : all)
            if (f.name == name) return f.type == prometheus::MetricType::Counter ? f.metric.at(0).counter.value : f.metric.at(0).gauge.value;
        return -1.0;
    };
    EXPECT_EQ(of(forwarder_families(&s), "umbuf_up"), 1);
    EXPECT_EQ(of(forwarder_families(&s), "umbuf_in_things_total"), 1);
    s.life = stat::Life::hung;
    EXPECT_EQ(of(forwarder_families(&s), "umbuf_up"), 0);
    EXPECT_EQ(of(forwarder_families(&s), "umbuf_in_things_total"), 1);
    s.life = stat::Life::died;
    EXPECT_EQ(of(forwarder_families(&s), "umbuf_up"), 0);
    EXPECT_EQ(of(forwarder_families(&s), "umbuf_in_things_total"), -1);
    EXPECT_EQ(of(forwarder_families(nullptr), "umbuf_up"), 0);
}

TEST(UmstatPrometheus, AnAddressIsOfLoopbackUnlessItSaysOtherwise) {
    EXPECT_EQ(address_of("9464").value(), "127.0.0.1:9464");
    EXPECT_EQ(address_of(":9464").value(), "127.0.0.1:9464");
    EXPECT_EQ(address_of("0.0.0.0:9464").value(), "0.0.0.0:9464");
    EXPECT_EQ(address_of("[::1]:9464").value(), "[::1]:9464");
    for (const char* wrong : {"", "host:", "host:x", "65536", "9464x"}) EXPECT_FALSE(address_of(wrong)) << wrong;
}

}  // namespace
}  // namespace umbuf::umstat
