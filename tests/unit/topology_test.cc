// SPDX-License-Identifier: BSD-2-Clause
// topology_test.cc - the plan of streams, by table; the sums behind the pools.
#include "app/umfwd/machine/topology.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "app/umfwd/machine/zones_plan.h"

namespace umbuf::fwd {
namespace {

// "0/0>1/0@0": port 0 queue 0 goes to port 1 queue 0 on the first lane; ">2" behind: a tee's copies.
std::string text(const Plan& plan) {
    std::string all;
    for (const PlannedStream& s : plan.streams) {
        all += fmt::format("{}{}/{}>{}/{}@{}", all.empty() ? "" : " ", s.rx_port, s.rx_queue, s.tx_port,
                           s.tx_queue, s.lane);
        for (const uint16_t port : s.tee) all += fmt::format("+{}", port);
    }
    return all;
}

std::string planned(const Settings& s, std::vector<uint16_t> ports, size_t lcores, uint16_t txq = 8) {
    std::vector<unsigned> list;
    for (unsigned i = 1; i <= lcores; ++i) list.push_back(i);
    const Result<Plan> plan = plan_streams(s, ports, list, txq);
    return plan.ok() ? text(Result<Plan>(plan).value()) : plan.error().text;
}

TEST(Topology, EachTopologyPairsPortsByTheirPlaceInTheList) {
    Settings s;
    EXPECT_EQ(planned(s, {0, 1}, 1), "0/0>1/0@0 1/0>0/0@0");
    EXPECT_EQ(planned(s, {3, 5, 7, 9}, 1), "3/0>5/0@0 5/0>3/0@0 7/0>9/0@0 9/0>7/0@0");
    EXPECT_EQ(planned(s, {0, 1, 2}, 1), "0/0>1/0@0 1/0>0/0@0 2/0>2/0@0") << "the odd one";
    EXPECT_EQ(planned(s, {4}, 1), "4/0>4/0@0");
    s.topology = Topology::chained;
    EXPECT_EQ(planned(s, {0, 1, 2}, 1), "0/0>1/0@0 1/0>2/0@0 2/0>0/0@0");
    s.topology = Topology::loop;
    EXPECT_EQ(planned(s, {0, 1}, 1), "0/0>0/0@0 1/0>1/0@0");
}

TEST(Topology, QueuesAreDealtToLcoresLikeTestpmd) {
    Settings s;
    s.rxq = 2;
    EXPECT_EQ(planned(s, {0, 1}, 2), "0/0>1/0@0 1/0>0/0@0 0/1>1/1@1 1/1>0/1@1");
    EXPECT_EQ(planned(s, {0, 1}, 3), "0/0>1/0@0 1/0>0/0@1 0/1>1/1@2 1/1>0/1@2") << "the last take more";
    s.rxq = 1;
    EXPECT_EQ(planned(s, {0, 1}, 4), "0/0>1/0@0 1/0>0/0@1") << "no lcore without a stream";
}

TEST(Topology, AnAnswerLeavesByThePortThatWasAsked) {
    Settings s;
    s.mode = "icmpecho";
    EXPECT_EQ(planned(s, {0, 1, 2}, 1), "0/0>0/0@0 1/0>1/0@0 2/0>2/0@0");
}

TEST(Topology, ARoutedPacketMayLeaveByAnyPortFromTheLcoresOwnQueue) {
    Settings s;
    s.mode = "route";
    EXPECT_EQ(planned(s, {0, 1, 2}, 1), "0/0>1/0@0+0+2 1/0>0/0@0+1+2 2/0>2/0@0+0+1");
    EXPECT_EQ(planned(s, {0, 1}, 2), "0/0>1/0@0+0 1/0>0/1@1+1");
    EXPECT_NE(planned(s, {0, 1}, 2, 1).find("--txq=2"), std::string::npos);
    s.nb_cores = 4;
    EXPECT_EQ(queues_wanted(s), 4);
}

TEST(Topology, ATeeCopiesToEveryOtherPortFromItsOwnQueue) {
    Settings s;
    s.mode = "tee";
    s.nb_cores = 2;
    EXPECT_EQ(planned(s, {0, 1, 2}, 2), "0/0>1/0@0+2 1/0>0/1@1+2 2/0>0/1@1+1");
    EXPECT_EQ(queues_wanted(s), 2);
    EXPECT_NE(planned(s, {0, 1, 2}, 2, 1).find("start again with --txq=2"), std::string::npos);
}

TEST(Topology, PortsWithAModeOfTheirOwnForwardBetweenThemselves) {
    Settings s;
    s.mode = "macswap";
    s.port_modes = {{{1}, "seqgen"}, {{2, 3, 5}, "tee"}, {{6, 7}, "icmpecho"}};
    EXPECT_EQ(planned(s, {0, 1, 2, 3, 4, 5, 6, 7}, 1),
              "0/0>4/0@0 1/0>1/0@0 2/0>3/0@0+5 3/0>2/0@0+5 4/0>0/0@0 5/0>2/0@0+3 6/0>6/0@0 7/0>7/0@0");
    s.port_modes = {{{3, 0}, "io"}};
    EXPECT_EQ(planned(s, {0, 1, 2, 3}, 1), "0/0>3/0@0 1/0>2/0@0 2/0>1/0@0 3/0>0/0@0") << "in the order that was given";
    s.port_modes = {{{0, 1}, "io"}};
    EXPECT_EQ(planned(s, {0, 1}, 1), "0/0>1/0@0 1/0>0/0@0") << "and nobody is left for --forward-mode";
    s.port_modes = {{{0, 9}, "io"}};
    EXPECT_NE(planned(s, {0, 1}, 1).find("--port-mode=0,9:io: port 9 is not there"), std::string::npos);
}

TEST(Topology, RoutesOfOneGroupLeadToItsPortsOnly) {
    Settings s;
    s.mode = "route";
    s.nb_cores = 2;
    s.port_modes = {{{1, 3}, "io"}};
    EXPECT_EQ(planned(s, {0, 1, 2, 3, 4}, 2), "0/0>2/0@0+0+4 1/0>3/0@0 2/0>0/1@1+2+4 3/0>1/0@1 4/0>4/1@1+0+2");
    EXPECT_EQ(queues_wanted(s), 2);
    s.mode = "io";
    EXPECT_EQ(queues_wanted(s), 1);
    s.port_modes = {{{1, 3}, "route"}};
    EXPECT_EQ(queues_wanted(s), 2) << "whoever fans out";
}

TEST(Topology, EachReceiveQueueNeedsATransmitQueue) {
    Settings s;
    s.rxq = 4;
    EXPECT_EQ(queues_wanted(s), 4);
    EXPECT_NE(planned(s, {0, 1}, 1, 2).find("--txq=4"), std::string::npos);
}

TEST(Topology, PortsAreChosenByListOrCount) {
    Settings s;
    EXPECT_EQ(choose_ports(s, {0, 1, 2}).value(), (std::vector<uint16_t>{0, 1, 2}));
    s.nb_ports = 2;
    EXPECT_EQ(choose_ports(s, {0, 1, 2}).value(), (std::vector<uint16_t>{0, 1}));
    s.port_list = {2, 0};
    EXPECT_EQ(choose_ports(s, {0, 1, 2}).value(), (std::vector<uint16_t>{2, 0}));
    s.port_list = {7};
    EXPECT_NE(choose_ports(s, {0, 1}).error().text.find("port 7 is not there"), std::string::npos);
    EXPECT_NE(choose_ports({}, {}).error().text.find("--vdev"), std::string::npos);
    s.port_list = {};
    s.nb_ports = 4;
    EXPECT_NE(choose_ports(s, {0, 1}).error().text.find("only 2"), std::string::npos);
}

TEST(Topology, MoreLcoresThanThereAreIsRefusedWithTheRemedy) {
    Settings s;
    s.nb_cores = 3;
    EXPECT_NE(choose_lcores(s, {1, 2}).error().text.find("--lcores"), std::string::npos);
    EXPECT_EQ(choose_lcores(s, {1, 2, 3, 4}).value(), (std::vector<unsigned>{1, 2, 3}));
    s.nb_cores = 1;
    EXPECT_NE(choose_lcores(s, {}).error().text.find("--lcores"), std::string::npos);
    s.core_list = {9};
    EXPECT_NE(choose_lcores(s, {1, 2}).error().text.find("lcore 9"), std::string::npos);
    s.core_list = {2};
    EXPECT_EQ(choose_lcores(s, {1, 2}).value(), (std::vector<unsigned>{2}));
}

TEST(ZonesPlan, APoolIsTheSumOfItsTerms) {
    ZoneInput in;
    in.ports = in.rx_ports = 2;
    in.rxd = in.txd = 512;
    uint64_t n = 0;
    for (const Term& term : packet_terms(in)) n += term.n;
    EXPECT_EQ(sum(packet_terms(in)), n);
    const uint32_t before = sum(packet_terms(in));
    in.rxd = 1024;
    EXPECT_EQ(sum(packet_terms(in)), before + 512 * 2);
}

TEST(ZonesPlan, APortThatMayComeCountsWithOneQueue) {
    ZoneInput in;
    in.ports = in.rx_ports = 1;
    in.rxq = in.txq = 4;
    in.rxd = in.txd = 512;
    const uint32_t fixed = sum(packet_terms(in));
    in.spare_ports = 2;
    EXPECT_EQ(sum(packet_terms(in)), fixed + 2 * (512 + 512 + 1024)) << "descriptors and a soft ring";
    in.rxq = in.txq = 8;
    EXPECT_EQ(sum(packet_terms(in)), fixed + 2 * (512 + 512 + 1024) + 4 * (512 + 512 + 1024));
}

TEST(ZonesPlan, WhatIsCutHasAHeadWhereverItWaits) {
    ZoneInput in;
    in.ports = in.rx_ports = 2;
    in.rxd = in.txd = 512;
    const uint32_t views = sum(header_terms(in));
    in.cuts = true;
    EXPECT_EQ(sum(header_terms(in)), views + 2 * (512 + 1024));
    EXPECT_EQ(zone_config(in).mbufs, sum(header_terms(in)));
}

TEST(ZonesPlan, TheSmallestRoomThatHoldsAFrameIsTaken) {
    Settings s;
    EXPECT_EQ(data_rooms(s), (std::vector<uint32_t>{2048}));
    s.mbuf_sizes = {9728 + 128, 2176};
    EXPECT_EQ(data_rooms(s), (std::vector<uint32_t>{2048, 9728}));
    EXPECT_EQ(room_for(data_rooms(s), 1500), 2048u);
    EXPECT_EQ(room_for(data_rooms(s), 2048 - 26), 2048u) << "Ethernet, CRC and two tags fit just so";
    EXPECT_EQ(room_for(data_rooms(s), 2048 - 25), 9728u);
    EXPECT_EQ(room_for(data_rooms(s), 16000), 9728u) << "none does: the largest, and chains";
}

TEST(ZonesPlan, ACacheNeverSwallowsItsPool) {
    EXPECT_EQ(cache_of(250, 100000), 250u);
    EXPECT_EQ(cache_of(250, 300), 200u);
    EXPECT_LE(cache_of(UINT32_MAX, 100000), uint32_t{RTE_MEMPOOL_CACHE_MAX_SIZE});
}

}  // namespace
}  // namespace umbuf::fwd
