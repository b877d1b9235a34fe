// SPDX-License-Identifier: BSD-2-Clause
// commands_test.cc - what people type, on a forwarder with two real ports made of rings.
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rte_dev.h>
#include <unistd.h>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/machine/forwarder.h"
#include "app/umfwd/prompt/prompt.h"
#include "app/umfwd/prompt/show.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::fwd {
namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != text.npos;
}

// The devices outlive the tests' forwarders: a net_ring is made once per process.
constexpr const char* kDevices[] = {"net_ring_cmd0", "net_ring_cmd1"};

struct CommandTest : ::testing::Test {
    static inline std::unique_ptr<Forwarder> forwarder;
    static inline std::string a, b;  // the ports' numbers, as typed

    static void SetUpTestSuite() {
        for (const char* device : kDevices)
            ASSERT_EQ(rte_eal_hotplug_add("vdev", device, ""), 0) << device;
        Settings settings;
        settings.total_num_mbufs = 4095;
        Result<std::unique_ptr<Forwarder>> made = Forwarder::create(settings);
        ASSERT_TRUE(made.ok()) << made.error().text;
        forwarder = std::move(made).value();
        const std::vector<Port*> ports = forwarder->ports();
        ASSERT_EQ(ports.size(), 2u) << "another test left its ports behind";
        a = std::to_string(ports[0]->id());
        b = std::to_string(ports[1]->id());
    }
    static void TearDownTestSuite() {
        if (!forwarder) return;
        const Report last = forwarder->halt();
        EXPECT_TRUE(last.pools_balanced) << to_text(last);
        EXPECT_TRUE(last.conserved) << to_text(last);
        forwarder.reset();
        for (const char* device : kDevices)
            rte_eal_hotplug_remove("vdev", device);
    }

    std::string output;
    Session session;
    std::unique_ptr<Prompt> prompt;

    void SetUp() override {
        ASSERT_TRUE(forwarder);
        session.forwarder = forwarder.get();
        session.print = [this](const std::string& text) { output += text; };
        prompt = std::make_unique<Prompt>(commands(), session);
    }
    void TearDown() override {
        if (!forwarder || !forwarder->running()) return;
        EXPECT_TRUE(forwarder->stop().ok());
    }

    // run - what the line printed, or "error: " and its sentence.
    std::string run(const std::string& line) {
        output.clear();
        const Status done = prompt->execute(line);
        return done ? output : "error: " + done.error().text;
    }
    int code_of(const std::string& line) { return prompt->execute(line).error().code; }
};

// ---- forwarding

TEST_F(CommandTest, StartPrintsTheStreamsAndStopPrintsWhatHappened) {
    const std::string started = run("start tx_first 2");
    EXPECT_TRUE(contains(started, "io packet forwarding - ports=2 - cores=1 - streams=2"))
        << started;
    EXPECT_TRUE(contains(started, "RX P=" + a + "/Q=0")) << started;
    const std::string stopped = run("stop");
    EXPECT_TRUE(contains(stopped, "Forward statistics for port " + a)) << stopped;
    EXPECT_TRUE(contains(stopped, "Accumulated forward statistics for all ports")) << stopped;
    EXPECT_TRUE(contains(stopped, "\nDone.\n"));
}

TEST_F(CommandTest, StartAndStopAreRefusedWhenThereIsNothingToDo) {
    EXPECT_TRUE(contains(run("stop"), "error: packet forwarding not started"));
    EXPECT_EQ(code_of("start"), 0);
    EXPECT_TRUE(contains(run("start"), "error: packet forwarding already started"));
    EXPECT_EQ(code_of("stop"), 0);
}

TEST_F(CommandTest, QuitAsksForTheEndAndTouchesNothing) {
    EXPECT_EQ(run("start").substr(0, 2), "io");
    EXPECT_EQ(run("quit"), "");
    EXPECT_TRUE(session.quit);
    EXPECT_TRUE(forwarder->running());
}

