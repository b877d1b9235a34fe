# SPDX-License-Identifier: BSD-2-Clause
# test_stats.py - umfwd's numbers, read by another process at 1 kHz whatever happens to it meanwhile.
import os
import signal
import subprocess
import sys
import threading
import time

import case
import lab
import segment

TELEMETRY = "/usr/bin/dpdk-telemetry.py"


class Stats(case.SystemTest):
    def start(self, vdevs, *app, **options):
        """umfwd at its prompt, and its segment."""
        forwarder = self.prompt(self.umfwd("umfwd", vdevs, ["-i", "--mbcache=64", *app], **options))
        self.prefix = next(a.split("=")[1] for a in forwarder.argv if a.startswith("--file-prefix="))
        self.path = f"/dev/shm/umbuf.{self.prefix}"
        self.segment = segment.Segment(self.path)
        return forwarder

    def check(self, numbers):
        """What must be true of every sample."""
        for (name, labels), value in numbers.items():
            if name == "stream_tx":
                queue = labels.split(",lcore")[0]
                mine = {k: v for k, v in numbers.items() if k[1].startswith(queue)}
                came = segment.total(mine, "stream_rx") + segment.total(mine, "stream_made")
                self.assertLessEqual(value + segment.total(mine, "stream_drops"), came, labels)
            if name == "zone_limit":
                zone = labels.split(",")[0]
                in_use, cached = (segment.total(numbers, f"zone_{n}", zone) for n in ("in_use", "cached"))
                self.assertLessEqual(max(in_use, cached), value, labels)
                self.assertLessEqual(segment.total(numbers, "zone_peak", zone), value, labels)

    def watch(self):
        """A reader at 1 kHz beside the test; its samples are checked, its errors are the test's."""
        self.samples, self.errors, self.done = 0, [], False

        def read():
            try:
                while not self.done:
                    self.check(self.segment.sample())
                    self.samples += 1
                    time.sleep(0.001)
            except Exception as error:  # any: it is printed below
                self.errors.append(error)

        thread = threading.Thread(target=read)
        thread.start()

        def stop():
            self.done = True
            thread.join()
            self.assertEqual(self.errors, [])
            self.assertGreater(self.samples, 10)
        return stop

    def test_a_reader_sees_sound_numbers_whatever_happens(self):
        forwarder = self.start(["net_ring0", "net_null0"], "--total-num-mbufs=400")
        stop = self.watch()
        try:
            # A burst that the pool does not have is refused inside the driver.
            for burst, done in ((512, lambda now: segment.total(now, "zone_denied", "who=driver") > 100),
                                (32, lambda now: segment.total(now, "stream_tx", "tx_port=0") > 10000)):
                forwarder.ask(f"set burst {burst}", r"umfwd> ")
                forwarder.ask("start", r"packet forwarding - ports=")
                lab.until(lambda: self.segment.state() == "running", "the word", watch=[forwarder])
                lab.until(lambda d=done: d(self.segment.sample()), f"bursts of {burst}", watch=[forwarder])
                forwarder.ask("show mbuf owners", r"um_mbuf_0 +pool +\d+")
                forwarder.ask("stop", r"^Done\.")
                lab.until(lambda: self.segment.state() == "stopped", "the word", watch=[forwarder])
                forwarder.ask("port stop all", r"umfwd> ")
                forwarder.ask("port start all", r"umfwd> ")
            before = self.segment.sample()
            self.assertEqual(segment.total(before, "stream_rx"),
                             segment.total(before, "stream_tx") + segment.total(before, "stream_drops"))
            forwarder.ask("port detach 1", r"Device is detached")
            self.assertEqual(segment.total(self.segment.sample(), "port_mtu", "port=1"), 0)
            forwarder.ask("start", r"packet forwarding - ports=")
            forwarder.process.kill()
            self.assertEqual(forwarder.wait(), -signal.SIGKILL)
            time.sleep(0.05)
        finally:
            stop()
        self.lab.programs.remove(forwarder)
        dead = self.segment.sample()
        self.assertEqual(self.segment.state(), "running", "it could not say another word")
        self.assertGreater(segment.total(dead, "zone_denied", "who=driver"), 0)

    def test_the_last_numbers_stay_and_the_next_umfwd_takes_the_place(self):
        forwarder = self.start(["net_null0"], "--forward-mode=rxonly", "--auto-start")
        lab.until(lambda: segment.total(self.segment.sample(), "stream_rx") > 1000, "packets", watch=[forwarder])
        report = self.quit(forwarder)
        last = self.segment.sample()
        self.assertEqual(self.segment.state(), "ended")
        self.assertEqual(segment.total(last, "stream_rx"), report["all"]["rx_packets"])
        self.assertEqual(segment.total(last, "stream_drops", "reason=rx-sink"), report["all"]["rx_packets"])
        mode = os.stat(self.path).st_mode & 0o777
        self.assertEqual(mode, 0o640)

    def test_a_trace_outlives_its_umfwd_until_the_next_one(self):
        path = f"/dev/shm/umbuf.umlab{os.getpid()}trace"
        self.lab.on_close(lab.forget_prefix, path.split("umbuf.")[1])
        for options, traced in ((["--trace-refcnt"], True), ([], False)):
            forwarder = self.prompt(self.umfwd("umfwd", ["net_null0"], ["-i", f"--stats-file={path}", *options]))
            self.assertEqual(os.path.exists(f"{path}.trace"), traced)
            forwarder.process.kill()
            forwarder.wait()
            self.lab.programs.remove(forwarder)
            if traced:
                with open(f"{path}.trace", "rb") as file:
                    self.assertEqual(file.read(8), b"UMUFTRC\n")

    def test_without_a_place_it_forwards_and_says_so(self):
        for option, note in (("--stats-file=/dev/shm/no/such/place", "/dev/shm/no/such/place"),
                             ("--stats-group=nosuchgroup", "nosuchgroup"), ("--stats-file=none", None)):
            forwarder = self.umfwd("umfwd", ["net_null0"], ["--forward-mode=rxonly", "--seconds=0.1", option])
            self.assertEqual(forwarder.wait(), 0, forwarder.last_words())
            self.report(forwarder)
            self.lab.programs.remove(forwarder)
            said = [line for line in forwarder.output().splitlines() if line.startswith("Note: ")]
            self.assertEqual([note in line for line in said], [True] if note else [], forwarder.last_words())

    def test_dpdks_telemetry_has_the_same_numbers(self):
        if not os.path.exists(TELEMETRY):
            self.skipTest(f"there is no {TELEMETRY}; scripts/deps run brings it")
        forwarder = self.start(["net_null0"], "--forward-mode=rxonly")
        forwarder.ask("start", r"packet forwarding - ports=")
        lab.until(lambda: segment.total(self.segment.sample(), "stream_rx") > 1000, "packets", watch=[forwarder])
        forwarder.ask("stop", r"^Done\.")
        asked = ["/umbuf/drops", "/umbuf/zones,um_mbuf_0", "/umbuf/streams,P0Q0", "/umbuf/owners", "/umbuf/copies",
                 "/umbuf/esp", "/umbuf/zones,nosuchzone"]
        said = subprocess.run([sys.executable, TELEMETRY, "-f", self.prefix], input="\n".join([*asked, "quit"]),
                              capture_output=True, text=True, timeout=30, check=False).stdout
        answers = {}
        for line in said.splitlines():
            start = line.find('{"/umbuf')
            if start >= 0:
                answers.update(lab.json.loads(line[start:]))
        numbers = self.segment.sample()
        self.assertEqual(answers["/umbuf/drops"]["rx_sink"], segment.total(numbers, "stream_drops"), said)
        self.assertEqual(answers["/umbuf/zones"], None, "the last question was for a zone that is none")
        self.assertEqual(answers["/umbuf/streams"]["stream_rx"], segment.total(numbers, "stream_rx"))
        self.assertEqual(answers["/umbuf/owners"]["um_mbuf_0"]["ledger_pool"],
                         segment.total({k: v for k, v in numbers.items() if k[1] == "zone=um_mbuf_0,owner=pool"}, "ledger"))
        self.assertEqual(answers["/umbuf/copies"]["copied_bytes_nic"], 0)
        self.quit(forwarder)
