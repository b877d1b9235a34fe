// SPDX-License-Identifier: BSD-2-Clause
// sendfile_test.cc - mode sendfile over a port that is a ring: the file in the packets, whatever happens
// meanwhile. What another process receives of it is for tests/system/test_sendfile.py.
#include "app/umfwd/engines/sendfile.h"

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/settings.h"
#include "tests/unit/file_fixture.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::test {
namespace {

using fwd::Drop;
using fwd::Engine;
using fwd::Stream;

constexpr uint32_t kHead = 14 + 20 + 8 + 16;
static_assert(fwd::kFileHead == kHead);

class SendfileTest : public PageTest {
  protected:
    void SetUp() override {
        ArenaConfig c = config();
        c.cache = {64, 8192};
        PageTest::open(c);
        PortConfig wanted = config_with_zone();
        wanted.txd = 64;
        wanted.unmapped = true;  // the ring's other end is this test, which looks through windows
        port_ = configured(ring_device({in_.get()}, {out_.get()}), wanted);
        test::open(*port_);
        stream_.rx_port = stream_.tx_port = port_.get();
        stream_.burst = 16;
        stream_.settings = &settings_;
        settings_.mode = "sendfile";
        settings_.sendfile_ahead = 4;
    }
    void TearDown() override {
        if (stream_.state != nullptr) finish();
        gone(std::move(port_));
        mb_use_ext_pgs.store(true, sync::relaxed);
        PageTest::TearDown();
    }
    // begin - with this in the file.
    void begin(const std::string& bytes) {
        bytes_ = bytes;
        file_ = std::make_unique<NamelessFile>(bytes);
        settings_.sendfile = file_->path();
        const Status begun = engine_.begin(stream_);
        ASSERT_TRUE(begun.ok()) << begun.error().text;
    }
    void finish() {
        engine_.end(stream_);
        last_ = fwd::file_report(stream_);
        stream_.state.reset();
        const auto& s = stream_.stats;
        uint64_t drops = 0;
        for (const sync::Counter& d : s.drops) drops += d.read();
        EXPECT_EQ(s.made.read(), s.tx.read() + drops);
    }
    // take - what the port has sent, judged packet by packet. Returns how many.
    uint32_t take() {
        rte_mbuf* p = nullptr;
        uint32_t n = 0;
        for (; rte_ring_dequeue(out_.get(), reinterpret_cast<void**>(&p)) == 0; ++n) {
            judge(Mbuf::of(p));
            rte_pktmbuf_free(p);  // as a driver does
        }
        return n;
    }
    void judge(Mbuf* m) {
        verify(m);
        const std::string frame = bytes_of(m);
        ASSERT_GT(frame.size(), kHead);
        rte_ipv4_hdr ip;
        rte_udp_hdr udp;
        fwd::FileHeader h;
        std::memcpy(&ip, frame.data() + 14, sizeof ip);
        std::memcpy(&udp, frame.data() + 34, sizeof udp);
        std::memcpy(&h, frame.data() + 42, sizeof h);
        EXPECT_EQ(rte_be_to_cpu_16(ip.total_length), frame.size() - 14);
        EXPECT_EQ(rte_raw_cksum(&ip, sizeof ip), 0xffff);
        EXPECT_EQ(rte_be_to_cpu_16(udp.dgram_len), frame.size() - 34);
        if (settings_.sendfile_checksum) {
            std::string datagram = frame.substr(34);
            std::memset(datagram.data() + offsetof(rte_udp_hdr, dgram_cksum), 0, sizeof udp.dgram_cksum);
            EXPECT_EQ(udp.dgram_cksum, rte_ipv4_udptcp_cksum(&ip, datagram.data()));
        } else {
            EXPECT_EQ(udp.dgram_cksum, 0);
        }
        const uint64_t offset = rte_be_to_cpu_64(h.offset);
        const uint32_t length = rte_be_to_cpu_32(h.length), flags = rte_be_to_cpu_32(h.flags);
        EXPECT_EQ(length, frame.size() - kHead);
        EXPECT_EQ(offset, next_ % bytes_.size()) << "S1: in order, each once";
        EXPECT_EQ(flags >> 8, next_ / bytes_.size());
        next_ += length;
        EXPECT_EQ((flags & fwd::kFileLast) != 0, next_ % bytes_.size() == 0);
        EXPECT_EQ(frame.substr(kHead), bytes_.substr(offset, length));
        unmapped_ += m_has_unmapped(m) ? 1 : 0;
        most_segments_ = std::max<uint32_t>(most_segments_, m->rte.nb_segs);
    }
    // run - turns, until everything was taken.
    void run(uint64_t rounds = 1) {
        while (next_ < rounds * bytes_.size() && !HasFailure()) {
            engine_.burst(stream_);
            refs_flush();
            take();
        }
        EXPECT_EQ(engine_.burst(stream_), 0U) << "and then it is idle";
        EXPECT_EQ(take(), 0U);
    }