TEST_F(CommandTest, SelftestEspTriesEachAlgorithmOnEachEngineThatIsHere) {
    const std::string text = run("selftest esp");
    std::istringstream lines(text);
    size_t n = 0;
    for (std::string line; std::getline(lines, line); ++n) {
        EXPECT_TRUE(line.starts_with("ipsec-mb ")) << line;
        EXPECT_TRUE(line.ends_with(" ok")) << line;
    }
    EXPECT_EQ(n, 35u) << text;
}

// ---- settings

TEST_F(CommandTest, ASettingIsRefusedWhileForwardingAndKeptWhenStopped) {
    const Settings before = forwarder->settings();
    EXPECT_EQ(code_of("start"), 0);
    for (const std::string line :
         {"set burst 8", "set fwd mac", "set nbcore 1", "set nbport 1", "set portlist 0",
          "set corelist 1", "set topology loop", "set txpkts 64,64", "set flush_rx off"})
        EXPECT_EQ(code_of(line), EBUSY) << line;
    EXPECT_EQ(forwarder->settings().burst, before.burst);
    EXPECT_EQ(code_of("stop"), 0);

    EXPECT_EQ(run("set burst 8"), "Number of packets per burst set to 8\n");
    EXPECT_EQ(forwarder->settings().burst, 8);
    EXPECT_EQ(run("set fwd macswap"), "Set macswap packet forwarding mode\n");
    EXPECT_EQ(forwarder->settings().mode, "macswap");
    EXPECT_EQ(run("set topology loop"), "Port topology set to loop\n");
    EXPECT_EQ(forwarder->settings().topology, Topology::loop);
    EXPECT_EQ(run("set txpkts 64,128"), "Segment lengths set to 64,128\n");
    EXPECT_EQ(forwarder->settings().txpkts, (std::vector<uint16_t>{64, 128}));
    EXPECT_EQ(code_of("set portlist " + b), 0);
    EXPECT_EQ(forwarder->settings().port_list.size(), 1u);
    EXPECT_EQ(code_of("set flush_rx off"), 0);
    EXPECT_FALSE(forwarder->settings().flush_rx);
    EXPECT_EQ(code_of("set ext-pgs off"), 0);
    EXPECT_TRUE(contains(run("show config pages"), "(ext-pgs): off\nNo arena"));
    EXPECT_EQ(code_of("set ext-pgs on"), 0);
    EXPECT_EQ(code_of("set eth-peer " + a + " 02:00:00:00:0a:0b"), 0);
    EXPECT_EQ(forwarder->settings().peers.begin()->second.addr_bytes[5], 0x0b);
    EXPECT_TRUE(contains(run("show config fwd"), "macswap packet forwarding - ports=1"));
    EXPECT_TRUE(contains(run("show config rxtx"), "macswap packet forwarding packets/burst=8"));
    EXPECT_TRUE(contains(run("show config txpkts"), "Number of segments: 2"));
    ASSERT_TRUE(forwarder->change([&](Settings& s) { s = before; }).ok());
}

TEST_F(CommandTest, AValueThatCannotBeIsRefusedInOneSentence) {
    for (const std::string line :
         {"set burst 0", "set burst 513", "set nbcore 0", "set nbcore 4000", "set nbport 60000",
          "set portlist 900", "set portlist 0,,1", "set corelist 99", "set corelist x",
          "set txpkts 1", "set txpkts", "set fwd teleport", "set log global 9",
          "set log global 0"}) {
        const std::string said = run(line);
        EXPECT_EQ(said.substr(0, 7), "error: ") << line << ": " << said;
        EXPECT_FALSE(contains(said, "\n")) << said;
    }
    EXPECT_EQ(forwarder->settings().burst, 32);
}

