# SPDX-License-Identifier: BSD-2-Clause
# test_veth.py - two network namespaces that only umfwd joins, over net_af_packet on veth.
#
#      namespace a                 umfwd                  namespace b
#      10.9.0.1  a1 ---- a0  af_packet | af_packet  b0 ---- b1  10.9.0.2
#
# Goal: the kernel's own programs, which nobody here wrote, see a wire.
import os

import case
import joined


@case.needs_root
class Veth(joined.Joined):
    def join(self, mtu=1500):
        """Both namespaces and umfwd between them, forwarding."""
        tag = f"um{os.getpid()}"
        ends = {}
        for side, address in (("a", joined.ADDRESS_A), ("b", joined.ADDRESS_B)):
            ends[side] = self.lab.namespace(side)
            self.lab.veth(f"{tag}{side}0", f"{tag}{side}1", mtu)
            ends[side].adopt(f"{tag}{side}1", f"{address}/24", mtu)
            ends[side].interface = f"{tag}{side}1"
        # A frame of the ring holds the packet and the kernel's header; a block holds whole frames.
        frame, block = (2048, 4096) if mtu <= 1500 else (9216, 36864)
        vdevs = [f"net_af_packet{i},iface={tag}{side}0,framesz={frame},blocksz={block},framecnt=512"
                 for i, side in enumerate("ab")]
        sizes = [] if mtu <= 1500 else [f"--mbuf-size={frame + 128}"]
        self.forwarder = self.umfwd(
            "umfwd", vdevs, ["--forward-mode=io", "--auto-start", "--total-num-mbufs=4096", *sizes])
        self.a, self.b = ends["a"], ends["b"]
        self.wait_until_joined()

    def test_ping_crosses_the_forwarder(self):
        self.join()
        self.ping(size=56)
        self.ping(size=1472)
        self.end()

    def test_tcp_crosses_the_forwarder(self):
        self.join()
        self.iperf(megabytes=24)
        self.end()

    def test_a_file_arrives_with_the_same_checksum(self):
        self.join()
        self.copy_file(megabytes=12)
        self.end()

    def test_jumbo_frames_cross_whole(self):
        self.join(mtu=9000)
        self.ping(size=8972)
        self.copy_file(megabytes=12)
        self.end()

    def test_tcp_with_jumbo_frames_crosses_the_forwarder(self):
        self.join(mtu=9000)
        self.iperf(megabytes=24)
        self.end()
