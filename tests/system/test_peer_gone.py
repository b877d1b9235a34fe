# SPDX-License-Identifier: BSD-2-Clause
# test_peer_gone.py - the peer of two vhost-user links dies with packets in flight, under each scheme.
#
# Goal: references that end in the drivers because a peer is gone come home. Method: mode tee sends each
# packet to a vhost port and, as a copy, to a virtio-user port; the process at their other ends, which
# reads what it can, is killed under load. What the drivers hold then they give back when they notice,
# or when their ports stop. umfwd's report says whether all of it came.
import os
import signal

import case
import lab

MOVED = 20000  # packets to each of the two ports, before the peer dies


class PeerGone(case.SystemTest):
    def start(self, scheme):
        """umfwd, which waits for its virtio-user port's peer, and that peer, still without ports."""
        vhost, virtio = self.lab.path(f"vhost-{scheme}"), self.lab.path(f"virtio-{scheme}")
        umfwd = self.umfwd(
            f"umfwd-{scheme}",
            ["net_null0", f"net_vhost0,iface={vhost}", f"net_virtio_user0,path={virtio},server=1"],
            ["-i", "--forward-mode=tee", "--port-topology=chained", f"--refcnt={scheme}",
             "--total-num-mbufs=4096"])
        peer = self.lab.program(f"peer-{scheme}", [
            lab.UMFWD, *self.lab.eal([], cpu=1, huge=False, memory_mb=64), "--no-telemetry", "--no-shconf",
            "--", "-i", "--forward-mode=rxonly", "--total-num-mbufs=1024", "--mbcache=16"])
        return umfwd, peer, vhost, virtio

    def join(self, umfwd, peer, vhost, virtio):
        """The peer at both ports. The one that keeps its socket comes first: umfwd waits for it."""
        lab.until(lambda: os.path.exists(virtio), "the virtio-user socket", watch=[umfwd, peer])
        peer.type(f"port attach net_vhost0,iface={virtio},client=1")
        peer.type("port start 0")
        self.prompt(umfwd)
        peer.type(f"port attach net_virtio_user0,path={vhost}")
        peer.type("port start 1")
        peer.type("start")
        self.forwarding(peer)

    def forward_until_it_dies(self, umfwd, peer):
        umfwd.type("start")
        lab.until(lambda: all(lab.port_stats(umfwd, port)["TX-packets"] >= MOVED for port in (1, 2)),
                  f"{MOVED} packets to leave by each port", watch=[umfwd, peer])
        peer.process.kill()
        self.assertEqual(peer.wait(), -signal.SIGKILL)
        self.lab.programs.remove(peer)

    def test_what_a_dead_peer_leaves_in_the_drivers_comes_home_under_each_scheme(self):
        schemes = lab.schemes()
        started = [self.start(schemes[0])]  # the slow part: always one ahead
        for number, scheme in enumerate(schemes, 1):
            with self.subTest(scheme):
                if number < len(schemes):
                    started.append(self.start(schemes[number]))
                umfwd, peer, *sockets = started.pop(0)
                self.join(umfwd, peer, *sockets)
                self.forward_until_it_dies(umfwd, peer)
                if self.random.random() < 0.5:  # under load; else all together, at the end
                    umfwd.type(f"port stop {self.random.choice((1, 2))}")
                report = self.quit(umfwd)
                self.assertGreater(report["all"]["tx_packets"], 2 * MOVED)
                self.lab.programs.remove(umfwd)