TEST_F(CommandTest, ARefusedSettingSpeaksOfTheCommandNotOfAnOption) {
    for (const std::string line :
         {"set burst 0", "set burst 513", "set nbcore 0", "set nbcore 4000", "set nbport 0",
          "set nbport 60000", "set portlist 900", "set corelist 99", "set txpkts 1"}) {
        const std::string said = run(line), command = line.substr(0, line.rfind(' '));
        EXPECT_EQ(said.substr(0, 7 + command.size()), "error: " + command) << said;
        EXPECT_FALSE(contains(said.substr(0, 30), "--")) << said;
    }
    EXPECT_TRUE(contains(run("set nbport 0"), "a number from 1 to 65535"));
    EXPECT_EQ(forwarder->settings().nb_ports, 0) << "all";
}

TEST_F(CommandTest, TxFirstIsBounded) {
    for (const std::string n : {"0", "65536", "4000000000"})
        EXPECT_TRUE(contains(run("start tx_first " + n), "a number from 1 to 65535")) << n;
    EXPECT_FALSE(forwarder->running());
}

TEST_F(CommandTest, ShowConfigCountsThePortsThatTheNextStartUses) {
    EXPECT_TRUE(contains(run("show config rxtx"), "nb forwarding ports=2\n")) << output;
    EXPECT_TRUE(contains(output, "RX desc=driver's default")) << output;
    EXPECT_EQ(code_of("set portlist " + b), 0);
    EXPECT_TRUE(contains(run("show config rxtx"), "nb forwarding ports=1\n")) << output;
    EXPECT_EQ(code_of("set portlist " + a + "," + b), 0);
    EXPECT_EQ(code_of("set nbport 1"), 0);
    EXPECT_TRUE(contains(run("show config rxtx"), "nb forwarding ports=1\n")) << output;
    ASSERT_TRUE(forwarder->change([](Settings& s) { s.port_list = {}, s.nb_ports = 0; }).ok());
}

TEST_F(CommandTest, WhatIsAlwaysOnCanBeSwitchedOnAndNotOff) {
    for (const std::string what : {"record-core-cycles", "record-burst-stats"}) {
        EXPECT_EQ(run("set " + what + " on"), what + " is always on\n");
        EXPECT_EQ(code_of("set " + what + " off"), ENOTSUP);
    }
}

TEST_F(CommandTest, AllMulticastIsSwitched) {
    EXPECT_EQ(code_of("set allmulti all on"), 0);
    EXPECT_TRUE(contains(run("show port info " + a), "Allmulticast mode: enabled"));
    EXPECT_EQ(code_of("set allmulti all off"), 0);
    EXPECT_TRUE(contains(run("show port info " + a), "Allmulticast mode: disabled"));
}

TEST_F(CommandTest, AWrongModeIsAnsweredWithTheModesOfTheEngineTable) {
    const std::string said = run("set fwd teleport");
    for (const Engine* engine : engines())
        EXPECT_TRUE(contains(said, engine->name)) << said;
    for (const Engine* engine : engines()) {
        const std::string name = engine->name;  // two of them are about a file, and none was named
        EXPECT_EQ(code_of("set fwd " + name), name == "sendfile" || name == "recvfile" ? EINVAL : 0) << name;
    }
    EXPECT_EQ(code_of("set fwd io"), 0);
}

// ---- show

TEST(ShowTest, ThePortStatisticsHaveTestpmdsWordsAndColumns) {
    ShownStats shown;
    PortNic nic;
    EXPECT_EQ(show::port_stats(0, nic, shown, 1000, 1000),
              "\n  ######################## NIC statistics for port 0  ########################\n"
              "  RX-packets: 0          RX-missed: 0          RX-bytes:  0\n"
              "  RX-errors: 0\n"
              "  RX-nombuf:  0         \n"
              "  TX-packets: 0          TX-errors: 0          TX-bytes:  0\n"
              "\n"
              "  Throughput (since last show)\n"
              "  Rx-pps:            0          Rx-bps:            0\n"
              "  Tx-pps:            0          Tx-bps:            0\n"
              "  ############################################################################\n");
}

