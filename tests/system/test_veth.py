# SPDX-License-Identifier: BSD-2-Clause
# test_veth.py - two network namespaces that only umfwd joins, over net_af_packet on veth.
#
# Goal: the kernel's own programs, which nobody here wrote, see a wire.
import case
import joined


@case.needs_root
class Veth(joined.Joined):
    def test_ping_crosses_the_forwarder(self):
        self.join_by_veth()
        self.ping(size=56)
        self.ping(size=1472)
        self.end()

    def test_tcp_crosses_the_forwarder(self):
        self.join_by_veth()
        self.iperf(megabytes=24)
        self.end()

    def test_a_file_arrives_with_the_same_checksum(self):
        self.join_by_veth()
        self.copy_file(megabytes=12)
        self.end()

    def test_jumbo_frames_cross_whole(self):
        self.join_by_veth(mtu=9000)
        self.ping(size=8972)
        self.copy_file(megabytes=12)
        self.end()

    def test_tcp_with_jumbo_frames_crosses_the_forwarder(self):
        self.join_by_veth(mtu=9000)
        self.iperf(megabytes=24)
        self.end()
