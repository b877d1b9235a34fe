// SPDX-License-Identifier: BSD-2-Clause
// forwarder_churn_test.cc - the whole machine stopped, torn apart and halted at random moments.
//
// Goal: after any commands in any order, at any moment under load, nobody is inside a device that
// was stopped, every packet is in the books, and every mbuf is back where it came from.
// Method: rounds. Each makes a forwarder over ports of its own, gives it random commands from one
// seed, halts it in the midst of them, and looks. A turnstile before each device counts who is in.
//      UM_SEED=n     repeats a run
//      UM_ROUNDS=n   that many rounds instead of a few hundred
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "app/umfwd/machine/forwarder.h"
#include "tests/unit/port_fixture.h"
#include "tests/unit/turnstile.h"

namespace umbuf::fwd {
namespace {

using test::Gates;
using test::Ring;
using test::Turnstile;

int rounds(int usual) {
    const char* given = std::getenv("UM_ROUNDS");
    return given != nullptr ? std::atoi(given) : usual;
}

Settings small_settings() {
    Settings settings;
    settings.total_num_mbufs = 2048;
    settings.mbcache = 16;
    settings.interactive = true;  // the mode may change
    return settings;
}

// Watched - a forwarder, and the turnstiles before its devices: open while they may be used.
class Watched {
  public:
    explicit Watched(const Settings& settings) {
        Result<std::unique_ptr<Forwarder>> made = Forwarder::create(settings);
        EXPECT_TRUE(made.ok()) << made.error().text;
        if (made.ok()) forwarder_ = std::move(made).value();
        if (forwarder_)
            for (Port* port : forwarder_->ports())
                watch(*port);
    }
    Forwarder* operator->() const { return forwarder_.get(); }
    explicit operator bool() const { return forwarder_ != nullptr; }
    Gates& gates(uint16_t id) { return *gates_.at(id); }
    [[nodiscard]] uint64_t trespasses() const {
        uint64_t sum = 0;
        for (const auto& gates : all_)
            sum += gates->rx.trespasses.load() + gates->tx.trespasses.load();
        return sum;
    }

    bool start(uint32_t tx_first) {
        for (Port* port : forwarder_->ports())
            if (!forwarder_->running() && port->phase() != PortPhase::configured) open(port->id());
        return forwarder_->start(tx_first).ok();
    }
    bool stop() {
        const bool done = forwarder_->stop().ok();
        if (done)
            for (const Port* port : forwarder_->ports())
                shut(port->id());
        return done;
    }
    bool port_start(uint16_t id) {
        const Port* port = forwarder_->find_port(id);
        if (port == nullptr || port->phase() != PortPhase::configured) return false;
        open(id);
        const bool done = forwarder_->port_start(id).ok();
        if (!done) shut(id);
        return done;
    }
    // take_away - by port_stop, port_close or port_detach.
    bool take_away(Status (Forwarder::*command)(uint16_t), uint16_t id) {
        const bool done = (*forwarder_.*command)(id).ok();
        if (done) shut(id);
        return done;
    }
    bool attach(const std::string& devargs) {
        Result<uint16_t> id = forwarder_->port_attach(devargs);
        if (id.ok()) watch(*forwarder_->find_port(id.value()));
        return id.ok() && port_start(id.value());
    }
    Report halt() {
        Report report = forwarder_->halt();
        for (const auto& [id, gates] : gates_)
            shut(id);
        return report;
    }

  private:
    void watch(Port& port) {
        Gates& gates = *all_.emplace_back(std::make_unique<Gates>());
        gates_[port.id()] = &gates;
        port.wrap(&Gates::receive, &Gates::transmit, &gates);
    }
    void open(uint16_t id) { gates(id).rx.open = gates(id).tx.open = true; }
    // shut - the moment of truth: nobody is inside now, and nobody comes.
    void shut(uint16_t id) {
        gates(id).rx.open = gates(id).tx.open = false;
        EXPECT_EQ(gates(id).rx.inside + gates(id).tx.inside, 0) << "an lcore is inside port " << id;
    }

