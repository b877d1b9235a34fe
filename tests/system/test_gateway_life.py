# SPDX-License-Identifier: BSD-2-Clause
# test_gateway_life.py - mode esp as it is used: many programs at once, while links flap, routes change and a gateway dies.
#
# Goal: what can pass does, unchanged and once, and after each change traffic goes on by itself. Method: gateways.py, with
# programs that nobody here wrote in the hosts.
import json
import signal
import threading

import case
import gateways
import lab
from hosts import SIDES, address


@case.needs_root
class GatewayLife(gateways.Gateways):
    def remembering(self, side):
        """A configuration whose keys go on after a crash: their numbers are on disk."""
        return self.conf(side).replace("seq_floor = 0", f'seq_floor = 0\nseq_file = "{self.logs / side}.seq"')

    def both(self, conf):
        for side in SIDES:
            (self.logs / f"{side}.seq").unlink(missing_ok=True)
            self.host(side)
        self.wire()
        for side in SIDES:
            self.start_gateway(side, conf(side))

    def iperf3(self, v6, *options):
        """A run to namespace b; what it says of itself."""
        to = address("b", v6=v6)
        server = self.lab.program("iperf3-server", self.b.command("iperf3", "-s", "-1", "--forceflush"))
        server.wait_for("Server listening")
        said = json.loads(self.a.run("iperf3", "-c", to, "-J", *options))
        server.wait()
        self.assertNotIn("error", said)
        return said["end"]

    def test_everything_at_once(self):
        """Pings, a file, streams of TCP and UDP, in both families, while the gateway's routes are replaced: all arrive."""
        self.both(self.conf)
        self.serve(megabytes=4)
        for v6 in False, True:
            self.reach(self.a, address("b", v6=v6))
        pingers = [self.lab.program(f"ping{v6}", self.a.command("ping", "-q", "-i0.005", "-c300", "-W10", "-s", "300", address("b", v6=v6)))
                   for v6 in (False, True)]
        done = threading.Event()
        turns = []

        def replace_routes():
            while not done.is_set():
                turns.append(1)
                for v6 in False, True:
                    net, via = ("fd09:2::/64", "fd09:ff::2") if v6 else ("10.9.2.0/24", "192.0.2.2")
                    self.router["a"].ip(*(["-6"] if v6 else []), "route", "replace", net, "via", via, "metric", "1024", "mtu", str(1300 + len(turns) % 2))

        changer = threading.Thread(target=replace_routes)
        changer.start()
        try:
            for v6 in False, True:
                self.fetch(v6)
                # What is in flight when the client has sent its share, iperf3 never counts as received.
                self.assertGreater(self.iperf3(v6, "-n", "2M")["sum_received"]["bytes"], 0)
                udp = self.iperf3(v6, "-u", "-l", "1200", "-b", "4M", "-n", "300K")["sum"]
                self.assertLessEqual(udp["lost_packets"], udp["packets"] // 50, udp)
            for size in 0, 1, 1400, 4000, 9000:
                self.ping(self.a, address("b"), size)
        finally:
            done.set()
            changer.join()
        for pinger in pingers:
            self.assertEqual(pinger.wait(), 0, pinger.last_words())
            self.assertIn(" 0% packet loss", pinger.output())
        self.assertGreater(len(turns), 3)
        self.end()

    def test_a_link_that_flaps_comes_back(self):
        self.both(self.conf)
        self.reach(self.a, address("b"))
        for _ in range(3):
            lab.run(["ip", "link", "set", f"{self.tag}wb", "down"])
            self.a.run("ping", "-c1", "-W0.1", address("b"), check=False)
            lab.run(["ip", "link", "set", f"{self.tag}wb", "up"])
            self.reach(self.a, address("b"))
        for command in "port stop 1", "port start 1":
            self.gateway["b"].type(command)
        self.reach(self.a, address("b"))
        self.ping(self.b, address("a"), 1000)
        self.end()

    def test_a_gateway_that_was_killed_goes_on_where_it_was(self):
        """Its keys are the old ones, and none of their numbers is sent again: the peer would take it for a replay."""
        self.both(self.remembering)
        self.reach(self.a, address("b"))
        self.ping(self.b, address("a"), 100)
        for _ in range(2):
            self.gateway["b"].send(signal.SIGKILL)
            self.assertEqual(self.gateway["b"].wait(), -signal.SIGKILL)
            self.a.run("ping", "-c1", "-W0.1", address("b"), check=False)
            self.start_gateway("b", self.remembering("b"))
            self.reach(self.a, address("b"))
            self.ping(self.b, address("a"), 100)
            self.ping(self.a, address("b", v6=True), 1000)
        self.end()
        self.assertEqual(self.drops("a").get("esp-refused", 0), 0, "no number came twice")
