// SPDX-License-Identifier: BSD-2-Clause
// forward.cc - starts the forwarders in turn and reads their counters.
#include "app/umbench/forward.h"

#include <fmt/format.h>

#include <chrono>

#include "app/umbench/rig.h"
#include "app/umbench/stats.h"

namespace umbuf::bench {
namespace {

namespace fs = std::filesystem;
constexpr unsigned kTxFirst = 8;          // bursts that go round in the ring set-up

// Mpps over the plan's seconds, after the warm-up. Packets must flow at once, or something is wrong.
Result<double> measure(Child& child, const Plan& plan) {
    if (Status warm = child.wait(plan.warm_up); !warm) return warm.error();
    Result<Sample> first = sample(child);
    if (!first) return first.error();
    if (Status waited = child.wait(plan.seconds); !waited) return waited.error();
    Result<Sample> last = sample(child);
    if (!last) return last.error();
    if (last.value().packets <= first.value().packets)
        return Error{ENODATA, fmt::format("no packet was forwarded in {} s", plan.seconds)};
    const double seconds =
        std::chrono::duration<double>(last.value().when - first.value().when).count();
    return static_cast<double>(last.value().packets - first.value().packets) / seconds / 1e6;
}

Result<double> run_virtio(const Plan& plan, const Program& program, const std::string& mode) {
    const TempDir dir;
    const fs::path socket = dir.path() / "vhost";
    const std::vector<unsigned> cpus = allowed_cpus();
    Result<Child> dut =
        launch(program, "dut", cpus.front(), {fmt::format("net_vhost0,iface={},queues=1", socket.string())},
               forward_args(program, mode, plan.burst, true));
    if (!dut) return dut.error();
    if (Status up = wait_for_socket(dut.value(), socket); !up) return up.error();
    if (Status sent = dut.value().send("start"); !sent) return sent.error();
    if (Result<Sample> up = sample(dut.value()); !up) return up.error();
    Result<Child> peer = start_peer(plan.peer, {socket}, cpus.back(), {});
    if (!peer) return peer.error();
    Result<double> mpps = measure(dut.value(), plan);
    if (!mpps) return mpps;
    if (Status left = leave(peer.value()); !left) return left.error();
    if (Status left = leave(dut.value()); !left) return left.error();
    return mpps;
}

Result<double> run_alone(const Plan& plan, const Program& program, const std::string& vdev,
                         const std::string& mode) {
    const std::string driver = "net_" + vdev;
    Result<Child> dut = launch(program, "dut", allowed_cpus().back(), {driver + "0", driver + "1"},
                               forward_args(program, mode, plan.burst, false));
    if (!dut) return dut.error();
    const std::string start = vdev == "ring" ? fmt::format("start tx_first {}", kTxFirst) : "start";
    if (Status sent = dut.value().send(start); !sent) return sent.error();
    if (Result<Sample> up = sample(dut.value()); !up) return up.error();
    Result<double> mpps = measure(dut.value(), plan);
    if (!mpps) return mpps;
    if (Status left = leave(dut.value()); !left) return left.error();
    return mpps;
}

Result<double> run_once(const Plan& plan, const Program& program, const std::string& vdev,
                        const std::string& mode) {
    Result<double> mpps = vdev == "virtio" ? run_virtio(plan, program, mode)
                                           : run_alone(plan, program, vdev, mode);
    if (mpps) return mpps;
    return Error{mpps.error().code,
                 fmt::format("{} on {} in mode {}: {}", program.name(), vdev, mode, mpps.error().text)};
}

Result<Row> compare_one(const Plan& plan, const std::string& vdev, const std::string& mode,
                        const std::function<void(const std::string&)>& progress) {
    Row row{vdev, mode, {}, {}, {}};
    for (unsigned pair = 0; pair < plan.pairs; ++pair) {
        double mpps[2] = {};
        for (const unsigned turn : {0U, 1U}) {
            const unsigned which = (turn + pair) % 2;  // whoever goes first alternates
            Result<double> r = run_once(plan, which == 0 ? plan.a : plan.b, vdev, mode);
            if (!r) return r.error();
            mpps[which] = r.value();
        }
        row.a_mpps.push_back(mpps[0]);
        row.b_mpps.push_back(mpps[1]);
        row.ratios.push_back(mpps[0] / mpps[1]);
        progress(fmt::format("{} {} pair {} of {}: {:.3f} and {:.3f} Mpps, ratio {:.3f}", vdev, mode,
                             pair + 1, plan.pairs, mpps[0], mpps[1], mpps[0] / mpps[1]));
    }
    return row;
}

}  // namespace

Result<std::vector<Row>> compare(const Plan& plan,
                                 const std::function<void(const std::string&)>& progress) {
    std::vector<Row> rows;
    for (const std::string& vdev : plan.vdevs) {
        for (const std::string& mode : plan.modes) {
            Result<Row> row = compare_one(plan, vdev, mode, progress);
            if (!row) return row.error();
            rows.push_back(std::move(row).value());
        }
    }
    return rows;
}

}  // namespace umbuf::bench
