# SPDX-License-Identifier: BSD-2-Clause
# test_conf.py - the command files in conf/ are examples that work: each runs to its end, strictly.
import case
import lab

CONF = lab.ROOT / "conf"

# File -> the ports it is run with. A file that is not here fails test_every_example_is_run.
VDEVS = {
    "two-ports-mac.cmd": ["net_null0", "net_null1"],
    "tee.cmd": ["net_null0", "net_null1", "net_null2"],
    "selftest.cmd": ["net_ring0", "net_ring1"],
}


class Conf(case.SystemTest):
    def forward(self, name):
        """Run the file as its head says, until every port has packets; the output and the report."""
        forwarder = self.umfwd("umfwd", VDEVS[name], [
            "-i", "--strict", f"--cmdline-file={CONF / name}", "--total-num-mbufs=8192"])
        self.forwarding(forwarder)
        lab.until(lambda: all(lab.port_stats(forwarder, port)["RX-packets"] > 10000
                              for port in range(len(VDEVS[name]))), "packets", watch=[forwarder])
        report = self.quit(forwarder)
        return forwarder.output(), report

    def test_two_ports_mac_sends_to_the_named_neighbours(self):
        text, report = self.forward("two-ports-mac.cmd")
        self.assertEqual(report["mode"], "mac")
        self.assertRegex(text, r"TX P=0/.*peer=02:00:00:00:00:01")
        self.assertRegex(text, r"TX P=1/.*peer=02:00:00:00:00:02")

    def test_tee_sends_each_packet_to_both_other_ports(self):
        _, report = self.forward("tee.cmd")
        self.assertEqual(report["mode"], "tee")
        self.assertEqual(report["all"]["tx_packets"], 2 * report["all"]["rx_packets"])

    def test_selftest_loses_nothing(self):
        _, report = self.forward("selftest.cmd")
        first = 2 * 4 * 64  # ports, bursts, packets: what tx_first made
        self.assertEqual(report["all"]["tx_total"], report["all"]["rx_packets"] + first)

    def test_every_example_is_run_and_says_what_it_is(self):
        files = sorted(CONF.iterdir())
        self.assertEqual({f.name for f in files}, set(VDEVS))
        for file in files:
            self.assertRegex(file.read_text().splitlines()[0], r"^# [A-Z].*[.?]", file.name)
