# SPDX-License-Identifier: BSD-2-Clause
# test_vhost.py - vhost-user against virtio-user: with Debian's testpmd, and both ends in one process.
import os

import exchange
import lab


class Vhost(exchange.Exchange):
    def agree(self, umfwd_on, packed, huge):
        if huge and not self.lab.huge:
            self.skipTest("no hugepages: not root, or the kernel has none to give")
        socket = self.lab.path("vhost.sock")
        backend = f"net_vhost0,iface={socket},queues=1"
        frontend = f"net_virtio_user0,path={socket},queues=1,packed_vq={int(packed)}"
        on_vhost = umfwd_on == "vhost"
        mine, theirs = (backend, frontend) if on_vhost else (frontend, backend)
        self.start_pair(mine, theirs, on_vhost, socket, huge)
        self.exchange()

    def test_both_ends_in_one_process_pass_every_packet_on(self):
        """The vhost side must be up before virtio-user looks for it, so that one comes by hot-plug."""
        socket = self.lab.path("vhost.sock")
        forwarder = self.prompt(self.umfwd(
            "umfwd", [f"net_vhost0,iface={socket}"],
            ["-i", "--forward-mode=io", "--no-flush-rx", "--total-num-mbufs=8192"]))
        lab.until(lambda: os.path.exists(socket), "the vhost socket", watch=[forwarder])
        forwarder.ask(f"port attach net_virtio_user0,path={socket}", r"[Pp]ort 1 is attached")
        forwarder.ask("port start 1", r"Done|started")
        # The packets of tx_first go round and round between the two.
        forwarder.type("start tx_first 4")
        lab.until(lambda: all(lab.port_stats(forwarder, p)["RX-packets"] > 10000 for p in (0, 1)),
                  "packets on both ports", watch=[forwarder])
        every = lab.stop_forwarding(forwarder)
        self.assertGreater(every["all"]["RX-packets"], 20000)
        self.quit(forwarder)


def _add(umfwd_on, packed, huge):
    ring = "packed" if packed else "split"
    memory = "hugepages" if huge else "no_hugepages"
    setattr(Vhost, f"test_counters_agree_with_testpmd_umfwd_on_{umfwd_on}_{ring}_ring_{memory}",
            lambda self: self.agree(umfwd_on, packed, huge))


for _on in ("vhost", "virtio_user"):
    for _packed in (False, True):
        for _huge in (False, True):
            _add(_on, _packed, _huge)
