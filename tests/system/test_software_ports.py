# SPDX-License-Identifier: BSD-2-Clause
# test_software_ports.py - net_ring and net_null: ports without any wire, in one process.
import case
import lab


class SoftwarePorts(case.SystemTest):
    def forward(self, vdevs, mode, start="start"):
        """Forward until every port has received a good many packets; the report."""
        forwarder = self.prompt(self.umfwd(
            "umfwd", vdevs, ["-i", f"--forward-mode={mode}", "--total-num-mbufs=8192"]))
        forwarder.type(start)
        self.forwarding(forwarder)
        lab.until(lambda: all(lab.port_stats(forwarder, p)["RX-packets"] >= 100000
                              for p in range(len(vdevs))), "packets on every port", watch=[forwarder])
        lab.stop_forwarding(forwarder)
        return self.quit(forwarder)

    def test_rings_hand_the_same_packets_round_and_round(self):
        # A net_ring port receives what it sent: the bursts of tx_first never end.
        for mode in ("io", "mac", "macswap"):
            with self.subTest(mode):
                report = self.forward(["net_ring0", "net_ring1"], mode, "start tx_first 2")
                first = 2 * 2 * 32  # ports, bursts, packets: what tx_first made
                self.assertEqual(report["all"]["tx_total"], report["all"]["rx_packets"] + first)

    def test_null_ports_lose_nothing(self):
        report = self.forward(["net_null0", "net_null1"], "io")
        self.assertEqual(report["all"]["rx_packets"], report["all"]["tx_packets"])
        self.assertEqual(report["all"]["tx_dropped"], 0)

    def test_a_tee_sends_every_packet_to_each_other_port(self):
        report = self.forward(["net_null0", "net_null1", "net_null2"], "tee")
        self.assertEqual(report["all"]["tx_packets"], 2 * report["all"]["rx_packets"])

    def test_what_a_ring_still_holds_at_the_end_is_given_back(self):
        # Sent to a port that nobody reads: the ring is full when forwarding stops.
        report = self.forward(["net_null0", "net_ring1"], "io", "start tx_first 1")
        self.assertGreater(report["all"]["rx_packets"], 0)