    std::vector<std::unique_ptr<Gates>> all_;  // the gates of those that are gone, too
    std::map<uint16_t, Gates*> gates_;         // of those that have the number now
    std::unique_ptr<Forwarder> forwarder_;     // goes first
};

void expect_whole(const Report& report) {
    EXPECT_TRUE(report.final);
    EXPECT_TRUE(report.conserved) << to_text(report);
    EXPECT_TRUE(report.pools_balanced) << to_text(report);
    EXPECT_TRUE(report.problems.empty()) << report.problems.front();
}

void empty(const Ring& ring) {
    void* m = nullptr;
    while (rte_ring_dequeue(ring.get(), &m) == 0)
        rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
}

class ForwarderChurn : public test::MbufTest {
  protected:
    void SetUp() override {
        test::MbufTest::SetUp();
        if (rte_lcore_count() < 3) GTEST_SKIP() << "needs two worker lcores";
    }
};

// ---- one stop at the worst moment
// -------------------------------------------------------------------

// Known to fail when a port is stopped without waiting for the lanes, or when a lane turns without
// having said so: the lane is inside the device when the command comes, and stays for a while. How
// long only matters to a broken build: it must be seen in there.
class AStopWaits : public ForwarderChurn,
                   public ::testing::WithParamInterface<Status (Forwarder::*)(uint16_t)> {
  protected:
    // command_while_inside - a lane is in there when the command comes; who is when it is done?
    static int command_while_inside(Watched& f, uint16_t id, Turnstile& gate) {
        constexpr unsigned kStayUs = 30000;
        gate.hold = true;
        while (!gate.staying)
            sched_yield();
        std::jthread later([&gate] {
            usleep(kStayUs);
            gate.hold = false;
        });
        EXPECT_TRUE(((*f.operator->()).*GetParam())(id).ok());
        const int inside = gate.inside;
        later.join();
        while (gate.inside != 0)
            sched_yield();
        return inside;
    }
    void stop_by(Turnstile Gates::*path) {
        Ring a = test::make_ring(64), b = test::make_ring(64);
        const uint16_t one = test::ring_device({a.get()}, {a.get()});
        test::ring_device({b.get()}, {b.get()});
        Settings settings = small_settings();
        settings.mode = "flowgen";
        settings.nb_cores = 2;
        Watched f(settings);
        ASSERT_TRUE(f);
        ASSERT_TRUE(f.start(0));
        EXPECT_EQ(command_while_inside(f, one, f.gates(one).*path), 0);
        f.gates(one).rx.open = f.gates(one).tx.open = false;
        expect_whole(f.halt());
        EXPECT_EQ(f.trespasses(), 0u);
    }
};

TEST_P(AStopWaits, UntilNobodyReceivesFromTheDevice) {
    stop_by(&Gates::rx);
}
TEST_P(AStopWaits, UntilNobodySendsToTheDevice) {
    stop_by(&Gates::tx);
}

INSTANTIATE_TEST_SUITE_P(Commands, AStopWaits,
                         ::testing::Values(&Forwarder::port_stop, &Forwarder::port_close,
                                           &Forwarder::port_detach));

// A generator whose port takes nothing keeps its packets; when forwarding ends they die by name.
TEST_F(ForwarderChurn, AStopFreesWhatAGeneratorCouldNotSend) {
    Ring in = test::make_ring(64), out = test::make_ring(32);
    test::ring_device({in.get()}, {out.get()});
    Settings settings = small_settings();
    settings.mode = "seqgen";
    Watched f(settings);
    ASSERT_TRUE(f);
    ASSERT_TRUE(f.start(0));
    while (rte_ring_full(out.get()) == 0)
        usleep(100);
    ASSERT_TRUE(f.stop());
    EXPECT_GT(f->report().streams[0].drops[static_cast<size_t>(Drop::drained)], 0u);
    empty(out);
    expect_whole(f.halt());
}

// ---- rounds
// ------------------------------------------------------------------------------------------

struct Sums {
    uint64_t rounds = 0, commands = 0, done = 0, halted_running = 0, packets = 0, closed = 0;
};

// Round - one life. Ports are rings that are their own wire, endless sources, or the two ends of a
// vhost-user link.
class Round {
  public:
    Round(uint64_t seed, Sums& sums) : random_(seed), sums_(sums) {}

    void rings() {
        for (uint64_t n = 1 + random_() % 3; n > 0; --n)
            add_loop();
        for (uint64_t n = random_() % 2; n > 0; --n)
            devices_.push_back(test::fresh_name("net_null_churn"));
        live();
    }
    void vhost() {
        socket_ = fmt::format("/tmp/um_churn_{}_{}.sock", getpid(), test::fresh_name("v"));
        if (random_() % 2 == 0) add_loop();
        std::signal(SIGPIPE, SIG_IGN);  // as umfwd does: the link's other end may be gone
        vhost_ = test::fresh_name("net_vhost_churn");
        devices_.push_back(vhost_ + ",iface=" + socket_);
        live();
        unlink(socket_.c_str());
    }

  private:
    void add_loop() {
        Ring& ring = loops_.emplace_back(test::make_ring(64u << random_() % 4));
        test::ring_device({ring.get()}, {ring.get()});
    }
    Settings settings() {
        Settings settings = small_settings();
        constexpr uint16_t kBursts[] = {1, 4, 32, 64, 512};
        settings.burst = kBursts[random_() % std::size(kBursts)];
        settings.flush_rx = random_() % 2 == 0;
        settings.mode = any_mode();
        // A tee wants a transmit queue for each lcore, and a ring has one.
        if (settings.mode != "tee") settings.nb_cores = static_cast<uint16_t>(1 + random_() % 2);
        return settings;
    }
    // any_mode - seldom seqgen: its stop waits for the packets under way, and some never come back.
    const char* any_mode() {
        if (random_() % 32 == 0) return "seqgen";
        constexpr const char* kModes[] = {"io",     "mac",  "macswap",  "rxonly",  "txonly",
                                          "5tswap", "csum", "icmpecho", "flowgen", "tee"};
        return kModes[random_() % std::size(kModes)];
    }
    uint16_t any_port(Watched& f) {
        const std::vector<Port*> ports = f->ports();
        return ports.empty() ? UINT16_MAX : ports[random_() % ports.size()]->id();
    }
    void pause() {
        if (const uint64_t us = random_() % 400; us > 100) usleep(static_cast<unsigned>(us));
    }

