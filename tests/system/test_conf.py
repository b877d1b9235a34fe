# SPDX-License-Identifier: BSD-2-Clause
# test_conf.py - the files in conf/ are examples that work: command files run to their end, strictly, and
# configurations are good, and run where this build has their mode.
import subprocess

import case
import frames
import lab
from scapy.all import IP, TCP, UDP, Ether, IPv6  # noqa: E402
from scapy.layers.ipsec import ESP

CONF = lab.ROOT / "conf"

# File -> the ports it is run with. A file that is not here fails test_every_example_is_run.
VDEVS = {
    "two-ports-mac.cmd": ["net_null0", "net_null1"],
    "tee.cmd": ["net_null0", "net_null1", "net_null2"],
    "selftest.cmd": ["net_ring0", "net_ring1"],
}
# Configuration -> the mode that it needs.
TOML = {
    "forward.toml": "mac",
    "route.toml": "route",
    "tunnel-v4.toml": "esp",
    "tunnel-v6-in-v4.toml": "esp",
    "transport.toml": "esp",
    "nat-t.toml": "esp",
    "many-sas.toml": "esp",
    "bench-esp.toml": "esp",
}


def spi_of(packet):
    """Of ESP, plain or in UDP; 0: it is none."""
    if ESP in packet:
        return packet[ESP].spi
    return int.from_bytes(bytes(packet[UDP].payload)[:4], "big") if UDP in packet and packet[UDP].dport == 4500 else 0


