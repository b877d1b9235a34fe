# SPDX-License-Identifier: BSD-2-Clause
# test_gateway_mtu.py - mode esp where packets are long, and ways are narrow.
#
# Goal: who sends too much is told how much the tunnel takes, and TCP goes on; what may be cut arrives whole, cut before
# ESP or after; and a router between the gateways is believed. Method: gateways.py. Kernels are the hosts, and in the
# last test the router: it answers for each gateway on the other's side, and its way to one of them is narrow.
import re

import case
import gateways
import lab
from hosts import SIDES, address

LINK, NARROW = 1500, 1400
HEAD = {False: 20 + 8, True: 40 + 8}  # of a ping, by v6


def tunnel(outer=4, link=LINK):
    """The longest packet for a tunnel by AES-GCM: outer header, ESP, IV, ICV; text in fours, and its trailer of two."""
    return (link - (20 if outer == 4 else 40) - 8 - 8 - 16) // 4 * 4 - 2


@case.needs_root
class GatewayMtu(gateways.Gateways):
    def host(self, side):
        """One that believes in 1,500 bytes until it is told."""
        super().host(side)
        for v6 in False, True:
            getattr(self, side).ip(*(["-6"] if v6 else []), "route", "replace", "default", "via", address(side, 1, v6=v6))

    def probe(self, host, to, length, df="do", patience=5):
        """One ping, whose IP packet is so long: what is said of it."""
        return host.run("ping", "-c1", f"-W{patience}", "-M", df, "-s", str(length - HEAD[":" in to]), to, check=False)

    def pass_by(self, host, to, length, df="do"):
        self.assertIn("1 received", self.probe(host, to, length, df))

    def told(self, host, to, length, most, by):
        """The host is told `most` by this address, and remembers it."""
        said = self.probe(host, to, length)
        self.assertRegex(said, rf"From {by} .*mtu ?= ?{most}\b")
        self.assertIn(f"mtu {most}", host.ip(*(["-6"] if ":" in to else []), "route", "get", to))

    def test_who_sends_too_much_is_told_what_the_tunnel_takes(self):
        self.start()
        most = tunnel()
        self.serve(1, self.b)
        for v6 in False, True:
            to = address("b", v6=v6)
            self.reach(self.a, to)
            self.fetch_by(self.a, to, "-m", "20")  # its TCP begins with packets of 1,500 bytes
            self.assertIn(f"mtu {most}", self.b.ip(*(["-6"] if v6 else []), "route", "get", address("a", v6=v6)))
            self.pass_by(self.a, to, most)
            self.told(self.a, to, most + 1, most, by=address("a", 1, v6=v6))
            for size in 2000, 9000:
                self.ping(self.a, to, size)
        self.end()
        for side in SIDES:
            self.assertGreater(self.drops(side)["too-big"], 0)

    def long_pings(self, outer, rule):
        """Packets of 1,500 bytes that may be cut, and pings of which the hosts make many such: how many ESP fragments
        each gateway put together."""
        self.start(outer, sending=f'fragment = "{rule}"')
        for v6 in False, True:
            self.reach(self.a, address("b", v6=v6))
        for length in tunnel(outer) + 1, tunnel(outer) + 2, LINK - 1, LINK:
            self.pass_by(self.a, address("b"), length, df="dont")
        for size in 1473, 9000:
            self.ping(self.a, address("b"), size, "-M", "dont")
        self.end()
        return [self.drops(side).get("merged", 0) for side in SIDES]

    def test_what_is_cut_after_esp_is_put_together_by_the_peer(self):
        self.assertTrue(all(n > 0 for n in self.long_pings(6, "after")))

    def test_what_is_cut_before_esp_needs_no_putting_together(self):
        self.assertEqual(self.long_pings(6, "before"), [0, 0])

    def wire_with_router(self):
        router = self.lab.namespace("m")
        for key in "ip_forward", "conf/all/proxy_arp":
            router.sysctl(f"ipv4/{key}", 1)
        for side in SIDES:
            self.lab.veth(f"{self.tag}w{side}", f"{self.tag}m{side}")
            router.adopt(f"{self.tag}m{side}", "192.0.2.254/32")
            router.sysctl(f"ipv4/neigh/{self.tag}m{side}/proxy_delay", 0)
        router.ip("route", "add", "192.0.2.1/32", "dev", f"{self.tag}ma")
        router.ip("route", "add", "192.0.2.2/32", "dev", f"{self.tag}mb", "mtu", "lock", str(NARROW))

    def test_a_router_on_the_way_is_believed(self):
        for side in SIDES:
            self.host(side)
        self.wire_with_router()
        for side in SIDES:
            self.start_gateway(side, self.conf(side))
        to, wide, narrow = address("b"), tunnel(), tunnel(link=NARROW)
        self.reach(self.a, to)
        self.pass_by(self.a, to, narrow)
        self.assertNotIn("1 received", self.probe(self.a, to, wide, patience=0.5))  # the router's way is too narrow, and it says so
        lab.until(lambda: re.search(rf"mtu ?= ?{narrow}\b", self.probe(self.a, to, wide, patience=0.5)), "the gateway's word",
                  watch=list(self.gateway.values()))
        self.pass_by(self.a, to, narrow)
        self.pass_by(self.b, address("a"), narrow)
        self.a.ip("route", "flush", "cache")
        self.serve(1, self.a)
        self.fetch_by(self.b, address("a"), "-m", "20")
        self.end()
