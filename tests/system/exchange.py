# SPDX-License-Identifier: BSD-2-Clause
# exchange.py - dpdk-testpmd makes packets and takes them back, umfwd swaps their addresses between.
#
# Goal: both sides counted the same packets. Method: the maker stops first, and each step waits
# until the other side has seen the last packet of the step before.
import os

import case
import lab


class Exchange(case.SystemTest):
    def start_pair(self, mine, theirs, umfwd_first, socket, huge=False):
        """umfwd on the vdev `mine`, testpmd on `theirs`; the one that makes the socket goes first."""
        def start_umfwd():
            self.forwarder = self.prompt(self.umfwd(
                "umfwd", [mine], ["-i", "--auto-start", "--forward-mode=macswap", "--no-flush-rx",
                                  "--total-num-mbufs=16384"], huge=huge))

        def start_testpmd():
            self.testpmd = self.prompt(self.lab.testpmd(
                "testpmd", [theirs], ["-i", "--forward-mode=flowgen", "--no-flush-rx"], huge=huge))

        for start in (start_umfwd, start_testpmd)[::1 if umfwd_first else -1]:
            start()
            lab.until(lambda: os.path.exists(socket), f"the socket {socket}", watch=self.lab.programs)

    def exchange(self, at_least=20000):
        umfwd, testpmd = self.forwarder, self.testpmd
        both = [umfwd, testpmd]
        testpmd.type("start")
        lab.until(lambda: lab.port_stats(testpmd)["RX-packets"] >= at_least, "packets to come back",
                  watch=both)
        lab.stop_forwarding(testpmd)
        made = lab.port_stats(testpmd)["TX-packets"]

        lab.until(lambda: lab.port_stats(umfwd)["RX-packets"] == made,
                  f"umfwd to receive the {made} packets that testpmd sent", watch=both)
        forwarded = lab.stop_forwarding(umfwd)["all"]
        self.assertEqual(forwarded["RX-packets"], made)
        self.assertEqual(forwarded["TX-packets"] + forwarded["TX-dropped"], made)

        testpmd.type("set fwd rxonly")
        testpmd.type("start")
        returned = forwarded["TX-packets"]
        lab.until(lambda: lab.port_stats(testpmd)["RX-packets"] == returned,
                  f"testpmd to receive the {returned} packets that umfwd sent", watch=both)
        lab.stop_forwarding(testpmd)
        testpmd.type("quit")
        testpmd.wait()
        report = self.quit(umfwd)
        self.assertEqual(report["ports"][0]["rx_packets"], made)
        self.assertEqual(report["ports"][0]["tx_packets"], returned)
