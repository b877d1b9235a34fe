# SPDX-License-Identifier: BSD-2-Clause
# run.py - the main job, after scripts/run has built it: what it prints and when it is content.
import argparse
import json
import pathlib
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "system"))
import lab        # noqa: E402
import roundtrip  # noqa: E402

PAGES = 2 * 128  # two processes, 256 MB each


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/run", usage="scripts/run [--seconds N] [--json FILE] [-- umfwd arguments]",
        description="Numbered packets go from one umfwd (virtio-user) to another (vhost-user, mode "
        "macswap) and back. Exit status 0: every packet returned or is counted under a reason, none "
        "is corrupt or there twice, and all buffers are back in their pools.")
    parser.add_argument("--seconds", type=float, default=5, help="how long to send (5)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers here; '-': standard output")
    parser.add_argument("umfwd", nargs="*", help="arguments for the forwarding umfwd, after --")
    options = parser.parse_args()
    if options.seconds <= 0:
        parser.error(f"--seconds {options.seconds:g}: must be more than 0")
    return options


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say = sys.stderr if options.json == "-" else sys.stdout
    with lab.Hugepages(PAGES) as pages, lab.Lab(lab.BUILD / "run-logs", huge=pages.pages > 0) as place:
        memory = "2 MB hugepages" if place.huge else "no hugepages"
        cpus = sorted({place.cpus[0], place.cpus[1 % len(place.cpus)]})
        print(f"virtio-user to vhost-user and back, {memory}, CPU "
              f"{' and '.join(map(str, cpus))}, {options.seconds:g} s", file=say, flush=True)
        socket = place.path("vhost.sock")
        result = roundtrip.run(
            place, f"net_vhost0,iface={socket}", f"net_virtio_user0,path={socket}",
            roundtrip.socket_at(socket), seconds=options.seconds, dut_args=options.umfwd,
            gen_args=["--rxd=256", "--txd=256"])  # virtio-user's own size, which it does not tell
    print(roundtrip.text(result.summary), file=say)
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