    // attach - the link's ends by turns; a null port where there is no link.
    bool attach(Watched& f) {
        if (f->ports().size() > 5) return false;
        std::string device = test::fresh_name("net_null_churn");
        if (!vhost_.empty() && random_() % 4 != 0)
            device = access(socket_.c_str(), F_OK) == 0
                         ? test::fresh_name("net_virtio_user_churn") + ",path=" + socket_
                         : test::fresh_name("net_vhost_churn") + ",iface=" + socket_;
        devices_.push_back(device);
        return f.attach(device);
    }
    // command - most may be refused: the port is stopped already, or gone. None may do harm.
    bool command(Watched& f) {
        switch (random_() % 20) {
            case 0:
            case 1:
            case 2: return f.start(0);
            case 3: return f.start(1 + static_cast<uint32_t>(random_() % 3));
            case 4: return f.stop();
            case 5:
            case 6:
            case 7: return f.take_away(&Forwarder::port_stop, any_port(f));
            case 8:
            case 9:
            case 10:
            case 11: return f.port_start(any_port(f));
            case 12: return f.take_away(&Forwarder::port_close, any_port(f));
            case 13: return f.take_away(&Forwarder::port_detach, any_port(f));
            case 14:
            case 15: return attach(f);
            case 16: return f->change([&](Settings& s) { s.mode = any_mode(); }).ok();
            case 17: f->poll(); return true;
            case 18: f->clear_stats(); return true;
            default: return !to_json(f->report()).empty();
        }
    }

    void live() {
        for (const std::string& device : devices_)
            ASSERT_EQ(rte_dev_probe(device.c_str()), 0) << device;
        Watched f(settings());
        ASSERT_TRUE(f);
        if (!vhost_.empty()) attach(f);
        f.start(static_cast<uint32_t>(random_() % 2));
        const uint64_t moment = random_() % 16;
        for (uint64_t i = 0; i < moment; ++i) {
            pause();
            sums_.done += command(f) ? 1 : 0;
        }
        pause();
        sums_.commands += moment;
        end(f);
    }
    void end(Watched& f) {
        sums_.rounds += 1;
        sums_.halted_running += f->running() ? 1 : 0;
        const Report report = f.halt();
        expect_whole(report);
        EXPECT_EQ(f.trespasses(), 0u) << "somebody was inside a device that was not open";
        for (const Ring& ring : loops_)
            EXPECT_EQ(rte_ring_count(ring.get()), 0u)
                << "a stopped port's packets are still in its ring";
        sums_.packets += report.all.rx_packets + report.all.tx_packets;
        sums_.closed += report.all.tx_closed;
        for (const std::string& device : devices_)
            unplug(device.substr(0, device.find(',')));
    }
    // unplug - what was not detached; the forwarder has closed it.
    static void unplug(const std::string& name) {
        static_cast<void>(rte_eal_hotplug_remove("vdev", name.c_str()));
    }

    std::mt19937_64 random_;
    Sums& sums_;
    std::vector<Ring> loops_;
    std::vector<std::string> devices_;
    std::string vhost_, socket_;
};

class Churn : public ForwarderChurn {
  protected:
    void run(int n, void (Round::*life)()) {
        Sums sums;
        for (int i = 0; i < n && !HasFailure(); ++i) {
            test::Watchdog::feed();
            Round round(test::seed() + 1000003 * static_cast<uint64_t>(i), sums);
            (round.*life)();
            EXPECT_FALSE(HasFailure()) << "in round " << i;
        }
        fmt::print(
            "{} rounds, {} commands ({} done), {} halted while running, {} packets, {} met a "
            "closed port\n",
            sums.rounds, sums.commands, sums.done, sums.halted_running, sums.packets, sums.closed);
        if (n < 100 || HasFailure()) return;
        EXPECT_GT(sums.packets, 0u) << "no load: the test proved nothing";
        EXPECT_GT(sums.halted_running, 0u);
    }
};

TEST_F(Churn, AHaltAtAnyMomentOverRingsLeavesNothingBehind) {
    run(rounds(300), &Round::rings);
}
TEST_F(Churn, AHaltAtAnyMomentOverAVhostLinkLeavesNothingBehind) {
    run(rounds(8), &Round::vhost);
}

}  // namespace
}  // namespace umbuf::fwd
