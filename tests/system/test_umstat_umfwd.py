# SPDX-License-Identifier: BSD-2-Clause
# test_umstat_umfwd.py - umstat beside a forwarder that forwards, is commanded about, hangs and is killed.
#
# Goal: what umstat says is what umfwd says (one source), and neither disturbs the other, whatever happens.
import contextlib
import json
import re
import signal
import subprocess

import case
import lab
import stat_lab
from stat_lab import UMSTAT, WATCHDOG_S

PORTS = ["net_null0", "net_null1"]
OPTIONS = ["-i", "--forward-mode=io", "--total-num-mbufs=2048", "--mbcache=32"]


class UmstatForwarder(case.SystemTest):
    def setUp(self):
        super().setUp()
        if "--stats-file" not in lab.run([lab.UMFWD, "--help"], check=False) + lab.run([lab.UMFWD, "--", "--help"], check=False):
            self.skipTest("this umfwd has no --stats-file")

    def forwarder(self, *options, ports=PORTS):
        forwarder = self.umfwd("umfwd", ports, [*OPTIONS, *options])
        prefix = next(word.partition("=")[2] for word in forwarder.argv if word.startswith("--file-prefix="))
        forwarder.stats = f"/dev/shm/umbuf.{prefix}"
        self.lab.on_close(stat_lab.forget, forwarder.stats)
        return self.prompt(forwarder)

    def umstat(self, forwarder, *words):
        done = subprocess.run([UMSTAT, f"--path={forwarder.stats}", *words], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=WATCHDOG_S, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def sample(self, forwarder):
        return json.loads(self.umstat(forwarder, "--json"))

    def total(self, sample, name, **labels):
        return sum(n["value"] for n in sample["numbers"] if n["name"] == name and labels.items() <= n["labels"].items())

    def is_sound(self, sample):
        """What must hold in every sample whatever: no part above its whole."""
        by_zone = {}
        for number in sample["numbers"]:
            if number["name"].startswith("zone_") and "value" in number:
                by_zone.setdefault(number["labels"]["zone"], {})[number["name"]] = number["value"]
        for zone, numbers in by_zone.items():
            if "zone_limit" in numbers:
                for part in ("zone_in_use", "zone_cached", "zone_peak"):
                    self.assertLessEqual(numbers.get(part, 0), numbers["zone_limit"], f"{zone} {part}")

    def start(self, forwarder):
        forwarder.type("start")
        lab.until(lambda: self.total(self.sample(forwarder), "stream_rx") > 1000, "packets", watch=[forwarder])

    def test_what_umstat_says_is_what_umfwd_says(self):
        forwarder = self.forwarder()
        self.assertIn("stopped: it is alive, and forwards nothing", self.umstat(forwarder))
        self.start(forwarder)
        text = self.umstat(forwarder)
        self.assertRegex(text.splitlines()[0], r"^\d+/\d+/\d+ mbufs in use \(current/cache/total\)$")
        # Devices are sampled ten times a second.
        lab.until(lambda: "net_null0 " in self.umstat(forwarder, "-i"), "the interface to be up", watch=[forwarder])
        self.assertIn("packets received", self.umstat(forwarder, "-s"))
        report = lab.stop_forwarding(forwarder)
        sample = self.sample(forwarder)
        self.is_sound(sample)
        self.assertEqual(sample["life"], "stopped")
        self.assertEqual(self.total(sample, "stream_rx"), report["all"]["RX-packets"])
        self.assertEqual(self.total(sample, "stream_tx"), report["all"]["TX-packets"])
        self.assertEqual(self.total(sample, "stream_rx") + self.total(sample, "stream_made"),
                         self.total(sample, "stream_tx") + self.total(sample, "stream_drops"))
        self.quit(forwarder)
        self.assertIn("ended in order at", self.umstat(forwarder).splitlines()[0])

    def test_one_that_hangs_and_then_is_killed_is_read_all_the_same(self):
        forwarder = self.forwarder()
        self.start(forwarder)
        forwarder.send(signal.SIGSTOP)
        lab.until(lambda: " hung: " in self.umstat(forwarder), "umstat to see it hang")
        hung = self.sample(forwarder)
        forwarder.process.kill()
        forwarder.process.wait()
        text = self.umstat(forwarder, "-m", "-d", "-o")
        self.assertIn("died without an end", text.splitlines()[0])
        dead = self.sample(forwarder)
        self.assertEqual(dead["numbers"], hung["numbers"], "nobody counts any more")
        self.is_sound(dead)

    def test_a_trace_is_read_live_and_of_the_dead(self):
        forwarder = self.forwarder("--trace-refcnt", "--forward-mode=tee", ports=[*PORTS, "net_null2"])
        forwarder.type("start")
        lab.until(lambda: "taken by mbuf 0x" in self.umstat(forwarder, "-t"), "references to be traced", watch=[forwarder])
        lab.stop_forwarding(forwarder)
        some, all_of_them = self.umstat(forwarder, "-t"), self.umstat(forwarder, "-ta")
        self.assertGreater(len(all_of_them), 10 * len(some))
        self.assertRegex(all_of_them, r"dropped at \w+")
        forwarder.process.kill()
        forwarder.process.wait()
        life, _, dead = self.umstat(forwarder, "-ta").partition("\n")
        self.assertIn("died without an end", life)
        events = re.findall(r"^#\d+ .*", all_of_them, re.MULTILINE)
        self.assertGreater(len(events), 100)
        self.assertEqual(events, re.findall(r"^#\d+ .*", dead, re.MULTILINE))

    def watch(self, forwarder, n):
        """n readers at 1 kHz, until they are ended."""
        for i in range(n):
            log = open(self.logs / f"reader-{i}of{n}", "wb")  # pylint: disable=consider-using-with
            self.addCleanup(log.close)
            reader = subprocess.Popen([UMSTAT, "-m" if i % 2 else "--json", "-w", "0.001", "-q", "40" if n > 1 else "1000000",
                                       f"--path={forwarder.stats}"], stdout=log, stderr=subprocess.STDOUT)
            self.addCleanup(self.end, reader)
            yield reader

    @staticmethod
    def end(reader):
        with contextlib.suppress(ProcessLookupError):
            reader.kill()
        reader.wait()

    def test_readers_outlive_whatever_happens_to_the_forwarder(self):
        forwarder = self.forwarder("--faults=seed=1,no_mbuf=200000")
        self.start(forwarder)
        (steady,) = self.watch(forwarder, 1)
        many = list(self.watch(forwarder, 50))
        for command in ("stop", "port stop 1", "port detach 1", f"port attach {PORTS[1]}", "port start 1", "start", "stop", "start"):
            forwarder.type(command)
        forwarder.ask("# done", "# done")
        before = self.total(self.sample(forwarder), "stream_rx")
        lab.until(lambda: self.total(self.sample(forwarder), "stream_rx") != before, "packets while 51 read", watch=[forwarder])
        forwarder.process.kill()
        forwarder.process.wait()
        for reader in many:
            self.assertEqual(reader.wait(WATCHDOG_S), 0)
        self.assertIsNone(steady.poll(), "it goes on, and waits for the next one")
        for i in range(0, 50, 2):
            for line in (self.logs / f"reader-{i}of50").read_text().splitlines()[::8]:
                self.is_sound(json.loads(line))
        self.assertIn("died without an end", self.umstat(forwarder).splitlines()[0])
