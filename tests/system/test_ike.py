# SPDX-License-Identifier: BSD-2-Clause
# test_ike.py - strongSwan's charon negotiates, umfwd carries the ESP; once with a peer that is not ours.
#
# Goal: a tunnel comes up by IKE, is rekeyed under load from both ends without losing a packet, and is gone when it is
# terminated; whatever dies, nothing passes in the clear, and what lives is rekeyed. Method: the gateways of gateways.py
# with no SA and no policy in their files, and a charon beside each of them (ike.py).
import signal

import case
import gateways
import ike
import lab
from hosts import address

UNITS = {"a": "192.0.2.1", "b": "192.0.2.2"}
UNITS6 = {"a": "fd09:ff::1", "b": "fd09:ff::2"}
NETS = {side: f"{address(side, 0)}/24" for side in UNITS}
GCM = "esp_proposals = aes128gcm16"


def other(side):
    return "b" if side == "a" else "a"


def between(side, words=GCM, **selectors):
    """A child of this side, between the networks behind both."""
    mine, yours = selectors.get(side, NETS[side]), selectors.get(other(side), NETS[other(side)])
    return f"local_ts = {mine}\nremote_ts = {yours}\n{words}"


@case.needs_root
class Ike(gateways.Gateways):
    def setUp(self):
        super().setUp()
        self.plugin = ike.plugin()
        if isinstance(self.plugin, str):
            self.skipTest(self.plugin)
        self.charon = {}

    # ---- what is started

    def start_umfwd(self, side):
        self.start_gateway(side, self.conf(side, sas=False), "--forward-mode=esp", f"--control={self.control(side)}")

    def control(self, side):
        return self.lab.path(f"{side}.control")

    def start_charon(self, side, namespace, kernel="kernel-umbuf"):
        self.charon[side] = ike.Charon(self.lab, side, namespace, kernel, self.plugin, self.control(side))

    def start_two(self):
        for side in UNITS:
            self.host(side)
        self.wire()
        for side in UNITS:
            self.start_umfwd(side)
            self.start_charon(side, self.router[side])

    def start_one_with_libipsec(self):
        """b's gateway is the kernel of a namespace, and charon there, which does ESP itself, behind a TUN."""
        for side in UNITS:
            self.host(side)
        self.wire()
        self.start_umfwd("a")
        self.start_charon("a", self.router["a"])
        there = self.lab.namespace("gb")
        there.sysctl("ipv4/ip_forward", 1)
        there.adopt(f"{self.tag}wb", f"{UNITS['b']}/24")
        there.adopt(f"{self.tag}b0", f"{address('b', 1)}/24")
        self.start_charon("b", there, "kernel-libipsec")

    def load(self, children, more="", units=UNITS):
        """The same children at both ends. children: name -> a function that says this side's words."""
        for side, charon in self.charon.items():
            charon.load(units[side], units[other(side)], {name: words(side) for name, words in children.items()}, more)

    # ---- what is seen

    def ours(self, side):
        """The SAs and policies that umfwd has of charon."""
        words = [lab.run([lab.ROOT / "scripts" / "umctl", self.control(side), *what]) for what in (("sa", "list"), ("policy", "list"))]
        return [line for text in words for line in text.splitlines() if " ike-" in line]

    def is_clean(self, side):
        lab.until(lambda: not self.ours(side), "umfwd to have none of charon's SAs and policies")

    def is_cut_off(self):
        self.assertIn(" 0 received", self.a.run("ping", "-c2", "-i0.05", "-W0.2", address("b"), check=False))

    def agree(self, child):
        """Both ends have one CHILD_SA, the same: its SPIs."""
        here, there = (self.charon[side].installed(child) for side in UNITS)
        return len(here) == 1 and [pair[::-1] for pair in there] == here and here[0]

    def agreed(self, child, but=None):
        def look():
            spis = self.agree(child)
            return spis if spis != but else None
        return lab.until(look, f"both ends to agree about {child}, but not {but}", watch=[c.program for c in self.charon.values()])

    def rekey_while(self, child, program, least):
        """By turns at both ends, until the program has ended; at least so often."""
        spis, turns = self.agreed(child), 0
        while program.alive() or turns < least:
            self.charon["ab"[turns % 2]].rekey(child)
            spis, turns = self.agreed(child, but=spis), turns + 1
        self.assertEqual(program.wait(), 0, program.last_words())

    def rekey_under_load(self, child, pings=1000):
        """None of the pings is lost, one every two milliseconds. Then TCP, which fills every queue there is: some of
        them are short in user space, and what they lose is not a rekey's."""
        pinger = self.lab.program("ping", self.a.command("ping", "-q", "-i0.002", f"-c{pings}", "-s1000", address("b")))
        self.rekey_while(child, pinger, least=3)
        self.assertIn(f"{pings} packets transmitted, {pings} received", pinger.output())
        here, files = self.lab.dir / "fetched", " ".join(4 * [f"http://{address('b')}:8000/file"])
        curl = self.lab.program("curl", self.a.command("sh", "-c", f"for url in {files}; do curl -gsS --fail $url || exit; done > {here}"))
        self.rekey_while(child, curl, least=3)
        self.assertEqual(here.read_bytes(), 4 * (self.lab.dir / "served" / "file").read_bytes())

    # ---- what is true

    def test_strongswans_own_esp_is_the_other_gateway(self):
        self.start_one_with_libipsec()
        self.serve(megabytes=2)
        self.load({"net": between})
        self.is_cut_off()
        self.charon["a"].initiate("net")
        for size in 0, 1372:
            self.ping(self.a, address("b"), size, "-M", "do")
            self.ping(self.b, address("a"), size, "-M", "do")
        self.fetch(v6=False)
        self.rekey_under_load("net")
        self.charon["b"].terminate()
        self.is_clean("a")
        self.is_cut_off()
        self.charon["b"].initiate("net")
        self.ping(self.b, address("a"), 56)
        self.end()
        for name in "no-sa", "esp-refused":
            self.assertEqual(self.drops("a")[name], 0, name)

    def test_what_is_negotiated_is_what_umfwd_does(self):
        if later := case.of_another_part(0):
            self.skipTest(later)
        self.start_two()
        for proposal, more, units in (("aes256gcm16-esn", "", UNITS6), ("chacha20poly1305", "encap = yes", UNITS6), ("aes128gmac", "", UNITS),
                                      ("aes128-sha1", "encap = yes", UNITS), ("aes192-sha384-esn", "", UNITS), ("aes256ctr-sha512", "", UNITS),
                                      ("null-sha256", "", UNITS)):
            with self.subTest(proposal):
                self.load({"net": lambda side: between(side, f"esp_proposals = {proposal}")}, more, units)
                self.charon["a"].initiate("net")
                self.assertIn("1 received", self.a.run("ping", "-c1", "-W5", "-s1000", address("b")))
                self.assertEqual("encap=yes" in self.charon["a"].swanctl("--list-sas", "--raw"), bool(more))
                self.charon["b"].terminate()
                self.is_clean("a")

        # What the kernels of both gateways say to each other.
        for more in "", "encap = yes":
            self.load({"gw": lambda side: f"mode = transport\n{GCM}"}, more)
            self.charon["a"].initiate("gw")
            self.ping(self.router["a"], UNITS["b"], 1000)
            self.assertEqual(self.charon["b"].carried("gw"), (3, 3))
            self.charon["a"].terminate()
            self.is_clean("b")

        # Selectors: one child for TCP, one for a range of addresses, one for IPv6, an exception, and the rest.
        self.serve(megabytes=1)
        for i in 66, 67:
            self.b.ip("addr", "add", f"10.9.2.{i}/24", "dev", self.b.interface)
        self.load({"net": between, "tcp": lambda side: between(side, a="10.9.1.0/24[tcp]", b="10.9.2.0/24[tcp/8000]"),
                   "range": lambda side: between(side, a="10.9.1.2-10.9.1.5", b="10.9.2.60-10.9.2.70"),
                   "six": lambda side: between(side, a="fd09:1::/64", b="fd09:2::/64"),
                   "never": lambda side: between(side, "mode = drop\nstart_action = trap\npriority = 1", a="10.9.1.0/24[icmp]", b="10.9.2.66/32[icmp]")})
        for child in "net", "tcp", "range", "six":
            self.charon["a"].initiate(child)
        self.ping(self.a, address("b"), 56)
        self.ping(self.a, address("b", v6=True), 1000)
        self.ping(self.a, "10.9.2.67", 56)
        self.fetch(v6=False)
        for child in "net", "six", "range":
            self.assertEqual(self.charon["a"].carried(child), (3, 3), child)
        self.assertGreater(min(self.charon["a"].carried("tcp")), 100)
        self.assertIn("0 received", self.a.run("ping", "-c1", "-W0.2", "10.9.2.66", check=False))
        self.end()

    def test_keys_change_under_load_and_who_dies_comes_back(self):
        self.start_two()
        self.serve(megabytes=2)
        limits = "\nrekey_packets = 400\nlife_packets = 100000\nrand_packets = 0"
        self.load({"net": lambda side: between(side, GCM + limits)})
        self.charon["a"].initiate("net")
        self.rekey_under_load("net")
        # Now nobody asks for it but umfwd, by an event.
        spis = self.agreed("net")
        self.fetch(v6=False)
        spis = self.agreed("net", but=spis)
        # An SA that somebody takes away by hand.
        lab.run([lab.ROOT / "scripts" / "umctl", self.control("b"), "sa", "delete", "all"])
        self.agreed("net", but=spis)
        self.ping(self.a, address("b"), 56)
        # Two CHILD_SAs of the same selectors have one child here, which sends by the later one. When that goes, the
        # other has to be rekeyed.
        self.load({"net": between, "twin": between})
        spis = self.agreed("net")
        self.charon["a"].initiate("twin")
        self.charon["a"].terminate("--child", "twin")
        self.agreed("net", but=spis)
        self.ping(self.a, address("b"), 56)
        # A charon that is killed leaves SAs behind, which the next one takes away.
        self.charon["a"].program.stop(signal.SIGKILL)
        self.assertGreater(len(self.ours("a")), 0)
        self.charon["a"].start_again()
        self.is_clean("a")
        self.load({"net": between})
        self.is_cut_off()
        self.charon["a"].initiate("net")
        self.ping(self.a, address("b"), 56)
        # A umfwd that starts anew is told the policies, and every SA is rekeyed.
        spis = self.agreed("net")
        self.quit(self.gateway["a"])
        self.start_umfwd("a")
        self.agreed("net", but=spis)
        self.ping(self.a, address("b"), 56)
        self.end()
