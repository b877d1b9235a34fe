// SPDX-License-Identifier: BSD-2-Clause
// port_load_test.cc - ports started, stopped and reopened at random moments under load.
//
// Goal: nobody is inside a device that is stopped, and no packet is lost from the books.
// Method: two ports joined by rings. Two lcores forward between them, make packets, share some, and
// pass quiescent states; the control thread takes random steps through the phases. A wrapper around
// each device keeps a count of who is inside; it is looked at when the device must be empty.
#include <sched.h>

#include <algorithm>
#include <array>
#include <thread>

#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include "lib/base/sync.h"
#include "tests/unit/port_fixture.h"
#include "tests/unit/turnstile.h"

namespace umbuf::test {
namespace {

constexpr uint32_t kLanes = 2;

// What one lcore did with its packets: made + got == sent + freed.
struct Books {
    uint64_t made = 0, got = 0, sent = 0, freed = 0;
};

class PortLoadTest : public MbufTest {
  protected:
    void SetUp() override {
        MbufTest::SetUp();
        const size_t size = rte_rcu_qsbr_get_memsize(kLanes);
        qsbr_ = static_cast<rte_rcu_qsbr*>(rte_zmalloc("um_t_qsbr", size, 64));
        ASSERT_EQ(rte_rcu_qsbr_init(qsbr_, kLanes), 0);
        for (Ring& r : rings_)
            r = make_ring(128);
        for (uint32_t i = 0; i < kLanes; ++i) {
            ports_[i] = configured(ring_device({rings_[i].get()}, {rings_[1 - i].get()}));
            ports_[i]->wrap(&Gates::receive, &Gates::transmit, &gates_[i]);
        }
    }
    void TearDown() override {
        for (Ring& r : rings_)
            r.reset();
        rte_free(qsbr_);
        MbufTest::TearDown();
    }

    // forward - lane i receives from port i and sends to the other one, and makes packets itself.
    void forward(uint32_t i) {
        ASSERT_EQ(rte_thread_register(), 0);
        rte_rcu_qsbr_thread_register(qsbr_, i);
        rte_rcu_qsbr_thread_online(qsbr_, i);
        std::mt19937_64 random(seed() + 1000 + i);
        Books& b = books_[i];
        while (!end_.load(std::memory_order_relaxed)) {
            rte_mbuf* burst[48];
            uint16_t n = ports_[i]->rx_burst(0, burst, 32);
            b.got += n;
            n = add_new(b, burst, n, random);
            const uint16_t sent = ports_[1 - i]->tx_burst(0, burst, n).taken;
            b.sent += sent;
            b.freed += static_cast<uint64_t>(n - sent);
            rte_pktmbuf_free_bulk(burst + sent, static_cast<unsigned>(n - sent));
            rte_rcu_qsbr_quiescent(qsbr_, i);
            rounds_[i].fetch_add(1);
            if (random() % 16 == 0) sched_yield();  // give the control thread its share
        }
        rte_rcu_qsbr_thread_offline(qsbr_, i);
        rte_rcu_qsbr_thread_unregister(qsbr_, i);
        rte_thread_unregister();
    }

    // add_new - up to 8 packets behind the n of the burst: received ones and copies that share.
    static uint16_t add_new(Books& b, rte_mbuf** burst, uint16_t n, std::mt19937_64& random) {
        for (uint64_t more = random() % 5; more > 0; --more) {
            Mbuf* m = received(std::string(64 + random() % 200, 'x'));
            if (m == nullptr) return n;
            burst[n++] = &m->rte;
            ++b.made;
            if (random() % 4 != 0) continue;
            Mbuf* copy = m_copypacket(m, M_NOWAIT);
            if (copy == nullptr) continue;
            burst[n++] = &copy->rte;
            ++b.made;
        }
        return n;
    }

    void start_traffic() {
        for (uint32_t i = 0; i < kLanes; ++i)
            lanes_.emplace_back([this, i] { forward(i); });
    }
    void end_traffic() {
        end_.store(true);
        lanes_.clear();  // joins
    }
    // grace - until both lanes have passed a quiescent state. Yields: there may be fewer processors
    // than threads.
    void grace() {
        const uint64_t token = rte_rcu_qsbr_start(qsbr_);
        while (rte_rcu_qsbr_check(qsbr_, token, false) == 0)
            sched_yield();
    }