TEST(ShowTest, TheRatesAreThoseSinceTheLastShow) {
    ShownStats shown;
    PortNic nic;
    nic.rx_packets = 1000;
    static_cast<void>(show::port_stats(12, nic, shown, 5000, 1000));
    nic.rx_packets += 300;
    nic.rx_bytes += 3000;
    nic.tx_packets += 40;
    nic.tx_bytes += 80;
    const std::string text = show::port_stats(12, nic, shown, 7000, 1000);  // two seconds
    EXPECT_TRUE(contains(text, "NIC statistics for port 12 ####")) << text;
    EXPECT_TRUE(contains(text, "  Rx-pps:          150          Rx-bps:        12000\n")) << text;
    EXPECT_TRUE(contains(text, "  Tx-pps:           20          Tx-bps:          320\n")) << text;
    nic = {};  // cleared: the counters went back
    EXPECT_TRUE(contains(show::port_stats(12, nic, shown, 8000, 1000), "Rx-pps:            0"));
}

TEST_F(CommandTest, TheTextHasTheNumbersOfTheReport) {
    EXPECT_EQ(code_of("start tx_first 4"), 0);
    EXPECT_EQ(code_of("stop"), 0);
    const Report report = forwarder->report();
    for (const PortForward& port : report.ports) {
        const std::string text = run("show port stats " + std::to_string(port.port));
        EXPECT_TRUE(contains(text, fmt::format("RX-packets: {:<10} ", port.nic.rx_packets)))
            << text;
        EXPECT_TRUE(contains(text, fmt::format("TX-packets: {:<10} ", port.nic.tx_packets)))
            << text;
    }
    EXPECT_TRUE(contains(run("show fwd stats all"),
                         fmt::format("RX-packets: {:<14} ", report.all.rx_packets)));
}

TEST_F(CommandTest, ClearedStatisticsStartAtZero) {
    EXPECT_EQ(code_of("start tx_first"), 0);
    EXPECT_EQ(code_of("stop"), 0);
    EXPECT_EQ(code_of("clear fwd stats all"), 0);
    EXPECT_EQ(forwarder->report().all.rx_packets, 0u);
    EXPECT_TRUE(contains(run("clear port stats all"), "NIC statistics for port " + a + " cleared"));
    EXPECT_TRUE(contains(run("show port stats " + a), "RX-packets: 0          RX-missed: 0"));
    EXPECT_EQ(code_of("clear port xstats " + a), 0);
}

TEST_F(CommandTest, ThePortsAreDescribedInTestpmdsWords) {
    const std::string info = run("show port info " + a);
    for (const char* words :
         {"********************* Infos for port ", "MAC address: ", "Device name: net_ring_cmd0\n",
          "Driver name: net_ring\n", "Connect to socket: ", "Link status: up\n", "MTU: 1500\n",
          "Promiscuous mode: ", "Current number of RX queues: 1\n", "Device capabilities: 0x"})
        EXPECT_TRUE(contains(info, words)) << words << " in " << info;
    const std::string summary = run("show port summary all");
    EXPECT_EQ(
        summary.find("Number of available ports: 2\nPort MAC Address       Name         Driver  "
                     "       Status   Link\n"),
        0u)
        << summary;
    EXPECT_TRUE(contains(summary, " net_ring_cmd1 net_ring       up ")) << summary;
    EXPECT_TRUE(contains(run("show port xstats " + a), "NIC extended statistics for port " + a));
    EXPECT_TRUE(contains(run("show device info all"), "Bus name: vdev"));
    EXPECT_TRUE(contains(run("show device info net_ring_cmd1"), "Infos for device net_ring_cmd1"));
    EXPECT_EQ(code_of("show device info net_ring_cmd9"), ENODEV);
    EXPECT_TRUE(contains(run("show config cores"), "List of forwarding lcores:  1"));
}

TEST_F(CommandTest, AnUnknownPortIsAnsweredWithTheOnesThereAre) {
    for (const std::string line :
         {"show port info 999", "show port stats 999", "clear port stats 999",
          "show rxq info 999 0", "port stop 999", "set promisc 999 on",
          "set eth-peer 999 02:00:00:00:00:01", "port config mtu 999 1500"})
        EXPECT_TRUE(contains(run(line),
                             "error: port 999: there is no such port; there are: " + a + ", " + b))
            << line << ": " << run(line);
    EXPECT_EQ(code_of("port detach 999"), ENODEV);
}

