# SPDX-License-Identifier: BSD-2-Clause
# gateways.py - two umfwd in mode esp, each with a kernel host behind it, and a wire between them.
#
#      namespace a          umfwd A                          umfwd B          namespace b
#      10.9.1.2  a1 -- a0  inside | outside  wa ---- wb  outside | inside  b0 -- b1  10.9.2.2
#      fd09:1::2                  192.0.2.1        192.0.2.2                          fd09:2::2
#
# Their TAPs are in namespaces ra and rb, and what they are is in one TOML file each.
import os
import pathlib

import hosts
import lab
from hosts import SIDES, address

OUTER = {4: "192.0.2.", 6: "fd09:ff::"}
KEYS = ("000102030405060708090a0b0c0d0e0f 10111213", "202122232425262728292a2b2c2d2e2f 30313233")


class Gateways(hosts.TwoHosts):
    """Start both, have packets pass, stop both: their reports are sound."""

    def setUp(self):
        super().setUp()
        if not pathlib.Path("/dev/net/tun").exists():
            self.skipTest("the kernel has no /dev/net/tun")
        self.tag = f"um{os.getpid()}"
        self.router, self.gateway = {}, {}

    def host(self, side):
        host = self.lab.namespace(side)
        host.sysctl("ipv6/conf/default/accept_dad", 0)
        host.interface = f"{self.tag}{side}1"
        self.lab.veth(f"{self.tag}{side}0", host.interface)
        host.adopt(host.interface, f"{address(side)}/24")
        host.ip("addr", "add", f"{address(side, v6=True)}/64", "dev", host.interface, "nodad")
        host.ip("route", "add", "default", "via", address(side, 1), "mtu", "1400")
        host.ip("-6", "route", "add", "default", "via", address(side, 1, v6=True), "mtu", "1400")
        setattr(self, side, host)

    def wire(self):
        """Between the gateways; both ends are for umfwd."""
        self.lab.veth(f"{self.tag}wa", f"{self.tag}wb")
        lab.quiet(f"{self.tag}wb")

    def conf(self, side, outer=4, more="", keys=KEYS, spis=(0x1001, 0x1002), sas=True, terms="", sending="", lcores=1):
        """This side's TOML. The SAs and policies of a tunnel for both families, and `more`. `sending`: of what is sent."""
        me, peer = SIDES[side], 3 - SIDES[side]
        other = "b" if side == "a" else "a"
        frame = f"framesz=9216,blocksz=36864,framecnt=512,qpairs={lcores}"
        text = f"""
[[port]]
name = "lan"
side = "inside"
device = "net_af_packet0,iface={self.tag}{side}0,{frame}"
addresses = ["{address(side, 1)}/24", "{address(side, 1, v6=True)}/64"]
[[port]]
name = "wan"
device = "net_af_packet1,iface={self.tag}w{side},{frame}"
addresses = ["192.0.2.{me}/24", "fd09:ff::{me}/64"]
"""
        if sas:
            order = (0, 1) if side == "a" else (1, 0)
            ends = {4: ("192.0.2.", 4), 6: ("fd09:ff::", 6)}[outer][0]
            for direction, i, src, dst in (("out", order[0], me, peer), ("in", order[1], peer, me)):
                numbers = "seq_floor = 0\n" + sending if direction == "out" else ""
                text += f"""
[[sa]]
name = "{direction}"
child = "peer"
direction = "{direction}"
spi = {spis[i]:#x}
alg = "aes-gcm-128"
key = "{keys[i]}"
src = "{ends}{src}"
dst = "{ends}{dst}"
{numbers}
{terms}
"""
            for v6 in False, True:
                nets = [f"{address(s, 0, v6=True)}/64" if v6 else f"{address(s, 0)}/24" for s in (side, other)]
                for direction, (src, dst) in (("out", nets), ("in", reversed(nets))):
                    text += f"""
[[policy]]
direction = "{direction}"
src = "{src}"
dst = "{dst}"
action = "protect"
child = "peer"
"""
        return text + more

    def new_router(self, side):
        """The namespace of a gateway's TAPs, which outlives it."""
        router = self.lab.namespace(f"r{side}")
        for path in "ipv4/ip_forward", "ipv6/conf/all/forwarding":
            router.sysctl(path, 1)
        router.sysctl("ipv6/conf/default/accept_dad", 0)
        return router

    def start_gateway(self, side, text, *arguments, lcores=1):
        router = self.router.get(side) or self.new_router(side)
        file = self.logs / f"{side}.toml"
        file.write_text(text)
        file.chmod(0o600)
        gateway = self.prompt(self.umfwd(side, [], [
            "-i", "--auto-start", "--strict", f"--conf={file}", "--total-num-mbufs=4096", "--mbuf-size=9344",
            f"--tap-netns={router.name}", f"--nb-cores={lcores}", f"--rxq={lcores}", f"--txq={lcores}", *arguments], huge=False, memory_mb=352, workers=lcores))
        self.forwarding(gateway)
        other = "b" if side == "a" else "a"
        for v6 in False, True:
            net = f"{address(other, 0, v6=True)}/64" if v6 else f"{address(other, 0)}/24"
            via = f"fd09:ff::{SIDES[other]}" if v6 else f"192.0.2.{SIDES[other]}"
            router.ip(*(["-6"] if v6 else []), "route", "add", net, "via", via)
        self.router[side], self.gateway[side] = router, gateway

    def start(self, outer=4, lcores=None, options=None, **both):
        """`lcores` and `options`: by side."""
        for side in SIDES:
            self.host(side)
        self.wire()
        for side in SIDES:
            n = (lcores or {}).get(side, 1)
            self.start_gateway(side, self.conf(side, outer, lcores=n, **both), *(options or {}).get(side, ()), lcores=n)

    @staticmethod
    def pinged(host):
        """How many IPv4 echo requests the namespace's kernel has seen."""
        names, numbers = [line.split() for line in host.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Icmp:")]
        return int(dict(zip(names, numbers))["InEchos"])

    def reach(self, host, to):
        lab.until(lambda: "1 received" in host.run("ping", "-c1", "-W0.3", to, check=False), f"the first ping to {to}",
                  watch=list(self.gateway.values()))

    def drops(self, side):
        """So far, by name; also while it runs."""
        streams = self.last[side]["streams"]
        return {name: sum(stream["drops"].get(name, 0) for stream in streams) for name in {n for s in streams for n in s["drops"]}}

    def end(self):
        self.last = {side: self.quit(gateway) for side, gateway in self.gateway.items()}
        return self.last
