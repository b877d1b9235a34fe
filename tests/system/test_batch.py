# SPDX-License-Identifier: BSD-2-Clause
# test_batch.py - commands from a file and from a pipe, exit statuses, and the report as text and JSON.
import json
import subprocess

import case
import lab


class Batch(case.SystemTest):
    def batch(self, lines, *options, vdevs=("net_null0",)):
        """Run a command file: (exit status, all that was printed)."""
        file = self.lab.dir / "commands"
        file.write_text("".join(line + "\n" for line in lines))
        program = self.umfwd("umfwd", vdevs, [
            f"--cmdline-file={file}", "--total-num-mbufs=4096", *options])
        return program.wait(), program.output()

    def test_strict_stops_at_the_first_failing_command_with_status_1(self):
        status, text = self.batch(
            ["show port stats 0", "set burst banana", "show port info 0"], "--strict")
        self.assertEqual(status, 1, text)
        self.assertIn("NIC statistics for port 0", text)
        self.assertNotIn("Infos for port 0", text)
        self.assertRegex(text, r"commands:2\b")

    def test_without_strict_the_commands_after_a_failing_one_run(self):
        status, text = self.batch(["set burst banana", "show port info 0", "quit"])
        self.assertEqual(status, 0, text)
        self.assertIn("Infos for port 0", text)

    def test_strict_is_content_with_commands_that_all_work(self):
        status, text = self.batch(
            ["# a comment", "", "set fwd mac", "set burst 64", "start", "stop", "quit"], "--strict")
        self.assertEqual(status, 0, text)
        self.assertEqual(self.json()["mode"], "mac")

    def json(self):
        return lab.load_json(self.logs / "umfwd.json")

    def piped(self, lines, *options):
        program = self.umfwd("umfwd", ["net_null0"], ["-i", "--total-num-mbufs=4096", *options])
        for line in lines:
            program.type(line)
        return program.wait(), program.output()

    def test_a_script_piped_in_runs_to_its_end(self):
        status, text = self.piped(["start", "stop", "show port info 0"])  # no quit: the end of input
        self.assertEqual(status, 0, text)
        self.assertIn("Infos for port 0", text)

    def test_a_strict_script_piped_in_stops_at_the_first_failing_command(self):
        status, text = self.piped(["start nowhere", "show port info 0"], "--strict")
        self.assertEqual(status, 1, text)
        self.assertNotIn("Infos for port 0", text)

    def test_text_and_json_of_one_run_agree(self):
        forwarder = self.prompt(self.umfwd(
            "umfwd", ["net_null0", "net_ring0"], ["-i", "--auto-start", "--total-num-mbufs=4096"]))
        lab.until(lambda: lab.port_stats(forwarder)["RX-packets"] > 10000, "packets", watch=[forwarder])
        text = lab.stop_forwarding(forwarder)
        report = self.quit(forwarder)
        words = {"RX-packets": "rx_packets", "RX-dropped": "rx_dropped", "RX-total": "rx_total",
                 "TX-packets": "tx_packets", "TX-dropped": "tx_dropped", "TX-total": "tx_total"}
        blocks = {port["port"]: port for port in report["ports"]} | {"all": report["all"]}
        for which, block in blocks.items():
            for word, key in words.items():
                self.assertEqual(text[which][word], block[key], f"port {which}: {word}")

    def test_the_report_on_standard_output_is_all_that_is_there(self):
        argv = [lab.UMFWD, *self.lab.eal(["net_null0"]), "--", "--json=-", "--auto-start",
                "--seconds=0.2", "--total-num-mbufs=4096"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=lab.PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertIs(json.loads(done.stdout)["pools_balanced"], True)
