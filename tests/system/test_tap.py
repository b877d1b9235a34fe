# SPDX-License-Identifier: BSD-2-Clause
# test_tap.py - two network namespaces that only umfwd joins, over net_tap.
#
# umfwd makes the two interfaces; each is then moved into its namespace.
import os
import pathlib

import case
import joined


@case.needs_root
class Tap(joined.Joined):
    def setUp(self):
        super().setUp()
        if not pathlib.Path("/dev/net/tun").exists():
            self.skipTest("the kernel has no /dev/net/tun")

    def join(self, mtu=1500):
        """Both namespaces and umfwd between them, forwarding."""
        tag = f"um{os.getpid()}"
        sizes = [] if mtu <= 1500 else [f"--mbuf-size={mtu + 344}", f"--max-pkt-len={mtu + 18}"]
        self.forwarder = self.umfwd(
            "umfwd", [f"net_tap{i},iface={tag}t{side}" for i, side in enumerate("ab")],
            ["--forward-mode=io", "--auto-start", "--total-num-mbufs=4096", *sizes])
        # Not before the forwarder runs: the driver sets its interfaces up by name.
        self.forwarding(self.forwarder)
        if f"MTU {mtu} is not set" in self.forwarder.output():
            self.halt(self.forwarder)
            self.skipTest(f"net_tap of this DPDK has no MTU {mtu}: ethdev allows what the driver "
                          "reports, 1504, and the driver sends no longer frame")
        self.a, self.b = self.lab.namespace("a"), self.lab.namespace("b")
        self.a.adopt(f"{tag}ta", f"{joined.ADDRESS_A}/24", mtu)
        self.b.adopt(f"{tag}tb", f"{joined.ADDRESS_B}/24", mtu)
        self.wait_until_joined()

    def test_ping_crosses_the_forwarder(self):
        self.join()
        self.ping(size=56)
        self.ping(size=1472)
        self.end()

    def test_a_file_arrives_with_the_same_checksum(self):
        self.join()
        self.copy_file(megabytes=12)
        self.end()

    def test_tcp_crosses_the_forwarder(self):
        self.join()
        self.iperf(megabytes=24)
        self.end()

    def test_jumbo_frames_cross_whole(self):
        self.join(mtu=9000)
        self.ping(size=8972)
        self.iperf(megabytes=24)
        self.copy_file(megabytes=12)
        self.end()
