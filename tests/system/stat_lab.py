# SPDX-License-Identifier: BSD-2-Clause
# stat_lab.py - a forwarder's numbers for tests: a writer that does as it is told, and umstat to read them.
import os
import re

import lab

UMSTAT = os.environ.get("UMSTAT", str(lab.BUILD / "app" / "umstat"))
WRITER = str(lab.BUILD / "tests" / "system" / "stat_writer")
NAMES = lab.ROOT / "docs" / "statistics.md"
WATCHDOG_S = 30  # nothing that reads statistics ever waits for anybody; a machine may be slow

# A small forwarder: one zone of each kind that netstat -m knows, two ports, one stream.
FORWARDER = [
    *[f"put {name} elements {kind} zone=um_{zone}_0,kind={zone_kind},size={size},node=0 {n}"
      for zone, zone_kind, size, numbers in [
          ("mbuf", "mbuf", 256, (10, 90, 100, 100, 20)), ("pkt", "packet", 2048, (5, 45, 50, 50, 6)),
          ("cl2k", "cluster", 2048, (2, 28, 30, 30, 3)), ("cl4k", "cluster", 4096, (1, 7, 8, 8, 1))]
      for (name, kind), n in zip([("zone_in_use", "gauge"), ("zone_cached", "gauge"), ("zone_total", "gauge"),
                                  ("zone_limit", "limit"), ("zone_peak", "peak")], numbers)],
    "put port_rx_packets packets counter port=0,device=net_a,driver=net_null 100",
    "put port_tx_packets packets counter port=1,device=net_b,driver=net_null 90",
    "put stream_drops packets counter rx_port=0,rx_queue=0,tx_port=1,tx_queue=0,lcore=1,reason=tx-full 10",
    "put stream_rx_bursts bursts histogram rx_port=0,lcore=1 7/0/3/1",
    "put ledger elements gauge owner=pool,zone=um_mbuf_0 90",
    "put ledger elements gauge owner=port_rx,port=0,zone=um_mbuf_0 10",
]


class Writer:
    """stat_writer, which has its file of statistics until the lab is over."""

    def __init__(self, the_lab, prefix, lines=()):
        self.prefix = f"{prefix}{os.getpid()}"
        self.path = f"/dev/shm/umbuf.{self.prefix}"
        the_lab.on_close(forget, self.path)
        self.program = the_lab.program(prefix, [WRITER, self.prefix])
        self.program.wait_for(r"^ready ")
        self.tell(*lines, "say running")

    def tell(self, *lines):
        """All of them, and wait until they were done."""
        here = self.program.mark()
        for line in lines:
            self.program.type(line)
        self.program.wait_for(r"(?:^(?:ok|no).*\n){%d}" % len(lines), here)
        refused = re.search(r"^no.*", self.program.output(here), re.MULTILINE)
        if refused:
            raise lab.LabError(f"stat_writer says {refused[0]}")

    def kill(self):
        self.program.process.kill()
        self.program.process.wait()

    def end(self):
        self.program.type("end")
        return self.program.wait()


def forget(path):
    for one in (path, path + ".trace"):
        if os.path.exists(one):
            os.unlink(one)


def documented():
    """All numbers of docs/statistics.md: {name: (unit, kind)}."""
    found = {}
    for line in NAMES.read_text().splitlines():
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        names = re.findall(r"`([a-z0-9_]+)`", cells[0]) if cells else []
        if len(cells) < 3 or not names or not re.match(r"(counter|gauge|peak|limit|histogram)\b", cells[2]):
            continue
        units = [u.strip() for u in cells[1].split(",")]
        for i, name in enumerate(names):
            found[name] = (units[min(i, len(units) - 1)], cells[2].split()[0])
    for name, unit, kind in re.findall(r"`([a-z_]+)\{[^}]*\}`, ([a-z]+), (gauge|counter)", NAMES.read_text()):
        found[name] = (unit, kind)
    return found
