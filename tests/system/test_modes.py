# SPDX-License-Identifier: BSD-2-Clause
# test_modes.py - the modes that read and write packets, judged by programs that know the protocols.
#
# Linux pings mode icmpecho; scapy computes what csum, 5tswap and frag should send, and reads what
# the generators make.
import os
import pathlib

import case
import frames
import lab
from scapy.all import (  # noqa: E402  (frames.py has quietened scapy)
    IP, TCP, UDP, Dot1Q, Dot1AD, Ether, IPOption_Router_Alert, IPv6, IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop, PadN, Raw, defragment)


class Modes(case.SystemTest):
    def loop(self, sent, mode, arrive, extra=()):
        """Frames through one pcap port in a mode; what came out."""
        source, sink = self.logs / "in.pcap", self.logs / "out.pcap"
        lab.write_pcap(source, sent)
        forwarder = self.prompt(self.umfwd(
            "umfwd", [f"net_pcap0,rx_pcap={source},tx_pcap={sink}"],
            ["-i", f"--forward-mode={mode}", "--port-topology=loop", "--no-flush-rx", "--auto-start",
             "--total-num-mbufs=8192", *extra]))
        lab.until(lambda: lab.port_stats(forwarder)["TX-packets"] >= arrive,
                  f"{arrive} frames to leave", watch=[forwarder])
        self.quit(forwarder)
        return lab.read_pcap(sink)

    def packets(self):
        """Well-formed packets of each kind, as layers."""
        ether = Ether(dst=frames.DST, src=frames.SRC)
        links = [ether, ether / Dot1Q(vlan=7), ether / Dot1AD(vlan=8) / Dot1Q(vlan=9)]
        nets = [IP(src="198.18.0.1", dst="198.18.0.2", ttl=9),
                IPv6(src="2001:db8::1", dst="2001:db8::2"),
                IPv6(src="2001:db8::1", dst="2001:db8::2")
                / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / IPv6ExtHdrDestOpt()]
        tops = [UDP(sport=1000, dport=2000), TCP(sport=80, dport=4096, flags="A", seq=5)]
        for link in links:
            for net in nets:
                for top in tops:
                    for n in (0, 1, 64, 1001):
                        yield link.copy() / net.copy() / top.copy() / Raw(self.random.randbytes(n))

    def test_mode_csum_computes_what_scapy_computes(self):
        wrong, right = [], []
        for packet in self.packets():
            right.append(bytes(packet))
            for layer in (IP, UDP, TCP):
                if layer in packet:
                    packet[layer].chksum = self.random.randint(1, 0xFFFF)
            wrong.append(bytes(packet))
        got = self.loop(wrong, "csum", len(wrong))
        self.assertEqual(len(got), len(right))
        for i, (one, other) in enumerate(zip(got, right)):
            # The mode sets the addresses of the next hop, as testpmd's does.
            self.assertEqual(one[12:].hex(), other[12:].hex(), f"packet {i}")

    def test_mode_5tswap_swaps_what_scapy_swaps(self):
        sent, want = [], []
        for packet in self.packets():
            sent.append(bytes(packet))
            ether = packet[Ether]
            ether.src, ether.dst = ether.dst, ether.src
            for layer in (IP, IPv6):
                if layer in packet:
                    net = packet[layer]
                    net.src, net.dst = net.dst, net.src
            for layer in (UDP, TCP):
                if layer in packet:
                    top = packet[layer]
                    top.sport, top.dport = top.dport, top.sport
            want.append(bytes(packet))
        got = self.loop(sent, "5tswap", len(sent))
        self.assertEqual([f.hex() for f in got], [f.hex() for f in want])

    def test_mode_frag_cuts_what_scapy_cuts(self):
        sent, want = [], []
        for packet in self.long_packets():
            options = 4 * packet[IP].ihl - 20
            sent.append(bytes(packet))
            if packet[IP].len <= 576 or packet[IP].flags == "DF":
                want.append(bytes(packet))
                continue
            # Its size of a fragment is that of the data. It repeats all options: here, right.
            want += [bytes(cut) for cut in packet.fragment((576 - 20 - options) // 8 * 8)]
        for scheme in lab.schemes():
            with self.subTest(scheme):
                got = self.loop(sent, "frag", len(want), ["--frag-size=576", f"--refcnt={scheme}"])
                self.assertEqual([f.hex() for f in got], [f.hex() for f in want])
                whole = defragment([Ether(frame) for frame in got])
                self.assertEqual(sorted(bytes(p).hex() for p in whole), sorted(f.hex() for f in sent))

    def long_packets(self):
        """IPv4 packets around the ends of fragments, in one mbuf and in several, each with its own id."""
        number = 0
        for link in (Ether(dst=frames.DST, src=frames.SRC), Ether(dst=frames.DST, src=frames.SRC) / Dot1Q(vlan=7)):
            for options in ([], [IPOption_Router_Alert()]):
                for n in (100, 556, 557, 1104, 1105, 1400, 2100, 5000, 9000):
                    for flags in ("", "DF"):
                        number += 1
                        net = IP(src="198.18.0.1", dst="198.18.0.2", id=number, flags=flags, options=options)
                        payload = UDP(sport=1000, dport=2000) / Raw(self.random.randbytes(n - 8))
                        yield Ether(bytes(link / net / payload))

    def test_the_generators_make_packets_that_scapy_finds_right(self):
        for mode, count in (("txonly", 64), ("flowgen", 64)):
            sink = self.logs / f"{mode}.pcap"
            forwarder = self.prompt(self.umfwd(
                mode, [f"net_pcap0,rx_pcap={self.empty()},tx_pcap={sink}"],
                ["-i", f"--forward-mode={mode}", "--port-topology=loop", "--auto-start",
                 f"--tx-count={count}", "--txpkts=200", "--total-num-mbufs=8192"]))
            lab.until(lambda: lab.port_stats(forwarder)["TX-packets"] >= count, "the frames",
                      watch=[forwarder])
            self.quit(forwarder)
            made = lab.read_pcap(sink)
            self.assertEqual(len(made), count)
            for frame in made:
                packet = Ether(frame)
                self.assertEqual(len(frame), 200)
                self.assertTrue(packet[IP].src.startswith("198.18.0.") or packet[IP].src.startswith("198.19."))
                sums = packet[IP].chksum, packet[UDP].chksum
                del packet[IP].chksum, packet[UDP].chksum
                again = Ether(bytes(packet))
                self.assertEqual(sums[0], again[IP].chksum)
                self.assertIn(sums[1], (0, again[UDP].chksum))
            flows = {(Ether(f)[IP].dst, Ether(f)[UDP].dport) for f in made}
            self.assertEqual(len(flows) > 1, mode == "flowgen")

    def empty(self):
        path = self.logs / "empty.pcap"
        lab.write_pcap(path, [])
        return path

    @case.needs_root
    def test_linux_gets_its_pings_answered_by_mode_icmpecho(self):
        if not pathlib.Path("/dev/net/tun").exists():
            self.skipTest("the kernel has no /dev/net/tun")
        name = f"um{os.getpid()}e"
        forwarder = self.umfwd("umfwd", [f"net_tap0,iface={name}"],
                               ["--forward-mode=icmpecho", "--auto-start", "--total-num-mbufs=4096"])
        self.forwarding(forwarder)
        a = self.lab.namespace("a")
        a.adopt(name, "10.9.0.1/24")
        lab.until(lambda: "1 received" in a.run("ping", "-c1", "-W1", "10.9.0.77", check=False),
                  "the first answer", watch=[forwarder])
        text = a.run("ping", "-c5", "-i0.2", "-W5", "-s", "1000", "10.9.0.78")
        self.assertIn("5 received", text)
        self.assertNotIn("wrong data", text)
        self.halt(forwarder)
