# SPDX-License-Identifier: BSD-2-Clause
# test_umstat.py - umstat beside a writer that lives, hangs, ends or dies, and over files that are none.
#
# Goal: whatever becomes of the forwarder and of its file, umstat comes back, says what there is, and its
# status is 0 or 1. Method: a writer that does as it is told; kill, SIGSTOP, truncate, random damage.
import contextlib
import fcntl
import json
import os
import pathlib
import signal
import struct
import subprocess
import termios
from xml.etree import ElementTree

import case
import lab
import stat_lab
from stat_lab import UMSTAT, WATCHDOG_S


class Umstat(case.SystemTest):
    def writer(self, name="stat", lines=stat_lab.FORWARDER):
        return stat_lab.Writer(self.lab, name, lines)

    def run_umstat(self, *words, status=0):
        """What it prints. Not in time: it hung; a negative status: it crashed."""
        done = subprocess.run([UMSTAT, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=WATCHDOG_S, text=True, errors="replace")
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def of(self, writer, *words, **more):
        return self.run_umstat(f"--file-prefix={writer.prefix}", *words, **more)

    # ---- lives

    def test_one_that_runs_is_printed_as_netstat_would(self):
        writer = self.writer()
        writer.tell("beat on")
        text = self.of(writer)
        self.assertEqual(text.splitlines()[0], "15/135/150 mbufs in use (current/cache/total)")
        self.assertIn("7/73/80/80 mbuf clusters in use (current/cache/total/max)\n", text)
        self.assertIn("net_a ", self.of(writer, "-i"))
        self.assertEqual(self.of(writer, "-d"), "10 tx-full (port 0 queue 0 to port 1 queue 0, lcore 1)\n")
        self.assertIn("\t10 port_rx 0\n", self.of(writer, "-o"))
        self.assertIn("--trace-refcnt", self.of(writer, "-t"))
        both = self.of(writer, "-d", "-m")
        self.assertLess(both.index("mbufs in use"), both.index("tx-full"), "in their own order")

    def test_the_dead_are_read_and_the_first_line_says_how_they_went(self):
        killed, ended, stopped = self.writer("killed"), self.writer("ended"), self.writer("stopped")
        killed.kill()
        self.assertEqual(ended.end(), 0)
        stopped.tell("say stopped")
        for writer, words in [(killed, "died without an end; its last sign of life was at 2"),
                              (ended, "ended in order at 2"), (stopped, "stopped: it is alive, and forwards nothing")]:
            with self.subTest(writer.prefix):
                lines = self.of(writer, "-m").splitlines()
                self.assertIn(words, lines[0])
                self.assertIn(f"pid {writer.program.pid}", lines[0])
                self.assertEqual(lines[1], "15/135/150 mbufs in use (current/cache/total)")

    def test_one_that_hangs_is_read_like_one_that_runs(self):
        writer = self.writer()
        writer.tell("beat on")
        writer.program.send(signal.SIGSTOP)
        self.assertIn("mbufs in use", self.of(writer))
        text = self.until_hung(writer)
        self.assertRegex(text.splitlines()[0], r"hung: it is there, and has given no sign of life since \d{4}-")
        self.assertIn("mbufs in use", text)
        writer.program.send(signal.SIGCONT)
        lab.until(lambda: "hung" not in self.of(writer), "the writer to be well again")

    def until_hung(self, writer):
        def look():
            text = self.of(writer)
            return text if " hung: " in text else None
        return lab.until(look, "umstat to see that the writer hangs")

    def test_a_forwarder_that_is_not_there_is_said_not_to_be(self):
        text = self.run_umstat("--file-prefix", "nobody_has_this_one", status=1)
        self.assertRegex(text, r"^umstat: /dev/shm/umbuf.nobody_has_this_one: .*\n$")
        self.assertIn("is one running", text)
        self.assertIn("umstat --help", self.run_umstat("--nonsense", status=1))

    # ---- again and again

    def test_w_prints_netstats_lines_of_what_came_in_between(self):
        writer = self.writer()
        reader = self.lab.program("umstat", [UMSTAT, "-w", "0.05", f"--path={writer.path}"])
        reader.wait_for(r"^ +packets  errs idrops +bytes +packets  errs +bytes  drops\n +0 +0 ")
        writer.tell("add port_rx_packets port=0,device=net_a,driver=net_null 1234")
        reader.wait_for(r"^ +1234 +0 +0 +0 +0 +0 +0 +0$")
        writer.kill()
        reader.wait_for(r"died without an end")
        self.assertIsNone(reader.process.poll(), "it waits for the next forwarder")
        again = stat_lab.Writer(self.lab, "stat", stat_lab.FORWARDER)
        again.tell("beat on")
        reader.wait_for(rf"pid {again.program.pid}.*running")
        self.assertEqual(reader.stop(signal.SIGINT), -signal.SIGINT)

    def test_json_has_every_number_and_repeats_on_lines(self):
        writer = self.writer()
        lines = self.of(writer, "--json", "-w", "0.01", "-q", "5").splitlines()
        self.assertEqual(len(lines), 5)
        for line in lines:
            sample = json.loads(line)
            self.assertEqual(sample["pid"], writer.program.pid)
            self.assertEqual(len(sample["numbers"]), len(stat_lab.FORWARDER))
        by_name = {n["name"]: n for n in sample["numbers"]}
        self.assertEqual(by_name["stream_rx_bursts"]["cells"], [7, 0, 3, 1])
        self.assertEqual(by_name["port_rx_packets"]["labels"], {"port": "0", "device": "net_a", "driver": "net_null"})
        self.assertGreater(json.loads(lines[4])["taken"], json.loads(lines[0])["taken"])

    def test_f_follows_on_a_terminal_and_gives_it_back(self):
        writer = self.writer()
        writer.tell("beat on")
        os.environ["TERM"] = "xterm"
        terminal = self.lab.terminal("umstat", [UMSTAT, "-f", "-w", "0.05", f"--path={writer.path}"])
        terminal.expect(r"\x1b\[\?1049h")
        terminal.expect(r"\x1b\[1m\d{4}-.*running")
        terminal.expect("um_mbuf_0")
        terminal.keys("m")
        terminal.expect("mbufs in use")
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 20, 0, 0))
        terminal.expect(r"\.\.\. \d+ more rows")
        terminal.keys("q")
        self.assertEqual(terminal.wait(), 0)
        self.assertIn("\x1b[?1049l", terminal.seen)
        self.assertEqual(termios.tcgetattr(terminal.slave)[3], terminal.settings[3], "echo and lines as before")

    def test_f_into_a_file_has_no_colours(self):
        text = self.of(self.writer(), "-f", "-m", "-w", "0.01", "-q", "2")
        self.assertEqual(text.count("mbufs in use (current/cache/total)"), 2)
        self.assertNotIn("\x1b", text)

    def test_plot_stats_draws_what_was_recorded(self):
        writer = self.writer()
        record = self.logs / "record"
        with open(record, "wb") as out:
            reader = subprocess.Popen([UMSTAT, "--json", "-w", "0.02", "-q", "12", f"--path={writer.path}"], stdout=out)
            while reader.poll() is None:
                writer.tell("add port_rx_packets port=0,device=net_a,driver=net_null 100")
        picture = self.logs / "picture.svg"
        lab.run([lab.ROOT / "scripts" / "plot-stats", record, picture])
        drawing = ElementTree.parse(picture).getroot()
        words = {e.text for e in drawing.iter() if e.text}
        self.assertLessEqual({"Packets per second", "in net_a", "Zones in use, percent", "um_mbuf_0"}, words)
        self.assertNotIn("Bytes copied per second, by reason", words, "nothing was")
        self.assertGreater(len([e for e in drawing.iter() if e.tag.endswith("polyline")]), 3)
        record.write_text("{}\n")
        self.assertIn("line 1 is no sample", lab.run([lab.ROOT / "scripts" / "plot-stats", record, picture], check=False))

    # ---- files that are none (R25)

    def copy_of(self, writer):
        return bytearray(pathlib.Path(writer.path).read_bytes())

    def test_old_newer_short_and_foreign_files_are_refused_with_a_remedy(self):
        good = self.copy_of(self.writer())
        file = self.logs / "file"
        newer, older = good[:], good[:]
        newer[8:12], older[8:12] = struct.pack("<I", 2), struct.pack("<I", 0)
        cases = {"newer": (newer, "abi 2"), "older": (older, "abi 0"), "empty": (b"", "too short"), "half": (good[:len(good) // 2], "should have"),
                 "another's": (b"#!/bin/sh\n" * 1000, "no segment")}
        for name, (content, words) in cases.items():
            with self.subTest(name):
                file.write_bytes(content)
                text = self.run_umstat(f"--path={file}", status=1)
                self.assertIn(words, text)
                self.assertIn(f"umstat: {file}: ", text)
                self.assertIn("--path", text)
        for path in ("/dev/shm", "/dev/null", "/nowhere/at/all"):
            self.assertIn(path, self.run_umstat(f"--path={path}", status=1))

    def test_damaged_files_are_read_or_refused(self):
        good = self.copy_of(self.writer())
        file = self.logs / "file"
        for _ in range(60):
            bad = good[:]
            for _ in range(self.random.randint(1, 30)):
                at = self.random.choice((self.random.randrange(256), self.random.randrange(256 + 320 * 32)))
                bad[at] = self.random.choice((0, 255, self.random.randrange(256)))
            file.write_bytes(bad)
            done = subprocess.run([UMSTAT, *self.random.choice((["-m"], ["-misdo"], ["--json"])), f"--path={file}"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=WATCHDOG_S, check=False)
            self.assertIn(done.returncode, (0, 1), done.stdout)

    def test_a_file_that_is_cut_off_ends_a_reader_with_a_sentence(self):
        file = self.logs / "file"
        file.write_bytes(self.copy_of(self.writer()))
        reader = self.lab.program("umstat", [UMSTAT, "--json", "-w", "0.001", f"--path={file}"])
        reader.wait_for(r"^\{")
        os.truncate(file, 0)
        self.assertEqual(reader.wait(), 1, reader.last_words(2))
        self.assertIn("was cut off while it was read", reader.output())

    # ---- many readers (R25)

    def test_fifty_readers_at_a_kilohertz_outlive_a_writer_that_is_killed(self):
        writer = self.writer()
        readers = []
        for i in range(50):
            log = open(self.logs / f"reader-{i}", "wb")  # pylint: disable=consider-using-with
            self.addCleanup(log.close)
            readers.append(subprocess.Popen([UMSTAT, "--json", "-w", "0.001", "-q", "100", f"--path={writer.path}"],
                                            stdout=log, stderr=subprocess.STDOUT))
        writer.program.type("churn")
        some = self.logs / "reader-49"
        lab.until(lambda: some.stat().st_size > 10000, "the last reader to read", watch=[writer.program])
        writer.kill()
        try:
            for reader in readers:
                self.assertEqual(reader.wait(WATCHDOG_S), 0)
        finally:
            for reader in readers:
                with contextlib.suppress(ProcessLookupError):
                    reader.kill()
        lives = set()
        for i in range(50):
            samples = [json.loads(line) for line in (self.logs / f"reader-{i}").read_text().splitlines()]
            self.assertEqual(len(samples), 100)
            lives |= {s["life"] for s in samples}
        self.assertIn("died", lives)
