# SPDX-License-Identifier: BSD-2-Clause
# test_gateway.py - mode esp: two gateways between network namespaces, and what must not pass them.
#
# Goal: kernels on both sides see one network, nobody else gets in, and every loss has its name. Method: gateways.py; for
# what must not pass, frames put on the wire by hand.
import contextlib
import socket

import case
import gateways
import lab
from hosts import SIDES, address
from scapy.all import ICMP, IP, UDP, Ether, IPv6, Raw  # noqa: E402

ESP = 50  # as a protocol


def wire_socket(interface, timeout=lab.PATIENCE_S):
    """Frames as they are on the interface: those that come in there, and those that are put on it."""
    it = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    it.bind((interface, 0))
    it.settimeout(timeout)
    return it


def is_esp(frame):
    return frame[12:14] == b"\x08\x00" and frame[23] == ESP or frame[12:14] == b"\x86\xdd" and frame[20] == ESP


def is_inner(frame):
    """A packet of the hosts', in the clear."""
    v4 = frame[12:14] == b"\x08\x00" and frame[26:28] == bytes((10, 9))
    return v4 or frame[12:14] == b"\x86\xdd" and frame[22:26] in (bytes.fromhex("fd090001"), bytes.fromhex("fd090002"))


@case.needs_root
class Gateway(gateways.Gateways):
    def passes(self, sizes, outer, **options):
        self.start(outer=outer, lcores={"a": 2, "b": 1}, options=options)
        self.serve(megabytes=1)
        with contextlib.closing(wire_socket(f"{self.tag}wb", 0.0)) as wire:
            for v6 in False, True:
                self.reach(self.a, address("b", v6=v6))
                for size in sizes:
                    self.ping(self.a, address("b", v6=v6), size)
                self.ping(self.b, address("a", v6=v6), 100)
                self.fetch(v6)
                # The gateways themselves: their kernels' packets are policed and protected, too.
                self.ping(self.a, address("b", 1, v6=v6), 56)
                self.ping(self.router["a"], address("b", v6=v6), 56, "-I", address("a", 1, v6=v6))
            frames = []
            with contextlib.suppress(BlockingIOError):
                while frame := wire.recv(65536):
                    frames.append(frame)
        self.end()
        self.assertGreater(sum(1 for frame in frames if is_esp(frame)), 10)
        self.assertEqual([frame.hex() for frame in frames if is_inner(frame)], [])
        self.assertGreater(self.drops("a")["handed-over"], 0)

    def test_ping_and_tcp_pass_through_an_ipv4_tunnel(self):
        self.passes((0, 1, 56, 1000, 1400), outer=4)

    def test_ping_and_tcp_pass_through_an_ipv6_tunnel(self):
        """And B leaves the cryptography to a device."""
        self.passes((0, 56, 1300), outer=6, b=["--esp-engine=cryptodev:crypto_openssl"])
        drops = self.drops("b")
        self.assertGreater(drops["to-device"], 0, drops)

    def test_nobody_else_is_let_in(self):
        """A replay, a damaged packet, another SPI, and plaintext that should be ESP: dropped by B, under their names."""
        self.start()
        self.reach(self.a, address("b"))
        with contextlib.closing(wire_socket(f"{self.tag}wb")) as wire:
            self.a.run("ping", "-c1", address("b"))
            good = next(frame for frame in iter(lambda: wire.recv(65536), b"") if is_esp(frame) and frame[26:30] == bytes((192, 0, 2, 1)))
        before = self.pinged(self.b)
        damaged = good[:60] + bytes([good[60] ^ 1]) + good[61:-1] + bytes([good[-1] ^ 1])
        damaged = damaged[:38] + (int.from_bytes(damaged[38:42], "big") + 1000).to_bytes(4, "big") + damaged[42:]
        elsewhere = good[:34] + bytes((0, 0, 0x77, 0x77)) + good[38:]
        inner = IP(src=address("a"), dst=address("b")) / ICMP() / Raw(bytes(56))
        plain = [inner, IP(src="192.0.2.1", dst="192.0.2.2") / ICMP(), IPv6(src=address("a", v6=True), dst=address("b", v6=True)) / UDP()]
        at = lab.port_stats(self.gateway["b"], 1)["RX-packets"]
        ether = Ether(dst=Ether(good).dst, src=Ether(good).src)
        frames = [good, damaged, elsewhere, *(bytes(ether / p) for p in plain)]
        with contextlib.closing(wire_socket(f"{self.tag}wa")) as wire:
            for frame in frames:
                wire.send(frame)
        lab.until(lambda: lab.port_stats(self.gateway["b"], 1)["RX-packets"] >= at + len(frames), "the frames", watch=list(self.gateway.values()))
        self.ping(self.a, address("b"), 56)
        after = self.pinged(self.b)
        self.end()
        self.assertEqual(after - before, 3, "the last pings, and nothing else")
        drops = self.drops("b")
        self.assertEqual((drops["esp-refused"], drops["no-sa"]), (2, 1), drops)
        self.assertGreaterEqual(drops["policy"], len(plain), drops)

    def test_another_key_is_nobody_and_comes_to_nothing(self):
        """B has another key for what A sends: A's packets are refused, B's pass; and A knows no SA of a third SPI."""
        for side in SIDES:
            self.host(side)
        self.wire()
        self.start_gateway("a", self.conf("a"))
        self.start_gateway("b", self.conf("b", keys=("404142434445464748494a4b4c4d4e4f 50515253", gateways.KEYS[1]), spis=(0x1001, 0x1003)))
        self.a.run("ping", "-c3", "-i0.05", "-W0.2", address("b"), check=False)
        self.b.run("ping", "-c3", "-i0.05", "-W0.2", address("a"), check=False)
        self.end()
        self.assertGreaterEqual(self.drops("b")["esp-refused"], 1)
        self.assertGreaterEqual(self.drops("a")["no-sa"], 1)
        for side in SIDES:
            self.assertEqual(self.pinged(getattr(self, side)), 0)
