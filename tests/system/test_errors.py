# SPDX-License-Identifier: BSD-2-Clause
# test_errors.py - something is missing: one clear sentence on standard error, status 1, no crash.
import os
import pathlib
import re
import subprocess

import case
import lab

NOBODY = 65534


class Errors(case.SystemTest):
    def refused(self, expected, vdevs=(), app=(), eal=None, **options):
        """umfwd must end with status 1 and a last line that matches; returns that line."""
        argv = [lab.UMFWD, *(self.lab.eal(vdevs, huge=False) if eal is None else eal), "--",
                "--total-num-mbufs=4096", "--auto-start", "--seconds=1", *app]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=lab.PATIENCE_S, **options)
        text = done.stderr.decode(errors="replace")
        (self.logs / "umfwd.log").write_text(f"$ {' '.join(argv)}\n{text}")
        self.assertEqual(done.returncode, 1, f"stderr:\n{text}")
        ours = [line for line in text.splitlines() if line.startswith("umfwd: ")]
        self.assertEqual(len(ours), 1, f"not one sentence of umfwd's own:\n{text}")
        self.assertRegex(ours[0], re.compile(expected, re.IGNORECASE))
        return ours[0]

    # ---- devices and drivers

    def test_no_port_at_all(self):
        self.refused(r"no .*port|no .*device")

    def test_a_driver_that_does_not_exist(self):
        self.refused("net_nonsense0", ["net_nonsense0"])

    @case.needs_root
    def test_an_interface_that_does_not_exist(self):
        self.refused("net_af_packet0", ["net_af_packet0,iface=um-nosuch"])

    def test_a_capture_that_does_not_exist(self):
        self.refused("net_pcap0", ["net_pcap0,rx_pcap=/nonexistent.pcap,tx_pcap=/dev/null"])

    def test_a_vhost_socket_that_nobody_listens_on(self):
        self.refused("net_virtio_user0", [f"net_virtio_user0,path={self.lab.path('nobody')}"])

    def test_a_folder_for_the_socket_that_does_not_exist(self):
        self.refused("net_vhost0", ["net_vhost0,iface=/nonexistent/vhost.sock"])

    # ---- hugepages and rights

    def test_more_hugepages_than_there_are(self):
        self.refused("huge|memory", eal=self.lab.eal(["net_null0"], huge=True, memory_mb=1000000))

    @case.needs_root
    def test_an_interface_without_the_right_to_open_it(self):
        if not self.nobody_can_run_it():
            self.skipTest(f"user {NOBODY} may not read {lab.UMFWD}")
        self.refused(r"root|CAP_NET|right|permi", ["net_af_packet0,iface=lo"], user=NOBODY,
                     group=NOBODY, extra_groups=[])

    @staticmethod
    def nobody_can_run_it():
        path = pathlib.Path(lab.UMFWD).resolve()
        return all(os.stat(p).st_mode & 0o001 for p in [path, *path.parents])

    # ---- options

    def test_a_mode_that_does_not_exist(self):
        self.refused(r"forward-mode.*nonsense|nonsense.*mode", ["net_null0"], ["--forward-mode=nonsense"])

    def test_bursts_outside_1_to_512(self):
        for burst in ("0", "513", "banana"):
            with self.subTest(burst):
                self.refused(rf"burst.*{burst}", ["net_null0"], [f"--burst={burst}"])

    def test_an_option_that_does_not_exist(self):
        self.refused("nonsense", ["net_null0"], ["--nonsense"])

    def test_options_of_umfwd_in_front_of_the_dashes(self):
        for stray in ("--forward-mode=io", "-i"):
            with self.subTest(stray):
                self.refused("options of umfwd come after --",
                             eal=[*self.lab.eal(["net_null0"], huge=False), stray])

    def test_no_dashes_at_all_is_no_crash(self):
        for argv in (["-i"], ["--forward-mode=io"], self.lab.eal([], huge=False)):
            with self.subTest(argv):
                done = subprocess.run([lab.UMFWD, *argv], stdin=subprocess.DEVNULL,
                                      capture_output=True, timeout=lab.PATIENCE_S)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stderr, rb"umfwd: .*(come after --|no .*port)")

    def test_files_that_cannot_be_used(self):
        self.refused("json=/nonexistent", ["net_null0"], ["--json=/nonexistent/report.json"])
        self.refused("cmdline-file=/nonexistent", ["net_null0"], ["--cmdline-file=/nonexistent"])

    def test_a_fault_that_does_not_exist(self):
        self.refused("banana", ["net_null0"], ["--faults=banana=1"])

    def test_more_buffers_than_fit_in_memory(self):
        self.refused("memory|mbuf", ["net_null0"], ["--total-num-mbufs=10000000"])

    def test_more_queues_than_the_device_has(self):
        self.refused("queue", ["net_ring0"],
                     ["--rxq=100", "--txq=100"])

    def test_one_lcore_is_not_enough(self):
        eal = self.lab.eal(["net_null0"], huge=False)
        eal[eal.index("--lcores") + 1] = f"0@{self.lab.cpus[0]}"
        self.refused("lcore|core", eal=eal)
