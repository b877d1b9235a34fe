// SPDX-License-Identifier: BSD-2-Clause
// unmapped_driver_test.cc - pages out of drivers that read, map or pass them on in their own ways (R13).
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

#include <net/ethernet.h>

#include "drivers/net/page_proof.h"
#include "tests/unit/capture_file.h"
#include "tests/unit/paged_packets.h"
#include "tests/unit/program.h"

namespace umbuf::test {
namespace {

class UnmappedDriver : public PagedPortTest {};

struct TempSocket {
    std::filesystem::path path =
        std::filesystem::temp_directory_path() / (fresh_name("umbuf_s") + std::to_string(getpid()));
    ~TempSocket() {
        std::error_code none;
        std::filesystem::remove(path, none);
    }
};

TEST_F(UnmappedDriver, R13_PcapWritesWhatThePagesHold) {
    TempFile in("pages_in"), out("pages_out");
    write_capture(in.path, {});
    auto port = configured(device("net_pcap", "rx_pcap=" + in.path.string() + ",tx_pcap=" + out.path.string()));
    open(*port);
    EXPECT_EQ(port->pages().way(), PageWay::windows);
    for (const size_t n : {1u, 1000u, 8000u}) EXPECT_TRUE(send(*port, paged(pattern(n))));
    EXPECT_EQ(port->pages().counts().windows, 3u);
    gone(std::move(port));
    const auto written = read_capture(out.path);
    ASSERT_EQ(written.size(), 3u);
    EXPECT_EQ(written[2], head_bytes() + pattern(8000));
}

TEST_F(UnmappedDriver, R13_ADriverThatReadsWithTheCpuIsNotBelieved) {
    TempFile in("refused_in"), out("refused_out");
    write_capture(in.path, {});
    const uint16_t id = device("net_pcap", "rx_pcap=" + in.path.string() + ",tx_pcap=" + out.path.string());
    const auto port = Port::configure(id, believed());
    ASSERT_FALSE(port.ok());
    EXPECT_NE(port.error().text.find("reads them with the CPU"), std::string::npos) << port.error().text;
    gone(configured(id));
}

// ---- rings

TEST_F(UnmappedDriver, R13_ARingOfEalsOwnProvesThatPagesGoRound) {
    auto port = configured(device("net_ring", ""));
    ASSERT_TRUE(port->start().ok());
    EXPECT_EQ(port->pages().way(), PageWay::windows) << "until it is proven";
    prove_pages({port.get()});
    EXPECT_EQ(port->pages().way(), PageWay::as_is) << port->pages_because();
    EXPECT_EQ(page_counters().in_use[1], 0u) << "the test's page is home";
    port->open_tx();
    port->open_rx();
    const std::string payload = pattern(900);
    ASSERT_TRUE(send(*port, paged(payload)));
    expect_bytes(receive(*port), payload);
    gone(std::move(port));
}

TEST_F(UnmappedDriver, R13_AForeignRingIsNotTested) {
    Loop loop;
    ASSERT_TRUE(loop.port->start().ok());
    prove_pages({loop.port.get()});
    EXPECT_EQ(loop.port->pages().way(), PageWay::windows);
    EXPECT_EQ(loop.port->drained(), 0u);
    EXPECT_EQ(rte_ring_count(loop.ring.get()), 0u) << "no frame of ours in somebody's ring";
}

// The loop's other end loses, or changes, what is in pages: a device that does not DMA as we think.
TEST_F(UnmappedDriver, R13_ABlackHoleAndAChangerAreRefusedPages) {
    for (const bool swallow : {true, false}) {
        auto port = configured(device("net_ring", ""));
        ASSERT_TRUE(port->start().ok());
        const auto spoil = [](uint16_t, uint16_t, rte_mbuf** burst, uint16_t n, uint16_t, void* how) {
            if (n == 0 || burst[0]->nb_segs < 2 || page_of(Mbuf::of(burst[0])->next()) == nullptr) return n;
            if (how == nullptr) {
                const WriteWindow out(Mbuf::of(burst[0])->next(), 500, 1);
                *out.bytes() ^= std::byte{1};
                return n;
            }
            rte_pktmbuf_free(burst[0]);
            return uint16_t{0};
        };
        static int yes = 1;
        const auto* callback = rte_eth_add_rx_callback(port->id(), 0, spoil, swallow ? &yes : nullptr);
        ASSERT_NE(callback, nullptr);
        prove_pages({port.get()});
        EXPECT_EQ(port->pages().way(), PageWay::copies) << port->pages_because();
        EXPECT_TRUE(has_note(*port, swallow ? "a black hole" : "other bytes arrived")) << notes_of(*port);
        rte_eth_remove_rx_callback(port->id(), 0, callback);
        port->open_tx();
        port->open_rx();
        ASSERT_TRUE(send(*port, paged(pattern(900))));
        expect_bytes(receive(*port), pattern(900));
        EXPECT_EQ(port->pages().counts().copies, 1u);
        gone(std::move(port));
    }
}

// ---- virtio-user and vhost-user, both here

struct VirtioPair {
    explicit VirtioPair(const std::string& more) {
        vhost = configured(device("net_vhost", "iface=" + socket.path.string()));
        EXPECT_TRUE(vhost->start().ok());
        virtio = configured(device("net_virtio_user", "path=" + socket.path.string() + more));
        EXPECT_TRUE(virtio->start().ok());
    }
    ~VirtioPair() {
        for (auto* port : {&virtio, &vhost}) EXPECT_TRUE((*port)->halt({}).ok());
        for (auto* port : {&virtio, &vhost}) EXPECT_TRUE((*port)->close(true).ok());
    }
    void open() const {
        for (Port* port : {virtio.get(), vhost.get()}) {
            port->open_tx();
            port->open_rx();
        }
    }
    TempSocket socket;
    std::unique_ptr<Port> vhost, virtio;
};

class VirtioPages : public PagedPortTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(VirtioPages, R13_AVhostUserProcessReadsThePagesThemselves) {
    VirtioPair pair(GetParam());
    prove_pages({pair.vhost.get(), pair.virtio.get()});
    EXPECT_EQ(pair.virtio->pages().way(), PageWay::as_is);
    EXPECT_NE(pair.virtio->pages_because().find("came out right"), std::string::npos) << pair.virtio->pages_because();
    EXPECT_EQ(pair.vhost->pages().way(), PageWay::windows);
    EXPECT_NE(pair.vhost->pages_because().find("came out right"), std::string::npos) << pair.vhost->pages_because();
    pair.open();
    const uint64_t copied = copied_for(CopiedFor::nic);
    // Without mergeable buffers nothing long is received.
    const size_t longest = std::string(GetParam()).find("mrg_rxbuf=0") == std::string::npos ? 9000 : 1500;
    for (const size_t n : {size_t{1}, size_t{777}, size_t{1400}, longest}) {
        ASSERT_TRUE(send(*pair.virtio, paged(pattern(n), PageClass::cache)));
        expect_bytes(until_received(*pair.vhost), pattern(n));
        ASSERT_TRUE(send(*pair.vhost, paged(pattern(n))));
        expect_bytes(until_received(*pair.virtio), pattern(n));
    }
    EXPECT_EQ(pair.virtio->pages().counts().as_is, 4u);
    EXPECT_EQ(pair.vhost->pages().counts().windows, 4u);
    EXPECT_EQ(copied_for(CopiedFor::nic), copied) << "by us; vhost copies what it takes and gives";
}

// virtio-user gives back what it has sent when it needs the room, and cannot be asked: closed at the latest.
TEST_F(UnmappedDriver, R34_PagesComeHomeWhenThePortIsClosed) {
    for (const char* ring : {",packed_vq=0", ",packed_vq=1"}) {
        {
            VirtioPair pair(ring);
            pair.open();
            for (uint32_t i = 0; i < 20; ++i) {
                ASSERT_TRUE(send(*pair.virtio, paged(pattern(1000))));
                expect_bytes(until_received(*pair.vhost), pattern(1000));
            }
            EXPECT_GT(page_counters().in_use[1], 0u) << "or this tests nothing";
        }
        EXPECT_EQ(page_counters().in_use[1], 0u) << ring;
    }
}

INSTANTIATE_TEST_SUITE_P(Rings, VirtioPages, ::testing::Values("", ",packed_vq=1", ",mrg_rxbuf=0"),
                         [](const auto& test) { return "kind" + std::to_string(test.index); });

// ---- memif

TEST_F(UnmappedDriver, R13_MemifCarriesWhatThePagesHold) {
    leave_eal = true;
    TempSocket socket;
    const std::string where = "socket-abstract=no,socket=" + socket.path.string();
    auto server = configured(device("net_memif", "role=server," + where));
    ASSERT_TRUE(server->start().ok());
    auto client = configured(device("net_memif", "role=client," + where));
    ASSERT_TRUE(client->start().ok());
    prove_pages({server.get(), client.get()});
    for (Port* port : {server.get(), client.get()}) {
        EXPECT_EQ(port->pages().way(), PageWay::windows);
        EXPECT_NE(port->pages_because().find("came out right"), std::string::npos) << port->pages_because();
        port->open_tx();
        port->open_rx();
    }
    ASSERT_TRUE(send(*client, paged(pattern(1700))));
    expect_bytes(until_received(*server), pattern(1700));
    ASSERT_TRUE(send(*server, paged(pattern(1700))));
    expect_bytes(until_received(*client), pattern(1700));
    for (auto* port : {&client, &server}) gone(std::move(*port));
}

// ---- interfaces of the kernel's, in a namespace of their own

class OwnNet {
  public:
    OwnNet() : old_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) { ok_ = unshare(CLONE_NEWNET) == 0; }
    ~OwnNet() {
        if (ok_) static_cast<void>(setns(old_, CLONE_NEWNET));
        close(old_);
    }
    [[nodiscard]] bool ok() const { return ok_; }

