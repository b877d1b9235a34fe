# SPDX-License-Identifier: BSD-2-Clause
# test_tap.py - two network namespaces that only umfwd joins, over net_tap.
#
# umfwd makes the two interfaces; each is then moved into its namespace.
import os
import pathlib

import case
import joined
import lab


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
        for side, address in (("a", joined.ADDRESS_A), ("b", joined.ADDRESS_B)):
            name = f"{tag}t{side}"
            lab.until(lambda name=name: pathlib.Path(f"/sys/class/net/{name}").exists(),
                      f"umfwd to make the interface {name}", watch=[self.forwarder])
            namespace = self.lab.namespace(side)
            setattr(self, side, namespace)
            # Not before the forwarder runs: the driver sets the interface up by its name.
        self.forwarding(self.forwarder)
        for side, address in (("a", joined.ADDRESS_A), ("b", joined.ADDRESS_B)):
            getattr(self, side).adopt(f"{tag}t{side}", f"{address}/24")
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
