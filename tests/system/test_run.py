# SPDX-License-Identifier: BSD-2-Clause
# test_run.py - scripts/run itself: what it writes, when it is content, what it leaves behind.
import contextlib
import pathlib
import signal

import case
import lab

RUN = ["/usr/bin/python3", "-B", str(lab.ROOT / "scripts" / "lib" / "run.py")]


class Run(case.SystemTest):
    def start(self, *arguments):
        return self.lab.program("run", [*RUN, *arguments])

    def left_behind(self):
        """Folders of sockets and reports that runs made; nobody else uses the name."""
        return {str(p) for p in pathlib.Path("/tmp").glob("umbuf-*")} - {str(self.lab.dir)}

    def test_every_packet_is_accounted_for(self):
        report = self.logs / "run.json"
        run = self.start("--seconds", "1", "--json", str(report))
        self.assertEqual(run.wait(), 0, run.last_words())
        got = lab.load_json(report)
        for key in ("mpps", "sent", "received", "corrupt", "duplicate", "lost_unaccounted",
                    "cycles_per_packet", "pools_balanced", "seconds"):
            self.assertIn(key, got)
        self.assertGreater(got["received"], 0)
        self.assertEqual((got["lost_unaccounted"], got["corrupt"], got["duplicate"]), (0, 0, 0))
        self.assertIs(got["pools_balanced"], True)

    def test_arguments_after_the_dashes_reach_the_forwarder(self):
        report = self.logs / "run.json"
        run = self.start("--seconds", "0.5", "--json", str(report), "--", "--forward-mode=5tswap")
        self.assertEqual(run.wait(), 0, run.last_words())
        self.assertEqual(lab.load_json(report)["dut"]["mode"], "5tswap")

    def test_packets_lost_to_faults_are_named_and_the_run_is_good(self):
        report = self.logs / "run.json"
        run = self.start("--seconds", "0.5", "--json", str(report), "--", "--faults=seed=3,drop=1000")
        self.assertEqual(run.wait(), 0, run.last_words())
        self.assertGreater(lab.load_json(report)["lost"]["dut fault-drop"], 0)

    def test_a_duplicate_makes_it_fail(self):
        run = self.start("--seconds", "0.5", "--", "--faults=seed=3,duplicate=1000")
        self.assertEqual(run.wait(), 1, run.last_words())
        self.assertIn("duplicate", run.output())

    def test_a_forwarder_that_dies_is_named_with_its_last_words(self):
        run = self.start("--seconds", "0.5", "--", "--forward-mode=nonsense")
        self.assertEqual(run.wait(), 1, run.last_words())
        self.assertRegex(run.output(), r"scripts/run: dut exited with status 1")
        self.assertIn("nonsense", run.output())

    def test_ctrl_c_leaves_nothing_behind(self):
        before = self.left_behind()
        run = self.start("--seconds", "60")
        run.wait_for("virtio-user to vhost-user")
        lab.until(lambda: self.children(run), "its two programs", watch=[run])
        programs = self.children(run)
        self.assertEqual(run.stop(signal.SIGINT), 130, run.last_words())
        # One that was being started at that moment dies with its parent: soon, not at once.
        for pid in programs:
            lab.until(lambda pid=pid: not pathlib.Path(f"/proc/{pid}").exists(), f"pid {pid} to end")
        self.assertEqual(self.left_behind() - before, set())

    @staticmethod
    def children(run):
        """The pids of both programs, once they are there."""
        pids = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == run.pid:
                    pids.append(int(stat.parent.name))
        return pids if len(pids) == 2 else []
