# SPDX-License-Identifier: BSD-2-Clause
# test_umbench.py - umbench measures what it says on every device and scheme; how fast is not asked.
import json
import math
import re

import case
import lab

VDEVS, MODES = ("null", "ring", "virtio"), ("mac",)
ASKED = ["--pairs", "1", "--seconds", "0.1", "--vdev", ",".join(VDEVS), "--mode", ",".join(MODES)]
KEYS = {"vdev", "mode", "umfwd_mpps", "testpmd_mpps", "ratio"}


SCHEMES = ("list", "weighted")
ESP_CASE = ("engine", "algorithm", "direction", "source", "working_set", "sas", "size")
ESP_ENGINES = ("ipsec-mb", "cryptodev:crypto_aesni_gcm", "cryptodev:crypto_aesni_mb", "cryptodev:crypto_openssl")
ESP_NUMBERS = ("cycles_per_packet", "librte_ipsec", "raw_ipsec_mb", "unshare_in_place")


class Umbench(case.SystemTest):
    def umbench(self, command, *arguments, testpmd=lab.TESTPMD):
        bench = self.lab.program("umbench", [
            lab.BUILD / "app" / "umbench", command, "--umfwd", lab.UMFWD, "--testpmd", testpmd,
            *arguments])
        return bench.wait(), bench

    def forward(self, *arguments, **options):
        return self.umbench("forward", *arguments, **options)

    def test_each_device_and_mode_has_its_row_in_the_table_and_in_the_json(self):
        report = self.logs / "forward.json"
        status, bench = self.forward(*ASKED, "--json", report)
        self.assertEqual(status, 0, bench.last_words())
        rows = json.loads(report.read_text())
        wanted = [(vdev, mode) for vdev in VDEVS for mode in MODES]
        self.assertEqual([(row["vdev"], row["mode"]) for row in rows], wanted)
        for row in rows:
            self.assertLessEqual(KEYS, set(row))
            for key in KEYS - {"vdev", "mode"}:
                self.assertTrue(math.isfinite(row[key]) and row[key] > 0, f"{key} of {row}")
            # One pair: the median is the only ratio there is.
            self.assertAlmostEqual(row["ratio"] * row["testpmd_mpps"] / row["umfwd_mpps"], 1, 2)
        self.assertEqual(self.table(bench.output()), wanted)

    @staticmethod
    def table(text):
        """The (vdev, mode) of each row in which both rates and the ratio are more than 0."""
        rows = re.findall(r"^ *(\w+) +(\w+) +([\d.]+) +([\d.]+) +([\d.]+)\b.*$", text, re.MULTILINE)
        return [(vdev, mode) for vdev, mode, *numbers in rows if all(float(n) > 0 for n in numbers)]

    def test_a_program_that_is_missing_is_named(self):
        status, bench = self.forward("--pairs", "1", testpmd="/nowhere/testpmd")
        self.assertEqual(status, 1, bench.last_words())
        self.assertIn("/nowhere/testpmd", bench.output())

    def test_a_mode_that_shares_is_measured_under_each_scheme(self):
        report = self.logs / "packets.json"
        status, bench = self.umbench("packets", "--rounds", "2", "--seconds", "0.1", "--mode", "tee",
                                     "--scheme", ",".join(SCHEMES), "--json", report)
        self.assertEqual(status, 0, bench.last_words())
        rows = json.loads(report.read_text())
        self.assertEqual([(row["mode"], row["scheme"]) for row in rows],
                         [("tee", scheme) for scheme in SCHEMES])
        for row in rows:
            self.assertEqual(row["rounds"], 2)
            self.assertTrue(0 < row["min"] <= row["mpps"] <= row["max"], row)
            self.assertTrue(0 < row["cycles_min"] <= row["cycles_per_packet"] <= row["cycles_max"], row)
        # Who begins changes: the second round starts with the second scheme.
        turns = re.findall(r"^umbench: (\w+) ([\w+-]+) round (\d)", bench.output(), re.MULTILINE)
        first, second = SCHEMES
        self.assertEqual([scheme for _, scheme, _ in turns],
                         [first, second, second, first])

    def test_each_port_is_measured_with_pages_and_with_copies(self):
        report = self.logs / "page.json"
        status, bench = self.umbench("page", "--pairs", "1", "--seconds", "0.1", "--payload", "1408",
                                     "--json", report)
        self.assertEqual(status, 0, bench.last_words())
        rows = json.loads(report.read_text())
        self.assertEqual([(row["port"], row["payload"]) for row in rows],
                         [(port, payload) for port in ("null", "virtio") for payload in (1408,)])
        for row in rows:
            for key in ("unmapped_mpps", "copied_mpps", "ratio", "unmapped_cycles", "copied_cycles"):
                self.assertTrue(math.isfinite(row[key]) and row[key] > 0, f"{key} of {row}")
            self.assertAlmostEqual(row["ratio"] * row["copied_mpps"] / row["unmapped_mpps"], 1, 6)
        for window in ("mapped", "alias", "strict"):
            self.assertRegex(bench.output(), rf"(?m)^{window} +[\d.]+ ")

    def test_each_case_of_esp_is_measured_beside_the_other_ways(self):
        report = self.logs / "esp.json"
        bench = self.lab.program("umbench", [
            lab.BUILD / "app" / "umbench", "esp", "--rounds", "1", "--size", "64,1420", "--sas", "20", "--packets",
            "256", "--algorithm", "aes-gcm-128,aes-cbc-128+hmac-sha1", "--engines", "ipsec-mb", "--json", report])
        self.assertEqual(bench.wait(), 0, bench.last_words())
        rows = json.loads(report.read_text())
        self.assertEqual([tuple(row[key] for key in ESP_CASE) for row in rows],
                         [("ipsec-mb", algorithm, direction, source, working_set, 20, size)
                          for algorithm in ("aes-gcm-128", "aes-cbc-128+hmac-sha1")
                          for direction in ("encrypt", "decrypt")
                          for source in ("private", "shared", "unmapped")
                          for working_set in ("inside", "beyond")
                          for size in (64, 1420)])
        for row in rows:
            # Two of the ways are for AES-GCM alone.
            numbers = {"cycles_per_packet", "librte_ipsec"}
            if row["algorithm"] == "aes-gcm-128":
                numbers |= {"raw_ipsec_mb", "unshare_in_place"}
            for key in ESP_NUMBERS:
                if key in numbers:
                    self.assertTrue(math.isfinite(row[key]) and row[key] > 0, f"{key} of {row}")
                else:
                    self.assertIsNone(row[key], f"{key} of {row}")

    def test_crypto_devices_have_rows_of_esp_beside_ipsec_mb(self):
        report = self.logs / "engines.json"
        bench = self.lab.program("umbench", [
            lab.BUILD / "app" / "umbench", "esp", "--rounds", "1", "--size", "300", "--sas", "3", "--working-set", "inside",
            "--json", report])
        self.assertEqual(bench.wait(), 0, bench.last_words())
        rows = json.loads(report.read_text())
        self.assertEqual([tuple(row[key] for key in ("engine", "direction", "source")) for row in rows],
                         [(engine, direction, source) for engine in ESP_ENGINES
                          for direction in ("encrypt", "decrypt")
                          for source in ("private", "shared", "unmapped")])
        for row in rows:
            for key in ESP_NUMBERS:
                self.assertTrue(math.isfinite(row[key]) and row[key] > 0, f"{key} of {row}")
        self.assertNotIn("left out", bench.output())

    def test_an_engine_of_esp_that_is_not_here_is_left_out_and_named(self):
        bench = self.lab.program("umbench", [
            lab.BUILD / "app" / "umbench", "esp", "--rounds", "1", "--size", "64", "--sas", "1", "--working-set", "inside",
            "--source", "private", "--direction", "encrypt", "--algorithm", "aes-gcm-128,chacha20-poly1305",
            "--engines", "security,cryptodev:crypto_aesni_gcm"])
        self.assertEqual(bench.wait(), 0, bench.last_words())
        self.assertRegex(bench.output(), r"(?m)^cryptodev:crypto_aesni_gcm +aes-gcm-128 ")
        self.assertRegex(bench.output(), r"(?m)^left out: security: no device: ")
        self.assertRegex(bench.output(), r"(?m)^left out: cryptodev:crypto_aesni_gcm has no chacha20-poly1305$")

    def test_a_scheme_that_there_is_not_is_refused_before_anything_runs(self):
        status, bench = self.umbench("packets", "--scheme", "weighted,nonesuch")
        self.assertGreater(status, 0)
        self.assertIn("nonesuch", bench.output())

    def test_readers_are_tried_on_the_forwarder_and_on_a_copy(self):
        if "--stats-file" not in lab.run([lab.UMFWD, "--", "--help"], check=False):
            self.skipTest("this umfwd has no --stats-file")
        report = self.logs / "stats.json"
        bench = self.lab.program("umbench", [lab.BUILD / "app" / "umbench", "stats", "--umfwd", lab.UMFWD, "--rounds", "1",
                                             "--seconds", "0.1", "--readers", "0,3", "--json", report])
        self.assertEqual(bench.wait(), 0, bench.last_words())
        rows = json.loads(report.read_text())
        self.assertEqual([(row["readers"], row["copy"]) for row in rows], [(0, False), (3, True), (3, False)])
        for row in rows:
            self.assertGreater(row["mpps"], 0)
            self.assertEqual(row["samples_per_s"] > 0, row["readers"] > 0)
        self.assertGreater(rows[2]["to_copy"], 0)
        self.assertIsNone(rows[1]["to_copy"])
