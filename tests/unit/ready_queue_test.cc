// SPDX-License-Identifier: BSD-2-Clause
// ready_queue_test.cc - packets that wait for the disk: in order, and all or nothing when it fails.
#include "lib/page/ready_queue.h"

#include "tests/unit/file_fixture.h"

namespace umbuf::test {
namespace {

class ReadyQueueTest : public FileTest {
  protected:
    void SetUp() override {
        FileTest::SetUp();
        disk_ = &start_with_bad_disk();
        disk_->hold();
        input_ = opened(file_);
    }
    // push - a packet of the file's page i.
    void push(uint64_t i) { queue_.push(headed("head" + std::to_string(i), cache_->get(*input_, i))); }
    // arrived - page i is ready, or failed.
    void arrived(uint64_t i) {
        Mbuf* m = cache_->get(*input_, i);
        disk_->release(i * kUnit);
        (void)arrival(m);
        m_freem(m);
    }
    // popped - the numbers of the packets that come out.
    std::string popped() {
        Mbuf* out[8];
        std::string numbers;
        const uint32_t n = queue_.pop(out, 8);
        for (uint32_t i = 0; i < n; ++i) {
            numbers += bytes_of(out[i]).substr(4, 1);
            EXPECT_EQ(out[i]->nextpkt, nullptr);
            m_freem(out[i]);
        }
        return numbers;
    }
    const NamelessFile file_{pattern(kPages * kUnit)};
    BadDisk* disk_ = nullptr;
    std::unique_ptr<InputFile> input_;
    ReadyQueue queue_;
};

TEST_F(ReadyQueueTest, APacketWaitsForTheEarlierOnes) {
    for (uint64_t i = 0; i < 4; ++i) push(i);
    EXPECT_EQ(popped(), "");
    arrived(2);
    arrived(1);
    EXPECT_EQ(popped(), "");
    EXPECT_EQ(queue_.waits(), 1U) << "the same packet, asked for twice";
    arrived(0);
    EXPECT_EQ(popped(), "012");
    EXPECT_EQ(queue_.size(), 1U);
    arrived(3);
    EXPECT_EQ(popped(), "3");
    EXPECT_EQ(popped(), "");
    EXPECT_EQ(queue_.waits(), 2U) << "an empty queue waits for nothing";
}

// R22 (FreeBSD kern_sendfile.c, sendfile_iodone(): an I/O error or a closed peer with pages not ready).
TEST_F(ReadyQueueTest, R22_AFailedPageEndsTheQueueOnceAndFreesTheReadyAndTheNotReady) {
    for (uint64_t i = 0; i < 6; ++i) push(i);
    disk_->fate(2 * kUnit, {.most = UINT32_MAX, .error = EIO});
    arrived(0);
    arrived(2);
    arrived(4);  // ready, behind the failed one
    EXPECT_EQ(popped(), "0") << "the failed one waits for the earlier ones, too";
    EXPECT_EQ(queue_.error(), 0);
    arrived(1);
    EXPECT_EQ(popped(), "1");
    EXPECT_EQ(queue_.error(), EIO);
    EXPECT_EQ(queue_.aborted(), 4U);  // 2 failed, 4 ready, 3 and 5 not
    EXPECT_EQ(queue_.size(), 0U);
    EXPECT_EQ(queue_.abort(EPIPE), 0U) << "once";
    EXPECT_EQ(queue_.error(), EIO);
    push(6);
    EXPECT_EQ(queue_.aborted(), 5U);
    EXPECT_EQ(popped(), "");
    disk_->release_all();  // what is filling becomes ready, and is nobody's
}

TEST_F(ReadyQueueTest, R22_ThePeerGoesWhilePagesAreUnderWay) {
    for (uint64_t i = 0; i < 4; ++i) push(i);
    arrived(1);
    EXPECT_EQ(queue_.abort(EPIPE), 4U);
    EXPECT_EQ(queue_.error(), EPIPE);
    EXPECT_EQ(popped(), "");
    disk_->release_all();
}

// The same, with whoever fills on another thread at random moments. The fixture counts pages and mbufs.
TEST_F(ReadyQueueTest, R22_AbortsAtRandomMomentsLeakNothing) {
    disk_->release_all();
    std::mt19937_64 random(seed());
    for (int round = 0; round < 200; ++round) {
        ReadyQueue queue;
        const uint64_t fails = random() % (2 * kPages);
        if (fails < kPages) disk_->fate(fails * kUnit, {.most = UINT32_MAX, .error = EIO});
        uint64_t pushed = 0, out = 0;
        for (uint64_t i = 0; i < kPages; ++i) {
            Mbuf* m = cache_->get(*input_, i);
            if (m == nullptr) continue;
            queue.push(headed("h", m));
            ++pushed;
            Mbuf* got[2];
            const uint32_t n = queue.pop(got, 2);
            for (uint32_t k = 0; k < n; ++k) m_freem(got[k]);
            out += n;
        }
        if (random() % 2 == 0) (void)queue.abort(EPIPE);
        EXPECT_EQ(pushed, out + queue.aborted() + queue.size());
    }
}

}  // namespace
}  // namespace umbuf::test
