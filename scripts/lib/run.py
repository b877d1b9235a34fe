# SPDX-License-Identifier: BSD-2-Clause
# run.py - the main job, after scripts/run has built it: what it prints and when it is content.
import argparse
import json
import pathlib
import re
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "system"))
import gateway_run  # noqa: E402
import lab          # noqa: E402
import roundtrip    # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/run", usage="scripts/run [--seconds N] [--json FILE] [--plain] [--no-huge] [-- umfwd arguments]",
        description="Numbered packets and a file go from a sending host through two IPsec gateways to a receiving "
        "host; the numbered ones come back. Exit status 0: every packet arrived or is counted under a reason, "
        "none is corrupt or there twice, the file's pages are unchanged, and all buffers are back in their pools.")
    parser.add_argument("--seconds", type=float, default=5, help="how long to send (5)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers here; '-': standard output")
    parser.add_argument("--plain", action="store_true", help="no gateways: one umfwd in mode macswap returns what another one sends")
    parser.add_argument("--no-huge", action="store_true", help="do without hugepages, as who is not root does")
    parser.add_argument("umfwd", nargs="*", help="arguments for both gateways (--plain: for the one that returns), after --")
    options = parser.parse_args()
    if options.seconds <= 0:
        parser.error(f"--seconds {options.seconds:g}: must be more than 0")
    return options


class Progress:
    """A line that is written over, on a terminal; nothing elsewhere."""
    BYTES = re.compile(r"RX-packets: (\d+).*?RX-bytes: +(\d+).*?TX-packets: (\d+).*?TX-bytes: +(\d+)", re.DOTALL)

    def __init__(self, out, seconds):
        self.out, self.seconds = out, seconds
        self.began = self.shown = None
        self.before = (0, 0)
        self.line = ""

    def __call__(self, program):
        now = time.monotonic()
        if not self.out.isatty() or (self.shown and now - self.shown < 0.25):
            return
        _, forwarding, rest = program.output().partition("packet forwarding - ports=")
        if not forwarding:
            return
        self.began = self.began or now
        self.shown = now
        self.line = self.rate(rest) or self.line
        self.out.write(f"\r{min(now - self.began, self.seconds):5.1f} of {self.seconds:g} s{self.line}\033[K")
        self.out.flush()

    def rate(self, output):
        """Since the last time that the program has printed its ports' numbers."""
        block = output.rpartition("NIC statistics for port 0 ")[2]
        counts = self.BYTES.search(block)
        if not counts:
            return ""
        packets, octets = int(counts[1]) + int(counts[3]), int(counts[2]) + int(counts[4])
        if packets == self.before[0]:
            return ""
        text = f"   {(packets - self.before[0]) / 1e6:.3f} Mpps, {8 * (octets - self.before[1]) / 1e9:.2f} Gbit/s of ESP"
        self.before = (packets, octets)
        return text

    def end(self):
        if self.shown:
            self.out.write("\r\033[K")
            self.out.flush()


def gateways(place, options, say):
    progress = Progress(say, options.seconds)
    try:
        return gateway_run.run(place, options.seconds, options.umfwd, progress), gateway_run.text
    finally:
        progress.end()


def plain(place, options, _):
    socket = place.path("vhost.sock")
    result = roundtrip.run(
        place, f"net_vhost0,iface={socket}", f"net_virtio_user0,path={socket}",
        roundtrip.socket_at(socket), seconds=options.seconds, dut_args=options.umfwd,
        gen_args=["--rxd=256", "--txd=256"])  # virtio-user's own size, which it does not tell
    return result, roundtrip.text


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say = sys.stderr if options.json == "-" else sys.stdout
    job, what, pages = (plain, "virtio-user to vhost-user and back", 256) if options.plain else \
        (gateways, "host, gateway A, gateway B, host: virtio-user to vhost-user", gateway_run.MEMORY_MB)
    with lab.Hugepages(0 if options.no_huge else pages) as huge, lab.Lab(lab.BUILD / "run-logs", huge=huge.pages > 0) as place:
        memory = "2 MB hugepages" if place.huge else "no hugepages"
        cpus = sorted({place.cpus[0], place.cpus[1 % len(place.cpus)]})
        print(f"{what}, {memory}, CPU {' and '.join(map(str, cpus))}, {options.seconds:g} s", file=say, flush=True)
        result, text = job(place, options, say)
    print(text(result.summary), file=say)
    if options.json:
        written = json.dumps(result.summary, indent=2) + "\n"
        if options.json == "-":
            sys.stdout.write(written)
        else:
            pathlib.Path(options.json).write_text(written)
    for complaint in result.complaints:
        print(f"scripts/run: {complaint}", file=sys.stderr)
    if result.complaints:
        print(f"scripts/run: the logs are in {lab.BUILD / 'run-logs'}", file=sys.stderr)
    return 1 if result.complaints else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("scripts/run: interrupted; everything it started is ended", file=sys.stderr)
        sys.exit(130)
    except (lab.LabError, OSError) as error:
        print(f"scripts/run: {error}", file=sys.stderr)
        sys.exit(1)
