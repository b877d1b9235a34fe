# SPDX-License-Identifier: BSD-2-Clause
# test_halt.py - the end under load: signals to umfwd, and kill -9 to the other end of its link.
import os
import re
import signal

import case
import lab

LOAD = 20000  # packets that make it a load


class Halt(case.SystemTest):
    def start_umfwd(self, vdev, name="umfwd", mode="macswap"):
        self.forwarder = self.umfwd(name, [vdev], [
            "-i", "--auto-start", f"--forward-mode={mode}", "--total-num-mbufs=16384"])
        return self.forwarder

    def start_testpmd(self, vdev, name="testpmd"):
        self.peer = self.lab.testpmd(name, [vdev], ["-i", "--auto-start", "--forward-mode=flowgen"])
        return self.peer

    def appears(self, socket):
        lab.until(lambda: os.path.exists(socket), f"the socket {socket}", watch=self.lab.programs)

    def under_load(self):
        before = lab.port_stats(self.prompt(self.forwarder))["RX-packets"]
        lab.until(lambda: lab.port_stats(self.forwarder)["RX-packets"] > before + LOAD,
                  "a load", watch=[self.forwarder, self.peer])

    def kill_peer(self):
        self.peer.process.kill()
        self.assertEqual(self.peer.wait(), -signal.SIGKILL)

    def start_vhost(self):
        """umfwd has the socket, testpmd makes the load."""
        self.socket = self.lab.path("vhost.sock")
        self.start_umfwd(f"net_vhost0,iface={self.socket}")
        self.appears(self.socket)
        self.start_testpmd(f"net_virtio_user0,path={self.socket}")
        self.under_load()

    # ---- signals

    def halt_by(self, number):
        self.start_vhost()
        report = self.halt(self.forwarder, number)
        self.assertGreater(report["all"]["rx_packets"], LOAD)
        text = lab.forward_statistics(self.forwarder.output())
        self.assertEqual(text["all"]["RX-packets"], report["all"]["rx_packets"])

    def test_sigint_under_load_halts_in_order_and_reports(self):
        self.halt_by(signal.SIGINT)

    def test_sigterm_under_load_halts_in_order_and_reports(self):
        self.halt_by(signal.SIGTERM)

    def test_quit_under_load_halts_in_order_and_reports(self):
        self.start_vhost()
        self.assertGreater(self.quit(self.forwarder)["all"]["rx_packets"], LOAD)

    # ---- the peer dies

    def test_a_killed_virtio_user_may_come_back(self):
        self.start_vhost()
        for i in range(2):
            self.kill_peer()
            self.start_testpmd(f"net_virtio_user0,path={self.socket}", f"testpmd-again-{i}")
            self.under_load()
        self.halt(self.forwarder)

    def test_a_killed_virtio_user_leaves_nothing_behind(self):
        self.start_vhost()
        self.kill_peer()
        self.halt(self.forwarder)

    def start_virtio_user(self, reconnect):
        """testpmd has the vhost side; with `reconnect` umfwd keeps the socket and so survives it."""
        self.socket = self.lab.path("vhost.sock")
        if reconnect:
            self.start_testpmd(f"net_vhost0,iface={self.socket},client=1")
            self.start_umfwd(f"net_virtio_user0,path={self.socket},server=1")
        else:
            self.start_testpmd(f"net_vhost0,iface={self.socket}")
            self.appears(self.socket)
            self.start_umfwd(f"net_virtio_user0,path={self.socket}")
        self.under_load()

    def test_a_killed_vhost_leaves_nothing_behind(self):
        self.start_virtio_user(reconnect=False)
        self.kill_peer()
        self.halt(self.forwarder)

    def test_a_killed_vhost_may_come_back_when_umfwd_keeps_the_socket(self):
        self.start_virtio_user(reconnect=True)
        for i in range(2):
            self.kill_peer()
            self.start_testpmd(f"net_vhost0,iface={self.socket},client=1", f"testpmd-again-{i}")
            self.under_load()
        self.halt(self.forwarder)

    def dropped(self):
        """Under tx-full, and under tx-closed."""
        here = self.forwarder.mark()
        lab.running_statistics(self.forwarder)
        text = self.forwarder.output(here)
        return [int(([0] + re.findall(rf"^  {why}: (\d+)", text, re.MULTILINE))[-1])
                for why in ("tx-full", "tx-closed")]

    def test_while_the_peer_is_away_nobody_is_inside_the_port(self):
        """With packed rings its queues are made anew when the peer comes back."""
        self.socket = self.lab.path("vhost.sock")
        peer = f"net_vhost0,iface={self.socket},client=1"
        self.start_testpmd(peer)
        self.start_umfwd(f"net_virtio_user0,path={self.socket},server=1,packed_vq=1", mode="txonly")
        sent = lab.port_stats(self.prompt(self.forwarder))["TX-packets"]
        for again in range(3):
            lab.until(lambda: lab.port_stats(self.forwarder)["TX-packets"] > sent + LOAD,
                      "packets sent", watch=[self.forwarder, self.peer])
            before = self.dropped()[1]
            self.kill_peer()
            lab.until(lambda: self.dropped()[1] > before, "closed paths", watch=[self.forwarder])
            full, closed = self.dropped()
            lab.until(lambda: self.dropped()[1] > closed + LOAD, "more drops", watch=[self.forwarder])
            self.assertEqual(self.dropped()[0], full, "the device was asked to send")
            sent = lab.port_stats(self.forwarder)["TX-packets"]
            self.start_testpmd(peer, f"testpmd-again-{again}")
        self.halt(self.forwarder)

    def test_a_killed_memif_client_may_come_back(self):
        socket = self.lab.path("memif.sock")
        common = f"socket={socket},socket-abstract=no"
        self.start_umfwd(f"net_memif0,role=server,{common}")
        self.appears(socket)
        self.start_testpmd(f"net_memif0,role=client,{common}")
        self.under_load()
        for i in range(2):
            self.kill_peer()
            self.start_testpmd(f"net_memif0,role=client,{common}", f"testpmd-again-{i}")
            self.under_load()
        self.halt(self.forwarder)

    def turn_port(self, what, doing):
        """port stop, port start: the line behind the announcement tells whether it was done."""
        answer = self.forwarder.ask(f"port {what} 0", rf"^{doing} ports\.\.\.\n(.+)\n")[1]
        self.assertEqual(answer, "Done", self.forwarder.last_words())

    def test_ports_stopped_and_started_under_load_keep_their_packets(self):
        self.start_vhost()
        for _ in range(5):
            self.turn_port("stop", "Stopping")
            self.turn_port("start", "Starting")
            self.under_load()
        self.halt(self.forwarder)
