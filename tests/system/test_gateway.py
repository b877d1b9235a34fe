# SPDX-License-Identifier: BSD-2-Clause
# test_gateway.py - mode esp: two gateways between network namespaces, and what must not pass them.
#
# Goal: kernels on both sides see one network, and on the wire between there is nothing but ESP. Method: gateways.py.
import case
import gateways
from gateways import address


@case.needs_root
class Gateway(gateways.Gateways):
    def test_ping_and_tcp_pass_through_the_tunnel_in_both_families(self):
        self.start()
        for v6 in False, True:
            self.reach(self.a, address("b", v6=v6))
            for size in 0, 1, 56, 1000, 1380:
                self.ping(self.a, address("b", v6=v6), size)
        self.end()
