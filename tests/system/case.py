# SPDX-License-Identifier: BSD-2-Clause
# case.py - one system test: its lab, its logs, its time-out, and what every umfwd must show.
import hashlib
import os
import pathlib
import random
import re
import signal
import time
import unittest

import lab

SEED = int(os.environ.get("SEED") or time.time_ns() // 1000 % 2**31)  # a new one for each run
LOGS = lab.BUILD / "test-logs" / "system"
TIMEOUT_S = 180  # against hanging; the slowest test needs a tenth of it


def needs_root(item):
    return unittest.skipIf(os.geteuid() != 0, "needs root: network namespaces and raw sockets")(item)


def of_another_part(mine):
    """UM_PART=I/3 (scripts/lib/test.py): why a test that takes long is left to another part, or None."""
    part = os.environ.get("UM_PART")
    return f"part {part}: it belongs to part {mine}/3" if part and int(part.split("/")[0]) != mine else None


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class SystemTest(unittest.TestCase):
    """Starts umfwd and its peers in a lab of its own; everything is gone when the test is over."""

    maxDiff = 2000

    def setUp(self):
        self.logs = LOGS / self.id()
        self.logs.mkdir(parents=True, exist_ok=True)
        for old in self.logs.iterdir():
            old.unlink()
        self.random = random.Random(SEED)
        self.lab = lab.Lab(self.logs)
        self.addCleanup(self.lab.close)
        signal.signal(signal.SIGALRM, self._hangs)
        signal.alarm(TIMEOUT_S)
        self.addCleanup(signal.alarm, 0)

    def _hangs(self, *_):
        last = "\n".join(p.last_words() for p in self.lab.programs)
        raise lab.LabError(f"the test did not end within {TIMEOUT_S} s\n{last}")

    # ---- umfwd

    def umfwd(self, name, vdevs, app, **options):
        """umfwd with a JSON report; `json` is where it will be."""
        report = self.logs / f"{name}.json"
        program = self.lab.umfwd(name, vdevs, [f"--json={report}", *app], **options)
        program.json = report
        return program

    def halt(self, program, number=signal.SIGINT, status=0):
        """Stop a umfwd by a signal; its report, which must be sound."""
        got = program.stop(number)
        self.assertEqual(got, status, program.last_words())
        return self.report(program)

    def quit(self, program):
        """Stop a umfwd by the word at its prompt."""
        program.type("quit")
        self.assertEqual(program.wait(), 0, program.last_words())
        return self.report(program)

    def report(self, program):
        """The final report of a umfwd that has ended: every packet and every buffer is accounted for."""
        report = lab.load_json(program.json)
        self.assertIs(report["conserved"], True, program.last_words())
        self.assertIs(report["pools_balanced"], True, f"{report['zones']}\n{program.last_words()}")
        return report

    def prompt(self, program):
        """Wait until a program reads commands."""
        program.wait_for(r"^(umfwd|testpmd)> ")
        return program

    def forwarding(self, program):
        """Wait until a program has started to forward."""
        program.wait_for(r"packet forwarding - ports=\d+")
        return program