    const Engine& engine_ = *fwd::find_engine("sendfile");
    Ring in_ = make_ring(64), out_ = make_ring(64);
    std::unique_ptr<Port> port_;
    fwd::Settings settings_;
    Stream stream_{};
    std::unique_ptr<NamelessFile> file_;
    std::string bytes_;
    uint64_t next_ = 0;  // byte of all rounds
    uint64_t unmapped_ = 0;
    uint32_t most_segments_ = 0;
    fwd::FileReport last_;
};

TEST_F(SendfileTest, TheFileIsInThePacketsAndNobodyTouchedIt) {
    const uint64_t before = window_counters().copied_bytes[static_cast<size_t>(CopiedFor::ext_pgs_off)];
    begin(pattern(100 * 8192 + 77));
    run();
    finish();
    EXPECT_EQ(last_.bytes, bytes_.size());
    EXPECT_EQ(last_.packets, (bytes_.size() + 1407) / 1408);
    EXPECT_EQ(unmapped_, last_.packets);
    EXPECT_EQ(most_segments_, 3U) << "a head, and two pieces at a page's end";
    EXPECT_EQ(last_.pages_read, 101U);
    EXPECT_EQ(last_.read_bytes, bytes_.size());
    EXPECT_EQ(last_.copied_packets, 0U);
    EXPECT_EQ(window_counters().copied_bytes[static_cast<size_t>(CopiedFor::ext_pgs_off)], before);
}

TEST_F(SendfileTest, EachPayloadAndEachLengthOfAFile) {
    for (const uint16_t payload : std::initializer_list<uint16_t>{1, 63, 1000, 1409})
        for (const size_t size : {1U, 62U, 8191U, 8192U, 8193U, 20000U}) {
            if (payload == 1 && size > 100) continue;
            next_ = 0;
            settings_.sendfile_payload = payload;
            settings_.sendfile_checksum = size % 2 != 0;
            begin(pattern(size, payload));
            run();
            finish();
            EXPECT_EQ(last_.packets, (size + payload - 1) / payload) << size << " in pieces of " << payload;
        }
}

TEST_F(SendfileTest, WithExtPgsOffTheSamePacketsAreCopies) {
    mb_use_ext_pgs.store(false, sync::relaxed);
    begin(pattern(10 * 8192 + 5));
    run();
    finish();
    EXPECT_EQ(unmapped_, 0U);
    EXPECT_EQ(most_segments_, 1U);
    EXPECT_EQ(last_.copied_packets, last_.packets);
}

// S3
TEST_F(SendfileTest, ExtPgsMayChangeBetweenAnyTwoPackets) {
    begin(pattern(50 * 8192));
    bool on = true;
    while (next_ < bytes_.size() && !HasFailure()) {
        const auto before = next_;
        mb_use_ext_pgs.store(on, sync::relaxed);
        engine_.burst(stream_);
        take();
        if (next_ != before) on = !on;  // so that both are met, however few turns it takes
    }
    finish();
    EXPECT_GT(unmapped_, 0U);
    EXPECT_LT(unmapped_, last_.packets);
}

TEST_F(SendfileTest, ItIsSentAsOftenAsAskedAndReadOnce) {
    settings_.sendfile_loops = 5;
    begin(pattern(7 * 8192 + 3));
    run(5);
    finish();
    EXPECT_EQ(last_.bytes, 5 * bytes_.size());
    EXPECT_EQ(last_.read_bytes, bytes_.size());
    EXPECT_EQ(last_.pages_read, 8U);
}

// S1: the ring has 64 places, is filled until a burst does not fit, and then emptied by a few.
TEST_F(SendfileTest, AFullPortGetsTheRestLater) {
    settings_.sendfile_loops = 3;
    begin(pattern(30 * 8192));
    const uint64_t all = 3 * bytes_.size();
    std::mt19937_64 random(seed());
    while (next_ < all && !HasFailure()) {
        while (rte_ring_free_count(out_.get()) > 0 && fwd::file_report(stream_).bytes < all) engine_.burst(stream_);
        rte_mbuf* p = nullptr;
        for (uint64_t n = random() % 70; n > 0 && rte_ring_dequeue(out_.get(), reinterpret_cast<void**>(&p)) == 0; --n) {
            judge(Mbuf::of(p));
            rte_pktmbuf_free(p);
        }
    }
    finish();
    EXPECT_EQ(stream_.stats.tx.read(), last_.packets);
    take();
}

TEST_F(SendfileTest, StoppedInTheMiddleItLeavesNothing) {
    begin(pattern(30 * 8192));
    while (rte_ring_free_count(out_.get()) > 0) engine_.burst(stream_);
    for (int turn = 0; turn < 10; ++turn) engine_.burst(stream_);  // and more waits
    finish();
    EXPECT_GT(stream_.stats.drops[static_cast<size_t>(Drop::drained)].read(), 0U);
    EXPECT_GT(take(), 0U);
}

// R22, S4
TEST_F(SendfileTest, R22_WhatIsBeforeABadPageLeavesAndNothingBehindItDoes) {
    for (const bool ext_pgs : {true, false}) {
        next_ = 0;
        mb_use_ext_pgs.store(ext_pgs, sync::relaxed);
        begin(pattern(60 * 8192));
        engine_.burst(stream_);
        file_->cut(40 * 8192 + 100);
        while (fwd::file_report(stream_).given_up == 0) {
            engine_.burst(stream_);
            take();
        }
        while (engine_.burst(stream_) > 0) {}  // what was ready before
        take();
        finish();
        EXPECT_EQ(next_, 40U * 8192 / 1408 * 1408) << "up to the last packet that is whole";
        EXPECT_GT(last_.truncated, 0U);
    }
    EXPECT_GT(stream_.stats.drops[static_cast<size_t>(Drop::io_error)].read(), 0U);
}

TEST_F(SendfileTest, TwoStreamsSendTheFileAndItIsReadOnce) {
    begin(pattern(20 * 8192));
    Stream other{};
    other.rx_port = other.tx_port = port_.get();
    other.burst = 16;
    other.settings = &settings_;
    ASSERT_TRUE(engine_.begin(other).ok());
    run();
    next_ = 0;
    while (next_ < bytes_.size() && !HasFailure()) {
        engine_.burst(other);
        take();
    }
    engine_.end(other);
    EXPECT_EQ(fwd::file_report(other).pages_read, 0U) << "told by the first";
    other.state.reset();
    finish();
    EXPECT_EQ(last_.pages_read, 20U);
    EXPECT_EQ(last_.read_bytes, bytes_.size());
}

TEST_F(SendfileTest, OutOfMbufsItComesBack) {
    begin(pattern(20 * 8192));
    for (uint32_t n = 1; next_ < bytes_.size() && !HasFailure(); n = n % 40 + 1) {
        alloc_faults_arm(n, 3);
        engine_.burst(stream_);
        alloc_faults_arm(0);
        take();
    }
    run();
    finish();
    EXPECT_GT(last_.no_mbuf, 0U);
    EXPECT_EQ(last_.bytes, bytes_.size());
}

TEST_F(SendfileTest, WhatCannotWorkIsRefusedWithASentence) {
    const auto refusal = [this] {
        const Status begun = engine_.begin(stream_);
        stream_.state.reset();
        return begun.ok() ? std::string("none") : begun.error().text;
    };
    const NamelessFile empty(""), big(pattern(100 * 8192));
    settings_.sendfile = empty.path();
    EXPECT_NE(refusal().find("is empty"), std::string::npos);
    settings_.sendfile = "no/such/file";
    EXPECT_NE(refusal().find("No such file"), std::string::npos);
    settings_.sendfile = big.path();
    settings_.sendfile_payload = 1500;
    EXPECT_NE(refusal().find("give --sendfile-payload=1456 or less"), std::string::npos) << refusal();
    settings_.sendfile_payload = 1408;
    settings_.sendfile_ahead = 60;
    EXPECT_NE(refusal().find("--page-cache"), std::string::npos) << refusal();
}

}  // namespace
}  // namespace umbuf::test
