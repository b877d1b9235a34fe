# SPDX-License-Identifier: BSD-2-Clause
# test_checked.py - the checked mempool handler in dpdk-testpmd, which knows nothing of it, and in umfwd.
#
# Method: traffic between software ports, every buffer in checked pools. Clean programs end with no
# fault counted; with a bug planted (tests/plant), the same run reports it.
import ctypes
import re
import signal
import sys
import unittest

import case
import lab

sys.path.insert(0, str(lab.ROOT / "scripts" / "lib"))
from plugin import loadable  # noqa: E402

PLUGIN = loadable(lab.BUILD / "drivers" / "librte_mempool_checked.so")
LATE_WRITE = lab.BUILD / "tests" / "plant" / "liblate_write.so"
CHECKED = ["-d", PLUGIN, "--mbuf-pool-ops-name=checked"]
ENOUGH = 20000  # packets: each buffer of the pools has come and gone more than once
END = re.compile(r"checked mempool: pool (\S+) ends: (\d+) puts, .*?; faults: (.*)$", re.MULTILINE)


@unittest.skipIf(PLUGIN is None, "EAL loads no plug-in from a folder that all may write to")
class Checked(case.SystemTest):
    def start(self, name, vdevs, *environment, app=()):
        # stdbuf adds its own library to LD_PRELOAD, so it comes after.
        return self.lab.program(name, [
            "env", *environment, "stdbuf", "-oL", lab.TESTPMD, *self.lab.eal(vdevs, cpu=1), *CHECKED,
            "--", "-i", "--total-num-mbufs=8192", "--no-lsc-interrupt", "--disable-link-check", *app])

    def forward(self, program):
        self.prompt(program)
        program.type("start")
        self.forwarding(program)
        lab.until(lambda: lab.port_stats(program)["RX-packets"] >= ENOUGH, "packets", watch=[program])

    def ends(self, program):
        """The handler's last line about each pool: {name: (puts, faults)}."""
        found = END.findall(program.output())
        self.assertTrue(found, program.last_words())
        return {name: (int(puts), sum(map(int, re.findall(r"\d+", faults))))
                for name, puts, faults in found}

    def test_testpmd_is_clean(self):
        for vdevs in (["net_null0", "net_null1"], ["net_null0", "net_ring1"]):
            with self.subTest(vdevs):
                program = self.start("testpmd", vdevs, app=["--mbcache=0"])
                self.forward(program)
                lab.stop_forwarding(program)
                program.type("quit")
                self.assertEqual(program.wait(), 0, program.last_words())
                for name, (puts, faults) in self.ends(program).items():
                    self.assertGreaterEqual(puts, ENOUGH, name)
                    self.assertEqual(faults, 0, program.last_words())

    def test_testpmd_with_its_caches_is_clean(self):
        program = self.start("testpmd", ["net_null0", "net_null1"])
        self.forward(program)
        program.type("quit")
        self.assertEqual(program.wait(), 0, program.last_words())
        self.assertEqual([faults for _, faults in self.ends(program).values()], [0])

    def test_a_filter_that_writes_to_a_sent_packet_is_reported(self):
        program = self.start("testpmd", ["net_null0", "net_null1"], f"LD_PRELOAD={LATE_WRITE}",
                               app=["--mbcache=0", "--auto-start"])
        program.wait_for(r"found from\n")
        self.assertEqual(program.wait(), -signal.SIGABRT, program.last_words())
        said = program.output()
        self.assertRegex(said, r"pool mb_pool_0: write after free, found while it waited")
        self.assertRegex(said, r"1 bytes differ, the first at offset 428, 300 in the data room")
        self.assertRegex(said, r"found +21 c0 ad de")
        # The one who freed it, which is where to look for the one who wrote.
        self.assertRegex(said, r"last put by: lcore 1, .*\n\S*librte_net_null")

    def test_told_to_count_it_reports_and_goes_on(self):
        program = self.start("testpmd", ["net_null0", "net_null1"], f"LD_PRELOAD={LATE_WRITE}",
                               "UM_CHECKED=count", app=["--mbcache=0"])
        self.forward(program)
        program.wait_for(r"write after free")
        program.type("quit")
        self.assertEqual(program.wait(), 0, program.last_words())
        self.assertEqual([faults for _, faults in self.ends(program).values()], [1])

    def test_umfwd_is_clean_and_balanced(self):
        for mode, vdevs, zone in (("macswap", ["net_null0", "net_null1"], "um_rx"),
                                  ("tee", ["net_null0", "net_null1", "net_null2"], "um_mbuf_0")):
            with self.subTest(mode):
                report = self.logs / f"{mode}.json"
                program = self.lab.program("umfwd", [
                    lab.UMFWD, *self.lab.eal(vdevs), *CHECKED, "--", f"--json={report}", "-i",
                    f"--forward-mode={mode}", "--total-num-mbufs=8192"])
                program.json = report
                self.forward(program)
                lab.stop_forwarding(program)
                self.quit(program)
                ends = self.ends(program)
                self.assertTrue(any(name.startswith(zone) for name in ends), ends)
                for name, (_, faults) in ends.items():
                    self.assertEqual(faults, 0, f"{name}\n{program.last_words()}")

    def test_umfwd_says_that_the_handler_is_not_loaded(self):
        program = self.lab.program("umfwd", [
            lab.UMFWD, *self.lab.eal(["net_null0"]), "--mbuf-pool-ops-name=checked", "--", "-i"])
        self.assertEqual(program.wait(), 1, program.last_words())
        self.assertIn('the mempool handler "checked" is not loaded', program.output())

    def test_a_program_can_ask_the_plugin(self):
        loaded = ctypes.CDLL(str(PLUGIN))
        for name in ("um_checked_scan", "um_checked_read"):
            self.assertTrue(hasattr(loaded, name), name)