TEST_F(CommandTest, AQueueThatTheDriverDoesNotTellAboutIsAnError) {
    EXPECT_TRUE(
        contains(run("show rxq info " + a + " 0"), "error: port " + a + " (net_ring): RX queue 0"));
    EXPECT_TRUE(
        contains(run("show txq info " + a + " 7"), "error: port " + a + " (net_ring): TX queue 7"));
}

TEST_F(CommandTest, ShowMbufListsEveryZone) {
    const std::string text = run("show mbuf");
    for (const ZoneReport& zone : forwarder->report().zones)
        EXPECT_TRUE(contains(text, zone.name)) << zone.name << " in " << text;
    EXPECT_TRUE(contains(text, "Headers set aside for a foreign clone: "));
}

// ---- ports

TEST_F(CommandTest, APortStopsAndStartsWhileForwarding) {
    EXPECT_EQ(code_of("start tx_first 2"), 0);
    EXPECT_EQ(run("port stop " + b), "Stopping ports...\nDone\n");
    EXPECT_TRUE(contains(run("port stop " + b), "error: port " + b + " is stopped already"));
    EXPECT_TRUE(contains(run("port stop all"), "port " + b + " is stopped already\nDone\n"));
    EXPECT_EQ(run("port start all"), "Starting ports...\nDone\n");
    EXPECT_EQ(code_of("stop"), 0);
    EXPECT_TRUE(forwarder->report().conserved);
}

TEST_F(CommandTest, AResetPortForwardsAgain) {
    EXPECT_EQ(code_of("start tx_first"), 0);
    EXPECT_EQ(run("port reset " + b), "Resetting ports...\nDone\n");
    EXPECT_EQ(forwarder->find_port(static_cast<uint16_t>(std::stoi(b)))->phase(), PortPhase::rx_open);
    EXPECT_EQ(code_of("stop"), 0);
    EXPECT_EQ(code_of("port stop " + b), 0);
    EXPECT_EQ(run("port reset all"), "Resetting ports...\nDone\n") << "a stopped port starts";
    EXPECT_EQ(code_of("start"), 0);
    EXPECT_TRUE(forwarder->report().ports.size() == 2u);
}

TEST_F(CommandTest, AnMtuIsNotChangedUnderTheLanes) {
    EXPECT_EQ(code_of("start"), 0);
    EXPECT_EQ(code_of("port config mtu " + a + " 1400"), EBUSY);
    EXPECT_TRUE(contains(run("port config mtu all 1400"), "while packets are forwarded"));
    EXPECT_EQ(code_of("stop"), 0);
    EXPECT_NE(code_of("port config mtu " + a + " 1400"), EBUSY);
}

TEST_F(CommandTest, ADeviceIsAttachedAndDetached) {
    const std::string attached = run("port attach net_null_cmd0");
    ASSERT_TRUE(contains(attached, "is attached. Now total ports is 3\nDone\n")) << attached;
    const std::string id = std::to_string(forwarder->ports().back()->id());
    EXPECT_EQ(code_of("port start " + id), 0);
    EXPECT_TRUE(contains(run("show port summary all"), "net_null_cmd0"));
    const std::string detached = run("port detach " + id);
    EXPECT_TRUE(contains(detached, "Device is detached\nNow total ports is 2\nDone\n")) << detached;
    EXPECT_EQ(forwarder->ports().size(), 2u);
    EXPECT_EQ(run("port attach no_such_driver0").substr(0, 7), "error: ");
    EXPECT_EQ(forwarder->ports().size(), 2u);
}

TEST_F(CommandTest, AnMtuBeyondTheReceiveBuffersIsRefusedWithTheRemedy) {
    EXPECT_TRUE(
        contains(run("port config mtu " + a + " 9000"), "start umfwd with --max-pkt-len=9018"));
}

// ---- the rest