class Conf(case.SystemTest):
    def forward(self, name):
        """Run the file as its head says, until every port has packets; the output and the report."""
        forwarder = self.umfwd("umfwd", VDEVS[name], [
            "-i", "--strict", f"--cmdline-file={CONF / name}", "--total-num-mbufs=8192"])
        self.forwarding(forwarder)
        lab.until(lambda: all(lab.port_stats(forwarder, port)["RX-packets"] > 10000
                              for port in range(len(VDEVS[name]))), "packets", watch=[forwarder])
        report = self.quit(forwarder)
        return forwarder.output(), report

    def test_two_ports_mac_sends_to_the_named_neighbours(self):
        text, report = self.forward("two-ports-mac.cmd")
        self.assertEqual(report["mode"], "mac")
        self.assertRegex(text, r"TX P=0/.*peer=02:00:00:00:00:01")
        self.assertRegex(text, r"TX P=1/.*peer=02:00:00:00:00:02")

    def test_tee_sends_each_packet_to_both_other_ports(self):
        _, report = self.forward("tee.cmd")
        self.assertEqual(report["mode"], "tee")
        self.assertEqual(report["all"]["tx_packets"], 2 * report["all"]["rx_packets"])

    def test_selftest_loses_nothing(self):
        _, report = self.forward("selftest.cmd")
        first = 2 * 4 * 64  # ports, bursts, packets: what tx_first made
        self.assertEqual(report["all"]["tx_total"], report["all"]["rx_packets"] + first)

    # ---- configurations

    def private(self, text, rights=0o600):
        """A configuration of our own, in a file with these rights."""
        file = self.logs / "umfwd.toml"
        file.write_text(text)
        file.chmod(rights)
        return file

    def check(self, file, *arguments, status=0):
        """What `umfwd --check-conf` says of it."""
        done = subprocess.run([lab.UMFWD, "--check-conf", file, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=lab.PATIENCE_S)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertNotIn("EAL", done.stderr)
        return done.stdout if status == 0 else done.stderr

    def test_configurations_are_good(self):
        for name, mode in TOML.items():
            with self.subTest(name):
                text = (CONF / name).read_text()
                self.assertRegex(self.check(self.private(text)), rf": good: .*; mode {mode}\b")
                with_key = "\nkey = " in text
                said = self.check(self.private(text, 0o644), status=int(with_key))
                self.assertRegex(said, "rights 0644.*chmod 600" if with_key else ": good: ")
                self.check(self.private(text, 0o644), "--conf-readable")

    def test_forward_toml_forwards_as_it_says_and_the_command_line_wins(self):
        forwarder = self.umfwd("umfwd", [], ["-i", "--auto-start", "--strict", f"--conf={CONF / 'forward.toml'}", "--burst=64",
                                             "--total-num-mbufs=8192"])
        self.forwarding(forwarder)
        lab.until(lambda: all(lab.port_stats(forwarder, port)["RX-packets"] > 10000 for port in (0, 1)), "packets", watch=[forwarder])
        for port, mtu in ((0, 1500), (1, 1400)):
            info = forwarder.ask(f"show port info {port}", r"MTU: \d+")
            self.assertIn(f"MTU: {mtu}", str(info))
        report = self.quit(forwarder)
        self.assertEqual(report["mode"], "mac")
        self.assertRegex(forwarder.output(), r"TX P=0/.*peer=02:00:00:00:00:01")
        self.assertRegex(forwarder.output(), r"RX-bursts : .*% of 64 pkts")

    def routing(self, text):
        """umfwd with this configuration of a router, its TAPs in a namespace of their own; both."""
        text = text.replace("net_af_packet0,iface=eth0", "net_null0,no-rx=1").replace("net_af_packet1,iface=eth1", "net_null1,no-rx=1")
        there = self.lab.namespace("taps")
        return there, self.umfwd("umfwd", [], ["-i", "--auto-start", "--strict", f"--conf={self.private(text)}", f"--tap-netns={there.name}",
                                               "--total-num-mbufs=8192"])

    @case.needs_root
    def test_route_toml_is_what_the_kernel_is_told(self):
        there, forwarder = self.routing((CONF / "route.toml").read_text())
        self.forwarding(forwarder)
        for words, expected in ((("addr", "show", "umf0"), ("inet 10.1.0.1/16 ", "inet6 2001:db8:1::1/64 ")), (("addr", "show", "umf1"), ("inet 192.0.2.1/24 ",)),
                                (("route",), ("default via 192.0.2.254 dev umf1 proto static", "10.9.0.0/16 via 10.1.0.9 dev umf0 proto static")),
                                (("-6", "route"), ("default via fe80::1 dev umf1 proto static",)), (("neigh",), ("10.1.0.9 dev umf0 lladdr 02:00:00:00:00:09 PERMANENT",))):
            said = there.ip(*words)
            for line in expected:
                self.assertIn(line, said)
        # And it comes back: these are the routes by which packets go.
        for line in (r"10\.9\.0\.0/16 via 10\.1\.0\.9 port 0 mtu 1500", r"::/0 via fe80::1 port 1 mtu 1500"):
            lab.until(lambda line=line: forwarder.ask("show route", line), "the route", watch=[forwarder])
        forwarder.ask("show neigh", r"10\.1\.0\.9 port 0 02:00:00:00:00:09 reachable")
        # It is the kernel's now: what is changed there is not changed back.
        there.ip("route", "delete", "10.9.0.0/16")
        forwarder.ask("stop", r"Accumulated forward statistics")
        forwarder.ask("start", r"packet forwarding - ports=2")
        self.assertNotIn("10.9.0.0/16", there.ip("route"))
        self.quit(forwarder)

    @case.needs_root
    def test_what_the_kernel_refuses_is_told_by_its_line(self):
        text = (CONF / "route.toml").read_text().replace('via = "10.1.0.9"', 'via = "10.1.255.255"')
        line = text[:text.index('to = "10.9')].count("\n")
        _, forwarder = self.routing(text)
        self.assertEqual(forwarder.wait(), 1)
        self.assertRegex(forwarder.output(), rf'umfwd: \S*umfwd.toml:{line}: route.to = "10.9.0.0/16": umf0 does not take it: ')

    # Configuration of a gateway -> a packet from inside and the SPI that it leaves with, for each that is tried; and who
    # is the next router.
    CROSSING = {
        "tunnel-v4.toml": ("192.0.2.254", [(IP(src="10.1.0.5", dst="10.2.0.5") / UDP(), 0x1001)]),
        "tunnel-v6-in-v4.toml": ("192.0.2.254", [(IPv6(src="2001:db8:1::5", dst="2001:db8:2::5") / UDP(), 0x2001)]),
        "transport.toml": ("192.0.2.80", [(IP(src="10.1.0.5", dst="192.0.2.80") / TCP(dport=443), 0x3001),
                                          (IP(src="10.1.0.5", dst="192.0.2.80") / UDP(dport=443), 0x3001)]),
        "nat-t.toml": ("192.168.1.1", [(IP(src="10.1.0.5", dst="10.0.3.5") / UDP(), 0x4001)]),
        "many-sas.toml": ("192.0.2.254", [(IP(src="10.0.0.5", dst=f"10.{i}.0.5") / UDP(), 0x5001 + 0x100 * i) for i in range(1, 9)]),
        "bench-esp.toml": (None, [(IP(src="10.1.0.5", dst="10.2.0.5") / UDP(), 0x6001)]),
    }

    def crossing(self, name):
        """A packet of each kind that the example protects, and one that it does not know: what leaves outside."""
        router, tried = self.CROSSING[name]
        source, sink = self.logs / f"{name}.in.pcap", self.logs / f"{name}.out.pcap"
        stranger = IP(src="10.77.0.1", dst="203.0.113.7") / UDP()
        packets = [p for p, _ in tried] + ([stranger] if router else [])
        lab.write_pcap(source, [bytes(Ether(dst="02:70:63:61:70:00", src=frames.SRC) / p) for p in packets])
        text = (CONF / name).read_text()
        text = text.replace("net_af_packet0,iface=eth0", f"net_pcap0,rx_pcap={source},tx_pcap={self.logs / 'inside.pcap'}")
        text = text.replace("rx_pcap=/tmp/umbuf-bench.pcap,infinite_rx=1", f"rx_pcap={source},tx_pcap={self.logs / 'inside.pcap'}")
        for outside in "net_af_packet1,iface=eth1", "net_null0,no-rx=1":
            text = text.replace(outside, f"net_pcap1,rx_pcap={lab.write_pcap(self.logs / 'none.pcap', [])},tx_pcap={sink}")
        if router:
            text += f'\n[[neighbour]]\naddress = "{router}"\nmac = "02:00:00:00:00:fe"\n'
        there = self.lab.namespace(name.translate(str.maketrans("", "", "-.0123456789")))
        forwarder = self.umfwd(name, [], ["--seconds=0.4", f"--conf={self.private(text)}", f"--tap-netns={there.name}", "--no-flush-rx",
                                          "--total-num-mbufs=8192"])
        self.assertEqual(forwarder.wait(), 0, forwarder.last_words())
        report = self.report(forwarder)
        self.assertEqual(report["mode"], "esp")
        left = [Ether(f) for f in lab.read_pcap(sink)]
        left = [p for p in left if p.dst == ("02:00:00:00:00:fe" if router else "02:00:00:00:00:02")]
        if not router:  # everything is protected, and so is what the TAPs' kernel says when they come up
            left = [p for p in left if len(p) == len(left[0])]
        self.assertEqual([spi_of(p) for p in left], [spi for _, spi in tried])
        if router:
            self.assertEqual(sum(s["drops"]["policy"] for s in report["streams"] if s["rx_port"] == 0), 1, "the stranger")

    @case.needs_root
    def test_gateways_protect_what_their_files_say_and_nothing_else_leaves(self):
        for name in self.CROSSING:
            with self.subTest(name):
                self.crossing(name)

    def test_all_errors_are_told_and_nothing_is_started(self):
        file = self.private("[options]\nburst = 0\nforwrd_mode = \"io\"\n[[port]]\nname = \"a\"\ndevice = \"net_null0\"\nmtu = 1\n")
        done = subprocess.run([lab.UMFWD, *self.lab.eal([], huge=False), "--conf", file, "--", "--seconds=1"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=lab.PATIENCE_S)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.splitlines(), [
            f"{file}:2: options.burst = 0: expected a number from 1 to 512",
            f"{file}:3: options.forwrd_mode is unknown; the nearest that there is: options.forward_mode",
            f"{file}:7: port.mtu = 1: expected a number from 68 to 9710",
            f"umfwd: {file}: 3 errors; nothing of it was taken"])

    def test_a_file_of_policies_is_not_forwarded_in_the_clear(self):
        file = self.private((CONF / "tunnel-v4.toml").read_text())
        done = subprocess.run([lab.UMFWD, *self.lab.eal([], huge=False), "--conf", file, "--", "--forward-mode=io", "--seconds=1"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=lab.PATIENCE_S)
        self.assertEqual(done.returncode, 1)
        self.assertIn("expected mode esp", done.stderr)

    def test_every_example_is_run_and_says_what_it_is(self):
        files = sorted(f for f in CONF.iterdir() if f.suffix in (".cmd", ".toml"))
        self.assertEqual({f.name for f in files}, set(VDEVS) | set(TOML))
        self.assertEqual(set(self.CROSSING), {name for name, mode in TOML.items() if mode == "esp"})
        for file in files:
            self.assertRegex(file.read_text().splitlines()[0], r"^# [A-Z].*[.?]", file.name)