    // step - one random step of one random port.
    void step(std::mt19937_64& random) {
        const uint32_t i = static_cast<uint32_t>(random() % kLanes);
        Port& p = *ports_[i];
        const bool forth = random() % 2 == 0;
        switch (p.phase()) {
            case PortPhase::configured: ASSERT_TRUE(p.start().ok()); break;
            case PortPhase::started: forth ? open_tx(i) : halt(i); break;
            case PortPhase::tx_open: forth ? open_rx(i) : close_tx(i); break;
            case PortPhase::rx_open: forth ? halt(i) : close_rx(i); break;
            case PortPhase::closed: FAIL();
        }
    }
    void open_tx(uint32_t i) {
        gates_[i].tx.open.store(true);
        ports_[i]->open_tx();
    }
    void open_rx(uint32_t i) {
        gates_[i].rx.open.store(true);
        ports_[i]->open_rx();
    }
    void close_tx(uint32_t i) {
        ports_[i]->close_tx([this] { grace(); });
        shut(gates_[i].tx);
    }
    void close_rx(uint32_t i) {
        ports_[i]->close_rx([this] { grace(); });
        shut(gates_[i].rx);
    }
    // shut - after a path was closed, the moment of truth: nobody inside, and nobody comes.
    void shut(Turnstile& gate) {
        gate.open.store(false);
        found_inside_ += static_cast<uint64_t>(gate.inside.load());
    }
    void halt(uint32_t i) {
        if (ports_[i]->phase() == PortPhase::rx_open) close_rx(i);
        if (ports_[i]->phase() == PortPhase::tx_open) close_tx(i);
        ASSERT_TRUE(ports_[i]->halt({}).ok());
    }
    // give_back - both are stopped before the first is closed: a ring is one's transmit and the
    // other's receive.
    void give_back() {
        for (uint32_t i = 0; i < kLanes; ++i)
            halt(i);
        for (auto& port : ports_)
            ASSERT_TRUE(port->close(true).ok());
    }
    [[nodiscard]] uint64_t trespasses() const {
        uint64_t sum = found_inside_;
        for (const Gates& g : gates_)
            sum += g.rx.trespasses.load() + g.tx.trespasses.load();
        return sum;
    }
    // traffic_seen - has every lane turned often enough to have met open and closed paths?
    [[nodiscard]] bool traffic_seen() const {
        return std::all_of(rounds_.begin(), rounds_.end(),
                           [](const std::atomic<uint64_t>& r) { return r.load() > 1000; });
    }
    // lure - until a lane is inside, and stays there.
    static void lure(Turnstile& gate) {
        gate.tickets.store(0);
        gate.hold.store(true);
        while (!gate.staying.load())
            sched_yield();
    }
    static void let_go(Turnstile& gate) {
        gate.hold.store(false);
        while (gate.inside.load() != 0)
            sched_yield();
    }
    // release_and_wait - a grace period that frees the lane from the device first, and then gives
    // it time to come back: it will not, if the path was closed before.
    void release_and_wait(Turnstile& gate, uint32_t lane) {
        gate.tickets.store(1);
        grace();
        const uint64_t now = rounds_[lane].load();
        while (rounds_[lane].load() < now + 2 && gate.inside.load() == 0)
            sched_yield();
    }

    rte_rcu_qsbr* qsbr_ = nullptr;
    std::array<Ring, kLanes> rings_;
    std::array<std::unique_ptr<Port>, kLanes> ports_;
    std::array<Gates, kLanes> gates_;
    std::array<std::atomic<uint64_t>, kLanes> rounds_{};
    std::array<Books, kLanes> books_;
    std::atomic<bool> end_{false};
    std::vector<std::jthread> lanes_;
    uint64_t found_inside_ = 0;
};

// Known to fail when close_rx() or close_tx() waits before it stores the stub, or not at all.
TEST_F(PortLoadTest, CloseReturnsOnlyWhenTheLaneHasLeftTheDevice) {
    ASSERT_TRUE(ports_[0]->start().ok());
    open_tx(0);
    open_rx(0);
    start_traffic();
    lure(gates_[0].rx);  // lane 0 receives from port 0, lane 1 sends to it
    ports_[0]->close_rx([this] { release_and_wait(gates_[0].rx, 0); });
    EXPECT_EQ(gates_[0].rx.inside.load(), 0);
    let_go(gates_[0].rx);
    lure(gates_[0].tx);
    ports_[0]->close_tx([this] { release_and_wait(gates_[0].tx, 1); });
    EXPECT_EQ(gates_[0].tx.inside.load(), 0);
    let_go(gates_[0].tx);
    end_traffic();
    give_back();
}

TEST_F(PortLoadTest, NobodyIsInsideAStoppedDeviceAndEveryPacketIsAccountedFor) {
    std::mt19937_64 random(seed());
    start_traffic();
    // At least twenty thousand steps; more, when a busy machine has not let the lanes run by then.
    for (int i = 0; (i < 20000 || !traffic_seen()) && !HasFatalFailure(); ++i) {
        step(random);
        if (random() % 8 == 0) sched_yield();
    }
    for (uint32_t i = 0; i < kLanes; ++i)
        halt(i);
    end_traffic();
    EXPECT_EQ(trespasses(), 0u);

    give_back();
    uint64_t made = 0, freed = 0, moved = 0, died = 0;
    for (auto& port : ports_)
        died += port->closed_drops() + port->drained();
    for (const Books& b : books_) {
        EXPECT_EQ(b.made + b.got, b.sent + b.freed);
        made += b.made;
        freed += b.freed;
        moved += b.got;
    }
    EXPECT_EQ(made, freed + died);
    EXPECT_GT(moved, 0u) << "no traffic: the test proved nothing";
    EXPECT_GT(died, 0u) << "nothing met a closed port: the test proved nothing";
}

// The watcher is watched: a Quiesce that does not wait leaves the lane inside, and that is seen.
TEST_F(PortLoadTest, AStopThatDoesNotWaitIsCaught) {
    ASSERT_TRUE(ports_[0]->start().ok());
    open_tx(0);
    start_traffic();
    lure(gates_[0].tx);
    ports_[0]->close_tx([] {});
    shut(gates_[0].tx);
    EXPECT_EQ(trespasses(), 1u);
    let_go(gates_[0].tx);
    EXPECT_EQ(trespasses(), 2u) << "it was still inside when it was shut";
    end_traffic();
    give_back();
}

}  // namespace
}  // namespace umbuf::test
