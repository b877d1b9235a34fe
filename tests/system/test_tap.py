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

    def join(self):
        tag = f"um{os.getpid()}"
        self.forwarder = self.umfwd(
            "umfwd", [f"net_tap{i},iface={tag}t{side}" for i, side in enumerate("ab")],
            ["--forward-mode=io", "--auto-start", "--total-num-mbufs=4096"])
        # Not before the forwarder runs: the driver sets its interfaces up by name.
        self.forwarding(self.forwarder)
        self.a, self.b = self.lab.namespace("a"), self.lab.namespace("b")
        self.a.adopt(f"{tag}ta", f"{joined.ADDRESS_A}/24")
        self.b.adopt(f"{tag}tb", f"{joined.ADDRESS_B}/24")
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
