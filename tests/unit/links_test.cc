// SPDX-License-Identifier: BSD-2-Clause
// links_test.cc - a forwarder with cables of its own: hosts and what is between them in one process.
//
// Goal: over a link goes what was sent, and at the end nothing is left in one. Method: modes by port on both ends;
// the generators say what they have seen.
#include "app/umfwd/machine/links.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/machine/forwarder.h"
#include "app/umfwd/packet/mac_text.h"
#include "app/umfwd/verdict.h"
#include "tests/unit/file_fixture.h"

namespace umbuf::fwd {
namespace {

template <class Condition>
bool until(const Condition& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        usleep(500);
    }
    return true;
}

uint64_t drops(const Report& report, const std::string& mode, Drop why) {
    uint64_t n = 0;
    for (const StreamReport& s : report.streams) n += s.mode == mode ? s.drops[static_cast<size_t>(why)] : 0;
    return n;
}

class LinksTest : public test::MbufTest {
  protected:
    void SetUp() override {
        test::MbufTest::SetUp();
        if (rte_lcore_count() < 3) GTEST_SKIP() << "needs two worker lcores";
        settings_.total_num_mbufs = 2048;
        settings_.mbcache = 32;
        settings_.rxd = settings_.txd = 64;
    }
    std::unique_ptr<Forwarder> make() {
        Result<std::unique_ptr<Forwarder>> made = Forwarder::create(settings_);
        EXPECT_TRUE(made.ok()) << made.error().text;
        return made.ok() ? std::move(made).value() : nullptr;
    }
    static void start(Forwarder& f) {
        const Status started = f.start();
        ASSERT_TRUE(started.ok()) << started.error().text;
    }
    // end - the last report: everything that was sent was received, and every pool is whole.
    Report end(Forwarder& f) {
        const Report report = f.halt();
        uint64_t sent = 0, received = 0;
        for (const StreamReport& s : report.streams) {
            sent += s.tx;
            received += s.rx;
        }
        EXPECT_EQ(sent, received) << to_text(report);
        EXPECT_TRUE(report.conserved && report.pools_balanced && report.problems.empty()) << to_text(report);
        return report;
    }
    Settings settings_;
};

TEST(LinkNames, AreKnownBeforeTheLinkIsThere) {
    EXPECT_EQ(link_name(3, 'b'), "net_ring_link3b");
    for (const char* name : {"net_ring_link0a", "net_ring_link12b"}) EXPECT_TRUE(is_link(name)) << name;
    for (const char* name : {"net_ring0", "net_ring_linka", "net_ring_link0c", "net_ring_link0", "net_ring_link0xa", "link0a"})
        EXPECT_FALSE(is_link(name)) << name;
    EXPECT_EQ(mac_text(link_mac(1, 'b')), "02:00:00:4C:01:0B");
}

TEST_F(LinksTest, WhatOneEndSendsTheOtherReceives) {
    settings_.links = 2;
    settings_.port_modes = {{{0}, "seqgen"}, {{1, 2}, "io"}};
    settings_.mode = "macswap";  // the port that is left
    for (const uint16_t lanes : {uint16_t{1}, uint16_t{2}}) {  // also: the names are free again
        settings_.nb_cores = lanes;
        auto f = make();
        ASSERT_EQ(f->ports().size(), 4u);
        EXPECT_EQ(f->find_port(3)->name(), "net_ring_link1b");
        EXPECT_EQ(mac_text(f->find_port(3)->mac()), mac_text(link_mac(1, 'b')));
        start(*f);
        EXPECT_TRUE(until([&] { return f->report().seq.received > 5000; }));
        const Report r = end(*f);
        EXPECT_EQ(r.seq.sent, r.seq.received);
        EXPECT_EQ(r.seq.corrupt + r.seq.duplicate + r.seq.lost, 0u) << to_text(r);
        ASSERT_EQ(r.streams.size(), 4u);
        EXPECT_EQ(r.streams[0].mode + r.streams[1].mode + r.streams[3].mode, "seqgeniomacswap");
        EXPECT_NE(to_json(r).find("\"mode\": \"seqgen\""), std::string::npos);
    }
}

TEST_F(LinksTest, SharedClustersPassAsTheyAre) {
    settings_.links = 3;
    settings_.port_modes = {{{0}, "seqgen"}, {{1, 2, 4}, "tee"}, {{5}, "rxonly"}};
    settings_.mode = "macswap";
    auto f = make();
    start(*f);
    EXPECT_TRUE(until([&] { return f->report().seq.received > 5000; }));
    const Report r = end(*f);
    EXPECT_EQ(r.seq.corrupt + r.seq.duplicate + r.seq.lost, 0u) << to_text(r);
    EXPECT_GT(drops(r, "rxonly", Drop::rx_sink), 5000u);
    EXPECT_EQ(r.copies.flat + r.copies.unshare, 0u) << "a header is made private, the cluster stays shared";
}

TEST_F(LinksTest, ThePlanIsShownWithTheModes) {
    settings_.links = 1;
    settings_.port_modes = {{{1}, "rxonly"}};
    auto f = make();
    EXPECT_NE(f->config_text().find("RX P=1/Q=0 (socket 0) -> TX P=1/Q=0 (socket 0) peer=02:00:00:00:00:01 mode=rxonly"), std::string::npos)
        << f->config_text();
    f->halt();
}

TEST_F(LinksTest, AModeForAPortThatIsNotThereIsRefused) {
    settings_.links = 1;
    settings_.port_modes = {{{0, 7}, "io"}};
    auto f = make();
    EXPECT_NE(f->start().error().text.find("--port-mode=0,7:io: port 7 is not there"), std::string::npos);
    f->halt();
}

TEST_F(LinksTest, MoreLinksThanMemoryIsAnErrorAndNothingStays) {
    settings_.links = 1;
    auto f = make();
    const auto again = Links::make(settings_);
    EXPECT_FALSE(again.ok()) << "the names are taken";
    EXPECT_EQ(f->ports().size(), 2u);
    start(*f);
    static_cast<void>(end(*f));
}

// ---- a file over a link

class FileLinkTest : public LinksTest {
  protected:
    void SetUp() override {
        LinksTest::SetUp();
        settings_.links = 1;
        settings_.port_modes = {{{0}, "sendfile"}, {{1}, "recvfile"}};
        settings_.sendfile_loops = 0;
        settings_.sendfile_window = 16;
        settings_.sendfile_compare = true;
        settings_.page_cache_mb = 4;
        bytes_ = test::pattern(300001);
        file_ = std::make_unique<test::NamelessFile>(bytes_);
        settings_.sendfile = file_->path();
    }
    std::string bytes_;
    std::unique_ptr<test::NamelessFile> file_;
};

TEST_F(FileLinkTest, EveryPacketIsComparedAndAnsweredAndThePagesStayAsTheyWere) {
    auto f = make();
    start(*f);
    EXPECT_TRUE(until([&] { return f->report().recv.bytes > 3 * bytes_.size(); })) << "also from the file's end to its beginning";
    const Report r = end(*f);
    EXPECT_EQ(r.recv.packets, r.file.packets);
    EXPECT_EQ(r.recv.bytes, r.file.bytes);
    EXPECT_EQ(r.recv.corrupt + r.recv.untold, 0u);
    EXPECT_EQ(r.recv.told, drops(r, "sendfile", Drop::file_told));
    EXPECT_EQ(r.file.copied_packets + r.copies.page_nic + r.copies.flat, 0u) << "unmapped pages pass as they are";
    EXPECT_GT(r.file.pages_compared, 0u);
    EXPECT_EQ(r.file.pages_changed, 0u);
    EXPECT_TRUE(verdict(r, settings_).ok());
    EXPECT_NE(to_text(r).find("File received:"), std::string::npos);
}

TEST_F(FileLinkTest, WithoutAnswersTheWindowOpensAgainByItself) {
    settings_.port_modes = {{{0}, "sendfile"}, {{1}, "rxonly"}};
    auto f = make();
    start(*f);
    const uint64_t window = uint64_t{settings_.sendfile_window} * settings_.sendfile_payload;
    uint64_t over = 0;
    EXPECT_TRUE(until([&] {
        const FileReport sent = f->report().file;
        over += sent.bytes > sent.told + window ? 1 : 0;
        return sent.bytes >= 4 * window;
    }));
    EXPECT_EQ(over, 0u) << "never more than the window before it is written off";
    static_cast<void>(end(*f));
}

TEST_F(FileLinkTest, APacketWithOtherBytesIsFound) {
    settings_.faults = "seed=5,corrupt=100000";
    settings_.fault_ports = {1};
    auto f = make();
    start(*f);
    EXPECT_TRUE(until([&] { return f->report().recv.corrupt > 20; }));
    const Report r = f->halt();
    EXPECT_TRUE(verdict(r, settings_).ok()) << "somebody asked for it";
    settings_.faults.clear();
    EXPECT_NE(verdict(r, settings_).error().text.find("whose bytes are not those of"), std::string::npos);
    EXPECT_EQ(r.ports[0].faults.corrupt, 0u) << "--fault-ports";
    EXPECT_TRUE(r.pools_balanced);
}

TEST_F(FileLinkTest, APageThatIsNotWhatTheFileSaysIsFound) {
    auto f = make();
    start(*f);
    EXPECT_TRUE(until([&] { return f->report().recv.bytes > bytes_.size(); }));
    file_->put(200000, "other bytes than were read");
    const uint64_t whole = bytes_.size() / settings_.sendfile_payload + 1, before = f->report().recv.packets;
    EXPECT_TRUE(until([&] { return f->report().recv.packets > before + 2 * whole; }));
    EXPECT_GT(f->report().recv.corrupt, 0u) << "the receiver looks at the file as it is now";
    const Report r = end(*f);
    EXPECT_EQ(r.file.pages_changed, 1u);
    EXPECT_NE(verdict(r, settings_).error().text.find("cached pages are not as they were read"), std::string::npos);
}

}  // namespace
}  // namespace umbuf::fwd
