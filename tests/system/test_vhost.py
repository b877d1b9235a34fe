# SPDX-License-Identifier: BSD-2-Clause
# test_vhost.py - Debian's dpdk-testpmd, in a process of its own, across vhost-user.
#
# testpmd makes packets and takes them back, umfwd swaps their addresses between. Goal: both sides
# counted the same packets. Method: the maker stops first, and each step waits until the other side
# has seen the last packet of the step before.
import os

import case
import lab


class Vhost(case.SystemTest):
    def start(self, umfwd_on, packed, huge):
        if huge and not self.lab.huge:
            self.skipTest("no hugepages: not root, or the kernel has none to give")
        socket = self.lab.path("vhost.sock")
        backend = f"net_vhost0,iface={socket},queues=1"
        frontend = f"net_virtio_user0,path={socket},queues=1,packed_vq={int(packed)}"
        mine, theirs = (backend, frontend) if umfwd_on == "vhost" else (frontend, backend)

        def start_umfwd():
            self.umfwd_ = self.prompt(self.umfwd(
                "umfwd", [mine], ["-i", "--auto-start", "--forward-mode=macswap", "--no-flush-rx",
                                  "--total-num-mbufs=16384"], huge=huge))

        def start_testpmd():
            self.testpmd = self.prompt(self.lab.testpmd(
                "testpmd", [theirs], ["-i", "--forward-mode=flowgen", "--no-flush-rx"], huge=huge))

        # The one with the socket goes first.
        for start in (start_umfwd, start_testpmd)[::1 if umfwd_on == "vhost" else -1]:
            start()
            lab.until(lambda: os.path.exists(socket), "the vhost socket", watch=self.lab.programs)

    def exchange(self, at_least=20000):
        umfwd, testpmd = self.umfwd_, self.testpmd
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


def _case(umfwd_on, packed, huge):
    def test(self):
        self.start(umfwd_on, packed, huge)
        self.exchange()
    ring = "packed" if packed else "split"
    memory = "hugepages" if huge else "no_hugepages"
    setattr(Vhost, f"test_counters_agree_with_testpmd_umfwd_on_{umfwd_on}_{ring}_ring_{memory}", test)


for _on in ("vhost", "virtio_user"):
    for _packed in (False, True):
        for _huge in (False, True):
            _case(_on, _packed, _huge)
