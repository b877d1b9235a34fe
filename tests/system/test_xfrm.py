# SPDX-License-Identifier: BSD-2-Clause
# test_xfrm.py - mode esp and the Linux kernel's XFRM, which nobody here wrote, on one link.
#
#      namespace a                 umfwd                      namespace l             a guest in QEMU
#      10.9.1.2  a1 --- a0  af_packet | esp | af_packet  q0 --- q1  bridge  tap --- eth0  10.9.2.2
#      10.77.N.1                      ||                                                  10.88.N.1, 10.99.N.2
#                     namespace r: umf0, umf1 10.9.2.1; 10.99.N.1
#
# and the same in IPv6. The guest boots once, for all tests: it is emulated, and takes some seconds to.
#
# Goal: what each of the two makes, the other opens; and what must not pass, neither lets pass.
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import socket

import case
import frames  # noqa: F401: it keeps scapy quiet
import guest
import initramfs
import lab
import stat_lab
import xfrm
from scapy.all import ICMP, IP, ICMPv6EchoRequest, IPv6
from xfrm import Pair

HELPER = lab.BUILD / "tests" / "system" / "encapsulating_socket"
MODULES = ("virtio_pci", "virtio_net", "xfrm_user", "esp4", "esp6", "drbg", "gcm", "ghash_generic", "ghash_clmulni_intel", "aes_generic", "aesni_intel",
           "cbc", "ctr", "seqiv", "echainiv", "authenc", "authencesn", "sha1_generic", "sha256_generic", "sha512_generic", "hmac", "crypto_null",
           "chacha_generic", "chacha_x86_64", "poly1305_generic", "poly1305_x86_64", "chacha20poly1305")
MAC = "52:54:00:66:6d:01"
FILE_BYTES = 300_000

PAIRS = (
    Pair(1, "aes-gcm-128", "tunnel"),
    Pair(2, "aes-gcm-256", "tunnel", 6, 6, esn=True),
    Pair(3, "chacha20-poly1305", "tunnel", 6, 4),
    Pair(4, "aes-cbc-128+hmac-sha256", "tunnel", 4, 6),
    Pair(5, "aes-cbc-256+hmac-sha512", "tunnel", esn=True),
    Pair(6, "aes-ctr-256+hmac-sha384", "tunnel", 6, 6),
    Pair(7, "aes-gcm-128", "transport", window=1024),
    Pair(8, "aes-gcm-192", "transport", 6, 6),
    Pair(9, "aes-cbc-256+hmac-sha256", "transport", esn=True),
    Pair(10, "chacha20-poly1305", "transport", 6, 6, esn=True),
    Pair(11, "aes-gcm-256", "tunnel", nat=True),
    Pair(12, "aes-cbc-128+hmac-sha256", "transport", nat=True),
    Pair(13, "chacha20-poly1305", "tunnel", 6, 6, nat=True),
    Pair(14, "aes-gmac-256", "tunnel", 6, 4),
    Pair(15, "null+hmac-sha1", "tunnel", 4, 6),
)


