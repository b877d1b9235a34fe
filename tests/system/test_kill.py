# SPDX-License-Identifier: BSD-2-Clause
# test_kill.py - kill -9 to the other end of a vhost-user link, again and again, at random moments.
#
# Goal: whatever umfwd is told meanwhile, no death of its peer costs it a buffer, a count or its life.
# Method: peers are small generators that wait, started, for their turn; a killed one is followed by
# the next within a tenth of a second. umfwd is given random commands all the while, and after a few
# kills it is ended at a random moment, by a signal or by a word, and its report must be sound.
#      SEED=n        repeats the order of events
#      UM_ROUNDS=n   that many kills instead of a few dozen
import collections
import contextlib
import os
import signal
import time

import case
import lab

KILLS = 30
KILLS_PER_LIFE = 10  # of umfwd
SPARES = 3           # peers that have started and wait


class Kill(case.SystemTest):
    def setUp(self):
        super().setUp()
        self.socket = self.lab.path("vhost.sock")
        self.spares = collections.deque()
        self.count = collections.Counter()

    # ---- peers

    def spare(self):
        """A small umfwd without ports: its start, the slow part, is over when its turn comes."""
        self.count["peers"] += 1
        name = f"peer-{self.count['peers']}"
        return self.lab.program(name, [
            lab.UMFWD, *self.lab.eal([], cpu=1, huge=False, memory_mb=64), "--no-telemetry", "--no-shconf",
            "--", "-i", "--forward-mode=flowgen", "--total-num-mbufs=1024", "--mbcache=16"])

    def next_peer(self):
        while len(self.spares) <= SPARES:
            self.spares.append(self.spare())
        peer = self.spares.popleft()
        peer.type(f"port attach {self.peer_device}")
        peer.type("port start 0")
        peer.type("start")
        return peer

    def kill(self, peer):
        """At whatever moment: while it starts, connects or sends."""
        self.count["connected"] += "is attached" in peer.output()
        self.assertTrue(peer.alive(), peer.last_words())
        peer.process.kill()
        self.assertEqual(peer.wait(), -signal.SIGKILL)
        self.lab.programs.remove(peer)
        peer.log.unlink()
        self.count["kills"] += 1

    # ---- umfwd

    def start_umfwd(self):
        """With its first peer: a virtio-user port that keeps the socket waits for one."""
        self.count["lives"] += 1
        self.forwarder = self.umfwd(
            f"umfwd-{self.count['lives']}", [self.device],
            ["-i", "--auto-start", "--forward-mode=macswap", "--total-num-mbufs=4096"])
        lab.until(lambda: os.path.exists(self.socket), "the socket", watch=[self.forwarder])
        peer = self.next_peer()
        self.prompt(self.forwarder)
        return peer

    def command(self):
        self.forwarder.type(self.random.choices(list(self.commands), self.commands.values())[0])
        self.count["commands"] += 1

    def pause(self, longest):
        time.sleep(self.random.random() * longest)

    def in_step(self):
        """Wait until umfwd has done what was typed, so that commands and kills stay together."""
        self.forwarder.ask(f"# {self.count['kills']} kills", rf"# {self.count['kills']} kills$")

    def end(self):
        way = self.random.choice(("quit", signal.SIGINT, signal.SIGTERM))
        if way == "quit":
            self.forwarder.type("quit")
        status = self.forwarder.wait() if way == "quit" else self.forwarder.stop(way)
        self.assertEqual(status, 0, self.forwarder.last_words())
        report = self.report(self.forwarder)
        self.count["packets"] += report["all"]["rx_packets"]
        self.lab.programs.remove(self.forwarder)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)

    # ---- rounds

    def life(self, kills):
        """One umfwd from start to end, and the peers that it survives."""
        signal.alarm(case.TIMEOUT_S)
        peer = self.start_umfwd()
        for _ in range(kills):
            if self.random.random() < 0.6:
                peer.wait_for(r"is attached|cannot attach")  # else it may still be starting
            for _ in range(self.random.randrange(5)):
                self.pause(0.05)
                self.command()
            self.pause(0.1)
            self.kill(peer)
            peer = self.next_peer()
            self.in_step()
        self.pause(0.3)
        self.end()
        self.kill(peer)

    def kill_peers(self, device, peer_device, commands):
        self.device, self.peer_device, self.commands = device, peer_device, commands
        kills = int(os.environ.get("UM_ROUNDS", KILLS))
        try:
            while self.count["kills"] < kills:
                self.life(min(KILLS_PER_LIFE, kills - self.count["kills"]))
        finally:
            print("     " + ", ".join(f"{n} {what}" for what, n in self.count.items()), flush=True)
        self.assertGreater(self.count["connected"], 0, "no link: the test proved nothing")
        self.assertGreater(self.count["packets"], 10000, "no load: the test proved nothing")

    FORWARDING = {"start": 8, "stop": 3, "set fwd macswap": 1, "set fwd rxonly": 1, "clear fwd stats all": 1,
                  "show port stats 0": 2, "show fwd stats all": 1}

    def ports(self, device):
        """The commands that change the port; it is attached as it was at the start."""
        return self.FORWARDING | {"port start 0": 10, "port stop 0": 3, "port detach 0": 1,
                                  "port close 0": 1, f"port attach {device}": 10}

    def test_a_vhost_port_survives_every_death_of_its_virtio_user(self):
        device = f"net_vhost0,iface={self.socket}"
        self.kill_peers(device, f"net_virtio_user0,path={self.socket}", self.ports(device))

    # The driver changes the device on EAL's interrupt thread when the peer goes or comes, and so does
    # umfwd when it is told to: drivers/net/interrupt_thread.h.
    def test_a_virtio_user_port_with_the_socket_survives_every_death_of_its_vhost(self):
        device = f"net_virtio_user0,path={self.socket},server=1"
        self.kill_peers(device, f"net_vhost0,iface={self.socket},client=1", self.ports(device))
