# SPDX-License-Identifier: BSD-2-Clause
# roundtrip.py - numbered packets out, through a second umfwd, and back: is every one accounted for?
#
#      umfwd "gen"                                        umfwd "dut"
#      mode seqgen  --- virtio-user ====== vhost-user ---  mode macswap
#      numbers, checks                                     swaps the addresses, sends back
#
# The generator stops first and takes back what is on its way; then the other one stops. What was
# sent and did not return must be counted under a name by one of the two.
import dataclasses
import os
import signal

import lab

# Doors of the generator that are no losses: packets that came home, and packets that it made and
# could not send.
NEVER_SENT_OR_HOME = ("seq-received", "tx-full", "drained")


def socket_at(path):
    """A `ready` for run(): the first program has made its socket."""
    return lambda: os.path.exists(path)


@dataclasses.dataclass
class Result:
    summary: dict      # the numbers, with both reports inside
    complaints: list   # why the run is not good; empty: it is


def named_losses(report, not_lost=()):
    """What one umfwd counted as lost, by name. (Not rx-nombuf: virtio, vhost and memif leave a packet
    in its ring when there is no buffer, and take it later.)"""
    losses = {why: n for why, n in report["drops"].items() if n and why not in not_lost}
    if report["all"]["rx_error"]:
        losses["rx-error"] = report["all"]["rx_error"]
    return losses


def judge(gen, dut, statuses):
    """One summary of the two reports, and what is wrong with it."""
    losses = {f"gen {why}": n for why, n in named_losses(gen, NEVER_SENT_OR_HOME).items()}
    losses |= {f"dut {why}": n for why, n in named_losses(dut).items()}
    sent, received = gen["sent"], gen["received"]
    came = received - gen["duplicate"]
    summary = {
        "seconds": gen["seconds"], "mpps": gen["mpps"], "sent": sent, "received": received,
        "corrupt": gen["corrupt"], "duplicate": gen["duplicate"],
        "lost": losses, "lost_unaccounted": sent - came - sum(losses.values()),
        "cycles_per_packet": dut["cycles_per_packet"],
        "pools_balanced": gen["pools_balanced"] and dut["pools_balanced"],
        "conserved": gen["conserved"] and dut["conserved"],
        "gen": gen, "dut": dut,
    }
    complaints = []
    if received == 0:
        complaints.append("no packet came back")
    if summary["lost_unaccounted"]:
        complaints.append(f"{summary['lost_unaccounted']} packets are lost without a reason")
    for key in ("corrupt", "duplicate"):
        if summary[key]:
            complaints.append(f"{summary[key]} packets came back {key}")
    for who, report, status in (("gen", gen, statuses[0]), ("dut", dut, statuses[1])):
        if not report["pools_balanced"]:
            complaints.append(f"{who}: buffers are missing from the pools at the end")
        if not report["conserved"]:
            complaints.append(f"{who}: a stream's packets in and out do not add up")
        if status:
            complaints.append(f"{who}: exit status {status}")
    return Result(summary, complaints)


def run(place, dut_vdev, gen_vdev, ready, seconds=0, packets=0, dut_args=(), gen_args=()):
    """Do it in a Lab. `ready()` is true when the generator may connect to the other one."""
    paths = {who: place.path(f"{who}.json") for who in ("dut", "gen")}
    common = ["--auto-start", "--total-num-mbufs=16384"]
    dut = place.umfwd("dut", [dut_vdev], [
        "--forward-mode=macswap", *common, f"--json={paths['dut']}", *dut_args], cpu=0)
    lab.until(ready, "the first umfwd to be ready for its peer", watch=[dut])

    # A number of packets ends nothing by itself: then somebody at the prompt waits for the last one.
    limit = [f"--tx-count={packets}", "-i"] if packets else [f"--seconds={seconds}"]
    gen = place.umfwd("gen", [gen_vdev], [
        "--forward-mode=seqgen", *common, f"--json={paths['gen']}", *limit, *gen_args], cpu=1)
    if packets:
        lab.until(lambda: lab.running_statistics(gen)["all"]["TX-total"] >= packets,
                  f"{packets} packets to be sent", watch=[dut, gen])
        gen.type("quit")
    lab.until(lambda: not gen.alive(), "the generator to end", seconds + lab.PATIENCE_S, watch=[dut])
    gen_status = gen.wait()
    dut_status = dut.stop(signal.SIGINT)
    reports = {who: lab.load_json(path) for who, path in paths.items()}
    return judge(reports["gen"], reports["dut"], (gen_status, dut_status))


def text(summary):
    """The report for people."""
    lost = ", ".join(f"{n} {why}" for why, n in summary["lost"].items()) or "none"
    yes = {True: "yes", False: "NO"}
    return "\n".join((
        f"rate              {summary['mpps']:.3f} Mpps out and back, for {summary['seconds']:.1f} s",
        f"sent              {summary['sent']}",
        f"received          {summary['received']}  ({summary['corrupt']} corrupt, "
        f"{summary['duplicate']} duplicate)",
        f"lost, by reason   {lost}",
        f"lost, no reason   {summary['lost_unaccounted']}",
        f"cycles per packet {summary['cycles_per_packet']:.0f}  (the forwarder's)",
        f"pools balanced    {yes[summary['pools_balanced']]}",
    ))