class World:
    """What outlives a test: the guest, and the bridge before its door."""

    def __init__(self):
        logs = case.LOGS / "xfrm"
        shutil.rmtree(logs, ignore_errors=True)
        self.lab = lab.Lab(logs, huge=False)
        self.hash = None  # of the file that the guest serves, when it does
        self.waited = False
        try:
            self.link = self.lab.namespace("l")
            self.link.sysctl("ipv6/conf/default/disable_ipv6", 1)  # nobody but the two may speak here
            self.link.ip("link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
            self.link.ip("link", "set", "bridge", "up")
            self.link.ip("tuntap", "add", "guest", "mode", "tap")
            self.link.ip("link", "set", "guest", "master", "bridge", "up")
            programs = {"ip": shutil.which("ip"), "encapsulating_socket": HELPER}
            image = initramfs.make(lab.BUILD / "guest", programs, MODULES)
            self.guest = guest.Guest(self.lab, self.link, "guest", image, MAC)
        except BaseException:
            self.lab.close()
            raise

    def settle(self):
        """Wait for the guest, and give it what all tests want of it."""
        if self.hash:
            return
        if self.waited:
            raise lab.LabError("the guest did not boot, which an earlier test says")
        self.waited = True
        self.guest.ready()
        self.guest.run(" && ".join((
            "ip link set lo up", "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad", "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_ra",
            "ip link set eth0 up", "ip addr add 10.9.2.2/24 dev eth0", "ip addr add fd09:2::2/64 dev eth0 nodad",
            f"dd if=/dev/urandom of=/srv/file bs={FILE_BYTES} count=1", "httpd -p [::]:8000 -h /srv", "{ encapsulating_socket 4500 & }")))
        self.hash = self.guest.run("sha256sum /srv/file").split()[0]


def why_not():
    if not pathlib.Path("/dev/net/tun").exists():
        return "the kernel has no /dev/net/tun"
    if absent := guest.missing():
        return f"there is no {' and no '.join(absent)}; scripts/deps test brings it"
    return case.of_another_part(2)


@case.needs_root
class Xfrm(case.SystemTest):
    world = None  # None: not begun; False: it did not come to be

    def setUp(self):
        super().setUp()
        if reason := why_not():
            self.skipTest(reason)
        self.assertIsNot(Xfrm.world, False, "there is no guest, which an earlier test says")
        if Xfrm.world is None:
            Xfrm.world = False
            Xfrm.world = World()
            Xfrm.addClassCleanup(Xfrm.world.lab.close)
        self.guest = Xfrm.world.guest

    # ---- the topology

    def start(self, pairs, *arguments, room=1300):
        """umfwd and the guest, with these pairs of SAs between them."""
        tag = f"um{os.getpid()}"
        self.a, self.r, link = self.lab.namespace("a"), self.lab.namespace("r"), self.world.link
        for namespace in self.a, self.r:
            namespace.sysctl("ipv6/conf/default/accept_dad", 0)
        for path in "ipv4/ip_forward", "ipv6/conf/all/forwarding":
            self.r.sysctl(path, 1)
        self.lab.veth(f"{tag}a0", f"{tag}a1")
        self.a.adopt(f"{tag}a1", "10.9.1.2/24")
        self.a.ip("addr", "add", "fd09:1::2/64", "dev", f"{tag}a1", "nodad")
        self.lab.veth(f"{tag}q0", f"{tag}q1")
        link.take(f"{tag}q1")
        link.ip("link", "set", f"{tag}q1", "master", "bridge", "up")
        for pair in pairs:
            pair.make_keys(self.random)
        self.gateway = self.prompt(self.umfwd("umfwd", [], [
            "-i", "--auto-start", f"--conf={self.conf(tag, pairs)}", f"--tap-netns={self.r.name}", "--total-num-mbufs=4096", "--mbuf-size=9344", *arguments],
            huge=False, memory_mb=352))
        self.world.settle()
        self.forwarding(self.gateway)
        self.roads(pairs, room)
        for version in 4, 6:
            us, they = xfrm.GATEWAYS[version]
            self.until_ping(self.r, us, they)

    def conf(self, tag, pairs):
        """umfwd's file. Of what is not protected, only ICMP passes: the gateways' pings."""
        text = "".join(f'''[[port]]
name = "{side}"
device = "net_af_packet{i},iface={tag}{side}0,framesz=9216,blocksz=36864,framecnt=512"
side = "{('inside', 'outside')[i]}"
addresses = ["10.9.{i + 1}.1/24", "fd09:{i + 1}::1/64"]

''' for i, side in enumerate("aq"))
        text += "".join(pair.conf() for pair in pairs)
        for direction in "out", "in":
            for protocol in "icmp", "icmpv6":
                text += f'[[policy]]\ndirection = "{direction}"\npriority = 9\nprotocol = "{protocol}"\naction = "bypass"\n\n'
        file = self.logs / "umfwd.toml"
        file.touch(mode=0o600)
        file.write_text(text)
        return file

    def roads(self, pairs, room):
        """Addresses and routes of those who talk. With `room` to spare nothing has to be cut: then no packet of theirs is
        longer. In transport mode a route is that of the packet around, too: there only TCP is asked for less."""
        shorter = {"tunnel": ["mtu", str(room)], "transport": ["advmss", str(room)]} if room else {"tunnel": [], "transport": []}
        self.guest.run("ip xfrm state flush; ip xfrm policy flush; ip neigh flush dev eth0; ip route flush proto static; ip -6 route flush proto static")
        lines = []
        for pair in pairs:
            ours, theirs = pair.hosts
            us, they = xfrm.GATEWAYS[pair.inner]
            on_lo = ["dev", "lo", *["nodad"] * (pair.inner == 6)]
            lines += [f"addr replace {theirs} {' '.join(on_lo)}",
                      f"route add {ours} via {us} src {theirs} {' '.join(shorter[pair.mode])} proto static", *pair.batch()]
            if pair.mode == "tunnel":
                near = us.replace("9.2.", "9.1.").replace("09:2", "09:1")
                self.a.ip("addr", "add", ours, *on_lo)
                self.a.ip("route", "add", theirs, "via", near, "src", ours, *shorter["tunnel"])
                self.r.ip("route", "add", ours, "via", near[:-1] + "2")
                self.r.ip("route", "add", theirs, "via", they)
            else:
                self.r.ip("addr", "add", ours, *on_lo)
                self.r.ip("route", "add", theirs, "via", they, "src", ours)
        self.guest.ip_batch(lines)

    def host(self, pair):
        """Who talks at our end."""
        return self.a if pair.mode == "tunnel" else self.r

    def until_ping(self, namespace, source, to):
        lab.until(lambda: "1 received" in namespace.run("ping", "-c1", "-W0.3", "-I", source, to, check=False),
                  f"the first ping to {to}", watch=[self.gateway, self.guest.program])

    @contextlib.contextmanager
    def about(self, pair):
        """Whatever fails here says of which pair, and is the end: what was begun goes on in the guest."""
        try:
            yield
        except (AssertionError, lab.LabError) as why:
            raise AssertionError(f"{pair}: {why}") from why

    # ---- traffic

    def ping(self, pair, size, count=2):
        ours, theirs = pair.hosts
        # With -w it asks until so many answers are there.
        text = self.host(pair).run("ping", f"-c{count}", "-i0.02", "-w20", "-s", str(size), "-I", ours, theirs)
        self.assertGreaterEqual(int(re.search(r"(\d+) received", text)[1]), count, text)
        self.assertNotIn("DUP!", text)

    def ping_when_told(self, pair, size):
        """The same, and the first may have been told that it was too long."""
        lab.until(lambda: ", 0% packet loss" in self.host(pair).run(
            "ping", "-c2", "-i0.02", "-w5", "-s", str(size), "-I", *pair.hosts, check=False), f"a ping of {size} bytes to pass")

    def echoes(self):
        """How many pings in IPv6 our gateway's kernel was asked."""
        return int(re.search(r"Icmp6InEchos\s+(\d+)", self.r.run("cat", "/proc/net/snmp6"))[1])

    def serve(self):
        """A file at our end, by HTTP, for both families."""
        there = self.lab.dir / "served"
        there.mkdir()
        (there / "file").write_bytes(self.random.randbytes(FILE_BYTES))
        self.hash = case.sha256(there / "file")
        servers = [self.lab.program(f"http-{name}", namespace.command(
            "/usr/bin/python3", "-S", "-u", "-m", "http.server", "--bind", "::", "8000"), cwd=there)
            for name, namespace in (("a", self.a), ("r", self.r))]
        for server in servers:
            server.wait_for("Serving HTTP")

    def copy_both_ways(self, pair):
        """A file from there and one to there, at the same time."""
        ours, theirs = (f"[{host}]" if pair.inner == 6 else host for host in pair.hosts)
        self.guest.begin(f"timeout 40 wget -q -O - http://{ours}:8000/file | sha256sum")
        here = self.lab.dir / "fetched"
        self.host(pair).run("curl", "-gsS", "--fail", "-m", "40", "--interface", pair.hosts[0], "-o", str(here), f"http://{theirs}:8000/file")
        self.assertEqual(case.sha256(here), self.world.hash)
        self.assertEqual(self.guest.finish()[1].split()[0], self.hash)

    # ---- counters, under the same names

    def refused_there(self):
        """What the guest's kernel counts in /proc/net/xfrm_stat."""
        lines = self.guest.run("cat /proc/net/xfrm_stat").splitlines()
        return collections.Counter({name: int(count) for name, count in map(str.split, lines) if int(count)})

    def refused_here(self):
        """What umfwd's lanes have counted by now."""
        prefix = next(word.partition("=")[2] for word in self.gateway.argv if word.startswith("--file-prefix="))
        sample = json.loads(lab.run([stat_lab.UMSTAT, f"--path=/dev/shm/umbuf.{prefix}", "--json"]))
        counts = collections.Counter()
        for number in sample["numbers"]:
            if number["name"] == "esp_packets" and number["labels"]["why"] != "ok" and number["value"]:
                counts[number["labels"]["why"]] += number["value"]
        return counts

    # ---- tests

    def test_the_kernel_opens_what_umfwd_makes_and_makes_what_it_opens(self):
        self.start(PAIRS)
        self.serve()
        before = self.refused_there()
        for pair in PAIRS:
            with self.about(pair):
                for size in 0, 1, 56, 999, 1252:
                    self.ping(pair, size)
                self.copy_both_ways(pair)
        self.assertEqual(self.refused_there() - before, {})
        self.assertEqual(self.refused_here(), {})
        self.halt(self.gateway)

    def test_long_numbers_pass_two_to_the_32_on_both_sides(self):
        """The kernel's window is told where to begin. umfwd's has to be led there: it believes no jump of 2^31."""
        pairs = [Pair(1, "aes-gcm-128", "tunnel", esn=True), Pair(2, "aes-cbc-128+hmac-sha256", "transport", 6, 6, esn=True)]
        for pair in pairs:
            pair.sent = (0xfffffff0, 0x7fff0000)
        self.start(pairs)
        for pair in pairs:
            with self.about(pair):
                self.ping(pair, 56)
                pair.sent = (0, 0xfffffff0)
                self.guest.ip_batch([pair.state_delete(1), pair.state(1)])
                self.ping(pair, 56, count=40)
                state = self.guest.run("ip xfrm state")
                self.assertIn("seq-hi 0x1, ", state.split(f"spi {pair.spis[0]:#010x}")[1])
                self.assertIn("oseq-hi 0x1, ", state.split(f"spi {pair.spis[1]:#010x}")[1])
        self.halt(self.gateway)

    def test_what_is_too_long_is_cut_or_told_and_put_together_again(self):
        """No route says that there is a tunnel, and the way through it is shorter by that."""
        pairs = [Pair(1, "aes-gcm-128", "tunnel"), Pair(2, "aes-cbc-128+hmac-sha256", "tunnel", 4, 6, more='fragment = "before"'),
                 Pair(3, "chacha20-poly1305", "tunnel", 6, 4, more='df = "clear"'), Pair(4, "aes-gcm-256", "tunnel", 6, 6),
                 Pair(5, "aes-cbc-256+hmac-sha512", "tunnel", nat=True)]
        last = Pair(6, "aes-ctr-128+hmac-sha256", "transport", 6, 6)
        self.start([*pairs, last], room=None)
        self.serve()
        for pair in pairs:
            with self.about(pair):
                for size in 1420, 1473, 8000:
                    self.ping_when_told(pair, size)
                    self.guest.run(f"ping -c1 -w5 -s {size} {pair.hosts[0]}")
                self.copy_both_ways(pair)
        with self.about(pairs[0]):  # without DF: cut behind ESP
            self.host(pairs[0]).run("ping", "-c1", "-w9", "-M", "dont", "-s", "1450", "-I", *pairs[0].hosts)
        with self.about(last):  # the kernel cuts behind ESP, too. Our kernel answers with fragments, which this mode does not take
            self.guest.try_run(f"ping -c3 -W1 -s 3000 {last.hosts[0]}")
            self.assertEqual(self.echoes(), 3)
        report = self.halt(self.gateway)
        self.assertGreater(report["drops"]["merged"], 0)

    # ---- what must not pass

    def tap(self):
        """Sockets on both ends of the bridge: all that is said, and a way to say more."""
        self.to_us = self.world.link.packet_socket(f"um{os.getpid()}q1")
        self.to_them = self.world.link.packet_socket("guest")
        for side in self.to_us, self.to_them:
            self.lab.on_close(side.close)

    def heard(self):
        """The frames since the last time: those to them, those to us."""
        both = [], []
        while True:
            try:
                frame, (_, _, kind, *_) = self.to_us.recvfrom(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return both
            both[kind == socket.PACKET_OUTGOING].append(frame)

    @staticmethod
    def forged(frame, pair):
        """The same with a number that was not sent yet, and with another SPI."""
        esp = 14 + (40 if pair.outer == 6 else 20) + (8 if pair.nat else 0)
        spi, number = (int.from_bytes(frame[at:at + 4], "big") for at in (esp, esp + 4))
        return (frame[:esp + 4] + (number + 1000).to_bytes(4, "big") + frame[esp + 8:],
                frame[:esp] + (spi ^ 0x1000).to_bytes(4, "big") + frame[esp + 4:])

    @staticmethod
    def in_plain(frame, src, dst):
        """A ping between the stations of a frame."""
        packet = IPv6(src=src, dst=dst) / ICMPv6EchoRequest() if ":" in src else IP(src=src, dst=dst) / ICMP()
        return frame[:12] + bytes.fromhex("86dd" if ":" in src else "0800") + bytes(packet)

    def test_what_was_sent_before_or_by_somebody_else_passes_neither(self):
        """Frames from the link, again and altered: both sides drop them, and count them under the same names."""
        pairs = [Pair(1, "aes-gcm-128", "tunnel"), Pair(2, "aes-cbc-128+hmac-sha256", "transport", 6, 6, window=32),
                 Pair(3, "chacha20-poly1305", "tunnel", 4, 6, window=1024), Pair(4, "aes-gcm-256", "transport", nat=True)]
        self.start(pairs)
        self.tap()
        here, there = collections.Counter(), self.refused_there()
        for pair in pairs:
            self.heard()
            self.ping(pair, 100, count=20)
            ours, theirs = pair.hosts
            for sent, counts, port, ends in zip(self.heard(), (there, here), (self.to_them, self.to_us), ((ours, theirs), (theirs, ours))):
                self.assertGreaterEqual(len(sent), 20)
                for frame in [*sent, sent[0], *self.forged(sent[-1], pair), self.in_plain(sent[0], *ends)]:
                    port.send(frame)
                counts.update({"XfrmInStateSeqError": len(sent) + 1, "XfrmInStateProtoError": 1, "XfrmInNoStates": 1, "XfrmInTmplMismatch": 1})
            self.ping(pair, 100)  # what was forged has moved no window
        lab.until(lambda: self.refused_there() == there, f"the kernel to have counted {there}")
        lab.until(lambda: self.refused_here() == here, f"umfwd to have counted {here}", watch=[self.gateway])
        self.halt(self.gateway)

    # ---- new keys

    def umfwd_rekeys(self, name, spi, key, words=""):
        self.gateway.type(f"sa rekey {name} spi {spi:#x} key {key.hex()} {words}")
        self.gateway.ask(f"sa show {name}", rf"^sa {name} .* spi {spi:#x} ")

    def rekey(self, pair, heard):
        """Make before break: who receives has a new SA before the other sends by it, and keeps the old one until all is heard."""
        new = dataclasses.replace(pair)
        new.make_keys(self.random)
        n = pair.number
        self.umfwd_rekeys(f"in-{n}", new.spis[1], new.keys[1])
        self.guest.ip_batch([new.state(0), new.state(1)])  # the kernel sends by the one that is newer
        self.umfwd_rekeys(f"out-{n}", new.spis[0], new.keys[0], "seq-floor 0")
        heard()
        self.guest.ip_batch([pair.state_delete(0), pair.state_delete(1)])
        self.gateway.type(f"sa delete in-{n}/{pair.spis[1]:#x}")
        heard()
        return new

    def test_new_keys_under_traffic_lose_nothing(self):
        pairs = [Pair(1, "aes-gcm-128", "tunnel"), Pair(2, "aes-cbc-128+hmac-sha256", "transport", 6, 6)]
        self.start(pairs)
        before = self.refused_there()
        pingers = [self.lab.program(f"ping-{p.number}", self.host(p).command("ping", "-i0.01", "-I", *p.hosts)) for p in pairs]

        def answers(pinger):
            return [int(n) for n in re.findall(r"icmp_seq=(\d+) ", pinger.output())]

        def heard():
            """Until both have more answers, of what was sent from now on."""
            last = [answers(pinger)[-1:] or [0] for pinger in pingers]
            lab.until(lambda: all((answers(p)[-1:] or [0])[0] >= was[0] + 20 for p, was in zip(pingers, last)), "answers", watch=pingers)
        heard()
        for _ in range(2):
            pairs = [self.rekey(pair, heard) for pair in pairs]
        for pinger in pingers:
            pinger.stop()
            seen = answers(pinger)
            self.assertEqual(seen, list(range(1, len(seen) + 1)), "each answer came, once, and in order")
        self.assertEqual(self.refused_there() - before, {})
        self.assertEqual(self.refused_here(), {})
        self.halt(self.gateway)