TEST_F(CommandTest, HelpListsAllOrThePartAskedFor) {
    const std::string all = run("help");
    for (const Command& command : commands())
        EXPECT_TRUE(contains(all, command.grammar));
    const std::string part = run("help dump_");
    EXPECT_TRUE(contains(part, "dump_ring"));
    EXPECT_FALSE(contains(part, "set burst"));
    EXPECT_EQ(code_of("help teleport"), ENOENT);
    EXPECT_EQ(run("help all"), all);
    for (const std::string section : {"control", "display", "config", "ports", "devices"})
        EXPECT_EQ(code_of("help " + section), 0) << "a section of testpmd: " << section;
    EXPECT_TRUE(contains(run("help control"), "quit"));
    EXPECT_FALSE(contains(run("help control"), "set burst"));
}

TEST_F(CommandTest, DumpsCarryWhatDpdkWrites) {
    EXPECT_TRUE(contains(run("dump_mempool"), "um_"));
    EXPECT_TRUE(contains(run("dump_ring"), "ring <"));
    EXPECT_TRUE(contains(run("dump_memzone"), "Zone 0: name:<"));
    EXPECT_TRUE(contains(run("dump_lcores"), "lcore"));
    EXPECT_FALSE(run("dump_physmem").empty());
    EXPECT_TRUE(contains(run("dump_socket_mem"), "Heap"));
    const std::string zone = forwarder->report().zones.front().name;
    EXPECT_TRUE(contains(run("dump_mempool " + zone), "mempool <" + zone + ">"));
    EXPECT_EQ(code_of("dump_mempool nonsense"), ENOENT);
    EXPECT_EQ(code_of("dump_ring nonsense"), ENOENT);
}

TEST_F(CommandTest, ReferencesAreTracedAndShownInEachWay) {
    const auto path =
        std::filesystem::temp_directory_path() / ("umfwd-trace-" + std::to_string(getpid()));
    EXPECT_TRUE(contains(run("trace refcnt on"), "References are traced: 0 events"));
    m_freem(m_getcl(M_NOWAIT, MT_DATA, M_PKTHDR));
    const std::string all = run("trace refcnt dump");
    EXPECT_TRUE(contains(all, "attached by mbuf") && contains(all, "still held: nothing")) << all;
    const size_t at = all.find("storage ") + 8;
    const std::string address = all.substr(at, all.find(':', at) - at);
    const std::string one = run("trace refcnt dump cluster " + address);
    EXPECT_TRUE(contains(one, "storage " + address + ":\n") && contains(one, "attached by mbuf")) << one;
    EXPECT_FALSE(contains(run("trace refcnt dump last 1"), "attached"));
    EXPECT_FALSE(contains(run("trace refcnt dump cluster " + address + " last 1"), "attached"));
    const std::string cluster = "cluster " + address + " ";
    for (const std::string& which : {std::string(), std::string("last 9 "), cluster, cluster + "last 9 "}) {
        EXPECT_EQ(run("trace refcnt dump " + which + "file " + path.string()), "");
        std::stringstream written;
        written << std::ifstream(path).rdbuf();
        EXPECT_TRUE(contains(written.str(), "attached by mbuf")) << which;
        std::filesystem::remove(path);
    }
    EXPECT_EQ(code_of("trace refcnt dump file /no/such/folder/trace"), ENOENT);
    EXPECT_TRUE(contains(run("trace refcnt off"), "References are not traced: 3 events of 1 threads"));
    EXPECT_TRUE(contains(run("trace refcnt clear"), "References are not traced: 0 events"));
}

TEST_F(CommandTest, LoadRunsAFileOfCommands) {
    const auto path =
        std::filesystem::temp_directory_path() / ("umfwd-commands-" + std::to_string(getpid()));
    std::ofstream(path) << "set burst 16\nset burst 32\n";
    EXPECT_EQ(run("load " + path.string()),
              "Number of packets per burst set to 16\nNumber of packets per burst set to 32\n");
    std::filesystem::remove(path);
    EXPECT_EQ(code_of("load " + path.string()), ENOENT);
}

}  // namespace
}  // namespace umbuf::fwd
