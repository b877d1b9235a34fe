// SPDX-License-Identifier: BSD-2-Clause
// port_load_test.cc - ports started, stopped and reopened at random moments under load.
//
// Goal: nobody is inside a device that is stopped, and no packet is lost from the books.
// Method: two ports joined by rings. Two lcores forward between them, make packets, share some, and
// pass quiescent states; the control thread takes random steps through the phases. A wrapper around
// each device keeps a count of who is inside; it is looked at when the device must be empty.
#include <sched.h>

#include <array>
#include <thread>

#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include "lib/base/sync.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::test {
namespace {

constexpr uint32_t kLanes = 2;

// The turnstile of one device: counts entries and exits, and entries while the device is shut.
struct Turnstile {
    std::atomic<bool> open{false};
    std::atomic<int> inside{0};
    std::atomic<uint64_t> trespasses{0};
    bool touch = true;  // false: go in and out, but leave the device alone

    template <class Call>
    uint16_t pass(Call call) noexcept {
        inside.fetch_add(1);
        if (!open.load()) trespasses.fetch_add(1);
        if ((++visits_of_this_thread & 15) == 0)
            sched_yield();  // linger, so that a race can happen
        if (!open.load()) trespasses.fetch_add(1);
        const uint16_t n = touch ? call() : uint16_t{0};
        inside.fetch_sub(1);
        return n;
    }
    static Turnstile& of(const Port& port) {
        return *static_cast<Turnstile*>(port.wrapper_context());
    }
    static uint16_t receive(Port& port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
        return of(port).pass([&] { return port.device_rx(queue, burst, n); });
    }
    static uint16_t transmit(Port& port, uint16_t queue, rte_mbuf** burst, uint16_t n) noexcept {
        return of(port).pass([&] { return port.device_tx(queue, burst, n); });
    }
    static thread_local uint32_t visits_of_this_thread;
};
thread_local uint32_t Turnstile::visits_of_this_thread = 0;

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
            ports_[i]->wrap(&Turnstile::receive, &Turnstile::transmit, &gates_[i]);
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
            const uint16_t sent = ports_[1 - i]->tx_burst(0, burst, n);
            b.sent += sent;
            b.freed += static_cast<uint64_t>(n - sent);
            rte_pktmbuf_free_bulk(burst + sent, static_cast<unsigned>(n - sent));
            rte_rcu_qsbr_quiescent(qsbr_, i);
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
        while (rte_rcu_qsbr_check(qsbr_, token, false) == 0) sched_yield();
    }

    // step - one random step of one random port. `quiesce` is what the port is given.
    void step(std::mt19937_64& random, const Port::Quiesce& quiesce) {
        const uint32_t i = static_cast<uint32_t>(random() % kLanes);
        Port& p = *ports_[i];
        const bool forth = random() % 2 == 0;
        switch (p.phase()) {
            case PortPhase::configured:
                ASSERT_TRUE(p.start().ok());
                gates_[i].open.store(true);
                break;
            case PortPhase::started: forth ? p.open_tx() : shut(i); break;
            case PortPhase::tx_open: forth ? p.open_rx() : p.close_tx(quiesce); break;
            case PortPhase::rx_open: forth ? halt(i, quiesce) : p.close_rx(quiesce); break;
            case PortPhase::closed: FAIL();
        }
    }
    // shut - stop a port whose paths are closed: this is the moment of truth.
    void shut(uint32_t i) {
        gates_[i].open.store(false);
        found_inside_ += static_cast<uint64_t>(gates_[i].inside.load());
        ASSERT_TRUE(ports_[i]->stop().ok());
    }
    void halt(uint32_t i, const Port::Quiesce& quiesce) {
        Port& p = *ports_[i];
        if (p.phase() == PortPhase::rx_open) p.close_rx(quiesce);
        if (p.phase() == PortPhase::tx_open) p.close_tx(quiesce);
        if (p.phase() == PortPhase::started) shut(i);
        ASSERT_TRUE(p.halt(quiesce).ok());
    }
    [[nodiscard]] uint64_t trespasses() const {
        uint64_t sum = found_inside_;
        for (const Turnstile& g : gates_)
            sum += g.trespasses.load();
        return sum;
    }

    rte_rcu_qsbr* qsbr_ = nullptr;
    std::array<Ring, kLanes> rings_;
    std::array<std::unique_ptr<Port>, kLanes> ports_;
    std::array<Turnstile, kLanes> gates_;
    std::array<Books, kLanes> books_;
    std::atomic<bool> end_{false};
    std::vector<std::jthread> lanes_;
    uint64_t found_inside_ = 0;
};

TEST_F(PortLoadTest, NobodyIsInsideAStoppedDeviceAndEveryPacketIsAccountedFor) {
    std::mt19937_64 random(seed());
    start_traffic();
    for (int i = 0; i < 20000; ++i) {
        step(random, [this] { grace(); });
        if (random() % 8 == 0) sched_yield();
        if (HasFatalFailure()) break;
    }
    for (uint32_t i = 0; i < kLanes; ++i)
        halt(i, [this] { grace(); });
    end_traffic();
    EXPECT_EQ(trespasses(), 0u);

    // Both are stopped before the first is closed: a ring is one's transmit and the other's
    // receive.
    uint64_t died = 0;
    for (auto& port : ports_) {
        ASSERT_TRUE(port->close(true).ok());
        died += port->closed_drops() + port->drained();
    }
    uint64_t made = 0, freed = 0, moved = 0;
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

// The watcher is watched: with a Quiesce that does not wait (the mutant "stop before the lcores
// have left"), the same steps must be caught. The device itself is not touched here, the turnstile
// is.
TEST_F(PortLoadTest, AStopThatDoesNotWaitIsCaught) {
    std::mt19937_64 random(seed());
    for (Turnstile& g : gates_)
        g.touch = false;
    start_traffic();
    for (int i = 0; i < 200000 && trespasses() == 0; ++i)
        step(random, [] {});
    const uint64_t caught = trespasses();
    for (uint32_t i = 0; i < kLanes; ++i)
        halt(i, [this] { grace(); });
    end_traffic();
    for (auto& port : ports_)
        ASSERT_TRUE(port->close(true).ok());
    EXPECT_GT(caught, 0u);
}

}  // namespace
}  // namespace umbuf::test
