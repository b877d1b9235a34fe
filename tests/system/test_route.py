# SPDX-License-Identifier: BSD-2-Clause
# test_route.py - mode route between network namespaces that nothing else joins.
#
#      namespace a                     umfwd                       namespace b
#      10.9.1.2  a1 ---- a0  af_packet | route | af_packet  b0 ---- b1  10.9.2.2
#      fd09:1::2                        ||                          fd09:2::2
#                                 namespace r: the TAPs umf0 and umf1, 10.9.{1,2}.1 and fd09:{1,2}::1
#
# Goal: ip(8), the kernel's TCP and ICMP, and a routing daemon that nobody here wrote see a router.
import os
import pathlib
import shutil
import signal

import case
import hosts
import lab
from hosts import SIDES, address


def echoes(namespace):
    """How many pings the namespace's kernel has sent, and how many answers it has seen (IPv4)."""
    names, numbers = [line.split() for line in namespace.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Icmp:")]
    counted = dict(zip(names, numbers))
    return int(counted["OutEchos"]), int(counted["InEchoReps"])


@case.needs_root
class Route(hosts.TwoHosts):
    def setUp(self):
        super().setUp()
        if not pathlib.Path("/dev/net/tun").exists():
            self.skipTest("the kernel has no /dev/net/tun")
        self.r = self.lab.namespace("r")
        for path in "ipv4/ip_forward", "ipv6/conf/all/forwarding":
            self.r.sysctl(path, 1)
        self.r.sysctl("ipv6/conf/default/accept_dad", 0)

    def start(self, *arguments, mtu=1500, addresses=True):
        """Both hosts, umfwd between them, and the addresses of its TAPs."""
        tag = f"um{os.getpid()}"
        for side in SIDES:
            host = self.lab.namespace(side)
            host.sysctl("ipv6/conf/default/accept_dad", 0)
            host.interface = f"{tag}{side}1"
            self.lab.veth(f"{tag}{side}0", host.interface, mtu)
            host.adopt(host.interface, f"{address(side)}/24", mtu)
            host.ip("addr", "add", f"{address(side, v6=True)}/64", "dev", host.interface, "nodad")
            if addresses:
                host.ip("route", "add", "default", "via", address(side, 1))
                host.ip("-6", "route", "add", "default", "via", address(side, 1, v6=True))
            setattr(self, side, host)
        # net_af_packet has the kernel put IPv4 fragments together before it sees them (PACKET_FANOUT_FLAG_DEFRAG): what
        # was sent in pieces comes in as one packet, and leaves in pieces made by umfwd.
        frame, block = 9216, 36864
        self.router = self.prompt(self.umfwd(
            "umfwd", [f"net_af_packet{i},iface={tag}{side}0,framesz={frame},blocksz={block},framecnt=512"
                      for i, side in enumerate(SIDES)],
            ["-i", "--forward-mode=route", "--auto-start", "--total-num-mbufs=4096", f"--mbuf-size={frame + 128}", f"--tap-netns={self.r.name}", *arguments],
            huge=False, memory_mb=352))  # more than the hugepages that a run reserves for two
        self.forwarding(self.router)
        if not addresses:
            return
        for i, side in enumerate(SIDES):
            self.r.ip("addr", "add", f"{address(side, 1)}/24", "dev", f"umf{i}")
            self.r.ip("addr", "add", f"{address(side, 1, v6=True)}/64", "dev", f"umf{i}", "nodad")
        for v6 in False, True:
            self.reach(self.a, address("b", v6=v6))

    def reach(self, host, to):
        lab.until(lambda: "1 received" in host.run("ping", "-c1", "-W0.3", to, check=False), f"the first ping to {to}", watch=[self.router])

    def drops(self):
        return {name: sum(stream["drops"].get(name, 0) for stream in self.last["streams"])
                for name in {name for stream in self.last["streams"] for name in stream["drops"]}}

    def end(self):
        self.last = self.quit(self.router)
        return self.last

    def test_ping_and_tcp_pass_in_both_families(self):
        self.start()
        self.serve(megabytes=4)
        for v6 in False, True:
            for size in 0, 1, 56, 1452, 1453, 1472, 1473, 4000, 9000:
                self.ping(self.a, address("b", v6=v6), size)
            self.ping(self.b, address("b", 1, v6=v6), 56)  # the router itself
            self.ping(self.b, address("a", 1, v6=v6), 3000)
            self.fetch(v6)
        self.end()

    def test_the_kernel_answers_for_packets_that_cannot_pass(self):
        self.start()
        if shutil.which("traceroute"):
            for v6 in False, True:
                text = self.a.run("traceroute", *(["-6"] if v6 else []), "-n", "-q1", "-w2", address("b", v6=v6))
                self.assertRegex(text, rf"(?m)^ *1 +{address('a', 1, v6)} ")
                self.assertRegex(text, rf"(?m)^ *2 +{address('b', 2, v6)} ")
        self.assertIn("Unreachable", self.a.run("ping", "-c1", "-W3", "10.77.0.1", check=False))
        self.assertIn("nreachable", self.a.run("ping", "-c1", "-W3", "fd77::1", check=False))
        self.assertIn("Unreachable", self.a.run("ping", "-c1", "-W6", address("b", 99), check=False))
        self.end()
        drops = self.drops()
        for name in "ttl-expired", "no-route", "no-neighbour", "to-kernel":
            self.assertGreater(drops[name], 0, drops)

    def test_a_smaller_mtu_is_found_out_and_then_kept(self):
        """b's link takes 1300 bytes. Who may not be cut is told, and TCP goes on; who may is cut."""
        self.start()
        self.serve(megabytes=2)
        self.r.ip("link", "set", "umf1", "mtu", "1300")
        self.b.ip("link", "set", self.b.interface, "mtu", "1300")
        self.router.ask("show route", r"10\.9\.2\.0/24 port 1 mtu 1300")
        text = self.a.run("ping", "-c1", "-W2", "-s", "1400", "-M", "do", address("b"), check=False)
        self.assertIn("mtu = 1300", text)
        self.a.ip("route", "flush", "cache")
        text = self.a.run("ping", "-c1", "-W2", "-s", "1400", "-M", "do", address("b", v6=True), check=False)
        self.assertIn("mtu", text.lower())
        for v6 in False, True:
            self.fetch(v6)
            self.ping(self.b, address("a", v6=v6), 4000)
        self.a.ip("route", "flush", "cache")
        self.ping(self.a, address("b"), 1400, "-M", "dont")
        self.end()
        self.assertGreater(self.drops()["too-big"], 0)

    def test_jumbo_packets_are_cut_for_a_smaller_link(self):
        self.start(mtu=9000)
        for tap in "umf0", "umf1":
            self.r.ip("link", "set", tap, "mtu", "9000")
        self.router.ask("show route", r"10\.9\.2\.0/24 port 1 mtu 9000")
        self.ping(self.a, address("b"), 8972, "-M", "do")
        self.r.ip("link", "set", "umf1", "mtu", "1500")
        self.b.ip("link", "set", self.b.interface, "mtu", "1500")
        self.router.ask("show route", r"10\.9\.2\.0/24 port 1 mtu 1500")
        self.ping(self.a, address("b"), 8900, "-M", "dont")
        self.end()

    def test_routes_are_replaced_under_load_and_links_flap(self):
        self.start()
        for i in 7, 8:
            self.b.ip("addr", "add", f"10.9.2.{i}/24", "dev", self.b.interface)
        self.b.ip("addr", "add", "10.50.0.1/32", "dev", "lo")
        self.r.ip("route", "add", "10.50.0.0/16", "via", "10.9.2.7")
        self.reach(self.a, "10.50.0.1")
        before = echoes(self.a)
        pinger = self.lab.program("ping", self.a.command("ping", "-q", "-i0.002", "-c600", "10.50.0.1"))
        turn = 0
        while pinger.alive():
            self.r.ip("route", "replace", "10.50.0.0/16", "via", f"10.9.2.{7 + turn % 2}")
            turn += 1
        self.assertEqual(pinger.wait(), 0, pinger.last_words())
        def all_came_back():
            asked, answered = (now - then for now, then in zip(echoes(self.a), before))
            return asked >= 600 and answered == asked
        lab.until(all_came_back, "each of 600 echoes to come back", timeout=20)
        self.assertGreater(turn, 5)
        # Many at once, and gone at once: news that the kernel could not keep is made up for.
        batch = self.lab.dir / "routes"
        batch.write_text("".join(f"route add 10.100.{i // 250}.{i % 250}/32 via 10.9.2.7\n" for i in range(3000)))
        self.r.ip("-batch", str(batch))
        lab.until(lambda: self.routes().count("via 10.9.2.7") == 3000 + turn % 2, "3000 routes to be there")
        self.r.ip("route", "flush", "root", "10.100.0.0/16")
        lab.until(lambda: "10.100." not in self.routes(), "3000 routes to be gone")
        # A TAP that is down takes its routes along; up again, it has its own.
        self.r.ip("link", "set", "umf1", "down")
        lab.until(lambda: "10.9.2.0/24" not in self.routes(), "the routes of a TAP that is down to go")
        self.r.ip("link", "set", "umf1", "up")
        self.reach(self.a, address("b"))
        # Addresses and routes of the TAPs outlive a stop.
        lab.stop_forwarding(self.router)
        self.router.type("start")
        self.reach(self.a, address("b"))
        # A port without a link is a TAP without a carrier.
        self.router.type("port stop 1")
        lab.until(lambda: "NO-CARRIER" in self.r.ip("link", "show", "umf1"), "the TAP to lose its carrier")
        self.router.type("port start 1")
        lab.until(lambda: "LOWER_UP" in self.r.ip("link", "show", "umf1"), "the TAP to have its carrier again")
        self.reach(self.a, address("b"))
        # The kernel asks a neighbour that only umfwd sends to, when it is no longer sure of it.
        mac = self.b.run("cat", f"/sys/class/net/{self.b.interface}/address").strip()
        self.r.ip("neigh", "replace", address("b"), "lladdr", mac, "dev", "umf1", "nud", "stale")
        def asked():
            self.a.run("ping", "-c1", "-W1", address("b"), check=False)
            return "STALE" not in self.r.ip("neigh", "show", address("b"))
        lab.until(asked, "the kernel to ask for a neighbour in use")
        # A neighbour that changes its address is learned anew.
        self.b.ip("link", "set", self.b.interface, "address", "02:00:00:00:00:77")
        self.r.ip("neigh", "flush", "dev", "umf1")
        self.reach(self.a, address("b"))
        self.assertIn("02:00:00:00:00:77", self.router.ask("show neigh", rf"{address('b')} port 1 .*")[0])
        self.end()

    def routes(self):
        here = self.router.mark()
        self.router.ask("show route", r"127\.0\.0\.0/8 kernel(?s:.*)umfwd> ")
        return self.router.output(here)

    def test_bird_tells_umfwd_where_to_go(self):
        """a and b speak BGP with umfwd's namespace, from where BIRD's routes come into umfwd."""
        bird = shutil.which("bird") or shutil.which("bird", path="/usr/sbin")
        if bird is None:
            self.skipTest("there is no bird; scripts/deps test brings it (bird2)")
        self.start()
        self.a.ip("route", "del", "default")
        self.b.ip("addr", "add", "10.60.0.1/32", "dev", "lo")
        self.bird(bird, "r", self.r, 65000, {address("a"): 65001, address("b"): 65002})
        self.bird(bird, "a", self.a, 65001, {address("a", 1): 65000})
        b = self.bird(bird, "b", self.b, 65002, {address("b", 1): 65000}, own='protocol direct { ipv4; interface "lo"; }')
        self.reach(self.a, "10.60.0.1")
        self.router.ask("show route", r"10\.60\.0\.1/32 via 10\.9\.2\.2 port 1")
        self.assertIn("proto bird", self.r.ip("route", "show", "10.60.0.1"))
        self.assertEqual(b.stop(signal.SIGTERM), 0, b.last_words())
        lab.until(lambda: "10.60.0.1/32" not in self.routes(), "the route to be withdrawn")
        self.end()

    def bird(self, bird, name, namespace, number, peers, own=""):
        config = self.lab.dir / f"bird-{name}.conf"
        peers = "".join(f"protocol bgp {{ local as {number}; neighbor {peer} as {other}; connect delay time 1; error wait time 1, 1; "
                        "ipv4 { import all; export all; }; }\n" for peer, other in peers.items())
        config.write_text(f"""router id 10.9.0.{number - 64999};
protocol device {{ scan time 1; }}
protocol kernel {{ ipv4 {{ export where source = RTS_BGP; import none; }}; }}
{own}
{peers}""")
        return self.lab.program(f"bird-{name}", namespace.command(
            bird, "-f", "-c", str(config), "-s", str(self.lab.dir / f"bird-{name}.ctl")))
