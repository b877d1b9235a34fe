// SPDX-License-Identifier: BSD-2-Clause
// eal_test.cc - the reasons why DPDK or a device did not start, without starting it.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "drivers/net/eal.h"
#include "drivers/net/eal_args.h"

namespace umbuf::test {
namespace {

EalArgs parsed(std::vector<std::string> text) {
    text.insert(text.begin(), "umfwd");
    std::vector<char*> argv;
    for (std::string& t : text)
        argv.push_back(t.data());
    return EalArgs::of(static_cast<int>(argv.size()), argv.data());
}

void expect_reason(const std::string& reason, const std::vector<std::string>& parts) {
    for (const std::string& part : parts)
        EXPECT_NE(reason.find(part), std::string::npos) << "'" << part << "' in: " << reason;
    EXPECT_EQ(reason.find('\n'), std::string::npos) << "one sentence: " << reason;
}

std::string temp(const char* name) {
    return std::filesystem::temp_directory_path() /
           ("umbuf_" + std::to_string(getpid()) + "_" + name);
}

TEST(EalArgs, EveryWayToGiveAnOptionIsUnderstoodAndOursAreNot) {
    const EalArgs a = parsed({"--vdev=net_null0,size=64", "--vdev", "net_ring0", "-a", "3b:00.0",
                              "-a0000:3b:00.1", "--allow=3b:00.2", "-m", "512", "--no-huge", "-d",
                              "x.so", "--file-prefix=p", "--", "--vdev=ours", "--in-memory"});
    EXPECT_EQ(a.vdevs, (std::vector<std::string>{"net_null0,size=64", "net_ring0"}));
    EXPECT_EQ(a.allowed, (std::vector<std::string>{"3b:00.0", "0000:3b:00.1", "3b:00.2"}));
    EXPECT_EQ(a.plugins, (std::vector<std::string>{"x.so"}));
    EXPECT_EQ(a.memory_mb, 512u);
    EXPECT_EQ(a.file_prefix, "p");
    EXPECT_TRUE(a.no_huge);
    EXPECT_FALSE(a.in_memory || a.help || a.log_level);
    EXPECT_TRUE(parsed({"--vdev"}).vdevs.empty()) << "a missing value is EAL's to report";
}

TEST(WhyNoDevice, TheMissingThingAndTheRemedyAreNamed) {
    const std::string none = temp("none");
    expect_reason(why_no_device("net_virtio_user0,path=" + none),
                  {"--vdev=net_virtio_user0", "no socket " + none, "start the vhost-user side"});
    expect_reason(why_no_device("net_virtio_user0,queues=1"), {"needs path="});
    expect_reason(why_no_device("net_af_packet0,iface=um_no_such"),
                  {"no network interface 'um_no_such'", "ip link"});
    expect_reason(why_no_device("net_af_packet0"), {"needs iface="});
    expect_reason(why_no_device("net_pcap0,rx_pcap=" + none),
                  {"cannot read " + none, "No such file"});
    expect_reason(why_no_device("net_pcap0,tx_pcap=" + none + "/x"),
                  {"cannot write " + none + "/x"});
    expect_reason(why_no_device("net_memif0,socket-abstract=no,socket=" + none + "/s"),
                  {"no folder " + none});
    expect_reason(why_no_device("0000:ff:1f.7"),
                  {"-a 0000:ff:1f.7", "no such PCI device", "lspci"});
    expect_reason(why_no_device("ff:1f.7"), {"no such PCI device"});
}

TEST(WhyNoDevice, ASocketWithoutAListenerIsNotAMissingSocket) {
    const std::string path = temp("dead.sock");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const std::string reason = why_no_device("net_virtio_user0,path=" + path);
    const std::string server = why_no_device("net_virtio_user0,server=1,path=" + path);
    close(fd);
    std::filesystem::remove(path);
    expect_reason(reason, {"nobody listens on " + path});
    expect_reason(server, {"is there already", "remove it"});
}

TEST(WhyNoDevice, TheDriversFirstWordsAreTakenWhenTheFactsExplainNothing) {
    const std::string said =
        "EAL: Detected CPU lcores: 2\n"
        "other_pmd(): not this one\n"
        "vdev_probe(): failed to initialize net_ring7 device\n"
        "parse_kvlist(): could not parse node value from zz\n"
        "rte_pmd_ring_probe(): gave up\n"
        "vdev_probe(): failed to initialize net_ring0 device\n"
        "EAL: Bus (vdev) probe failed.\n";
    expect_reason(why_no_device("net_ring0,nodeaction=zz", said),
                  {"it said: parse_kvlist(): could"});
    expect_reason(why_no_device("net_ring9", said), {"gave no reason"});
}

TEST(WhyNoEal, WhatWasAskedForIsNamedNotWhatDpdkCallsIt) {
    expect_reason(why_no_eal(parsed({"--vdev=net_nosuch0,a=b"}), ENODEV,
                             "EAL: failed to parse device \"net_nosuch0,a=b\"\n"),
                  {"--vdev=net_nosuch0", "no driver", "librte-net-"});
    expect_reason(why_no_eal(parsed({"-a", "zz"}), ENODEV, "EAL: failed to parse device \"zz\"\n"),
                  {"-a zz", "PCI address"});
    expect_reason(
        why_no_eal(
            parsed({"--file-prefix=x"}), 0,
            "EAL: Cannot create lock on '/var/run/dpdk/x/config'. Is another primary process "
            "running?\nEAL: FATAL: Cannot init config\n"),
        {"another DPDK program", "--file-prefix=x"});
    expect_reason(
        why_no_eal(parsed({"-l", "99"}), EINVAL,
                   "EAL: lcore 99 unavailable\nEAL: invalid core list, please check\n\nUsage: "
                   "umfwd [options]\nEAL: Invalid 'command line' arguments.\n"),
        {"invalid core list", "--help"});
    expect_reason(why_no_eal(parsed({}), ENOMEM, ""), {"DPDK did not start", "Cannot allocate"});
}

}  // namespace
}  // namespace umbuf::test
