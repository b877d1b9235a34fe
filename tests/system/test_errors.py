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
        self.assertNotIn(b"001122", done.stdout + done.stderr, "the key of esp()")
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

    # ---- ESP

    def esp(self, rights, *words):
        """An SA in words, its key in a file with these rights."""
        key = self.logs / "sa.key"
        key.write_text("00112233445566778899aabbccddeeff01020304\n")
        key.chmod(rights)
        return (f"--esp-sa=spi 0x1000 alg aes-gcm-128 key {key} mode tunnel src 172.16.0.1 dst 172.16.0.2 "
                + " ".join(words))

    def refused_esp(self, expected, sa, *app):
        self.refused(expected, ["net_null0"], ["--forward-mode=esp-enc", "--port-topology=loop", sa, *app])

    def test_an_sa_whose_key_everybody_can_read(self):
        self.refused_esp(r"sa\.key.*chmod o=", self.esp(0o604), "--esp-seq-floor=0")

    def test_an_sa_whose_last_sequence_number_nobody_knows(self):
        self.refused_esp(r"--esp-seq-floor=0", self.esp(0o600))

    def test_a_sequence_file_that_cannot_be_believed(self):
        file = self.logs / "one.seq"
        self.refused_esp(r"--esp-seq-file: .*one\.seq is not there", self.esp(0o600), f"--esp-seq-file={file}")
        file.write_text("umbuf-seq 1 spi 0x00001000 alg aes-gcm-128 last 5 sum 0000000000000000\n")
        self.refused_esp(r"one\.seq is damaged", self.esp(0o600), f"--esp-seq-file={file}", "--esp-seq-floor=9")

    def test_an_sa_with_a_word_that_means_nothing(self):
        self.refused_esp(r"'colour blue'", self.esp(0o600, "colour blue"), "--esp-seq-floor=0")

    def test_an_sa_with_a_key_of_another_algorithm(self):
        sa = self.esp(0o600).replace("aes-gcm-128", "aes-gcm-256")
        self.refused_esp(r"a key of 20 bytes.*takes 36", sa, "--esp-seq-floor=0")

    def test_two_streams_for_one_sa(self):
        self.refused("one stream", ["net_null0", "net_null1"],
                     ["--forward-mode=esp-enc", self.esp(0o600), "--esp-seq-floor=0"])

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