  private:
    int old_;
    bool ok_;
};

// Sniffer - what arrives at an interface, as the kernel has it.
class Sniffer {
  public:
    explicit Sniffer(const char* interface) : fd_(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))) {
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
        EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        const timeval patience{10, 0};
        EXPECT_EQ(setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    }
    ~Sniffer() { close(fd_); }
    // next - the next frame of ours; empty: none came.
    [[nodiscard]] std::string next() const {
        for (;;) {
            std::string frame(65536, '\0');
            const ssize_t n = recv(fd_, frame.data(), frame.size(), 0);
            if (n <= 0) return "";
            frame.resize(static_cast<size_t>(n));
            if (frame.size() > 14 && frame.substr(12, 2) == "\x88\xb5") return frame;
        }
    }

  private:
    int fd_;
};

TEST_F(UnmappedDriver, R13_TapWritesWhatThePagesHold) {
    OwnNet net;
    if (!net.ok() || access("/dev/net/tun", W_OK) != 0) GTEST_SKIP() << "needs root and /dev/net/tun";
    auto port = configured(device("net_tap", "iface=umpages"));
    open(*port);
    const Sniffer sniffer("umpages");
    ASSERT_TRUE(send(*port, paged(pattern(1400))));
    EXPECT_EQ(sniffer.next(), head_bytes() + pattern(1400));
    EXPECT_EQ(port->pages().counts().windows, 1u);
    gone(std::move(port));
}

TEST_F(UnmappedDriver, R13_AfPacketSendsWhatThePagesHold) {
    OwnNet net;
    if (!net.ok()) GTEST_SKIP() << "needs root";
    if (std::system("ip link add umpa type veth peer name umpb && ip link set umpa up && ip link set umpb up") != 0)
        GTEST_SKIP() << "there is no ip(8) that makes a veth";
    auto port = configured(device("net_af_packet", "iface=umpa"));
    open(*port);
    const Sniffer sniffer("umpb");
    ASSERT_TRUE(send(*port, paged(pattern(1400))));
    EXPECT_EQ(sniffer.next(), head_bytes() + pattern(1400));
    EXPECT_EQ(port->pages().counts().windows + port->pages().counts().copies, 1u);
    gone(std::move(port));
}

}  // namespace
}  // namespace umbuf::test
