# SPDX-License-Identifier: BSD-2-Clause
# test_lab.py - what a run leaves behind that is killed with -9.
import os
import pathlib
import signal
import subprocess
import sys

import case
import lab

KILLED = """
import os, signal, lab
place = lab.Lab()
place.eal([])
lab.Namespace("dead")
pages = lab.Hugepages(8)
print(os.getpid(), place.dir, pages._added, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


class LabTest(case.SystemTest):
    @case.needs_root
    def test_the_next_run_takes_back_what_a_killed_one_left(self):
        done = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, check=False,
                              cwd=pathlib.Path(__file__).parent, text=True)
        self.assertEqual(done.returncode, -signal.SIGKILL)
        pid, folder, added = done.stdout.split()
        self.assertTrue(os.path.isdir(folder))
        self.assertIn(f"um{pid}dead", lab.run(["ip", "netns", "list"]))
        lab.forget_the_dead()
        self.assertFalse(os.path.isdir(folder))
        self.assertNotIn(f"um{pid}dead", lab.run(["ip", "netns", "list"]))
        self.assertTrue(os.path.isdir(self.lab.dir), "the living keep theirs")
        lab.Hugepages(0)  # looks into the books
        self.assertNotIn(f"{pid} ", lab.CLAIMS.read_text() + lab.ADDED.read_text())
        print(f"     {added} pages were given back", flush=True)
